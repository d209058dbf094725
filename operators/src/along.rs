//! [`Along`]: functions that keep a small state along the rows of every key, conditions over time as well as anomalies
//! and forecasts. They take rows as they come; a row older than the last one is skipped and counted. Between rows only
//! [`Along::next_change`] says when an answer changes.

mod call;
mod change;
mod dampening;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tidegate_proto::{Timestamp, Value, Zone};
use tidegate_scripts::{StateFunction, StreamCall};

use crate::anomaly::{Baseline, Cusum, Ewma, EwmaShift, HoltWinters, Season, Seasons, Trend};

pub(crate) use change::{Crossed, Deadband, Debounce, Hysteresis};
pub(crate) use dampening::{Dampening, Times};

/// Which function, with its literals.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Function {
    /// `consecutive`, `n_of_m`.
    Dampened { needed: u32, of: u32 },
    /// `times`.
    Times { span: i64 },
    /// `deadband`.
    Deadband,
    /// `crossed_above`, `crossed_below`.
    Crossed { above: bool },
    /// `hysteresis`.
    Hysteresis,
    /// `debounce`.
    Debounce { span: i64 },
    /// `zscore`, `zscore_before`, `robust_z`.
    Baseline { span: i64, against: Against },
    /// `ewma` by time.
    EwmaSpan { span: i64 },
    /// `ewma` by row.
    EwmaShare { share: f64 },
    /// `ewma_shift`.
    EwmaShift { share: f64, limit: f64, warmup: u32 },
    /// `cusum`.
    Cusum { slack: f64, limit: f64, warmup: u32 },
    /// `season_mean`, `season_z`.
    Season { zone: Zone, as_distance: bool },
    /// `holt_winters`.
    HoltWinters(Seasons),
    /// `forecast`; `time_to` without `ahead`.
    Trend { span: i64, ahead: Option<i64> },
}

/// What a value is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Against {
    /// The rows of the span, this one included.
    All,
    /// Those before it.
    Before,
    /// Their median.
    Median,
}

/// One function over the rows of every key. Its serde form is its snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Along {
    function: Function,
    /// Limits that are literals; `None`: they come with every row.
    limits: Option<[f64; 2]>,
    keys: Vec<Option<Box<Key>>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Key {
    /// Time of the last row taken.
    last: i64,
    out_of_order: u64,
    state: State,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Dampening(Dampening),
    Times(Times),
    Deadband(Deadband),
    Crossed(Crossed),
    Hysteresis(Hysteresis),
    Debounce(Debounce),
    Baseline(Baseline),
    Ewma(Ewma),
    EwmaShift(EwmaShift),
    Cusum(Cusum),
    Season(Season),
    HoltWinters(HoltWinters),
    Trend(Box<Trend>),
}

/// A row as a function sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken<'a> {
    pub(crate) time: i64,
    pub(crate) value: &'a Value,
    /// Limits behind the value; NaN where there is none.
    pub(crate) limits: [f64; 2],
    /// Hour of the local week, for seasons.
    pub(crate) hour: Option<usize>,
}

impl Along {
    /// No rows yet.
    pub(crate) const fn new(function: Function, limits: Option<[f64; 2]>) -> Self {
        Self {
            function,
            limits,
            keys: Vec::new(),
        }
    }

    /// No rows yet of the function that a call asks for.
    pub(crate) fn of_call(function: StateFunction, call: &StreamCall) -> Self {
        call::along(function, call)
    }

