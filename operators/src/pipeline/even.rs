//! Window rules over one metric that every row of a push carries as a number: the batch's column goes to the windows as it
//! is.

use tidegate_proto::MetricColumn;

use super::group::Push;
use super::windows::{WindowScratch, WindowUnit};
use crate::aggregate::AggregateKind;
use crate::window::EmitMode;

impl WindowUnit {
    /// The numbers of all rows of a push, if they are all that this rule asks of them.
    pub(super) fn even_column<'a>(&self, push: &Push<'a>) -> Option<&'a [f64]> {
        let window = &self.window;
        let ([place], [cells]) = (
            window.table.places.as_slice(),
            self.state.sight.metrics.as_slice(),
        ) else {
            return None;
        };
        let mut aggregates = window.aggregates.iter();
        let bare = aggregates.all(|a| {
            let rows = a.kind == AggregateKind::Count && a.argument.is_none();
            let whole = a.filter.is_none() && a.second.is_none() && !a.kind.is_condition();
            whole && (a.bare == Some(0) || rows)
        });
        // With `emit: { when }`, or where a row may take back what was told, every row is looked at apart.
        let apart = window.mode.emit == EmitMode::When || self.keeps_book();
        let apart = apart || !window.by.is_empty() || !window.bare_inputs.is_empty();
        if !bare || !place.judged || self.plan.filter.is_some() || apart {
            return None;
        }
        let column = push.columns.get(cells.metric as usize).copied().flatten()?;
        let column: &MetricColumn = push.batch.metrics.get(column as usize)?;
        let first = column
            .rows
            .partition_point(|row| (*row as usize) < push.rows.start);
        let end = first + push.rows.len();
        // Rows rise, so as many entries as rows are all rows.
        let last = column.rows.get(end.checked_sub(1)?)?;
        let all = *last as usize + 1 == push.rows.end;
        (all && column.is_numeric()).then(|| column.numbers.get(first..end))?
    }

    /// Takes all rows of a push with their numbers.
    pub(super) fn push_even(
        &mut self,
        push: &Push<'_>,
        column: &[f64],
        scratch: &mut WindowScratch,
    ) {
        let mut numbers = Vec::with_capacity(column.len());
        for (index, row) in push.each() {
            let (Some(tick), Some(water), Some(number)) = (
                push.ticks.get(index),
                push.water.get(index),
                column.get(index),
            ) else {
                break;
            };
            if !self.state.members.has(tick.resource) {
                continue;
            }
            let owner = self.owner(tick.resource);
            scratch.touched.push(owner);
            scratch.rows.push(row as u32);
            scratch.keys.push(self.state.keys.plain(owner));
            scratch.sequences.push(push.sequence + index as u64);
            scratch.water.push(*water);
            numbers.push(*number);
        }
        let columns = vec![numbers.as_slice(); self.window.aggregates.len()];
        self.push_columns(push, (0, numbers.len()), &columns, scratch);
    }
}
