//! A node that stands for another rule's task says what that one says, whatever rows and ticks come: a law, by chance.

use serde_json::{Value, json};
use tidegate::replay::{ReplayOptions, replay_text};
use tidegate_tests::random::Random;

const RULES: &str = r#"
kind: Rule
name: source
for: all
graph:
  nodes:
    x: { formula: x, states: { High: "> 6", Middle: "> 3", Low: "true" }, evict: 4s }
    y: { formula: y > 5, evict: 7s }
    g: { gate: AND, of: [x, y], true_when: [[[High, Middle], "TRUE"]] }
  triggers: [ { from: g, on: { changes: "*" }, do: note } ]
  observe: x
  actuators: { note: { log: "x" } }
---
kind: Rule
name: warm
for: all
when: x > 4
hold: 3s
---
kind: Rule
name: mirror
for: all
graph:
  nodes:
    x: { rule: source, node: x, states: [ High, Middle, Low ] }
    g: { rule: source, node: g }
    w: { rule: warm }
  triggers:
    - { from: g, on: { changes: "*" }, do: note }
    - { from: w, on: { changes: "*" }, do: note }
    - { from: x, on: { changes: "*" }, do: note }
  actuators: { note: { log: "x" } }
"#;

fn events(seed: u64) -> String {
    let mut random = Random::new(seed);
    let (mut text, mut time) = (String::new(), 0);
    for _ in 0..60 {
        time += random.below(2_500);
        let resource = ["a", "b"][random.below(2) as usize];
        let mut row = json!({ "resource": resource, "time": time });
        for metric in ["x", "y"] {
            if !random.one_in(2) {
                row[metric] = json!(random.below(10));
            }
        }
        text.push_str(&format!("{row}\n"));
        if random.one_in(9) {
            text.push_str(&format!(
                "{}\n",
                json!({ "tick": time + random.below(9_000) })
            ));
        }
    }
    text.push_str(&format!("{}\n", json!({ "tick": time + 60_000 })));
    text
}

/// What is certain of a node, each time that it is another thing than before.
fn changes(lines: &[String], of: &dyn Fn(&Value) -> Option<Value>) -> Vec<(String, Value, Value)> {
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    let mut lines: Vec<Value> = lines.collect();
    // What one record brings about is printed by its causes, not by its times.
    lines.sort_by_key(|line| line["time"].as_str().map(str::to_owned));
    let mut last = std::collections::BTreeMap::new();
    let mut all = Vec::new();
    for line in &lines {
        let Some(state) = of(line) else {
            continue;
        };
        let resource = line["resource"].as_str().unwrap().to_owned();
        let before = last.insert(resource.clone(), state.clone());
        if before.unwrap_or(Value::Null) != state {
            all.push((resource, state, line["time"].clone()));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

/// The same states in the same order; what a row brought to light is dated with that row, never earlier than said.
fn same(source: &[(String, Value, Value)], mirror: &[(String, Value, Value)]) {
    let states = |changes: &[(String, Value, Value)]| {
        let changes = changes.iter();
        let changes = changes.map(|(of, state, _)| (of.clone(), state.clone()));
        changes.collect::<Vec<_>>()
    };
    assert_eq!(states(mirror), states(source));
    for (said, seen) in source.iter().zip(mirror) {
        assert!(seen.2.as_str() >= said.2.as_str(), "{said:?} {seen:?}");
    }
}

#[test]
fn a_node_of_another_rule_says_what_that_one_says() {
    let mut told = 0;
    for seed in 0..40 {
        let options = ReplayOptions {
            shards: 1 + (seed % 3) as u32,
            batch: [1, 7, 1000][(seed / 3 % 3) as usize],
            ..ReplayOptions::default()
        };
        let (lines, _) = replay_text(RULES, &events(seed), options).unwrap();
        let node = |rule: &'static str, node: &'static str| {
            move |line: &Value| {
                let mine = line["rule"] == rule && line["values"]["node"] == node;
                mine.then(|| line["values"]["state"].clone())
            }
        };
        for name in ["x", "g"] {
            let source = changes(&lines, &node("source", name));
            same(&source, &changes(&lines, &node("mirror", name)));
            told += source.len();
        }
        let alarm = |line: &Value| match line["kind"].as_str() {
            Some("raised") => Some(json!("RAISED")),
            Some("cleared") => Some(json!("CLEARED")),
            _ => None,
        };
        let source = changes(&lines, &alarm);
        same(&source, &changes(&lines, &node("mirror", "w")));
        told += source.len();
    }
    assert!(told > 1_000, "only {told} changes were told");
}

#[test]
fn a_ring_of_nodes_is_told_with_its_rules() {
    let text = "kind: Rule\nname: b\nfor: all\nwhen: x > 1\n---\nkind: Rule\nname: a\nfor: all\ngraph:\n  nodes:\n    n: { rule: b }\n  triggers: [ { from: n, on: { changes: \"*\" }, do: note } ]\n  actuators: { note: { log: \"x\" } }\n";
    assert!(replay_text(text, "", ReplayOptions::default()).is_ok());
    let ring = text.replace(
        "for: all\nwhen: x > 1\n",
        "for: all\ninputs: { x: { rule: a, metric: state } }\nwhen: x == \"RAISED\"\n",
    );
    let told = replay_text(&ring, "", ReplayOptions::default()).unwrap_err();
    assert_eq!(
        told.to_string(),
        "12:5: rule a: graph.nodes.n: the rule would read itself: a ← b ← a (let one of them read events instead)"
    );
    let own = text.replace("rule: b }", "rule: a, node: n, states: [ A, B ] }");
    let told = replay_text(&own, "", ReplayOptions::default()).unwrap_err();
    let wanted = "the rule would read itself: a ← a (";
    assert!(told.to_string().contains(wanted), "{told}");
}
