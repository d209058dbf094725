//! The function catalogue: every function that a formula can call, with its signature, its meaning and where it may stand.

use crate::names::FormulaContext;
use crate::scalar::Scalar;
use crate::stream::StreamFunction;

/// One function of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// How it is written.
    pub signature: &'static str,
    /// What it gives, in one line.
    pub meaning: &'static str,
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

/// A stream function's form.
#[derive(Debug)]
pub(crate) struct StreamEntry {
    pub(crate) function: StreamFunction,
    /// Least and greatest number of arguments, durations and filter apart.
    pub(crate) arguments: (usize, usize),
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
pub(crate) const PLANNED: [&str; 46] = [
    "cov",
    "corr",
    "corr_lag",
    "skew",
    "slope",
    "percentile",
    "mode",
    "count_distinct",
    "approx_distinct",
    "increase",
    "integral",
    "twa",
    "duration",
    "entropy",
    "collect",
    "top",
    "angle_mean",
    "members",
    "stale_count",
    "consecutive",
    "n_of_m",
    "times",
    "deadband",
    "crossed_above",
    "crossed_below",
    "hysteresis",
    "debounce",
    "zscore_before",
    "robust_z",
    "ewma",
    "ewma_shift",
    "cusum",
    "season_mean",
    "season_z",
    "holt_winters",
    "forecast",
    "time_to",
    "distance",
    "sequence",
    "gate",
    "belief",
    "within",
    "near",
    "inside",
    "lag",
    "lead",
];

/// An aggregate of the values of x: `f(x)` over the window, `f(x, "5m")` looking back.
const fn aggregate(
    function: StreamFunction,
    signature: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> StreamEntry {
    StreamEntry {
        function,
        arguments: (1, 1),
        lookback: Lookback::Rows,
        in_window: true,
        filter: true,
        signature,
        meaning,
        example,
    }
}

/// A function of conditions only.
const fn condition(
    function: StreamFunction,
    lookback: Lookback,
    signature: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> StreamEntry {
    StreamEntry {
        function,
        arguments: (1, 1),
        lookback,
        in_window: false,
        filter: false,
        signature,
        meaning,
        example,
    }
}

use StreamFunction as F;

static STREAM: [StreamEntry; 21] = [
    StreamEntry {
        arguments: (0, 1),
        filter: false,
        ..aggregate(
            F::Count,
            "count(x, \"5m\")",
            "number of rows, or of rows with x; 0 when there are none",
            "count(\"5m\") > 3",
        )
    },
    aggregate(
        F::CountIf,
        "count_if(c, \"5m\")",
        "number of rows where c is true; 0 when there are none",
        "count_if(temperature > 90, \"5m\") > 3",
    ),
    aggregate(
        F::Sum,
        "sum(x, \"5m\", filter)",
        "exact sum, rounded once; `()` without rows",
        "sum(energy, \"1h\") > 10",
    ),
    aggregate(
        F::Avg,
        "avg(x, \"5m\", filter)",
        "mean; `()` without rows",
        "avg(temperature, \"5m\") > 90",
    ),
    aggregate(
        F::Min,
        "min(x, \"5m\", filter)",
        "least value; `()` without rows",
        "min(temperature, \"5m\") > 90",
    ),
    aggregate(
        F::Max,
        "max(x, \"5m\", filter)",
        "greatest value; `()` without rows",
        "max(temperature, \"5m\") > 90",
    ),
    aggregate(
        F::Std,
        "std(x, \"5m\", filter)",
        "standard deviation with n − 1; `()` below two rows",
        "std(temperature, \"5m\") > 2",
    ),
    aggregate(
        F::Var,
        "var(x, \"5m\", filter)",
        "variance with n − 1; `()` below two rows",
        "var(temperature, \"5m\") > 4",
    ),
    aggregate(
        F::First,
        "first(x, \"5m\", filter)",
        "first value in row order; `first(x, \"nulls\")` takes `()` rows too",
        "first(temperature, \"5m\") > 90",
    ),
    aggregate(
        F::Last,
        "last(x, \"5m\", filter)",
        "last value in row order; `last(x, \"nulls\")` takes `()` rows too",
        "last(temperature, \"5m\") > 90",
    ),
    aggregate(
        F::Median,
        "median(x, \"5m\", filter)",
        "middle value, of an even number the mean of two",
        "median(temperature, \"5m\") > 90",
    ),
    aggregate(
        F::Spread,
        "spread(x, \"5m\", filter)",
        "greatest minus least value",
        "spread(temperature, \"5m\") > 5",
    ),
    condition(
        F::Zscore,
        Lookback::Span,
        "zscore(x, \"5m\")",
        "distance of x from its mean in standard deviations",
        "zscore(temperature, \"1h\") > 3",
    ),
    StreamEntry {
        lookback: Lookback::Maybe,
        ..aggregate(
            F::Delta,
            "delta(x, \"5m\", filter)",
            "last minus first value; without a duration minus the previous row's",
            "delta(temperature) > 5",
        )
    },
    StreamEntry {
        lookback: Lookback::Maybe,
        ..aggregate(
            F::Rate,
            "rate(x, \"5m\", filter)",
            "change per second; without a duration since the previous row",
            "rate(temperature, \"5m\") > 0.5",
        )
    },
    condition(
        F::Changed,
        Lookback::Never,
        "changed(x)",
        "whether x differs from the previous row's x; the first: false",
        "changed(mode)",
    ),
    condition(
        F::Prev,
        Lookback::Back,
        "prev(x, 1)",
        "the value of x one or so many rows ago",
        "temperature > prev(temperature)",
    ),
    condition(
        F::Held,
        Lookback::Span,
        "held(c, \"5m\")",
        "whether c was true without break for so long",
        "held(temperature > 90, \"5m\")",
    ),
    condition(
        F::Since,
        Lookback::Never,
        "since(c)",
        "seconds since c turned true; `()` if it is not",
        "since(temperature > 90) > 60",
    ),
    condition(
        F::Stale,
        Lookback::Span,
        "stale(x, \"10m\")",
        "whether x had no value for so long",
        "stale(temperature, \"10m\")",
    ),
    StreamEntry {
        arguments: (0, 0),
        ..condition(
            F::Silent,
            Lookback::Span,
            "silent(\"10m\")",
            "whether the resource sent nothing for so long",
            "silent(\"10m\")",
        )
    },
];

impl StreamEntry {
    pub(crate) fn of(function: StreamFunction) -> &'static Self {
        let found = STREAM.iter().find(|entry| entry.function == function);
        // The table has a line for each function (tested); the first one stands in for a missing line.
        let [first, ..] = &STREAM;
        found.unwrap_or(first)
    }
}

/// Every function of the catalogue: stream functions first, then functions of one row's values.
pub fn catalogue() -> impl Iterator<Item = Entry> {
    let stream = STREAM.iter().map(|entry| Entry {
        name: entry.function.name(),
        signature: entry.signature,
        meaning: entry.meaning,
        example: entry.example,
        contexts: if entry.in_window { &BOTH } else { &CONDITION },
        stream: Some(entry.function),
    });
    let scalar = Scalar::all().map(|scalar| Entry {
        name: scalar.name,
        signature: scalar.signature,
        meaning: scalar.meaning,
        example: scalar.example,
        contexts: &ANYWHERE,
        stream: None,
    });
    stream.chain(scalar).chain(SPECIAL)
}

/// Functions whose arguments are not simply evaluated.
const SPECIAL: [Entry; 2] = [
    Entry {
        name: "or",
        signature: "or(x, y)",
        meaning: "x unless it is `()`, then y; also `x ?? y`",
        example: "or(temperature, 20) > 90",
        contexts: &ANYWHERE,
        stream: None,
    },
    Entry {
        name: "metric",
        signature: "metric(\"name\")",
        meaning: "a metric by any name, also one that is no identifier",
        example: "metric(\"motor speed\") > 3",
        contexts: &ANYWHERE,
        stream: None,
    },
];

/// Names of all functions, for "did you mean".
pub(crate) fn function_names() -> impl Iterator<Item = &'static str> {
    catalogue().map(|entry| entry.name)
}