    /// Takes a row: its value, or a list of the value and its limits where these are no literals. `false`: the row is older
    /// than the last one and was skipped.
    pub(crate) fn insert(&mut self, key: u32, time: i64, value: &Value) -> bool {
        let (value, limits) = match (self.limits, value) {
            (None, Value::List(items)) => {
                let limit = |at: usize| items.get(at).and_then(Value::as_number);
                let limits = [limit(1), limit(2)].map(|limit| limit.unwrap_or(f64::NAN));
                (items.first().unwrap_or(&Value::Missing), limits)
            }
            (limits, value) => (value, limits.unwrap_or([f64::NAN; 2])),
        };
        let hour = match &self.function {
            Function::Season { zone, .. } => zone.hour_of_week(Timestamp(time)),
            _ => None,
        };
        let taken = Taken {
            time,
            value,
            limits,
            hour,
        };
        if value.is_missing() || !self.function.takes(value) {
            return true;
        }
        let at = key as usize;
        if self.keys.len() <= at {
            self.keys.resize_with(at + 1, || None);
        }
        let function = &self.function;
        let Some(place) = self.keys.get_mut(at) else {
            return false;
        };
        let key = place.get_or_insert_with(|| {
            Box::new(Key {
                last: i64::MIN,
                out_of_order: 0,
                state: State::new(function),
            })
        });
        if time < key.last {
            key.out_of_order += 1;
            return false;
        }
        key.last = time;
        key.state.take(&taken);
        true
    }

    /// The function of a key as of a time, which never goes back.
    pub(crate) fn value(&mut self, key: u32, at: i64) -> Value {
        let key = self.keys.get_mut(key as usize).and_then(Option::as_mut);
        match key {
            Some(key) => key.state.value(at),
            None => self.function.before_rows(),
        }
    }

    /// The first time after `after` at which the answer changes by itself.
    pub(crate) fn next_change(&self, key: u32, after: i64) -> Option<i64> {
        match &self.keys.get(key as usize)?.as_ref()?.state {
            State::Debounce(debounce) => debounce.due().filter(|due| *due > after),
            _ => None,
        }
    }

    /// Rows of a key that were skipped because they were older than the last one.
    pub(crate) fn out_of_order(&self, key: u32) -> u64 {
        let key = self.keys.get(key as usize).and_then(Option::as_ref);
        key.map_or(0, |key| key.out_of_order)
    }

    /// Drops everything of a key.
    pub(crate) fn forget(&mut self, key: u32) {
        if let Some(key) = self.keys.get_mut(key as usize) {
            *key = None;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let keys = self.keys.iter().flatten();
        let held = keys.map(|key| size_of::<Key>() + key.state.heap_bytes());
        self.keys.capacity() * size_of::<Option<Box<Key>>>() + held.sum::<usize>()
    }
}

impl Function {
    /// Whether it takes values of this type. Numbers that only go on counting (recursions) would never come back from an
    /// infinity: they skip it.
    fn takes(&self, value: &Value) -> bool {
        match self {
            Self::Dampened { .. } | Self::Times { .. } => matches!(value, Value::Bool(_)),
            Self::Debounce { .. } => true,
            Self::Deadband | Self::Crossed { .. } | Self::Hysteresis => value.as_number().is_some(),
            Self::Baseline { .. }
            | Self::EwmaSpan { .. }
            | Self::EwmaShare { .. }
            | Self::EwmaShift { .. }
            | Self::Cusum { .. }
            | Self::Season { .. }
            | Self::HoltWinters(_)
            | Self::Trend { .. } => value.as_number().is_some_and(f64::is_finite),
        }
    }

