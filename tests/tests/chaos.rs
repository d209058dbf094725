//! Three workers on a real Kafka under load, while workers are killed, stopped, frozen and started, and the broker is killed:
//! nothing lost, nothing twice but under the same id, every device in order, twins equal to a fold; with transactional delivery
//! nothing twice at all for a client that reads what is committed.
//!
//! Frozen workers stand where it hurts most, by the program's fail points: before an epoch is journalled, between its journal
//! record and its outputs, between the outputs and the word of them, between adding offsets to a transaction and its end. They
//! sleep longer than their session, so their shards have new owners when they wake.
//!
//! 12 rounds of each delivery here. By hand `CHAOS_ROUNDS=200`, `CHAOS_DELIVERY` for one of them, `CHAOS_STANDBYS=1` or `0` for
//! every worker (by chance otherwise), `CHAOS_FROZEN=15` for zombies of so many seconds, `CHAOS_SEED`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate::fail_points::{self, FailPoint};
use tidegate_tests::broker::{Broker, Load};
use tidegate_tests::checker::{Sent, check};
use tidegate_tests::group::{ECHO, Group, event, eventually, once, submit};
use tidegate_tests::process::Process;
use tidegate_tests::random::Random;

const DEVICES: i64 = 20;
const RATE: u64 = 2_000;
const SHARDS: usize = 4;
/// More than this a worker must never hold.
const MEMORY: u64 = 1 << 30;

/// What is done to them, and how often.
#[derive(Debug, Default)]
struct Done {
    kills: u32,
    stops: u32,
    /// By the place where a worker stood.
    frozen: BTreeMap<&'static str, u32>,
    broker_kills: u32,
    starts: u32,
    /// Takeovers that workers told of, and those of them that a standby made.
    takeovers: BTreeMap<(u64, i64), bool>,
    most_memory: u64,
}

impl Done {
    fn say(&self) -> String {
        let warm = self.takeovers.values().filter(|warm| **warm).count();
        format!(
            "{} kills, {} stops, frozen {:?}, {} broker kills, {} starts, {} takeovers seen ({warm} warm), most memory {} MiB",
            self.kills,
            self.stops,
            self.frozen,
            self.broker_kills,
            self.starts,
            self.takeovers.len(),
            self.most_memory >> 20
        )
    }
}

/// Three places for workers.
struct Crew<'a> {
    group: &'a Group<'a>,
    workers: [Option<Process>; 3],
    random: Random,
    /// Folder of the fail points.
    points: &'a Path,
    /// Where the next ones are frozen; `None`: wherever they are.
    places: Vec<Option<FailPoint>>,
    next_place: usize,
    done: Done,
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

