//! What must hold: invariants I1–I7 of the reliability reference, as far as one shard and its log have them.
//!
//! - S1/I2: every published output is an output of the valid history, with that history's bytes; a repeat is byte-equal;
//! - S2/I3: a receiver that drops ids at or below its watermark sees every epoch's outputs in order, without a hole
//!   (with atomic publication: the log itself holds each once);
//! - L1/I1/I7: when the faults end, everything comes out;
//! - I4: the state equals a fold of the input, one record at a time, by a machine that never crashed.

use std::collections::BTreeMap;

use tidegate_actors::epoch::{
    Destination, Epoch, EpochNumber, Intake, IntakeRecord, Output, OutputId,
};
use tidegate_actors::journal::{History, HistoryRules, JournalEntry};
use tidegate_actors::owner::Machine as _;
use tidegate_actors::shard::Shard;
use tidegate_operators::PipelineBreaks;
use tidegate_proto::record::{Offset, OffsetRange};
use tidegate_proto::time::Timestamp;

use super::{Plan, Published, World};

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
    }
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
    for (at, entry) in history(world).epochs {
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
        let records = records(world, range);
        let intake = Intake {
            epoch: entry.epoch,
            ranges: entry.ranges,
            records,
            clock: entry.clock,
            exclusions: Vec::new(),
        };
        let epoch = shard.step(&intake).map_err(|fault| fault.to_string())?;
        outputs.extend(epoch.outputs.iter().map(published));
    }
    Ok((outputs, shard))
}

fn records(world: &World, range: OffsetRange) -> Vec<IntakeRecord> {
    let offsets = range.from..range.to;
    offsets
        .filter_map(|offset| {
            Some(IntakeRecord {
                source: 0,
                offset,
                record: world.source.get(offset as usize)?.clone(),
            })
        })
        .collect()
}

/// The same input, one record an epoch, the clock with every record: the answers must not depend on the cut.
fn same_as_one_by_one(
    world: &World,
    plan: &Plan,
    expected: &[Published],
    machine: &Shard,
) -> Result<(), String> {
    let mut settings = plan.shard.clone();
    settings.pipeline.breaks = PipelineBreaks::default();
    let mut shard = Shard::new(settings);
    let mut lines = Vec::new();
    let total = machine.positions().first().copied().unwrap_or(0);
    for offset in 0..total {
        let range = OffsetRange {
            from: offset,
            to: offset + 1,
        };
        let records = records(world, range);
        let clock = Timestamp(records.first().map_or(0, |record| record.record.timestamp));
        lines.extend(results(&step(&mut shard, range, records, clock)?));
    }
    let end = OffsetRange {
        from: total,
        to: total,
    };
    lines.extend(results(&step(
        &mut shard,
        end,
        Vec::new(),
        machine.clock(),
    )?));
    let results = format!("{:?}", Destination::Results);
    let mut expected: Vec<_> = expected
        .iter()
        .filter(|output| output.to == results)
        .map(|output| output.body.clone())
        .collect();
    expected.sort();
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

fn step(
    shard: &mut Shard,
    range: OffsetRange,
    records: Vec<IntakeRecord>,
    clock: Timestamp,
) -> Result<Epoch, String> {
    let epoch = shard.epoch() + 1;
    let intake = Intake {
        epoch,
        ranges: vec![range],
        records,
        clock,
        exclusions: Vec::new(),
    };
    shard.step(&intake).map_err(|fault| fault.to_string())
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
