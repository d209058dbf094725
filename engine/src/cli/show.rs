//! `get` and `describe`: what the engine knows.

use std::io::{self, Write};

use serde_json::Value;

use super::arguments::{DescribeArguments, DescribedKind, GetArguments, ListedKind, Output};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::print::{self, Shape, cell, field};
use crate::api::encode;

/// Runs `get`.
pub(super) async fn get(arguments: &GetArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::new(&arguments.client.server)?;
    let (path, shape) = match arguments.kind {
        ListedKind::Rules => ("rules", &print::RULES),
        ListedKind::Resources => ("resources", &print::RESOURCES),
        ListedKind::Types => ("types", &print::TYPES),
        ListedKind::Tasks => ("tasks", &print::TASKS),
        ListedKind::Sources => ("sources", &print::SOURCES),
        ListedKind::Shards => ("shards", &print::SHARDS),
        ListedKind::Workers => ("workers", &print::WORKERS),
    };
    let query = query(arguments)?;
    let output = arguments.client.output;
    if let Some(name) = &arguments.name {
        let found = match arguments.kind {
            ListedKind::Shards => of_all(&client, path, ("shard", name)).await?,
            ListedKind::Workers => of_all(&client, path, ("name", name)).await?,
            _ => client.get(&format!("/v1/{path}/{}", encode(name))).await?,
        };
        print::one(out, output, shape, &found)?;
        return Ok(());
    }
    let items = match arguments.kind {
        ListedKind::Shards | ListedKind::Workers => all(&client, path).await?,
        _ => {
            let path = format!("/v1/{path}");
            client.list(&path, &query, arguments.limit).await?
        }
    };
    print::list(out, output, shape, &items)?;
    Ok(())
}

/// The filters that fit what is listed.
fn query(arguments: &GetArguments) -> Result<Vec<(&'static str, &str)>, Failure> {
    let all = [
        ("type", ListedKind::Resources, &arguments.r#type),
        ("rule", ListedKind::Tasks, &arguments.rule),
        ("resource", ListedKind::Tasks, &arguments.resource),
    ];
    let mut query = Vec::new();
    for (name, kind, value) in all {
        match value {
            Some(value) if kind == arguments.kind => query.push((name, value.as_str())),
            Some(_) => {
                return Err(Failure::usage(format!(
                    "`--{name}` does not go with what is listed"
                )));
            }
            None => {}
        }
    }
    Ok(query)
}

/// A list that has no pages.
async fn all(client: &Client, path: &str) -> Result<Vec<Value>, Failure> {
    let mut body = client.get(&format!("/v1/{path}")).await?;
    match body.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) => Ok(items),
        _ => Ok(Vec::new()),
    }
}

/// The one of such a list whose key has a value.
async fn of_all(client: &Client, path: &str, (key, name): (&str, &str)) -> Result<Value, Failure> {
    let mut all = all(client, path).await?.into_iter();
    all.find(|one| field(one, key) == name)
        .ok_or_else(|| Failure {
            exit: Exit::NotFound,
            message: format!("there is no `{}/{name}`", path.trim_end_matches('s')),
        })
}

/// Runs `describe`.
pub(super) async fn describe(
    arguments: &DescribeArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let client = Client::new(&arguments.client.server)?;
    let (path, shape): (&str, &Shape) = match arguments.kind {
        DescribedKind::Rule => ("rules", &print::RULES),
        DescribedKind::Resource => ("resources", &print::RESOURCES),
        DescribedKind::Type => ("types", &print::TYPES),
        DescribedKind::Task => ("tasks", &print::TASKS),
        DescribedKind::Source => ("sources", &print::SOURCES),
    };
    let found = client
        .get(&format!("/v1/{path}/{}", encode(&arguments.name)))
        .await?;
    if arguments.client.output != Output::Table {
        print::one(out, arguments.client.output, shape, &found)?;
        return Ok(());
    }
    match arguments.kind {
        DescribedKind::Rule => {
            let tasks = client
                .list("/v1/tasks", &[("rule", &arguments.name)], Some(10_000))
                .await?;
            rule(&found, &tasks, out)?;
        }
        DescribedKind::Resource => {
            let tasks = client
                .list("/v1/tasks", &[("resource", &arguments.name)], Some(10_000))
                .await?;
            resource(&found, &tasks, out)?;
        }
        DescribedKind::Type => resource_type(&found, out)?,
        DescribedKind::Task => task(&found, out)?,
        DescribedKind::Source => source(&found, out)?,
    }
    Ok(())
}

fn head(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{:<12} {value}", format!("{name}:"))
}

/// Lines of a text below a heading.
fn block(out: &mut dyn Write, name: &str, lines: impl Iterator<Item = String>) -> io::Result<()> {
    let mut lines = lines.peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    writeln!(out, "{name}:")?;
    for line in lines {
        writeln!(out, "  {}", cell(&Value::from(line.replace('\t', "    "))))?;
    }
    Ok(())
}

fn array<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn rule(rule: &Value, tasks: &[Value], out: &mut dyn Write) -> io::Result<()> {
    head(out, "Name", &field(rule, "name"))?;
    head(out, "Revision", &field(rule, "revision"))?;
    head(out, "Enabled", &field(rule, "enabled"))?;
    if !text(rule, "quarantined").is_empty() {
        head(out, "Quarantined", &field(rule, "quarantined"))?;
    }
    let raised = tasks
        .iter()
        .filter(|task| text(task, "status") == "raised")
        .count();
    head(out, "Tasks", &format!("{}, {raised} raised", tasks.len()))?;
    block(
        out,
        "Plan",
        array(rule, "plan")
            .filter_map(Value::as_str)
            .map(str::to_owned),
    )?;
    block(out, "State", array(rule, "nodes").map(node))?;
    head(out, "Left out", &pairs(rule, "excess"))?;
    block(
        out,
        "Document",
        text(rule, "document").lines().map(str::to_owned),
    )
}

