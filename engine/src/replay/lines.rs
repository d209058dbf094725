//! One line of a replay: an event, a tick, or a change of the rules at this place.

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_actors::epoch::{Destination, Output};
use tidegate_proto::resource::ResourceTypeDefinition;
use tidegate_proto::time::{TimeError, Timestamp};

/// What a line is.
#[derive(Clone, Debug, PartialEq)]
pub enum Line<'a> {
    /// Nothing.
    Blank,
    /// `{"tick": TIME}`: the clock of every shard moves, and the epoch ends.
    Tick(Timestamp),
    /// `{"apply": "DOCUMENTS"}`: rules are submitted or revised here.
    Apply(String),
    /// `{"delete": "RULE"}`.
    Delete(String),
    /// `{"enable": "RULE"}` or `{"disable": "RULE"}`.
    Enable(String, bool),
    /// An event; what was asked for of it, if it says it.
    Event {
        /// Its resource.
        resource: Option<std::borrow::Cow<'a, str>>,
        /// Its time.
        time: Option<Timestamp>,
    },
}

/// Why a control line cannot be used. An event that cannot is dead-lettered by its shard instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// The tick has no time.
    #[error("a tick needs a time: {0}")]
    Tick(#[from] TimeError),
    /// The value of a control line is not a text.
    #[error("`{0}` needs a text")]
    Text(&'static str),
}

#[derive(Deserialize)]
struct Peek<'a> {
    #[serde(borrow, default)]
    resource: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    time: Option<Value>,
}

/// Reads a line as far as the replay needs it.
///
/// # Errors
/// When a control line is wrong.
pub fn read_line(
    text: &[u8],
    wants_resource: bool,
    wants_time: bool,
) -> Result<Line<'_>, LineError> {
    let text = text.trim_ascii();
    if text.is_empty() {
        return Ok(Line::Blank);
    }
    if let Some(line) = control(text)? {
        return Ok(line);
    }
    if !wants_resource && !wants_time {
        return Ok(Line::Event {
            resource: None,
            time: None,
        });
    }
    let peek: Option<Peek<'_>> = serde_json::from_slice(text).ok();
    let time = peek
        .as_ref()
        .and_then(|peek| peek.time.as_ref())
        .and_then(read_time);
    Ok(Line::Event {
        resource: peek.and_then(|peek| peek.resource),
        time,
    })
}

fn starts_like_control(text: &[u8]) -> bool {
    let head = text.get(..text.len().min(16)).unwrap_or_default();
    [
        &b"\"tick\""[..],
        b"\"apply\"",
        b"\"delete\"",
        b"\"enable\"",
        b"\"disable\"",
    ]
    .iter()
    .any(|word| head.windows(word.len()).any(|window| window == *word))
}

fn control(text: &[u8]) -> Result<Option<Line<'static>>, LineError> {
    if !starts_like_control(text) {
        return Ok(None);
    }
    let Ok(Value::Object(object)) = serde_json::from_slice::<Value>(text) else {
        return Ok(None);
    };
    let word = |name: &'static str, value: &Value| {
        value
            .as_str()
            .map(str::to_owned)
            .ok_or(LineError::Text(name))
    };
    let Some((name, value)) = object.iter().next().filter(|_| object.len() == 1) else {
        return Ok(None);
    };
    Ok(Some(match name.as_str() {
        "tick" => {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            Line::Tick(text.parse()?)
        }
        "apply" => Line::Apply(word("apply", value)?),
        "delete" => Line::Delete(word("delete", value)?),
        "enable" => Line::Enable(word("enable", value)?, true),
        "disable" => Line::Enable(word("disable", value)?, false),
        _ => return Ok(None),
    }))
}

fn read_time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::Number(number) => number.as_i64().map(Timestamp),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// What an output does elsewhere than in the results, without what depends on the cut: its id and its place in the log.
/// Late rows are `late` lines of the results already.
pub(super) fn effect(output: &Output) -> Option<String> {
    let value = output.record.value.as_deref().unwrap_or_default();
    let mut body: Value = serde_json::from_slice(value).unwrap_or(Value::Null);
    if let Some(object) = body.as_object_mut()
        && !matches!(output.destination, Destination::User(_))
    {
        object.shift_remove("id");
        object.shift_remove("source");
    }
    match &output.destination {
        Destination::User(topic) => Some(format!("topic {topic}: {body}")),
        Destination::Actions => Some(format!("action: {body}")),
        Destination::Signal(_) => Some(format!("set: {body}")),
        Destination::Late if body.get("reason") == Some(&Value::from("future")) => {
            Some(format!("future: {body}"))
        }
        _ => None,
    }
}

/// A resource type as a document again.
pub(super) fn type_document(kind: &ResourceTypeDefinition) -> Value {
    let mut document = json!({ "kind": "ResourceType", "name": kind.name, "labels": kind.labels, "meta": kind.meta });
    if let Some(object) = document.as_object_mut() {
        for (name, span) in [("disorder", kind.disorder), ("idle", kind.idle)] {
            if let Some(span) = span {
                object.insert(name.into(), Value::String(span.to_string()));
            }
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_apart() {
        assert_eq!(read_line(b"  ", true, true), Ok(Line::Blank));
        assert_eq!(
            read_line(br#"{"tick": 1000}"#, false, false),
            Ok(Line::Tick(Timestamp(1000)))
        );
        assert_eq!(
            read_line(br#"{"tick":"1970-01-01T00:00:01Z"}"#, false, false),
            Ok(Line::Tick(Timestamp(1000)))
        );
        assert!(read_line(br#"{"tick":"soon"}"#, false, false).is_err());
        // A metric that is called tick is an event.
        let event = br#"{"tick":1,"resource":"a","time":5}"#;
        assert_eq!(
            read_line(event, true, true),
            Ok(Line::Event {
                resource: Some("a".into()),
                time: Some(Timestamp(5))
            })
        );
        assert_eq!(
            read_line(br#"{"delete":"hot"}"#, false, false),
            Ok(Line::Delete("hot".into()))
        );
    }
}
