//! [`Lookback`]: one function over the last rows of every key.
//!
//! Rows lie in row order, 24 bytes each. Reading at a time first lets the rows up to it enter the running aggregate and
//! those that are too old leave it, so every row enters once and leaves once.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::running::Running;
use super::sorted::SortedNumbers;
use super::{LookbackFunction, LookbackOver};
use crate::aggregate::{
    Accumulator, AggregateKind, Digest, Frame, PERCENTILE_EXACT, RowOrder, change, percent, whole,
};

/// Rows that one key keeps; beyond it the oldest leaves.
const WINDOW_ROWS: usize = 100_000;

/// One function over the last rows of every key. Its serde form is its snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Lookback {
    function: LookbackFunction,
    over: LookbackOver,
    limit: usize,
    keys: Vec<Option<Box<State>>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum State {
    Rows(RowsKey),
    All(AllKey),
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Row {
    order: RowOrder,
    /// NaN: the value is no number and lies in `odd`.
    number: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct RowsKey {
    rows: VecDeque<Row>,
    odd: BTreeMap<RowOrder, Value>,
    /// How many of the rows, from the oldest on, are in `running`.
    entered: usize,
    running: Running,
    /// The latest time read at.
    at: i64,
    counters: LookbackCounters,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct AllKey {
    total: AllTotal,
    first: Option<Row>,
    last: Option<Row>,
    counters: LookbackCounters,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum AllTotal {
    Accumulator(Accumulator),
    /// A median: exact as long as it may be, and the digest that answers afterwards.
    Middle(SortedNumbers, Digest, u64),
}

/// What a lookback left out of one key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookbackCounters {
    /// Values of a type that the function skips.
    pub type_skipped: u64,
    /// Rows that left early because of the limit on rows.
    pub rows_dropped: u64,
}

impl Lookback {
    /// No rows yet, the usual limit of 100,000 rows per key.
    #[must_use]
    pub const fn new(function: LookbackFunction, over: LookbackOver) -> Self {
        Self::with_limit(function, over, WINDOW_ROWS)
    }

    /// No rows yet; a key keeps at most `limit` rows.
    #[must_use]
    pub const fn with_limit(function: LookbackFunction, over: LookbackOver, limit: usize) -> Self {
        Self {
            function,
            over,
            limit,
            keys: Vec::new(),
        }
    }

    /// Takes the value of a row, at its own place in row order. A row that is too old already is ignored; a value that
    /// the function does not take is skipped.
    pub fn insert(&mut self, key: u32, time: i64, sequence: u64, value: &Value) {
        let order = RowOrder { time, sequence };
        let (number, odd) = match (self.function, value) {
            (_, Value::Missing) => return,
            (_, Value::Number(number)) => (*number, None),
            (LookbackFunction::Count, _) => (1.0, None),
            (LookbackFunction::Wide(kind), value) if kind.takes(value) => {
                match value.as_number().filter(|_| kind.is_numeric()) {
                    Some(number) => (number, None),
                    None => (f64::NAN, Some(value)),
                }
            }
            (LookbackFunction::First | LookbackFunction::Last, odd) => (f64::NAN, Some(odd)),
            (LookbackFunction::Min | LookbackFunction::Max, Value::Text(_)) => {
                (f64::NAN, Some(value))
            }
            (function, value) => match value.as_number() {
                Some(number) => (number, None),
                // A condition that is no condition is not true.
                None if function == LookbackFunction::CountIf => return,
                None => {
                    if let Some(state) = self.state(key) {
                        state.counters().type_skipped += 1;
                    }
                    return;
                }
            },
        };
        self.take(key, Row { order, number }, odd);
    }

    /// Takes the number of a row; NaN is none.
    pub fn insert_number(&mut self, key: u32, time: i64, sequence: u64, number: f64) {
        if !number.is_nan() {
            let order = RowOrder { time, sequence };
            self.take(key, Row { order, number }, None);
        }
    }

    fn state(&mut self, key: u32) -> Option<&mut State> {
        let at = key as usize;
        if self.keys.len() <= at {
            self.keys.resize_with(at + 1, || None);
        }
        let (function, over) = (self.function, self.over);
        let state = self.keys.get_mut(at)?;
        Some(state.get_or_insert_with(|| Box::new(State::new(function, over))))
    }

    fn take(&mut self, key: u32, row: Row, odd: Option<&Value>) {
        let (function, over, limit) = (self.function, self.over, self.limit);
        match self.state(key) {
            Some(State::Rows(state)) => state.take(function, over, row, odd),
            Some(State::All(state)) => return state.take(function, row, odd),
            None => return,
        }
        if let Some(State::Rows(state)) = self.state(key)
            && state.rows.len() > limit
        {
            state.counters.rows_dropped += 1;
            state.drop_oldest(function.aggregate());
        }
    }

    /// The function over the rows up to `at` that have not left by then. `at` never goes back per key; an earlier one
    /// is read as the latest so far.
    pub fn value(&mut self, key: u32, at: i64) -> Value {
        let (function, over) = (self.function, self.over);
        let state = self
            .keys
            .get_mut(key as usize)
            .and_then(Option::as_deref_mut);
        match state {
            Some(State::Rows(state)) => state.value(function, over, at),
            Some(State::All(state)) => state.value(function, at),
            None => match function {
                LookbackFunction::Count | LookbackFunction::CountIf => Value::Int(0),
                LookbackFunction::Wide(kind) => Accumulator::new(kind).result(kind),
                _ => Value::Missing,
            },
        }
    }

    /// When the oldest row leaves by time: its time plus the span; `None`: no row, or none ever leaves by time.
    #[must_use]
    pub fn next_leave(&self, key: u32) -> Option<i64> {
        let LookbackOver::Span(span) = self.over else {
            return None;
        };
        match self.keys.get(key as usize)?.as_deref()? {
            State::Rows(state) => Some(state.rows.front()?.order.time.saturating_add(span)),
            State::All(_) => None,
        }
    }

    /// Rows behind the value that was asked for last; `None` where rows are not kept.
    #[must_use]
    pub fn rows(&self, key: u32) -> Option<u64> {
        match self.keys.get(key as usize)?.as_deref()? {
            State::Rows(state) => Some(state.entered as u64),
            State::All(_) => None,
        }
    }

    /// Rows that are kept of all keys.
    #[must_use]
    pub fn kept(&self) -> u64 {
        let states = self.keys.iter().flatten();
        let rows = states.map(|state| match state.as_ref() {
            State::Rows(state) => state.rows.len() as u64,
            State::All(_) => 0,
        });
        rows.sum()
    }

    /// What was left out of a key.
    #[must_use]
    pub fn counters(&self, key: u32) -> LookbackCounters {
        match self.keys.get(key as usize).and_then(Option::as_deref) {
            Some(State::Rows(state)) => state.counters,
            Some(State::All(state)) => state.counters,
            None => LookbackCounters::default(),
        }
    }

    /// Drops everything of a key.
    pub fn forget(&mut self, key: u32) {
        if let Some(state) = self.keys.get_mut(key as usize) {
            *state = None;
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let states = self.keys.iter().flatten().map(|state| state.bytes());
        self.keys.capacity() * size_of::<Option<Box<State>>>() + states.sum::<usize>()
    }
}

impl State {
    fn new(function: LookbackFunction, over: LookbackOver) -> Self {
        let kind = function.aggregate();
        let counters = LookbackCounters::default();
        if over == LookbackOver::All {
            return Self::All(AllKey {
                total: if matches!(kind, AggregateKind::Median | AggregateKind::Percentile(_)) {
                    AllTotal::Middle(SortedNumbers::default(), Digest::default(), 0)
                } else {
                    AllTotal::Accumulator(Accumulator::new(kind))
                },
                first: None,
                last: None,
                counters,
            });
        }
        let running = match kind {
            AggregateKind::Count | AggregateKind::First | AggregateKind::Last => Running::Nothing,
            kind => Running::new(kind),
        };
        Self::Rows(RowsKey {
            rows: VecDeque::new(),
            odd: BTreeMap::new(),
            entered: 0,
            running,
            at: i64::MIN,
            counters,
        })
    }

    const fn counters(&mut self) -> &mut LookbackCounters {
        match self {
            Self::Rows(state) => &mut state.counters,
            Self::All(state) => &mut state.counters,
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Rows(state) => {
                    state.rows.capacity() * size_of::<Row>()
                        + state.odd.len() * 2 * size_of::<(RowOrder, Value)>()
                        + state.running.heap_bytes()
                }
                Self::All(state) => match &state.total {
                    AllTotal::Accumulator(total) => total.heap_bytes(),
                    AllTotal::Middle(sorted, digest, _) => {
                        sorted.heap_bytes() + digest.heap_bytes()
                    }
                },
            }
    }
}

impl RowsKey {
    fn value_of(&self, row: &Row) -> Value {
        if row.number.is_nan() {
            self.odd.get(&row.order).cloned().unwrap_or_default()
        } else {
            Value::Number(row.number)
        }
    }

    fn take(
        &mut self,
        function: LookbackFunction,
        over: LookbackOver,
        row: Row,
        odd: Option<&Value>,
    ) {
        if let LookbackOver::Span(span) = over
            && row.order.time <= self.at.saturating_sub(span)
        {
            let number = Value::number(row.number);
            self.running.carry(row.order, odd.unwrap_or(&number));
            return;
        }
        if let Some(value) = odd {
            self.odd.insert(row.order, value.clone());
        }
        if self.rows.back().is_none_or(|last| last.order < row.order) {
            self.rows.push_back(row);
            return;
        }
        let place = self.rows.partition_point(|known| known.order < row.order);
        self.rows.insert(place, row);
        if place < self.entered {
            self.entered += 1;
            let value = self.value_of(&row);
            self.running.enter(function.aggregate(), row.order, &value);
        }
    }

    fn drop_oldest(&mut self, kind: AggregateKind) {
        let Some(row) = self.rows.front().copied() else {
            return;
        };
        if self.entered > 0 {
            let value = self.value_of(&row);
            self.running.leave(kind, row.order, &value);
            self.entered -= 1;
        }
        self.rows.pop_front();
        if row.number.is_nan() {
            self.odd.remove(&row.order);
        }
    }

    fn value(&mut self, function: LookbackFunction, over: LookbackOver, at: i64) -> Value {
        let kind = function.aggregate();
        self.at = self.at.max(at);
        while let Some(row) = self.rows.get(self.entered).copied() {
            if row.order.time > self.at {
                break;
            }
            let value = self.value_of(&row);
            self.running.enter(kind, row.order, &value);
            self.entered += 1;
        }
        match over {
            LookbackOver::Span(span) => {
                let gone = self.at.saturating_sub(span);
                while self.entered > 0
                    && self.rows.front().is_some_and(|row| row.order.time <= gone)
                {
                    self.drop_oldest(kind);
                }
            }
            LookbackOver::Rows(rows) => {
                while self.entered > rows as usize {
                    self.drop_oldest(kind);
                }
            }
            LookbackOver::All => {}
        }
        self.result(function, over)
    }

    fn result(&self, function: LookbackFunction, over: LookbackOver) -> Value {
        let first = self.rows.front().filter(|_| self.entered > 0);
        let last = self
            .entered
            .checked_sub(1)
            .and_then(|index| self.rows.get(index));
        let end = |row: Option<&Row>| row.map_or(Value::Missing, |row| self.value_of(row));
        match (function, &self.running) {
            (LookbackFunction::Count, _) => whole(self.entered as u64),
            (LookbackFunction::First, _) => end(first),
            (LookbackFunction::Last, _) => end(last),
            (LookbackFunction::Delta | LookbackFunction::Rate, _) => between(function, first, last),
            (LookbackFunction::Zscore, Running::Moments(moments)) => {
                last.map_or(Value::Missing, |row| moments.zscore(row.number))
            }
            (function, running) => {
                let start = match over {
                    LookbackOver::Span(span) => self.at.saturating_sub(span),
                    // Nothing is carried in: values count from the first row on.
                    LookbackOver::Rows(_) | LookbackOver::All => {
                        first.map_or(self.at, |row| row.order.time)
                    }
                };
                running.result(function.aggregate(), (start, self.at))
            }
        }
    }
}

/// `delta` or `rate` from the first row to the last.
fn between(function: LookbackFunction, first: Option<&Row>, last: Option<&Row>) -> Value {
    let kind = match function {
        LookbackFunction::Delta => AggregateKind::Delta,
        _ => AggregateKind::Rate,
    };
    match (first, last) {
        (Some(first), Some(last)) => {
            change(kind, (first.order, first.number), (last.order, last.number))
        }
        _ => Value::Missing,
    }
}

impl AllKey {
    fn take(&mut self, function: LookbackFunction, row: Row, odd: Option<&Value>) {
        if self.first.is_none_or(|first| row.order < first.order) {
            self.first = Some(row);
        }
        if self.last.is_none_or(|last| row.order > last.order) {
            self.last = Some(row);
        }
        match &mut self.total {
            AllTotal::Accumulator(total) => {
                let number = Value::Number(row.number);
                total.add(function.aggregate(), row.order, odd.unwrap_or(&number));
            }
            AllTotal::Middle(sorted, digest, rows) => {
                *rows += 1;
                digest.add(row.number + 0.0);
                if *rows <= PERCENTILE_EXACT as u64 {
                    sorted.insert(row.number + 0.0);
                } else {
                    *sorted = SortedNumbers::default();
                }
            }
        }
    }

    fn value(&self, function: LookbackFunction, at: i64) -> Value {
        let (first, last) = (self.first.as_ref(), self.last.as_ref());
        match (function, &self.total) {
            (LookbackFunction::Delta | LookbackFunction::Rate, _) => between(function, first, last),
            (LookbackFunction::Zscore, AllTotal::Accumulator(Accumulator::Moments(moments))) => {
                last.map_or(Value::Missing, |row| moments.zscore(row.number))
            }
            (_, AllTotal::Middle(sorted, digest, rows)) => {
                let exact = *rows <= PERCENTILE_EXACT as u64;
                let percent = percent(function.aggregate());
                let middle = if exact {
                    sorted.percentile(percent)
                } else {
                    digest.quantile(percent / 100.0)
                };
                middle.map_or(Value::Missing, Value::number)
            }
            (function, AllTotal::Accumulator(total)) => {
                let end = last.map_or(at, |row| row.order.time.max(at));
                let frame = Frame {
                    start: end,
                    end,
                    carried: None,
                };
                total.result_in(function.aggregate(), &frame)
            }
        }
    }
}