/// What a part of a rule keeps: `avg(temperature,"5m"): 1200 rows, 48000 bytes, shared with 2 rules`.
fn node(node: &Value) -> String {
    let number = |name: &str| node.get(name).and_then(Value::as_u64).unwrap_or_default();
    let mut line = text(node, "name").to_owned();
    line.push(':');
    if number("rows") > 0 {
        line.push_str(&format!(" {} rows,", number("rows")));
    }
    line.push_str(&format!(" {} bytes", number("bytes")));
    match number("shared_with") {
        0 => {}
        1 => line.push_str(", shared with 1 rule"),
        many => line.push_str(&format!(", shared with {many} rules")),
    }
    line
}

fn resource_type(kind: &Value, out: &mut dyn Write) -> io::Result<()> {
    head(out, "Name", &field(kind, "name"))?;
    head(out, "Revision", &field(kind, "revision"))?;
    let lines = text(kind, "document").lines().map(str::to_owned);
    block(out, "Document", lines)
}

fn pairs(value: &Value, name: &str) -> String {
    let map = value.get(name).and_then(Value::as_object);
    let pairs: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("{name}={}", cell(value)))
        .collect();
    if pairs.is_empty() {
        "-".to_owned()
    } else {
        pairs.join(", ")
    }
}

fn resource(resource: &Value, tasks: &[Value], out: &mut dyn Write) -> io::Result<()> {
    for (name, key) in [
        ("Id", "id"),
        ("Type", "type"),
        ("Parent", "parent"),
        ("Revision", "revision"),
        ("Online", "online"),
    ] {
        head(out, name, &field(resource, key))?;
    }
    head(out, "Labels", &pairs(resource, "labels"))?;
    head(out, "Meta", &pairs(resource, "meta"))?;
    for (name, key) in [
        ("First seen", "firstSeen"),
        ("Last seen", "lastSeen"),
        ("Latest", "latest"),
        ("Events", "events"),
        ("Shard", "shard"),
    ] {
        head(out, name, &field(resource, key))?;
    }
    let metrics = resource
        .get("metrics")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    block(
        out,
        "Metrics",
        metrics.map(|(name, metric)| {
            format!(
                "{name} = {} at {}",
                field(metric, "value"),
                field(metric, "time")
            )
        }),
    )?;
    block(
        out,
        "Tasks",
        tasks
            .iter()
            .map(|task| format!("{} {}", field(task, "id"), field(task, "status"))),
    )
}

fn source(source: &Value, out: &mut dyn Write) -> io::Result<()> {
    for (name, key) in [
        ("Name", "name"),
        ("Revision", "revision"),
        ("Topic", "topic"),
        ("Format", "format"),
        ("Read", "read"),
        ("Lag", "lag"),
        ("Trouble", "trouble"),
    ] {
        head(out, name, &field(source, key))?;
    }
    let document = text(source, "document").lines();
    block(out, "Document", document.map(str::to_owned))
}

fn task(task: &Value, out: &mut dyn Write) -> io::Result<()> {
    for (name, key) in [
        ("Id", "id"),
        ("Rule", "rule"),
        ("Resource", "resource"),
        ("Status", "status"),
        ("Since", "since"),
        ("Health", "health"),
        ("Watermark", "watermark"),
        ("Unknown", "unknown"),
        ("Late", "late"),
        ("Errors", "errors"),
        ("Throttled", "throttled"),
    ] {
        head(out, name, &field(task, key))?;
    }
    block(
        out,
        "Outcomes",
        array(task, "outcomes").map(|outcome| {
            let line = format!(
                "{}  {}  {}",
                field(outcome, "time"),
                field(outcome, "kind"),
                text(outcome, "detail")
            );
            line.trim_end().to_owned()
        }),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(print: impl Fn(&mut dyn Write) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_rule_is_told_with_its_plan_and_document() {
        let one = json!({ "name": "a", "revision": 2, "enabled": true, "quarantined": null, "plan": ["when", "  avg"], "document": "kind: Rule\nname: a\n" });
        let tasks = [json!({ "status": "raised" }), json!({ "status": "idle" })];
        assert_eq!(
            printed(|out| rule(&one, &tasks, out)),
            "Name:        a\nRevision:    2\nEnabled:     yes\nTasks:       2, 1 raised\nPlan:\n  when\n    avg\nLeft out:    -\nDocument:\n  kind: Rule\n  name: a\n"
        );
    }

    #[test]
    fn a_resource_and_a_task_are_told() {
        let one = json!({ "id": "b1", "type": "boiler", "labels": { "site": "north" }, "meta": {}, "online": true, "events": 3,
            "metrics": { "temperature": { "time": "2026-01-01T00:00:00.000Z", "value": 21.5 } } });
        let text = printed(|out| resource(&one, &[], out));
        assert!(
            text.contains("Labels:      site=north\nMeta:        -\n"),
            "{text}"
        );
        assert!(
            text.ends_with("Metrics:\n  temperature = 21.5 at 2026-01-01T00:00:00.000Z\n"),
            "{text}"
        );

        let one = json!({ "id": "a/b1", "status": "raised", "outcomes": [{ "time": "T", "kind": "raised", "detail": "MAJOR" }] });
        let text = printed(|out| task(&one, out));
        assert!(
            text.contains("Status:      raised\n")
                && text.ends_with("Outcomes:\n  T  raised  MAJOR\n"),
            "{text}"
        );
    }
}
