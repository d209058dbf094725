//! The ports: everything of the world that a shard's owner needs, as traits that the engine, the tests and the
//! simulation implement. Nothing here does I/O.
//!
//! One trait serves the embedded log and Kafka: appends go to one partition and answer with their first offset (that is
//! what fencing by contiguity needs), a publication is one epoch's outputs (atomic where the log can, in order
//! everywhere), reads are ranges. Every future resolves to an error with a fault and a retry, never to a panic.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tidegate_proto::record::{Offset, Partition, Record, Topic};
use tidegate_proto::time::Timestamp;

/// A future of a port; the engine awaits it on any thread.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, PortError>> + Send + 'a>>;

/// One partition of one topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Topic name.
    pub topic: Topic,
    /// Partition number.
    pub partition: Partition,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// A record with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its offset.
    pub offset: Offset,
    /// The record.
    pub record: Record,
}

/// What a read answers with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice {
    /// Records in offset order, from the asked offset on; may be fewer than there are.
    pub entries: Vec<Entry>,
    /// Offset after the last record of the partition at the time of the read.
    pub end: Offset,
}

/// First offset kept and offset after the last record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Smallest offset that can still be read.
    pub start: Offset,
    /// Offset that the next record will get.
    pub end: Offset,
}

/// How much one read may bring: whichever is reached first, but at least one record.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimit {
    /// Most records.
    pub records: usize,
    /// Most bytes, as `Record::size` counts them.
    pub bytes: usize,
}

/// The outputs of one epoch, and how far its shard has read: published as one.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    /// Records by partition, each in order.
    pub records: Vec<(TopicPartition, Vec<Record>)>,
    /// Group whose offsets these are; they are advisory (the journal is the truth).
    pub group: String,
    /// Next offset to read by source partition.
    pub offsets: Vec<(TopicPartition, Offset)>,
    /// A number for the shard's journal that is committed together with the records, where the log can do that: read back
    /// with [`EventLog::committed`], it says exactly what was published.
    pub marker: Option<(TopicPartition, Offset)>,
}

/// Settings of a topic at its creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// Number of partitions.
    pub partitions: u32,
    /// Records older than this are dropped, in ms; `None`: kept for ever.
    pub retention_ms: Option<i64>,
    /// Bytes of the topic over all partitions beyond which the oldest segments are dropped; `None`: no limit.
    pub retention_bytes: Option<u64>,
}

/// The log: partitioned, ordered, durable.
pub trait EventLog: Send + Sync + 'static {
    /// Creates a topic, or answers with the partition count that it has.
    fn create_topic(&self, topic: &Topic, settings: TopicSettings) -> PortFuture<'_, u32>;
    /// Partition count of a topic, `None` if it is not there.
    fn partitions(&self, topic: &Topic) -> PortFuture<'_, Option<u32>>;
    /// Appends records in order to one partition as one batch, behind the appends to it that were polled first before; durable by the
    /// log's policy; answers with the offset of the first. After an error with [`Doubt::Unknown`] they may or may not be there.
    fn append(&self, to: &TopicPartition, records: Vec<Record>) -> PortFuture<'_, Offset>;
    /// Ends whatever publication of a predecessor is open for the shard of this journal, and owns the right to publish from
    /// here on: a predecessor that still runs publishes nothing more. A log without such a right has nothing to do.
    fn fence(&self, _journal: &TopicPartition) -> PortFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    /// Publishes one epoch's outputs: all or nothing where the log can, in order everywhere.
    fn publish(&self, publication: Publication) -> PortFuture<'_, ()>;
    /// Reads from an offset on; an empty answer means that the end is reached. An offset before the start is
    /// [`PortErrorKind::OutOfRange`], never a silent skip.
    fn read(
        &self,
        from: &TopicPartition,
        offset: Offset,
        limit: ReadLimit,
    ) -> PortFuture<'_, Slice>;
    /// First and next offset.
    fn bounds(&self, of: &TopicPartition) -> PortFuture<'_, Bounds>;
    /// Resolves when the end of the partition is beyond `offset` (at once if it is already).
    fn grown(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()>;
    /// Committed offset of a group.
    fn committed(&self, group: &str, of: &TopicPartition) -> PortFuture<'_, Option<Offset>>;
    /// Commits offsets of a group.
    fn commit(&self, group: &str, offsets: Vec<(TopicPartition, Offset)>) -> PortFuture<'_, ()>;
    /// Tells the log that records of a partition from `offset` on are still needed (a journal and its sources since the
    /// oldest kept snapshot): retention by size or time stops there and warns instead of outrunning it.
    fn hold(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()>;
}

/// A snapshot's name: which shard, after which journal offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SnapshotName {
    /// Shard.
    pub shard: Partition,
    /// Journal offset of the last epoch that it holds.
    pub journal: Offset,
}

