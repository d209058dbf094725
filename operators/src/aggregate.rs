//! Aggregates: what they are called ([`AggregateKind`]) and what they remember of the rows of one window
//! ([`Accumulator`], and [`Column`], many of one kind side by side).
//!
//! All sums are exact, so neither the order of rows nor the panes they went through change a bit of a result.

mod change;
mod column;
mod digest;
mod listed;
mod pairs;
mod series;
mod sketch;
mod state;
mod tally;
#[cfg(test)]
pub(crate) mod tests;
mod wide;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

pub(crate) use change::change;
pub use change::{Change, Standing};
pub use column::Column;
pub use digest::Digest;
pub(crate) use listed::COLLECTED;
pub use listed::{Angles, Largest, Listed};
pub use pairs::{Pairs, Skewness};
pub use series::Series;
pub use sketch::Sketch;
pub use state::{Ends, Extremes, Middle, Moments, Total};
pub(crate) use state::{middle_of, percentile_of};
pub use tally::{Distinct, Tally, Values};
pub use wide::Wide;
pub(crate) use wide::{percent, unwrapped};

/// Rows up to which a median is exact; beyond it a t-digest answers.
pub const PERCENTILE_EXACT: usize = 10_000;

/// Which aggregate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AggregateKind {
    /// Rows that have a value.
    Count,
    /// Rows whose value is true.
    CountIf,
    /// Exact sum.
    Sum,
    /// Mean.
    Avg,
    /// Least number, or least text by bytes.
    Min,
    /// Largest number, or largest text by bytes.
    Max,
    /// Largest less least number.
    Spread,
    /// Standard deviation, n − 1.
    Std,
    /// Variance, n − 1.
    Var,
    /// Value of the first row in row order.
    First,
    /// Value of the last row in row order.
    Last,
    /// The middle value; the mean of two for an even count.
    Median,
    /// The latest value among rows before the window's end, also of older windows: a bare metric.
    Latest,
    /// Last less first number.
    Delta,
    /// Last less first number, per second between them.
    Rate,
    /// How the last number stands among all, in standard deviations; 0 if all are equal.
    Zscore,
    /// The value below which so many percent lie.
    Percentile(Percent),
    /// Most frequent value.
    Mode,
    /// Entropy of the values in bits.
    Entropy,
    /// Different values, exact as long as they are few.
    CountDistinct,
    /// Different values by HyperLogLog.
    ApproxDistinct,
    /// Growth of a counter that may restart.
    Increase,
    /// Value times seconds in force.
    Integral,
    /// Integral by the seconds that a value was in force.
    Twa,
    /// Seconds for which a condition was true.
    Duration,
    /// Slope of the line of least squares, per second.
    Slope,
    /// Skewness of a sample.
    Skew,
    /// Covariance of pairs, n − 1.
    Cov,
    /// Correlation of pairs.
    Corr,
    /// The values as a list.
    Collect,
    /// The same with `()`: values come wrapped in a list of one.
    CollectNulls,
    /// `First` with `()`: values come wrapped in a list of one.
    FirstNulls,
    /// `Last` with `()`: values come wrapped in a list of one.
    LastNulls,
    /// So many largest values as a list.
    Top(u32),
    /// Mean direction of angles in degrees, or of pairs of angle and weight.
    AngleMean,
}

/// Percent of a percentile, 0 to 100: the bits of a float, so that equal ones are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Percent(u64);

impl Percent {
    /// Of a number from 0 to 100.
    #[must_use]
    pub const fn new(percent: f64) -> Self {
        Self(percent.to_bits())
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// The window that a value is asked for, for aggregates that weigh values by the time they were in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Start of the window.
    pub start: i64,
    /// End of the window.
    pub end: i64,
    /// The number in force when the window began.
    pub carried: Option<f64>,
}

/// Where a row stands among the rows of its resource: by event time, then by log order.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct RowOrder {
    /// Event time in ms.
    pub time: i64,
    /// Log order.
    pub sequence: u64,
}

impl RowOrder {
    /// The beginning of time.
    pub(crate) const START: Self = Self {
        time: 0,
        sequence: 0,
    };
}

