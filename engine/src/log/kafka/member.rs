//! [`Member`]: this worker as a member of the consumer group. It decides nothing but which shards are ours: it is
//! subscribed to the inbox, one partition of which is one shard, and reads nothing of it.
//!
//! The thread that polls also carries a rebalance out: shards that come are told and started in the background; shards
//! that go get a deadline to finish, and only then the group moves on. What is really ours the journal decides; being told
//! late, or never, makes a takeover slower, never wrong.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::config::{FromClientConfigAndContext as _, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset as KafkaOffset, Statistics, TopicPartitionList};
use tidegate_actors::port::{PortError, PortErrorKind, TopicPartition};
use tidegate_proto::record::{Offset, Partition, Topic};
use tokio::sync::mpsc;

use super::context::{failed, log_error, log_line};
use super::lookup::number;
use super::numbers::Numbers;
use super::settings::KafkaSettings;

/// Longest wait of the thread for something to happen.
const WAIT: Duration = Duration::from_millis(100);
/// How often positions are committed. They are for people who look at lag; the journal is the truth.
const COMMIT: Duration = Duration::from_secs(1);
/// Changes of ownership that may wait; the thread waits when there are more.
const WAITING: usize = 16;

/// A change of what is ours.
#[derive(Debug)]
pub enum Ownership {
    /// These shards are ours now.
    Assigned(Vec<Partition>),
    /// These go; the group waits, up to a deadline, until the sender is told or dropped.
    Revoked {
        /// The shards.
        shards: Vec<Partition>,
        /// Whether they may be somebody else's already: then nothing more of them must leave.
        lost: bool,
        /// Tell when they have finished.
        done: SyncSender<()>,
    },
}

/// Told of shards that have gone.
pub(super) type Forget = Box<dyn Fn(&[Partition]) + Send + Sync>;

struct Shared {
    forget: Forget,
    numbers: Numbers,
    inbox: Topic,
    changes: mpsc::Sender<Ownership>,
    revoke_timeout: Duration,
    positions: Mutex<BTreeMap<TopicPartition, Offset>>,
    stopping: AtomicBool,
    joined: AtomicBool,
}

impl Shared {
    fn positions(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Offset>> {
        self.positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The shards in a list; partitions of the inbox are shards.
    fn shards(&self, list: &TopicPartitionList) -> Vec<Partition> {
        list.elements_for_topic(&self.inbox)
            .iter()
            .filter_map(|element| u32::try_from(element.partition()).ok())
            .collect()
    }

    fn commit(&self, consumer: &BaseConsumer<Rebalances>, mode: CommitMode) {
        let positions = std::mem::take(&mut *self.positions());
        if positions.is_empty() {
            return;
        }
        let mut list = TopicPartitionList::with_capacity(positions.len());
        for (place, offset) in &positions {
            // Only an offset below zero is refused; a shard has none.
            let _ = list.add_partition_offset(
                &place.topic,
                number(place),
                KafkaOffset::Offset(*offset),
            );
        }
        if let Err(error) = consumer.commit(&list, mode) {
            tracing::debug!(%error, "positions were not committed; they are only for those who look at lag");
        }
    }
}

struct Rebalances(Arc<Shared>);

impl ClientContext for Rebalances {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&error, reason);
    }

    fn stats(&self, said: Statistics) {
        self.0.numbers.tell("member", &said);
    }
}

impl ConsumerContext for Rebalances {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let shards = self.0.shards(list);
        // The assignment is acknowledged empty: partitions are read elsewhere, from the offsets that the journal says.
        let nothing = TopicPartitionList::new();
        let answered = if what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            tracing::info!(?shards, "shards are ours");
            self.0.joined.store(true, Ordering::Release);
            let answered = consumer.incremental_assign(&nothing);
            if !shards.is_empty() {
                // The engine that would be told is gone at the very end.
                let _ = self.0.changes.blocking_send(Ownership::Assigned(shards));
            }
            answered
        } else {
            let lost = consumer.assignment_lost();
            tracing::info!(?shards, lost, "shards go");
            self.let_go(shards, lost);
            if !lost {
                self.0.commit(consumer, CommitMode::Sync);
            }
            consumer.incremental_unassign(&nothing)
        };
        if let Err(error) = answered {
            tracing::warn!(%error, "the group did not take the answer to a rebalance");
        }
    }
}

impl Rebalances {
    fn let_go(&self, shards: Vec<Partition>, lost: bool) {
        if shards.is_empty() {
            return;
        }
        let (done, finished) = sync_channel(1);
        let going = shards.clone();
        let change = Ownership::Revoked { shards, lost, done };
        if self.0.changes.blocking_send(change).is_ok() {
            // Also when the sender is dropped there is nothing more to wait for.
            let waited = finished.recv_timeout(self.0.revoke_timeout);
            if waited == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                tracing::warn!("shards did not finish in time; their next owner fences them");
            }
        }
        (self.0.forget)(&going);
    }
}

/// This worker as a member of the group.
pub struct Member {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("inbox", &self.shared.inbox)
            .finish_non_exhaustive()
    }
}

impl Member {
    /// Joins the group; what becomes ours comes through the receiver.
    pub(super) fn join(
        (settings, worker): (&KafkaSettings, &str),
        inbox: &Topic,
        forget: Forget,
        numbers: Numbers,
    ) -> Result<(Self, mpsc::Receiver<Ownership>), PortError> {
        let (changes, receiver) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared {
            forget,
            numbers,
            inbox: Topic::clone(inbox),
            changes,
            revoke_timeout: settings.revoke_timeout.duration(),
            positions: Mutex::new(BTreeMap::new()),
            stopping: AtomicBool::new(false),
            joined: AtomicBool::new(false),
        });
        let doing = format!("joining the group {}", settings.group);
        let context = Rebalances(Arc::clone(&shared));
        let consumer = BaseConsumer::from_config_and_context(&settings.member(worker), context)
            .map_err(|error| failed(&doing, &error))?;
        consumer
            .subscribe(&[inbox])
            .map_err(|error| failed(&doing, &error))?;
        let body = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("group".to_owned())
            .spawn(move || run(&body, &consumer))
            .map_err(|error| {
                PortError::new(PortErrorKind::Unavailable, format!("{doing}: {error}"))
            })?;
        let member = Self {
            shared,
            thread: Mutex::new(Some(thread)),
        };
        Ok((member, receiver))
    }

    /// Whether the group has told us at least once what is ours.
    pub fn has_joined(&self) -> bool {
        self.shared.joined.load(Ordering::Acquire)
    }

    /// Notes how far shards are, for those who look at the group's lag.
    pub(super) fn note(&self, offsets: Vec<(TopicPartition, Offset)>) {
        self.shared.positions().extend(offsets);
    }

    /// Leaves the group: the shards go first, with their deadline.
    pub(super) fn leave(&self) {
        self.shared.stopping.store(true, Ordering::Release);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread of the group did not end well");
        }
    }
}

fn run(shared: &Shared, consumer: &BaseConsumer<Rebalances>) {
    let mut committed = Instant::now();
    while !shared.stopping.load(Ordering::Acquire) {
        if let Some(Err(error)) = consumer.poll(WAIT) {
            tracing::debug!(%error, "the group goes on by itself");
        }
        if committed.elapsed() >= COMMIT {
            committed = Instant::now();
            shared.commit(consumer, CommitMode::Async);
        }
    }
    // Closing revokes what is ours, through the very same callback, and tells the group that we leave.
}
