//! [`Owner`]: who drives one shard. A state machine without I/O: it says what to do next ([`Ask`]) and is told what came
//! of it ([`Told`]). The live host and the simulation run the very same code.
//!
//! Invariants (DESIGN section 2, explored in `shared/model/takeover.py`):
//! - a start is a takeover: its record is appended, its offset learnt, and only then is the history read up to it;
//! - an epoch's outputs leave only after its journal record is acknowledged and everything written between two own
//!   appends was looked at: a newer takeover there means that we are fenced, and nothing unpublished ever leaves;
//! - epochs are published in order, and the journal says how far;
//! - a snapshot holds only acknowledged, published epochs;
//! - a failed append, a lost report and a faulty step throw the memory away: the journal decides what happened.

mod contract;
mod recovery;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;

use tidegate_proto::record::{Offset, OffsetRange, Partition};
use tidegate_proto::time::Timestamp;

use crate::epoch::{EpochNumber, Exclusion, Intake, IntakeRecord, Output};
use crate::journal::{EpochEntry, HistoryRules, JournalEntry};
use crate::port::{PortError, PortErrorKind, SnapshotName};
use crate::source::Reading;
use recovery::Replay;

pub use recovery::open_snapshot;

pub use contract::{Ask, Breaks, Machine, Make, OwnerSettings, Publish, Recovery, StepFault, Told};

/// Where an owner stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not started.
    Off,
    /// Does not own the shard, but replays what its owner journals, so that taking it over is short.
    Following,
    /// Taking over, reading history, replaying.
    Recovering,
    /// Takes epochs.
    Ready,
    /// Somebody newer owns the shard; nothing more leaves. Start again if the shard is still ours.
    Fenced,
    /// An append failed or a step was faulty; start again with backoff.
    Lost,
    /// Cannot go on without a person: damaged history, lost sources.
    Stuck,
}

/// An acknowledged or appended epoch whose outputs have not left.
#[derive(Debug)]
struct Pending {
    epoch: EpochNumber,
    outputs: Vec<Output>,
}

/// What was appended and not yet acknowledged.
#[derive(Debug)]
enum Flight {
    Epoch(Pending),
    /// Its report came with this offset; the gap before it is being read.
    Gap(Pending, Offset),
    /// An exclusion; then the memory is thrown away.
    Exclude,
}

/// Drives one shard.
pub struct Owner<M> {
    shard: Partition,
    settings: OwnerSettings,
    make: Make<M>,
    phase: Phase,
    why: Option<String>,
    machine: Option<M>,
    generation: Offset,
    known: Offset,
    acknowledged: Offset,
    /// Generation of the record at `acknowledged`.
    acknowledged_by: Offset,
    flight: Option<Flight>,
    queue: VecDeque<Pending>,
    /// Epochs whose outputs are on their way out.
    publishing: Option<Vec<EpochNumber>>,
    published: EpochNumber,
    replay: Replay,
    since_snapshot: (u64, u64),
    keeping: bool,
    /// Take records one at a time from this epoch on: a fault there did not say which record it was.
    careful: Option<EpochNumber>,
}

impl<M> fmt::Debug for Owner<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("shard", &self.shard)
            .field("phase", &self.phase)
            .field("generation", &self.generation)
            .field("published", &self.published)
            .finish_non_exhaustive()
    }
}

impl<M: Machine> Owner<M> {
    /// An owner that has not started.
    pub fn new(shard: Partition, settings: OwnerSettings, make: Make<M>) -> Self {
        Self {
            shard,
            settings,
            make,
            phase: Phase::Off,
            why: None,
            machine: None,
            generation: -1,
            known: 0,
            acknowledged: -1,
            acknowledged_by: -1,
            flight: None,
            queue: VecDeque::new(),
            publishing: None,
            published: 0,
            replay: Replay::default(),
            since_snapshot: (0, 0),
            keeping: false,
            careful: None,
        }
    }

