//! How an owner comes to own: takeover, newest snapshot, history, replay, and what is left to publish.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::record::{Offset, OffsetRange};

use super::{Ask, Machine, Owner, Pending, Phase, Told};
use crate::epoch::{EpochNumber, Exclusion, Intake, IntakeRecord};
use crate::journal::{EpochEntry, History, JournalEntry};
use crate::port::{PortError, SnapshotName};

/// Records that one read of the sources brings during a replay: more is faster, but is held in memory at once.
const REPLAY_RECORDS: u64 = 50_000;

/// What stands before the machine's own bytes in a snapshot.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct SnapshotHead {
    pub(super) generation: Offset,
    pub(super) published: EpochNumber,
}

/// A snapshot's bytes: what stands before the machine, then the machine.
pub(super) fn encode_snapshot(head: &SnapshotHead, machine: &[u8]) -> Vec<u8> {
    // Plain data into a growing vector: cannot fail. Without a head the bytes would be refused by whoever reads them.
    let mut bytes = postcard::to_stdvec(head).unwrap_or_default();
    bytes.extend_from_slice(machine);
    bytes
}

/// What a snapshot's bytes hold: the generation of the newest record in it, and the machine.
///
/// # Errors
/// When they are none, in words for a person.
pub fn open_snapshot(bytes: &[u8]) -> Result<(Offset, &[u8]), String> {
    postcard::take_from_bytes::<SnapshotHead>(bytes)
        .map(|(head, body)| (head.generation, body))
        .map_err(|error| error.to_string())
}

/// What a recovery has learnt so far.
#[derive(Debug, Default)]
pub(super) struct Replay {
    /// Next journal offset to read; after the snapshot, or the start.
    from: Offset,
    /// Generation of the record before that, if a snapshot told it.
    generation: Option<Offset>,
    /// Committed number, if the log keeps it.
    committed: Option<EpochNumber>,
    /// Epochs to step, in order.
    todo: VecDeque<(Offset, EpochEntry)>,
    /// Epochs of `todo` whose sources are being read.
    reading: usize,
    exclusions: Vec<Exclusion>,
    /// Whether the machine is what was followed, not what a snapshot held.
    pub(super) warm: bool,
    pub(super) epochs: u64,
    pub(super) records: u64,
}

impl Replay {
    /// What must be left out from this epoch on.
    pub(super) fn exclusions_of(&self, epoch: EpochNumber) -> Vec<Exclusion> {
        self.exclusions
            .iter()
            .filter(|exclusion| exclusion.epoch == epoch)
            .cloned()
            .collect()
    }
}

impl<M: Machine> Owner<M> {
    /// Starts, or starts again: memory is thrown away, the shard is taken over. Only who followed keeps what it has: then
    /// the rest of the journal is replayed on that. Answers to asks made before must not be told any more.
    pub fn start(&mut self) -> Vec<Ask> {
        let warm = self.phase == Phase::Following && self.machine.is_some();
        if warm {
            self.phase = Phase::Recovering;
            self.why = Some("taking over".into());
        } else {
            self.drop_memory(Phase::Recovering, "taking over".into());
            self.published = 0;
        }
        self.replay = Replay {
            warm,
            ..Replay::default()
        };
        self.generation = -1;
        self.since_snapshot = (0, 0);
        if self.settings.breaks.replay_first {
            return vec![Ask::LoadSnapshot];
        }
        if !self.settings.atomic_publish {
            return vec![self.takeover()];
        }
        if self.settings.breaks.committed_before_takeover {
            return vec![Ask::ReadCommitted];
        }
        vec![Ask::Fence]
    }

    /// Begins to follow: the newest snapshot, then whatever the shard's owner journals, for as long as nobody starts us.
    /// Nothing is ever appended or published. Answers to asks made before must not be told any more.
    pub fn follow(&mut self) -> Vec<Ask> {
        self.drop_memory(Phase::Following, "following".into());
        self.replay = Replay::default();
        self.generation = -1;
        self.published = 0;
        self.since_snapshot = (0, 0);
        vec![Ask::LoadSnapshot]
    }

