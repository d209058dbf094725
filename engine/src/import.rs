//! Rules of other platforms as documents of ours: a template of Waylay becomes a rule with a graph. Pure: text in, value
//! out, with everything that is wrong and everything that was left out.

mod bayes;
mod formula;
mod parts;
mod plugs;
mod schedule;

use serde_json::{Map, Value, json};
use tidegate_proto::issue::nearest;

pub(crate) use formula::Words;

/// A rule that was imported.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// The document.
    pub rule: Value,
    /// What has no equal here and was left out or has to be looked at.
    pub warnings: Vec<String>,
}

/// What is gathered on the way.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    problems: Vec<String>,
    warnings: Vec<String>,
}

impl Findings {
    pub(crate) fn problem(&mut self, path: &str, problem: impl AsRef<str>) {
        self.problems.push(format!("{path}: {}", problem.as_ref()));
    }

    pub(crate) fn warn(&mut self, path: &str, warning: impl AsRef<str>) {
        self.warnings.push(format!("{path}: {}", warning.as_ref()));
    }

    /// The entries of an object; keys that are not known are problems, keys without an equal here are warned of.
    pub(crate) fn object<'v>(
        &mut self,
        value: &'v Value,
        path: &str,
        known: &[&str],
    ) -> Option<&'v Map<String, Value>> {
        let Value::Object(map) = value else {
            self.problem(path, "an object is wanted");
            return None;
        };
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            let path = if path.is_empty() {
                key.clone()
            } else {
                format!("{path}.{key}")
            };
            if DROPPED.contains(&key.as_str()) {
                self.warn(&path, "has no equal here and is left out");
                continue;
            }
            let meant = nearest(key, known.iter().copied());
            let meant = meant.map(|meant| format!("; did you mean {meant}?"));
            self.problem(&path, format!("unknown key{}", meant.unwrap_or_default()));
        }
        Some(map)
    }
}

/// Keys that say nothing about what a rule does.
const DROPPED: [&str; 3] = ["version", "cost", "protected"];

const TEMPLATE: [&str; 14] = [
    "name",
    "description",
    "sensors",
    "relations",
    "actuators",
    "triggers",
    "task",
    "taskDefaults",
    "variables",
    "tags",
    "notes",
    "iconURL",
    "nodes",
    "posterior",
];

const TASK: [&str; 14] = [
    "name",
    "type",
    "resource",
    "frequency",
    "pollingInterval",
    "cron",
    "rrule",
    "timeZone",
    "resetObservations",
    "gatesNeedFullObservation",
    "parallel",
    "tags",
    "start",
    "pollingFixedRate",
];

/// The items of a list with their paths.
pub(crate) fn items<'v>(
    map: &'v Map<String, Value>,
    key: &str,
    findings: &mut Findings,
) -> Vec<(String, &'v Value)> {
    match map.get(key) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => {
            let items = items.iter().enumerate();
            items
                .map(|(index, item)| (format!("{key}[{index}]"), item))
                .collect()
        }
        Some(_) => {
            findings.problem(key, "a list is wanted");
            Vec::new()
        }
    }
}

/// A text of a map, if it is one.
pub(crate) fn text<'v>(map: &'v Map<String, Value>, key: &str) -> Option<&'v str> {
    map.get(key).and_then(Value::as_str)
}

/// Letters that a name may not have become `_`.
pub(crate) fn legal(label: &str) -> String {
    let letters = label.chars().map(|letter| {
        if letter.is_ascii_alphanumeric() {
            letter
        } else {
            '_'
        }
    });
    let name: String = letters.collect();
    if name.starts_with(|first: char| first.is_ascii_digit()) || name.is_empty() {
        format!("_{name}")
    } else {
        name
    }
}

/// Makes a rule of a template of Waylay.
///
/// # Errors
/// Everything that cannot be said here, in the order of the document, each with its path.
pub fn waylay(source: &str) -> Result<Imported, Vec<String>> {
    let value: Value = serde_json::from_str(source)
        .map_err(|error| vec![format!("the file is not JSON: {error}")])?;
    let mut findings = Findings::default();
    let Some(template) = findings.object(&value, "", &TEMPLATE) else {
        return Err(findings.problems);
    };
    let task = task(template, &mut findings);
    let words = Words::new(template, &mut findings);
    let mut graph = Map::new();
    let mut nodes = Map::new();
    parts::sensors(template, (&task, &words), &mut nodes, &mut findings);
    bayes::nodes(template, (&task, &words), &mut nodes, &mut findings);
    parts::relations(template, &words, &mut nodes, &mut findings);
    if nodes.is_empty() && findings.problems.is_empty() {
        findings.problem("sensors", "there is no sensor and no node");
    }
    graph.insert("evaluate".to_owned(), json!("node"));
    for (key, value) in &task.graph {
        graph.insert(key.clone(), value.clone());
    }
    graph.insert("nodes".to_owned(), Value::Object(nodes));
    acts(template, &words, &mut graph, &mut findings);
    for (key, into) in [("tags", "labels"), ("variables", "variables")] {
        if let Some(kept) = template.get(key) {
            graph.insert(into.to_owned(), kept.clone());
        }
    }
    let ui = shown(template);
    if !ui.is_empty() {
        graph.insert("ui".to_owned(), Value::Object(ui));
    }
    if !findings.problems.is_empty() {
        return Err(in_order(findings.problems, &value));
    }
    let mut rule = Map::new();
    rule.insert("kind".to_owned(), json!("Rule"));
    let name = task.name.as_deref().or_else(|| text(template, "name"));
    rule.insert(
        "name".to_owned(),
        json!(rule_name(name.unwrap_or("imported"))),
    );
    if let Some(description) = text(template, "description") {
        rule.insert("description".to_owned(), json!(description));
    }
    rule.insert(
        "for".to_owned(),
        task.resource.map_or(json!("all"), Value::String),
    );
    rule.insert("graph".to_owned(), Value::Object(graph));
    Ok(Imported {
        rule: Value::Object(rule),
        warnings: findings.warnings,
    })
}

