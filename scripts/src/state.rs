//! [`StateFunction`]: functions of a condition that keep a small state along the rows of a key: conditions over time,
//! anomalies, forecasts. Owns their names and the form of their arguments.

use std::fmt;
use std::sync::Arc;

use tidegate_proto::{Span, Zone};

/// Functions that keep a small state along the rows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateFunction {
    /// True in each of the last n evaluations.
    Consecutive,
    /// True now and in at least n of the last m evaluations.
    NOfM,
    /// How often a condition turned true.
    Times,
    /// The last value that moved far enough.
    Deadband,
    /// From at most the limit to above it.
    CrossedAbove,
    /// From at least the limit to below it.
    CrossedBelow,
    /// True from one limit on until another.
    Hysteresis,
    /// The value once it stayed unchanged.
    Debounce,
    /// Distance from the mean of the rows before, in standard deviations.
    ZscoreBefore,
    /// Distance from the median in scaled median deviations.
    RobustZ,
    /// Exponentially weighted mean.
    Ewma,
    /// Whether the weighted mean has left its control limits.
    EwmaShift,
    /// Whether the cumulated sum of deviations has left its limit.
    Cusum,
    /// What is usual at this hour of the week.
    SeasonMean,
    /// Distance from what is usual at this hour of the week, in standard deviations.
    SeasonZ,
    /// Seasonal forecast with an interval.
    HoltWinters,
    /// Straight line through the last rows, read ahead.
    Forecast,
    /// Seconds until that line meets a limit.
    TimeTo,
}

/// Which number of a function that gives several.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// The forecast itself.
    Value,
    /// Lower end of the interval.
    Low,
    /// Upper end of the interval.
    High,
}

impl Part {
    /// All parts with their names.
    pub(crate) const ALL: [(&'static str, Self); 3] = [
        ("value", Self::Value),
        ("low", Self::Low),
        ("high", Self::High),
    ];
}

/// A literal argument of a state function.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// A number.
    Number(f64),
    /// A duration.
    Span(Span),
    /// A time zone.
    Zone(Zone),
    /// Which number is asked for.
    Part(Part),
}

/// What may stand at a place among the arguments of a state function.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// A formula over one row. They stand before all others.
    Formula,
    /// A whole number between two.
    Whole(u32, u32),
    /// A number above the first, up to the second.
    Number(f64, f64),
    /// A duration.
    Span,
    /// A duration, or a number above 0 up to 1.
    SpanOrShare,
    /// The name of a time zone.
    Zone,
}

impl Form {
    /// What has to stand there, in words.
    pub(crate) fn wanted(self) -> String {
        match self {
            Self::Formula => "an expression".to_owned(),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Number(_, most) if most.is_infinite() => "a number above 0".to_owned(),
            Self::Number(_, most) => format!("a number above 0, at most {most}"),
            Self::Span => "a duration such as `\"10m\"`".to_owned(),
            Self::SpanOrShare => {
                "a duration such as `\"10m\"`, or a number above 0, at most 1".to_owned()
            }
            Self::Zone => "a time zone such as `\"Europe/Brussels\"`".to_owned(),
        }
    }
}

impl StateFunction {
    /// Every state function, in the order of the catalogue.
    pub const ALL: [Self; 18] = [
        Self::Consecutive,
        Self::NOfM,
        Self::Times,
        Self::Deadband,
        Self::CrossedAbove,
        Self::CrossedBelow,
        Self::Hysteresis,
        Self::Debounce,
        Self::ZscoreBefore,
        Self::RobustZ,
        Self::Ewma,
        Self::EwmaShift,
        Self::Cusum,
        Self::SeasonMean,
        Self::SeasonZ,
        Self::HoltWinters,
        Self::Forecast,
        Self::TimeTo,
    ];

    /// Its name in formulas.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consecutive => "consecutive",
            Self::NOfM => "n_of_m",
            Self::Times => "times",
            Self::Deadband => "deadband",
            Self::CrossedAbove => "crossed_above",
            Self::CrossedBelow => "crossed_below",
            Self::Hysteresis => "hysteresis",
            Self::Debounce => "debounce",
            Self::ZscoreBefore => "zscore_before",
            Self::RobustZ => "robust_z",
            Self::Ewma => "ewma",
            Self::EwmaShift => "ewma_shift",
            Self::Cusum => "cusum",
            Self::SeasonMean => "season_mean",
            Self::SeasonZ => "season_z",
            Self::HoltWinters => "holt_winters",
            Self::Forecast => "forecast",
            Self::TimeTo => "time_to",
        }
    }

    /// Whether its first argument is a condition.
    #[must_use]
    pub const fn of_condition(self) -> bool {
        matches!(self, Self::Consecutive | Self::NOfM | Self::Times)
    }

    /// The forms of its arguments, and how many of them must be there.
    pub(crate) const fn forms(self) -> (&'static [Form], usize) {
        const ROWS: Form = Form::Whole(1, 100_000);
        const POSITIVE: Form = Form::Number(0.0, f64::INFINITY);
        const SHARE: Form = Form::Number(0.0, 1.0);
        const WARMUP: Form = Form::Whole(2, 100_000);
        match self {
            Self::Consecutive => (&[Form::Formula, ROWS], 2),
            Self::NOfM => (&[Form::Formula, ROWS, ROWS], 3),
            Self::Times | Self::Debounce | Self::ZscoreBefore | Self::RobustZ => {
                (&[Form::Formula, Form::Span], 2)
            }
            Self::Deadband | Self::CrossedAbove | Self::CrossedBelow => {
                (&[Form::Formula, Form::Formula], 2)
            }
            Self::Hysteresis => (&[Form::Formula, Form::Formula, Form::Formula], 3),
            Self::Ewma => (&[Form::Formula, Form::SpanOrShare], 2),
            Self::EwmaShift => (&[Form::Formula, SHARE, POSITIVE, WARMUP], 3),
            Self::Cusum => (&[Form::Formula, POSITIVE, POSITIVE, WARMUP], 3),
            Self::SeasonMean | Self::SeasonZ => (&[Form::Formula, Form::Zone], 1),
            Self::HoltWinters => (
                &[
                    Form::Formula,
                    Form::Whole(1, 10_000),
                    Form::Whole(1, 10_000),
                    SHARE,
                    SHARE,
                    SHARE,
                ],
                3,
            ),
            Self::Forecast => (&[Form::Formula, Form::Span, Form::Span], 3),
            Self::TimeTo => (&[Form::Formula, Form::Formula, Form::Span], 3),
        }
    }

    /// Whether it gives several numbers, one of which has to be named.
    pub(crate) const fn has_parts(self) -> bool {
        matches!(self, Self::HoltWinters)
    }

    /// What is wrong with literals that are good one by one.
    pub(crate) fn contradiction(self, parameters: &[Parameter]) -> Option<(String, String)> {
        match (self, parameters) {
            (Self::NOfM, [Parameter::Number(needed), Parameter::Number(of), ..]) if needed > of => {
                let problem = format!("{needed} of {of} evaluations can never be true");
                Some((problem, format!("write `n_of_m(c, {of}, {needed})`")))
            }
            _ => None,
        }
    }
}

impl Parameter {
    /// As it stands in the normal text of a call.
    pub(crate) fn write(&self) -> Arc<str> {
        Arc::from(match self {
            Self::Number(number) => number.to_string(),
            Self::Span(span) => format!("\"{span}\""),
            Self::Zone(zone) => format!("\"{zone}\""),
            Self::Part(_) => String::new(),
        })
    }
}

impl fmt::Display for StateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
