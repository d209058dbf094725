//! An engine on its real log that was stopped for an hour while producers went on: after the restart it has said what an
//! engine says that never stopped, with no late row more. The clock is the test's, so the hour passes at once.

use std::path::Path;

use tidegate::config::Config;
use tidegate_actors::port::{EventLog as _, TopicPartition};
use tidegate_proto::record::{Record, partition_of};
use tidegate_tests::inside::{Inside, SetClock, lines, open_log, settings};
use tidegate_tests::random::Random;

const BEGIN: i64 = 1_767_225_600_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// How far the clock goes at once while the engine runs.
const STEP: i64 = 5_000;
const PARTITIONS: u32 = 2;

const RULES: [&str; 4] = [
    r#"{"kind":"Rule","name":"means","for":"all","window":{"tumbling":"1m"},"emit":{"mean":"avg(t)","sum":"sum(t)","n":"count(t)"}}"#,
    r#"{"kind":"Rule","name":"hot","for":"all","when":"t > 70.0","hold":"20s"}"#,
    r#"{"kind":"Rule","name":"gone","for":"all","when":"stale(t, \"2m\")"}"#,
    r#"{"kind":"Rule","name":"mean","for":"all","when":"avg(t, \"5m\") > 52.0"}"#,
];

/// An event with the time at which it is sent.
#[derive(Clone, Debug)]
struct Sent {
    at: i64,
    device: String,
    body: String,
}

/// An hour and three quarters of five devices: every ten seconds, sometimes out of order, sometimes far too late, silent
/// for three minutes in every twenty.
fn events() -> Vec<Sent> {
    let mut random = Random::new(11);
    let mut all = Vec::new();
    for step in 1..630_i64 {
        for device in 0..5_i64 {
            let at = BEGIN + step * 10_000 + device * 7;
            if (step + device * 24) % 120 < 18 {
                continue;
            }
            let late = if random.one_in(20) {
                random.below(60_000)
            } else {
                random.below(900)
            };
            let value = 40.0 + random.below(400) as f64 * 0.1;
            let body = format!(
                r#"{{"resource":"d{device}","time":{},"values":{{"t":{value}}}}}"#,
                at - late as i64
            );
            all.push(Sent {
                at,
                device: format!("d{device}"),
                body,
            });
        }
    }
    all
}

/// Lets an engine run until a time, with the events that come meanwhile; answers with how many came so far.
async fn live(engine: &Inside, clock: &SetClock, events: &[Sent], from: i64, until: i64) {
    let mut now = from;
    while now < until {
        let next = (now + STEP).min(until);
        for sent in events
            .iter()
            .filter(|sent| sent.at > now && sent.at <= next)
        {
            clock.set(sent.at);
            let event = (sent.device.clone(), sent.body.clone());
            engine.send(vec![event]).await.unwrap();
        }
        clock.set(next);
        now = next;
        let taken = events.iter().filter(|sent| sent.at <= now).count();
        engine.taken(taken as u64).await.unwrap();
    }
}

/// What producers wrote into the log while no engine ran.
async fn produce(config: &Config, clock: &std::sync::Arc<SetClock>, events: &[Sent]) {
    let log = open_log(config, clock).unwrap();
    for sent in events {
        clock.set(sent.at);
        let to = TopicPartition {
            topic: config.topic("inbox").into(),
            partition: partition_of(sent.device.as_bytes(), PARTITIONS),
        };
        let record = Record::new(sent.device.clone(), sent.body.clone());
        log.append(&to, vec![record]).await.unwrap();
    }
    log.close().await.unwrap();
}

/// All that an engine said: results and late rows, whose causes say which events they are of.
async fn said(folder: &Path, config: &Config) -> (Vec<String>, Vec<String>) {
    let log = open_log(config, &SetClock::at(BEGIN)).unwrap();
    assert!(folder.exists());
    let results = lines(&log, config, "results").await.unwrap();
    let late = lines(&log, config, "late").await.unwrap();
    (results, late)
}

async fn run(outage: Option<(i64, i64)>) -> (Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), PARTITIONS);
    let (events, end) = (events(), BEGIN + 2 * HOUR);
    let clock = SetClock::at(BEGIN);
    let mut engine = Inside::start(config.clone(), &clock).await.unwrap();
    for rule in RULES {
        engine.submit(rule).await.unwrap();
    }
    let mut from = BEGIN;
    if let Some((down, up)) = outage {
        live(&engine, &clock, &events, from, down).await;
        engine.stop().await.unwrap();
        let meanwhile = events.iter().filter(|sent| sent.at > down && sent.at <= up);
        produce(&config, &clock, &meanwhile.cloned().collect::<Vec<_>>()).await;
        clock.set(up);
        engine = Inside::start(config.clone(), &clock).await.unwrap();
        let taken = events.iter().filter(|sent| sent.at <= up).count();
        engine.taken(taken as u64).await.unwrap();
        from = up;
    }
    live(&engine, &clock, &events, from, end).await;
    // The clock has the last word: what is due by then has been said.
    let all = engine.until(|shown| {
        shown
            .iter()
            .all(|shard| shard.clock.0 >= BEGIN + HOUR + 45 * MINUTE)
    });
    all.await.unwrap();
    engine.stop().await.unwrap();
    said(folder.path(), &config).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_outage_changes_nothing() {
    let steady = run(None).await;
    let down = BEGIN + 20 * MINUTE;
    let stopped = run(Some((down, down + HOUR))).await;
    let differs = steady.0.iter().zip(&stopped.0).find(|(a, b)| a != b);
    assert!(
        steady.0 == stopped.0,
        "{} and {} results; first difference {differs:?}",
        steady.0.len(),
        stopped.0.len()
    );
    assert_eq!(steady.1, stopped.1, "late rows differ");
    assert!(steady.0.len() > 400, "{} results", steady.0.len());
    assert!(!steady.1.is_empty(), "the input has no late row");
}
