//! Events that rules set, in a replay: each is read right behind the line that caused it, one after the other, before the
//! next line. So the answer depends neither on how lines are cut nor on how many shards there are.

use std::collections::VecDeque;

use bytes::Bytes;
use tidegate_actors::epoch::{Destination, IntakeRecord, Output};
use tidegate_proto::issue::{Issue, Issues};
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::{ID_HEADER, KIND_HEADER, Record, SET};
use tidegate_proto::rule::{ActionKind, Rule};
use tidegate_proto::time::Timestamp;

use super::{Replay, ReplayError, Stepped, parcels, within};

/// Whether an output is an event that a rule set.
pub(super) fn is_set(output: &Output) -> bool {
    let kind = output.record.header(KIND_HEADER).map(Bytes::as_ref);
    kind == Some(SET.as_bytes())
}

/// The events that rules set in these epochs, with their shards and the lines that caused them, in the order of result lines.
fn made(epochs: &[Stepped], last: i64) -> Vec<(u32, IntakeRecord)> {
    let mut all = Vec::new();
    for (lines, epoch) in epochs {
        for output in epoch.outputs.iter().filter(|output| is_set(output)) {
            let Destination::Signal(shard) = output.destination else {
                continue;
            };
            let line = match output.trigger {
                Trigger::Record(index) => lines.get(index as usize).copied().unwrap_or(last),
                Trigger::Clock => last,
            };
            all.push((line, output, shard));
        }
    }
    // Stable: several events of one line stay in the order of their actions.
    all.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| within(a.1, b.1)));
    let made = all.into_iter().map(|(line, output, shard)| {
        let record = IntakeRecord {
            source: 0,
            offset: line,
            record: record(&output.record),
        };
        (shard, record)
    });
    made.collect()
}

/// As a log would give it, without what depends on the cut.
fn record(made: &Record) -> Record {
    let mut record = made.clone();
    record.headers.retain(|(name, _)| &**name != ID_HEADER);
    record.timestamp = i64::MIN;
    record
}

impl Replay {
    /// Notes whether a rule sets anything.
    pub(super) fn note_sets(&mut self, rule: &Rule, issues: &mut Issues) {
        let sets = |kind: &ActionKind| matches!(kind, ActionKind::Set { .. });
        let name = rule.name.as_str();
        if !rule.then.iter().any(|action| sets(&action.kind)) {
            self.sets.remove(name);
            return;
        }
        if self.source.is_some() {
            let path = format!("rule {name}: then");
            let problem =
                "a replay whose lines are records of a source cannot take back what `set` writes";
            let issue = Issue::new(&path, tidegate_proto::issue::Mark::default(), problem);
            issues.push(issue.hint("leave the source out and write event lines"));
        }
        self.sets.insert(name.to_owned());
    }

    /// Lines of one epoch: where rules set something, what comes of a line is read before the next one.
    pub(super) fn lines_per_epoch(&self) -> usize {
        if self.sets.is_empty() {
            self.options.batch
        } else {
            1
        }
    }

    /// What rules have set is read, and what they set then.
    pub(super) fn feed_back(
        &mut self,
        clock: Timestamp,
        epochs: &mut Vec<Stepped>,
    ) -> Result<(), ReplayError> {
        if self.sets.is_empty() {
            return Ok(());
        }
        let mut waiting = VecDeque::from(made(epochs, self.line));
        while let Some((shard, record)) = waiting.pop_front() {
            let mut told = vec![Vec::new(); self.shards.len()];
            if let Some(own) = told.get_mut(shard as usize) {
                own.push((record.offset, record));
            }
            let mut stepped = self.step(clock, told)?;
            let heard = parcels::told(&stepped, self.line);
            stepped.extend(self.hear(clock, heard)?);
            waiting.extend(made(&stepped, self.line));
            epochs.extend(stepped);
        }
        Ok(())
    }
}
