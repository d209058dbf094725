//! [`Fetcher`]: one consumer and its thread, reading partitions of one topic from offsets that we name, each into its
//! [`Stream`]. It joins no group, so a rebalance never touches what it reads.
//!
//! Records go from librdkafka's queue of a partition to whoever reads it; the thread only lets partitions come and go and
//! serves the consumer's callbacks. Taking a partition away makes librdkafka drop all that was fetched of it before, so
//! nothing of an earlier assignment can end up in a later stream of the same partition.

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

use super::batch::{ConsumerQueue, Event, PartitionQueue, Waker};
use super::context::{Plain, failed};
use super::settings::KafkaSettings;
use super::stream::Stream;

/// Longest wait of the thread for something to happen.
const WAIT: Duration = Duration::from_millis(500);

enum Command {
    Open(Partition, Offset, Arc<Stream>),
    Close(Partition),
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
        let (Some(mut queue), Some(waker)) = (ConsumerQueue::new(&consumer), Waker::new(&consumer))
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

    fn obey(&self, command: Command, streams: &mut BTreeMap<Partition, Arc<Stream>>) {
        match command {
            Command::Open(partition, at, stream) => {
                self.close(partition, streams);
                match self.begin(partition, at, &stream) {
                    Ok(()) => {
                        streams.insert(partition, stream);
                    }
                    Err(error) => {
                        let doing = format!("reading {}/{partition}", self.topic);
                        stream.fail(failed(&doing, &error));
                    }
                }
            }
            Command::Close(partition) => self.close(partition, streams),
        }
    }

    fn begin(
        &self,
        partition: Partition,
        at: Offset,
        stream: &Arc<Stream>,
    ) -> Result<(), KafkaError> {
        let number = i32::try_from(partition).unwrap_or(i32::MAX);
        let changed = stream.changed();
        let queue = PartitionQueue::part(&self.consumer, &self.topic, number, changed)
            .ok_or(KafkaError::Subscription("no queue for it".to_owned()))?;
        self.consumer
            .incremental_assign(&self.list(partition, Some(at)))?;
        stream.fill_from(queue);
        Ok(())
    }

    fn close(&self, partition: Partition, streams: &mut BTreeMap<Partition, Arc<Stream>>) {
        if let Some(stream) = streams.remove(&partition) {
            stream.close();
            self.told(
                self.consumer
                    .incremental_unassign(&self.list(partition, None)),
            );
        }
    }

    fn told(&self, done: Result<(), KafkaError>) {
        if let Err(error) = done {
            tracing::warn!(topic = %self.topic, %error, "a reader refused a change of what it reads");
        }
    }
}

fn run(shared: &Shared, queue: &mut ConsumerQueue<Plain>) {
    let mut streams: BTreeMap<Partition, Arc<Stream>> = BTreeMap::new();
    while !shared.stopping.load(Ordering::Acquire) {
        let commands = std::mem::take(&mut *shared.commands());
        for command in commands {
            shared.obey(command, &mut streams);
        }
        queue.serve(WAIT, |event| {
            if let Event::Error { code, text } = event {
                tracing::debug!(topic = %shared.topic, %code, text, "a reader goes on by itself");
            }
        });
    }
    let gone = PortError::new(PortErrorKind::Closed, "the log was shut down");
    for stream in streams.into_values() {
        stream.fail(gone.clone());
        stream.close();
    }
}
