//! [`Series`]: numbers in row order with the exact sum of what lies between neighbours, for `increase`, `integral`, `twa`
//! and `duration`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::{AggregateKind, Frame, RowOrder};
use crate::exact::ExactSum;

/// Rows that are kept one by one; what older ones add up to stays, but no row can come between them any more.
const KEPT: usize = 100_000;

/// Number of a row, and where the row stands.
type Point = (RowOrder, f64);

/// Numbers in row order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    rows: VecDeque<Point>,
    /// Over neighbours: growth of a counter, or value times ms in force.
    sum: ExactSum,
    /// The first row, when it is not among `rows` any more.
    first: Option<Point>,
    /// The newest row that was given back: its value is in force until the first row.
    carried: Option<Point>,
}

/// Ms from one row to another, in a float.
fn span(from: i64, to: i64) -> f64 {
    to.saturating_sub(from) as f64
}

impl Series {
    /// Adds what lies between two neighbours, or takes it out.
    fn link(&mut self, kind: AggregateKind, from: Point, to: Point, out: bool) {
        if kind == AggregateKind::Increase {
            let restart = to.1 < from.1;
            let (up, down) = if out { (from.1, to.1) } else { (to.1, from.1) };
            match (restart, out) {
                (true, false) => self.sum.add(to.1),
                (true, true) => self.sum.subtract(to.1),
                (false, _) => {
                    self.sum.add(up);
                    self.sum.subtract(down);
                }
            }
            return;
        }
        let ms = span(from.0.time, to.0.time);
        if out {
            self.sum.subtract_product(from.1, ms);
        } else {
            self.sum.add_product(from.1, ms);
        }
    }

    /// Takes a number.
    pub fn add(&mut self, kind: AggregateKind, order: RowOrder, number: f64) {
        let point = (order, number);
        let place = match self.rows.back() {
            Some(last) if last.0 >= order => self.rows.partition_point(|row| row.0 < order),
            _ => self.rows.len(),
        };
        let before = place.checked_sub(1).and_then(|at| self.rows.get(at));
        let before = before.copied();
        if before.is_none() && self.first.is_some() {
            return;
        }
        let after = self.rows.get(place).copied();
        if let (Some(before), Some(after)) = (before, after) {
            self.link(kind, before, after, true);
        }
        if let Some(before) = before {
            self.link(kind, before, point, false);
        }
        if let Some(after) = after {
            self.link(kind, point, after, false);
        }
        self.rows.insert(place, point);
        if self.rows.len() > KEPT
            && let Some(oldest) = self.rows.pop_front()
        {
            self.first.get_or_insert(oldest);
        }
    }

    /// Gives a row back that was taken; it is the oldest.
    pub(crate) fn remove(&mut self, kind: AggregateKind, order: RowOrder) {
        if self.rows.front().is_none_or(|oldest| oldest.0 != order) {
            return;
        }
        let Some(oldest) = self.rows.pop_front() else {
            return;
        };
        if let Some(next) = self.rows.front().copied() {
            self.link(kind, oldest, next, true);
        }
        self.carry(oldest.0, oldest.1);
    }

    /// Says which value was in force before the first row.
    pub(crate) fn carry(&mut self, order: RowOrder, number: f64) {
        if self.carried.is_none_or(|carried| carried.0 < order) {
            self.carried = Some((order, number));
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, kind: AggregateKind, other: &Self) {
        let start = other.first.or_else(|| other.rows.front().copied());
        let Some(start) = start else {
            return;
        };
        match self.rows.back().copied() {
            Some(last) if last.0 < start.0 => {
                self.link(kind, last, start, false);
                self.sum.merge(&other.sum);
                self.rows.extend(&other.rows);
                while self.rows.len() > KEPT {
                    let oldest = self.rows.pop_front();
                    self.first = self.first.or(oldest);
                }
            }
            None => {
                let carried = self.carried;
                self.clone_from(other);
                self.carried = carried;
            }
            Some(_) => {
                for (order, number) in &other.rows {
                    self.add(kind, *order, *number);
                }
            }
        }
    }

    /// Value of the last row.
    pub(crate) fn last(&self) -> Option<Point> {
        self.rows.back().copied()
    }

    /// The aggregate; `frame`: from when to when values are in force.
    #[must_use]
    pub fn result(&self, kind: AggregateKind, frame: &Frame) -> Value {
        let first = self.first.or_else(|| self.rows.front().copied());
        if kind == AggregateKind::Increase {
            return first.map_or(Value::Missing, |_| Value::number(self.sum.round() + 0.0));
        }
        let carried = frame.carried.or(self.carried.map(|point| point.1));
        let from = first.map_or(frame.end, |first| first.0.time);
        let mut sum = self.sum.clone();
        if let Some(carried) = carried {
            sum.add_product(carried, span(frame.start, from));
        }
        if let Some(last) = self.rows.back() {
            sum.add_product(last.1, span(last.0.time, frame.end));
        }
        if first.is_none() && carried.is_none() {
            return if kind == AggregateKind::Duration {
                Value::Number(0.0)
            } else {
                Value::Missing
            };
        }
        let integral = sum.round() / 1000.0;
        let start = if carried.is_some() { frame.start } else { from };
        let covered = span(start, frame.end) / 1000.0;
        if kind != AggregateKind::Twa {
            Value::number(integral)
        } else if covered > 0.0 {
            Value::number(integral / covered)
        } else {
            Value::Missing
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.rows.capacity() * size_of::<Point>() + self.sum.heap_bytes()
    }
}
