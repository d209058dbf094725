//! What the plugs of a sensor become: formulas, delays, calls.

use serde_json::{Map, Value, json};

use super::formula::metric;
use super::{Findings, Words, milliseconds, text};

/// A number or text of the properties, under one of some names.
fn property<'v>(properties: &'v Map<String, Value>, names: &[&str]) -> Option<&'v Value> {
    names.iter().find_map(|name| properties.get(*name))
}

/// A property as a formula.
fn operand(
    properties: &Map<String, Value>,
    names: &[&str],
    (words, own): (&Words, &str),
) -> Result<String, String> {
    match property(properties, names) {
        Some(Value::String(text)) => match text.parse::<f64>() {
            Ok(_) => Ok(text.clone()),
            Err(_) => words.formula(text, own),
        },
        Some(value @ Value::Number(_)) => Ok(value.to_string()),
        _ => Err(format!(
            "the property `{}` is missing",
            names.join("` or `")
        )),
    }
}

const LOW: [&str; 5] = ["min", "lower", "lowerLimit", "lowerBound", "from"];
const HIGH: [&str; 5] = ["max", "upper", "upperLimit", "upperBound", "to"];

/// A sensor's plug as fields of a node.
pub(super) fn node(
    (label, path): (&str, &str),
    plug: &str,
    properties: &Map<String, Value>,
    words: &Words,
    findings: &mut Findings,
) -> Map<String, Value> {
    let mut node = Map::new();
    let filled = fill(label, plug, properties, words, &mut node);
    match filled {
        Ok(true) => {}
        Ok(false) => {
            findings.warn(
                path,
                format!("`{plug}` has no equal here: it becomes a call of a handler of that name"),
            );
            node.insert(
                "call".to_owned(),
                json!({ "use": plug, "with": properties }),
            );
        }
        Err(problem) => findings.problem(path, format!("`{plug}`: {problem}")),
    }
    node
}

/// Answers whether the plug is known.
fn fill(
    label: &str,
    plug: &str,
    properties: &Map<String, Value>,
    words: &Words,
    node: &mut Map<String, Value>,
) -> Result<bool, String> {
    let at = (words, label);
    let mut set = |key: &str, value: Value| node.insert(key.to_owned(), value);
    let parameter = || {
        let name = text(properties, "parameter").ok_or("the property `parameter` is missing")?;
        Ok::<String, String>(metric(name))
    };
    let sides = || json!({ "True": "value == true", "False": "value == false" });
    match plug {
        "stream" => {
            set("formula", json!("time"));
        }
        "streamingDataSensor" => {
            set("formula", json!(parameter()?));
            set("threshold", json!(operand(properties, &["threshold"], at)?));
        }
        "streamingRangeSensor" | "generalSensor" => {
            set("formula", json!(parameter()?));
            set("states", range(properties, at)?);
        }
        "inRange" => {
            set(
                "formula",
                json!(operand(properties, &["value", "parameter"], at)?),
            );
            set("states", range(properties, at)?);
        }
        "Function" => {
            set("formula", json!(operand(properties, &["formula"], at)?));
            if properties.contains_key("threshold") {
                set("threshold", json!(operand(properties, &["threshold"], at)?));
            }
        }
        "condition" => {
            let source =
                text(properties, "condition").ok_or("the property `condition` is missing")?;
            let source = source.replace("===", "==").replace("!==", "!=");
            set("formula", json!(words.formula(&source, label)?));
            set("states", sides());
        }
        "isParameterAvailable" => {
            set("formula", json!(format!("has({})", parameter()?)));
            set("states", sides());
        }
        "Delay" | "delay" => {
            set("delay", json!(lasts(properties)?));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// The states of a range.
fn range(properties: &Map<String, Value>, at: (&Words, &str)) -> Result<Value, String> {
    let (low, high) = (
        operand(properties, &LOW, at)?,
        operand(properties, &HIGH, at)?,
    );
    Ok(json!({
        "Above": format!("value > {high}"),
        "In Range": format!("value >= {low} && value <= {high}"),
        "Below": format!("value < {low}"),
    }))
}

/// How long a delay lasts: seconds, or a duration.
fn lasts(properties: &Map<String, Value>) -> Result<String, String> {
    match property(properties, &["duration", "delay", "seconds"]) {
        Some(Value::Number(seconds)) => {
            let seconds = seconds.as_f64().unwrap_or_default();
            #[allow(
                clippy::cast_possible_truncation,
                reason = "no delay is longer than a number can say"
            )]
            let ms = (seconds * 1000.0) as i64;
            Ok(milliseconds(ms))
        }
        Some(Value::String(text)) => Ok(match text.parse::<u32>() {
            Ok(seconds) => format!("{seconds}s"),
            Err(_) => text.clone(),
        }),
        _ => Err("the property `duration` is missing".to_owned()),
    }
}
