//! Views and result lines as messages.

use serde_json::Value as Json;
use tidegate_actors::observe::{ResourceView, RuleNode, RuleView, TaskView, TypeView};
use tidegate_proto::record::{ID_HEADER, Record};
use tidegate_proto::time::Timestamp;
use tidegate_proto::wire::{self, resource::v1 as resource, rule::v1 as rule, task::v1 as task};

/// A moment, if there is one.
fn time(at: Option<Timestamp>) -> Option<wire::Moment> {
    at.filter(|at| *at != Timestamp::MIN && *at != Timestamp::MAX)
        .map(wire::timestamp)
}

fn text(text: Option<&str>) -> String {
    text.unwrap_or_default().to_owned()
}

/// A twin.
pub(super) fn of_resource(view: &ResourceView) -> resource::Resource {
    let pairs = |map: &std::collections::BTreeMap<std::sync::Arc<str>, std::sync::Arc<str>>| {
        map.iter()
            .map(|(name, text)| (name.as_ref().to_owned(), text.as_ref().to_owned()))
            .collect()
    };
    resource::Resource {
        id: view.id.as_ref().to_owned(),
        revision: view.revision,
        r#type: text(view.kind.as_deref()),
        labels: pairs(&view.labels),
        meta: pairs(&view.meta),
        parent: text(view.parent.as_deref()),
        online: view.online,
        first_seen: time(view.first_seen),
        last_seen: time(view.last_seen),
        latest: time(view.latest),
        events: view.events,
        metrics: view
            .metrics
            .iter()
            .map(|(name, metric)| {
                let value = resource::Metric {
                    time: time(Some(metric.time)),
                    value: Some((&metric.value).into()),
                };
                (name.as_ref().to_owned(), value)
            })
            .collect(),
        shard: view.shard,
    }
}

/// A resource type.
pub(super) fn of_type(view: TypeView) -> resource::Type {
    resource::Type {
        name: view.name,
        revision: view.revision,
        document: view.document,
    }
}

/// A rule.
pub(super) fn of_rule(view: RuleView) -> rule::Rule {
    rule::Rule {
        name: view.name,
        revision: view.revision,
        enabled: view.enabled,
        quarantined: view.quarantined.unwrap_or_default(),
        definition: wire::rule_message(&view.document),
        document: view.document,
        plan: view.plan,
        nodes: view.nodes.into_iter().map(node).collect(),
        excess: view.excess,
    }
}

fn node(node: RuleNode) -> rule::RuleNode {
    rule::RuleNode {
        name: node.name,
        rows: node.rows,
        bytes: node.bytes,
        shared_with: node.shared_with,
    }
}

/// A task.
pub(super) fn of_task(view: TaskView) -> task::Task {
    task::Task {
        id: view.id,
        rule: view.rule,
        resource: view.resource,
        status: view.status,
        since: time(view.since),
        health: view.health,
        unknown: view.unknown,
        late: view.late,
        errors: view.errors,
        throttled: view.throttled,
        watermark: time(view.watermark),
        outcomes: view
            .outcomes
            .into_iter()
            .map(|one| task::Outcome {
                time: time(Some(one.time)),
                kind: one.kind,
                detail: one.detail,
            })
            .collect(),
    }
}

/// A result line as a message; a field that is not there stays empty, the line itself is always in it.
pub(super) fn of_result(record: &Record) -> rule::Result {
    let line = record.value.clone().unwrap_or_default();
    let json: Json = serde_json::from_slice(&line).unwrap_or_default();
    let field = |name: &str| {
        json.get(name)
            .and_then(Json::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let moment = |value: Option<&Json>| {
        value
            .and_then(Json::as_str)
            .and_then(|text| text.parse().ok())
            .map(wire::timestamp)
    };
    let window = json.get("window").filter(|window| window.is_object());
    let id = record
        .header(ID_HEADER)
        .map(|id| String::from_utf8_lossy(id).into_owned());
    rule::Result {
        id: id.unwrap_or_default(),
        rule: field("rule"),
        task: field("task"),
        resource: field("resource"),
        time: moment(json.get("time")),
        kind: field("kind"),
        values: json
            .get("values")
            .and_then(Json::as_object)
            .map_or_else(Vec::new, |values| {
                let named = values.iter();
                named
                    .map(|(name, value)| wire::value::v1::NamedValue {
                        name: name.clone(),
                        value: Some(of_json(value)),
                    })
                    .collect()
            }),
        window: window.map(|window| rule::Window {
            start: moment(window.get("start")),
            end: moment(window.get("end")),
        }),
        revision: json
            .get("revision")
            .and_then(Json::as_u64)
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(0),
        cause: json
            .get("cause")
            .and_then(Json::as_array)
            .map_or_else(Vec::new, |causes| {
                causes
                    .iter()
                    .filter_map(Json::as_str)
                    .map(str::to_owned)
                    .collect()
            }),
        json: String::from_utf8_lossy(&line).into_owned(),
    }
}

/// A value of a line: whole numbers there are counts, because telemetry keeps its `.0`.
fn of_json(json: &Json) -> wire::value::v1::Value {
    use wire::value::v1::value::Kind;
    let kind = match json {
        Json::Null | Json::Object(_) => None,
        Json::Bool(flag) => Some(Kind::Flag(*flag)),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Some(Kind::Whole(whole)),
            None => number.as_f64().map(Kind::Number),
        },
        Json::String(text) => Some(Kind::Text(text.clone())),
        Json::Array(items) => {
            let values = items.iter().map(of_json).collect();
            Some(Kind::List(wire::value::v1::ValueList { values }))
        }
    };
    wire::value::v1::Value { kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_line_becomes_a_message() {
        let line = r#"{"rule":"means","task":"means/b1","resource":"b1","time":"2026-01-01T00:05:00.000Z","kind":"window","values":{"mean":21.0,"n":3,"r":null},"window":{"start":"2026-01-01T00:00:00.000Z","end":"2026-01-01T00:05:00.000Z"},"revision":2,"cause":["line:4"]}"#;
        let record = Record::new("b1", line).with_header(ID_HEADER, "1-2-3");
        let result = of_result(&record);
        assert_eq!(
            (
                result.rule.as_str(),
                result.kind.as_str(),
                result.id.as_str()
            ),
            ("means", "window", "1-2-3")
        );
        assert_eq!(result.time.unwrap().seconds, 1_767_225_900);
        assert_eq!(result.window.unwrap().start.unwrap().seconds, 1_767_225_600);
        use wire::value::v1::value::Kind;
        let kinds: Vec<_> = result
            .values
            .iter()
            .map(|v| (v.name.as_str(), v.value.clone().unwrap().kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("mean", Some(Kind::Number(21.0))),
                ("n", Some(Kind::Whole(3))),
                ("r", None)
            ]
        );
        assert_eq!((result.revision, result.cause.len()), (2, 1));
        assert_eq!(result.json, line);
    }
}
