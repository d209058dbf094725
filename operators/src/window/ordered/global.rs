//! [`Everything`]: all rows of a key since it began or the last reset.

use serde::{Deserialize, Serialize};
use tidegate_proto::{Value, WindowForm};

use super::super::cell::Cell;
use super::super::change::Change;
use super::super::{EmitMode, RowKey, WindowRow, WindowSpec};
use super::Work;

/// Aggregates of all rows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Everything {
    cell: Option<Cell>,
    revision: u32,
    /// What was told last, and as of when.
    told: Option<(i64, Vec<Value>)>,
    /// The time at which what changed is told.
    next: Option<i64>,
}

/// The first multiple after a time.
pub(in crate::window) fn multiple_after(time: i64, every: i64, offset: i64) -> i64 {
    let past = time.wrapping_sub(offset).rem_euclid(every);
    time.saturating_sub(past).saturating_add(every)
}

impl Everything {
    pub(super) fn timer(&self, _: &WindowSpec) -> i64 {
        self.next.unwrap_or(i64::MAX)
    }

    pub(super) fn fire(&mut self, work: &mut Work<'_>, at: i64) {
        self.next = None;
        let Some(cell) = &self.cell else {
            return;
        };
        let span = (cell.first.time, at);
        let values = cell.values(&work.spec.aggregates, span, work.past);
        let told = self.told.as_ref();
        if told.is_some_and(|told| told.1 == values) && !work.spec.mode.repeat_equal {
            return;
        }
        let was = told.map_or(at, |told| told.0);
        self.revision += 1;
        let row = cell.row(work.key, span, (self.revision, values.clone()));
        work.out.rows.push(WindowRow { was, ..row });
        self.told = Some((at, values));
        if let WindowForm::Global { reset: true } = work.spec.form {
            self.reset();
        }
    }

    pub(super) fn take(&mut self, work: &mut Work<'_>, row: &RowKey, arguments: &[Value]) {
        let kinds = &work.spec.aggregates;
        let cell = self.cell.get_or_insert_with(|| Cell::new(kinds));
        cell.add(kinds, row, arguments);
        match work.spec.mode.emit {
            EmitMode::Every(every) => {
                let next = multiple_after(row.time, every, work.spec.mode.offset);
                self.next.get_or_insert(next);
            }
            _ => {
                let span = (cell.first.time, row.time);
                // A bare metric is that of this row, too.
                let values = cell.values(kinds, (span.0, row.time.saturating_add(1)), work.past);
                work.out.probes.push(cell.row(work.key, span, (1, values)));
            }
        }
    }

    /// Begins anew.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.cell.as_ref().map(|cell| cell.first.time)
    }

    pub(super) fn change(&mut self, change: &Change<'_>) {
        if let Some(cell) = &mut self.cell {
            cell.change(change);
        }
        if let Some((_, told)) = &mut self.told {
            *told = change.values(told);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.cell.as_ref().map_or(0, Cell::bytes)
    }
}
