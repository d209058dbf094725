//! Three workers on a real Kafka under load, while workers are killed, stopped, frozen and started, and the broker is killed:
//! nothing lost, nothing twice but under the same id, twins equal to a fold; with transactional delivery nothing twice at all
//! for a client that reads what is committed. 12 rounds of each here; `CHAOS_ROUNDS=200` by hand, `CHAOS_DELIVERY` for one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_tests::broker::{Broker, Load};
use tidegate_tests::checker::{Sent, check};
use tidegate_tests::group::{ECHO, Group, event, eventually, once, submit};
use tidegate_tests::process::Process;
use tidegate_tests::random::Random;

const DEVICES: i64 = 20;
const RATE: u64 = 2_000;
/// More than this a worker must never hold.
const MEMORY: u64 = 1 << 30;

/// What is done to them, and how often.
#[derive(Debug, Default)]
struct Done {
    kills: u32,
    stops: u32,
    frozen: u32,
    broker_kills: u32,
    most_memory: u64,
}

/// Three places for workers.
struct Crew<'a> {
    group: &'a Group<'a>,
    workers: [Option<Process>; 3],
    random: Random,
    done: Done,
}

impl Crew<'_> {
    fn name(place: usize) -> &'static str {
        ["a", "b", "c"][place]
    }

    /// Whoever is not there is started.
    fn fill(&mut self) {
        for place in 0..3 {
            if self.workers[place].is_none() {
                self.workers[place] = Some(self.group.begin(Self::name(place)));
            }
        }
    }

    async fn round(&mut self, number: u32) {
        let place = self.random.below(3) as usize;
        // Every kind comes early, so that a short run has all of them.
        match number % 6 {
            0 | 3 => {
                self.done.kills += 1;
                self.workers[place].take().unwrap().kill();
            }
            1 => {
                self.done.stops += 1;
                let worker = self.workers[place].take().unwrap();
                assert!(
                    worker.stop().success(),
                    "a worker that is told to stop ends well"
                );
            }
            2 => {
                self.done.frozen += 1;
                let worker = self.workers[place].as_ref().unwrap();
                worker.freeze();
                // Longer than the session: its shards have new owners when it wakes.
                tokio::time::sleep(Duration::from_millis(4_000 + self.random.below(2_000))).await;
                worker.thaw();
            }
            4 => {
                self.done.kills += 2;
                for place in [place, (place + 1) % 3] {
                    self.workers[place].take().unwrap().kill();
                }
            }
            _ => {
                self.done.broker_kills += 1;
                self.group.broker.kill();
                tokio::time::sleep(Duration::from_millis(self.random.below(3_000))).await;
                self.group.broker.up();
            }
        }
        tokio::time::sleep(Duration::from_millis(self.random.below(2_000))).await;
        self.fill();
        for worker in self.workers.iter().flatten() {
            self.done.most_memory = self.done.most_memory.max(worker.memory());
        }
        tokio::time::sleep(Duration::from_millis(500 + self.random.below(2_500))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_and_nothing_is_twice_but_under_its_id() {
    let only = std::env::var("CHAOS_DELIVERY").ok();
    let Some(broker) = Broker::at_hand() else {
        return;
    };
    for delivery in ["identified", "transactional"] {
        if only.as_ref().is_none_or(|only| only == delivery) {
            chaos(&broker, delivery).await;
        }
    }
}

async fn chaos(broker: &Broker, delivery: &'static str) {
    let rounds: u32 = std::env::var("CHAOS_ROUNDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(12);
    let name = ["chaos", "chaos-once"][usize::from(delivery == "transactional")];
    let group = Group::delivering(broker, name, delivery);
    let first = group.start("a").await;
    submit(&first, ECHO).await;
    let mut crew = Crew {
        group: &group,
        workers: [Some(first), None, None],
        random: Random::new(20_261_121),
        done: Done::default(),
    };
    crew.fill();
    let load: Load = broker.load(&group.topic("inbox"), RATE);
    for number in 0..rounds {
        crew.round(number).await;
    }
    let next = load.finish();
    let settled = Instant::now();
    let closing: Vec<_> = (0..DEVICES)
        .map(|device| event(&format!("d{device}"), 1_000_000_000))
        .collect();
    broker.produce(&group.topic("inbox"), &closing);
    let wanted = usize::try_from(next - 1).unwrap();
    let (lines, repeated) = eventually("a line of every event", async || {
        let (lines, repeated) = once(&group.results());
        tokio::time::sleep(Duration::from_millis(500)).await;
        (lines.len() >= wanted).then_some((lines, repeated))
    })
    .await;
    println!(
        "{delivery}: {:?}; {wanted} events, {repeated} lines twice under one id, settled after {:?}",
        crew.done,
        settled.elapsed()
    );
    assert!(
        delivery == "identified" || repeated == 0,
        "twice although committed once"
    );
    let twins = twins(&crew).await;
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let verdict = check(&sent(next), "echo", &lines, &twins);
    println!("{verdict:?}");
    assert!(verdict.holds(), "{verdict:?}");
    assert!(crew.done.most_memory < MEMORY, "{:?}", crew.done);
    for worker in crew.workers.into_iter().flatten() {
        assert!(worker.stop().success());
    }
}

fn sent(next: i64) -> Sent {
    let mut sent = Sent::default();
    for number in 1..next {
        let device = format!("d{}", number % DEVICES);
        let numbers: &mut BTreeSet<u64> = sent.acknowledged.entry(device).or_default();
        numbers.insert(number.unsigned_abs());
    }
    sent
}

/// All twins, once the closing events are in them.
async fn twins(crew: &Crew<'_>) -> Vec<Value> {
    let worker = crew.workers[0].as_ref().unwrap();
    let url = format!("{}/v1/resources", worker.url);
    eventually("all twins", async || {
        let answer = crew.group.client.get(&url).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        let items = body["items"].as_array()?.clone();
        let closed = |twin: &Value| twin["metrics"]["n"]["value"].as_f64() == Some(1e9);
        (items.len() as i64 == DEVICES && items.iter().all(closed)).then_some(items)
    })
    .await
}
