//! [`run`]: one yardstick as a process of its own: a plain rdkafka program that does a scenario's work by hand.

use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::types::RDKafkaErrorCode;

use crate::Failure;
use crate::arguments::Arguments;
use crate::consumer::{Take, each_record};
use crate::process::{cpu_seconds, peak_memory};
use crate::report::Measured;
use crate::work::Work;

/// Silence after which the rest of the events is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads the topic, does the work, writes the lines, and prints what that took as one line of JSON.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let scenario = *arguments
        .scenarios
        .first()
        .ok_or("one scenario is wanted")?;
    let take = match arguments.take.as_str() {
        "poll" => Take::Poll,
        "batch" => Take::Batch,
        other => return Err(format!("--take is poll or batch, not `{other}`")),
    };
    let mut config = ClientConfig::new();
    config.set(
        "bootstrap.servers",
        arguments.broker.as_ref().ok_or("--broker is wanted")?,
    );
    let producer = producer(&config)?;
    let mut out = |key: &str, body: &[u8]| send(&producer, &arguments.out, key, body);
    let mut work = Work::new(scenario, arguments.metrics);
    let warm = arguments.events * arguments.warm_up / 100;
    let (mut taken, mut heard) = (0_u64, Instant::now());
    let mut began = mark();
    let mut ended_early = false;
    each_record(&config, &arguments.topic, take, |body| {
        if let Some(body) = body {
            taken += 1;
            if taken == warm {
                began = mark();
            }
            work.take(body, &mut out);
            if taken % 1_024 == 0 {
                producer.poll(Duration::ZERO);
                heard = Instant::now();
            }
        } else {
            producer.poll(Duration::ZERO);
            ended_early = heard.elapsed() > PATIENCE;
        }
        taken < arguments.events && !ended_early
    })?;
    if ended_early {
        return Err(format!("only {taken} of {} events came", arguments.events));
    }
    producer
        .flush(PATIENCE)
        .map_err(|error| format!("writing: {error}"))?;
    let ended = mark();
    work.finish(&mut out);
    producer
        .flush(PATIENCE)
        .map_err(|error| format!("writing: {error}"))?;
    let measured = Measured {
        events: taken - warm,
        cpu: ended.0 - began.0,
        wall: (ended.1 - began.1).as_secs_f64(),
        peak: peak_memory(std::process::id()).unwrap_or(0),
        results: work.results,
    };
    let line = serde_json::to_string(&measured).map_err(|error| error.to_string())?;
    println!("{line}");
    Ok(())
}

/// CPU seconds of this process so far, and now.
fn mark() -> (f64, Instant) {
    (
        cpu_seconds(std::process::id()).unwrap_or(0.0),
        Instant::now(),
    )
}

fn producer(config: &ClientConfig) -> Result<BaseProducer, Failure> {
    let mut config = config.clone();
    let producer = config
        .set("partitioner", "murmur2_random")
        .set("linger.ms", "1")
        .create();
    producer.map_err(|error| format!("a producer: {error}"))
}

fn send(producer: &BaseProducer, topic: &str, key: &str, body: &[u8]) {
    let mut record = BaseRecord::to(topic).key(key).payload(body);
    while let Err((error, again)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return;
        }
        record = again;
        producer.poll(Duration::from_millis(1));
    }
}