/// Where snapshots are kept: a cache, never a truth.
pub trait SnapshotStore: Send + Sync + 'static {
    /// Writes a snapshot; it is visible whole or not at all. Older ones beyond the kept number are removed afterwards.
    fn put(&self, name: SnapshotName, bytes: Vec<u8>) -> PortFuture<'_, ()>;
    /// Names of a shard's snapshots, newest first.
    fn list(&self, shard: Partition) -> PortFuture<'_, Vec<SnapshotName>>;
    /// Bytes of a snapshot, checksum verified; damage is [`PortErrorKind::Corrupt`].
    fn get(&self, name: SnapshotName) -> PortFuture<'_, Vec<u8>>;
    /// Sets a damaged snapshot aside under another name, so that it is not tried again but can be looked at.
    fn set_aside(&self, name: SnapshotName) -> PortFuture<'_, ()>;
}

/// One call of a handler: what the dispatcher hands to a sink.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Id from cause; the idempotency key.
    pub id: String,
    /// Body as JSON.
    pub body: String,
}

/// Something that acts on the world: at least once, under an idempotency key.
pub trait Sink: Send + Sync + 'static {
    /// Delivers once; the caller repeats it by the error's retry.
    fn deliver(&self, delivery: Delivery) -> PortFuture<'_, ()>;
}

/// Wall time. Only the host reads it; the core gets numbers that the journal recorded.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Whose fault an error is: what happens next follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Somebody wrote something wrong.
    Author,
    /// The other side failed: broker, disk, webhook.
    Peer,
    /// A bug of ours.
    Ours,
}

/// Whether trying again is sane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    Never,
    /// Later, with backoff.
    Backoff,
}

/// Whether the thing that failed may have happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It did not happen.
    Clean,
    /// Nobody knows.
    Unknown,
}

/// What failed in a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortErrorKind {
    /// Topic, partition or snapshot that does not exist.
    NotFound,
    /// An offset that retention has passed or that was never written.
    OutOfRange,
    /// Bytes that are not what was written.
    Corrupt,
    /// Disk full, quota reached.
    Full,
    /// Refused by the other side for good (a webhook's 4xx, a forbidden address).
    Refused,
    /// Not reachable, timed out, broken connection.
    Unavailable,
    /// The port was closed or poisoned by an earlier failure.
    Closed,
}

/// A failure of a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind:?}: {message}")]
pub struct PortError {
    /// What failed.
    pub kind: PortErrorKind,
    /// What happened, for people: lowercase, no full stop.
    pub message: String,
    /// Whether it may have happened all the same.
    pub doubt: Doubt,
    /// Least wait before the next try that the other side asked for (a webhook's `Retry-After`).
    pub wait: Option<Duration>,
}

impl PortError {
    /// A failure that surely did not happen.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            doubt: Doubt::Clean,
            wait: None,
        }
    }

    /// The same failure, where the other side said how long to wait before the next try.
    #[must_use]
    pub fn asking_to_wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// The same failure, where nobody knows whether it happened.
    #[must_use]
    pub fn in_doubt(mut self) -> Self {
        self.doubt = Doubt::Unknown;
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub const fn fault(&self) -> Fault {
        match self.kind {
            PortErrorKind::Refused => Fault::Author,
            _ => Fault::Peer,
        }
    }

    /// Whether to try again.
    #[must_use]
    pub const fn retry(&self) -> Retry {
        match self.kind {
            PortErrorKind::Full | PortErrorKind::Unavailable => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    /// How to mend it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self.kind {
            PortErrorKind::Full => Some("free disk space or lower the retention of the log"),
            PortErrorKind::OutOfRange => Some(
                "retention passed what was to be read; raise it, or start anew from a snapshot",
            ),
            PortErrorKind::Corrupt => Some(
                "the damaged file was set aside; restore it or let the shard rebuild from the log",
            ),
            _ => None,
        }
    }
}