impl Crew<'_> {
    fn name(place: usize) -> &'static str {
        ["a", "b", "c"][place]
    }

    /// Whoever is not there is started.
    fn fill(&mut self) {
        for place in 0..3 {
            if self.workers[place].is_none() {
                let chance = self.random.below(2);
                let standbys = setting::<u64>("CHAOS_STANDBYS").unwrap_or(chance);
                let more = [("TIDEGATE_KAFKA__STANDBYS", standbys.to_string())];
                self.workers[place] = Some(self.group.begin_with(Self::name(place), &more));
                self.done.starts += 1;
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
                self.is_up(&worker).await;
                let status = worker.stop();
                assert!(status.success(), "a worker that is told to stop: {status}");
            }
            2 => self.freeze().await,
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
        tokio::time::sleep(Duration::from_millis(500 + self.random.below(2_500))).await;
        self.look().await;
    }

    /// Who does not hear signals yet would be killed by one.
    async fn is_up(&self, worker: &Process) {
        let url = format!("{}/healthz", worker.url);
        eventually("a door", async || {
            let answer = self.group.client.get(&url).send().await.ok()?;
            answer.status().is_success().then_some(())
        })
        .await;
    }

    /// Two of the three, at places that come in turn; then both go on.
    async fn freeze(&mut self) {
        let mut frozen = BTreeSet::new();
        for _ in 0..2 {
            let at = self.places[self.next_place % self.places.len()];
            self.next_place += 1;
            let who = match at.filter(|_| fail_points::are_built_in()) {
                Some(point) => self.freeze_at(point, &frozen).await,
                None => {
                    let first = self.random.below(3) as usize;
                    let who = (first..first + 3).map(|place| place % 3);
                    let who = who.into_iter().find(|who| !frozen.contains(who)).unwrap();
                    self.workers[who].as_ref().unwrap().freeze();
                    who
                }
            };
            frozen.insert(who);
            let where_to = at.map_or("anywhere", FailPoint::name);
            *self.done.frozen.entry(where_to).or_default() += 1;
        }
        // Longer than the session: their shards have new owners when they wake.
        let least = setting::<u64>("CHAOS_FROZEN").unwrap_or(4) * 1_000;
        tokio::time::sleep(Duration::from_millis(least + self.random.below(2_000))).await;
        for who in frozen {
            self.workers[who].as_ref().unwrap().thaw();
        }
    }

    /// Whoever comes by first stands still there; answers with who that is.
    async fn freeze_at(&self, point: FailPoint, frozen: &BTreeSet<usize>) -> usize {
        let armed = self.points.join(point.name());
        std::fs::write(&armed, "").unwrap();
        eventually(&format!("a worker at `{}`", point.name()), async || {
            (!armed.exists()).then_some(())
        })
        .await;
        eventually("a worker that stands still", async || {
            (0..3).find(|who| {
                let worker = self.workers[*who].as_ref().unwrap();
                !frozen.contains(who) && worker.is_frozen()
            })
        })
        .await
    }

    async fn look(&mut self) {
        for worker in self.workers.iter().flatten() {
            self.done.most_memory = self.done.most_memory.max(worker.memory());
        }
        let all = self.group.workers(self.workers[0].as_ref().unwrap()).await;
        for shard in all.iter().filter_map(|w| w["shards"].as_array()).flatten() {
            let warm = shard["takeover"]["warm"].as_bool();
            let name = (shard["shard"].as_u64(), shard["generation"].as_i64());
            if let ((Some(shard), Some(generation)), Some(warm)) = (name, warm) {
                self.done.takeovers.insert((shard, generation), warm);
            }
        }
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
    let rounds: u32 = setting("CHAOS_ROUNDS").unwrap_or(12);
    let in_transactions = delivery == "transactional";
    let name = ["chaos", "chaos-once"][usize::from(in_transactions)];
    let points = tempfile::tempdir().unwrap();
    let group = Group::delivering(broker, name, delivery)
        .with(fail_points::VARIABLE, &points.path().display().to_string());
    let first = group.start("a").await;
    submit(&first, ECHO).await;
    let mut crew = Crew {
        group: &group,
        workers: [Some(first), None, None],
        random: Random::new(setting("CHAOS_SEED").unwrap_or(20_261_121)),
        points: points.path(),
        places: places(in_transactions),
        next_place: 0,
        done: Done::default(),
    };
    crew.fill();
    let load: Load = broker.load(&group.topic("inbox"), RATE);
    for number in 0..rounds {
        crew.round(number).await;
    }
    let next = load.finish();
    judge(crew, next, rounds, in_transactions).await;
}

/// What came of all events before a number, at the end.
async fn judge(crew: Crew<'_>, next: i64, rounds: u32, in_transactions: bool) {
    let group = crew.group;
    let delivery = ["identified", "transactional"][usize::from(in_transactions)];
    let settled = Instant::now();
    let closing: Vec<_> = (0..DEVICES)
        .map(|device| event(&format!("d{device}"), 1_000_000_000))
        .collect();
    group.broker.produce(&group.topic("inbox"), &closing);
    let wanted = usize::try_from(next - 1).unwrap();
    eventually("all that came is taken", async || {
        let worker = crew.workers[0].as_ref().unwrap();
        caught_up(&group.workers(worker).await, &crew.workers)
    })
    .await;
    let settled = settled.elapsed();
    let (lines, repeated) = eventually("a line of every event", async || {
        let (lines, repeated) = once(&group.results());
        tokio::time::sleep(Duration::from_millis(500)).await;
        (lines.len() >= wanted).then_some((lines, repeated))
    })
    .await;
    println!(
        "{delivery}: {rounds} rounds: {}; {wanted} events, {repeated} lines twice under one id, caught up {settled:?} after the last fault",
        crew.done.say()
    );
    assert!(
        !in_transactions || repeated == 0,
        "twice although committed once"
    );
    let twins = twins(&crew).await;
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let verdict = check(&sent(next), "echo", &lines, &twins);
    println!("{verdict:?}");
    assert!(verdict.holds(), "{verdict:?}");
    assert!(crew.done.most_memory < MEMORY, "{:?}", crew.done);
    if rounds >= 12 && fail_points::are_built_in() {
        let frozen = &crew.done.frozen;
        let missed = crew.places.iter().flatten();
        let missed: Vec<_> = missed
            .filter(|at| !frozen.contains_key(at.name()))
            .collect();
        assert!(missed.is_empty(), "nobody was frozen at {missed:?}");
    }
    for mut worker in crew.workers.into_iter().flatten() {
        // Nobody has to be started again by hand.
        worker.ready(&group.client).await;
        assert!(worker.stop().success());
    }
}

/// Where workers are frozen, in turn: in a short run all that matter.
fn places(in_transactions: bool) -> Vec<Option<FailPoint>> {
    use FailPoint::{Journal, Journalled, Offsets, Published};
    if in_transactions {
        vec![
            Some(Offsets),
            Some(Journalled),
            Some(Journal),
            Some(Published),
            None,
        ]
    } else {
        vec![Some(Journalled), Some(Published), Some(Journal), None]
    }
}

/// Whether every shard runs at a worker that is there, and has nothing before it.
fn caught_up(told: &[Value], workers: &[Option<Process>]) -> Option<()> {
    let is_there = |told: &&Value| {
        let mut there = workers.iter().flatten();
        there.any(|worker| told["address"] == worker.url)
    };
    let mut shards = BTreeSet::new();
    for worker in told.iter().filter(is_there) {
        for shard in worker["shards"].as_array()? {
            if shard["phase"] == "Ready" && shard["lag"] == 0 {
                shards.insert(shard["shard"].as_u64()?);
            }
        }
    }
    (shards.len() == SHARDS).then_some(())
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
