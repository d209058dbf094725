//! Reading: from an offset on, across segments, verified, bounded, sharing the stored bytes.

use bytes::Bytes;
use fjall::Keyspace;
use tidegate_actors::port::{Entry, PortError, PortErrorKind, ReadLimit, Slice};
use tidegate_proto::record::{Offset, Partition, Topic};

use super::batch::{Damage, StoredBatch, key_of};
use super::fault::{guarded, port_error};
use super::topic::Segments;

/// One read of one partition.
pub(super) struct Reading {
    pub(super) topic: Topic,
    pub(super) partition: Partition,
    pub(super) segments: Segments,
    pub(super) limit: ReadLimit,
    /// Offset of the next record.
    pub(super) at: Offset,
    /// Offset after the last record of the partition.
    pub(super) end: Offset,
    pub(super) entries: Vec<Entry>,
    pub(super) bytes: usize,
}

impl Reading {
    /// Reads until the limit or the end.
    pub(super) fn run(mut self) -> Result<Slice, PortError> {
        let doing = format!(
            "reading {}/{} at offset {}",
            self.topic, self.partition, self.at
        );
        guarded(&doing, || {
            let segments = self.segments.clone();
            for (index, segment) in segments.iter().enumerate() {
                let next = segments.get(index + 1);
                let until = next.map_or(self.end, |next| next.start(self.partition));
                if self.at < until && !self.full() {
                    let start = segment.start(self.partition);
                    self.segment(&segment.slot.keyspace, start, until)?;
                }
            }
            Ok(Slice {
                entries: self.entries,
                end: self.end,
            })
        })
    }

    fn full(&self) -> bool {
        !self.entries.is_empty()
            && (self.entries.len() >= self.limit.records || self.bytes >= self.limit.bytes)
    }

    /// Reads one segment, which begins at an offset and ends before another.
    fn segment(
        &mut self,
        keyspace: &Keyspace,
        start: Offset,
        until: Offset,
    ) -> Result<(), PortError> {
        let last = key_of(self.partition, until - 1);
        let mut inside = true;
        for found in keyspace.range(key_of(self.partition, self.at)..=last) {
            let (key, value) = found.into_inner().map_err(|error| self.failed(&error))?;
            let mut batch = self.open(&key, value)?;
            // Only the first read after a limit in the middle of a batch, or of a stranger's offset, has to look behind.
            if inside && batch.next_offset() > self.at {
                self.batch_around(keyspace, start)?;
            }
            inside = false;
            if self.full() {
                return Ok(());
            }
            self.take(&mut batch)?;
            if self.full() {
                return Ok(());
            }
        }
        if inside {
            self.batch_around(keyspace, start)?;
        }
        if self.at < until && !self.full() {
            return Err(self.corrupt(Damage("records are missing")));
        }
        Ok(())
    }

    /// Reads the batch that holds the offset, but does not begin with it.
    fn batch_around(&mut self, keyspace: &Keyspace, start: Offset) -> Result<(), PortError> {
        let before = key_of(self.partition, start)..key_of(self.partition, self.at);
        let Some(found) = keyspace.range(before).next_back() else {
            return Err(self.corrupt(Damage("records are missing")));
        };
        let (key, value) = found.into_inner().map_err(|error| self.failed(&error))?;
        let mut batch = self.open(&key, value)?;
        if batch.end() <= self.at {
            return Err(self.corrupt(Damage("records are missing")));
        }
        batch
            .skip_to(self.at)
            .map_err(|damage| self.corrupt(damage))?;
        self.take(&mut batch)
    }

    fn open(&self, key: &[u8], value: fjall::Slice) -> Result<StoredBatch, PortError> {
        StoredBatch::open(&self.topic, key, Bytes::from_owner(value))
            .map(|(_, batch)| batch)
            .map_err(|damage| self.corrupt(damage))
    }

    /// Takes records of a batch up to the limit.
    fn take(&mut self, batch: &mut StoredBatch) -> Result<(), PortError> {
        if batch.next_offset() != self.at {
            return Err(self.corrupt(Damage("records are missing")));
        }
        while let Some(entry) = batch.decode().map_err(|damage| self.corrupt(damage))? {
            let size = entry.record.size();
            let over = self.bytes.saturating_add(size) > self.limit.bytes
                || self.entries.len() >= self.limit.records;
            if over && !self.entries.is_empty() {
                // Whatever the limit was, it is reached: nothing may be taken after a record that was left out.
                self.bytes = self.limit.bytes;
                return Ok(());
            }
            self.bytes += size;
            self.at = entry.offset + 1;
            self.entries.push(entry);
        }
        Ok(())
    }

    fn corrupt(&self, damage: Damage) -> PortError {
        PortError::new(
            PortErrorKind::Corrupt,
            format!(
                "{}/{} at offset {}: stored batch {}",
                self.topic, self.partition, self.at, damage.0
            ),
        )
    }

    fn failed(&self, error: &fjall::Error) -> PortError {
        let doing = format!(
            "reading {}/{} at offset {}",
            self.topic, self.partition, self.at
        );
        port_error(error, &doing)
    }
}
