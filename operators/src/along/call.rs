//! From the call of a state function to the function with its literals.

use tidegate_proto::Zone;
use tidegate_scripts::{Parameter, Part, StateFunction, StreamCall};

use super::{Against, Along, Function};
use crate::anomaly::Seasons;

/// The literals of a state function, in order.
struct Literals<'a>(&'a StreamCall);

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the scripts refuse what is not whole and in range"
)]
impl Literals<'_> {
    fn number(&self, at: usize) -> Option<f64> {
        match self.0.parameters.get(at) {
            Some(Parameter::Number(number)) => Some(*number),
            _ => None,
        }
    }

    fn whole(&self, at: usize, default: u32) -> u32 {
        self.number(at).map_or(default, |number| number as u32)
    }

    fn span(&self, at: usize) -> i64 {
        match self.0.parameters.get(at) {
            Some(Parameter::Span(span)) => span.0,
            _ => 0,
        }
    }

    fn zone(&self, at: usize) -> Zone {
        match self.0.parameters.get(at) {
            Some(Parameter::Zone(zone)) => zone.clone(),
            _ => Zone::utc(),
        }
    }

    fn side(&self) -> i8 {
        match self.0.parameters.last() {
            Some(Parameter::Part(Part::Low)) => -1,
            Some(Parameter::Part(Part::High)) => 1,
            _ => 0,
        }
    }

    /// A number that may be left out: a part may stand in its place.
    fn share(&self, at: usize, default: f64) -> f64 {
        self.number(at).unwrap_or(default)
    }
}

/// The state of a call, empty.
pub(super) fn along(function: StateFunction, call: &StreamCall) -> Along {
    const WARMUP: u32 = 30;
    let given = Literals(call);
    let baseline = |against| Function::Baseline {
        span: given.span(0),
        against,
    };
    let function = match function {
        StateFunction::Consecutive => Function::Dampened {
            needed: given.whole(0, 1),
            of: given.whole(0, 1),
        },
        StateFunction::NOfM => Function::Dampened {
            needed: given.whole(0, 1),
            of: given.whole(1, 1),
        },
        StateFunction::Times => Function::Times {
            span: given.span(0),
        },
        StateFunction::Deadband => Function::Deadband,
        StateFunction::CrossedAbove => Function::Crossed { above: true },
        StateFunction::CrossedBelow => Function::Crossed { above: false },
        StateFunction::Hysteresis => Function::Hysteresis,
        StateFunction::Debounce => Function::Debounce {
            span: given.span(0),
        },
        StateFunction::ZscoreBefore => baseline(Against::Before),
        StateFunction::RobustZ => baseline(Against::Median),
        StateFunction::Ewma => match given.number(0) {
            Some(share) => Function::EwmaShare { share },
            None => Function::EwmaSpan {
                span: given.span(0),
            },
        },
        StateFunction::EwmaShift => Function::EwmaShift {
            share: given.share(0, 1.0),
            limit: given.share(1, 3.0),
            warmup: given.whole(2, WARMUP),
        },
        StateFunction::Cusum => Function::Cusum {
            slack: given.share(0, 0.5),
            limit: given.share(1, 5.0),
            warmup: given.whole(2, WARMUP),
        },
        StateFunction::SeasonMean | StateFunction::SeasonZ => Function::Season {
            zone: given.zone(0),
            as_distance: function == StateFunction::SeasonZ,
        },
        StateFunction::HoltWinters => Function::HoltWinters(Seasons {
            steps: given.whole(0, 1),
            ahead: given.whole(1, 1),
            alpha: given.share(2, 0.3),
            beta: given.share(3, 0.05),
            gamma: given.share(4, 0.2),
            side: given.side(),
        }),
        StateFunction::Forecast => Function::Trend {
            span: given.span(0),
            ahead: Some(given.span(1)),
        },
        StateFunction::TimeTo => Function::Trend {
            span: given.span(0),
            ahead: None,
        },
    };
    let limits: Vec<Option<f64>> = call
        .arguments
        .iter()
        .skip(1)
        .map(|l| l.constant())
        .collect();
    let limit = |at: usize| limits.get(at).copied().flatten().unwrap_or(f64::NAN);
    let literal = limits.iter().all(Option::is_some);
    Along::new(function, literal.then(|| [limit(0), limit(1)]))
}
