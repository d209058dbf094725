//! Lookbacks: aggregates over the last rows of a key ([`Lookback`]), and small states per key whose answer changes with
//! the next row or with time alone ([`Previous`], [`Held`], [`Stale`]).

mod previous;
pub(crate) mod running;
mod sorted;
mod span;
#[cfg(test)]
mod tests;
mod timed;

use serde::{Deserialize, Serialize};

use crate::aggregate::AggregateKind;

pub(crate) use previous::differs;
pub use previous::{Previous, PreviousFunction};
pub(crate) use sorted::SortedNumbers;
pub use span::{Lookback, LookbackCounters};
pub use timed::{Held, Stale};

/// What a lookback computes over its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LookbackFunction {
    /// Rows.
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
    /// How the newest value stands among all, in standard deviations.
    Zscore,
    /// Last less first number.
    Delta,
    /// Last less first number per second between them.
    Rate,
    /// One of the larger aggregates.
    Wide(AggregateKind),
}

/// Over which rows a lookback computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LookbackOver {
    /// Rows in `(t − ms, t]`.
    Span(i64),
    /// The last n rows that have a value.
    Rows(u32),
    /// All rows since the task began.
    All,
}

impl LookbackFunction {
    /// The aggregate that answers it, or whose state does.
    #[must_use]
    pub const fn aggregate(self) -> AggregateKind {
        match self {
            Self::Count => AggregateKind::Count,
            Self::CountIf => AggregateKind::CountIf,
            Self::Sum => AggregateKind::Sum,
            Self::Avg => AggregateKind::Avg,
            Self::Min => AggregateKind::Min,
            Self::Max => AggregateKind::Max,
            Self::Spread => AggregateKind::Spread,
            Self::Std => AggregateKind::Std,
            Self::Var | Self::Zscore => AggregateKind::Var,
            Self::First => AggregateKind::First,
            Self::Last | Self::Delta | Self::Rate => AggregateKind::Last,
            Self::Median => AggregateKind::Median,
            Self::Wide(kind) => kind,
        }
    }
}
