//! What an owner is set up with, asks for and is told: its whole contract with the world.

use std::fmt;

use tidegate_proto::record::{Offset, OffsetRange};
use tidegate_proto::time::Timestamp;

use crate::epoch::{Culprit, Epoch, EpochNumber, Intake, IntakeRecord, Output, Place};
use crate::journal::JournalEntry;
use crate::port::{PortError, SnapshotName};
use crate::source::Reading;

/// What an owner drives: a pure function of its journal.
pub trait Machine: Sized {
    /// One atomic step. After a fault the machine must not be used again.
    ///
    /// # Errors
    /// When a part of it could not finish; the fault names what to leave out.
    fn step(&mut self, intake: &Intake) -> Result<Epoch, StepFault>;
    /// Number of the last step.
    fn epoch(&self) -> EpochNumber;
    /// Clock after the last step.
    fn clock(&self) -> Timestamp;
    /// Next offset to read, by source.
    fn positions(&self) -> Vec<Offset>;
    /// The topics that it reads, by source number: topics only ever come in behind those that are there.
    fn readings(&self) -> Vec<Reading>;
    /// The whole state.
    fn snapshot(&self) -> Vec<u8>;
}

/// A step that could not be finished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct StepFault {
    /// The epoch.
    pub epoch: EpochNumber,
    /// Who broke it; `None`: nobody that could be left out.
    pub culprit: Option<Culprit>,
    /// On which record; `None`: on the clock.
    pub at: Option<Place>,
    /// Whether a rule broke while it was coming, changing or going.
    pub changing: bool,
    /// Whether other records were being taken at the same time: only a careful step will tell which it was.
    pub vague: bool,
    /// What happened.
    pub reason: String,
}

impl fmt::Display for StepFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.culprit {
            Some(Culprit::Rules(rules)) => write!(f, "rule `{}`", rules.join("`, `"))?,
            Some(Culprit::Resource(id)) => write!(f, "resource `{id}`")?,
            Some(Culprit::Record) => write!(f, "a record")?,
            None => write!(f, "something that cannot be left out")?,
        }
        write!(f, " broke the step of epoch {}", self.epoch)?;
        match self.at {
            Some(at) if self.vague => write!(f, " near source {} offset {}", at.source, at.offset)?,
            Some(at) => write!(f, " at source {} offset {}", at.source, at.offset)?,
            None => {}
        }
        write!(f, ": {}", self.reason)
    }
}

/// Makes a machine: new, or from a snapshot's bytes.
pub type Make<M> = Box<dyn Fn(Option<&[u8]>) -> Result<M, String> + Send>;

/// What the owner wants done. One answer each, in any order between different asks.
#[derive(Clone, Debug)]
pub enum Ask {
    /// With `atomic_publish`: end whatever publication of a predecessor is open and own the right to publish from here on;
    /// answer [`Told::Fenced`].
    Fence,
    /// Append to the journal; answer [`Told::Appended`].
    Append(JournalEntry),
    /// The newest snapshot that can be read, damaged ones set aside; answer [`Told::Snapshot`].
    LoadSnapshot,
    /// Journal records `[from, to)`; answer [`Told::Journal`].
    ReadJournal {
        /// First offset; the start of the journal if nothing is known.
        from: Offset,
        /// First offset not wanted.
        to: Offset,
    },
    /// Wait until the journal has a record at this offset, or a while; answer [`Told::Grown`]. A follower asks for it.
    AwaitJournal(Offset),
    /// How far the publications of this shard are committed, by the log itself; answer [`Told::Committed`].
    ReadCommitted,
    /// Records of the sources, all ranges in order; answer [`Told::Sources`].
    ReadSources(Vec<OffsetRange>),
    /// Publish in order, all or nothing where the log can; answer [`Told::Published`].
    Publish(Publish),
    /// Keep a snapshot, in the background; answer [`Told::Kept`].
    Keep {
        /// Name.
        name: SnapshotName,
        /// Bytes.
        bytes: Vec<u8>,
        /// Positions in the sources: nothing before them is needed to replay from this snapshot.
        positions: Vec<Offset>,
    },
}

/// Outputs of one or more acknowledged epochs, in order.
#[derive(Clone, Debug, Default)]
pub struct Publish {
    /// Newest epoch in it.
    pub epoch: EpochNumber,
    /// All outputs.
    pub outputs: Vec<Output>,
    /// Next offset to read by source, advisory.
    pub positions: Vec<Offset>,
}

/// What came of an ask.
#[derive(Debug)]
pub enum Told {
    /// Of [`Ask::Fence`].
    Fenced(Result<(), PortError>),
    /// Of [`Ask::Append`]: where it stands.
    Appended(Result<Offset, PortError>),
    /// Of [`Ask::LoadSnapshot`].
    Snapshot(Result<Option<(SnapshotName, Vec<u8>)>, PortError>),
    /// Of [`Ask::ReadJournal`].
    Journal(Result<Vec<(Offset, JournalEntry)>, PortError>),
    /// Of [`Ask::AwaitJournal`].
    Grown(Result<(), PortError>),
    /// Of [`Ask::ReadCommitted`].
    Committed(Result<Option<EpochNumber>, PortError>),
    /// Of [`Ask::ReadSources`].
    Sources(Result<Vec<IntakeRecord>, PortError>),
    /// Of [`Ask::Publish`].
    Published(Result<(), PortError>),
    /// Of [`Ask::Keep`].
    Kept(Result<(), PortError>),
}

/// What a recovery replayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// It went on from what was followed before, not from a snapshot.
    pub warm: bool,
    /// Epochs replayed.
    pub epochs: u64,
    /// Their records.
    pub records: u64,
}

/// Settings of an owner.
#[derive(Clone, Debug)]
pub struct OwnerSettings {
    /// Who we are, for people who read the journal.
    pub name: String,
    /// A snapshot every so many epochs: fewer means longer replays, more means more writing.
    pub snapshot_epochs: u64,
    /// A snapshot every so many records taken, whichever comes first.
    pub snapshot_records: u64,
    /// Acknowledged epochs that may wait for publication before no new one begins.
    pub unpublished: usize,
    /// Whether the log commits outputs and the epoch's number in one: then that number, read after the takeover, is the
    /// truth; otherwise the journal's `published` is, and the last epochs may be sent again with the same ids.
    pub atomic_publish: bool,
    /// Guards switched off on purpose: only a simulation does that.
    pub breaks: Breaks,
}

impl Default for OwnerSettings {
    fn default() -> Self {
        Self {
            name: "owner".into(),
            snapshot_epochs: 2_000,
            snapshot_records: 1_000_000,
            unpublished: 4,
            atomic_publish: false,
            breaks: Breaks::default(),
        }
    }
}

/// Guards that a simulation switches off, one at a time, to show that it notices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Breaks {
    /// Replay before the takeover record is appended.
    pub replay_first: bool,
    /// Publish without looking at what was written between two own appends.
    pub no_gap_check: bool,
    /// Count records of older generations.
    pub count_void: bool,
    /// Publish as soon as the epoch is computed.
    pub publish_before_ack: bool,
    /// With `atomic_publish`: trust the journal's `published` instead of the committed number.
    pub offsets_advisory: bool,
    /// With `atomic_publish`: read the committed number before the takeover.
    pub committed_before_takeover: bool,
    /// Keep a snapshot whose newest epoch is not acknowledged.
    pub snapshot_unacknowledged: bool,
}
