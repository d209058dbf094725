//! What must hold: invariants I1–I7 of the reliability reference, as far as one shard and its log have them.
//!
//! - S1/I2: every published output is an output of the valid history, with that history's bytes; a repeat is byte-equal;
//! - S2/I3: a receiver that drops ids at or below its watermark sees every epoch's outputs in order, without a hole
//!   (with atomic publication: the log itself holds each once);
//! - L1/I1/I7: when the faults end, everything comes out;
//! - I4: the state equals a fold of the input, one record at a time, by a machine that never crashed.

use std::collections::BTreeMap;

use tidegate_actors::epoch::{
    Destination, Epoch, EpochNumber, Exclusion, Intake, IntakeRecord, Output, OutputId,
};
use tidegate_actors::journal::{History, HistoryRules, JournalEntry};
use tidegate_actors::owner::{Machine as _, Owner, Phase};
use tidegate_actors::shard::{Shard, ShardSettings};
use tidegate_proto::record::{Offset, OffsetRange, Record};
use tidegate_proto::time::Timestamp;

use super::{Brittle, Plan, Published, World};

pub(super) fn published(output: &Output) -> Published {
    Published {
        id: OutputId::of(&output.record).unwrap_or(OutputId {
            shard: u32::MAX,
            epoch: 0,
            sequence: 0,
        }),
        to: format!("{:?}", output.destination),
        body: String::from_utf8_lossy(output.record.value.as_deref().unwrap_or_default())
            .into_owned(),
        reason: output
            .record
            .header("dlq.reason")
            .map(|reason| String::from_utf8_lossy(reason).into_owned()),
    }
}

/// No owner may be stuck, and none that shows itself may be ahead of the valid history.
pub(super) fn owners(world: &World, owners: &[Owner<Shard>]) -> Result<(), String> {
    let valid = valid_epochs(world);
    for owner in owners {
        if owner.phase() == Phase::Stuck {
            return Err(format!("an owner is stuck: {:?}", owner.why()));
        }
        if let Some(shard) = owner.acknowledged() {
            let epoch = shard.epoch();
            if epoch > valid {
                return Err(format!(
                    "S3: an owner shows epoch {epoch}, history has {valid}"
                ));
            }
        }
    }
    Ok(())
}

fn history(world: &World) -> History {
    let entries: Vec<(Offset, JournalEntry)> = world
        .journal
        .iter()
        .cloned()
        .zip(0..)
        .map(|(e, at)| (at, e))
        .collect();
    History::read(&entries, None, 0, HistoryRules::default())
}

pub(super) fn valid_epochs(world: &World) -> EpochNumber {
    history(world)
        .epochs
        .last()
        .map_or(0, |(_, entry)| entry.epoch)
}

/// What can be said at every step.
pub(super) fn running(world: &World) -> Result<(), String> {
    let valid = valid_epochs(world);
    match world.outputs.iter().find(|output| output.id.epoch > valid) {
        Some(output) => Err(format!(
            "S1: {} was published, history has {valid} epochs",
            output.id
        )),
        None => Ok(()),
    }
}

/// What must be true at the end.
pub(super) fn finished(world: &World, plan: &Plan) -> Result<(), String> {
    let (expected, machine) = replay(world, plan)?;
    let mut seen: Option<OutputId> = None;
    let mut fresh = Vec::new();
    let content: BTreeMap<OutputId, &Published> =
        expected.iter().map(|output| (output.id, output)).collect();
    for output in &world.outputs {
        match content.get(&output.id) {
            None => {
                return Err(format!(
                    "S1: {} is no output of the valid history",
                    output.id
                ));
            }
            Some(known) if *known != output => {
                return Err(format!(
                    "I2: {} was published with other content",
                    output.id
                ));
            }
            Some(_) => {}
        }
        if seen.is_none_or(|seen| output.id > seen) {
            seen = Some(output.id);
            fresh.push(output);
        } else if plan.atomic {
            return Err(format!("S2: {} was committed twice", output.id));
        }
    }
    if fresh.len() != expected.len() {
        let missing = expected
            .iter()
            .find(|output| !fresh.iter().any(|known| known.id == output.id));
        return Err(format!(
            "I1: a receiver saw {} of {} outputs, first missing {:?}",
            fresh.len(),
            expected.len(),
            missing.map(|m| m.id)
        ));
    }
    same_as_one_by_one(world, plan, &expected, &machine)
}

