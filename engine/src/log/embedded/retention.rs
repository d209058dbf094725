//! Topics and segments come and go: creation, closing a segment by size or age, dropping the oldest by size or age
//! unless somebody still needs it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use fjall::{KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use tidegate_actors::port::{PortError, TopicPartition, TopicSettings};
use tidegate_proto::record::Topic;

use super::catalog::{ClosedNote, SegmentNote, TopicNote, seal, segment_key, topic_key};
use super::topic::{Held, NO_HOLD, PartitionState, Segment, TopicState};
use super::writer::Writer;

/// How often a topic whose limit cannot be kept is complained about.
const WARN_EVERY: Duration = Duration::from_secs(60);
/// Memtable of a segment; what is beyond is written out in the background.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Memtable of notes and group offsets.
const NOTES_MEMTABLE_BYTES: u64 = 1 << 20;

/// How a segment's keyspace is made.
pub(super) fn segment_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(MEMTABLE_BYTES)
        .with_kv_separation(Some(KvSeparationOptions::default()))
}

/// How a keyspace of notes is made.
pub(super) fn note_options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(NOTES_MEMTABLE_BYTES)
}

impl Writer {
    /// Creates a topic, or gives an existing one new limits.
    pub(super) fn create_topic(
        &mut self,
        name: &Topic,
        settings: TopicSettings,
    ) -> Result<u32, PortError> {
        if let Some(topic) = self.shared.topic(name) {
            let kept = TopicSettings {
                partitions: topic.settings().partitions,
                ..settings
            };
            if kept != topic.settings() {
                let key = topic_key(name);
                self.write_notes(&[(key.clone(), seal(&key, &TopicNote::from(kept))?)], &[])?;
                topic.set_settings(kept);
                self.sweep(&topic, self.clock.now().0)?;
            }
            return Ok(kept.partitions);
        }
        let now = self.clock.now().0;
        let partitions = usize::try_from(settings.partitions).unwrap_or(1);
        let slot = self.pool.take(&self.db)?;
        let note = SegmentNote {
            slot: slot.number,
            created: now,
            starts: vec![0; partitions],
            timestamps: vec![i64::MIN; partitions],
            closed: None,
        };
        let (topic, segment) = (topic_key(name), segment_key(name, 0));
        let notes = [
            (topic.clone(), seal(&topic, &TopicNote::from(settings))?),
            (segment.clone(), seal(&segment, &note)?),
        ];
        self.write_notes(&notes, &[])?;
        let states = (0..partitions).map(|_| PartitionState::new(0, i64::MIN, NO_HOLD));
        let segment = Arc::new(Segment::new(0, slot, note));
        let topic = TopicState::new(name.clone(), settings, states.collect(), vec![segment]);
        let mut topics = self
            .shared
            .topics
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        topics.insert(name.clone(), Arc::new(topic));
        Ok(settings.partitions)
    }

    /// Writes and removes notes as one, on the disk when this returns, whatever the policy: a keyspace must not be
    /// emptied or used again before its old segment is forgotten for sure.
    fn write_notes(
        &mut self,
        put: &[(Vec<u8>, Vec<u8>)],
        remove: &[Vec<u8>],
    ) -> Result<(), PortError> {
        let mut batch = self.db.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in put {
            batch.insert(&self.meta, key.as_slice(), value.as_slice());
        }
        for key in remove {
            batch.remove(&self.meta, key.as_slice());
        }
        batch
            .commit()
            .map_err(|error| self.failed(&error, "writing the notes of the log"))?;
        self.state.unsynced = None;
        Ok(())
    }

    /// Applies size and age to all topics.
    pub(super) fn sweep_all(&mut self) -> Result<(), PortError> {
        let now = self.clock.now().0;
        for topic in self.shared.all_topics() {
            self.sweep(&topic, now)?;
        }
        Ok(())
    }

    /// Closes the active segment of a topic if it is due, then drops the oldest ones that are beyond the limits.
    pub(super) fn sweep(&mut self, topic: &Arc<TopicState>, now: i64) -> Result<(), PortError> {
        let settings = topic.settings();
        if let Some(active) = topic.active() {
            let age = now.saturating_sub(active.note.created);
            let due = active.bytes() >= self.settings.segment_bytes_of(settings.retention_bytes)
                || age >= self.settings.segment_age_of(settings.retention_ms);
            if due && active.bytes() > 0 {
                self.roll(topic, &active, now)?;
            }
        }
        self.drop_oldest(topic, now)
    }