    /// Where it stands.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Why it is fenced, lost or stuck.
    pub fn why(&self) -> Option<&str> {
        self.why.as_deref()
    }

    /// Offset of the own takeover record.
    pub const fn generation(&self) -> Offset {
        self.generation
    }

    /// Newest epoch whose outputs are out.
    pub const fn published(&self) -> EpochNumber {
        self.published
    }

    /// The machine, if its newest epoch is acknowledged: only acknowledged epochs exist for others.
    pub fn acknowledged(&self) -> Option<&M> {
        if self.phase == Phase::Ready && self.flight.is_none() {
            self.machine.as_ref()
        } else {
            None
        }
    }

    /// Next offsets to take, when ready.
    pub fn positions(&self) -> Option<Vec<Offset>> {
        (self.phase == Phase::Ready).then(|| self.machine.as_ref().map(M::positions))?
    }

    /// The topics that the machine reads, by source number; empty without a machine.
    pub fn readings(&self) -> Vec<Reading> {
        self.machine.as_ref().map(M::readings).unwrap_or_default()
    }

    /// The journalled clock.
    pub fn clock(&self) -> Timestamp {
        self.machine.as_ref().map_or(Timestamp::MIN, M::clock)
    }

    /// Whether an epoch may begin now.
    pub fn can_begin(&self) -> bool {
        self.phase == Phase::Ready
            && self.flight.is_none()
            && self.queue.len() + self.publishing.as_ref().map_or(0, Vec::len)
                < self.settings.unpublished
            && !self.snapshot_due()
    }

    /// How the last takeover went, or how far following is.
    pub const fn recovery(&self) -> Recovery {
        Recovery {
            warm: self.replay.warm,
            epochs: self.replay.epochs,
            records: self.replay.records,
        }
    }

    /// Number of the newest epoch in memory; 0: none.
    pub fn epoch(&self) -> EpochNumber {
        self.machine.as_ref().map_or(0, M::epoch)
    }

    /// Whether nothing is under way: everything acknowledged is published.
    pub fn is_idle(&self) -> bool {
        self.flight.is_none() && self.queue.is_empty() && self.publishing.is_none()
    }

    /// Whether epochs were begun or replayed since the newest snapshot.
    pub const fn is_ahead_of_snapshot(&self) -> bool {
        self.since_snapshot.0 > 0
    }

    /// Whether a snapshot is being written.
    pub const fn is_keeping(&self) -> bool {
        self.keeping
    }

    /// Begins the next epoch: appends its journal record and steps the machine while that is under way. Records must be
    /// those of `ranges`, which must start at [`Owner::positions`].
    pub fn begin(
        &mut self,
        ranges: Vec<OffsetRange>,
        records: Vec<IntakeRecord>,
        clock: Timestamp,
    ) -> Vec<Ask> {
        let Some(machine) = self
            .machine
            .as_mut()
            .filter(|_| self.phase == Phase::Ready && self.flight.is_none())
        else {
            return Vec::new();
        };
        let epoch = machine.epoch() + 1;
        let clock = clock.max(machine.clock());
        let entry = EpochEntry {
            generation: self.generation,
            epoch,
            ranges: ranges.clone(),
            records: records.len() as u64,
            clock,
            published: self.published,
        };
        self.since_snapshot.0 += 1;
        self.since_snapshot.1 += records.len() as u64;
        let intake = Intake {
            epoch,
            ranges,
            records,
            clock,
            exclusions: self.replay.exclusions_of(epoch),
            careful: self.careful.is_some_and(|from| epoch >= from),
        };
        let mut asks = Vec::new();
        match machine.step(&intake) {
            Ok(step) => {
                self.careful = None;
                if self.settings.breaks.publish_before_ack {
                    asks.push(Ask::Publish(Publish {
                        epoch,
                        outputs: step.outputs.clone(),
                        positions: machine.positions(),
                    }));
                }
                self.flight = Some(Flight::Epoch(Pending {
                    epoch,
                    outputs: step.outputs,
                }));
                asks.push(Ask::Append(JournalEntry::Epoch(entry)));
                if self.settings.breaks.snapshot_unacknowledged && self.snapshot_due() {
                    asks.extend(self.take_snapshot());
                }
            }
            // The epoch is never journalled: nothing of it happened. What must be left out is, and replay obeys.
            Err(fault) => asks.extend(self.fault(fault)),
        }
        asks
    }

