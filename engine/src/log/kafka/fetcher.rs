//! [`Fetcher`]: one consumer and its thread, reading partitions of one topic from offsets that we name, each into its
//! [`Stream`]. It joins no group, so a rebalance never touches what it reads.
//!
//! Partitions come and go on the thread itself, between two batches: what a batch of an earlier assignment brought can
//! never end up in a later stream of the same partition.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};
use tidegate_actors::port::{PortError, PortErrorKind};
use tidegate_proto::record::{Offset, Partition, Topic};

use super::batch::{BatchQueue, Waker};
use super::context::{Plain, failed};
use super::settings::KafkaSettings;
use super::stream::{After, Stream};

/// Longest wait of the thread for something to happen.
const WAIT: Duration = Duration::from_millis(500);

enum Command {
    Open(Partition, Offset, Arc<Stream>),
    Close(Partition),
    Resume(Partition),
}

struct Shared {
    topic: Topic,
    consumer: Arc<BaseConsumer<Plain>>,
    commands: Mutex<Vec<Command>>,
    stopping: AtomicBool,
}

/// One consumer and its thread.
pub(super) struct Fetcher {
    shared: Arc<Shared>,
    waker: Waker<Plain>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetcher")
            .field("topic", &self.shared.topic)
            .finish_non_exhaustive()
    }
}

impl Fetcher {
    /// Starts a consumer that reads nothing yet.
    pub(super) fn start(topic: &Topic, settings: &KafkaSettings) -> Result<Self, PortError> {
        let doing = format!("starting a reader of {topic}");
        let consumer = BaseConsumer::from_config_and_context(&settings.reader(), Plain)
            .map_err(|error| failed(&doing, &error))?;
        let consumer = Arc::new(consumer);
        let (Some(mut queue), Some(waker)) = (BatchQueue::new(&consumer), Waker::new(&consumer))
        else {
            return Err(PortError::new(
                PortErrorKind::Unavailable,
                format!("{doing}: it has no queue"),
            ));
        };
        let shared = Arc::new(Shared {
            topic: Topic::clone(topic),
            consumer,
            commands: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
        });
        let body = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name(format!("fetch {topic}"))
            .spawn(move || run(&body, &mut queue))
            .map_err(|error| {
                PortError::new(PortErrorKind::Unavailable, format!("{doing}: {error}"))
            })?;
        Ok(Self {
            shared,
            waker,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Reads a partition from an offset on into the stream.
    pub(super) fn open(&self, partition: Partition, at: Offset, into: Arc<Stream>) {
        self.command(Command::Open(partition, at, into));
    }

    /// Reads a partition no longer.
    pub(super) fn close(&self, partition: Partition) {
        self.command(Command::Close(partition));
    }

    /// Goes on with a partition whose stream was full.
    pub(super) fn resume(&self, partition: Partition) {
        self.command(Command::Resume(partition));
    }

    fn command(&self, command: Command) {
        self.shared.commands().push(command);
        self.waker.wake();
    }
}

impl Drop for Fetcher {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Release);
        self.waker.wake();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            // It has no panics of its own to tell of.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn commands(&self) -> MutexGuard<'_, Vec<Command>> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn list(&self, partition: Partition, at: Option<Offset>) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        let partition = i32::try_from(partition).unwrap_or(i32::MAX);
        match at {
            None => {
                list.add_partition(&self.topic, partition);
            }
            Some(at) => {
                // Only an offset below zero is refused, and those were checked before.
                let _ = list.add_partition_offset(&self.topic, partition, KafkaOffset::Offset(at));
            }
        }
        list
    }

    fn obey(&self, command: Command, streams: &mut BTreeMap<i32, Arc<Stream>>) {
        let number = |partition: Partition| i32::try_from(partition).unwrap_or(i32::MAX);
        match command {
            Command::Open(partition, at, stream) => {
                if streams.remove(&number(partition)).is_some() {
                    self.told(
                        self.consumer
                            .incremental_unassign(&self.list(partition, None)),
                    );
                }
                let done = self
                    .consumer
                    .incremental_assign(&self.list(partition, Some(at)));
                if let Err(error) = done {
                    stream.fail(failed(
                        &format!("reading {}/{partition}", self.topic),
                        &error,
                    ));
                } else {
                    streams.insert(number(partition), stream);
                }
            }
            Command::Close(partition) => {
                if streams.remove(&number(partition)).is_some() {
                    self.told(
                        self.consumer
                            .incremental_unassign(&self.list(partition, None)),
                    );
                }
            }
            Command::Resume(partition) => {
                if streams.contains_key(&number(partition)) {
                    self.told(self.consumer.resume(&self.list(partition, None)));
                }
            }
        }
    }

    fn told(&self, done: Result<(), KafkaError>) {
        if let Err(error) = done {
            tracing::warn!(topic = %self.topic, %error, "a reader refused a change of what it reads");
        }
    }
}

fn run(shared: &Shared, queue: &mut BatchQueue<Plain>) {
    let mut streams: BTreeMap<i32, Arc<Stream>> = BTreeMap::new();
    let mut full: Vec<i32> = Vec::new();
    while !shared.stopping.load(Ordering::Acquire) {
        let commands = std::mem::take(&mut *shared.commands());
        for command in commands {
            shared.obey(command, &mut streams);
        }
        queue.take(WAIT, |partition, event| {
            if let Some(stream) = streams.get(&partition)
                && stream.happened(event) == After::Pause
            {
                full.push(partition);
            }
        });
        for partition in full.drain(..) {
            let partition = u32::try_from(partition).unwrap_or(0);
            shared.told(shared.consumer.pause(&shared.list(partition, None)));
        }
    }
    let gone = PortError::new(PortErrorKind::Closed, "the log was shut down");
    for stream in streams.into_values() {
        stream.fail(gone.clone());
    }
}
