//! [`MetricCells`]: the latest value of a metric per resource, as one group sees it; [`Cursor`], which walks a sparse
//! column of a batch; [`Builder`], which makes a column for the formulas.

use arrow_array::Float64Array;
use arrow_buffer::{NullBuffer, ScalarBuffer};
use serde::{Deserialize, Serialize};
use tidegate_proto::{EventBatch, MetricColumn, Value};
use tidegate_scripts::Column;

use super::View;
use super::past::Past;
use crate::watermark::{NEVER, cell};

/// Seeded, and the twin had no value.
const EMPTY: i64 = NEVER + 1;

/// Latest value per resource: the largest event time, among equal times the later in log order.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct MetricCells {
    /// Number of the metric in the shard's interner.
    pub(crate) metric: u32,
    times: Vec<i64>,
    values: Vec<Value>,
    /// What it was before, where somebody asks for that.
    past: Option<Past>,
}

impl MetricCells {
    pub(crate) fn new(metric: u32) -> Self {
        Self {
            metric,
            times: Vec::new(),
            values: Vec::new(),
            past: None,
        }
    }

    /// What the metric was is kept from here on, for so long.
    pub(crate) fn keep_past(&mut self, horizon: i64) {
        self.past.get_or_insert_with(|| Past::new(horizon));
    }

    /// Whether it is kept what it was.
    pub(crate) const fn keeps_past(&self) -> bool {
        self.past.is_some()
    }

    /// What it was, if that is kept.
    pub(crate) const fn past(&mut self) -> Option<&mut Past> {
        self.past.as_mut()
    }

    /// The last value before a time among those of rows before a place in their order.
    pub(crate) fn before(&self, resource: u32, when: (i64, u64), max_age: i64) -> Value {
        let past = self.past.as_ref();
        let known = past.and_then(|past| past.before(resource, when, max_age));
        known.cloned().unwrap_or_default()
    }

    /// Makes sure that a resource has begun: at first sight it takes the twin's value. One that lies beyond `limit` is still
    /// to come: it is the answer, with its time.
    pub(crate) fn seed(
        &mut self,
        resource: u32,
        limit: i64,
        view: &dyn View,
    ) -> Option<(i64, Value)> {
        let time = cell(&mut self.times, resource, NEVER);
        if *time != NEVER {
            return None;
        }
        *time = EMPTY;
        let (at, value) = view.last(resource, self.metric)?;
        if at.0 > limit {
            return Some((at.0, value));
        }
        *time = at.0.max(EMPTY);
        *cell(&mut self.values, resource, Value::Missing) = value;
        None
    }

    /// Takes the value of a row.
    pub(crate) fn set(&mut self, resource: u32, time: i64, value: &Value) {
        let latest = cell(&mut self.times, resource, NEVER);
        if time >= *latest {
            *latest = time.max(EMPTY);
            cell(&mut self.values, resource, Value::Missing).clone_from(value);
        }
    }

    /// Seeds, takes the number of a row, and answers with the latest number; NaN: the latest value is none.
    #[inline]
    pub(crate) fn take(&mut self, resource: u32, time: i64, number: f64, view: &dyn View) -> f64 {
        let latest = cell(&mut self.times, resource, NEVER);
        if *latest == NEVER {
            self.seed(resource, i64::MAX, view);
        }
        let latest = cell(&mut self.times, resource, NEVER);
        let value = cell(&mut self.values, resource, Value::Missing);
        if time >= *latest {
            *latest = time.max(EMPTY);
            *value = Value::Number(number);
            return number;
        }
        match value {
            Value::Number(number) => *number,
            _ => f64::NAN,
        }
    }

    /// Whether a resource has begun.
    pub(crate) fn has_met(&self, resource: u32) -> bool {
        let time = self.times.get(resource as usize);
        time.is_some_and(|time| *time != NEVER)
    }

    /// The latest value and its time.
    pub(crate) fn known(&self, resource: u32) -> Option<(i64, &Value)> {
        let value = self.values.get(resource as usize)?;
        let time = self.times.get(resource as usize)?;
        (!value.is_missing()).then_some((*time, value))
    }

    /// The latest value.
    pub(crate) fn get(&self, resource: u32) -> Value {
        let value = self.values.get(resource as usize);
        value.cloned().unwrap_or_default()
    }

