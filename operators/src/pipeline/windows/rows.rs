//! Rows go into the windows: columns of numbers at once, other rows one by one; and what follows from each.

use tidegate_proto::{EventBatch, Outcome, Value, WindowForm};

use super::super::View;
use super::super::arguments::Argument;
use super::super::group::Push;
use super::super::sight::Row;
use super::super::steps::{Blame, Cause};
use super::{CLOCK, KeptRow, Use, WindowScratch, WindowUnit};
use crate::watermark::at;
use crate::window::{EmitMode, NumberRows, RowKey, WindowOutput};

impl WindowUnit {
    /// With a condition on emission: judges it after each row that is taken, before the next one is.
    pub(super) fn probe(
        &mut self,
        resource: u32,
        (batch, origin): (Option<&EventBatch>, u32),
        view: &dyn View,
        output: &mut WindowOutput,
        out: &mut Vec<Outcome>,
    ) {
        if self.window.mode.emit != EmitMode::When {
            return;
        }
        let resets = matches!(self.window.form, WindowForm::Global { reset: true });
        let keys = self.state.keys.of(resource).to_vec();
        for key in keys {
            loop {
                let mark = output.mark();
                let more = self.state.windows.step(key, output);
                output.map_triggers(mark, |_| origin);
                let fired = self.tell(batch, view, output, out);
                if fired && resets {
                    self.state.windows.reset(key);
                }
                if !more {
                    break;
                }
            }
        }
    }

    /// Pushes used rows `from..to` as columns of numbers.
    pub(super) fn flush(
        &mut self,
        push: &Push<'_>,
        (from, to): (usize, usize),
        arguments: &[Argument],
        scratch: &mut WindowScratch,
    ) {
        let columns: Vec<&[f64]> = arguments
            .iter()
            .map(|a| a.numbers.get(from..to).unwrap_or_default())
            .collect();
        self.push_columns(push, (from, to), &columns, scratch);
    }

    /// Pushes used rows `from..to` with their numbers by aggregate.
    pub(in crate::pipeline) fn push_columns(
        &mut self,
        push: &Push<'_>,
        (from, to): (usize, usize),
        columns: &[&[f64]],
        scratch: &mut WindowScratch,
    ) {
        let rows = scratch.rows.get(from..to).unwrap_or_default();
        let mark = scratch.output.mark();
        let numbers = NumberRows {
            events: push.batch,
            rows,
            keys: scratch.keys.get(from..to).unwrap_or_default(),
            sequences: scratch.sequences.get(from..to).unwrap_or_default(),
            watermarks: scratch.water.get(from..to).unwrap_or_default(),
            columns,
        };
        self.state
            .windows
            .push_numbers(&numbers, &mut scratch.output);
        let origin = |index: u32| rows.get(index as usize).copied().unwrap_or(CLOCK);
        scratch.output.map_triggers(mark, origin);
    }

    /// Pushes one used row of any values.
    pub(super) fn single(
        &mut self,
        push: &Push<'_>,
        row: usize,
        arguments: &[Argument],
        scratch: &mut WindowScratch,
    ) {
        let (Some(number), Some(key), Some(water), Some(sequence)) = (
            scratch.rows.get(row).copied(),
            scratch.keys.get(row).copied(),
            scratch.water.get(row).copied(),
            scratch.sequences.get(row).copied(),
        ) else {
            return;
        };
        let kept = scratch.kept.get_mut(row).and_then(Option::take);
        let kept = kept.unwrap_or_else(|| KeptRow {
            resource: at(&push.batch.resource, number, 0),
            time: at(&push.batch.time, number, 0),
            event: push.batch.event_ref(number as usize),
        });
        let owner = self.owner(kept.resource);
        self.advance(owner, water, number, &mut scratch.output);
        let mark = scratch.output.mark();
        let key_row = RowKey {
            time: kept.time,
            sequence,
            event: kept.event,
        };
        let values: Vec<Value> = arguments.iter().map(|a| a.value(row)).collect();
        let output = &mut scratch.output;
        self.state
            .windows
            .push(key, &key_row, &values, water, output);
        output.map_triggers(mark, |_| number);
    }
}

/// Used rows before an entry.
pub(super) fn rows_before(uses: &[Use], entry: usize) -> usize {
    let before = uses.get(..entry).unwrap_or_default().iter().rev();
    let mut rows = before.filter_map(|used| match used {
        Use::Row(row) => Some(*row as usize + 1),
        Use::Time(..) => None,
    });
    rows.next().unwrap_or(0)
}

/// Key values of a row in one grouping: its number, its keys, nothing for those that it has not; and whether it lacks one of its own.
pub(super) fn of_set(number: i64, set: &[u32], values: &[Value]) -> (Vec<Value>, bool) {
    let has = |place: usize| set.iter().any(|own| *own as usize == place);
    let mut lacks = false;
    let keys = values.iter().enumerate().map(|(place, value)| match place {
        0 => Value::Int(number),
        _ if !has(place) => Value::Missing,
        _ => {
            lacks |= value.is_missing();
            value.clone()
        }
    });
    (keys.collect(), lacks)
}

impl WindowScratch {
    /// A row goes into the windows of its keys; whether it has any.
    pub(super) fn use_row(
        &mut self,
        keys: &[u32],
        (number, sequence, water): (u32, u64, i64),
        kept: Option<&KeptRow>,
        uses: &mut Vec<Use>,
    ) -> bool {
        for key in keys {
            let entry = self.rows.len();
            self.rows.push(number);
            self.keys.push(*key);
            self.sequences.push(sequence);
            self.water.push(water);
            if let Some(kept) = kept {
                self.kept.resize(entry, None);
                self.kept.push(Some(kept.clone()));
            }
            self.keep(self.simple);
            uses.push(Use::Row(u32::try_from(entry).unwrap_or(u32::MAX)));
        }
        !keys.is_empty()
    }

    /// What a formula could not say about a row, told with the row that asked.
    pub(super) fn blame(&mut self, row: Row, number: u32, push: &Push<'_>) {
        for message in self.gaze.faults.drain(..) {
            self.blames.push(Blame {
                resource: row.resource,
                time: row.time,
                cause: if number == CLOCK {
                    Cause::None
                } else {
                    Cause::Row(number)
                },
                trigger: push.trigger(number as usize),
                message,
            });
        }
    }

    /// Keeps the values of a used row.
    pub(super) fn keep(&mut self, simple: bool) {
        for (builder, value) in self.own.iter_mut().zip(&self.gaze.own) {
            builder.push(value.clone());
        }
        if !simple {
            self.gaze.point();
        }
    }
}