impl AggregateKind {
    /// Whether only numbers count (true as 1, false as 0; anything else is skipped and counted).
    #[must_use]
    pub const fn is_numeric(self) -> bool {
        matches!(
            self,
            Self::Sum
                | Self::Avg
                | Self::Spread
                | Self::Std
                | Self::Var
                | Self::Median
                | Self::Delta
                | Self::Rate
                | Self::Zscore
                | Self::Percentile(_)
                | Self::Increase
                | Self::Slope
                | Self::Skew
                | Self::AngleMean
        ) || self.weighs_time()
    }

    /// Whether values are weighed by the time they are in force: what was in force before the window counts too.
    #[must_use]
    pub const fn weighs_time(self) -> bool {
        matches!(self, Self::Integral | Self::Twa | Self::Duration)
    }

    /// Whether rows before the window count too.
    #[must_use]
    pub const fn looks_back(self) -> bool {
        matches!(self, Self::Latest) || self.weighs_time()
    }

    /// Whether two numbers of a row are taken together.
    #[must_use]
    pub const fn takes_pairs(self) -> bool {
        matches!(self, Self::Cov | Self::Corr)
    }

    /// Whether rows without a value are taken too, and values come wrapped.
    #[must_use]
    pub const fn takes_nulls(self) -> bool {
        matches!(
            self,
            Self::CollectNulls | Self::FirstNulls | Self::LastNulls
        )
    }

    /// Whether the argument is a condition.
    #[must_use]
    pub const fn is_condition(self) -> bool {
        matches!(self, Self::CountIf | Self::Duration)
    }

    /// Whether this aggregate would take a value: otherwise it is missing, or of a type that it skips.
    #[must_use]
    pub fn takes(self, value: &Value) -> bool {
        match value {
            Value::Missing => false,
            Value::Number(number) if number.is_nan() => false,
            Value::Bool(_) | Value::Int(_) | Value::Number(_) => !self.takes_pairs(),
            Value::Text(_) => !self.is_numeric() && !self.takes_pairs(),
            Value::List(_) | Value::Map(_) => match self {
                Self::Cov | Self::Corr | Self::AngleMean => wide::pair(value).is_some(),
                Self::Count | Self::CountIf | Self::First | Self::Last | Self::Latest => true,
                Self::Collect => true,
                other => other.takes_nulls(),
            },
        }
    }
}

/// What one aggregate remembers of the rows that it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Accumulator {
    /// Of `Count` and `CountIf`.
    Count(u64),
    /// Of `Sum` and `Avg`.
    Total(Total),
    /// Of `Std` and `Var`.
    Moments(Box<Moments>),
    /// Of `Min`, `Max` and `Spread`.
    Extremes(Extremes),
    /// Of `First`.
    First(Ends),
    /// Of `Last` and `Latest`.
    Last(Ends),
    /// Of `Median`.
    Middle(Middle),
    /// Of `Delta` and `Rate`.
    Change(Change),
    /// Of `Zscore`.
    Standing(Box<Standing>),
    /// Of everything else.
    Wide(AggregateKind, Box<Wide>),
}

impl Accumulator {
    /// Empty, for an aggregate.
    #[must_use]
    pub fn new(kind: AggregateKind) -> Self {
        if let Some(wide) = Wide::new(kind) {
            return Self::Wide(kind, Box::new(wide));
        }
        match kind {
            AggregateKind::Count | AggregateKind::CountIf => Self::Count(0),
            AggregateKind::Sum | AggregateKind::Avg => Self::Total(Total::default()),
            AggregateKind::Std | AggregateKind::Var => Self::Moments(Box::default()),
            AggregateKind::Min | AggregateKind::Max | AggregateKind::Spread => {
                Self::Extremes(Extremes::default())
            }
            AggregateKind::First => Self::First(Ends::default()),
            AggregateKind::Last | AggregateKind::Latest => Self::Last(Ends::default()),
            AggregateKind::Median => Self::Middle(Middle::default()),
            AggregateKind::Delta | AggregateKind::Rate => Self::Change(Change::default()),
            _ => Self::Standing(Box::default()),
        }
    }

    /// Takes the value of a row. `kind` is the one that this was made for. What the aggregate does not take is skipped.
    pub fn add(&mut self, kind: AggregateKind, order: RowOrder, value: &Value) {
        if !kind.takes(value) {
            return;
        }
        match self {
            Self::Count(count) => *count += counted(kind, value),
            Self::First(ends) => ends.keep_first(order, value),
            Self::Last(ends) => ends.keep_last(order, value),
            Self::Extremes(extremes) => extremes.add(value),
            Self::Wide(_, wide) => wide.add(kind, order, value),
            Self::Total(_)
            | Self::Moments(_)
            | Self::Middle(_)
            | Self::Change(_)
            | Self::Standing(_) => {
                if let Some(number) = value.as_number() {
                    self.add_number(kind, order, number);
                }
            }
        }
    }

