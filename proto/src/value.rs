//! [`Value`]: what a metric, a formula or a result column can hold, and how it prints as JSON.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One value. Telemetry numbers are always `Number`; `Int` is what counts are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// No value: `()` in a formula, `null` in JSON.
    #[default]
    Missing,
    /// true or false.
    Bool(bool),
    /// A whole number made by us: a count, never telemetry.
    Int(i64),
    /// A number. NaN never gets in: it is `Missing`.
    Number(f64),
    /// Text.
    Text(Arc<str>),
    /// A list, as `collect` makes it.
    List(Vec<Value>),
    /// Values by name: a row that a pattern has bound.
    Map(Vec<(Arc<str>, Value)>),
}

impl Value {
    /// A float as a value: NaN is no value.
    #[must_use]
    pub fn number(number: f64) -> Self {
        if number.is_nan() {
            Self::Missing
        } else {
            Self::Number(number)
        }
    }

    /// Text as a value.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(Arc::from(text))
    }

    /// Whether this is `()`.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing)
    }

    /// The number that an aggregate takes from this value: numbers as they are, true 1, false 0, everything else none.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Bool(flag) => Some(f64::from(u8::from(*flag))),
            #[allow(
                clippy::cast_precision_loss,
                reason = "counts beyond 2^53 do not occur"
            )]
            Self::Int(whole) => Some(*whole as f64),
            Self::Number(number) => Some(*number),
            Self::Missing | Self::Text(_) | Self::List(_) | Self::Map(_) => None,
        }
    }

    /// Appends this value as JSON. Infinities print as the texts `"Infinity"` and `"-Infinity"`, `()` as `null`.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Missing => out.push_str("null"),
            Self::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
            Self::Int(whole) => out.push_str(&whole.to_string()),
            Self::Number(number) => write_number(*number, out),
            Self::Text(text) => crate::json::write_text(text, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Self::Map(entries) => {
                out.push('{');
                for (index, (name, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    crate::json::write_text(name, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

/// Appends a float as JSON, the shortest text that reads back to the same bits; whole floats keep their `.0`.
pub fn write_number(number: f64, out: &mut String) {
    if number.is_nan() {
        out.push_str("null");
    } else if number.is_infinite() {
        out.push_str(if number > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    } else if number == 0.0 {
        // -0.0 equals 0.0 everywhere, so it prints like it.
        out.push_str("0.0");
    } else if let Some(number) = serde_json::Number::from_f64(number) {
        out.push_str(&number.to_string());
    }
}

impl fmt::Display for Value {
    /// As in a template: text and infinities without quotes, everything else as JSON.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) if number.is_infinite() => f.write_str(if *number > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            }),
            other => {
                let mut out = String::new();
                other.write_json(&mut out);
                f.write_str(&out)
            }
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::number(number)
    }
}
impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}
impl From<i64> for Value {
    fn from(whole: i64) -> Self {
        Self::Int(whole)
    }
}
impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_print_as_json() {
        let list = Value::List(vec![
            Value::Missing,
            Value::Int(3),
            Value::Number(25.0),
            Value::Number(-0.0),
            Value::Number(f64::INFINITY),
            Value::Number(0.1),
            Value::text("a\"b"),
            Value::number(f64::NAN),
        ]);
        let mut out = String::new();
        list.write_json(&mut out);
        assert_eq!(out, r#"[null,3,25.0,0.0,"Infinity",0.1,"a\"b",null]"#);
        assert_eq!(Value::Number(f64::NEG_INFINITY).to_string(), "-Infinity");
    }
}
