//! A broker that is away for minutes, while a producer waits, clients knock at the doors, and two groups of two workers run,
//! one of each delivery: nothing is lost, nothing is twice, memory and files grow nothing that matters, and everybody goes on
//! by themselves when it is back. A quarter of a minute here; `OUTAGE_MINUTES=10` by hand, with `--nocapture` for the figures.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tidegate_tests::broker::{Broker, Load};
use tidegate_tests::checker::{Sent, check};
use tidegate_tests::group::{ECHO, Group, event, eventually, once, submit};
use tidegate_tests::process::Process;

const DEVICES: i64 = 20;
/// Events a second from the producer.
const RATE: u64 = 500;
/// Events of one request at a door.
const BATCH: i64 = 10;
/// How long a client waits at a door.
const KNOCKS: Duration = Duration::from_secs(4);
/// Lines before the broker goes away.
const WARM: usize = 3_000;
/// What a worker's memory may grow by while the broker is away: its queues hold 2,000 small records.
const MEMORY: u64 = 64 << 20;
/// What a worker holds when it has caught up.
const MOST: u64 = 512 << 20;
/// What all files of a group may grow by: data folders, snapshots.
const FILES: u64 = 1 << 20;
/// What a worker may say of it, at first and in each minute.
const SAID: (u64, u64) = (64 << 10, 64 << 10);
/// Sockets that may be on their way to a broker that is not there.
const DESCRIPTORS: usize = 32;
/// Longest time until everything is there when the broker is back.
const SETTLES: Duration = Duration::from_secs(60);

/// What one worker uses.
#[derive(Clone, Copy, Debug, Default)]
struct Used {
    memory: u64,
    descriptors: usize,
    said: u64,
}

impl Used {
    fn most(self, other: Self) -> Self {
        Self {
            memory: self.memory.max(other.memory),
            descriptors: self.descriptors.max(other.descriptors),
            said: self.said.max(other.said),
        }
    }
}

/// A group with its workers, and those who send to it.
struct Place<'a> {
    delivery: &'static str,
    group: Group<'a>,
    workers: Vec<Process>,
    /// Where each worker's log lines go.
    logs: tempfile::TempDir,
    load: Load,
    door: Door,
}

/// A client of a door that sends one batch behind the other; what was not answered with success is in doubt.
struct Door {
    stop: Arc<AtomicBool>,
    sending: tokio::task::JoinHandle<(Sent, i64)>,
}

impl Door {
    fn open(client: reqwest::Client, url: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopping, url) = (Arc::clone(&stop), format!("{url}/v1/events"));
        let sending = tokio::spawn(async move {
            let (mut sent, mut next) = (Sent::default(), 1);
            while !stopping.load(Ordering::Acquire) {
                let numbers = next..next + BATCH;
                next += BATCH;
                let device = |number: i64| format!("h{}", number % DEVICES);
                let lines = numbers.clone().map(|n| event(&device(n), n).1);
                let request = client
                    .post(&url)
                    .timeout(KNOCKS)
                    .header("content-type", "application/x-ndjson")
                    .body(lines.collect::<Vec<_>>().join("\n"));
                let answer = request.send().await;
                let good = answer.is_ok_and(|answer| answer.status().is_success());
                let into = if good {
                    &mut sent.acknowledged
                } else {
                    &mut sent.doubtful
                };
                for number in numbers {
                    let known: &mut BTreeSet<u64> = into.entry(device(number)).or_default();
                    known.insert(number.unsigned_abs());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            (sent, next)
        });
        Self { stop, sending }
    }

    async fn close(self) -> Sent {
        self.stop.store(true, Ordering::Release);
        self.sending.await.unwrap().0
    }
}

/// Bytes of all files below a folder; what goes away meanwhile counts nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

impl<'a> Place<'a> {
    async fn open(broker: &'a Broker, delivery: &'static str) -> Self {
        let name = ["away", "away-once"][usize::from(delivery == "transactional")];
        let group =
            Group::delivering(broker, name, delivery).with("TIDEGATE_LOG__QUEUE_RECORDS", "2000");
        let logs = tempfile::tempdir().unwrap();
        let begin = |worker: &str| {
            let says = File::create(logs.path().join(worker)).unwrap();
            group.begin_saying(worker, &[], Stdio::from(says))
        };
        let mut workers = vec![begin("0")];
        workers[0].ready(&group.client).await;
        submit(&workers[0], ECHO).await;
        workers.push(begin("1"));
        workers[1].ready(&group.client).await;
        let load = broker.load(&group.topic("inbox"), RATE);
        let door = Door::open(group.client.clone(), &workers[0].url);
        eventually("lines before the broker goes", async || {
            (group.results().len() >= WARM).then_some(())
        })
        .await;
        Self {
            delivery,
            group,
            workers,
            logs,
            load,
            door,
        }
    }

    fn used(&self) -> Vec<Used> {
        let used = self.workers.iter().enumerate().map(|(number, worker)| {
            let log = self.logs.path().join(number.to_string());
            Used {
                memory: worker.memory(),
                descriptors: worker.descriptors(),
                said: log.metadata().map_or(0, |metadata| metadata.len()),
            }
        });
        used.collect()
    }

    fn files(&self) -> u64 {
        bytes_below(self.group.folder())
    }

