//! [`Argument`]: what one aggregate of a window rule takes of each used row, as a column of numbers where it can be.

use arrow_array::Array;
use tidegate_proto::Value;
use tidegate_scripts::Column;

use crate::aggregate::AggregateKind;
use crate::plan::window::{AggregatePlan, Take};

/// Whether a row carries what an aggregate's argument asks of the row itself.
pub(crate) fn carries(aggregate: &AggregatePlan, own: &[Column], row: usize) -> bool {
    if aggregate.bare.is_some() || aggregate.metrics.is_empty() {
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
    pub(crate) fn of(
        aggregate: &AggregatePlan,
        column: Option<&Column>,
        rows: usize,
        takes: impl Fn(usize) -> bool,
        time: impl Fn(usize) -> i64,
    ) -> Self {
        let plain = aggregate.filter.is_none() && aggregate.bare.is_some();
        if let (Some(Column::Float(array)), true, Take::Value) = (column, plain, aggregate.take)
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
            match aggregate.take {
                Take::Value => given,
                #[allow(
                    clippy::cast_precision_loss,
                    reason = "times are exact in a float for 285,000 years"
                )]
                Take::Time => Value::Number(time(row) as f64),
            }
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
