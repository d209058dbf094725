//! A topic in memory: its partitions' ends, its segments from oldest to newest, and what still holds them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tidegate_actors::port::{Bounds, TopicPartition, TopicSettings};
use tidegate_proto::record::{Offset, Partition, Topic};
use tokio::sync::watch;

use super::catalog::{ClosedNote, SegmentNote};
use super::pool::Slot;

/// No hold: all records may go.
pub(super) const NO_HOLD: Offset = Offset::MAX;

/// A run of offsets of all partitions of a topic, in a keyspace of its own for as long as it lives.
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) slot: Slot,
    pub(super) note: SegmentNote,
    /// Bytes of stored batches.
    pub(super) bytes: AtomicU64,
    /// Newest timestamp of any record.
    pub(super) newest: AtomicI64,
}

impl Segment {
    pub(super) fn new(number: u64, slot: Slot, note: SegmentNote) -> Self {
        let closed = note.closed.unwrap_or(ClosedNote {
            bytes: 0,
            newest: note.created,
        });
        Self {
            number,
            slot,
            note,
            bytes: AtomicU64::new(closed.bytes),
            newest: AtomicI64::new(closed.newest),
        }
    }

    /// First offset of a partition.
    pub(super) fn start(&self, partition: Partition) -> Offset {
        let start = usize::try_from(partition)
            .ok()
            .and_then(|index| self.note.starts.get(index));
        start.copied().unwrap_or(0)
    }

    /// Adds what a commit wrote.
    pub(super) fn grow(&self, bytes: u64, newest: i64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.newest.fetch_max(newest, Ordering::Relaxed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn newest(&self) -> i64 {
        self.newest.load(Ordering::Relaxed)
    }
}

/// The segments of a topic, oldest first, as they were at one moment.
pub(super) type Segments = Arc<[Arc<Segment>]>;

/// One partition.
#[derive(Debug)]
pub(super) struct PartitionState {
    /// Offset after the last record; readers wait on it.
    pub(super) end: watch::Sender<Offset>,
    /// Timestamp of the last record: the next one's is not smaller.
    pub(super) timestamp: AtomicI64,
    /// Records from here on are still needed; [`NO_HOLD`] if nobody said so.
    pub(super) hold: AtomicI64,
}

impl PartitionState {
    pub(super) fn new(end: Offset, timestamp: i64, hold: Offset) -> Self {
        Self {
            end: watch::Sender::new(end),
            timestamp: AtomicI64::new(timestamp),
            hold: AtomicI64::new(hold),
        }
    }

    pub(super) fn end(&self) -> Offset {
        *self.end.borrow()
    }
}

/// A limit that could not be kept because records are still needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Partition whose records are needed.
    pub partition: TopicPartition,
    /// Offset from which on they are.
    pub offset: Offset,
    /// Bytes by which the topic is over its size limit; 0 if it is only over its age.
    pub excess_bytes: u64,
}

/// A topic.
pub(super) struct TopicState {
    pub(super) name: Topic,
    pub(super) partitions: Vec<PartitionState>,
    settings: Mutex<TopicSettings>,
    segments: RwLock<Segments>,
    held: Mutex<Option<Held>>,
}

impl TopicState {
    pub(super) fn new(
        name: Topic,
        settings: TopicSettings,
        partitions: Vec<PartitionState>,
        segments: Vec<Arc<Segment>>,
    ) -> Self {
        Self {
            name,
            partitions,
            settings: Mutex::new(settings),
            segments: RwLock::new(Arc::from(segments)),
            held: Mutex::new(None),
        }
    }

    pub(super) fn partition(&self, partition: Partition) -> Option<&PartitionState> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    pub(super) fn settings(&self) -> TopicSettings {
        *locked(&self.settings)
    }

    pub(super) fn set_settings(&self, settings: TopicSettings) {
        *locked(&self.settings) = settings;
    }

    pub(super) fn held(&self) -> Option<Held> {
        locked(&self.held).clone()
    }

    pub(super) fn set_held(&self, held: Option<Held>) {
        *locked(&self.held) = held;
    }

    pub(super) fn segments(&self) -> Segments {
        Arc::clone(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_segments(&self, segments: Vec<Arc<Segment>>) {
        *self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::from(segments);
    }

    /// The segment that is written to.
    pub(super) fn active(&self) -> Option<Arc<Segment>> {
        self.segments().last().cloned()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments().iter().map(|segment| segment.bytes()).sum()
    }

    pub(super) fn bounds(&self, partition: Partition) -> Option<Bounds> {
        let end = self.partition(partition)?.end();
        let start = self.segments().first()?.start(partition);
        Some(Bounds { start, end })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