    /// A step broke: its memory goes. Without a culprit there is nothing to leave out, and trying again would break again.
    fn fault(&mut self, fault: StepFault) -> Option<Ask> {
        let why = fault.to_string();
        if fault.vague {
            self.careful = Some(fault.epoch);
            self.lose(why);
            return None;
        }
        let Some(culprit) = fault.culprit else {
            self.drop_memory(Phase::Stuck, why);
            return None;
        };
        let exclusion = Exclusion {
            epoch: fault.epoch,
            culprit,
            at: fault.at,
            changing: fault.changing,
            reason: fault.reason,
        };
        self.lose(why);
        self.flight = Some(Flight::Exclude);
        Some(Ask::Append(JournalEntry::Exclude {
            generation: self.generation,
            exclusion,
        }))
    }

    /// Takes what came of an ask; answers with what to do next.
    pub fn told(&mut self, told: Told) -> Vec<Ask> {
        match (self.phase, told) {
            (Phase::Recovering | Phase::Following, told) => self.recover(told),
            (_, Told::Appended(report)) => self.appended(report),
            (_, Told::Journal(entries)) => self.gap_read(entries),
            (_, Told::Published(report)) => self.publication_told(report),
            (_, Told::Kept(report)) => {
                self.keeping = false;
                if let Err(error) = report {
                    self.why = Some(format!("snapshot not kept: {error}"));
                }
                // The next one may have come due meanwhile. No epoch begins before it is taken, so nothing else would.
                self.publish_next()
            }
            // Answers to a life that is over.
            _ => Vec::new(),
        }
    }

    fn appended(&mut self, report: Result<Offset, PortError>) -> Vec<Ask> {
        match (self.flight.take(), report) {
            (Some(Flight::Exclude), _) => Vec::new(),
            (Some(_), Err(error)) => {
                self.lose(format!("journal append failed: {error}"));
                Vec::new()
            }
            (Some(Flight::Epoch(pending)), Ok(offset)) => {
                if offset > self.known && !self.settings.breaks.no_gap_check {
                    let from = self.known;
                    self.flight = Some(Flight::Gap(pending, offset));
                    return vec![Ask::ReadJournal { from, to: offset }];
                }
                self.acknowledge(pending, offset)
            }
            (flight, _) => {
                self.flight = flight;
                Vec::new()
            }
        }
    }

    fn gap_read(&mut self, entries: Result<Vec<(Offset, JournalEntry)>, PortError>) -> Vec<Ask> {
        let Some(Flight::Gap(pending, offset)) = self.flight.take() else {
            return Vec::new();
        };
        match entries {
            Err(error) => {
                self.lose(format!("journal could not be read: {error}"));
                Vec::new()
            }
            Ok(entries)
                if entries
                    .iter()
                    .any(|(_, e)| matches!(e, JournalEntry::Takeover { .. })) =>
            {
                self.drop_memory(Phase::Fenced, "a newer owner has taken over".into());
                Vec::new()
            }
            Ok(_) => self.acknowledge(pending, offset),
        }
    }

    fn acknowledge(&mut self, pending: Pending, offset: Offset) -> Vec<Ask> {
        self.known = offset + 1;
        self.acknowledged = offset;
        self.acknowledged_by = self.generation;
        if self.settings.breaks.publish_before_ack {
            self.published = pending.epoch;
        } else {
            self.queue.push_back(pending);
        }
        self.publish_next()
    }

