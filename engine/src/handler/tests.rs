//! The dispatcher against a log in memory: with sinks that follow a script on a clock that is moved by hand, and with
//! real sockets.

mod dispatch;
mod endings;
mod memory;
mod model;
mod receiver;
mod scripted;
mod sockets;

use std::sync::Arc;
use std::time::Duration;

use tidegate_actors::command::Signal;
use tidegate_actors::port::{Clock, EventLog, Sink, TopicPartition};
use tidegate_proto::record::{Offset, Partition, Record};
use tidegate_proto::time::{Span, Timestamp};
use tokio::time::Instant;

use super::settings::{DispatcherSettings, HandlerSettings};
use super::{Dispatcher, DispatcherTopics, GROUP, Handlers};
use memory::MemoryLog;

/// Partitions of every topic.
const PARTITIONS: u32 = 2;
/// Wall time at which every test begins.
const BEGIN: i64 = 1_767_225_600_000;

/// Wall time that goes with the runtime's clock.
struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.0.elapsed().as_millis()).unwrap();
        Timestamp(BEGIN + passed)
    }
}

fn place(topic: &str, partition: Partition) -> TopicPartition {
    TopicPartition {
        topic: Arc::from(topic),
        partition,
    }
}

/// A log, a clock and handlers to start dispatchers from.
struct Bench {
    log: Arc<MemoryLog>,
    clock: Arc<dyn Clock>,
    settings: DispatcherSettings,
    begin: Instant,
}

impl Bench {
    fn new() -> Self {
        let begin = Instant::now();
        Self {
            log: Arc::default(),
            clock: Arc::new(TestClock(begin)),
            settings: DispatcherSettings {
                seed: Some(7),
                ..DispatcherSettings::default()
            },
            begin,
        }
    }

    fn start(&self, handlers: Handlers) -> Dispatcher {
        let topics = DispatcherTopics {
            actions: Arc::from("actions"),
            inbox: Arc::from("inbox"),
            dlq: Arc::from("dlq"),
            partitions: PARTITIONS,
            group: GROUP.to_owned(),
        };
        let log: Arc<dyn EventLog> = self.log.clone();
        let settings = self.settings.clone();
        let mut dispatcher =
            Dispatcher::start(log, Arc::clone(&self.clock), topics, handlers, settings);
        dispatcher.assign(0..PARTITIONS);
        dispatcher
    }

    /// Publishes an action for a handler into partition 0; its id is `0-1-number`.
    fn publish(&self, handler: &str, number: u32) {
        self.publish_as(handler, number, self.clock.now().0);
    }

    fn publish_as(&self, handler: &str, number: u32, published: i64) {
        let text = format!(
            r#"{{"id":"0-1-{number}","handler":"{handler}","rule":"hot","task":"hot/b{number}","resource":"b{number}","group":"","time":{BEGIN},"kind":"raised","with":{{"text":"t{number}"}},"result":{{"mean":91.5}}}}"#
        );
        self.publish_text(&text, published);
    }

    fn publish_text(&self, text: &str, published: i64) {
        let mut record = Record::new("b", text.as_bytes().to_vec());
        record.timestamp = published;
        self.log.push(&place("actions", 0), vec![record]);
    }

    /// Outcomes that were written back, with the partition that they went to.
    fn outcomes(&self) -> Vec<(Partition, Outcome)> {
        (0..PARTITIONS)
            .flat_map(|partition| {
                let records = self.log.all(&place("inbox", partition));
                records
                    .into_iter()
                    .map(move |record| (partition, outcome(&record)))
            })
            .collect()
    }

    /// Waits until so many outcomes were written back.
    async fn settled(&self, count: usize) {
        self.log.expect(|| self.outcomes().len() >= count).await;
    }

    fn committed(&self) -> Option<Offset> {
        self.log.committed_now(GROUP, &place("actions", 0))
    }

    fn dead_letters(&self) -> Vec<Record> {
        self.log.all(&place("dlq", 0))
    }

    /// Whole seconds since the beginning.
    fn seconds(&self) -> u64 {
        self.begin.elapsed().as_secs()
    }
}

/// One handler of that name.
fn only(name: &str, sink: Arc<dyn Sink>, settings: HandlerSettings) -> Handlers {
    Handlers::default().with(name, sink, settings)
}

/// Settings without jitter and without a breaker that would get into the way.
fn steady() -> HandlerSettings {
    HandlerSettings {
        jitter: 0.0,
        breaker_failures: 100_000,
        ..HandlerSettings::default()
    }
}

/// Settings whose waits are short enough for real time.
fn quick() -> HandlerSettings {
    HandlerSettings {
        backoff: Span(5),
        backoff_most: Span(20),
        breaker_rest: Span(20),
        ..HandlerSettings::default()
    }
}

/// What an outcome says: action, error, attempts.
type Outcome = (String, Option<String>, u32);

fn outcome(record: &Record) -> Outcome {
    let signal: Signal = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
    match signal {
        Signal::Delivered {
            action,
            error,
            attempts,
            ..
        } => (action, error, attempts),
        other => panic!("{other:?}"),
    }
}

fn header(record: &Record, name: &str) -> String {
    String::from_utf8(record.header(name).unwrap().to_vec()).unwrap()
}

/// Lets everything that can run without time passing run.
async fn rest() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
