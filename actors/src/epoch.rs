//! [`Intake`] and [`Epoch`]: what one atomic step of a shard takes and what it gives.
//!
//! The intake is fixed by the journal record of the epoch: offset ranges of every source in a fixed topic order, and the
//! clock that holds when the rows have been read. Outputs carry ids derived from their cause (shard, epoch, sequence),
//! so that a repeat is recognised anywhere.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::outcome::{OutcomeKind, Trigger};
use tidegate_proto::record::{ID_HEADER, Offset, OffsetRange, Partition, Record, Topic};
use tidegate_proto::time::Timestamp;

/// Number of an epoch of a shard, from 1.
pub type EpochNumber = u64;

/// One record of an intake with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeRecord {
    /// Number of the source topic in the shard's fixed order.
    pub source: u16,
    /// Offset in the source's partition.
    pub offset: Offset,
    /// The record.
    pub record: Record,
}

/// What one epoch takes: chosen by the owner, fixed by the journal.
#[derive(Clone, Debug, Default)]
pub struct Intake {
    /// Number of the epoch: the last one plus 1.
    pub epoch: EpochNumber,
    /// Offsets by source, in the fixed topic order.
    pub ranges: Vec<OffsetRange>,
    /// The records of those ranges, by source, then offset.
    pub records: Vec<IntakeRecord>,
    /// The clock after the rows have been read; never back.
    pub clock: Timestamp,
    /// What earlier attempts at this very epoch found to be harmful: obeyed by every replay.
    pub exclusions: Vec<Exclusion>,
    /// Take records one at a time, so that a fault names the one that it happened at. Changes no result.
    pub careful: bool,
}

/// Where a record of a shard's intake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// Number of its source.
    pub source: u16,
    /// Its offset there.
    pub offset: Offset,
}

impl Place {
    /// The place of a record.
    #[must_use]
    pub const fn of(record: &IntakeRecord) -> Self {
        Self {
            source: record.source,
            offset: record.offset,
        }
    }
}

/// Who broke a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Culprit {
    /// Rules: one, or all that share the operator at work.
    Rules(Vec<String>),
    /// The twin of a resource.
    Resource(String),
    /// Nobody but the record itself: it could not be read, or not be obeyed.
    Record,
}

/// What must not come together again, because a step with it could not be finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exclusion {
    /// Epoch from whose beginning on every replay knows.
    pub epoch: EpochNumber,
    /// Who broke it.
    pub culprit: Culprit,
    /// On which record; `None`: on the clock.
    pub at: Option<Place>,
    /// Whether a rule broke while it was coming, changing or going: there is no going on without the record then.
    pub changing: bool,
    /// What happened.
    pub reason: String,
}

/// Where an output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Result lines.
    Results,
    /// Deliveries for handlers.
    Actions,
    /// Changes of definitions and twins, answers to commands.
    Changes,
    /// Records that could not be used, with the reason.
    DeadLetters,
    /// Rows that came too late or lie in the future.
    Late,
    /// A signal to the inbox of another shard (or this one).
    Signal(Partition),
    /// A topic of the user's, partitioned by key.
    User(Topic),
}

/// Order of result lines within one causing record, as DESIGN section 5 lists it; causes one by one, numbers in them as
/// numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputOrder {
    /// Causing record, or the clock.
    pub trigger: Trigger,
    /// Rule name.
    pub rule: Arc<str>,
    /// Task id.
    pub task: String,
    /// Window start and end; no window first.
    pub window: Option<(Timestamp, Timestamp)>,
    /// Kind of line.
    pub kind: OutcomeKind,
    /// Revision.
    pub revision: u32,
    /// Causes as printed.
    pub cause: Vec<String>,
}

/// One record out.
#[derive(Clone, Debug)]
pub struct Output {
    /// Where it goes.
    pub destination: Destination,
    /// The record, with its id header.
    pub record: Record,
    /// What of the intake made it; a replay merges shards by it.
    pub trigger: Trigger,
    /// Order among result lines, for those that are.
    pub order: Option<Arc<OutputOrder>>,
}

/// What one step made.
#[derive(Clone, Debug, Default)]
pub struct Epoch {
    /// Its number.
    pub number: EpochNumber,
    /// Outputs in order; the sequence of an id is the place in this list.
    pub outputs: Vec<Output>,
    /// Rows decoded.
    pub rows: usize,
}

/// Id of an output: shard, epoch, sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OutputId {
    /// Shard.
    pub shard: Partition,
    /// Epoch.
    pub epoch: EpochNumber,
    /// Place among the outputs of the epoch.
    pub sequence: u32,
}

impl fmt::Display for OutputId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.shard, self.epoch, self.sequence)
    }
}

impl OutputId {
    /// Reads an id back from a header.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let id = Self {
            shard: parts.next()?.parse().ok()?,
            epoch: parts.next()?.parse().ok()?,
            sequence: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(id)
    }

    /// The id in a record's header, if it has one of ours.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        std::str::from_utf8(record.header(ID_HEADER)?)
            .ok()
            .and_then(Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_print_and_parse() {
        let id = OutputId {
            shard: 7,
            epoch: 1042,
            sequence: 3,
        };
        assert_eq!(id.to_string(), "7-1042-3");
        assert_eq!(OutputId::parse("7-1042-3"), Some(id));
        for bad in ["", "7-1042", "7-1042-3-1", "a-b-c"] {
            assert_eq!(OutputId::parse(bad), None);
        }
    }
}
