//! [`Cell`]: the aggregates of one window or pane; [`Past`]: values that count beyond their own window.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::change::Change;
use super::{Excess, RowKey, WindowOutput, WindowRow};
use crate::aggregate::{Accumulator, AggregateKind, Frame, RowOrder};

/// Aggregates of the rows of one window or pane, and which rows are the first and the last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cell {
    pub(super) rows: u64,
    pub(super) first: RowKey,
    pub(super) last: RowKey,
    accumulators: Vec<Accumulator>,
}

impl Cell {
    pub(super) fn new(kinds: &[AggregateKind]) -> Self {
        Self {
            rows: 0,
            first: RowKey::default(),
            last: RowKey::default(),
            accumulators: kinds.iter().map(|kind| Accumulator::new(*kind)).collect(),
        }
    }

    pub(super) fn add(&mut self, kinds: &[AggregateKind], row: &RowKey, arguments: &[Value]) {
        self.reach(row, row, 1);
        let cells = self.accumulators.iter_mut().zip(kinds).zip(arguments);
        for ((accumulator, kind), value) in cells {
            match value {
                Value::Number(number) => accumulator.add_number(*kind, row.order(), *number),
                other => accumulator.add(*kind, row.order(), other),
            }
        }
    }

    fn reach(&mut self, first: &RowKey, last: &RowKey, rows: u64) {
        if self.rows == 0 || first.order() < self.first.order() {
            self.first.clone_from(first);
        }
        if self.rows == 0 || last.order() >= self.last.order() {
            self.last.clone_from(last);
        }
        self.rows += rows;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.rows == 0 {
            return;
        }
        self.reach(&other.first, &other.last, other.rows);
        let pairs = self.accumulators.iter_mut().zip(&other.accumulators);
        pairs.for_each(|(mine, theirs)| mine.merge(theirs));
    }

    /// Values of the window from `span.0` to `span.1`; `past` has what came before it.
    pub(super) fn values(
        &self,
        kinds: &[AggregateKind],
        span: (i64, i64),
        past: &Past,
    ) -> Vec<Value> {
        self.values_before(kinds, (span, i64::MAX), past)
    }

    /// The same, told before the window ends: of rows before a time.
    pub(super) fn values_before(
        &self,
        kinds: &[AggregateKind],
        (span, before): ((i64, i64), i64),
        past: &Past,
    ) -> Vec<Value> {
        let pairs = self.accumulators.iter().zip(kinds).enumerate();
        pairs
            .map(|(index, (accumulator, kind))| {
                if *kind == AggregateKind::Latest {
                    return past.before(index, span.1.min(before));
                }
                let mut frame = Frame {
                    start: span.0,
                    end: span.1,
                    carried: None,
                };
                if kind.weighs_time() {
                    frame.carried = past.before(index, span.0).as_number();
                }
                accumulator.result_in(*kind, &frame)
            })
            .collect()
    }

    /// The row of a window.
    pub(super) fn row(
        &self,
        key: u32,
        span: (i64, i64),
        (revision, values): (u32, Vec<Value>),
    ) -> WindowRow {
        WindowRow {
            key,
            start: span.0,
            end: span.1,
            was: span.1,
            revision,
            values,
            first: self.first.event.clone(),
            last: self.last.event.clone(),
            rows: self.rows,
            of_row: 0,
            trigger: 0,
        }
    }

    pub(super) fn change(&mut self, change: &Change<'_>) {
        let places = change.aggregates.iter().zip(change.from);
        let accumulators = places.map(|(kind, from)| {
            let kept = from.and_then(|from| self.accumulators.get(from)).cloned();
            kept.unwrap_or_else(|| Accumulator::new(*kind))
        });
        self.accumulators = accumulators.collect();
    }

    pub(super) fn bytes(&self) -> usize {
        let heap: usize = self.accumulators.iter().map(Accumulator::heap_bytes).sum();
        size_of::<Self>() + self.accumulators.capacity() * size_of::<Accumulator>() + heap
    }
}

/// Values of a row in the order of time.
type Points = VecDeque<(RowOrder, Value)>;

/// Per aggregate that looks back: its values in row order, as far back as any window may ask.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Past {
    lists: Vec<(u32, Points)>,
}

impl Past {
    pub(super) fn new(kinds: &[AggregateKind]) -> Self {
        let looking = (0..).zip(kinds).filter(|(_, kind)| kind.looks_back());
        Self {
            lists: looking.map(|(index, _)| (index, Points::new())).collect(),
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    pub(super) fn add(&mut self, kinds: &[AggregateKind], row: &RowKey, arguments: &[Value]) {
        for (index, points) in &mut self.lists {
            let kind = kinds.get(*index as usize);
            let value = arguments.get(*index as usize);
            let (Some(kind), Some(value)) = (kind, value) else {
                continue;
            };
            if kind.takes(value) {
                let place = points.partition_point(|point| point.0 < row.order());
                points.insert(place, (row.order(), value.clone()));
            }
        }
    }

    /// The last value before a time.
    pub(super) fn before(&self, index: usize, time: i64) -> Value {
        let list = self.lists.iter().find(|list| list.0 as usize == index);
        let Some((_, points)) = list else {
            return Value::Missing;
        };
        let place = points.partition_point(|point| point.0.time < time);
        let last = place.checked_sub(1).and_then(|place| points.get(place));
        last.map(|point| point.1.clone()).unwrap_or_default()
    }

    /// Nobody asks for values before a time any more, but for the last of them.
    pub(super) fn prune(&mut self, time: i64) {
        for (_, points) in &mut self.lists {
            while points.get(1).is_some_and(|point| point.0.time < time) {
                points.pop_front();
            }
        }
    }

    pub(super) fn change(&mut self, change: &Change<'_>) {
        let mut fresh = Self::new(change.aggregates);
        for (index, points) in &mut fresh.lists {
            let from = change.from.get(*index as usize).copied().flatten();
            let old = self.lists.iter().find(|list| Some(list.0 as usize) == from);
            if let Some((_, old)) = old {
                points.clone_from(old);
            }
        }
        *self = fresh;
    }

    pub(super) fn bytes(&self) -> usize {
        let points = self.lists.iter().map(|list| list.1.capacity());
        points.sum::<usize>() * size_of::<(RowOrder, Value)>()
    }
}

/// Counts values that the aggregates skip.
pub(super) fn count_skipped(
    kinds: &[AggregateKind],
    key: u32,
    arguments: &[Value],
    out: &mut WindowOutput,
) {
    for (kind, value) in kinds.iter().zip(arguments) {
        if !value.is_missing() && !kind.takes(value) {
            out.excess.push((key, Excess::TypeSkipped));
        }
    }
}
