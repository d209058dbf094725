//! Changes of a value: [`Deadband`], [`Crossed`], [`Hysteresis`], [`Debounce`].

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use crate::lookback::differs;

/// The last value that moved far enough.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deadband {
    passed: Option<f64>,
}

impl Deadband {
    /// Takes a value; the first passes. Without a width none other does.
    pub(crate) fn take(&mut self, number: f64, [width, _]: [f64; 2]) {
        let far = |passed: f64| passed != number && (number - passed).abs() > width;
        if self.passed.is_none_or(far) {
            self.passed = Some(number);
        }
    }

    pub(crate) const fn value(&self) -> Option<f64> {
        self.passed
    }
}

/// Whether the last value crossed a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Crossed {
    above: bool,
    before: Option<f64>,
    /// `None`: the limit is not known.
    crossed: Option<bool>,
}

impl Crossed {
    pub(crate) const fn new(above: bool) -> Self {
        Self {
            above,
            before: None,
            crossed: Some(false),
        }
    }

    pub(crate) fn take(&mut self, number: f64, [limit, _]: [f64; 2]) {
        let crossed = |before: f64| {
            if self.above {
                before <= limit && limit < number
            } else {
                before >= limit && limit > number
            }
        };
        self.crossed = (!limit.is_nan()).then(|| self.before.is_some_and(crossed));
        self.before = Some(number);
    }

    pub(crate) const fn value(&self) -> Option<bool> {
        self.crossed
    }
}

/// True from one limit on until another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hysteresis {
    on: bool,
}

impl Hysteresis {
    /// Takes a value; where a limit is not known nothing changes.
    pub(crate) fn take(&mut self, number: f64, [on, off]: [f64; 2]) {
        if on.is_nan() || off.is_nan() {
            return;
        }
        let (begins, ends) = if on < off {
            (number < on, number > off)
        } else {
            (number > on, number < off)
        };
        self.on = begins || (self.on && !ends);
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.on
    }
}

/// The value once it stayed unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Debounce {
    span: i64,
    taken: Value,
    /// A newer value and the time since which it is there.
    candidate: Option<(Value, i64)>,
}

impl Debounce {
    pub(crate) const fn new(span: i64) -> Self {
        Self {
            span,
            taken: Value::Missing,
            candidate: None,
        }
    }

    /// When the newer value is taken.
    pub(crate) fn due(&self) -> Option<i64> {
        let (_, since) = self.candidate.as_ref()?;
        Some(since.saturating_add(self.span))
    }

    fn settle(&mut self, at: i64) {
        if self.due().is_some_and(|due| due <= at)
            && let Some((value, _)) = self.candidate.take()
        {
            self.taken = value;
        }
    }

    pub(crate) fn take(&mut self, time: i64, value: &Value) {
        self.settle(time);
        let stays = |known: &Value| !differs(known, value);
        match &self.candidate {
            Some((candidate, _)) if stays(candidate) => {}
            _ if stays(&self.taken) => self.candidate = None,
            _ => self.candidate = Some((value.clone(), time)),
        }
    }

    pub(crate) fn value(&mut self, at: i64) -> Value {
        self.settle(at);
        self.taken.clone()
    }
}
