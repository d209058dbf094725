//! [`Wide`]: one box for the aggregates that remember more than a few numbers.

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::{
    AggregateKind, Angles, Distinct, Ends, Frame, Largest, Listed, Middle, Pairs, RowOrder, Series,
    Sketch, Skewness, Tally,
};

/// What one of the larger aggregates remembers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wide {
    /// Of `Cov`, `Corr` and `Slope`.
    Pairs(Pairs),
    /// Of `Skew`.
    Skewness(Skewness),
    /// Of `Percentile`.
    Middle(Middle),
    /// Of `Mode` and `Entropy`; of `CountDistinct` where rows leave.
    Tally(Tally),
    /// Of `CountDistinct`.
    Distinct(Distinct),
    /// Of `ApproxDistinct`.
    Sketch(Sketch),
    /// Of `Increase`, `Integral`, `Twa` and `Duration`.
    Series(Series),
    /// Of `Collect` and `CollectNulls`.
    Listed(Listed),
    /// Of `Top`.
    Largest(Largest),
    /// Of `AngleMean`.
    Angles(Angles),
    /// Of `FirstNulls` and `LastNulls`.
    Ends(Ends),
}

/// The two numbers of a pair.
pub(crate) fn pair(value: &Value) -> Option<(f64, f64)> {
    let Value::List(items) = value else {
        return None;
    };
    let [left, right] = items.as_slice() else {
        return None;
    };
    let (left, right) = (left.as_number()?, right.as_number()?);
    (!left.is_nan() && !right.is_nan()).then_some((left, right))
}

/// The value inside of one that may be `()`.
pub(crate) fn unwrapped(value: &Value) -> Value {
    match value {
        Value::List(items) => items.first().cloned().unwrap_or_default(),
        other => other.clone(),
    }
}

/// An angle and its weight.
fn angle(value: &Value) -> Option<(f64, f64)> {
    pair(value).or_else(|| Some((value.as_number()?, 1.0)))
}

impl Wide {
    /// Empty, for an aggregate; `None` if it is one of the small ones.
    #[must_use]
    pub fn new(kind: AggregateKind) -> Option<Self> {
        use AggregateKind as Kind;
        Some(match kind {
            Kind::Cov | Kind::Corr | Kind::Slope => Self::Pairs(Pairs::default()),
            Kind::Skew => Self::Skewness(Skewness::default()),
            Kind::Percentile(_) => Self::Middle(Middle::default()),
            Kind::Mode | Kind::Entropy => Self::Tally(Tally::default()),
            Kind::CountDistinct => Self::Distinct(Distinct::default()),
            Kind::ApproxDistinct => Self::Sketch(Sketch::default()),
            Kind::Increase | Kind::Integral | Kind::Twa | Kind::Duration => {
                Self::Series(Series::default())
            }
            Kind::Collect | Kind::CollectNulls => Self::Listed(Listed::default()),
            Kind::Top(_) => Self::Largest(Largest::default()),
            Kind::AngleMean => Self::Angles(Angles::default()),
            Kind::FirstNulls | Kind::LastNulls => Self::Ends(Ends::default()),
            Kind::Count
            | Kind::CountIf
            | Kind::Sum
            | Kind::Avg
            | Kind::Min
            | Kind::Max
            | Kind::Spread
            | Kind::Std
            | Kind::Var
            | Kind::First
            | Kind::Last
            | Kind::Median
            | Kind::Latest
            | Kind::Delta
            | Kind::Rate
            | Kind::Zscore => return None,
        })
    }

    /// Empty, for an aggregate whose rows leave one by one, oldest first; `None` if the rows themselves have to answer.
    #[must_use]
    pub(crate) fn running(kind: AggregateKind) -> Option<Self> {
        match Self::new(kind) {
            Some(Self::Distinct(_)) => Some(Self::Tally(Tally::default())),
            Some(
                wide @ (Self::Pairs(_)
                | Self::Skewness(_)
                | Self::Tally(_)
                | Self::Series(_)
                | Self::Angles(_)),
            ) => Some(wide),
            _ => None,
        }
    }

    /// Takes a value that the aggregate takes.
    pub fn add(&mut self, kind: AggregateKind, order: RowOrder, value: &Value) {
        match self {
            Self::Pairs(pairs) => {
                if let Some((left, right)) = pair_of(kind, order, value) {
                    pairs.add(kind, left, right);
                }
            }
            Self::Skewness(skewness) => with_number(value, |number| skewness.add(number)),
            Self::Middle(middle) => with_number(value, |number| middle.add(order, number)),
            Self::Tally(tally) => tally.add(order, value),
            Self::Distinct(distinct) => distinct.add(value),
            Self::Sketch(sketch) => sketch.add_value(value),
            Self::Series(series) => with_number(value, |number| series.add(kind, order, number)),
            Self::Listed(listed) if kind == AggregateKind::CollectNulls => {
                listed.add(order, &unwrapped(value));
            }
            Self::Listed(listed) => listed.add(order, value),
            Self::Largest(largest) => largest.add(most(kind), order, value),
            Self::Angles(angles) => {
                if let Some((degrees, weight)) = angle(value) {
                    angles.add(degrees, weight);
                }
            }
            Self::Ends(ends) if kind == AggregateKind::FirstNulls => ends.keep_first(order, value),
            Self::Ends(ends) => ends.keep_last(order, value),
        }
    }

