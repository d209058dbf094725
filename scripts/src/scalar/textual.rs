//! Functions of text and lists. Positions and lengths count characters, from 0; none changes its argument.

use rhai::{Array, Dynamic, ImmutableString};

use super::{Failure, Kernel, Ran, Scalar, number, numbers};
use crate::value::{Operand, print, to_value};

/// One line of the table: run row by row only.
macro_rules! text {
    ($signature:literal, $least:literal..=$most:literal, $meaning:literal, $example:literal, $run:expr) => {
        Scalar {
            name: name_of($signature),
            arguments: ($least, $most),
            signature: $signature,
            meaning: $meaning,
            example: $example,
            gives_flag: false,
            keeps_whole: false,
            run: $run,
            kernel: Kernel::None,
        }
    };
}

/// The same for functions that say true or false.
macro_rules! flag {
    ($signature:literal, $count:literal, $meaning:literal, $example:literal, $run:expr) => {
        Scalar {
            gives_flag: true,
            ..text!($signature, $count..=$count, $meaning, $example, $run)
        }
    };
}

/// The name in front of the parenthesis.
const fn name_of(signature: &'static str) -> &'static str {
    let bytes = signature.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let (name, rest) = signature.split_at(at);
        if let Some(b'(') = rest.as_bytes().first() {
            return name;
        }
        at += 1;
    }
    signature
}

pub(super) static TABLE: [Scalar; 17] = [
    text!(
        "len(x)",
        1..=1,
        "number of characters of a text or items of a list",
        "len(mode) > 3",
        len
    ),
    flag!(
        "is_empty(x)",
        1,
        "whether a text or list has nothing in it",
        "is_empty(mode)",
        is_empty
    ),
    text!(
        "to_upper(text)",
        1..=1,
        "text in capitals",
        "to_upper(mode) == \"ON\"",
        |a| { one("to_upper", a, |text| text.to_uppercase().into()) }
    ),
    text!(
        "to_lower(text)",
        1..=1,
        "text in small letters",
        "to_lower(mode) == \"on\"",
        |a| { one("to_lower", a, |text| text.to_lowercase().into()) }
    ),
    text!(
        "trim(text)",
        1..=1,
        "text without blanks around it",
        "trim(mode) == \"on\"",
        |a| { one("trim", a, |text| text.trim().into()) }
    ),
    flag!(
        "contains(x, part)",
        2,
        "whether a text or list contains something; also `part in x`",
        "contains(mode, \"manual\")",
        contains
    ),
    flag!(
        "starts_with(text, part)",
        2,
        "whether a text begins so",
        "starts_with(mode, \"man\")",
        |a| { two("starts_with", a, |text, part| text.starts_with(part).into()) }
    ),
    flag!(
        "ends_with(text, part)",
        2,
        "whether a text ends so",
        "ends_with(mode, \"ual\")",
        |a| { two("ends_with", a, |text, part| text.ends_with(part).into()) }
    ),
    text!(
        "index_of(text, part)",
        2..=2,
        "where a part begins, `()` if it is not there",
        "index_of(mode, \"u\") == 3",
        |a| two("index_of", a, index_of)
    ),
    text!(
        "sub_string(text, start, length)",
        2..=3,
        "a part of a text; length left out: to the end",
        "sub_string(mode, 0, 3) == \"man\"",
        sub_string
    ),
    text!(
        "replace(text, part, by)",
        3..=3,
        "text with every part replaced",
        "replace(mode, \"_\", \" \") == \"a b\"",
        replace
    ),
    text!(
        "split(text, separator)",
        2..=2,
        "list of the parts between separators",
        "len(split(mode, \",\")) > 1",
        |a| two("split", a, split)
    ),
    text!(
        "join(list, separator)",
        2..=2,
        "text of all items with a separator between",
        "join([mode, \"x\"], \"/\") == \"a/x\"",
        join
    ),
    text!(
        "to_text(x)",
        1..=1,
        "any value as text, `()` as `null`",
        "to_text(temperature) == \"20.0\"",
        |a| { Ok(print(first(a))?.into()) }
    ),
    text!(
        "to_number(text)",
        1..=1,
        "the number that a text says, `()` if it says none",
        "to_number(mode) > 3",
        to_number
    ),
    text!(
        "format(x, digits)",
        2..=2,
        "a number with so many digits behind the point",
        "format(temperature, 1) == \"20.0\"",
        format_number
    ),
    text!(
        "concat(x, …)",
        0..=16,
        "texts of all values one behind the other, as `${…}` in backticks does",
        "concat(mode, temperature) == \"on20.0\"",
        concat
    ),
];