    /// The answer before the first row.
    const fn before_rows(&self) -> Value {
        match self {
            Self::Dampened { .. } => Value::Bool(false),
            Self::Times { .. } => Value::Int(0),
            Self::Crossed { .. } | Self::Hysteresis => Value::Bool(false),
            Self::Deadband
            | Self::Debounce { .. }
            | Self::Baseline { .. }
            | Self::EwmaSpan { .. }
            | Self::EwmaShare { .. }
            | Self::EwmaShift { .. }
            | Self::Cusum { .. }
            | Self::Season { .. }
            | Self::HoltWinters(_)
            | Self::Trend { .. } => Value::Missing,
        }
    }
}

impl State {
    fn new(function: &Function) -> Self {
        match function {
            Function::Dampened { needed, of } => Self::Dampening(Dampening::new(*needed, *of)),
            Function::Times { span } => Self::Times(Times::new(*span)),
            Function::Deadband => Self::Deadband(Deadband::default()),
            Function::Crossed { above } => Self::Crossed(Crossed::new(*above)),
            Function::Hysteresis => Self::Hysteresis(Hysteresis::default()),
            Function::Debounce { span } => Self::Debounce(Debounce::new(*span)),
            Function::Baseline { span, against } => Self::Baseline(Baseline::new(*span, *against)),
            Function::EwmaSpan { span } => Self::Ewma(Ewma::by_time(*span)),
            Function::EwmaShare { share } => Self::Ewma(Ewma::by_row(*share)),
            Function::EwmaShift {
                share,
                limit,
                warmup,
            } => Self::EwmaShift(EwmaShift::new(*share, *limit, *warmup)),
            Function::Cusum {
                slack,
                limit,
                warmup,
            } => Self::Cusum(Cusum::new(*slack, *limit, *warmup)),
            Function::Season { as_distance, .. } => Self::Season(Season::new(*as_distance)),
            Function::HoltWinters(seasons) => Self::HoltWinters(HoltWinters::new(*seasons)),
            Function::Trend { span, ahead } => Self::Trend(Box::new(Trend::new(*span, *ahead))),
        }
    }

    fn take(&mut self, row: &Taken<'_>) {
        if let Self::Debounce(state) = self {
            return state.take(row.time, row.value);
        }
        if let Value::Bool(truth) = *row.value {
            match self {
                Self::Dampening(state) => return state.take(truth),
                Self::Times(state) => return state.take(row.time, truth),
                _ => {}
            }
        }
        let Some(number) = row.value.as_number() else {
            return;
        };
        match self {
            Self::Dampening(_) | Self::Times(_) | Self::Debounce(_) => {}
            Self::Deadband(state) => state.take(number, row.limits),
            Self::Crossed(state) => state.take(number, row.limits),
            Self::Hysteresis(state) => state.take(number, row.limits),
            Self::Baseline(state) => state.take(row.time, number),
            Self::Ewma(state) => state.take(row.time, number),
            Self::EwmaShift(state) => state.take(number),
            Self::Cusum(state) => state.take(number),
            Self::Season(state) => state.take(row.hour, number),
            Self::HoltWinters(state) => state.take(number),
            Self::Trend(state) => state.take(row.time, number, row.limits),
        }
    }

    fn value(&mut self, at: i64) -> Value {
        let number = |number: Option<f64>| number.map_or(Value::Missing, Value::number);
        match self {
            Self::Dampening(state) => Value::Bool(state.is_true()),
            Self::Times(state) => state.value(at),
            Self::Deadband(state) => number(state.value()),
            Self::Crossed(state) => state.value().map_or(Value::Missing, Value::Bool),
            Self::Hysteresis(state) => Value::Bool(state.is_on()),
            Self::Debounce(state) => state.value(at),
            Self::Baseline(state) => number(state.value()),
            Self::Ewma(state) => number(state.value()),
            Self::EwmaShift(state) => number(state.value()),
            Self::Cusum(state) => number(state.value()),
            Self::Season(state) => number(state.value()),
            Self::HoltWinters(state) => number(state.value()),
            Self::Trend(state) => number(state.value()),
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Dampening(state) => state.heap_bytes(),
            Self::Times(state) => state.heap_bytes(),
            Self::Baseline(state) => state.heap_bytes(),
            Self::EwmaShift(state) => state.heap_bytes(),
            Self::Cusum(state) => state.heap_bytes(),
            Self::Season(state) => state.heap_bytes(),
            Self::HoltWinters(state) => state.heap_bytes(),
            Self::Trend(state) => size_of::<Trend>() + state.heap_bytes(),
            Self::Deadband(_)
            | Self::Crossed(_)
            | Self::Hysteresis(_)
            | Self::Debounce(_)
            | Self::Ewma(_) => 0,
        }
    }
}
