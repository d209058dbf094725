//! The journal of a shard: its write-ahead history, and which of its records count.
//!
//! A start is always a takeover: its record's offset is the generation. An epoch counts only if it carries the
//! generation of the newest takeover before it, so a zombie's late epochs never become history (DESIGN section 2;
//! `shared/model/takeover.py` explores it exhaustively).

use serde::{Deserialize, Serialize};
use tidegate_proto::record::{Offset, OffsetRange, Record};
use tidegate_proto::time::Timestamp;

use crate::epoch::{EpochNumber, Exclusion};

/// Version of the encoding; another one is refused.
const VERSION: u8 = 3;

/// One record of a journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalEntry {
    /// Somebody starts to own the shard; the offset of this record is its generation.
    Takeover {
        /// Who, for people.
        owner: String,
    },
    /// One epoch.
    Epoch(EpochEntry),
    /// What must be left out from an epoch on.
    Exclude {
        /// Generation of the owner.
        generation: Offset,
        /// What and since when.
        exclusion: Exclusion,
    },
}

/// The journal record of one epoch: everything that its step depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochEntry {
    /// Offset of the owner's takeover record.
    pub generation: Offset,
    /// Number of the epoch.
    pub epoch: EpochNumber,
    /// Offsets by source.
    pub ranges: Vec<OffsetRange>,
    /// Records that those offsets held: a log may have holes (transactions of others), a second reading must not have more.
    pub records: u64,
    /// Clock after the rows.
    pub clock: Timestamp,
    /// Newest epoch whose outputs were acknowledged when this was written.
    pub published: EpochNumber,
}

/// Why bytes are no journal record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// Written by another version of the program.
    #[error("journal record has version {0}, this program reads {VERSION}")]
    Version(u8),
    /// Damaged.
    #[error("journal record is damaged")]
    Damaged,
}

impl JournalEntry {
    /// As a record of the journal topic.
    #[must_use]
    pub fn encode(&self) -> Record {
        let mut bytes = vec![VERSION];
        // Serialising plain data into a growing vector cannot fail; if it ever did, the record would be refused on read.
        if let Ok(body) = postcard::to_stdvec(self) {
            bytes.extend(body);
        }
        Record {
            key: None,
            value: Some(bytes.into()),
            headers: Vec::new(),
            timestamp: 0,
        }
    }

    /// Reads a record of the journal topic.
    ///
    /// # Errors
    /// When it was written by another version, or is damaged.
    pub fn decode(record: &Record) -> Result<Self, JournalError> {
        let bytes = record.value.as_ref().ok_or(JournalError::Damaged)?;
        let (version, body) = bytes.split_first().ok_or(JournalError::Damaged)?;
        if *version != VERSION {
            return Err(JournalError::Version(*version));
        }
        postcard::from_bytes(body).map_err(|_| JournalError::Damaged)
    }
}

/// The valid history in a stretch of a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Epochs that count, in order, each with the offset of its record.
    pub epochs: Vec<(Offset, EpochEntry)>,
    /// Exclusions that count.
    pub exclusions: Vec<Exclusion>,
    /// Newest published epoch that a counting record names.
    pub published: EpochNumber,
}

/// Which guard of the takeover is switched off: only a simulation does that, to show that it would notice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistoryRules {
    /// Count records of older generations too.
    pub count_void: bool,
}

impl History {
    /// Reads a stretch of a journal. `generation` is the newest takeover before it, if the reader knows one (from its
    /// snapshot); epochs up to `after` are known already.
    #[must_use]
    pub fn read(
        entries: &[(Offset, JournalEntry)],
        mut generation: Option<Offset>,
        after: EpochNumber,
        rules: HistoryRules,
    ) -> Self {
        let mut history = Self::default();
        let mut last = after;
        for (offset, entry) in entries {
            match entry {
                JournalEntry::Takeover { .. } => generation = Some(*offset),
                JournalEntry::Epoch(epoch) => {
                    let counts = generation == Some(epoch.generation) || rules.count_void;
                    if counts {
                        history.published = history.published.max(epoch.published);
                    }
                    if counts && epoch.epoch > last {
                        last = epoch.epoch;
                        history.epochs.push((*offset, epoch.clone()));
                    }
                }
                JournalEntry::Exclude {
                    generation: by,
                    exclusion,
                } => {
                    if generation == Some(*by) || rules.count_void {
                        history.exclusions.push(exclusion.clone());
                    }
                }
            }
        }
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(generation: Offset, epoch: EpochNumber, published: EpochNumber) -> JournalEntry {
        JournalEntry::Epoch(EpochEntry {
            generation,
            epoch,
            ranges: vec![OffsetRange { from: 1, to: 5 }],
            records: 4,
            clock: Timestamp(7),
            published,
        })
    }

    #[test]
    fn entries_survive_the_log() {
        let entry = epoch(3, 9, 8);
        assert_eq!(JournalEntry::decode(&entry.encode()), Ok(entry.clone()));
        assert!(entry.encode().size() < 120);
        let mut other = entry.encode();
        other.value = Some(vec![9, 1, 2].into());
        assert_eq!(JournalEntry::decode(&other), Err(JournalError::Version(9)));
        other.value = Some(vec![VERSION].into());
        assert_eq!(JournalEntry::decode(&other), Err(JournalError::Damaged));
    }

    #[test]
    fn only_the_newest_generation_counts() {
        let takeover = |owner: &str| JournalEntry::Takeover {
            owner: owner.into(),
        };
        let journal: Vec<_> = [
            takeover("a"),
            epoch(0, 1, 0),
            takeover("b"),
            epoch(0, 2, 1), // the zombie's: void
            epoch(2, 2, 1),
            epoch(2, 3, 2),
        ]
        .into_iter()
        .zip(0..)
        .map(|(entry, offset)| (offset, entry))
        .collect();
        let history = History::read(&journal, None, 0, HistoryRules::default());
        let numbers: Vec<_> = history
            .epochs
            .iter()
            .map(|(at, e)| (*at, e.epoch))
            .collect();
        assert_eq!(numbers, [(1, 1), (4, 2), (5, 3)]);
        assert_eq!(history.published, 2);
    }
}
