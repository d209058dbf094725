//! What a formula asks the outside for: [`Slot`]s, and among them [`StreamCall`]s, the functions that look at more than
//! one row. The operators crate gives every slot its value.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use tidegate_proto::Span;

use crate::alias::AliasSlot;
use crate::formula::Formula;
use crate::state::{Parameter, StateFunction};

/// One thing that a formula needs a value for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The latest value of a metric, a named input, or (in `having`) a column of the result.
    Metric(Arc<str>),
    /// `meta.line`, `labels.x`, `type`, `parent`: text.
    Trait(Arc<str>),
    /// The id of the resource: text.
    Resource,
    /// The event time in epoch milliseconds.
    Time,
    /// `win_start` in epoch milliseconds.
    WindowStart,
    /// `win_end` in epoch milliseconds.
    WindowEnd,
    /// A function over more than one row.
    Stream(StreamCall),
    /// Something of a row that a pattern has bound.
    Alias(AliasSlot),
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metric(name) if crate::names::is_plain_metric(name) => f.write_str(name),
            Self::Metric(name) => write!(f, "metric({name:?})"),
            Self::Trait(path) => match path.split_once('.') {
                Some((head, rest)) if !crate::names::is_plain_path(rest) => {
                    write!(f, "{head}[{rest:?}]")
                }
                _ => f.write_str(path),
            },
            Self::Resource => f.write_str("resource"),
            Self::Time => f.write_str("time"),
            Self::WindowStart => f.write_str("win_start"),
            Self::WindowEnd => f.write_str("win_end"),
            Self::Stream(call) => f.write_str(&call.text),
            Self::Alias(slot) => write!(f, "{slot}"),
        }
    }
}

/// Over which rows a stream function works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Over {
    /// The rule's window; in a condition, where there is none, the members of a group.
    Window,
    /// Rows in `(t − span, t]`; for `held`, `stale` and `silent` the duration to wait for.
    Span(Span),
    /// The last so many rows; for `prev(x, n)` how many rows back.
    Rows(u32),
    /// Everything since the task began.
    All,
    /// No duration: this row and the one before it.
    Previous,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window | Self::Previous => Ok(()),
            Self::Span(span) => write!(f, "{}ms", span.0),
            Self::Rows(rows) => write!(f, "{rows}rows"),
            Self::All => f.write_str("all"),
        }
    }
}

/// A call of a stream function. Two calls with the same normal text ask for the same values.
#[derive(Clone, Debug)]
pub struct StreamCall {
    /// Which function.
    pub function: StreamFunction,
    /// Its arguments, formulas over one row: none for `count()` and `silent`.
    pub arguments: Vec<Formula>,
    /// The literal that some functions need: the percent of `percentile`, the count of `top`, the ms of `corr_lag`.
    pub constant: Option<f64>,
    /// The literals behind them, for state functions.
    pub parameters: Vec<Parameter>,
    /// Only rows for which this is true are taken.
    pub filter: Option<Formula>,
    /// Over which rows.
    pub over: Over,
    /// Whether `()` rows are taken too: `first(x, "nulls")`, `last(x, "nulls")`, `collect(x, "nulls")`.
    pub nulls: bool,
    /// Normal text of the whole call: `avg(temperature,300000ms)`.
    pub text: Arc<str>,
}

impl StreamCall {
    /// Whether, in a condition, it is a call over the members of a group: `avg(temps)`, `members(temps)`.
    #[must_use]
    pub fn is_of_group(&self) -> bool {
        use StreamFunction::{Members, StaleCount};
        self.over == Over::Window || matches!(self.function, Members | StaleCount)
    }

    /// The same call over metrics of other names.
    pub(crate) fn with_metrics(&self, rename: &dyn Fn(&str) -> Arc<str>) -> Self {
        let arguments = self.arguments.iter().map(|f| f.with_metrics(rename));
        let arguments: Vec<Formula> = arguments.collect();
        let filter = self.filter.as_ref().map(|f| f.with_metrics(rename));
        let asked = arguments.iter().chain(&filter);
        let asked: Vec<&str> = asked.map(|f| f.normal_text().as_ref()).collect();
        let text = Arc::from(format!("{} of {}", self.text, asked.join(", ")));
        Self {
            arguments,
            filter,
            text,
            ..self.clone()
        }
    }
}

