//! What aggregates remember that set the newest row against others: [`Change`] (`delta`, `rate`) and [`Standing`]
//! (`zscore`).

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::{AggregateKind, Moments, RowOrder};

/// Number of a row, and where the row stands.
type Point = (RowOrder, f64);

/// The first and the last number in row order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Change {
    ends: Option<(Point, Point)>,
}

impl Change {
    /// Takes a number.
    #[inline]
    pub fn add(&mut self, order: RowOrder, number: f64) {
        let point = (order, number);
        let (first, last) = self.ends.get_or_insert((point, point));
        if order < first.0 {
            *first = point;
        }
        if order >= last.0 {
            *last = point;
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        if let Some((first, last)) = other.ends {
            self.add(first.0, first.1);
            self.add(last.0, last.1);
        }
    }

    /// Last less first, `()` for less than two rows; or that per second, `()` for equal times.
    #[must_use]
    pub fn result(&self, kind: AggregateKind) -> Value {
        self.ends
            .map_or(Value::Missing, |(first, last)| change(kind, first, last))
    }
}

/// `delta` or `rate` from the first row to the last.
pub(crate) fn change(kind: AggregateKind, first: Point, last: Point) -> Value {
    let ms = last.0.time.saturating_sub(first.0.time);
    match kind {
        AggregateKind::Delta if first.0 != last.0 => Value::number(last.1 - first.1),
        AggregateKind::Rate if ms > 0 => Value::number((last.1 - first.1) / (ms as f64 / 1000.0)),
        _ => Value::Missing,
    }
}

/// The newest number, and all of them as moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    moments: Moments,
    newest: Option<Point>,
}

impl Standing {
    /// Takes a number.
    pub fn add(&mut self, order: RowOrder, number: f64) {
        self.moments.add(number);
        self.keep_newest((order, number));
    }

    fn keep_newest(&mut self, point: Point) {
        if self.newest.is_none_or(|newest| point.0 >= newest.0) {
            self.newest = Some(point);
        }
    }

    /// Gives the oldest number back.
    pub(crate) fn remove_oldest(&mut self, number: f64) {
        self.moments.remove(number);
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        if let Some(newest) = other.newest {
            self.keep_newest(newest);
        }
    }

    /// How the newest number stands among all, in standard deviations.
    #[must_use]
    pub fn result(&self) -> Value {
        self.newest
            .map_or(Value::Missing, |newest| self.moments.zscore(newest.1))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.moments.heap_bytes()
    }
}
