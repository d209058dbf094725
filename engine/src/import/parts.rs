//! Sensors, relations, triggers and actuators of a template.

use serde_json::{Map, Value, json};

use super::{Findings, Task, Words, items, legal, milliseconds, plugs, shown, text};

const SENSOR: [&str; 21] = [
    "label",
    "name",
    "properties",
    "resource",
    "sequence",
    "position",
    "dataTrigger",
    "tickTrigger",
    "evictionTime",
    "pollingPeriod",
    "schedule",
    "timeout",
    "timeoutState",
    "loopDef",
    "retryConfig",
    "pauseExecution",
    "pauseExecutionTimeout",
    "iconURL",
    "description",
    "priors",
    "notes",
];
const RELATION: [&str; 5] = ["label", "type", "parentLabels", "combinations", "position"];
const TRIGGER: [&str; 5] = [
    "sourceLabel",
    "destinationLabel",
    "statesTrigger",
    "stateChangeTrigger",
    "invocationPolicy",
];
const ACTUATOR: [&str; 9] = [
    "label",
    "name",
    "properties",
    "sequence",
    "position",
    "timeout",
    "description",
    "iconURL",
    "notes",
];

fn need<'v>(
    map: &'v Map<String, Value>,
    key: &str,
    path: &str,
    findings: &mut Findings,
) -> Option<&'v str> {
    let found = text(map, key);
    if found.is_none() {
        findings.problem(path, format!("`{key}` is missing"));
    }
    found
}

/// The resource that a sensor looks at, if it is not the task's.
fn of(map: &Map<String, Value>, task: &Task) -> Option<String> {
    match text(map, "resource") {
        None | Some("$") => None,
        Some("$taskId") => {
            let rule = task.name.as_deref().unwrap_or("imported");
            Some(format!("{rule}/${{resource}}"))
        }
        other if other == task.resource.as_deref() => None,
        Some(other) => Some(other.to_owned()),
    }
}

/// Puts the fields of a sensor beside those of its plug.
pub(super) fn options(
    map: &Map<String, Value>,
    (task, path): (&Task, &str),
    node: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    let delay = node.contains_key("delay");
    let call = node.contains_key("call");
    let mut set = |key: &str, value: Value| {
        // A delay has nothing but its time.
        if !delay {
            node.insert(key.to_owned(), value);
        }
    };
    if let Some(of) = of(map, task) {
        set("of", json!(of));
    }
    if map.get("pauseExecution").and_then(Value::as_bool) == Some(true) {
        findings.problem(&format!("{path}.pauseExecution"), "has no equal here");
    }
    for (from, to) in [("dataTrigger", "data"), ("tickTrigger", "tick")] {
        if let Some(flag) = map.get(from).and_then(Value::as_bool) {
            // What is so anyway is not said again.
            if !flag {
                set(to, json!(flag));
            }
        }
    }
    for (from, to) in [("evictionTime", "evict"), ("pollingPeriod", "every")] {
        match map.get(from) {
            None | Some(Value::Null) => {}
            Some(value) => match value.as_i64() {
                Some(ms) => set(to, json!(milliseconds(ms))),
                None => findings.problem(&format!("{path}.{from}"), "a number of ms is wanted"),
            },
        }
    }
    let sequence = map.get("sequence").and_then(Value::as_i64);
    if let Some(sequence) = sequence.filter(|sequence| *sequence != 1 && !task.parallel) {
        set("sequence", json!(sequence));
    }
    for (from, to, of_calls) in [
        ("schedule", "schedule", false),
        ("timeout", "timeout", true),
        ("timeoutState", "timeout_state", true),
        ("loopDef", "loop", false),
        ("retryConfig", "retry", true),
        ("priors", "priors", false),
    ] {
        match map.get(from) {
            Some(_) if of_calls && !call => {
                let warning = "a formula takes no time: it is left out";
                findings.warn(&format!("{path}.{from}"), warning);
            }
            Some(value) => set(to, value.clone()),
            None => {}
        }
    }
    let mut ui = shown(map);
    if let Some(description) = map.get("description") {
        ui.insert("description".to_owned(), description.clone());
    }
    if !ui.is_empty() {
        node.insert("ui".to_owned(), Value::Object(ui));
    }
}

/// `sensors`.
pub(super) fn sensors(
    template: &Map<String, Value>,
    (task, words): (&Task, &Words),
    nodes: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    for (path, item) in items(template, "sensors", findings) {
        let Some(map) = findings.object(item, &path, &SENSOR) else {
            continue;
        };
        let (Some(label), Some(plug)) = (
            need(map, "label", &path, findings),
            need(map, "name", &path, findings),
        ) else {
            continue;
        };
        let nothing = Map::new();
        let properties = map.get("properties").and_then(Value::as_object);
        let properties = properties.unwrap_or(&nothing);
        let mut node = plugs::node((label, &path), plug, properties, words, findings);
        options(map, (task, &path), &mut node, findings);
        nodes.insert(legal(label), Value::Object(node));
    }
}

