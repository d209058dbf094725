//! A full disk under the running program: it says so, stays up, and loses nothing that it acknowledged. `tests/faults/run`
//! mounts the small disk and runs this.

use std::io::Write as _;
use std::path::Path;

use tidegate_tests::load::{Load, finish, submit};
use tidegate_tests::process::{Process, client};

/// Writes until nothing fits any more.
fn fill(ballast: &Path) {
    let mut file = std::fs::File::create(ballast).unwrap();
    let chunk = vec![1; 1 << 16];
    while file.write_all(&chunk).is_ok() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a small disk: tests/faults/run"]
async fn a_full_disk_is_told_and_loses_nothing() {
    let disk = std::env::var("LOG_SMALL_DISK").expect("LOG_SMALL_DISK: run tests/faults/run");
    let disk = tempfile::tempdir_in(disk).unwrap();
    let (data, ballast) = (disk.path().join("data"), disk.path().join("ballast"));
    let settings = [("TIDEGATE_SHARD__SNAPSHOT_EPOCHS", "20")];
    let client = client();
    let mut load = Load::default();
    let mut engine = Process::start(&data, &settings);
    engine.ready(&client).await;
    submit(&client, &engine.url).await;
    for round in 0..5 {
        for _ in 0..20 {
            assert!(load.post(&client, &engine.url).await, "round {round}");
        }
        fill(&ballast);
        let mut sent = 0;
        while load.post(&client, &engine.url).await {
            sent += 1;
            assert!(sent < 100_000, "the disk is never full");
        }
        // It is up, and says what it cannot do and why.
        let (body, numbers) = load.body();
        let refused = client.post(format!("{}/v1/events", engine.url));
        let refused = refused
            .header("content-type", "application/x-ndjson")
            .body(body);
        let refused = refused.send().await.unwrap();
        load.note(false, numbers);
        let (status, told) = (refused.status(), refused.text().await.unwrap());
        assert!(status.is_server_error(), "{status}: {told}");
        assert!(
            told.contains("space") || told.contains("full"),
            "{status}: {told}"
        );
        let alive = client.get(format!("{}/healthz", engine.url)).send().await;
        assert!(alive.unwrap().status().is_success());
        println!("round {round}: full after {sent} further requests: {status}: {told}");
        engine.kill();
        std::fs::remove_file(&ballast).unwrap();
        engine = Process::start(&data, &settings);
        engine.ready(&client).await;
    }
    let verdict = finish(&client, engine, &data, &load).await;
    println!("{verdict:?}");
    assert!(verdict.holds(), "{verdict:?}");
}
