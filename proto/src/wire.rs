//! The wire: messages and gRPC stubs generated from `proto/`, and the conversion of the language's own words in one
//! place. Behind the feature `grpc`, so that the core never compiles a network stack.

use std::sync::Arc;

use crate::issue::{Issue, Mark};
use crate::resource::{ResourceDefinition, Traits};
use crate::time::{Span, Timestamp};
use crate::value::Value;

/// Descriptors of all services and messages, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tidegate.bin"));

macro_rules! generated {
    ($($area:ident $package:literal $what:literal;)*) => {$(
        #[doc = $what]
        pub mod $area {
            #[doc = $what]
            #[allow(
                missing_docs, clippy::all, clippy::pedantic, unused_qualifications,
                clippy::allow_attributes_without_reason, rustdoc::all,
                reason = "generated from the .proto files"
            )]
            pub mod v1 {
                include!(concat!(env!("OUT_DIR"), "/", $package, ".rs"));
            }
        }
    )*};
}

generated! {
    ingest "tidegate.ingest.v1" "Events into the log.";
    resource "tidegate.resource.v1" "Resources and their twins.";
    rule "tidegate.rule.v1" "Rules and what they say.";
    task "tidegate.task.v1" "Tasks.";
    value "tidegate.value.v1" "What every area shares.";
    worker "tidegate.worker.v1" "Workers.";
}

pub use crate::document::message::{from_message as rule_document, to_message as rule_message};

/// A moment as messages have it.
pub type Moment = prost_types::Timestamp;

