//! [`Column`]: the values of one slot or one result over all rows of an evaluation. Null is `()`.

use arrow_array::{Array, BooleanArray, Float64Array, Int64Array, StringArray};
use tidegate_proto::Value;

/// Values of one slot or one result, one per row; null is `()`. A float column never holds NaN.
#[derive(Clone, Debug)]
pub enum Column {
    /// Numbers of telemetry.
    Float(Float64Array),
    /// Counts.
    Int(Int64Array),
    /// Flags and conditions.
    Bool(BooleanArray),
    /// Text.
    Text(StringArray),
    /// Rows of different types, and lists.
    Mixed(Vec<Value>),
}

impl Column {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Float(array) => array.len(),
            Self::Int(array) => array.len(),
            Self::Bool(array) => array.len(),
            Self::Text(array) => array.len(),
            Self::Mixed(values) => values.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of a row; beyond the last row `()`.
    #[must_use]
    pub fn value(&self, row: usize) -> Value {
        if row >= self.len() {
            return Value::Missing;
        }
        match self {
            Self::Float(array) if array.is_valid(row) => Value::number(array.value(row)),
            Self::Int(array) if array.is_valid(row) => Value::Int(array.value(row)),
            Self::Bool(array) if array.is_valid(row) => Value::Bool(array.value(row)),
            Self::Text(array) if array.is_valid(row) => Value::text(array.value(row)),
            Self::Mixed(values) => values.get(row).cloned().unwrap_or_default(),
            _ => Value::Missing,
        }
    }

    /// Whether every row is `()`.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Float(array) => array.null_count() == array.len(),
            Self::Int(array) => array.null_count() == array.len(),
            Self::Bool(array) => array.null_count() == array.len(),
            Self::Text(array) => array.null_count() == array.len(),
            Self::Mixed(values) => values.iter().all(Value::is_missing),
        }
    }

    /// A column of rows that are all `()`.
    #[must_use]
    pub fn missing(rows: usize) -> Self {
        Self::Float(Float64Array::new_null(rows))
    }

    /// A column of these values in the narrowest type that holds them all; only `()` makes a float column.
    #[must_use]
    pub fn from_values(values: Vec<Value>) -> Self {
        let mut kind = None;
        for value in &values {
            let this = match value {
                Value::Missing => continue,
                Value::Number(_) => 0,
                Value::Int(_) => 1,
                Value::Bool(_) => 2,
                Value::Text(_) => 3,
                Value::List(_) | Value::Map(_) => 4,
            };
            if *kind.get_or_insert(this) != this {
                return Self::Mixed(values);
            }
        }
        let values = values.iter();
        match kind {
            None | Some(0) => Self::Float(values.map(Value::as_number).collect()),
            Some(1) => Self::Int(values.map(whole).collect()),
            Some(2) => Self::Bool(values.map(flag).collect()),
            Some(3) => Self::Text(values.map(text).collect()),
            Some(_) => Self::Mixed(values.cloned().collect()),
        }
    }

    /// The rows of a condition that are true; anything else, `()` included, is not.
    #[must_use]
    pub fn is_true(&self, row: usize) -> bool {
        matches!(self.value(row), Value::Bool(true))
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(whole) => Some(*whole),
        _ => None,
    }
}

fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_take_the_narrowest_type_and_give_their_values_back() {
        let cases: [(Vec<Value>, &str); 6] = [
            (vec![Value::Missing, Value::Missing], "Float"),
            (vec![Value::Number(1.5), Value::Missing], "Float"),
            (vec![Value::Missing, Value::Int(3)], "Int"),
            (vec![Value::Bool(true), Value::Missing], "Bool"),
            (vec![Value::text("a"), Value::Missing], "Text"),
            (vec![Value::Int(1), Value::Number(1.0)], "Mixed"),
        ];
        for (values, kind) in cases {
            let column = Column::from_values(values.clone());
            assert!(format!("{column:?}").starts_with(kind), "{column:?}");
            let back: Vec<Value> = (0..column.len()).map(|row| column.value(row)).collect();
            assert_eq!(back, values);
            assert_eq!(column.value(99), Value::Missing);
        }
    }
}