fn first(arguments: &[Dynamic]) -> &Dynamic {
    arguments.first().unwrap_or(&Dynamic::UNIT)
}

/// The text of an argument; `None` for `()`.
fn text(name: &str, argument: Option<&Dynamic>) -> Result<Option<ImmutableString>, String> {
    match Operand::of(argument.unwrap_or(&Dynamic::UNIT)) {
        Operand::Missing => Ok(None),
        Operand::Text(text) => Ok(Some(text)),
        other => Err(format!("`{name}` needs text, not {}", other.describe())),
    }
}

fn one(name: &str, arguments: &[Dynamic], run: fn(&str) -> Dynamic) -> Ran {
    Ok(text(name, arguments.first())?.map_or(Dynamic::UNIT, |text| run(&text)))
}

fn two(name: &str, arguments: &[Dynamic], run: fn(&str, &str) -> Dynamic) -> Ran {
    let (a, b) = (
        text(name, arguments.first())?,
        text(name, arguments.get(1))?,
    );
    Ok(a.zip(b).map_or(Dynamic::UNIT, |(a, b)| run(&a, &b)))
}

fn count(count: usize) -> Dynamic {
    Dynamic::from_int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn length(name: &str, argument: &Dynamic) -> Result<Option<usize>, String> {
    match Operand::of(argument) {
        Operand::Missing => Ok(None),
        Operand::Text(text) => Ok(Some(text.chars().count())),
        other => match (argument.as_array_ref(), argument.as_map_ref()) {
            (Ok(list), _) => Ok(Some(list.len())),
            (_, Ok(map)) => Ok(Some(map.len())),
            _ => Err(format!(
                "`{name}` needs text or a list, not {}",
                other.describe()
            )),
        },
    }
}

fn len(arguments: &[Dynamic]) -> Ran {
    Ok(length("len", first(arguments))?.map_or(Dynamic::UNIT, count))
}

fn is_empty(arguments: &[Dynamic]) -> Ran {
    Ok(length("is_empty", first(arguments))?.map_or(Dynamic::UNIT, |n| (n == 0).into()))
}

fn contains(arguments: &[Dynamic]) -> Ran {
    let [whole, part] = arguments else {
        return Ok(Dynamic::UNIT);
    };
    if matches!(Operand::of(part), Operand::Missing) {
        return Ok(Dynamic::UNIT);
    }
    if let Ok(list) = whole.as_array_ref() {
        let wanted = comparable(part)?;
        for item in list.iter() {
            if comparable(item)? == wanted {
                return Ok(Dynamic::TRUE);
            }
        }
        return Ok(Dynamic::FALSE);
    }
    if let Ok(map) = whole.as_map_ref() {
        let key = text("contains", Some(part))?;
        return Ok(key.map_or(Dynamic::UNIT, |key| map.contains_key(key.as_str()).into()));
    }
    two("contains", arguments, |text, part| {
        text.contains(part).into()
    })
}

/// A value for comparison: whole numbers equal floats.
fn comparable(value: &Dynamic) -> Result<tidegate_proto::Value, String> {
    let value = to_value(value)?;
    Ok(match &value {
        tidegate_proto::Value::Int(_) => value.as_number().into_iter().map(Into::into).next(),
        _ => None,
    }
    .unwrap_or(value))
}

fn index_of(text: &str, part: &str) -> Dynamic {
    match text.find(part).and_then(|at| text.get(..at)) {
        Some(before) => count(before.chars().count()),
        None => Dynamic::UNIT,
    }
}

/// A position or length from a number, cut to what a text can have.
fn size(name: &str, argument: &Dynamic) -> Result<Option<usize>, String> {
    let Some([x]) = numbers::<1>(name, std::slice::from_ref(argument))? else {
        return Ok(None);
    };
    if x < 0.0 || x.fract() != 0.0 {
        return Err(format!("`{name}` counts with whole numbers from 0"));
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked; beyond it the cast saturates"
    )]
    let size = x as usize;
    Ok(Some(size))
}