/// A moment on the wire.
#[must_use]
pub fn timestamp(at: Timestamp) -> Moment {
    let nanos = i32::try_from(at.0.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp {
        seconds: at.0.div_euclid(1000),
        nanos,
    }
}

/// A moment from the wire, cut to its millisecond.
#[must_use]
pub fn from_timestamp(at: &Moment) -> Timestamp {
    Timestamp(
        at.seconds
            .saturating_mul(1000)
            .saturating_add(i64::from(at.nanos.div_euclid(1_000_000))),
    )
}

impl From<&Value> for value::v1::Value {
    fn from(value: &Value) -> Self {
        use value::v1::value::Kind;
        let kind = match value {
            Value::Missing => None,
            Value::Bool(flag) => Some(Kind::Flag(*flag)),
            Value::Int(whole) => Some(Kind::Whole(*whole)),
            Value::Number(number) => Some(Kind::Number(*number)),
            Value::Text(text) => Some(Kind::Text(text.as_ref().to_owned())),
            // Twins hold none; results travel as JSON.
            Value::Map(_) => Some(Kind::Text(value.to_string())),
            Value::List(items) => {
                let values = items.iter().map(Self::from).collect();
                Some(Kind::List(value::v1::ValueList { values }))
            }
        };
        Self { kind }
    }
}

impl From<&value::v1::Value> for Value {
    fn from(wire: &value::v1::Value) -> Self {
        use value::v1::value::Kind;
        match &wire.kind {
            None => Self::Missing,
            Some(Kind::Flag(flag)) => Self::Bool(*flag),
            Some(Kind::Whole(whole)) => Self::Int(*whole),
            Some(Kind::Number(number)) => Self::number(*number),
            Some(Kind::Text(text)) => Self::text(text),
            Some(Kind::List(list)) => Self::List(list.values.iter().map(Self::from).collect()),
        }
    }
}

impl From<&Issue> for value::v1::Issue {
    fn from(issue: &Issue) -> Self {
        Self {
            path: issue.path.clone(),
            line: issue.mark.line,
            column: issue.mark.column,
            problem: issue.problem.clone(),
            hint: issue.hint.clone(),
        }
    }
}

impl From<&value::v1::Issue> for Issue {
    fn from(wire: &value::v1::Issue) -> Self {
        let mark = Mark {
            line: wire.line,
            column: wire.column,
        };
        Self::new(wire.path.clone(), mark, wire.problem.clone()).hint(wire.hint.clone())
    }
}

/// A definition from the wire. What it says is not checked here.
#[must_use]
pub fn definition(id: &str, wire: &resource::v1::Definition) -> ResourceDefinition {
    let text = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    let pairs = |map: &std::collections::BTreeMap<String, String>| {
        map.iter()
            .map(|(name, value)| (Arc::from(name.as_str()), Arc::from(value.as_str())))
            .collect()
    };
    ResourceDefinition {
        id: Arc::from(id),
        traits: Traits {
            kind: text(&wire.r#type),
            labels: pairs(&wire.labels),
            meta: pairs(&wire.meta),
            parent: text(&wire.parent),
        },
        disorder: wire.disorder_ms.map(Span),
        idle: wire.idle_ms.map(Span),
    }
}

/// One event of the wire as the JSON line that the log takes.
#[must_use]
pub fn event_json(event: &ingest::v1::Event) -> String {
    let mut out = String::with_capacity(64 + 32 * event.values.len());
    out.push_str("{\"resource\":");
    crate::json::write_text(&event.resource, &mut out);
    if let Some(time) = &event.time {
        out.push_str(",\"time\":");
        out.push_str(&from_timestamp(time).0.to_string());
    }
    for (name, text) in [("id", &event.id), ("type", &event.r#type)] {
        if !text.is_empty() {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            crate::json::write_text(text, &mut out);
        }
    }
    for (name, map) in [("labels", &event.labels), ("meta", &event.meta)] {
        if !map.is_empty() {
            out.push_str(",\"");
            out.push_str(name);
            out.push_str("\":");
            object(map.iter(), &mut out, |text, out| {
                crate::json::write_text(text, out);
            });
        }
    }
    out.push_str(",\"values\":");
    object(event.values.iter(), &mut out, |value, out| {
        Value::from(value).write_json(out);
    });
    out.push('}');
    out
}

fn object<'a, T: 'a>(
    entries: impl Iterator<Item = (&'a String, &'a T)>,
    out: &mut String,
    write: impl Fn(&T, &mut String),
) {
    out.push('{');
    for (index, (name, value)) in entries.enumerate() {
        if index > 0 {
            out.push(',');
        }
        crate::json::write_text(name, out);
        out.push(':');
        write(value, out);
    }
    out.push('}');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Missing),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::number),
            ".{0,12}".prop_map(|text| Value::text(&text)),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop::collection::vec(inner, 0..4).prop_map(Value::List)
        })
    }

    proptest! {
        #[test]
        fn values_survive_the_wire(value in any_value()) {
            let wire = value::v1::Value::from(&value);
            prop_assert_eq!(Value::from(&wire), value);
        }

        #[test]
        fn moments_survive_the_wire(millis in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
            let wire = timestamp(Timestamp(millis));
            prop_assert!((0..1_000_000_000).contains(&wire.nanos));
            prop_assert_eq!(from_timestamp(&wire), Timestamp(millis));
        }

        #[test]
        fn issues_survive_the_wire(path in ".*", problem in ".*", hint in ".*", line in any::<u32>(), column in any::<u32>()) {
            let issue = Issue::new(path, Mark { line, column }, problem).hint(hint);
            prop_assert_eq!(Issue::from(&value::v1::Issue::from(&issue)), issue);
        }
    }

    #[test]
    fn an_event_becomes_the_line_of_the_log() {
        let event = ingest::v1::Event {
            resource: "r\"1".into(),
            time: Some(timestamp(Timestamp(1_767_225_600_000))),
            values: [
                (
                    "temperature".to_owned(),
                    value::v1::Value::from(&Value::Number(21.5)),
                ),
                (
                    "door".to_owned(),
                    value::v1::Value::from(&Value::text("open")),
                ),
            ]
            .into(),
            r#type: "boiler".into(),
            labels: [("site".to_owned(), "north".to_owned())].into(),
            ..Default::default()
        };
        assert_eq!(
            event_json(&event),
            r#"{"resource":"r\"1","time":1767225600000,"type":"boiler","labels":{"site":"north"},"values":{"door":"open","temperature":21.5}}"#
        );
    }

    #[test]
    fn a_definition_reads_from_the_wire() {
        let wire = resource::v1::Definition {
            r#type: "boiler".into(),
            meta: [("line".to_owned(), "l1".to_owned())].into(),
            disorder_ms: Some(2000),
            ..Default::default()
        };
        let definition = definition("b1", &wire);
        assert_eq!(definition.id.as_ref(), "b1");
        assert_eq!(definition.traits.kind.as_deref(), Some("boiler"));
        assert_eq!(definition.traits.path("meta.line").as_deref(), Some("l1"));
        assert_eq!(
            (definition.traits.parent, definition.disorder),
            (None, Some(Span::seconds(2)))
        );
    }
}
