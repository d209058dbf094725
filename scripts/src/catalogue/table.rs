//! The table of stream functions: form, signature, meaning and an example of each.

use super::{Constant, Lookback, StreamEntry};
use crate::stream::StreamFunction as F;

/// An aggregate of the values of x: `f(x)` over the window, `f(x, "5m")` looking back.
const fn aggregate(
    function: F,
    signature: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> StreamEntry {
    StreamEntry {
        function,
        arguments: (1, 1),
        constant: Constant::Nothing,
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
    function: F,
    lookback: Lookback,
    signature: &'static str,
    meaning: &'static str,
    example: &'static str,
) -> StreamEntry {
    StreamEntry {
        function,
        arguments: (1, 1),
        constant: Constant::Nothing,
        lookback,
        in_window: false,
        filter: false,
        signature,
        meaning,
        example,
    }
}

pub(super) static STREAM: [StreamEntry; 40] = [
    StreamEntry {
        arguments: (0, 1),
        ..aggregate(
            F::Count,
            "count(x, \"5m\", filter)",
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
    aggregate(
        F::CountDistinct,
        "count_distinct(x, \"5m\", filter)",
        "number of different values; exact up to 10,000, then as approx_distinct; 0 when there are none",
        "count_distinct(mode, \"5m\") > 3",
    ),
    aggregate(
        F::ApproxDistinct,
        "approx_distinct(x, \"all\", filter)",
        "number of different values by HyperLogLog, within 1.6 % at two sigma; over a window or \"all\"",
        "approx_distinct(mode, \"all\") > 3",
    ),
    StreamEntry {
        constant: Constant::Percent,
        ..aggregate(
            F::Percentile,
            "percentile(x, 95, \"5m\", filter)",
            "value below which so many percent lie, linear between neighbours; 50 is the median",
            "percentile(temperature, 95, \"5m\") > 90",
        )
    },
    aggregate(
        F::Mode,
        "mode(x, \"5m\", filter)",
        "most frequent value; among equals the least (false < true < numbers < text)",
        "mode(mode, \"5m\") == \"heat\"",
    ),
    aggregate(
        F::Entropy,
        "entropy(x, \"5m\", filter)",
        "entropy of the values in bits: 0 when all are equal",
        "entropy(mode, \"5m\") > 1",
    ),
    aggregate(
        F::Increase,
        "increase(x, \"5m\", filter)",
        "growth of a counter; a smaller value is a restart from 0",
        "increase(energy, \"1h\") > 10",
    ),
    aggregate(
        F::Integral,
        "integral(x, \"5m\", filter)",
        "sum of value times seconds in force, the value before the window carried in",
        "integral(power, \"1h\") > 3600000",
    ),
    aggregate(
        F::Twa,
        "twa(x, \"5m\", filter)",
        "time-weighted mean: integral by the seconds that a value was in force",
        "twa(temperature, \"5m\") > 90",
    ),
    aggregate(
        F::Duration,
        "duration(c, \"5m\", filter)",
        "seconds for which c was true; 0.0 when never",
        "duration(temperature > 90, \"5m\") > 60",
    ),
    aggregate(
        F::Slope,
        "slope(x, \"5m\", filter)",
        "slope of the line of least squares, per second",
        "slope(temperature, \"5m\") > 0.1",
    ),
    aggregate(
        F::Skew,
        "skew(x, \"5m\", filter)",
        "skewness of a sample; `()` below three rows or when all are equal",
        "skew(temperature, \"5m\") > 1",
    ),
    StreamEntry {
        arguments: (2, 2),
        ..aggregate(
            F::Cov,
            "cov(x, y, \"5m\", filter)",
            "covariance with n − 1 over the rows that carry both",
            "cov(temperature, load, \"5m\") > 2",
        )
    },
    StreamEntry {
        arguments: (2, 2),
        ..aggregate(
            F::Corr,
            "corr(x, y, \"5m\", filter)",
            "correlation, −1 to 1, over the rows that carry both; `()` when one of them is constant",
            "corr(temperature, load, \"5m\") < 0.2",
        )
    },
    StreamEntry {
        arguments: (2, 2),
        constant: Constant::Lag,
        ..aggregate(
            F::CorrLag,
            "corr_lag(x, y, \"30s\", \"5m\", filter)",
            "correlation of x with what y was so long before each row that carries x; `()` when one of them is constant",
            "corr_lag(temperature, load, \"20s\", \"5m\") < 0.9",
        )
    },
    aggregate(
        F::Collect,
        "collect(x, \"5m\", filter)",
        "the first 1,000 values as a list in row order; `collect(x, \"nulls\")` keeps `()`",
        "len(collect(mode, \"5m\")) > 3",
    ),
    StreamEntry {
        constant: Constant::Most,
        ..aggregate(
            F::Top,
            "top(x, 3, \"5m\", filter)",
            "the so many largest values as a list, largest first",
            "len(top(temperature, 3, \"5m\")) == 3",
        )
    },
    StreamEntry {
        arguments: (1, 2),
        ..aggregate(
            F::AngleMean,
            "angle_mean(deg, w, \"5m\", filter)",
            "mean direction in degrees, 0 to below 360, weighted by w if given",
            "angle_mean(wind, speed, \"5m\") > 180",
        )
    },
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
    condition(
        F::Members,
        Lookback::Never,
        "members(group)",
        "number of the resources that are members of a group under `inputs`",
        "members(temps) < 3",
    ),
    condition(
        F::StaleCount,
        Lookback::Span,
        "stale_count(group, \"10m\")",
        "number of a group's members without a value for so long",
        "stale_count(temps, \"10m\") > 0",
    ),
];