    fn takeover(&self) -> Ask {
        Ask::Append(JournalEntry::Takeover {
            owner: self.settings.name.clone(),
        })
    }

    pub(super) fn recover(&mut self, told: Told) -> Vec<Ask> {
        match told {
            Told::Fenced(Ok(())) => vec![self.takeover()],
            Told::Appended(Ok(offset)) => self.taken_over(offset),
            Told::Snapshot(Ok(snapshot)) => self.snapshot_loaded(snapshot.as_ref()),
            Told::Journal(Ok(entries)) => self.journal_read(&entries),
            Told::Committed(Ok(epoch)) => self.committed_read(epoch),
            Told::Grown(Ok(())) => self.read_on(),
            Told::Sources(Ok(records)) => self.sources_read(records),
            Told::Fenced(Err(error))
            | Told::Appended(Err(error))
            | Told::Committed(Err(error))
            | Told::Snapshot(Err(error)) => {
                self.lose(format!("could not take over: {error}"));
                Vec::new()
            }
            Told::Journal(Err(error)) | Told::Sources(Err(error)) | Told::Grown(Err(error)) => {
                self.history_unreadable(&error)
            }
            Told::Published(_) | Told::Kept(_) => Vec::new(),
        }
    }

    /// History that is gone for good needs a person; everything else is tried again.
    fn history_unreadable(&mut self, error: &PortError) -> Vec<Ask> {
        use crate::port::PortErrorKind::{Corrupt, OutOfRange};
        // Who follows begins again with a newer snapshot.
        let needed = self.phase != Phase::Following;
        let phase = if needed && matches!(error.kind, Corrupt | OutOfRange) {
            Phase::Stuck
        } else {
            Phase::Lost
        };
        self.drop_memory(phase, format!("history could not be read: {error}"));
        Vec::new()
    }

    fn taken_over(&mut self, offset: Offset) -> Vec<Ask> {
        self.generation = offset;
        self.known = offset + 1;
        if self.settings.breaks.replay_first {
            return self.ready();
        }
        if self.replay.warm {
            // What was followed is a snapshot after the newest epoch that was replayed.
            self.replay.from = self.acknowledged + 1;
            self.replay.generation = (self.acknowledged >= 0).then_some(self.acknowledged_by);
            return self.read_on();
        }
        vec![Ask::LoadSnapshot]
    }

    /// The journal from where we are.
    fn read_on(&self) -> Vec<Ask> {
        let to = if self.generation >= 0 {
            self.generation
        } else {
            Offset::MAX
        };
        vec![Ask::ReadJournal {
            from: self.replay.from,
            to,
        }]
    }

    fn snapshot_loaded(&mut self, snapshot: Option<&(SnapshotName, Vec<u8>)>) -> Vec<Ask> {
        let made = match snapshot {
            Some((_, bytes)) => postcard::take_from_bytes::<SnapshotHead>(bytes)
                .map_err(|error| error.to_string())
                .and_then(|(head, body)| {
                    (self.make)(Some(body)).map(|machine| (Some(head), machine))
                }),
            None => (self.make)(None).map(|machine| (None, machine)),
        };
        match made {
            Err(why) => {
                let phase = if self.phase == Phase::Following {
                    Phase::Lost
                } else {
                    Phase::Stuck
                };
                self.drop_memory(phase, format!("snapshot cannot be used: {why}"));
                return Vec::new();
            }
            Ok((head, machine)) => {
                self.published = head.map_or(0, |head| head.published);
                self.acknowledged_by = head.map_or(-1, |head| head.generation);
                self.replay.generation = head.map(|head| head.generation);
                self.machine = Some(machine);
            }
        }
        self.acknowledged = snapshot.map_or(-1, |(name, _)| name.journal);
        self.replay.from = self.acknowledged + 1;
        self.read_on()
    }

