//! [`Counting`]: windows of so many rows, one after the other or sliding by some.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::{Value, WindowForm};

use super::super::change::Change;
use super::super::{RowKey, WindowRow, WindowSpec};
use super::{Arguments, Work};
use crate::aggregate::AggregateKind;
use crate::lookback::running::Running;

/// The last rows of a key.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Counting {
    rows: VecDeque<(RowKey, Arguments)>,
    running: Vec<(AggregateKind, Running)>,
    /// Rows taken since the beginning, or since the last window that time closed.
    taken: u64,
    /// Rows of the window that fills: those since the last one that was told.
    fresh: u64,
}

fn form(spec: &WindowSpec) -> (u64, u64, bool, Option<i64>) {
    match spec.form {
        WindowForm::Count {
            size,
            every,
            partial,
            timeout,
        } => (
            u64::from(size.max(1)),
            u64::from(every.max(1)),
            partial,
            timeout.map(|span| span.0),
        ),
        _ => (1, 1, false, None),
    }
}

impl Counting {
    pub(super) fn timer(&self, spec: &WindowSpec) -> i64 {
        let (.., Some(timeout)) = form(spec) else {
            return i64::MAX;
        };
        let fresh = self.rows.len().saturating_sub(self.fresh as usize);
        let first = self.rows.get(fresh);
        first.map_or(i64::MAX, |row| row.0.time.saturating_add(timeout))
    }

    pub(super) fn fire(&mut self, work: &mut Work<'_>, at: i64) {
        while self.rows.len() as u64 > self.fresh {
            self.leave();
        }
        self.tell(work, at);
        while !self.rows.is_empty() {
            self.leave();
        }
        self.taken = 0;
    }

    pub(super) fn take(&mut self, work: &mut Work<'_>, row: &RowKey, arguments: &[Value]) {
        let (size, every, partial, _) = form(work.spec);
        if self.running.is_empty() {
            let kinds = work.spec.aggregates.iter();
            self.running = kinds.map(|kind| (*kind, Running::new(*kind))).collect();
        }
        for ((kind, running), value) in self.running.iter_mut().zip(arguments) {
            running.enter(*kind, row.order(), value);
        }
        let kept = (row.clone(), arguments.iter().cloned().collect());
        self.rows.push_back(kept);
        self.taken += 1;
        self.fresh += 1;
        while self.rows.len() as u64 > size {
            self.leave();
        }
        let full = self.taken >= size || partial;
        if full && self.taken % every == size % every {
            self.tell(work, row.time);
        }
    }

    fn leave(&mut self) {
        let Some((row, arguments)) = self.rows.pop_front() else {
            return;
        };
        for ((kind, running), value) in self.running.iter_mut().zip(&arguments) {
            running.leave(*kind, row.order(), value);
        }
        self.fresh = self.fresh.min(self.rows.len() as u64);
    }

    fn tell(&mut self, work: &mut Work<'_>, end: i64) {
        let (Some(first), Some(last)) = (self.rows.front(), self.rows.back()) else {
            return;
        };
        let (start, first, last) = (first.0.time, &first.0.event, &last.0.event);
        let values = self.running.iter();
        work.out.rows.push(WindowRow {
            key: work.key,
            start,
            end,
            was: end,
            revision: 1,
            values: values
                .map(|(kind, running)| running.result(*kind, (start, end)))
                .collect(),
            first: first.clone(),
            last: last.clone(),
            rows: self.rows.len() as u64,
            of_row: 0,
            trigger: 0,
        });
        self.fresh = 0;
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.rows.front().map(|row| row.0.time)
    }

    pub(super) fn change(&mut self, change: &Change<'_>) {
        for row in &mut self.rows {
            row.1 = change.values(&row.1).into();
        }
        let places = change.aggregates.iter().zip(change.from);
        let running = places.map(|(kind, from)| {
            let kept = from.and_then(|from| self.running.get(from)).cloned();
            kept.unwrap_or_else(|| (*kind, Running::new(*kind)))
        });
        self.running = running.collect();
    }

    pub(super) fn bytes(&self) -> usize {
        let running = self.running.iter();
        let running = running
            .map(|(_, running)| size_of::<(AggregateKind, Running)>() + running.heap_bytes());
        self.rows.capacity() * size_of::<(RowKey, Arguments)>() + running.sum::<usize>()
    }
}