impl PartialEq for StreamCall {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for StreamCall {}

impl Hash for StreamCall {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

/// Functions over more than one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamFunction {
    /// Rows, or rows with x.
    Count,
    /// Rows where a condition is true.
    CountIf,
    /// Sum.
    Sum,
    /// Mean.
    Avg,
    /// Least value.
    Min,
    /// Greatest value.
    Max,
    /// Standard deviation, n − 1.
    Std,
    /// Variance, n − 1.
    Var,
    /// First value in row order.
    First,
    /// Last value in row order.
    Last,
    /// Middle value.
    Median,
    /// Greatest minus least.
    Spread,
    /// Different values, exact as long as they are few.
    CountDistinct,
    /// Different values by HyperLogLog.
    ApproxDistinct,
    /// The value below which so many percent lie.
    Percentile,
    /// Most frequent value.
    Mode,
    /// Entropy of the values in bits.
    Entropy,
    /// Growth of a counter that may restart.
    Increase,
    /// Value times seconds in force.
    Integral,
    /// Time-weighted mean.
    Twa,
    /// Seconds for which a condition was true.
    Duration,
    /// Slope of the line of least squares, per second.
    Slope,
    /// Skewness of a sample.
    Skew,
    /// Covariance, n − 1.
    Cov,
    /// Correlation.
    Corr,
    /// Correlation with what another value was so long before.
    CorrLag,
    /// The values as a list.
    Collect,
    /// The largest values as a list.
    Top,
    /// Mean direction in degrees.
    AngleMean,
    /// Distance from the mean in standard deviations.
    Zscore,
    /// Last minus first, or minus the previous row's.
    Delta,
    /// Delta per second.
    Rate,
    /// Differs from the previous row's value.
    Changed,
    /// The value so many rows ago.
    Prev,
    /// True without break for a duration.
    Held,
    /// Seconds since a condition turned true.
    Since,
    /// No value of a metric for a duration.
    Stale,
    /// No row at all for a duration.
    Silent,
    /// Members of a group.
    Members,
    /// Members of a group without a value for a duration.
    StaleCount,
    /// A function that keeps a small state along the rows of a key.
    State(StateFunction),
}

impl StreamFunction {
    /// Every stream function but the state functions, in the order of the catalogue.
    pub const ALL: [Self; 40] = [
        Self::Count,
        Self::CountIf,
        Self::Sum,
        Self::Avg,
        Self::Min,
        Self::Max,
        Self::Std,
        Self::Var,
        Self::First,
        Self::Last,
        Self::Median,
        Self::Spread,
        Self::CountDistinct,
        Self::ApproxDistinct,
        Self::Percentile,
        Self::Mode,
        Self::Entropy,
        Self::Increase,
        Self::Integral,
        Self::Twa,
        Self::Duration,
        Self::Slope,
        Self::Skew,
        Self::Cov,
        Self::Corr,
        Self::CorrLag,
        Self::Collect,
        Self::Top,
        Self::AngleMean,
        Self::Zscore,
        Self::Delta,
        Self::Rate,
        Self::Changed,
        Self::Prev,
        Self::Held,
        Self::Since,
        Self::Stale,
        Self::Silent,
        Self::Members,
        Self::StaleCount,
    ];

    /// Its name in formulas.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::CountIf => "count_if",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Std => "std",
            Self::Var => "var",
            Self::First => "first",
            Self::Last => "last",
            Self::Median => "median",
            Self::Spread => "spread",
            Self::CountDistinct => "count_distinct",
            Self::ApproxDistinct => "approx_distinct",
            Self::Percentile => "percentile",
            Self::Mode => "mode",
            Self::Entropy => "entropy",
            Self::Increase => "increase",
            Self::Integral => "integral",
            Self::Twa => "twa",
            Self::Duration => "duration",
            Self::Slope => "slope",
            Self::Skew => "skew",
            Self::Cov => "cov",
            Self::Corr => "corr",
            Self::CorrLag => "corr_lag",
            Self::Collect => "collect",
            Self::Top => "top",
            Self::AngleMean => "angle_mean",
            Self::Zscore => "zscore",
            Self::Delta => "delta",
            Self::Rate => "rate",
            Self::Changed => "changed",
            Self::Prev => "prev",
            Self::Held => "held",
            Self::Since => "since",
            Self::Stale => "stale",
            Self::Silent => "silent",
            Self::Members => "members",
            Self::StaleCount => "stale_count",
            Self::State(function) => function.name(),
        }
    }

    /// The function of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let states = StateFunction::ALL.into_iter().map(Self::State);
        Self::ALL
            .into_iter()
            .chain(states)
            .find(|function| function.name() == name)
    }
}

impl fmt::Display for StreamFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