    fn journal_read(&mut self, entries: &[(Offset, JournalEntry)]) -> Vec<Ask> {
        let after = self.machine.as_ref().map_or(0, M::epoch);
        let history = History::read(entries, self.replay.generation, after, self.history_rules());
        let following = self.phase == Phase::Following;
        // What was followed without being published can still be taken back by its next owner: then it is of no use.
        let taken_back = history.exclusions.iter().any(|one| one.epoch <= after);
        if taken_back && (following || self.replay.warm) {
            self.machine = None;
            self.queue.clear();
            self.published = 0;
            self.replay = Replay::default();
            return vec![Ask::LoadSnapshot];
        }
        self.published = self.published.max(history.published);
        self.replay.todo = history.epochs.into();
        if following {
            self.followed(entries);
            self.replay.exclusions.extend(history.exclusions);
            return self.replay_next();
        }
        self.replay.exclusions = history.exclusions;
        let trust = self.settings.atomic_publish && !self.settings.breaks.offsets_advisory;
        if trust && !self.settings.breaks.committed_before_takeover {
            return vec![Ask::ReadCommitted];
        }
        if let Some(committed) = self.replay.committed.filter(|_| trust) {
            self.published = self.published.max(committed);
        }
        self.replay_next()
    }

    /// Notes how far the journal was read, and forgets what nobody will need any more.
    fn followed(&mut self, entries: &[(Offset, JournalEntry)]) {
        for (offset, entry) in entries {
            self.replay.from = offset + 1;
            if matches!(entry, JournalEntry::Takeover { .. }) {
                self.replay.generation = Some(*offset);
            }
        }
        let (published, epoch) = (self.published, self.epoch());
        self.queue.retain(|pending| pending.epoch > published);
        self.replay.exclusions.retain(|one| one.epoch > epoch);
    }

    fn committed_read(&mut self, epoch: Option<EpochNumber>) -> Vec<Ask> {
        self.replay.committed = epoch;
        if self.generation < 0 {
            return vec![Ask::Fence];
        }
        // What the log committed with the outputs is exact; what the journal says is at most that.
        self.published = self.published.max(epoch.unwrap_or(0));
        self.replay_next()
    }

    /// Asks for the sources of as many epochs as fit in one read; their ranges follow each other without a hole.
    fn replay_next(&mut self) -> Vec<Ask> {
        let mut ranges: Vec<OffsetRange> = Vec::new();
        let mut count = 0;
        let mut records = 0;
        for (_, entry) in &self.replay.todo {
            let more = entry.records;
            let goes_on = follows(&ranges, &entry.ranges);
            if count > 0 && (records + more > REPLAY_RECORDS || !goes_on) {
                break;
            }
            merge(&mut ranges, &entry.ranges);
            count += 1;
            records += more;
        }
        self.replay.reading = count;
        if count == 0 && self.phase == Phase::Following {
            return vec![Ask::AwaitJournal(self.replay.from)];
        }
        if count == 0 {
            if self.settings.breaks.replay_first && self.generation < 0 {
                return vec![self.takeover()];
            }
            return self.ready();
        }
        if records == 0 {
            return self.sources_read(Vec::new());
        }
        vec![Ask::ReadSources(ranges)]
    }

    fn sources_read(&mut self, records: Vec<IntakeRecord>) -> Vec<Ask> {
        let entries: Vec<_> = self
            .replay
            .todo
            .drain(..self.replay.reading.min(self.replay.todo.len()))
            .collect();
        let mut shares = share_out(&entries, records);
        for (offset, entry) in entries {
            let records = shares.pop_front().unwrap_or_default();
            let wanted = entry.records;
            if records.len() as u64 != wanted {
                let why = format!(
                    "epoch {} read {wanted} records, the sources now hold {}",
                    entry.epoch,
                    records.len()
                );
                let phase = if self.phase == Phase::Following {
                    Phase::Lost
                } else {
                    Phase::Stuck
                };
                self.drop_memory(phase, why);
                return Vec::new();
            }
            if let Some(asks) = self.replay_one(offset, entry, records) {
                return asks;
            }
        }
        self.replay_next()
    }

