//! What operators mean, value by value: the reference that the columnar program must equal.

use std::sync::Arc;

use rhai::{Array, Dynamic, ImmutableString};
use tidegate_proto::Value;

use crate::node::Operator;

/// A value as operators see it.
#[derive(Debug)]
pub(crate) enum Operand {
    Missing,
    Bool(bool),
    Int(i64),
    Number(f64),
    Text(ImmutableString),
    Other,
}

impl Operand {
    pub(crate) fn of(value: &Dynamic) -> Self {
        if let Ok(number) = value.as_float() {
            return if number.is_nan() {
                Self::Missing
            } else {
                Self::Number(number)
            };
        }
        if value.is_unit() {
            return Self::Missing;
        }
        if let Ok(flag) = value.as_bool() {
            return Self::Bool(flag);
        }
        if let Ok(whole) = value.as_int() {
            return Self::Int(whole);
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            return Self::Text(text.clone());
        }
        match value.as_char() {
            Ok(letter) => Self::Text(letter.to_string().into()),
            Err(_) => Self::Other,
        }
    }

    pub(crate) const fn describe(&self) -> &'static str {
        match self {
            Self::Missing => "an unknown value `()`",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Other => "a list or map",
        }
    }

    /// The number it is; `Ok(None)` for `()`.
    pub(crate) fn number(&self) -> Result<Option<f64>, &'static str> {
        match self {
            Self::Missing => Ok(None),
            Self::Int(whole) => Ok(Some(float(*whole))),
            Self::Number(number) => Ok(Some(*number)),
            other => Err(other.describe()),
        }
    }
}

/// A count as a float.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts meet floats as floats, as documented"
)]
pub(crate) const fn float(whole: i64) -> f64 {
    whole as f64
}

/// A float as a value of a formula: NaN is `()`.
pub(crate) fn number(number: f64) -> Dynamic {
    if number.is_nan() {
        Dynamic::UNIT
    } else {
        Dynamic::from_float(number)
    }
}

/// `left op right`.
pub(crate) fn binary(op: Operator, left: &Dynamic, right: &Dynamic) -> Result<Dynamic, String> {
    let (a, b) = (Operand::of(left), Operand::of(right));
    match (&a, &b) {
        (Operand::Missing, _) | (_, Operand::Missing) => Ok(Dynamic::UNIT),
        (Operand::Number(a), Operand::Number(b)) => Ok(floats(op, *a, *b)),
        (Operand::Int(a), Operand::Number(b)) => Ok(floats(op, float(*a), *b)),
        (Operand::Number(a), Operand::Int(b)) => Ok(floats(op, *a, float(*b))),
        (Operand::Int(a), Operand::Int(b)) => wholes(op, *a, *b),
        (Operand::Text(a), Operand::Text(b)) if op.is_comparison() => {
            Ok(compare(op, a.as_str(), b.as_str()))
        }
        (Operand::Text(_), _) | (_, Operand::Text(_)) if op == Operator::Add => {
            let mut text = print(left)?;
            text.push_str(&print(right)?);
            Ok(text.into())
        }
        (Operand::Bool(a), Operand::Bool(b)) if is_equality(op) => Ok(compare(op, a, b)),
        (Operand::Other, Operand::Other) => lists(op, left, right),
        _ => Err(format!(
            "`{}` cannot work on {} and {}",
            op.symbol(),
            a.describe(),
            b.describe()
        )),
    }
}

const fn is_equality(op: Operator) -> bool {
    matches!(op, Operator::Equal | Operator::Unequal)
}

fn floats(op: Operator, a: f64, b: f64) -> Dynamic {
    match arithmetic(op, a, b) {
        Some(result) => number(result),
        None => compare(op, &a, &b),
    }
}

/// Arithmetic on floats; `None` for comparisons.
pub(crate) fn arithmetic(op: Operator, a: f64, b: f64) -> Option<f64> {
    Some(match op {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Remainder => a % b,
        Operator::Power => libm::pow(a, b),
        _ => return None,
    })
}

/// Arithmetic on counts that stays whole: `None` for other operators, `Some(None)` when it overflows.
pub(crate) fn whole_arithmetic(op: Operator, a: i64, b: i64) -> Option<Option<i64>> {
    Some(match op {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        _ => return None,
    })
}

fn wholes(op: Operator, a: i64, b: i64) -> Result<Dynamic, String> {
    if let Some(result) = whole_arithmetic(op, a, b) {
        return result
            .map(Dynamic::from_int)
            .ok_or_else(|| format!("`{}` of whole numbers overflows", op.symbol()));
    }
    Ok(match op {
        // A remainder by zero is unknown, as with floats; the least number by -1 leaves nothing.
        Operator::Remainder if b == 0 => Dynamic::UNIT,
        Operator::Remainder => Dynamic::from_int(a.wrapping_rem(b)),
        Operator::Divide | Operator::Power => floats(op, float(a), float(b)),
        _ => compare(op, &a, &b),
    })
}

