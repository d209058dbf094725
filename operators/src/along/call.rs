//! From the call of a state function to the function with its literals.

use tidegate_proto::Zone;
use tidegate_scripts::{Formula, Parameter, Part, StateFunction, StreamCall};

use super::{Against, Along, Function};
use crate::anomaly::Seasons;

/// Rows from which a chart learns.
const WARMUP: u32 = 30;

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

    fn seasons(&self) -> Seasons {
        Seasons {
            steps: self.whole(0, 1),
            ahead: self.whole(1, 1),
            alpha: self.share(2, 0.3),
            beta: self.share(3, 0.05),
            gamma: self.share(4, 0.2),
            side: self.side(),
        }
    }

    /// A number that may be left out: a part may stand in its place.
    fn share(&self, at: usize, default: f64) -> f64 {
        self.number(at).unwrap_or(default)
    }
}

/// The state of a call, empty.
pub(super) fn along(function: StateFunction, call: &StreamCall) -> Along {
    let limits = call.arguments.iter().skip(1);
    let limits: Vec<Option<f64>> = limits.map(Formula::constant).collect();
    let limit = |at: usize| limits.get(at).copied().flatten().unwrap_or(f64::NAN);
    let literal = limits.iter().all(Option::is_some);
    let function = of(function, &Literals(call));
    Along::new(function, literal.then(|| [limit(0), limit(1)]))
}

fn of(function: StateFunction, given: &Literals<'_>) -> Function {
    use StateFunction as F;
    let span = given.span(0);
    let baseline = |against| Function::Baseline { span, against };
    let dampened = |needed, of| Function::Dampened { needed, of };
    match function {
        F::Consecutive => dampened(given.whole(0, 1), given.whole(0, 1)),
        F::NOfM => dampened(given.whole(0, 1), given.whole(1, 1)),
        F::Times => Function::Times { span },
        F::Deadband => Function::Deadband,
        F::CrossedAbove => Function::Crossed { above: true },
        F::CrossedBelow => Function::Crossed { above: false },
        F::Hysteresis => Function::Hysteresis,
        F::Debounce => Function::Debounce { span },
        F::ZscoreBefore => baseline(Against::Before),
        F::RobustZ => baseline(Against::Median),
        F::Ewma => match given.number(0) {
            Some(share) => Function::EwmaShare { share },
            None => Function::EwmaSpan { span },
        },
        F::EwmaShift => Function::EwmaShift {
            share: given.share(0, 1.0),
            limit: given.share(1, 3.0),
            warmup: given.whole(2, WARMUP),
        },
        F::Cusum => Function::Cusum {
            slack: given.share(0, 0.5),
            limit: given.share(1, 5.0),
            warmup: given.whole(2, WARMUP),
        },
        F::SeasonMean | F::SeasonZ => Function::Season {
            zone: given.zone(0),
            as_distance: function == F::SeasonZ,
        },
        F::HoltWinters => Function::HoltWinters(given.seasons()),
        F::Forecast => Function::Trend {
            span,
            ahead: Some(given.span(1)),
        },
        F::TimeTo => Function::Trend { span, ahead: None },
    }
}
