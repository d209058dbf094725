//! [`Previous`]: functions of a row and the rows just before it: `prev`, `changed`, `delta` and `rate` to the previous
//! row. A row older than the last one is skipped and counted.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use crate::aggregate::RowOrder;

/// Which function of the previous rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PreviousFunction {
    /// `prev(x, n)`: the value n rows before; 1 is the row before.
    Prev(u32),
    /// `changed(x)`: whether the value differs from that of the row before; the first: false.
    Changed,
    /// `delta(x)`: the number less that of the row before.
    Delta,
    /// `rate(x)`: that per second between the two; equal times: `()`.
    Rate,
}

/// State of a [`PreviousFunction`] for all keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Previous {
    function: PreviousFunction,
    keys: Vec<PreviousKey>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct PreviousKey {
    /// The newest rows with a value, newest last: one more than the function looks back.
    rows: VecDeque<(RowOrder, Value)>,
    out_of_order: u64,
}

impl Previous {
    /// No rows yet.
    #[must_use]
    pub const fn new(function: PreviousFunction) -> Self {
        Self {
            function,
            keys: Vec::new(),
        }
    }

    /// Takes a row; one without a value is skipped. A row older than the last one is skipped and counted: `false`.
    pub fn insert(&mut self, key: u32, time: i64, sequence: u64, value: &Value) -> bool {
        let numeric = matches!(
            self.function,
            PreviousFunction::Delta | PreviousFunction::Rate
        );
        if value.is_missing() || (numeric && value.as_number().is_none()) {
            return true;
        }
        let kept = match self.function {
            PreviousFunction::Prev(rows) => rows as usize + 1,
            _ => 2,
        };
        let at = key as usize;
        if self.keys.len() <= at {
            self.keys.resize_with(at + 1, PreviousKey::default);
        }
        let Some(state) = self.keys.get_mut(at) else {
            return false;
        };
        let order = RowOrder { time, sequence };
        if state
            .rows
            .back()
            .is_some_and(|(last, _)| order.time < last.time)
        {
            state.out_of_order += 1;
            return false;
        }
        if state.rows.len() >= kept {
            state.rows.pop_front();
        }
        state.rows.push_back((order, value.clone()));
        true
    }

    /// Takes a number; NaN is none. See [`Previous::insert`].
    pub fn insert_number(&mut self, key: u32, time: i64, sequence: u64, number: f64) -> bool {
        self.insert(key, time, sequence, &Value::number(number))
    }

    /// The function at the newest row of a key.
    #[must_use]
    pub fn value(&self, key: u32) -> Value {
        let rows = self.keys.get(key as usize).map(|state| &state.rows);
        let back = |rows: &VecDeque<(RowOrder, Value)>, count: usize| {
            let index = rows.len().checked_sub(count + 1)?;
            rows.get(index).cloned()
        };
        let newest = rows.and_then(|rows| back(rows, 0));
        let before = |count| rows.and_then(|rows| back(rows, count));
        match self.function {
            PreviousFunction::Prev(rows) => {
                before(rows as usize).map_or(Value::Missing, |(_, value)| value)
            }
            PreviousFunction::Changed => match (newest, before(1)) {
                (Some((_, newest)), Some((_, older))) => Value::Bool(differs(&newest, &older)),
                (Some(_), None) => Value::Bool(false),
                (None, _) => Value::Missing,
            },
            PreviousFunction::Delta => {
                step(newest, before(1)).map_or(Value::Missing, |(step, _)| Value::number(step))
            }
            PreviousFunction::Rate => match step(newest, before(1)) {
                Some((step, ms)) if ms > 0 => Value::number(step / (ms as f64 / 1000.0)),
                _ => Value::Missing,
            },
        }
    }

    /// Rows of a key that were skipped because they were older than the last one.
    #[must_use]
    pub fn out_of_order(&self, key: u32) -> u64 {
        self.keys
            .get(key as usize)
            .map_or(0, |state| state.out_of_order)
    }

    /// Drops everything of a key.
    pub fn forget(&mut self, key: u32) {
        if let Some(state) = self.keys.get_mut(key as usize) {
            *state = PreviousKey::default();
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rows: usize = self.keys.iter().map(|state| state.rows.capacity()).sum();
        self.keys.capacity() * size_of::<PreviousKey>() + rows * size_of::<(RowOrder, Value)>()
    }
}

/// A number of ours and one of telemetry are equal when they are the same number.
pub(crate) fn differs(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Int(_), Value::Number(_)) | (Value::Number(_), Value::Int(_)) => {
            left.as_number() != right.as_number()
        }
        _ => left != right,
    }
}

/// From the older row to the newer: difference of the numbers, and ms.
fn step(newest: Option<(RowOrder, Value)>, older: Option<(RowOrder, Value)>) -> Option<(f64, i64)> {
    let (newest, older) = (newest?, older?);
    let step = newest.1.as_number()? - older.1.as_number()?;
    Some((step, newest.0.time.saturating_sub(older.0.time)))
}