    fn publish_next(&mut self) -> Vec<Ask> {
        if self.publishing.is_some() || self.phase != Phase::Ready {
            return Vec::new();
        }
        if self.queue.is_empty() {
            return self.snapshot_if_due();
        }
        let batch: Vec<Pending> = self.queue.drain(..).collect();
        let numbers: Vec<_> = batch.iter().map(|pending| pending.epoch).collect();
        let ask = self.publication(batch);
        self.publishing = Some(numbers);
        vec![ask]
    }

    fn publication(&self, batch: Vec<Pending>) -> Ask {
        let epoch = batch.last().map_or(self.published, |pending| pending.epoch);
        let outputs = batch.into_iter().flat_map(|pending| pending.outputs);
        let positions = self.machine.as_ref().map(M::positions).unwrap_or_default();
        Ask::Publish(Publish {
            epoch,
            outputs: outputs.collect(),
            positions,
        })
    }

    fn publication_told(&mut self, report: Result<(), PortError>) -> Vec<Ask> {
        let Some(batch) = self.publishing.take() else {
            return Vec::new();
        };
        match report {
            Ok(()) => {
                self.published = batch.last().copied().unwrap_or(self.published);
                self.publish_next()
            }
            Err(error) => {
                // In doubt or not: the journal has the epochs, so a new takeover sends them again with the same ids.
                self.lose(format!("publication failed: {error}"));
                Vec::new()
            }
        }
    }

    fn snapshot_due(&self) -> bool {
        !self.keeping
            && (self.since_snapshot.0 >= self.settings.snapshot_epochs
                || self.since_snapshot.1 >= self.settings.snapshot_records)
    }

    fn snapshot_if_due(&mut self) -> Vec<Ask> {
        if self.snapshot_due() && self.flight.is_none() {
            self.take_snapshot()
        } else {
            Vec::new()
        }
    }

    /// Takes a snapshot now if everything acknowledged is published; a drain asks for it before it exits.
    pub fn take_snapshot(&mut self) -> Vec<Ask> {
        let whole = self.is_idle() || self.settings.breaks.snapshot_unacknowledged;
        let Some(machine) = self
            .machine
            .as_ref()
            .filter(|_| self.phase == Phase::Ready && whole)
        else {
            return Vec::new();
        };
        if self.acknowledged < 0 {
            return Vec::new();
        }
        let head = recovery::SnapshotHead {
            // Not ours: what follows this epoch in the journal may still be of the owner who wrote it.
            generation: self.acknowledged_by,
            published: machine.epoch(),
        };
        let bytes = recovery::encode_snapshot(&head, &machine.snapshot());
        let positions = machine.positions();
        self.since_snapshot = (0, 0);
        self.keeping = true;
        vec![Ask::Keep {
            name: SnapshotName {
                shard: self.shard,
                journal: self.acknowledged,
            },
            bytes,
            positions,
        }]
    }

    /// What feeds the shard has failed: begin again from what the journal says, or, when what is next to be taken is
    /// damaged or gone for good, stop and say so. Without that a shard would take over for ever and always look ready.
    pub fn intake_failed(&mut self, error: &PortError) {
        let phase = if matches!(
            error.kind,
            PortErrorKind::Corrupt | PortErrorKind::OutOfRange
        ) {
            Phase::Stuck
        } else {
            Phase::Lost
        };
        self.drop_memory(phase, format!("what comes next could not be read: {error}"));
    }

    fn lose(&mut self, why: String) {
        self.drop_memory(Phase::Lost, why);
    }

    fn drop_memory(&mut self, phase: Phase, why: String) {
        self.phase = phase;
        self.why = Some(why);
        self.machine = None;
        self.flight = None;
        self.queue.clear();
        self.publishing = None;
        self.keeping = false;
    }

    const fn history_rules(&self) -> HistoryRules {
        HistoryRules {
            count_void: self.settings.breaks.count_void,
        }
    }
}
