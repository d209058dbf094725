//! [`Model`]: windows from their definition. Every row is kept, every window computed anew.

use std::collections::BTreeMap;

use tidegate_proto::{Value, WindowForm};

use super::super::{LateRow, RowKey, WindowOutput, WindowRow, WindowSpec};
use crate::aggregate::tests::naive;
use crate::aggregate::tests::wide::weighed;
use crate::aggregate::{AggregateKind, RowOrder};

/// All rows of one key, and what was told.
#[derive(Default)]
pub(super) struct Model {
    rows: Vec<(RowKey, Vec<Value>)>,
    told: BTreeMap<(i64, u64), (u32, Vec<Value>)>,
    pub(super) watermark: Option<i64>,
}

fn size_of_form(form: WindowForm) -> i64 {
    match form {
        WindowForm::Tumbling { size, .. }
        | WindowForm::Hopping { size, .. }
        | WindowForm::Sliding { size, .. } => size.0,
        _ => unreachable!(),
    }
}

/// Printed start, printed end and exclusive end of a window, and the row that it is of where there is one for each.
type Window = (i64, i64, i64, u64);

/// Windows of a row; sliding: of those of known rows, by start.
fn windows_of(form: WindowForm, row: RowOrder, known: &[RowOrder]) -> Vec<Window> {
    let (size, time) = (size_of_form(form), row.time);
    let (every, offset) = match form {
        WindowForm::Tumbling { size, offset } => (size.0, offset),
        WindowForm::Hopping { every, offset, .. } => (every.0, offset),
        WindowForm::Sliding { per_row, .. } => {
            let mut lasts: Vec<RowOrder> = known.iter().copied().chain([row]).collect();
            if per_row {
                lasts.retain(|last| row <= *last);
            } else {
                lasts.iter_mut().for_each(|last| last.sequence = 0);
            }
            lasts.sort_unstable();
            lasts.dedup();
            lasts.retain(|last| last.time - reach(form) < time && time <= last.time);
            let window =
                |last: RowOrder| (last.time - size, last.time, last.time + 1, last.sequence);
            return lasts.into_iter().map(window).collect();
        }
        _ => unreachable!(),
    };
    (time - size + 1..=time)
        .filter(|start| (start - offset).rem_euclid(every) == 0)
        .map(|start| (start, start + size, start + size, 0))
        .collect()
}

/// A row so much older than a sliding window is outside.
fn reach(form: WindowForm) -> i64 {
    let closed = matches!(form, WindowForm::Sliding { closed: true, .. });
    size_of_form(form) + i64::from(closed)
}

/// Whether a row stands before the end of a window.
fn before(form: WindowForm, window: Window, row: RowOrder) -> bool {
    let per_row = matches!(form, WindowForm::Sliding { per_row: true, .. });
    let last = RowOrder {
        time: window.1,
        sequence: window.3,
    };
    row.time < window.2 && (!per_row || row <= last)
}

impl Model {
    fn inside(&self, form: WindowForm, window: Window) -> Vec<&(RowKey, Vec<Value>)> {
        let sliding = matches!(form, WindowForm::Sliding { .. });
        let inside = |row: RowOrder| {
            let begun = if sliding {
                window.1 - reach(form) < row.time
            } else {
                window.0 <= row.time
            };
            begun && before(form, window, row)
        };
        let rows = self.rows.iter();
        let mut rows: Vec<_> = rows.filter(|row| inside(row.0.order())).collect();
        rows.sort_by_key(|row| row.0.order());
        rows
    }