    /// Takes a value of a row that will leave again.
    pub(crate) fn enter(&mut self, kind: AggregateKind, order: RowOrder, value: &Value) {
        match self {
            Self::Tally(tally) => tally.enter(order, value),
            other => other.add(kind, order, value),
        }
    }

    /// Gives the value of the oldest row back.
    pub(crate) fn leave(&mut self, kind: AggregateKind, order: RowOrder, value: &Value) {
        match self {
            Self::Pairs(pairs) => {
                if let Some((left, right)) = pair_of(kind, order, value) {
                    pairs.remove(kind, left, right);
                }
            }
            Self::Skewness(skewness) => with_number(value, |number| skewness.remove(number)),
            Self::Tally(tally) => tally.remove(value),
            Self::Series(series) => series.remove(kind, order),
            Self::Angles(angles) => {
                if let Some((degrees, weight)) = angle(value) {
                    angles.remove(degrees, weight);
                }
            }
            // These are never run with rows that leave.
            Self::Middle(_)
            | Self::Distinct(_)
            | Self::Sketch(_)
            | Self::Listed(_)
            | Self::Largest(_)
            | Self::Ends(_) => {}
        }
    }

    /// Takes what another of the same kind took.
    pub fn merge(&mut self, kind: AggregateKind, other: &Self) {
        match (self, other) {
            (Self::Pairs(mine), Self::Pairs(theirs)) => mine.merge(theirs),
            (Self::Skewness(mine), Self::Skewness(theirs)) => mine.merge(theirs),
            (Self::Middle(mine), Self::Middle(theirs)) => mine.merge(theirs),
            (Self::Tally(mine), Self::Tally(theirs)) => mine.merge(theirs),
            (Self::Distinct(mine), Self::Distinct(theirs)) => mine.merge(theirs),
            (Self::Sketch(mine), Self::Sketch(theirs)) => mine.merge(theirs),
            (Self::Series(mine), Self::Series(theirs)) => mine.merge(kind, theirs),
            (Self::Listed(mine), Self::Listed(theirs)) => mine.merge(theirs),
            (Self::Largest(mine), Self::Largest(theirs)) => mine.merge(most(kind), theirs),
            (Self::Angles(mine), Self::Angles(theirs)) => mine.merge(theirs),
            (Self::Ends(mine), Self::Ends(theirs)) if kind == AggregateKind::FirstNulls => {
                mine.merge_first(theirs);
            }
            (Self::Ends(mine), Self::Ends(theirs)) => mine.merge_last(theirs),
            // Two kinds have nothing to say to each other.
            _ => {}
        }
    }

    /// The aggregate over all rows taken; `frame`: the window, for those that weigh values by time.
    #[must_use]
    pub fn result(&self, kind: AggregateKind, frame: &Frame) -> Value {
        match self {
            Self::Pairs(pairs) => pairs.result(kind),
            Self::Skewness(skewness) => skewness.result(),
            Self::Middle(middle) => middle.percentile(percent(kind)),
            Self::Tally(tally) => tally.result(kind),
            Self::Distinct(distinct) => distinct.result(),
            Self::Sketch(sketch) => sketch.result(),
            Self::Series(series) => series.result(kind, frame),
            Self::Listed(listed) => listed.result(),
            Self::Largest(largest) => largest.result(),
            Self::Angles(angles) => angles.result(),
            Self::Ends(ends) => unwrapped(&ends.value()),
        }
    }

    /// Time and number of the last row, where it goes on being in force.
    pub(crate) fn last(&self) -> Option<(RowOrder, f64)> {
        match self {
            Self::Series(series) => series.last(),
            _ => None,
        }
    }

    /// Says which value was in force before the first row.
    pub(crate) fn carry(&mut self, order: RowOrder, value: &Value) {
        if let (Self::Series(series), Some(number)) = (self, value.as_number()) {
            series.carry(order, number);
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Pairs(pairs) => pairs.heap_bytes(),
            Self::Skewness(skewness) => skewness.heap_bytes(),
            Self::Middle(middle) => middle.heap_bytes(),
            Self::Tally(tally) => tally.heap_bytes(),
            Self::Distinct(distinct) => distinct.heap_bytes(),
            Self::Sketch(sketch) => sketch.heap_bytes(),
            Self::Series(series) => series.heap_bytes(),
            Self::Listed(listed) => listed.heap_bytes(),
            Self::Largest(largest) => largest.heap_bytes(),
            Self::Angles(angles) => angles.heap_bytes(),
            Self::Ends(ends) => ends.heap_bytes(),
        }
    }
}

fn with_number(value: &Value, work: impl FnOnce(f64)) {
    if let Some(number) = value.as_number() {
        work(number);
    }
}

/// The two numbers of a row: those of its pair, or its time and its number.
fn pair_of(kind: AggregateKind, order: RowOrder, value: &Value) -> Option<(f64, f64)> {
    if kind == AggregateKind::Slope {
        Some((order.time as f64, value.as_number()?))
    } else {
        pair(value)
    }
}

fn most(kind: AggregateKind) -> usize {
    match kind {
        AggregateKind::Top(most) => most as usize,
        _ => 0,
    }
}

pub(crate) fn percent(kind: AggregateKind) -> f64 {
    match kind {
        AggregateKind::Percentile(percent) => percent.value(),
        _ => 50.0,
    }
}
