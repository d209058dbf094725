//! The function catalogue: every function that a formula can call, with its signature, its meaning and where it may stand.

pub(crate) mod states;
mod table;

use crate::names::FormulaContext;
use crate::scalar::Scalar;
use crate::state::StateFunction;
use crate::stream::StreamFunction;
use table::STREAM;

/// One function of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// How it is written.
    pub signature: &'static str,
    /// What it gives, in one line.
    pub meaning: &'static str,
    /// What it costs in time and memory, in a few words.
    pub cost: &'static str,
    /// A formula that uses it, valid in the first of `contexts`.
    pub example: &'static str,
    /// Where it may stand.
    pub contexts: &'static [FormulaContext],
    /// Which stream function it is; `None` for functions of one row's values.
    pub stream: Option<StreamFunction>,
}

/// What a stream function says about time in a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookback {
    /// A duration, `"5 rows"` or `"all"` is needed.
    Rows,
    /// A duration is needed.
    Span,
    /// A duration, `"5 rows"`, `"all"`, or nothing for the previous row.
    Maybe,
    /// Nothing, or how many rows back.
    Back,
    /// Nothing.
    Never,
}

/// A literal that a stream function needs after its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Constant {
    /// None.
    Nothing,
    /// A number from 0 to 100.
    Percent,
    /// A whole number from 1 to [`MOST_LISTED`].
    Most,
    /// A duration.
    Lag,
}

/// The most values that `top(x, k)` may ask for.
pub(crate) const MOST_LISTED: f64 = 1_000.0;

/// A stream function's form.
#[derive(Debug)]
pub(crate) struct StreamEntry {
    pub(crate) function: StreamFunction,
    /// Least and greatest number of arguments, durations and filter apart.
    pub(crate) arguments: (usize, usize),
    pub(crate) constant: Constant,
    pub(crate) lookback: Lookback,
    pub(crate) in_window: bool,
    pub(crate) filter: bool,
    pub(crate) signature: &'static str,
    pub(crate) meaning: &'static str,
    pub(crate) example: &'static str,
}

const ANYWHERE: [FormulaContext; 3] = [
    FormulaContext::RowFilter,
    FormulaContext::Condition,
    FormulaContext::WindowEmit,
];
const BOTH: [FormulaContext; 2] = [FormulaContext::Condition, FormulaContext::WindowEmit];
const CONDITION: [FormulaContext; 1] = [FormulaContext::Condition];

/// Functions of the language that are not built yet: asking for one says so instead of "unknown".
pub(crate) const PLANNED: [&str; 9] = [
    "distance", "sequence", "gate", "belief", "within", "near", "inside", "lag", "lead",
];

impl StreamEntry {
    pub(crate) fn of(function: StreamFunction) -> &'static Self {
        let found = STREAM.iter().find(|entry| entry.function == function);
        // The table has a line for each function (tested); the first one stands in for a missing line.
        let [first, ..] = &STREAM;
        found.unwrap_or(first)
    }
}

/// What a stream function costs. `n`: rows in the window or lookback.
const fn cost(function: StreamFunction) -> &'static str {
    use StreamFunction as F;
    match function {
        F::Count
        | F::CountIf
        | F::Delta
        | F::Rate
        | F::First
        | F::Last
        | F::Min
        | F::Max
        | F::Spread => "constant per row; small",
        F::Sum | F::Avg | F::Std | F::Var | F::Zscore => "constant per row; one or two exact sums",
        F::Cov | F::Corr | F::Slope | F::Skew | F::AngleMean => {
            "constant per row; two to five exact sums"
        }
        F::CorrLag => "constant per row; five exact sums; keeps y for as long as it lags",
        F::Median | F::Percentile => "keeps its rows; a t-digest beyond 10,000",
        F::Mode | F::Entropy | F::CountDistinct => {
            "log of the distinct values per row; keeps the distinct values"
        }
        F::ApproxDistinct => "constant per row; at most 16 KiB",
        F::Increase | F::Integral | F::Twa | F::Duration => {
            "constant per row in order; keeps its rows"
        }
        F::Collect | F::Top => "keeps at most 1,000 values in a window, its rows in a lookback",
        F::Changed | F::Prev | F::Held | F::Since | F::Stale | F::Silent => {
            "constant per row; a few values per task"
        }
        F::Members | F::StaleCount => "one look at each member per row",
        F::State(function) => states::cost(function),
    }
}

/// Every function of the catalogue: stream functions first, then functions of one row's values.
pub fn catalogue() -> impl Iterator<Item = Entry> {
    let stream = STREAM.iter().map(|entry| Entry {
        name: entry.function.name(),
        signature: entry.signature,
        meaning: entry.meaning,
        cost: cost(entry.function),
        example: entry.example,
        contexts: if entry.in_window { &BOTH } else { &CONDITION },
        stream: Some(entry.function),
    });
    let states = StateFunction::ALL.into_iter().map(|function| {
        let line = states::of(function);
        Entry {
            name: function.name(),
            signature: line.signature,
            meaning: line.meaning,
            cost: states::cost(function),
            example: line.example,
            contexts: &CONDITION,
            stream: Some(StreamFunction::State(function)),
        }
    });
    let scalar = Scalar::all().map(|scalar| Entry {
        name: scalar.name,
        signature: scalar.signature,
        meaning: scalar.meaning,
        cost: "one row",
        example: scalar.example,
        contexts: &ANYWHERE,
        stream: None,
    });
    stream.chain(states).chain(scalar).chain(SPECIAL)
}

/// Functions whose arguments are not simply evaluated.
const SPECIAL: [Entry; 2] = [
    Entry {
        name: "or",
        signature: "or(x, y)",
        meaning: "x unless it is `()`, then y; also `x ?? y`",
        cost: "one row",
        example: "or(temperature, 20) > 90",
        contexts: &ANYWHERE,
        stream: None,
    },
    Entry {
        name: "metric",
        signature: "metric(\"name\")",
        meaning: "a metric by any name, also one that is no identifier",
        cost: "one row",
        example: "metric(\"motor speed\") > 3",
        contexts: &ANYWHERE,
        stream: None,
    },
];

/// Names of all functions, for "did you mean".
pub(crate) fn function_names() -> impl Iterator<Item = &'static str> {
    catalogue().map(|entry| entry.name)
}
