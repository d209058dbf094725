//! `kill -9` of the real process under load, and an offline checker: nothing lost, nothing twice, state equal to a fold.
//! 20 rounds here; `KILL_ROUNDS=200` by hand.

use std::time::Duration;

use tidegate_tests::load::{Load, PAUSE, finish, submit};
use tidegate_tests::process::{Process, client};
use tidegate_tests::random::Random;

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
    let mut load = Load::default();
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
        load.note(good, numbers);
        engine = Process::start(folder.path(), &settings);
        restarts.push(engine.ready(&client).await);
    }
    println!("{rounds} rounds, restart to ready: {}", shares(restarts));
    let verdict = finish(&client, engine, folder.path(), &load).await;
    println!("{verdict:?}");
    assert!(verdict.holds(), "{verdict:?}");
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
