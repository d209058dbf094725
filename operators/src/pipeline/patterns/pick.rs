//! What a formula picks out of the values of a bound list.

use tidegate_proto::Value;
use tidegate_scripts::AliasPick;

use crate::exact::ExactSum;

/// The value of `sum avg min max count` over the values of a list, or all of them.
pub(super) fn aggregate(pick: AliasPick, values: Vec<Value>) -> Value {
    let count = values.len();
    let numbers: Vec<f64> = values.iter().filter_map(Value::as_number).collect();
    let least = |a: f64, b: f64| if b < a { b } else { a };
    let greatest = |a: f64, b: f64| if b > a { b } else { a };
    let sum = || {
        let mut sum = ExactSum::new();
        numbers.iter().for_each(|number| sum.add(*number));
        sum
    };
    match pick {
        AliasPick::Count => Value::Int(i64::try_from(count).unwrap_or(i64::MAX)),
        AliasPick::All => Value::List(values),
        _ if numbers.is_empty() => Value::Missing,
        AliasPick::Sum => Value::number(sum().round()),
        AliasPick::Avg => Value::number(sum().mean(numbers.len() as u64)),
        AliasPick::Min => numbers
            .into_iter()
            .reduce(least)
            .map_or(Value::Missing, Value::number),
        _ => numbers
            .into_iter()
            .reduce(greatest)
            .map_or(Value::Missing, Value::number),
    }
}
