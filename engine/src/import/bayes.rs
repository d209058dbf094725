//! The Bayesian form of a template: nodes with priors, and tables.

use serde_json::{Map, Value, json};

use super::{Findings, Task, Words, items, legal, parts, plugs, text};

const NODE: [&str; 8] = [
    "name",
    "states",
    "type",
    "mode",
    "priors",
    "properties",
    "position",
    "description",
];
const PROPERTIES: [&str; 6] = [
    "sensor",
    "resource",
    "evictionTime",
    "pollingPeriod",
    "actions",
    "tickTrigger",
];
const SENSOR: [&str; 3] = ["name", "label", "properties"];
const POSTERIOR: [&str; 2] = ["nodes", "function"];

/// `nodes` and `posterior`.
pub(super) fn nodes(
    template: &Map<String, Value>,
    (task, words): (&Task, &Words),
    out: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    for (path, item) in items(template, "nodes", findings) {
        let Some(map) = findings.object(item, &path, &NODE) else {
            continue;
        };
        let Some(name) = text(map, "name") else {
            findings.problem(&path, "`name` is missing");
            continue;
        };
        let mut node = Map::new();
        let states = map.get("states").and_then(Value::as_array);
        if let Some(Value::Object(properties)) = map.get("properties") {
            let path = format!("{path}.properties");
            findings.object(&Value::Object(properties.clone()), &path, &PROPERTIES);
            if properties
                .get("actions")
                .is_some_and(|actions| *actions != json!([]))
            {
                findings.problem(&format!("{path}.actions"), "write them as triggers");
            }
            sensor((name, &path), properties, words, &mut node, findings);
            parts::options(properties, (task, &path), &mut node, findings);
        }
        if let Some(states) = states.filter(|_| !node.contains_key("threshold")) {
            let named = node.get("states").is_some();
            if !named {
                node.insert("states".to_owned(), json!(states));
            }
        }
        if let (Some(states), Some(Value::Array(priors))) = (states, map.get("priors")) {
            let names = states.iter().filter_map(Value::as_str).map(str::to_owned);
            if node.contains_key("formula") {
                let priors: Map<String, Value> = names.zip(priors.iter().cloned()).collect();
                node.insert("priors".to_owned(), Value::Object(priors));
            } else {
                // Nobody observes it: a table without parents.
                node.insert("table".to_owned(), json!(priors));
            }
        }
        out.insert(legal(name), Value::Object(node));
    }
    posterior(template, out, findings);
}

/// The sensor of a node.
fn sensor(
    (name, path): (&str, &str),
    properties: &Map<String, Value>,
    words: &Words,
    node: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    let Some(value) = properties.get("sensor") else {
        return;
    };
    let path = format!("{path}.sensor");
    let Some(sensor) = findings.object(value, &path, &SENSOR) else {
        return;
    };
    let Some(plug) = text(sensor, "name") else {
        findings.problem(&path, "`name` is missing");
        return;
    };
    let nothing = Map::new();
    let own = sensor.get("properties").and_then(Value::as_object);
    *node = plugs::node(
        (name, &path),
        plug,
        own.unwrap_or(&nothing),
        words,
        findings,
    );
}

/// Tables: the first node is the one that they are of.
fn posterior(template: &Map<String, Value>, out: &mut Map<String, Value>, findings: &mut Findings) {
    for (path, item) in items(template, "posterior", findings) {
        let Some(map) = findings.object(item, &path, &POSTERIOR) else {
            continue;
        };
        let names = map.get("nodes").and_then(Value::as_array);
        let names = names.into_iter().flatten().filter_map(Value::as_str);
        let names: Vec<String> = names.map(legal).collect();
        let (Some((own, parents)), Some(function)) = (names.split_first(), map.get("function"))
        else {
            findings.problem(&path, "`nodes` or `function` is missing");
            continue;
        };
        let Some(Value::Object(node)) = out.get_mut(own) else {
            findings.problem(&path, format!("there is no node `{own}`"));
            continue;
        };
        node.remove("priors");
        node.insert("table".to_owned(), function.clone());
        node.insert("of".to_owned(), json!(parents));
    }
}