/// `relations`.
pub(super) fn relations(
    template: &Map<String, Value>,
    words: &Words,
    nodes: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    for (path, item) in items(template, "relations", findings) {
        let Some(map) = findings.object(item, &path, &RELATION) else {
            continue;
        };
        let (Some(label), Some(kind)) = (
            need(map, "label", &path, findings),
            need(map, "type", &path, findings),
        ) else {
            continue;
        };
        let listed = match kind {
            "AND" | "GENERAL" => "true_when",
            "OR" | "NAND" => "false_when",
            other => {
                let problem = format!("`{other}` is not one of AND, OR, NAND, GENERAL");
                findings.problem(&format!("{path}.type"), problem);
                continue;
            }
        };
        let mut node = Map::new();
        node.insert("gate".to_owned(), json!(kind));
        let parents = map.get("parentLabels").and_then(Value::as_array);
        let parents = parents.into_iter().flatten().filter_map(Value::as_str);
        for (index, parent) in parents.clone().enumerate() {
            let path = format!("{path}.parentLabels[{index}]");
            known(parent, words, &path, findings);
        }
        node.insert("of".to_owned(), parents.map(legal).collect());
        if let Some(combinations) = map.get("combinations") {
            node.insert(listed.to_owned(), combinations.clone());
        }
        let ui = shown(map);
        if !ui.is_empty() {
            node.insert("ui".to_owned(), Value::Object(ui));
        }
        nodes.insert(legal(label), Value::Object(node));
    }
}

/// Tells a label that nothing has.
fn known(label: &str, words: &Words, path: &str, findings: &mut Findings) {
    if !words.knows(label) {
        findings.problem(path, format!("there is no `{label}`"));
    }
}

/// `triggers`.
pub(super) fn triggers(
    template: &Map<String, Value>,
    words: &Words,
    findings: &mut Findings,
) -> Vec<Value> {
    let mut out = Vec::new();
    for (path, item) in items(template, "triggers", findings) {
        let Some(map) = findings.object(item, &path, &TRIGGER) else {
            continue;
        };
        let (Some(from), Some(to)) = (
            need(map, "sourceLabel", &path, findings),
            need(map, "destinationLabel", &path, findings),
        ) else {
            continue;
        };
        known(from, words, &format!("{path}.sourceLabel"), findings);
        known(to, words, &format!("{path}.destinationLabel"), findings);
        let mut trigger = Map::new();
        trigger.insert("from".to_owned(), json!(legal(from)));
        let mut on = Map::new();
        let states = map.get("statesTrigger").and_then(Value::as_array);
        if let Some(states) = states.filter(|states| !states.is_empty()) {
            on.insert("state".to_owned(), json!(states));
        }
        if let Some(Value::Object(change)) = map.get("stateChangeTrigger") {
            let side = |key: &str| text(change, key).unwrap_or("*").to_owned();
            let changes = match (side("stateFrom"), side("stateTo")) {
                (from, to) if from == "*" && to == "*" => json!("*"),
                (from, to) => json!({ "from": from, "to": to }),
            };
            on.insert("changes".to_owned(), changes);
        }
        if !on.is_empty() {
            trigger.insert("on".to_owned(), Value::Object(on));
        }
        trigger.insert("do".to_owned(), json!(legal(to)));
        match map.get("invocationPolicy") {
            None | Some(Value::Null) => {}
            Some(policy) => match policy.as_i64() {
                Some(seconds) => {
                    trigger.insert("at_most_every".to_owned(), json!(format!("{seconds}s")));
                }
                None => {
                    let path = format!("{path}.invocationPolicy");
                    findings.problem(&path, "a number of seconds is wanted");
                }
            },
        }
        out.push(Value::Object(trigger));
    }
    out
}

/// `actuators`: calls of handlers with the names of the plugs.
pub(super) fn actuators(
    template: &Map<String, Value>,
    words: &Words,
    findings: &mut Findings,
) -> Map<String, Value> {
    let mut out = Map::new();
    for (path, item) in items(template, "actuators", findings) {
        let Some(map) = findings.object(item, &path, &ACTUATOR) else {
            continue;
        };
        let (Some(label), Some(plug)) = (
            need(map, "label", &path, findings),
            need(map, "name", &path, findings),
        ) else {
            continue;
        };
        let mut with = Map::new();
        let properties = map.get("properties").and_then(Value::as_object);
        for (key, value) in properties.into_iter().flatten() {
            let source = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            match words.text(&source) {
                Ok(text) => {
                    with.insert(key.clone(), json!(text));
                }
                Err(problem) => findings.problem(&format!("{path}.properties.{key}"), problem),
            }
        }
        let mut handler = Map::new();
        handler.insert("use".to_owned(), json!(plug));
        if !with.is_empty() {
            handler.insert("with".to_owned(), Value::Object(with));
        }
        out.insert(legal(label), json!({ "handler": handler }));
    }
    out
}
