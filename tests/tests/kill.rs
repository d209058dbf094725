//! `kill -9` of the real process under load, and an offline checker: nothing lost, nothing twice, state equal to a fold.
//! 20 rounds here; `KILL_ROUNDS=200` by hand.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use tidegate_tests::checker::{Sent, check};
use tidegate_tests::process::{Process, client};
use tidegate_tests::random::Random;

const DEVICES: u64 = 20;
/// Events of one request; 25 requests a second make 5,000 events a second.
const BATCH: u64 = 200;
const PAUSE: Duration = Duration::from_millis(40);
/// One row per event: every event has a time of its own on its device.
const RULE: &str = r#"{"kind":"Rule","name":"echo","for":"all","disorder":"1ms","idle":"10m","window":{"sliding":"1ms"},"emit":{"n":"last(n)"}}"#;

/// Sends batches until told to stop or the engine is gone; what was answered with success is acknowledged.
struct Load {
    sent: Sent,
    next: u64,
}

impl Load {
    fn body(&mut self) -> (String, Vec<(String, u64)>) {
        let mut body = String::new();
        let mut numbers = Vec::new();
        for _ in 0..BATCH {
            let (device, number) = (format!("d{}", self.next % DEVICES), self.next);
            self.next += 1;
            // Event time is the number: equal on every run, apart on every device.
            body.push_str(&format!(
                "{{\"resource\":\"{device}\",\"time\":{},\"values\":{{\"n\":{number}}}}}\n",
                1_000_000 + number
            ));
            numbers.push((device, number));
        }
        (body, numbers)
    }

    async fn post(&mut self, client: &reqwest::Client, url: &str) -> bool {
        let (body, numbers) = self.body();
        let request = client
            .post(format!("{url}/v1/events"))
            .header("content-type", "application/x-ndjson")
            .body(body);
        let good = request
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success());
        let into = if good {
            &mut self.sent.acknowledged
        } else {
            &mut self.sent.doubtful
        };
        for (device, number) in numbers {
            into.entry(device)
                .or_insert_with(BTreeSet::new)
                .insert(number);
        }
        good
    }
}

async fn submit(client: &reqwest::Client, url: &str) {
    let request = client
        .post(format!("{url}/v1/rules"))
        .header("content-type", "application/json")
        .body(RULE);
    let answer = request.send().await.expect("the engine answers");
    let status = answer.status();
    assert!(
        status.is_success(),
        "{status}: {}",
        answer.text().await.unwrap_or_default()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_engine_loses_nothing_and_repeats_nothing() {
    let rounds: u32 = std::env::var("KILL_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let settings = [("TIDEGATE_SHARD__SNAPSHOT_EPOCHS", "50")];
    let client = client();
    let mut random = Random::new(20_261_121);
    let mut load = Load {
        sent: Sent::default(),
        next: 1,
    };
    let mut restarts = Vec::new();

    let mut engine = Process::start(folder.path(), &settings);
    engine.ready(&client).await;
    submit(&client, &engine.url).await;
    for _ in 0..rounds {
        let lives = Duration::from_millis(200 + random.below(600));
        let until = tokio::time::Instant::now() + lives;
        while tokio::time::Instant::now() < until {
            load.post(&client, &engine.url).await;
            tokio::time::sleep(PAUSE).await;
        }
        // One request is on its way when the process dies.
        let (body, numbers) = load.body();
        let last = client
            .post(format!("{}/v1/events", engine.url))
            .header("content-type", "application/x-ndjson")
            .body(body);
        let flying = tokio::spawn(last.send());
        tokio::time::sleep(Duration::from_micros(random.below(4_000))).await;
        engine.kill();
        let good = flying
            .await
            .unwrap()
            .is_ok_and(|answer| answer.status().is_success());
        let into = if good {
            &mut load.sent.acknowledged
        } else {
            &mut load.sent.doubtful
        };
        numbers.into_iter().for_each(|(device, number)| {
            into.entry(device).or_default().insert(number);
        });
        engine = Process::start(folder.path(), &settings);
        restarts.push(engine.ready(&client).await);
    }
    println!("{rounds} rounds, restart to ready: {}", shares(restarts));
    finish(&client, engine, folder.path(), &load).await;
}

/// Median, the 99th of a hundred, and the longest.
fn shares(mut times: Vec<Duration>) -> String {
    times.sort();
    let share = |of_hundred: usize| {
        // The smallest that so many of a hundred do not exceed.
        let rank = (times.len() * of_hundred).div_ceil(100).max(1);
        times.get(rank - 1).copied().unwrap_or_default()
    };
    format!(
        "p50 {:?}, p99 {:?}, longest {:?}",
        share(50),
        share(99),
        share(100)
    )
}

/// Closes every window, drains, and lets the checker look at what the log holds.
async fn finish(client: &reqwest::Client, engine: Process, folder: &Path, load: &Load) {
    let closing: String = (0..DEVICES)
        .map(|device| {
            format!("{{\"resource\":\"d{device}\",\"time\":9000000000,\"values\":{{\"end\":1}}}}\n")
        })
        .collect();
    let request = client
        .post(format!("{}/v1/events", engine.url))
        .header("content-type", "application/x-ndjson")
        .body(closing);
    assert!(request.send().await.unwrap().status().is_success());
    let mut twins = Vec::new();
    for device in 0..DEVICES {
        // A look shows the newest acknowledged epoch; the closing event is in one of the next.
        let url = format!("{}/v1/resources/d{device}", engine.url);
        for _ in 0..1_000 {
            let twin: serde_json::Value =
                client.get(&url).send().await.unwrap().json().await.unwrap();
            if twin["metrics"]["end"].is_object() {
                twins.push(twin);
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    assert_eq!(twins.len() as u64, DEVICES, "a closing event was not taken");
    // A clean stop publishes everything; what is in the log then is what the engine said.
    assert!(engine.stop().success());
    let mut engine = Process::start(folder, &[]);
    engine.ready(client).await;
    let tail = engine.ask(&["tail", "results", "--from", "earliest", "--stop-at-end"]);
    assert!(
        tail.status.success(),
        "{}",
        String::from_utf8_lossy(&tail.stderr)
    );
    let verdict = check(
        &load.sent,
        "echo",
        &String::from_utf8_lossy(&tail.stdout),
        &twins,
    );
    println!("{verdict:?}");
    assert!(verdict.holds(), "{verdict:?}");
    assert!(engine.stop().success());
}