    /// Steps one epoch of the history; `Some` ends the replay.
    fn replay_one(
        &mut self,
        offset: Offset,
        entry: EpochEntry,
        records: Vec<IntakeRecord>,
    ) -> Option<Vec<Ask>> {
        self.replay.epochs += 1;
        self.replay.records += records.len() as u64;
        let exclusions = self.replay.exclusions_of(entry.epoch);
        let intake = Intake {
            epoch: entry.epoch,
            ranges: entry.ranges,
            records,
            clock: entry.clock,
            exclusions,
            careful: self.careful.is_some_and(|from| entry.epoch >= from),
        };
        match self.machine.as_mut()?.step(&intake) {
            Ok(step) => {
                self.acknowledged = offset;
                self.acknowledged_by = entry.generation;
                if step.number > self.published {
                    self.queue.push_back(Pending {
                        epoch: step.number,
                        outputs: step.outputs,
                    });
                }
                None
            }
            // The owner knows what to do about it; nothing of it is ours.
            Err(fault) if self.phase == Phase::Following => {
                self.lose(fault.to_string());
                Some(Vec::new())
            }
            // What others have seen cannot be made undone: a step that worked once and now breaks needs a person.
            Err(fault) if fault.epoch <= self.published => {
                let why = format!("a published epoch cannot be replayed: {fault}");
                self.drop_memory(Phase::Stuck, why);
                Some(Vec::new())
            }
            Err(fault) => Some(self.fault(fault).into_iter().collect()),
        }
    }

    fn ready(&mut self) -> Vec<Ask> {
        self.phase = Phase::Ready;
        self.why = None;
        // How far what was followed is from the newest snapshot nobody counted; that it may be is enough to renew it in time.
        let least = u64::from(self.replay.warm);
        self.since_snapshot = (self.replay.epochs.max(least), self.replay.records);
        let published = self.published;
        self.queue.retain(|pending| pending.epoch > published);
        self.publish_next()
    }
}

/// Whether the ranges of the next epoch go on where the last ones ended. Where they do not, a reading began in between, and
/// only the machine can say which topic it is of.
fn follows(ranges: &[OffsetRange], next: &[OffsetRange]) -> bool {
    let goes_on = |(known, next): (&OffsetRange, &OffsetRange)| known.to == next.from;
    ranges.len() == next.len() && ranges.iter().zip(next).all(goes_on)
}

/// Extends ranges by those of the next epoch.
fn merge(ranges: &mut Vec<OffsetRange>, next: &[OffsetRange]) {
    for (index, range) in next.iter().enumerate() {
        match ranges.get_mut(index) {
            Some(known) if known.from == known.to => *known = *range,
            Some(known) if range.from < range.to => known.to = range.to,
            Some(_) => {}
            None => ranges.push(*range),
        }
    }
}

/// Deals records out to the epochs whose ranges hold them.
fn share_out(
    entries: &[(Offset, EpochEntry)],
    records: Vec<IntakeRecord>,
) -> VecDeque<Vec<IntakeRecord>> {
    let mut by_source: Vec<VecDeque<IntakeRecord>> = Vec::new();
    for record in records {
        let source = usize::from(record.source);
        if by_source.len() <= source {
            by_source.resize_with(source + 1, VecDeque::new);
        }
        if let Some(queue) = by_source.get_mut(source) {
            queue.push_back(record);
        }
    }
    let take = |entry: &EpochEntry, by_source: &mut Vec<VecDeque<IntakeRecord>>| {
        let mut share = Vec::new();
        for (range, queue) in entry.ranges.iter().zip(by_source.iter_mut()) {
            while queue.front().is_some_and(|record| record.offset < range.to) {
                share.extend(queue.pop_front());
            }
        }
        share
    };
    entries
        .iter()
        .map(|(_, entry)| take(entry, &mut by_source))
        .collect()
}