/// Triggers, and the actuators that they fire.
fn acts(
    template: &Map<String, Value>,
    words: &Words,
    graph: &mut Map<String, Value>,
    findings: &mut Findings,
) {
    let triggers = parts::triggers(template, words, findings);
    let mut actuators = parts::actuators(template, words, findings);
    actuators.retain(|name, _| {
        let named =
            |trigger: &Value| trigger.get("do").and_then(Value::as_str) == Some(name.as_str());
        let fired = triggers.iter().any(named);
        if !fired {
            findings.warn(name, "no trigger fires this actuator: it is left out");
        }
        fired
    });
    if !triggers.is_empty() {
        graph.insert("triggers".to_owned(), Value::Array(triggers));
    }
    if !actuators.is_empty() {
        graph.insert("actuators".to_owned(), Value::Object(actuators));
    }
}

/// Problems in the order of the document.
fn in_order(mut problems: Vec<String>, template: &Value) -> Vec<String> {
    problems.sort_by_cached_key(|problem| {
        let path = problem.split(": ").next().unwrap_or_default();
        let mut at = Some(template);
        let mut places = Vec::new();
        for step in path.split(['.', '[']) {
            let step = step.trim_end_matches(']');
            // What is missing is told where it should be: before all that is there.
            places.push(match at {
                Some(Value::Object(map)) => map.keys().position(|key| key == step),
                _ => step.parse().ok(),
            });
            at = at.and_then(|value| match value {
                Value::Array(items) => items.get(step.parse::<usize>().ok()?),
                value => value.get(step),
            });
        }
        places
    });
    problems
}

/// A name as rules have them.
fn rule_name(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        '_' | '.' | '-' => letter,
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '-',
    });
    letters.take(128).collect()
}

/// What only people look at.
pub(crate) fn shown(map: &Map<String, Value>) -> Map<String, Value> {
    let kept = ["position", "iconURL", "notes"].iter();
    kept.filter_map(|key| Some(((*key).to_owned(), map.get(*key)?.clone())))
        .collect()
}

/// What a task's settings say.
#[derive(Debug, Default)]
pub(crate) struct Task {
    name: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) parallel: bool,
    graph: Map<String, Value>,
}

fn task(template: &Map<String, Value>, findings: &mut Findings) -> Task {
    let mut task = Task::default();
    task.graph.insert("reset".to_owned(), json!(true));
    for key in ["taskDefaults", "task"] {
        let Some(value) = template.get(key) else {
            continue;
        };
        let Some(map) = findings.object(value, key, &TASK) else {
            continue;
        };
        task.name = text(map, "name").map(str::to_owned).or(task.name.take());
        let resource = text(map, "resource").map(str::to_owned);
        task.resource = resource.or(task.resource.take());
        let flag = |key: &str| map.get(key).and_then(Value::as_bool);
        task.parallel |= flag("parallel") == Some(true);
        if let Some(reset) = flag("resetObservations") {
            task.graph.insert("reset".to_owned(), json!(reset));
        }
        if let Some(full) = flag("gatesNeedFullObservation") {
            task.graph
                .insert("full_observation".to_owned(), json!(full));
        }
        when(map, key, &mut task, findings);
    }
    task
}

/// When a task ticks.
fn when(map: &Map<String, Value>, path: &str, task: &mut Task, findings: &mut Findings) {
    let Some(kind) = text(map, "type") else {
        return;
    };
    match kind {
        "reactive" => {}
        "onetime" => {
            task.graph.insert("tick".to_owned(), json!("once"));
        }
        "periodic" => {
            let frequency = map.get("frequency").or_else(|| map.get("pollingInterval"));
            match frequency.and_then(Value::as_i64) {
                Some(ms) if ms < 100 => {
                    findings.problem(&format!("{path}.frequency"), "at least 100 ms are wanted");
                }
                Some(ms) => {
                    task.graph
                        .insert("tick".to_owned(), json!(milliseconds(ms)));
                }
                None => findings.problem(path, "a periodic task needs `frequency` in ms"),
            }
        }
        "scheduled" => {
            let mut schedule = Map::new();
            for (from, to) in [("rrule", "rrule"), ("timeZone", "zone")] {
                if let Some(value) = map.get(from) {
                    schedule.insert(to.to_owned(), value.clone());
                }
            }
            match text(map, "cron").map(schedule::five_fields) {
                Some(Ok(fields)) => {
                    schedule.insert("cron".to_owned(), json!(fields));
                }
                Some(Err(problem)) => findings.problem(&format!("{path}.cron"), problem),
                None => {}
            }
            task.graph
                .insert("schedule".to_owned(), Value::Object(schedule));
        }
        other => findings.problem(
            &format!("{path}.type"),
            format!("`{other}` is not one of periodic, scheduled, onetime, reactive"),
        ),
    }
}

/// A duration as rules write it.
pub(crate) fn milliseconds(ms: i64) -> String {
    if ms % 1000 == 0 {
        format!("{}s", ms / 1000)
    } else {
        format!("{ms}ms")
    }
}

#[cfg(test)]
mod tests;