    /// What was sent, when all senders have ended.
    async fn sent(load: Load, door: Door) -> Sent {
        let loaded = tokio::task::spawn_blocking(move || load.finish());
        let mut sent = door.close().await;
        for number in 1..loaded.await.unwrap() {
            let device = format!("d{}", number % DEVICES);
            let numbers = sent.acknowledged.entry(device).or_default();
            numbers.insert(number.unsigned_abs());
        }
        sent
    }

    /// Closes every window and looks at all that was said.
    async fn finish(self) -> Finished {
        let Self {
            delivery,
            group,
            mut workers,
            logs,
            load,
            door,
        } = self;
        let back = Instant::now();
        let sent = Self::sent(load, door).await;
        let devices = (0..DEVICES).flat_map(|n| [format!("d{n}"), format!("h{n}")]);
        let closing: Vec<_> = devices
            .map(|device| event(&device, 1_000_000_000))
            .collect();
        let count = closing.len();
        group.broker.produce(&group.topic("inbox"), &closing);
        let (mut verdict, mut repeated) = eventually("a line of every event", async || {
            let (lines, repeated) = once(&group.results());
            let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
            let twins = twins(&group, &workers[0], count).await?;
            let verdict = check(&sent, "echo", &lines, &twins);
            (verdict.lost == 0).then_some((verdict, repeated))
        })
        .await;
        if delivery == "identified" {
            repeated = 0;
        }
        verdict.repeated += repeated as u64;
        assert!(verdict.holds(), "{delivery}: {verdict:?}");
        let doubtful: usize = sent.doubtful.values().map(BTreeSet::len).sum();
        println!("{delivery}: {verdict:?}, {doubtful} events of doors in doubt");
        let settled = back.elapsed();
        let memory = workers.iter().map(Process::memory).max();
        for worker in &mut workers {
            worker.ready(&group.client).await;
        }
        for worker in workers {
            assert!(worker.stop().success());
        }
        drop(logs);
        Finished {
            settled,
            doubtful,
            memory: memory.unwrap_or_default(),
        }
    }
}

/// How it went on when the broker was back.
#[derive(Clone, Copy, Debug)]
struct Finished {
    /// Time until everything was there.
    settled: Duration,
    /// Events of doors that were not answered.
    doubtful: usize,
    /// Of the larger of the two workers, then.
    memory: u64,
}

/// All twins, once the closing events are in them.
async fn twins(group: &Group<'_>, worker: &Process, count: usize) -> Option<Vec<Value>> {
    let url = format!("{}/v1/resources", worker.url);
    let answer = group.client.get(&url).send().await.ok()?;
    let body: Value = answer.json().await.ok()?;
    let items = body["items"].as_array()?.clone();
    let closed = |twin: &Value| twin["metrics"]["n"]["value"].as_f64() == Some(1e9);
    (items.len() == count && items.iter().all(closed)).then_some(items)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_costs_nothing_but_time() {
    let Some(broker) = Broker::at_hand() else {
        return;
    };
    let minutes = std::env::var("OUTAGE_MINUTES").ok();
    let minutes: f64 = minutes.map_or(0.25, |text| text.parse().unwrap());
    let (identified, transactional) = tokio::join!(
        Place::open(&broker, "identified"),
        Place::open(&broker, "transactional"),
    );
    let places = [identified, transactional];
    broker.kill();
    let before: Vec<_> = places
        .iter()
        .map(|place| (place.used(), place.files()))
        .collect();
    let mut most = before.clone();
    let gone = Instant::now();
    while gone.elapsed().as_secs_f64() < minutes * 60.0 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for (place, (used, files)) in places.iter().zip(&mut most) {
            *files = place.files().max(*files);
            let now = place.used();
            *used = used
                .iter()
                .zip(now)
                .map(|(most, now)| most.most(now))
                .collect();
        }
    }
    broker.up();
    println!("away for {:?}", gone.elapsed());
    for ((place, before), most) in places.into_iter().zip(before).zip(most) {
        let delivery = place.delivery;
        let (grown, said) = growth(&before, &most);
        println!("{delivery}: before {before:?}, most {most:?}, grown {grown:?}");
        let Finished {
            settled,
            doubtful,
            memory,
        } = place.finish().await;
        println!("{delivery}: settled after {settled:?}, with {memory} bytes");
        assert!(doubtful > 0, "nobody waited at a door");
        assert!(memory < MOST, "{delivery}: {memory} bytes after it");
        assert!(
            settled < SETTLES,
            "{delivery}: it took {settled:?} to settle"
        );
        assert!(grown.0.memory < MEMORY, "{delivery}: {grown:?}");
        assert!(grown.0.descriptors < DESCRIPTORS, "{delivery}: {grown:?}");
        assert!(grown.1 < FILES, "{delivery}: {grown:?}");
        let may_say = SAID.0 + (SAID.1 as f64 * minutes) as u64;
        assert!(said < may_say, "{delivery}: {said} bytes of log lines");
    }
}

/// The most that any worker, and the files of all, grew by; and what the one that said most has said.
fn growth(before: &(Vec<Used>, u64), most: &(Vec<Used>, u64)) -> ((Used, u64), u64) {
    let pairs = before.0.iter().zip(&most.0);
    let each = pairs.map(|(before, most)| Used {
        memory: most.memory.saturating_sub(before.memory),
        descriptors: most.descriptors.saturating_sub(before.descriptors),
        said: most.said.saturating_sub(before.said),
    });
    let used = each.fold(Used::default(), Used::most);
    ((used, most.1.saturating_sub(before.1)), used.said)
}
