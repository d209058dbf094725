//! [`World`]: what is outside the owners of a shard: its journal, its source, what was published, its snapshots.

use std::collections::BTreeMap;

use tidegate_actors::epoch::{EpochNumber, IntakeRecord, OutputId};
use tidegate_actors::journal::JournalEntry;
use tidegate_actors::owner::{Ask, Publish, Told};
use tidegate_actors::port::{PortError, PortErrorKind, SnapshotName};
use tidegate_proto::record::{Offset, OffsetRange, Record};

use super::Plan;
use crate::random::Random;

/// A published output: id, where it went, body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Id in its header.
    pub id: OutputId,
    /// Destination.
    pub to: String,
    /// Body.
    pub body: String,
    /// Why, for a dead letter.
    pub reason: Option<String>,
}

/// The world outside the owners.
#[derive(Debug, Default)]
pub struct World {
    /// The journal.
    pub journal: Vec<JournalEntry>,
    /// The source topic.
    pub source: Vec<Record>,
    /// Everything published, in log order.
    pub outputs: Vec<Published>,
    /// Epoch number committed with the outputs.
    pub committed: Option<EpochNumber>,
    /// Snapshots.
    pub snapshots: BTreeMap<SnapshotName, Vec<u8>>,
    /// Who may publish, with atomic publication: owner and life.
    pub publisher: Option<(usize, u64)>,
    /// Wall clock.
    pub now: i64,
}

impl World {
    /// A world whose source has the rules and so many events.
    pub(crate) fn filled(events: u32, random: &mut Random) -> Self {
        let mut world = Self {
            source: super::workload::setup(None),
            now: 1_000_000,
            ..Self::default()
        };
        for number in 0..i64::from(events) {
            world.now += random.below(400) as i64;
            let record = super::workload::event(number, world.now, None, random);
            world.source.push(record);
        }
        world
    }

    /// What must be true when everything came out.
    ///
    /// # Errors
    /// What is not.
    pub(crate) fn hold(&self, plan: &Plan) -> Result<(), String> {
        super::check::finished(self, plan)
    }

    /// Records of the source.
    pub(crate) fn records(&self, range: OffsetRange) -> Vec<IntakeRecord> {
        let offsets = range.from..range.to;
        offsets
            .filter_map(|offset| {
                Some(IntakeRecord {
                    source: 0,
                    offset,
                    record: self.source.get(offset as usize)?.clone(),
                })
            })
            .collect()
    }

    /// Carries an ask of an owner's life out, well.
    pub(crate) fn carry_out(&mut self, ask: Ask, by: (usize, u64), atomic: bool) -> Told {
        match ask {
            Ask::Fence => {
                self.publisher = Some(by);
                Told::Fenced(Ok(()))
            }
            Ask::Append(entry) => {
                self.journal.push(entry);
                Told::Appended(Ok(self.journal.len() as Offset - 1))
            }
            Ask::LoadSnapshot => Told::Snapshot(Ok(self.newest_snapshot())),
            Ask::ReadJournal { from, to } => Told::Journal(Ok(self.journal_between(from, to))),
            // Nothing may have come: who follows looks again.
            Ask::AwaitJournal(_) => Told::Grown(Ok(())),
            Ask::ReadCommitted => Told::Committed(Ok(self.committed)),
            Ask::ReadSources(ranges) => {
                let range = ranges.first().copied().unwrap_or_default();
                Told::Sources(Ok(self.records(range)))
            }
            Ask::Publish(_) if atomic && self.publisher != Some(by) => {
                Told::Published(Err(PortError::new(PortErrorKind::Closed, "fenced")))
            }
            Ask::Publish(publish) => {
                self.publish(&publish, atomic);
                Told::Published(Ok(()))
            }
            Ask::Keep { name, bytes, .. } => {
                self.keep(name, bytes);
                Told::Kept(Ok(()))
            }
        }
    }

    fn publish(&mut self, publish: &Publish, atomic: bool) {
        let outputs = publish.outputs.iter().map(super::check::published);
        self.outputs.extend(outputs);
        if atomic {
            self.committed = Some(publish.epoch);
        }
    }

    fn journal_between(&self, from: Offset, to: Offset) -> Vec<(Offset, JournalEntry)> {
        let from = from.max(0);
        let entries = (from..to).map_while(|at| Some((at, self.journal.get(at as usize)?.clone())));
        entries.collect()
    }

    fn newest_snapshot(&self) -> Option<(SnapshotName, Vec<u8>)> {
        let newest = self.snapshots.iter().next_back();
        newest.map(|(name, bytes)| (*name, bytes.clone()))
    }

    fn keep(&mut self, name: SnapshotName, bytes: Vec<u8>) {
        self.snapshots.insert(name, bytes);
        while self.snapshots.len() > 3 {
            self.snapshots.pop_first();
        }
    }
}