    /// Closes a segment and begins the next one.
    fn roll(
        &mut self,
        topic: &Arc<TopicState>,
        active: &Arc<Segment>,
        now: i64,
    ) -> Result<(), PortError> {
        let number = active.number + 1;
        let slot = match self.pool.take(&self.db) {
            Ok(slot) => slot,
            Err(error) => {
                // The old segment still takes records: a full disk shows itself at the next append, if it stays full.
                tracing::warn!(%error, topic = &*topic.name, "no new segment could be begun");
                return Ok(());
            }
        };
        let closed = SegmentNote {
            closed: Some(ClosedNote {
                bytes: active.bytes(),
                newest: active.newest(),
            }),
            ..active.note.clone()
        };
        let partitions = topic.partitions.iter();
        let note = SegmentNote {
            slot: slot.number,
            created: now,
            starts: partitions.clone().map(PartitionState::end).collect(),
            timestamps: partitions
                .map(|partition| partition.timestamp.load(Ordering::Relaxed))
                .collect(),
            closed: None,
        };
        let old = segment_key(&topic.name, active.number);
        let new = segment_key(&topic.name, number);
        let notes = [
            (old.clone(), seal(&old, &closed)?),
            (new.clone(), seal(&new, &note)?),
        ];
        self.write_notes(&notes, &[])?;
        let mut segments = topic.segments().to_vec();
        segments.push(Arc::new(Segment::new(number, slot, note)));
        topic.set_segments(segments);
        active
            .slot
            .keyspace
            .rotate_memtable()
            .map_err(|error| self.failed(&error, "writing a memtable out"))?;
        Ok(())
    }

    fn drop_oldest(&mut self, topic: &Arc<TopicState>, now: i64) -> Result<(), PortError> {
        let settings = topic.settings();
        let segments = topic.segments();
        let mut total = topic.bytes();
        let mut going = Vec::new();
        let mut held = None;
        for pair in segments.windows(2) {
            let [oldest, next] = pair else { continue };
            let excess = settings
                .retention_bytes
                .map_or(0, |limit| total.saturating_sub(limit));
            let old = settings
                .retention_ms
                .is_some_and(|limit| oldest.newest() < now.saturating_sub(limit));
            if excess == 0 && !old {
                break;
            }
            held = holder(topic, next, excess);
            if held.is_some() {
                break;
            }
            total = total.saturating_sub(oldest.bytes());
            going.push(Arc::clone(oldest));
        }
        self.complain(topic, held.as_ref());
        topic.set_held(held);
        drop(segments);
        if going.is_empty() {
            return Ok(());
        }
        self.remove(topic, going)
    }

    /// Removes segments: first nobody finds them, then the notes forget them, then their keyspaces are emptied.
    fn remove(
        &mut self,
        topic: &Arc<TopicState>,
        going: Vec<Arc<Segment>>,
    ) -> Result<(), PortError> {
        let kept = topic.segments().iter().skip(going.len()).cloned().collect();
        topic.set_segments(kept);
        let keys: Vec<_> = going
            .iter()
            .map(|segment| segment_key(&topic.name, segment.number))
            .collect();
        self.write_notes(&[], &keys)?;
        for segment in going {
            self.pool.put_back(segment.slot.clone());
        }
        self.pool.step()?;
        Ok(())
    }

    fn complain(&mut self, topic: &Arc<TopicState>, held: Option<&Held>) {
        let Some(held) = held else { return };
        let last = self.state.warned.get(&topic.name);
        if last.is_some_and(|last| last.elapsed() < WARN_EVERY) {
            return;
        }
        self.state.warned.insert(topic.name.clone(), Instant::now());
        tracing::warn!(
            topic = &*topic.name,
            partition = held.partition.partition,
            offset = held.offset,
            excess_bytes = held.excess_bytes,
            "records beyond the retention limit are kept: a shard still needs them since its oldest snapshot"
        );
    }
}

/// The partition that still needs records of the segment before `next`.
fn holder(topic: &TopicState, next: &Segment, excess_bytes: u64) -> Option<Held> {
    let partitions = topic.partitions.iter().zip(0_u32..);
    partitions
        .map(|(state, partition)| (partition, state.hold.load(Ordering::Relaxed)))
        .find(|(partition, hold)| *hold < next.start(*partition))
        .map(|(partition, offset)| Held {
            partition: TopicPartition {
                topic: topic.name.clone(),
                partition,
            },
            offset,
            excess_bytes,
        })
}
