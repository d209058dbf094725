//! [`Argument`]: what one aggregate of a window rule takes of each used row, as a column of numbers where it can be.

use arrow_array::Array;
use tidegate_proto::Value;
use tidegate_scripts::Column;

use super::group::Push;
use super::judge::columns_of;
use super::sight::paired;
use super::steps::{Blame, Cause};
use super::windows::KeptRow;
use crate::aggregate::AggregateKind;
use crate::plan::slots::Bound;
use crate::plan::window::AggregatePlan;

/// Evaluates arguments over the used rows of a push.
pub(crate) struct Taker<'a> {
    push: &'a Push<'a>,
    /// Numbers of the used rows in the batch.
    rows: &'a [u32],
    /// Rows that waited, by entry.
    kept: &'a [Option<KeptRow>],
    /// What the rows carry themselves, by place.
    own: &'a [Column],
    /// The same with the latest values where a row carries none.
    now: &'a [Column],
    blames: &'a mut Vec<Blame>,
}

impl<'a> Taker<'a> {
    pub(crate) fn new(
        push: &'a Push<'a>,
        (rows, kept): (&'a [u32], &'a [Option<KeptRow>]),
        (own, now): (&'a [Column], &'a [Column]),
        blames: &'a mut Vec<Blame>,
    ) -> Self {
        Self {
            push,
            rows,
            kept,
            own,
            now,
            blames,
        }
    }

    fn evaluate(&mut self, bound: &Bound, asked: impl Fn(usize) -> bool) -> Column {
        let columns = columns_of(bound, self.now);
        let result = bound.formula.evaluate(&columns, self.rows.len());
        for (place, error) in result.errors {
            let Some(number) = self.rows.get(place as usize) else {
                continue;
            };
            if !asked(place as usize) {
                continue;
            }
            let row = *number as usize;
            let batch = self.push.batch;
            let mut blame = Blame {
                resource: batch.resource.get(row).copied().unwrap_or(0),
                time: batch.time.get(row).copied().unwrap_or(0),
                cause: Cause::Row(*number),
                trigger: self.push.trigger(row),
                message: error.to_string(),
            };
            if let Some(Some(kept)) = self.kept.get(place as usize) {
                (blame.resource, blame.time) = (kept.resource, kept.time);
                blame.cause = Cause::None;
            }
            self.blames.push(blame);
        }
        result.column
    }

    /// What an aggregate takes.
    pub(crate) fn take(&mut self, aggregate: &AggregatePlan) -> Argument {
        let own = self.own;
        let carried = |row: usize| carries(aggregate, own, row);
        let filter = aggregate.filter.as_ref();
        let passes = filter.map(|bound| self.evaluate(bound, carried));
        let takes =
            |row: usize| carried(row) && passes.as_ref().is_none_or(|passes| passes.is_true(row));
        let column = match (&aggregate.argument, aggregate.bare) {
            (_, Some(place)) => own.get(place).cloned(),
            (Some(bound), None) => Some(self.evaluate(bound, takes)),
            (None, None) => None,
        };
        if let (Some(bound), Some(first)) = (&aggregate.second, &column) {
            let second = self.evaluate(bound, takes);
            let rows = 0..self.rows.len();
            let pairs = rows.map(|row| paired(first.value(row), second.value(row)));
            let column = Column::from_values(pairs.collect());
            return Argument::of(aggregate, Some(&column), self.rows.len(), takes);
        }
        if aggregate.kind.takes_nulls() {
            let value = |row: usize| {
                let value = column.as_ref().map(|column| column.value(row));
                let value = value.filter(|_| carried(row)).unwrap_or_default();
                Value::List(vec![value])
            };
            let passes = |row: usize| passes.as_ref().is_none_or(|passes| passes.is_true(row));
            let values = (0..self.rows.len()).map(value);
            let column = Column::from_values(values.collect());
            return Argument::of(aggregate, Some(&column), self.rows.len(), passes);
        }
        Argument::of(aggregate, column.as_ref(), self.rows.len(), takes)
    }
}

/// Whether a row carries what an aggregate's argument asks of the row itself.
fn carries(aggregate: &AggregatePlan, own: &[Column], row: usize) -> bool {
    if aggregate.always || aggregate.bare.is_some() || aggregate.metrics.is_empty() {
        return true;
    }
    let mut metrics = aggregate.metrics.iter();
    let carried = |place: &usize| own.get(*place).is_some_and(|c| !c.value(row).is_missing());
    if aggregate.condition {
        metrics.any(carried)
    } else {
        metrics.all(carried)
    }
}

/// What one aggregate takes of each used row.
#[derive(Debug)]
pub(crate) struct Argument {
    /// NaN: nothing, or no number.
    pub(crate) numbers: Vec<f64>,
    /// All values, when not all are numbers.
    pub(crate) odd: Option<Vec<Value>>,
}

impl Argument {
    fn of(
        aggregate: &AggregatePlan,
        column: Option<&Column>,
        rows: usize,
        takes: impl Fn(usize) -> bool,
    ) -> Self {
        let plain = aggregate.filter.is_none() && aggregate.bare.is_some();
        let plain = plain && !aggregate.kind.is_condition();
        if let (Some(Column::Float(array)), true) = (column, plain)
            && array.null_count() == 0
        {
            return Self {
                numbers: array.values().to_vec(),
                odd: None,
            };
        }
        let value = |row: usize| {
            let given = column.map_or(Value::Bool(true), |column| column.value(row));
            if given.is_missing() || !takes(row) {
                return Value::Missing;
            }
            // What is no truth at all is not true.
            if aggregate.kind.is_condition() && !matches!(given, Value::Bool(_)) {
                return Value::Bool(false);
            }
            given
        };
        let values: Vec<Value> = (0..rows).map(value).collect();
        let plain = |value: &Value| matches!(value, Value::Number(_) | Value::Missing);
        let counts = matches!(aggregate.kind, AggregateKind::Count);
        let numeric = values.iter().all(|value| plain(value) || counts);
        let number = |value: &Value| match value {
            Value::Missing => f64::NAN,
            Value::Number(number) => *number,
            _ => 1.0,
        };
        Self {
            numbers: values.iter().map(number).collect(),
            odd: (!numeric).then_some(values),
        }
    }

    pub(crate) fn value(&self, row: usize) -> Value {
        match &self.odd {
            Some(values) => values.get(row).cloned().unwrap_or_default(),
            None => Value::number(self.numbers.get(row).copied().unwrap_or(f64::NAN)),
        }
    }
}