    /// Takes the number of a row; NaN is no number.
    pub fn add_number(&mut self, kind: AggregateKind, order: RowOrder, number: f64) {
        if number.is_nan() {
            return;
        }
        match self {
            Self::Count(count) => *count += u64::from(counted_number(kind, number)),
            Self::Total(total) => total.add(number),
            Self::Moments(moments) => moments.add(number),
            Self::Extremes(extremes) => extremes.add_number(number),
            Self::First(ends) => ends.keep_first(order, &Value::Number(number)),
            Self::Last(ends) => ends.keep_last(order, &Value::Number(number)),
            Self::Middle(middle) => middle.add(order, number),
            Self::Change(change) => change.add(order, number),
            Self::Standing(standing) => standing.add(order, number),
            Self::Wide(_, wide) => {
                let value = Value::Number(number);
                if kind.takes(&value) {
                    wide.add(kind, order, &value);
                }
            }
        }
    }

    /// Takes all rows that another accumulator of the same kind took.
    pub fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(mine), Self::Count(theirs)) => *mine += theirs,
            (Self::Total(mine), Self::Total(theirs)) => mine.merge(theirs),
            (Self::Moments(mine), Self::Moments(theirs)) => mine.merge(theirs),
            (Self::Extremes(mine), Self::Extremes(theirs)) => mine.merge(theirs),
            (Self::First(mine), Self::First(theirs)) => mine.merge_first(theirs),
            (Self::Last(mine), Self::Last(theirs)) => mine.merge_last(theirs),
            (Self::Middle(mine), Self::Middle(theirs)) => mine.merge(theirs),
            (Self::Change(mine), Self::Change(theirs)) => mine.merge(theirs),
            (Self::Standing(mine), Self::Standing(theirs)) => mine.merge(theirs),
            (Self::Wide(kind, mine), Self::Wide(_, theirs)) => mine.merge(*kind, theirs),
            // Accumulators of two kinds have nothing to say to each other.
            _ => {}
        }
    }

    /// The aggregate over all rows taken, as if the window ended with the epoch of time where that matters.
    #[must_use]
    pub fn result(&self, kind: AggregateKind) -> Value {
        self.result_in(kind, &Frame::default())
    }

    /// The aggregate over all rows taken, in a window.
    #[must_use]
    pub fn result_in(&self, kind: AggregateKind, frame: &Frame) -> Value {
        match self {
            Self::Count(count) => whole(*count),
            Self::Total(total) => total.result(kind),
            Self::Moments(moments) => moments.result(kind),
            Self::Extremes(extremes) => extremes.result(kind),
            Self::First(ends) | Self::Last(ends) => ends.value(),
            Self::Middle(middle) => middle.result(),
            Self::Change(change) => change.result(kind),
            Self::Standing(standing) => standing.result(),
            Self::Wide(_, wide) => wide.result(kind, frame),
        }
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Count(_) | Self::Change(_) => 0,
            Self::Total(total) => total.heap_bytes(),
            Self::Moments(moments) => size_of::<Moments>() + moments.heap_bytes(),
            Self::Extremes(extremes) => extremes.heap_bytes(),
            Self::First(ends) | Self::Last(ends) => ends.heap_bytes(),
            Self::Middle(middle) => middle.heap_bytes(),
            Self::Standing(standing) => size_of::<Standing>() + standing.heap_bytes(),
            Self::Wide(_, wide) => size_of::<Wide>() + wide.heap_bytes(),
        }
    }
}

/// A count as a value.
pub(crate) fn whole(count: u64) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// How much a value that is taken counts.
pub(crate) fn counted(kind: AggregateKind, value: &Value) -> u64 {
    match kind {
        AggregateKind::CountIf => u64::from(value.as_number() == Some(1.0)),
        _ => 1,
    }
}

/// Whether a number counts: in a numeric column a flag is 1 or 0.
pub(crate) fn counted_number(kind: AggregateKind, number: f64) -> bool {
    kind != AggregateKind::CountIf || number == 1.0
}
