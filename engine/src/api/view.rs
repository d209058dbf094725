//! Views as JSON of the REST door: names in lowerCamelCase, times RFC 3339 UTC, what is not there is `null`.

use std::collections::BTreeMap;

use crate::workers::{WorkerShard, WorkerStandby, WorkerView};
use serde_json::{Map, Value as Json, json};
use tidegate_actors::observe::{ResourceView, RuleView, ShardView, TaskView, TypeView};
use tidegate_actors::source::parse_source;
use tidegate_proto::time::Timestamp;
use tidegate_proto::value::Value;

use super::backend::SourceStatus;

/// A value of the language.
#[must_use]
pub(super) fn value(value: &Value) -> Json {
    match value {
        Value::Missing => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(whole) => Json::from(*whole),
        Value::Number(number) if number.is_infinite() => Json::from(if *number > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }),
        // -0.0 equals 0.0 everywhere, so it prints like it.
        Value::Number(number) => Json::from(if *number == 0.0 { 0.0 } else { *number }),
        Value::Text(text) => Json::from(text.as_ref()),
        Value::List(items) => items.iter().map(self::value).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(name, value)| (name.as_ref().to_owned(), self::value(value)))
            .collect::<Map<_, _>>()
            .into(),
    }
}

/// A moment, if there is one.
#[must_use]
pub(super) fn time(at: Option<Timestamp>) -> Json {
    // The ends of time are what nobody has been told of yet.
    match at {
        Some(at) if at != Timestamp::MIN && at != Timestamp::MAX => Json::from(at.to_string()),
        _ => Json::Null,
    }
}

fn texts<K: AsRef<str>, V: AsRef<str>>(map: &BTreeMap<K, V>) -> Json {
    map.iter()
        .map(|(name, text)| (name.as_ref().to_owned(), Json::from(text.as_ref())))
        .collect::<Map<_, _>>()
        .into()
}

/// A twin.
#[must_use]
pub(super) fn resource(view: &ResourceView) -> Json {
    let metrics: Map<String, Json> = view
        .metrics
        .iter()
        .map(|(name, metric)| {
            let metric = json!({ "time": time(Some(metric.time)), "value": value(&metric.value) });
            (name.as_ref().to_owned(), metric)
        })
        .collect();
    json!({
        "id": view.id.as_ref(),
        "revision": view.revision,
        "type": view.kind.as_deref(),
        "labels": texts(&view.labels),
        "meta": texts(&view.meta),
        "parent": view.parent.as_deref(),
        "online": view.online,
        "firstSeen": time(view.first_seen),
        "lastSeen": time(view.last_seen),
        "latest": time(view.latest),
        "events": view.events,
        "metrics": metrics,
        "shard": view.shard,
    })
}

/// A resource type.
#[must_use]
pub(super) fn resource_type(view: &TypeView) -> Json {
    json!({ "name": view.name, "revision": view.revision, "document": view.document })
}

/// A rule.
#[must_use]
pub(super) fn rule(view: &RuleView) -> Json {
    json!({
        "name": view.name,
        "revision": view.revision,
        "enabled": view.enabled,
        "quarantined": view.quarantined,
        "document": view.document,
        "plan": view.plan,
        "nodes": view.nodes,
        "excess": view.excess,
    })
}

/// A source.
#[must_use]
pub(super) fn source(status: &SourceStatus) -> Json {
    let view = &status.view;
    let format = parse_source(&view.document).map(|source| source.profile.format.word());
    json!({
        "name": view.name,
        "revision": view.revision,
        "topic": view.topic.as_ref(),
        "format": format.ok(),
        "read": if view.in_place { "in place" } else { "by a gateway" },
        "lag": status.lag,
        "trouble": status.trouble,
        "document": view.document,
    })
}

/// A task.
#[must_use]
pub(super) fn task(view: &TaskView) -> Json {
    let outcome = |outcome: &tidegate_actors::observe::TaskOutcome| json!({ "time": time(Some(outcome.time)), "kind": outcome.kind, "detail": outcome.detail });
    json!({
        "id": view.id,
        "rule": view.rule,
        "resource": view.resource,
        "status": view.status,
        "since": time(view.since),
        "health": view.health,
        "unknown": view.unknown,
        "late": view.late,
        "errors": view.errors,
        "throttled": view.throttled,
        "watermark": time(view.watermark),
        "outcomes": view.outcomes.iter().map(outcome).collect::<Vec<_>>(),
    })
}

/// A shard.
#[must_use]
pub(super) fn shard(view: &ShardView) -> Json {
    let counters = &view.counters;
    json!({
        "shard": view.shard,
        "epoch": view.epoch,
        "clock": time(Some(view.clock)),
        "positions": view.positions,
        "resources": view.resources,
        "active": view.active,
        "twinBytes": view.twin_bytes,
        "ruleBytes": view.rule_bytes,
        "tasks": view.tasks,
        "rules": view.rules,
        "quarantined": view.quarantined,
        "counters": {
            "events": counters.events,
            "dead": counters.dead,
            "future": counters.future,
            "late": counters.late,
            "results": counters.results,
            "actions": counters.actions,
            "repeats": counters.repeats,
            "failedTurns": counters.failed_turns,
        },
    })
}

/// A worker.
#[must_use]
pub(super) fn worker(view: &WorkerView) -> Json {
    let shard = |shard: &WorkerShard| {
        json!({
            "shard": shard.shard,
            "phase": shard.phase,
            "generation": shard.generation,
            "epoch": shard.epoch,
            "lag": shard.lag,
            "snapshot": time(shard.snapshot),
            "takeover": shard.takeover.map(|takeover| json!({
                "millis": takeover.millis,
                "epochs": takeover.epochs,
                "records": takeover.records,
                "warm": takeover.warm,
            })),
        })
    };
    let standby = |standby: &WorkerStandby| {
        json!({
            "shard": standby.shard,
            "epoch": standby.epoch,
            "behind": standby.behind,
        })
    };
    json!({
        "name": view.name,
        "address": view.address,
        "heard": time(Some(view.heard)),
        "shards": view.shards.iter().map(shard).collect::<Vec<_>>(),
        "standbys": view.standbys.iter().map(standby).collect::<Vec<_>>(),
    })
}