    /// The latest value, unless it is older than `max_age` at a time.
    pub(crate) fn get_aged(&self, resource: u32, at: i64, max_age: i64) -> Value {
        let time = self.times.get(resource as usize).copied().unwrap_or(NEVER);
        if let Some(past) = self.past.as_ref().filter(|_| at < time) {
            let known = past.at(resource, at);
            let known = known.filter(|(said, _)| at.saturating_sub(*said) <= max_age);
            return known.map_or(Value::Missing, |(_, value)| value.clone());
        }
        if max_age != i64::MAX && at.saturating_sub(time) > max_age {
            return Value::Missing;
        }
        self.get(resource)
    }

    /// Puts another value in the place of the latest, however old it is.
    pub(crate) fn replace(
        &mut self,
        resource: u32,
        known: Option<(i64, Value)>,
        (from, sequence): (i64, u64),
    ) {
        let (time, value) = known.unwrap_or((EMPTY, Value::Missing));
        if let Some(past) = &mut self.past {
            past.note(resource, (from, time), sequence, &value);
        }
        *cell(&mut self.times, resource, NEVER) = time.max(EMPTY);
        *cell(&mut self.values, resource, Value::Missing) = value;
    }

    /// Lets a resource go.
    pub(crate) fn forget(&mut self, resource: u32) {
        if let Some(time) = self.times.get_mut(resource as usize) {
            *time = NEVER;
        }
        if let Some(value) = self.values.get_mut(resource as usize) {
            *value = Value::Missing;
        }
        if let Some(past) = &mut self.past {
            past.forget(resource);
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let past = self.past.as_ref().map_or(0, Past::bytes);
        self.times.capacity() * 8 + self.values.capacity() * size_of::<Value>() + past
    }
}

/// Walks one metric of a batch row by row, forward only.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    column: Option<&'a MetricColumn>,
    at: usize,
}

impl<'a> Cursor<'a> {
    /// `columns` says where in the batch the column of a metric is.
    pub(crate) fn new(
        batch: &'a EventBatch,
        columns: &[Option<u32>],
        metric: u32,
        from: usize,
    ) -> Self {
        let column = columns.get(metric as usize).copied().flatten();
        let column = column.and_then(|column| batch.metrics.get(column as usize));
        let at = column.map_or(0, |c| c.rows.partition_point(|row| (*row as usize) < from));
        Self { column, at }
    }

    /// Whether any row from here on carries the metric.
    pub(crate) fn is_live(&self) -> bool {
        self.column.is_some_and(|c| self.at < c.rows.len())
    }

    /// The value of a row; an explicit null is as if the row did not carry it.
    pub(crate) fn value(&mut self, row: u32) -> Value {
        self.entry(row).unwrap_or_default()
    }

    /// What a row says of the metric, if it names it; an explicit null is `Missing`.
    pub(crate) fn entry(&mut self, row: u32) -> Option<Value> {
        let column = self.column?;
        while let Some(carried) = column.rows.get(self.at) {
            if *carried >= row {
                return (*carried == row).then(|| column.value(self.at));
            }
            self.at += 1;
        }
        None
    }
}

/// A column in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    /// Numbers, NaN for everything else.
    numbers: Vec<f64>,
    missing: usize,
    /// Rows that are neither numbers nor missing.
    odd: Vec<(usize, Value)>,
}

impl Builder {
    pub(crate) fn push(&mut self, value: Value) {
        match value {
            Value::Number(number) => self.numbers.push(number),
            Value::Missing => {
                self.missing += 1;
                self.numbers.push(f64::NAN);
            }
            other => {
                self.odd.push((self.numbers.len(), other));
                self.numbers.push(f64::NAN);
            }
        }
    }

    /// The column; the builder is empty again.
    pub(crate) fn finish(&mut self) -> Column {
        let numbers = std::mem::take(&mut self.numbers);
        let missing = std::mem::take(&mut self.missing);
        if self.odd.is_empty() {
            let nulls = (missing > 0)
                .then(|| NullBuffer::from_iter(numbers.iter().map(|number| !number.is_nan())));
            return Column::Float(Float64Array::new(ScalarBuffer::from(numbers), nulls));
        }
        let mut values: Vec<Value> = numbers.into_iter().map(Value::number).collect();
        for (row, odd) in self.odd.drain(..) {
            if let Some(value) = values.get_mut(row) {
                *value = odd;
            }
        }
        Column::from_values(values)
    }
}
