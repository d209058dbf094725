//! Printing: tables for people, JSON, YAML and names for everything else. Data goes to standard output.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::arguments::Output;
use super::yaml;

/// A column of a table: its head and what stands in it.
pub(super) type Column = (&'static str, fn(&Value) -> String);

/// What a kind of thing looks like in a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// `rule`, as in `rule/NAME`.
    pub(super) kind: &'static str,
    /// Field that names it.
    pub(super) name: &'static str,
    /// Columns.
    pub(super) columns: &'static [Column],
}

/// Text of a field; `-` when there is none.
pub(super) fn field(value: &Value, name: &str) -> String {
    cell(value.get(name).unwrap_or(&Value::Null))
}

/// A value in a table.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) if text.is_empty() => "-".to_owned(),
        // A line break or an escape sequence in a device's text must not draw on the terminal.
        Value::String(text) => text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect(),
        other => other.to_string(),
    }
}

fn count(value: &Value, name: &str) -> String {
    match value.get(name) {
        Some(Value::Object(map)) => map.len().to_string(),
        Some(Value::Array(items)) => items.len().to_string(),
        _ => "-".to_owned(),
    }
}

fn counter(value: &Value, name: &str) -> String {
    value
        .get("counters")
        .map_or_else(|| "-".to_owned(), |counters| field(counters, name))
}

/// Rules in a list.
pub(super) const RULES: Shape = Shape {
    kind: "rule",
    name: "name",
    columns: &[
        ("NAME", |v| field(v, "name")),
        ("REVISION", |v| field(v, "revision")),
        ("ENABLED", |v| field(v, "enabled")),
        ("HEALTH", |v| {
            match v.get("quarantined").and_then(Value::as_str) {
                Some(reason) if !reason.is_empty() => {
                    format!("quarantined: {}", cell(&Value::from(reason)))
                }
                _ => "ok".to_owned(),
            }
        }),
    ],
};

/// Resources in a list.
pub(super) const RESOURCES: Shape = Shape {
    kind: "resource",
    name: "id",
    columns: &[
        ("ID", |v| field(v, "id")),
        ("TYPE", |v| field(v, "type")),
        ("ONLINE", |v| field(v, "online")),
        ("LAST SEEN", |v| field(v, "lastSeen")),
        ("EVENTS", |v| field(v, "events")),
        ("METRICS", |v| count(v, "metrics")),
        ("REVISION", |v| field(v, "revision")),
    ],
};

/// Resource types in a list.
pub(super) const TYPES: Shape = Shape {
    kind: "type",
    name: "name",
    columns: &[
        ("NAME", |v| field(v, "name")),
        ("REVISION", |v| field(v, "revision")),
    ],
};

/// Tasks in a list.
pub(super) const TASKS: Shape = Shape {
    kind: "task",
    name: "id",
    columns: &[
        ("ID", |v| field(v, "id")),
        ("STATUS", |v| field(v, "status")),
        ("SINCE", |v| field(v, "since")),
        ("HEALTH", |v| field(v, "health")),
        ("UNKNOWN", |v| field(v, "unknown")),
        ("LATE", |v| field(v, "late")),
        ("ERRORS", |v| field(v, "errors")),
    ],
};

/// Sources in a list.
pub(super) const SOURCES: Shape = Shape {
    kind: "source",
    name: "name",
    columns: &[
        ("NAME", |v| field(v, "name")),
        ("TOPIC", |v| field(v, "topic")),
        ("FORMAT", |v| field(v, "format")),
        ("READ", |v| field(v, "read")),
        ("LAG", |v| field(v, "lag")),
        ("REVISION", |v| field(v, "revision")),
        ("TROUBLE", |v| field(v, "trouble")),
    ],
};

/// Shards in a list.
pub(super) const SHARDS: Shape = Shape {
    kind: "shard",
    name: "shard",
    columns: &[
        ("SHARD", |v| field(v, "shard")),
        ("EPOCH", |v| field(v, "epoch")),
        ("CLOCK", |v| field(v, "clock")),
        ("RESOURCES", |v| field(v, "resources")),
        ("TASKS", |v| field(v, "tasks")),
        ("RULES", |v| field(v, "rules")),
        ("EVENTS", |v| counter(v, "events")),
        ("RESULTS", |v| counter(v, "results")),
        ("LATE", |v| counter(v, "late")),
        ("DEAD", |v| counter(v, "dead")),
        ("QUARANTINED", |v| count(v, "quarantined")),
    ],
};

/// Workers in a list.
pub(super) const WORKERS: Shape = Shape {
    kind: "worker",
    name: "name",
    columns: &[
        ("NAME", |v| field(v, "name")),
        ("ADDRESS", |v| field(v, "address")),
        ("SHARDS", |v| of_each(v, "shards", "shard")),
        ("EPOCHS", |v| of_each(v, "shards", "epoch")),
        ("LAG", |v| of_each(v, "shards", "lag")),
        ("OLDEST SNAPSHOT", oldest_snapshot),
        ("STANDBY", |v| of_each(v, "standbys", "shard")),
        ("BEHIND", |v| of_each(v, "standbys", "behind")),
    ],
};

