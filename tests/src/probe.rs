//! [`Probe`]: a steady trickle of events into every shard and a plain reader of their lines, so that a pause of a shard is
//! seen from outside, as long as it is.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use tidegate_proto::record::partition_of;

use crate::group::event;

/// Between two events of one shard.
pub const BEAT: Duration = Duration::from_millis(10);
/// A shard whose lines are no older than this goes on.
const FRESH: Duration = Duration::from_millis(500);

type Arrivals = Arc<Mutex<BTreeMap<i32, Vec<Instant>>>>;

/// A trickle that runs, and what came of it.
#[derive(Debug)]
pub struct Probe {
    partitions: u32,
    arrivals: Arrivals,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Probe {
    /// Starts it: one event per shard and [`BEAT`], for a rule that makes a line of each (`group::ECHO`).
    ///
    /// # Panics
    /// When the broker does not answer.
    pub fn start(broker: &str, inbox: &str, results: &str, partitions: u32) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", broker);
        let (stop, arrivals) = (Arc::new(AtomicBool::new(false)), Arrivals::default());
        let consumer = consumer(&config, results, partitions);
        let (stopping, noted) = (Arc::clone(&stop), Arc::clone(&arrivals));
        let watching = std::thread::spawn(move || watch(&consumer, &noted, &stopping));
        let producer: BaseProducer = config
            .set("partitioner", "murmur2_random")
            .set("linger.ms", "0")
            .create()
            .expect("a producer can be made");
        let (stopping, inbox) = (Arc::clone(&stop), inbox.to_owned());
        let keys = keys(partitions);
        let feeding = std::thread::spawn(move || feed(&producer, &inbox, &keys, &stopping));
        Self {
            partitions,
            arrivals,
            stop,
            threads: vec![watching, feeding],
        }
    }

    /// Whether every shard goes on.
    pub fn is_flowing(&self) -> bool {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = arrivals
            .values()
            .filter(|times| times.last().is_some_and(|last| last.elapsed() < FRESH));
        fresh.count() == self.partitions as usize
    }

    /// The longest time without a line since a moment, by shard.
    pub fn gaps(&self, since: Instant) -> BTreeMap<u64, Duration> {
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let gap = |times: &Vec<Instant>| {
            let after = times.iter().copied().filter(|at| *at >= since);
            let (mut longest, mut last) = (Duration::ZERO, since);
            for at in after.chain([Instant::now()]) {
                longest = longest.max(at - last);
                last = at;
            }
            longest
        };
        let gaps = arrivals.iter();
        gaps.filter_map(|(shard, times)| Some((u64::try_from(*shard).ok()?, gap(times))))
            .collect()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        for thread in self.threads.drain(..) {
            // A thread that broke has said so.
            let _ = thread.join();
        }
    }
}

/// A key for every partition.
fn keys(partitions: u32) -> Vec<String> {
    let key = |wanted: u32| {
        let mut keys = (0_u32..).map(|number| format!("probe-{number}"));
        keys.find(|key| partition_of(key.as_bytes(), partitions) == wanted)
    };
    (0..partitions).filter_map(key).collect()
}

fn feed(producer: &BaseProducer, inbox: &str, keys: &[String], stop: &AtomicBool) {
    let mut number = 1;
    while !stop.load(Ordering::Acquire) {
        for key in keys {
            let (key, body) = event(key, number);
            // A queue that is full loses a beat of a broker that does not answer anyway.
            let _ = producer.send(BaseRecord::to(inbox).key(&key).payload(&body));
        }
        number += 1;
        producer.poll(BEAT);
    }
    let _ = producer.flush(Duration::from_secs(5));
}

fn consumer(config: &ClientConfig, results: &str, partitions: u32) -> BaseConsumer {
    let consumer: BaseConsumer = config
        .clone()
        .set("group.id", "probe")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "5")
        .create()
        .expect("a consumer can be made");
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).unwrap_or(0) {
        list.add_partition_offset(results, partition, Offset::End)
            .expect("a partition can be read");
    }
    consumer.assign(&list).expect("partitions can be assigned");
    consumer
}

fn watch(consumer: &BaseConsumer, arrivals: &Arrivals, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(5)) else {
            continue;
        };
        let is_ours = message.key().is_some_and(|key| key.starts_with(b"probe-"));
        if is_ours {
            let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
            let times = arrivals.entry(message.partition()).or_default();
            times.push(Instant::now());
        }
    }
}
