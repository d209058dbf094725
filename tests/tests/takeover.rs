//! How long shards pause when workers come and go, seen by a plain reader of the results: run by hand, because the figures
//! are worth what the machine is worth.
//!
//! `cargo build --release -p tidegate -p tidegate-tests && TAKEOVER_RESOURCES=1000000 cargo test --release -p tidegate-tests
//! --test takeover -- --ignored --nocapture`; `TAKEOVER_DELIVERY=transactional`, `TAKEOVER_SESSION=6s` (3s at least
//! unless the broker allows less), `TAKEOVER_RUNS=5` (each is a leave, a join, a kill, a join).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_proto::time::Span;
use tidegate_tests::broker::Broker;
use tidegate_tests::group::{ECHO, Group, eventually, submit};
use tidegate_tests::probe::Probe;
use tidegate_tests::process::Process;

const SHARDS: u32 = 4;

fn setting(name: &str, otherwise: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| otherwise.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "gives figures, by hand"]
async fn pauses_of_shards() {
    let Some(broker) = Broker::at_hand() else {
        return;
    };
    let resources: usize = setting("TAKEOVER_RESOURCES", "10000").parse().unwrap();
    let session = setting("TAKEOVER_SESSION", "3s");
    let delivery: &'static str = setting("TAKEOVER_DELIVERY", "identified").leak();
    println!("{resources} resources, session timeout {session}, delivery {delivery}");
    println!(
        "| standbys | what | took over (from the deed) | beyond the session timeout | of it in the engine | replayed | stayed: longest gap |"
    );
    println!("|---|---|---|---|---|---|---|");
    for standbys in ["0", "1"] {
        let name: &'static str = format!("takeover-{standbys}").leak();
        let group = Group::delivering(&broker, name, delivery)
            .with("TIDEGATE_KAFKA__SESSION_TIMEOUT", &session)
            .with("TIDEGATE_SHARD__SNAPSHOT_EPOCHS", "2000")
            .with("TIDEGATE_KAFKA__STANDBYS", standbys);
        let session = session.parse::<Span>().unwrap();
        let session = Duration::from_millis(session.0.unsigned_abs());
        let mut measured = Measured {
            group: &group,
            standbys,
            session,
            probe: None,
        };
        measured.run(resources).await;
    }
}

struct Measured<'a> {
    group: &'a Group<'a>,
    standbys: &'a str,
    session: Duration,
    probe: Option<Probe>,
}