/// One number of every shard that a worker has or follows.
fn of_each(worker: &Value, list: &str, name: &str) -> String {
    let shards = worker.get(list).and_then(Value::as_array);
    let all: Vec<String> = shards
        .into_iter()
        .flatten()
        .map(|shard| field(shard, name))
        .collect();
    if all.is_empty() {
        "-".to_owned()
    } else {
        all.join(",")
    }
}

/// When the snapshot was written from which a takeover would have the longest way; `none`: a shard has none yet.
fn oldest_snapshot(worker: &Value) -> String {
    let shards = worker.get("shards").and_then(Value::as_array);
    let written = shards.into_iter().flatten().map(|shard| {
        let written = shard.get("snapshot").and_then(Value::as_str);
        written.map(str::to_owned)
    });
    match written.collect::<Option<Vec<String>>>() {
        Some(all) => all.into_iter().min().unwrap_or_else(|| "-".to_owned()),
        None => "none".to_owned(),
    }
}

/// Dead letters in a list.
pub(super) const DEAD_LETTERS: Shape = Shape {
    kind: "dlq",
    name: "id",
    columns: &[
        ("ID", |v| field(v, "id")),
        ("TIME", |v| field(v, "time")),
        ("KEY", |v| field(v, "key")),
        ("REASON", |v| field(v, "reason")),
    ],
};

/// Late rows in a list.
pub(super) const LATE_ROWS: Shape = Shape {
    kind: "late",
    name: "id",
    columns: &[
        ("ID", |v| field(v, "id")),
        ("TIME", |v| field(v, "time")),
        ("RESOURCE", |v| field(v, "resource")),
        ("RULE", |v| field(v, "rule")),
        ("REASON", |v| field(v, "reason")),
    ],
};

/// Prints a list.
pub(super) fn list(
    out: &mut dyn Write,
    output: Output,
    shape: &Shape,
    items: &[Value],
) -> io::Result<()> {
    match output {
        Output::Json => writeln!(out, "{:#}", json!({ "items": items })),
        Output::Yaml => out.write_all(yaml::text(&json!({ "items": items })).as_bytes()),
        Output::Name => items
            .iter()
            .try_for_each(|item| writeln!(out, "{}", name(shape, item))),
        Output::Table => table(out, shape.columns, items),
    }
}

/// Prints one thing; as a table it is a list of one.
pub(super) fn one(
    out: &mut dyn Write,
    output: Output,
    shape: &Shape,
    item: &Value,
) -> io::Result<()> {
    match output {
        Output::Json => writeln!(out, "{item:#}"),
        Output::Yaml => out.write_all(yaml::text(item).as_bytes()),
        Output::Name | Output::Table => list(out, output, shape, std::slice::from_ref(item)),
    }
}

fn name(shape: &Shape, item: &Value) -> String {
    format!("{}/{}", shape.kind, field(item, shape.name))
}

fn table(out: &mut dyn Write, columns: &[Column], items: &[Value]) -> io::Result<()> {
    let mut rows: Vec<Vec<String>> =
        vec![columns.iter().map(|(head, _)| (*head).to_owned()).collect()];
    rows.extend(
        items
            .iter()
            .map(|item| columns.iter().map(|(_, text)| text(item)).collect()),
    );
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:width$}   "));
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(output: Output, items: &[Value]) -> String {
        let mut out = Vec::new();
        list(&mut out, output, &RULES, items).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lists_print_in_all_forms() {
        let items = [
            json!({ "name": "boiler-overheats", "revision": 12, "enabled": true, "quarantined": null }),
            json!({ "name": "means", "revision": 1, "enabled": false, "quarantined": "too\nslow" }),
        ];
        assert_eq!(
            printed(Output::Table, &items),
            "NAME               REVISION   ENABLED   HEALTH\n\
             boiler-overheats   12         yes       ok\n\
             means              1          no        quarantined: too\u{fffd}slow\n"
        );
        assert_eq!(
            printed(Output::Name, &items),
            "rule/boiler-overheats\nrule/means\n"
        );
        let json: Value = serde_json::from_str(&printed(Output::Json, &items)).unwrap();
        assert_eq!(json["items"][1]["name"], "means");
        assert!(
            printed(Output::Yaml, &items)
                .starts_with("items:\n- name: boiler-overheats\n  revision: 12\n")
        );
        assert_eq!(
            printed(Output::Table, &[]),
            "NAME   REVISION   ENABLED   HEALTH\n"
        );
        assert_eq!(printed(Output::Name, &[]), "");
    }

    #[test]
    fn one_thing_prints_alone() {
        let mut out = Vec::new();
        one(&mut out, Output::Json, &RULES, &json!({ "name": "a" })).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\n  \"name\": \"a\"\n}\n");
    }
}