fn compare<T: PartialOrd + ?Sized>(op: Operator, a: &T, b: &T) -> Dynamic {
    Dynamic::from_bool(holds(op, a, b))
}

/// Whether a comparison holds.
pub(crate) fn holds<T: PartialOrd + ?Sized>(op: Operator, a: &T, b: &T) -> bool {
    match op {
        Operator::Equal => a == b,
        Operator::Unequal => a != b,
        Operator::Less => a < b,
        Operator::LessEqual => a <= b,
        Operator::Greater => a > b,
        Operator::GreaterEqual => a >= b,
        _ => false,
    }
}

fn lists(op: Operator, left: &Dynamic, right: &Dynamic) -> Result<Dynamic, String> {
    let wrong = || format!("`{}` cannot work on lists or maps", op.symbol());
    match op {
        Operator::Equal | Operator::Unequal => {
            let same = to_value(left)? == to_value(right)?;
            Ok(Dynamic::from_bool(same == (op == Operator::Equal)))
        }
        Operator::Add => {
            let mut joined: Array = left.as_array_ref().map_err(|_| wrong())?.to_vec();
            joined.extend(right.as_array_ref().map_err(|_| wrong())?.iter().cloned());
            Ok(joined.into())
        }
        _ => Err(wrong()),
    }
}

/// `-x`
pub(crate) fn negate(value: &Dynamic) -> Result<Dynamic, String> {
    match Operand::of(value) {
        Operand::Missing => Ok(Dynamic::UNIT),
        Operand::Number(x) => Ok(number(-x)),
        Operand::Int(x) => x
            .checked_neg()
            .map(Dynamic::from_int)
            .ok_or_else(|| "`-` of a whole number overflows".to_owned()),
        other => Err(format!("`-` cannot work on {}", other.describe())),
    }
}

/// A truth value: true, false or unknown.
pub(crate) fn truth(value: &Dynamic, symbol: &str) -> Result<Option<bool>, String> {
    match Operand::of(value) {
        Operand::Missing => Ok(None),
        Operand::Bool(flag) => Ok(Some(flag)),
        other => Err(format!(
            "`{symbol}` needs true or false, not {}",
            other.describe()
        )),
    }
}

/// A truth value as a value of a formula.
pub(crate) fn from_truth(truth: Option<bool>) -> Dynamic {
    truth.map_or(Dynamic::UNIT, Dynamic::from_bool)
}

/// A value for people, as templates print it.
pub(crate) fn print(value: &Dynamic) -> Result<String, String> {
    Ok(to_value(value)?.to_string())
}

/// A value from outside as Rhai sees it.
pub(crate) fn to_dynamic(value: &Value) -> Dynamic {
    match value {
        Value::Missing => Dynamic::UNIT,
        Value::Bool(flag) => Dynamic::from_bool(*flag),
        Value::Int(whole) => Dynamic::from_int(*whole),
        Value::Number(x) => number(*x),
        Value::Text(text) => Dynamic::from(ImmutableString::from(text.as_ref())),
        Value::List(items) => Dynamic::from_array(items.iter().map(to_dynamic).collect()),
        Value::Map(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|(name, value)| (name.as_ref().into(), to_dynamic(value)));
            Dynamic::from_map(entries.collect())
        }
    }
}

/// A value of a formula as the outside sees it.
pub(crate) fn to_value(value: &Dynamic) -> Result<Value, String> {
    Ok(match Operand::of(value) {
        Operand::Missing => Value::Missing,
        Operand::Bool(flag) => Value::Bool(flag),
        Operand::Int(whole) => Value::Int(whole),
        Operand::Number(x) => Value::Number(x),
        Operand::Text(text) => Value::text(&text),
        Operand::Other if value.is_map() => {
            let map = value.as_map_ref().map_err(str::to_owned)?;
            let entries = map.iter();
            let entries =
                entries.map(|(name, value)| Ok((Arc::from(name.as_str()), to_value(value)?)));
            let entries: Result<Vec<_>, String> = entries.collect();
            Value::Map(entries?)
        }
        Operand::Other => {
            let items = value
                .as_array_ref()
                .map_err(|kind| format!("a formula cannot give a {kind}"))?;
            let items: Result<Vec<Value>, String> = items.iter().map(to_value).collect();
            Value::List(items?)
        }
    })
}
