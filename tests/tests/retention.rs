//! Retention of the running program: it stops, with a warning, before what a shard still needs since its oldest snapshot,
//! and goes on when newer snapshots need less.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate_tests::inside::{SetClock, open_log, settings};
use tidegate_tests::process::{Process, client};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(30);
const LIMIT: u64 = 1 << 20;
const NO_SNAPSHOTS: [(&str, &str); 5] = [
    ("TIDEGATE_PARTITIONS", "2"),
    ("TIDEGATE_LOG__FSYNC", "never"),
    ("TIDEGATE_LOG__RETENTION__INBOX__BYTES", "1MiB"),
    ("TIDEGATE_SHARD__SNAPSHOT_EPOCHS", "1000000"),
    ("TIDEGATE_SHARD__SNAPSHOT_RECORDS", "100000000"),
];
const SNAPSHOTS_OFTEN: [(&str, &str); 4] = [
    ("TIDEGATE_PARTITIONS", "2"),
    ("TIDEGATE_LOG__FSYNC", "never"),
    ("TIDEGATE_LOG__RETENTION__INBOX__BYTES", "1MiB"),
    ("TIDEGATE_SHARD__SNAPSHOT_EPOCHS", "2"),
];

/// Half a megabyte of events of ten devices.
async fn send(client: &reqwest::Client, engine: &Process, request: u64) {
    let note = "x".repeat(450);
    let body: String = (0..1_000_u64)
        .map(|event| {
            // Notes that differ do not compress away.
            let (device, number) = (event % 10, request * 1_000 + event);
            let noise: String = (0..6).map(|part| format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(part * 7))).collect();
            format!("{{\"resource\":\"d{device}\",\"time\":{number},\"values\":{{\"n\":{number},\"note\":\"{noise}{note}\"}}}}\n")
        })
        .collect();
    let request = client
        .post(format!("{}/v1/events", engine.url))
        .header("content-type", "application/x-ndjson")
        .body(body);
    let answer = request.send().await.unwrap();
    assert!(
        answer.status().is_success(),
        "{}",
        answer.text().await.unwrap()
    );
}

async fn events_of_twins(client: &reqwest::Client, engine: &Process) -> u64 {
    let mut events = 0;
    for device in 0..10 {
        let url = format!("{}/v1/resources/d{device}", engine.url);
        let twin: serde_json::Value = client.get(url).send().await.unwrap().json().await.unwrap();
        events += twin["events"].as_u64().unwrap_or(0);
    }
    events
}

async fn until_taken(client: &reqwest::Client, engine: &Process, events: u64) {
    let began = Instant::now();
    while events_of_twins(client, engine).await != events {
        assert!(
            began.elapsed() < PATIENCE,
            "{events} events are never taken"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// First offsets and bytes of the inbox.
fn inbox(folder: &Path) -> (Vec<i64>, u64) {
    let log = open_log(&settings(folder, 2), &SetClock::at(0)).unwrap();
    let status = log.status();
    let found = status
        .topics
        .iter()
        .find(|topic| topic.topic.ends_with("inbox"));
    let found = found.unwrap();
    let starts = found.bounds.iter().map(|bounds| bounds.start).collect();
    (starts, found.bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "writes for minutes on a slow disk"]
async fn retention_stops_with_a_warning_before_what_a_shard_needs() {
    let folder = tempfile::tempdir().unwrap();
    let (data, said) = (folder.path().join("data"), folder.path().join("said"));
    let client = client();
    let begin = |settings: &[(&str, &str)]| {
        let says = File::options()
            .create(true)
            .append(true)
            .open(&said)
            .unwrap();
        Process::start_saying(&data, settings, says.into())
    };
    let warned = || {
        std::fs::read_to_string(&said)
            .unwrap()
            .contains("records beyond the retention limit are kept")
    };
    // No snapshot, and more than the limit: everything is needed.
    let mut engine = begin(&NO_SNAPSHOTS);
    engine.ready(&client).await;
    for request in 0..8 {
        send(&client, &engine, request).await;
    }
    let began = Instant::now();
    while !warned() {
        assert!(
            began.elapsed() < PATIENCE,
            "there is no warning: {}",
            std::fs::read_to_string(&said).unwrap()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until_taken(&client, &engine, 8_000).await;
    engine.kill();
    let (starts, bytes) = inbox(&data);
    assert_eq!(starts, [0, 0]);
    assert!(bytes > 2 * LIMIT, "{bytes}");

    // All of it is there for the next start, which keeps snapshots: then the old records may go.
    let mut engine = begin(&SNAPSHOTS_OFTEN);
    engine.ready(&client).await;
    assert_eq!(events_of_twins(&client, &engine).await, 8_000);
    for request in 8..24 {
        send(&client, &engine, request).await;
        until_taken(&client, &engine, (request + 1) * 1_000).await;
    }
    assert!(engine.stop().success());
    let mut engine = begin(&SNAPSHOTS_OFTEN);
    engine.ready(&client).await;
    assert_eq!(events_of_twins(&client, &engine).await, 24_000);
    assert!(engine.stop().success());
    let (starts, bytes) = inbox(&data);
    assert!(starts.iter().all(|start| *start > 0), "{starts:?}");
    assert!(bytes <= 4 * LIMIT, "{bytes}");
}
