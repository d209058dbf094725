//! Load on the real program, and the end of a run: every window closed, drained, and looked at by the offline checker.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::checker::{Sent, Verdict, check};
use crate::process::Process;

const DEVICES: u64 = 20;
/// Events of one request; 25 requests a second make 5,000 events a second.
const BATCH: u64 = 200;
/// Between two requests.
pub const PAUSE: Duration = Duration::from_millis(40);
/// One row per event: every event has a time of its own on its device.
const RULE: &str = r#"{"kind":"Rule","name":"echo","for":"all","disorder":"1ms","idle":"10m","window":{"sliding":"1ms"},"emit":{"n":"last(n)"}}"#;

/// Sends batches until told to stop or the engine is gone; what was answered with success is acknowledged.
#[derive(Debug)]
pub struct Load {
    /// What was sent.
    pub sent: Sent,
    next: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            sent: Sent::default(),
            next: 1,
        }
    }
}

impl Load {
    /// The next batch, and its numbers by device.
    pub fn body(&mut self) -> (String, Vec<(String, u64)>) {
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

    /// Sends the next batch; whether it was acknowledged.
    pub async fn post(&mut self, client: &reqwest::Client, url: &str) -> bool {
        let (body, numbers) = self.body();
        let request = client
            .post(format!("{url}/v1/events"))
            .header("content-type", "application/x-ndjson")
            .body(body);
        let good = request
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success());
        self.note(good, numbers);
        good
    }

    /// Notes whether a batch was acknowledged.
    pub fn note(&mut self, good: bool, numbers: Vec<(String, u64)>) {
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
    }
}

/// Submits the rule that makes one result of every event.
///
/// # Panics
/// When the engine refuses it.
pub async fn submit(client: &reqwest::Client, url: &str) {
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

/// Closes every window, drains, and lets the checker look at what the log holds.
///
/// # Panics
/// When the engine does not answer or does not stop in order.
pub async fn finish(
    client: &reqwest::Client,
    engine: Process,
    folder: &Path,
    load: &Load,
) -> Verdict {
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
    assert!(engine.stop().success());
    verdict
}