fn sub_string(arguments: &[Dynamic]) -> Ran {
    let name = "sub_string";
    let Some(text) = text(name, arguments.first())? else {
        return Ok(Dynamic::UNIT);
    };
    let mut sizes = [0, usize::MAX];
    for (slot, argument) in sizes.iter_mut().zip(arguments.iter().skip(1)) {
        match size(name, argument)? {
            Some(size) => *slot = size,
            None => return Ok(Dynamic::UNIT),
        }
    }
    let [start, length] = sizes;
    let part: String = text.chars().skip(start).take(length).collect();
    Ok(part.into())
}

fn replace(arguments: &[Dynamic]) -> Ran {
    let mut texts = Vec::with_capacity(3);
    for argument in arguments {
        match text("replace", Some(argument))? {
            Some(text) => texts.push(text),
            None => return Ok(Dynamic::UNIT),
        }
    }
    let [text, part, by] = texts.as_slice() else {
        return Ok(Dynamic::UNIT);
    };
    if part.is_empty() {
        return Ok(text.clone().into());
    }
    // The result is sized before it is made: many short parts by a long one would grow without bound.
    let found = text.matches(part.as_str()).count();
    if found.saturating_mul(by.len()) > crate::sandbox::STRING_BYTES {
        return Err(Failure::TooLarge);
    }
    Ok(text.replace(part.as_str(), by).into())
}

fn split(text: &str, separator: &str) -> Dynamic {
    let parts: Array = if separator.is_empty() {
        vec![text.to_owned().into()]
    } else {
        let parts = text.split(separator).take(crate::sandbox::LIST_ITEMS);
        parts.map(|part| Dynamic::from(part.to_owned())).collect()
    };
    parts.into()
}

fn join(arguments: &[Dynamic]) -> Ran {
    let separator = text("join", arguments.get(1))?;
    let list = first(arguments);
    let (Some(separator), false) = (separator, list.is_unit()) else {
        return Ok(Dynamic::UNIT);
    };
    let list = list
        .as_array_ref()
        .map_err(|kind| format!("`join` needs a list, not {kind}"))?;
    let mut joined = String::new();
    for (index, item) in list.iter().enumerate() {
        if index > 0 {
            joined.push_str(&separator);
        }
        joined.push_str(&print(item)?);
        fits(&joined)?;
    }
    Ok(joined.into())
}

fn concat(arguments: &[Dynamic]) -> Ran {
    let mut joined = String::new();
    for argument in arguments {
        joined.push_str(&print(argument)?);
        fits(&joined)?;
    }
    Ok(joined.into())
}

fn fits(text: &str) -> Result<(), Failure> {
    if text.len() > crate::sandbox::STRING_BYTES {
        return Err(Failure::TooLarge);
    }
    Ok(())
}

fn to_number(arguments: &[Dynamic]) -> Ran {
    if first(arguments).is_float() || first(arguments).is_int() {
        return Ok(first(arguments).clone());
    }
    one("to_number", arguments, |text| {
        text.trim().parse().map_or(Dynamic::UNIT, number)
    })
}

fn format_number(arguments: &[Dynamic]) -> Ran {
    let Some([x, digits]) = numbers::<2>("format", arguments)? else {
        return Ok(Dynamic::UNIT);
    };
    if !(0.0..=20.0).contains(&digits) || digits.fract() != 0.0 {
        return Err("`format` gives 0 to 20 digits".to_owned().into());
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked"
    )]
    let digits = digits as usize;
    Ok(format!("{x:.digits$}").into())
}
