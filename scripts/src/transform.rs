//! [`Transform`]: a script that makes events of a record of any form. The language, the sandbox and its budgets are those
//! of formulas; the value is an event, or a list of them, as a map: `#{ resource: key, values: #{ t: number } }`.
//!
//! What it sees of the record: `value` (text, `()` when it is not UTF-8 or longer than texts may be), `bytes` (a list of whole
//! numbers, `()` when there are more than lists may have), `key`, `timestamp` (epoch milliseconds), `headers.NAME`.

use std::sync::Arc;

use rhai::{Dynamic, Map, Position};
use tidegate_proto::issue::{Issue, Issues, Mark};
use tidegate_proto::json::write_text;
use tidegate_proto::{FormulaText, Value};

use crate::error::ScriptError;
use crate::formula::Formula;
use crate::names::FormulaContext;
use crate::sandbox::{LIST_ITEMS, STRING_BYTES};
use crate::stream::Slot;
use crate::value::to_value;

/// Deepest nesting of what a script gives.
const DEPTH: usize = 16;

/// A compiled script. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Transform {
    formula: Formula,
    inputs: Arc<[Input]>,
}

/// What a script asks of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Input {
    Value,
    Bytes,
    Key,
    Timestamp,
    Header(Arc<str>),
}

impl Transform {
    /// Compiles a script.
    ///
    /// # Errors
    /// Every problem found.
    pub fn compile(source: &str) -> Result<Self, Issues> {
        let text = FormulaText {
            source: Arc::from(source),
            path: Arc::from("transform"),
            mark: Mark::default(),
        };
        let formula = Formula::compile(&text, FormulaContext::RowFilter)?;
        let mut issues = Issues::new();
        let inputs = formula.slots().iter().filter_map(|slot| {
            let input = input(slot);
            if input.is_none() {
                let problem = format!("`{slot}` is not known of a record");
                let hint = "known are `value`, `bytes`, `key`, `timestamp` and `headers.NAME`";
                issues.push(Issue::new("transform", Mark::default(), problem).hint(hint));
            }
            input
        });
        let inputs = inputs.collect();
        if issues.is_empty() {
            Ok(Self { formula, inputs })
        } else {
            Err(issues)
        }
    }

    /// What the script makes of a record, as JSON text.
    ///
    /// # Errors
    /// When the script fails, runs out of a budget, or gives what is no JSON.
    pub fn run(
        &self,
        value: &[u8],
        key: Option<&[u8]>,
        headers: &[(&str, &[u8])],
        timestamp: i64,
    ) -> Result<String, ScriptError> {
        let given = self.inputs.iter().map(|input| match input {
            Input::Value => text(value),
            Input::Bytes if value.len() > LIST_ITEMS => Value::Missing,
            Input::Bytes => {
                let bytes = value.iter().map(|byte| Value::Int(i64::from(*byte)));
                Value::List(bytes.collect())
            }
            Input::Key => key.map_or(Value::Missing, text),
            Input::Timestamp => Value::Int(timestamp),
            Input::Header(name) => {
                let found = headers.iter().rev();
                let mut found = found.filter(|(known, _)| *known == name.as_ref());
                found
                    .next()
                    .map_or(Value::Missing, |(_, value)| text(value))
            }
        });
        let made = self.formula.evaluate_dynamic(given)?;
        let mut out = String::new();
        write(&made, 0, &mut out)
            .map_err(|message| ScriptError::author(message, Position::NONE))?;
        Ok(out)
    }
}

fn input(slot: &Slot) -> Option<Input> {
    let Slot::Metric(name) = slot else {
        return None;
    };
    match name.as_ref() {
        "value" => Some(Input::Value),
        "bytes" => Some(Input::Bytes),
        "key" => Some(Input::Key),
        "timestamp" => Some(Input::Timestamp),
        name => name
            .strip_prefix("headers.")
            .map(|name| Input::Header(Arc::from(name))),
    }
}

fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= STRING_BYTES => Value::text(text),
        _ => Value::Missing,
    }
}

fn write(value: &Dynamic, depth: usize, out: &mut String) -> Result<(), String> {
    if depth > DEPTH {
        return Err(format!("an event nested deeper than {DEPTH}"));
    }
    if let Ok(map) = value.as_map_ref() {
        let map: &Map = &map;
        out.push('{');
        for (place, (name, value)) in map.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            write_text(name, out);
            out.push(':');
            write(value, depth + 1, out)?;
        }
        out.push('}');
        return Ok(());
    }
    if let Ok(items) = value.as_array_ref() {
        out.push('[');
        for (place, item) in items.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            write(item, depth + 1, out)?;
        }
        out.push(']');
        return Ok(());
    }
    to_value(value)?.write_json(out);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str, value: &[u8]) -> Result<String, String> {
        let transform = Transform::compile(script).map_err(|issues| issues[0].to_string())?;
        let headers: [(&str, &[u8]); 2] = [("unit", b"C"), ("unit", b"K")];
        let made = transform.run(value, Some(b"d1"), &headers, 7);
        made.map_err(|error| error.to_string())
    }

    #[test]
    fn a_script_makes_events() {
        assert_eq!(
            run(
                "let parts = value.split(\";\"); #{ resource: parts[0], values: #{ t: to_number(parts[1]) } }",
                b"a;21.5"
            ),
            Ok(r#"{"resource":"a","values":{"t":21.5}}"#.to_owned())
        );
        assert_eq!(
            run(
                "[#{ resource: key, time: timestamp, values: #{ x: bytes[1] * 256 + bytes[0], unit: headers.unit, none: headers.none } }]",
                &[1, 2]
            ),
            Ok(
                r#"[{"resource":"d1","time":7,"values":{"none":null,"unit":"K","x":513}}]"#
                    .to_owned()
            )
        );
        assert_eq!(
            run("#{ v: value }", &[0xff]),
            Ok(r#"{"v":null}"#.to_owned())
        );
    }

    #[test]
    fn what_it_may_not_is_told() {
        let known = "known are `value`, `bytes`, `key`, `timestamp` and `headers.NAME`";
        for (script, told) in [
            ("temperature", known),
            ("resource", known),
            ("avg(value, \"5m\")", "avg"),
            ("while true { }", "operations"),
            ("#{ a: #{ a: ", ""),
        ] {
            let error = run(script, b"x").unwrap_err();
            assert!(error.contains(told), "{script}: {error}");
        }
    }
}
