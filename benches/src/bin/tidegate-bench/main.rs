//! `tidegate-bench`: load on the whole way through a real Kafka, and two yardsticks beside it that do the same work by hand.
//! How it is used and what it found: `benches/README.md`.
#![allow(
    clippy::disallowed_methods,
    reason = "threads that watch processes from outside wait as threads do"
)]

mod arguments;
mod broker;
mod consumer;
mod delay;
mod engine;
mod flow;
mod latency;
mod process;
mod replay;
mod report;
mod scenario;
mod subject;
mod throughput;
mod work;
mod yardstick;

use std::process::ExitCode;

use arguments::Arguments;

/// What went wrong, in words.
type Failure = String;

const USAGE: &str = "tidegate-bench COMMAND [--NAME VALUE ...]

COMMANDS
  throughput  preload a topic, let the engine read it with a rule, then each yardstick: events per CPU second and per second
  latency     produce at a rate while the engine runs a rule, then each yardstick: time from produce to result
  replay      `tidegate replay` of all scenarios' rules over --events in a file, cut differently: the same bytes every time
  produce     only preload, or with --rate produce, to --topic
  yardstick   only one yardstick (--take poll or batch) on --topic; the other commands call it

OPTIONS (default)
  --broker HOST:PORT   an Apache Kafka (one of our own by tests/kafka/broker, gone at the end)
  --scenarios A,B      when tumbling hopping hopping1 sequence absence (all; latency: when)
  --subjects A,B       engine poll batch (all)
  --resources N        (10000)      --metrics M       of each event (2)
  --partitions N       (4)          --events N        preloaded (2000000)
  --rate N             events a second to produce (50000; throughput: as fast as it goes)
  --seconds N          of producing, the warm-up included (20)
  --warm-up N          share of the events, in percent, that is not measured (25)
  --runs N             of each subject; the table shows the median by its figure (1)
  --workers N          engines of one group, each on a core of its own (one, on all cores)
  --cores LIST         cores of the engine and of the yardsticks, by taskset (all)
  --program PATH       the engine (the one beside this program, brought up to date by cargo)
  --set KEY=VALUE      a setting of the engine, as in kafka.delivery=transactional; may be repeated
  --json FILE          the figures as JSON (-: after the table)
  --topic NAME         of produce and yardstick (bench.events)";

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(failure) => {
            eprintln!("tidegate-bench: {failure}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let done = match arguments.command.as_str() {
        "throughput" => throughput::run(&arguments),
        "latency" => latency::run(&arguments),
        "replay" => replay::run(&arguments),
        "produce" => produce(&arguments),
        "yardstick" => yardstick::run(&arguments),
        _ => {
            println!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("tidegate-bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn produce(arguments: &Arguments) -> Result<(), Failure> {
    let broker = broker::Broker::at(arguments)?;
    broker.create(&arguments.topic, arguments.partitions)?;
    let flow = if arguments.has_rate {
        let events = arguments.rate * arguments.seconds;
        flow::Flow::live(
            arguments.resources,
            arguments.metrics,
            arguments.rate,
            events,
        )
    } else {
        flow::Flow::past(arguments.resources, arguments.metrics, arguments.events)
    };
    broker.produce(&arguments.topic, &flow, arguments.has_rate)?;
    println!(
        "{} events in {} on {}",
        flow.events, arguments.topic, broker.address
    );
    Ok(())
}