impl Measured<'_> {
    async fn run(&mut self, resources: usize) {
        let stays = self.group.start("a").await;
        submit(&stays, ECHO).await;
        self.preload(&stays, resources).await;
        let (inbox, results) = (self.group.topic("inbox"), self.group.topic("results"));
        let broker = self.group.broker.address();
        self.probe = Some(Probe::start(&broker, &inbox, &results, SHARDS));
        let runs: u32 = setting("TAKEOVER_RUNS", "1").parse().unwrap();
        for _ in 0..runs {
            let goes = self.join(&stays).await;
            let began = Instant::now();
            let ended = tokio::task::spawn_blocking(move || goes.stop());
            self.measure("clean leave", &stays, began, Duration::ZERO)
                .await;
            assert!(ended.await.unwrap().success());
            let goes = self.join(&stays).await;
            let began = Instant::now();
            goes.kill();
            self.measure("kill -9", &stays, began, self.session).await;
        }
        self.probe = None;
        assert!(stays.stop().success());
    }

    /// Every resource has a twin and a task with a row.
    async fn preload(&self, worker: &Process, resources: usize) {
        let all: Vec<usize> = (0..resources).collect();
        for part in all.chunks(50_000) {
            let events: Vec<_> = part
                .iter()
                .map(|number| {
                    let id = format!("r{number}");
                    let event = json!({ "resource": id, "time": 1_000, "values": { "n": 1.0 } });
                    (id, event.to_string())
                })
                .collect();
            self.group
                .broker
                .produce(&self.group.topic("inbox"), &events);
        }
        let url = format!("{}/v1/shards", worker.url);
        // As long as it takes: a debug build takes its time.
        let began = Instant::now();
        loop {
            let answer = self.group.client.get(&url).send().await.unwrap();
            let shards: Value = answer.json().await.unwrap_or_default();
            let known = shards["items"].as_array().into_iter().flatten();
            let known: u64 = known.filter_map(|shard| shard["resources"].as_u64()).sum();
            if known >= resources as u64 {
                return;
            }
            assert!(
                began.elapsed() < Duration::from_secs(1_800),
                "{known} of {resources}"
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// A second worker comes, gets half of the shards, and is ready to go again.
    async fn join(&self, stays: &Process) -> Process {
        let began = Instant::now();
        let comes = self.group.begin("b");
        eventually("the shards are shared", async || {
            let shares = self.group.shares(stays).await;
            (shares.len() == 2 && shares.iter().sum::<usize>() == SHARDS as usize).then_some(())
        })
        .await;
        self.settled().await;
        let moved = shards_of(&self.group.workers(stays).await, &comes.url);
        self.print(
            "join",
            &moved.keys().copied().collect(),
            &moved,
            began,
            Duration::ZERO,
        );
        if self.standbys != "0" {
            eventually("all is followed", async || {
                let all = self.group.workers(stays).await;
                let standbys = all
                    .iter()
                    .flat_map(|worker| worker["standbys"].as_array().cloned().unwrap_or_default());
                let near = |standby: &Value| {
                    let behind = standby["behind"].as_u64().unwrap_or(u64::MAX);
                    standby["epoch"] != 0 && behind < 200
                };
                let shards: BTreeSet<u64> = standbys
                    .filter(near)
                    .filter_map(|standby| standby["shard"].as_u64())
                    .collect();
                (shards.len() == SHARDS as usize).then_some(())
            })
            .await;
        }
        comes
    }

    async fn settled(&self) {
        let probe = self.probe.as_ref().unwrap();
        eventually("every shard goes on", async || {
            probe.is_flowing().then_some(())
        })
        .await;
        // A second rebalance follows the first at once.
        tokio::time::sleep(Duration::from_secs(2)).await;
        eventually("every shard goes on", async || {
            probe.is_flowing().then_some(())
        })
        .await;
    }

    /// What the other one leaves is taken over by who stays.
    async fn measure(&self, what: &str, stays: &Process, began: Instant, session: Duration) {
        let before: BTreeSet<u64> = shards_of(&self.group.workers(stays).await, &stays.url)
            .into_keys()
            .collect();
        let now = eventually("all shards are taken over", async || {
            let now = shards_of(&self.group.workers(stays).await, &stays.url);
            let ready = now.values().filter(|shard| shard["phase"] == "Ready");
            (ready.count() == SHARDS as usize).then_some(now)
        })
        .await;
        self.settled().await;
        let moved = now.keys().filter(|shard| !before.contains(shard));
        self.print(what, &moved.copied().collect(), &now, began, session);
    }

    fn print(
        &self,
        what: &str,
        moved: &BTreeSet<u64>,
        shards: &BTreeMap<u64, Value>,
        began: Instant,
        session: Duration,
    ) {
        let gaps = self.probe.as_ref().unwrap().gaps(began);
        let longest = |all: &dyn Fn(u64) -> bool| {
            let some = gaps.iter().filter(|(shard, _)| all(**shard));
            some.map(|(_, gap)| *gap).max().unwrap_or_default()
        };
        let took = longest(&|shard| moved.contains(&shard));
        let stayed = longest(&|shard| !moved.contains(&shard));
        let takeovers = shards.iter().filter(|(shard, _)| moved.contains(shard));
        let takeovers: Vec<&Value> = takeovers.map(|(_, shard)| &shard["takeover"]).collect();
        let most = |name: &str| takeovers.iter().filter_map(|one| one[name].as_u64()).max();
        let warm = takeovers.iter().filter(|one| one["warm"] == true).count();
        println!(
            "| {} | {what} of {} shards | {took:.1?} | {:.1?} | {} ms | {} records, {warm} warm | {stayed:.1?} |",
            self.standbys,
            moved.len(),
            took.saturating_sub(session),
            most("millis").unwrap_or(0),
            most("records").unwrap_or(0),
        );
    }
}

/// The shards of a worker by their number.
fn shards_of(all: &[Value], url: &str) -> BTreeMap<u64, Value> {
    let worker = all.iter().find(|worker| worker["address"] == url);
    let shards = worker.and_then(|worker| worker["shards"].as_array());
    let numbered = shards.into_iter().flatten().cloned();
    numbered
        .filter_map(|shard| Some((shard["shard"].as_u64()?, shard)))
        .collect()
}