/// The valid history, stepped by a machine that never crashed.
fn replay(world: &World, plan: &Plan) -> Result<(Vec<Published>, Shard), String> {
    let mut shard = Shard::new(plan.shard.clone());
    let mut outputs = Vec::new();
    let mut next = 0;
    let history = history(world);
    for (at, entry) in history.epochs {
        if entry.epoch != shard.epoch() + 1 {
            return Err(format!(
                "S1: history jumps from epoch {} to {} at {at}",
                shard.epoch(),
                entry.epoch
            ));
        }
        let range = entry.ranges.first().copied().unwrap_or_default();
        if range.from != next {
            return Err(format!(
                "I1: epoch {} reads {range}, the one before ended at {next}",
                entry.epoch
            ));
        }
        next = range.to;
        let records = world.records(range);
        let intake = Intake {
            epoch: entry.epoch,
            ranges: entry.ranges,
            records,
            clock: entry.clock,
            exclusions: of_epoch(&history.exclusions, entry.epoch),
            careful: false,
        };
        let epoch = shard.step(&intake).map_err(|fault| fault.to_string())?;
        outputs.extend(epoch.outputs.iter().map(published));
    }
    Ok((outputs, shard))
}

fn of_epoch(exclusions: &[Exclusion], epoch: EpochNumber) -> Vec<Exclusion> {
    let of = exclusions.iter().filter(|e| e.epoch == epoch);
    of.cloned().collect()
}

/// The same input, one record an epoch, the clock with every record: the answers must not depend on the cut. Rules that
/// break on purpose have their own bytes in the replay; here their neighbours must not notice them.
fn same_as_one_by_one(
    world: &World,
    plan: &Plan,
    expected: &[Published],
    machine: &Shard,
) -> Result<(), String> {
    let results = format!("{:?}", Destination::Results);
    let expected = expected
        .iter()
        .filter(|output| output.to == results)
        .map(|output| output.body.clone());
    let mut expected: Vec<_> = expected.filter(|line| !is_brittle(line)).collect();
    expected.sort();
    let total = machine.positions().first().copied().unwrap_or(0);
    let known = |rule: &Record| {
        !is_brittle(&String::from_utf8_lossy(
            rule.key.as_deref().unwrap_or_default(),
        ))
    };
    let mut alone = Alone::new(plan);
    for offset in 0..total {
        let range = OffsetRange {
            from: offset,
            to: offset + 1,
        };
        let mut records = world.records(range);
        let clock = Timestamp(records.first().map_or(0, |record| record.record.timestamp));
        // A twin that breaks takes its row from everybody, so it must be there; a rule that breaks must not matter.
        if plan.brittle != Some(Brittle::Twins) {
            records.retain(|record| known(&record.record));
        }
        alone.step(range, records, clock)?;
    }
    let end = OffsetRange {
        from: total,
        to: total,
    };
    alone.step(end, Vec::new(), machine.clock())?;
    let mut lines: Vec<_> = alone.lines();
    lines.sort();
    if expected != lines {
        let differs = expected.iter().zip(&lines).find(|(a, b)| a != b);
        return Err(format!(
            "I4: {} results, one by one {}; first difference {differs:?}",
            expected.len(),
            lines.len()
        ));
    }
    Ok(())
}

/// Whether a result line or a key is of a rule that breaks on purpose.
fn is_brittle(text: &str) -> bool {
    text.contains("\"rule\":\"brittle") || text.starts_with("rule/brittle")
}

/// A shard by itself that is supervised the simple way: after a fault everything is stepped anew.
struct Alone {
    settings: ShardSettings,
    shard: Shard,
    taken: Vec<Intake>,
    lines: Vec<Vec<String>>,
}

impl Alone {
    fn new(plan: &Plan) -> Self {
        let mut settings = plan.shard.clone();
        settings.pipeline.breaks.watermark_per_batch = false;
        settings.pipeline.breaks.timer_after_row = false;
        Self {
            shard: Shard::new(settings.clone()),
            settings,
            taken: Vec::new(),
            lines: Vec::new(),
        }
    }

    fn step(
        &mut self,
        range: OffsetRange,
        records: Vec<IntakeRecord>,
        clock: Timestamp,
    ) -> Result<(), String> {
        self.taken.push(Intake {
            epoch: self.shard.epoch() + 1,
            ranges: vec![range],
            records,
            clock,
            exclusions: Vec::new(),
            careful: true,
        });
        while self.lines.len() < self.taken.len() {
            let intake = &mut self.taken[self.lines.len()];
            match self.shard.step(intake) {
                Ok(epoch) => self.lines.push(results(&epoch)),
                Err(fault) => {
                    let why = fault.to_string();
                    intake.exclusions.push(Exclusion {
                        epoch: fault.epoch,
                        culprit: fault.culprit.ok_or(why)?,
                        at: fault.at,
                        changing: fault.changing,
                        reason: fault.reason,
                    });
                    self.shard = Shard::new(self.settings.clone());
                    self.lines.clear();
                }
            }
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let lines = self.lines.iter().flatten();
        lines.filter(|line| !is_brittle(line)).cloned().collect()
    }
}

fn results(epoch: &Epoch) -> Vec<String> {
    epoch
        .outputs
        .iter()
        .map(published)
        .filter(|output| output.to == "Results")
        .map(|output| output.body)
        .collect()
}
