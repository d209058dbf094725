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
    told: BTreeMap<i64, (u32, Vec<Value>)>,
    pub(super) watermark: Option<i64>,
}

fn size_of_form(form: WindowForm) -> i64 {
    match form {
        WindowForm::Tumbling { size, .. }
        | WindowForm::Hopping { size, .. }
        | WindowForm::Sliding { size } => size.0,
        _ => unreachable!(),
    }
}

/// Printed start, printed end and exclusive end of the windows of a time, sliding: of those known, by start.
fn windows_of(form: WindowForm, time: i64, known: &[i64]) -> Vec<(i64, i64, i64)> {
    let size = size_of_form(form);
    let (every, offset) = match form {
        WindowForm::Tumbling { size, offset } => (size.0, offset),
        WindowForm::Hopping { every, offset, .. } => (every.0, offset),
        WindowForm::Sliding { .. } => {
            let mut ends: Vec<i64> = known.iter().copied().chain([time]).collect();
            ends.sort_unstable();
            ends.dedup();
            ends.retain(|end| end - size < time && time <= *end);
            return ends
                .into_iter()
                .map(|end| (end - size, end, end + 1))
                .collect();
        }
        _ => unreachable!(),
    };
    (time - size + 1..=time)
        .filter(|start| (start - offset).rem_euclid(every) == 0)
        .map(|start| (start, start + size, start + size))
        .collect()
}

impl Model {
    fn inside(&self, form: WindowForm, window: (i64, i64, i64)) -> Vec<&(RowKey, Vec<Value>)> {
        let sliding = matches!(form, WindowForm::Sliding { .. });
        let inside = |time: i64| {
            if sliding {
                window.0 < time && time <= window.1
            } else {
                window.0 <= time && time < window.1
            }
        };
        let mut rows: Vec<_> = self.rows.iter().filter(|row| inside(row.0.time)).collect();
        rows.sort_by_key(|row| row.0.order());
        rows
    }

    fn result(&self, spec: &WindowSpec, key: u32, window: (i64, i64, i64)) -> WindowRow {
        let rows = self.inside(spec.form, window);
        let column = |index: usize, kind: AggregateKind| {
            let before = self.rows.iter().filter(|row| row.0.time < window.2);
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
                let gone = window.0 + i64::from(sliding);
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
            trigger: 0,
        }
    }

    /// Windows with rows, by end.
    fn windows(&self, form: WindowForm) -> Vec<(i64, i64, i64)> {
        let times: Vec<i64> = self.rows.iter().map(|row| row.0.time).collect();
        let own = |time: &i64| windows_of(form, *time, &times);
        let mut all: Vec<_> = times.iter().flat_map(own).collect();
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
            let told = self.told.entry(window.1).or_default();
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
        let times: Vec<i64> = self.rows.iter().map(|row| row.0.time).collect();
        let all = windows_of(spec.form, row.0.time, &times);
        let missed = all
            .iter()
            .filter(|window| window.2 + spec.lateness.0 <= now)
            .count();
        let mut lost = missed == all.len() && missed > 0;
        let mut counts = (missed as u32, all.len() as u32);
        if matches!(spec.form, WindowForm::Sliding { .. }) && missed > 0 {
            // It still counts in windows of rows to come.
            lost = row.0.time + size_of_form(spec.form) + spec.lateness.0 <= now;
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