    fn result(&self, spec: &WindowSpec, key: u32, window: Window) -> WindowRow {
        let rows = self.inside(spec.form, window);
        let column = |index: usize, kind: AggregateKind| {
            let before = |row: &&(RowKey, _)| before(spec.form, window, row.0.order());
            let before = self.rows.iter().filter(before);
            let chosen: Vec<(RowOrder, Value)> = if kind == AggregateKind::Latest {
                before
                    .map(|row| (row.0.order(), row.1[index].clone()))
                    .collect()
            } else {
                rows.iter()
                    .map(|row| (row.0.order(), row.1[index].clone()))
                    .collect()
            };
            let taken = |row: &(RowOrder, Value)| kind.takes(&row.1);
            if kind.weighs_time() {
                let sliding = matches!(spec.form, WindowForm::Sliding { .. });
                let gone = if sliding {
                    window.1 - reach(spec.form) + 1
                } else {
                    window.0
                };
                let before = self.rows.iter().filter(|row| row.0.time < gone);
                let before = before.map(|row| (row.0.order(), row.1[index].clone()));
                let before: Vec<_> = before.collect();
                let inside: Vec<_> = chosen.into_iter().filter(taken).collect();
                return weighed(kind, (window.0, window.1), &inside, &before);
            }
            naive(kind, &chosen.into_iter().filter(taken).collect::<Vec<_>>())
        };
        let kinds = spec.aggregates.iter().enumerate();
        WindowRow {
            key,
            start: window.0,
            end: window.1,
            was: window.1,
            revision: 0,
            values: kinds.map(|(index, kind)| column(index, *kind)).collect(),
            first: rows[0].0.event.clone(),
            last: rows[rows.len() - 1].0.event.clone(),
            rows: rows.len() as u64,
            of_row: window.3,
            trigger: 0,
        }
    }

    /// Windows with rows, by end.
    fn windows(&self, form: WindowForm) -> Vec<Window> {
        let known: Vec<RowOrder> = self.rows.iter().map(|row| row.0.order()).collect();
        let own = |row: &RowOrder| windows_of(form, *row, &known);
        let mut all: Vec<_> = known.iter().flat_map(own).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Tells every closed window that is not final and differs from what was told.
    fn tell(&mut self, spec: &WindowSpec, key: u32, before: Option<i64>, out: &mut WindowOutput) {
        let watermark = self.watermark.unwrap_or(i64::MIN);
        for window in self.windows(spec.form) {
            let is_final = before.is_some_and(|before| window.2 + spec.lateness.0 <= before);
            if window.2 > watermark || is_final {
                continue;
            }
            let mut row = self.result(spec, key, window);
            let told = self.told.entry((window.1, window.3)).or_default();
            if told.0 == 0 || told.1 != row.values {
                *told = (told.0 + 1, row.values.clone());
                row.revision = told.0;
                out.rows.push(row);
            }
        }
    }

    pub(super) fn push(
        &mut self,
        spec: &WindowSpec,
        key: u32,
        row: &(RowKey, Vec<Value>),
        watermark: i64,
        out: &mut WindowOutput,
    ) {
        self.advance(spec, key, watermark, out);
        let now = self.watermark.unwrap();
        let known: Vec<RowOrder> = self.rows.iter().map(|row| row.0.order()).collect();
        let all = windows_of(spec.form, row.0.order(), &known);
        let missed = all
            .iter()
            .filter(|window| window.2 + spec.lateness.0 <= now)
            .count();
        let mut lost = missed == all.len() && missed > 0;
        let mut counts = (missed as u32, all.len() as u32);
        if matches!(spec.form, WindowForm::Sliding { .. }) && missed > 0 {
            // It still counts in windows of rows to come.
            lost = row.0.time + reach(spec.form) + spec.lateness.0 <= now;
            counts = if lost { (1, 1) } else { counts };
        }
        if missed > 0 {
            let (missed, of) = counts;
            let (start, end, time) = (all[0].0, all[0].1, row.0.time);
            out.late.push(LateRow {
                key,
                missed,
                of,
                start,
                end,
                time,
                trigger: 0,
            });
        }
        if !lost {
            self.rows.push(row.clone());
            self.tell(spec, key, Some(now), out);
        }
    }

    pub(super) fn advance(
        &mut self,
        spec: &WindowSpec,
        key: u32,
        watermark: i64,
        out: &mut WindowOutput,
    ) {
        let before = self.watermark;
        self.watermark = Some(before.map_or(watermark, |before| before.max(watermark)));
        self.tell(spec, key, before, out);
    }
}
