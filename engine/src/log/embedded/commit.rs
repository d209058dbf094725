//! Staging of a group commit: the appends that waited at the same time become stored batches, in their order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidegate_actors::port::{PortError, PortErrorKind};
use tidegate_proto::record::{Offset, Partition, Record, Topic};

use super::batch::BatchEncoder;
use super::topic::{Segment, TopicState};

/// Size at which a stored batch is closed: large values are what the store is fast with, and one read brings one whole.
const BATCH_BYTES: usize = 64 << 10;

/// Records for one partition of a topic that exists.
pub(super) struct Part {
    pub(super) topic: Arc<TopicState>,
    pub(super) partition: Partition,
    pub(super) records: Vec<Record>,
}

/// What one partition gets from a group commit.
pub(super) struct StagedPart {
    pub(super) topic: Arc<TopicState>,
    pub(super) segment: Arc<Segment>,
    pub(super) partition: Partition,
    pub(super) batches: Vec<([u8; 12], Vec<u8>)>,
    encoder: BatchEncoder,
    next: Offset,
    timestamp: i64,
}

impl StagedPart {
    fn begin(part: &Part) -> Option<Self> {
        let state = part.topic.partition(part.partition)?;
        let next = state.end();
        Some(Self {
            segment: part.topic.active()?,
            topic: Arc::clone(&part.topic),
            partition: part.partition,
            batches: Vec::new(),
            encoder: BatchEncoder::new(next),
            next,
            timestamp: state.timestamp.load(Ordering::Relaxed),
        })
    }

    fn push(&mut self, record: &Record, now: i64) {
        let stamp = if record.timestamp == 0 {
            now
        } else {
            record.timestamp
        };
        self.timestamp = self.timestamp.max(stamp);
        self.encoder.push(record, self.timestamp);
        self.next += 1;
        if self.encoder.len() >= BATCH_BYTES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let full = std::mem::replace(&mut self.encoder, BatchEncoder::new(self.next));
        if !full.is_empty() {
            self.batches
                .push(full.finish(&self.topic.name, self.partition));
        }
    }

    /// Makes what was written visible: to readers, and to the next commit.
    pub(super) fn publish(&self) -> u64 {
        let sizes = self.batches.iter().map(|(k, v)| k.len() + v.len());
        let bytes = u64::try_from(sizes.sum::<usize>()).unwrap_or(0);
        self.segment.grow(bytes, self.timestamp);
        if let Some(state) = self.topic.partition(self.partition) {
            state.timestamp.store(self.timestamp, Ordering::Relaxed);
            state.end.send_replace(self.next);
        }
        bytes
    }
}

/// A group commit in the making.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) parts: BTreeMap<(Topic, Partition), StagedPart>,
    /// Group offsets by their keys; the last one wins.
    pub(super) offsets: BTreeMap<Vec<u8>, Offset>,
}

impl Stage {
    /// Adds records of one partition; answers with the offset of the first.
    pub(super) fn add(&mut self, part: &Part, now: i64) -> Result<Offset, PortError> {
        let place = (Arc::clone(&part.topic.name), part.partition);
        let staged = match self.parts.entry(place) {
            std::collections::btree_map::Entry::Occupied(there) => there.into_mut(),
            std::collections::btree_map::Entry::Vacant(free) => {
                let staged = StagedPart::begin(part).ok_or_else(|| {
                    PortError::new(
                        PortErrorKind::NotFound,
                        format!("{}/{} is not there", part.topic.name, part.partition),
                    )
                })?;
                free.insert(staged)
            }
        };
        let first = staged.next;
        for record in &part.records {
            staged.push(record, now);
        }
        Ok(first)
    }

    /// Closes the last batch of each partition.
    pub(super) fn finish(&mut self) {
        self.parts.values_mut().for_each(StagedPart::cut);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.offsets.is_empty() && self.parts.values().all(|part| part.batches.is_empty())
    }
}
