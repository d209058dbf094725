//! [`Output`]: collects the chunks of a result into one Arrow column.

use arrow_array::{BooleanArray, Float64Array, Int64Array, StringArray};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use tidegate_proto::Value;

use super::Kind;
use super::kernels::{Register, UNKNOWN};
use crate::column::Column;

/// The result so far.
#[derive(Debug)]
pub(super) enum Output {
    Float(Vec<f64>),
    Int(Vec<Option<i64>>),
    Truth(Vec<Option<bool>>),
    Text(Vec<Option<String>>),
    Missing(usize),
}

impl Output {
    pub(super) fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Float => Self::Float(Vec::with_capacity(rows)),
            Kind::Int => Self::Int(Vec::with_capacity(rows)),
            Kind::Truth => Self::Truth(Vec::with_capacity(rows)),
            Kind::Text => Self::Text(Vec::with_capacity(rows)),
            Kind::Missing => Self::Missing(0),
        }
    }

    /// Appends the first rows of a register of the same kind.
    pub(super) fn take(&mut self, register: &Register<'_>, rows: usize) {
        match (self, register) {
            (Self::Float(out), Register::Float(values)) => out.extend(values.iter().take(rows)),
            (Self::Int(out), Register::Int(values)) => out.extend(values.iter().take(rows)),
            (Self::Truth(out), Register::Truth(values)) => {
                let known = |truth: &u8| (*truth != UNKNOWN).then_some(*truth == 1);
                out.extend(values.iter().take(rows).map(known));
            }
            (Self::Text(out), Register::Text(values)) => {
                out.extend(values.iter().take(rows).map(|text| text.map(str::to_owned)));
            }
            (Self::Missing(count), _) => *count += rows,
            _ => {}
        }
    }

    /// Appends values of rows that were run one by one; `None` when one is of another kind.
    pub(super) fn take_values(&mut self, values: &[Value]) -> Option<()> {
        for value in values {
            match (&mut *self, value) {
                (Self::Float(out), Value::Missing) => out.push(f64::NAN),
                (Self::Float(out), Value::Number(number)) => out.push(*number),
                (Self::Int(out), Value::Missing) => out.push(None),
                (Self::Int(out), Value::Int(whole)) => out.push(Some(*whole)),
                (Self::Truth(out), Value::Missing) => out.push(None),
                (Self::Truth(out), Value::Bool(flag)) => out.push(Some(*flag)),
                (Self::Text(out), Value::Missing) => out.push(None),
                (Self::Text(out), Value::Text(text)) => out.push(Some(text.to_string())),
                (Self::Missing(count), Value::Missing) => *count += 1,
                _ => return None,
            }
        }
        Some(())
    }

    pub(super) fn into_column(self) -> Column {
        match self {
            Self::Float(values) => {
                let missing = values.iter().any(|value| value.is_nan());
                let nulls = missing.then(|| {
                    values
                        .iter()
                        .map(|value| !value.is_nan())
                        .collect::<NullBuffer>()
                });
                Column::Float(Float64Array::new(ScalarBuffer::from(values), nulls))
            }
            Self::Int(values) => Column::Int(Int64Array::from(values)),
            Self::Truth(values) => Column::Bool(BooleanArray::from(values)),
            Self::Text(values) => Column::Text(StringArray::from(values)),
            Self::Missing(rows) => Column::missing(rows),
        }
    }
}
