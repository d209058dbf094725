//! [`run`]: how long it takes from an event's due time to the result that a plain consumer sees, at a steady rate.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::Failure;
use crate::arguments::Arguments;
use crate::broker::Broker;
use crate::consumer::{Take, each_record};
use crate::delay::{Seen, delays, slowest};
use crate::flow::Flow;
use crate::report::{Delays, Figures, median, print};
use crate::scenario::Scenario;
use crate::subject::{Place, Subject};

/// Seconds of load before anybody is measured, of plain producing and of the engine each: it writes in ways of its own.
const WARM: u64 = 10;
/// How long results are still waited for when all events were taken.
const REST: Duration = Duration::from_millis(500);

/// Lets every subject do every scenario while events come at a rate, and prints how long results took.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let fits = |scenario: &&Scenario| **scenario != Scenario::When && scenario.window().is_none();
    if let Some(other) = arguments.scenarios.iter().find(fits) {
        let name = other.name();
        return Err(format!(
            "{name}: which event a result waited for is only known of `when` and windows"
        ));
    }
    let broker = Broker::at(arguments)?;
    warm(&broker, arguments)?;
    if let (Some(scenario), Some(subject)) =
        (arguments.scenarios.first(), arguments.subjects.first())
    {
        let short = Arguments {
            seconds: WARM,
            ..arguments.clone()
        };
        one(*scenario, subject, arguments.runs, &broker, &short)?;
        eprintln!("that was the warm-up; from here on it counts");
    }
    let mut rows = Vec::new();
    for scenario in &arguments.scenarios {
        for subject in &arguments.subjects {
            let mut runs = Vec::new();
            for run in 0..arguments.runs {
                let figures = one(*scenario, subject, run, &broker, arguments)?;
                if let Some(delays) = figures.delays {
                    eprintln!(
                        "{} {subject} {}: p99 {:.1} ms",
                        scenario.name(),
                        run + 1,
                        delays.p99
                    );
                }
                runs.push(figures);
            }
            rows.extend(median(runs));
        }
    }
    print(&rows, arguments)
}

/// A broker that was just started takes seconds until it is as fast as it will be; whoever came first would pay for it.
fn warm(broker: &Broker, arguments: &Arguments) -> Result<(), Failure> {
    const TOPIC: &str = "bench.warm";
    broker.create(TOPIC, arguments.partitions)?;
    let count = arguments.rate * WARM;
    let flow = Flow::live(
        arguments.resources,
        arguments.metrics,
        arguments.rate,
        count,
    );
    broker.produce(TOPIC, &flow, true)?;
    let mut left = count;
    each_record(&broker.config(), TOPIC, Take::Batch, |body| {
        left -= u64::from(body.is_some());
        left > 0
    })
}

fn one(
    scenario: Scenario,
    subject: &str,
    run: usize,
    broker: &Broker,
    arguments: &Arguments,
) -> Result<Figures, Failure> {
    let events = format!("bench.live-{}-{subject}-{run}", scenario.name());
    broker.create(&events, arguments.partitions)?;
    let count = arguments.rate * arguments.seconds;
    let place = Place::new(scenario, subject, run, &events, count);
    let mut running = Subject::start(subject, scenario, &place, broker, arguments)?;
    let flow = Flow::live(
        arguments.resources,
        arguments.metrics,
        arguments.rate,
        count,
    );
    let enough = AtomicBool::new(false);
    let (measured, seen) = std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch(broker, &place.results, &enough));
        let producing = scope.spawn(|| broker.produce(&events, &flow, true));
        let measured = running.finish(count, arguments.warm_up);
        std::thread::sleep(REST);
        enough.store(true, Ordering::Release);
        let produced = producing
            .join()
            .map_err(|_| "the producing thread broke".to_owned());
        let seen = watching
            .join()
            .map_err(|_| "the reading thread broke".to_owned());
        produced??;
        Ok::<_, Failure>((measured?, seen??))
    })?;
    let warm = count * arguments.warm_up / 100;
    let mut figures = Figures::new(scenario.name(), subject, measured);
    let delays = delays(&flow, scenario, &seen, warm);
    for (second, took) in slowest(&flow, &delays) {
        eprintln!("  slowest result of second {second}: {} ms", took / 1_000);
    }
    figures.delays = Delays::of(delays.iter().map(|delay| delay.took).collect());
    Ok(figures)
}

/// Notes every result with the moment at which it was seen.
fn watch(broker: &Broker, topic: &str, enough: &AtomicBool) -> Result<Vec<Seen>, Failure> {
    let mut config = broker.config();
    config
        .set("fetch.wait.max.ms", "50")
        .set("fetch.min.bytes", "1");
    let mut seen = Vec::new();
    each_record(&config, topic, Take::Poll, |body| {
        if let Some(body) = body {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            let now = i64::try_from(now.as_micros()).unwrap_or(0);
            seen.extend(Seen::read(body, now));
        }
        !enough.load(Ordering::Acquire)
    })?;
    Ok(seen)
}
