//! Answers about graphs and patterns: nodes and triggers at a moment, attempts that live and that have ended.

use super::*;

const GRAPH: &str = r#"
kind: Rule
name: g
for: all
graph:
  nodes:
    a: { formula: temperature, states: { Above: "> 90", Below: "<= 90" }, evict: 5m }
    b: { formula: load, states: { Above: "> 2", Below: "<= 2" } }
    g: { gate: AND, of: [a, b], true_when: [[Above, Above]] }
  triggers:
    - { from: g, on: { becomes: "TRUE" }, do: mail, at_most_every: 1h }
    - { from: a, on: { becomes: Above }, do: mail }
    - { from: b, on: { leaves: Above }, do: note, once: true }
  actuators: { mail: { log: { text: hot } }, note: { log: { text: note } } }
"#;

fn graph(rule: &str, asked: Option<&str>) -> Vec<String> {
    let events = [
        at(1, r#""temperature":95"#),
        at(2, r#""load":3"#),
        at(3, r#""load":1"#),
        at(4, r#""load":3"#),
        at(5, r#""load":1"#),
        at(7, r#""load":1"#),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let batches = [1, 2, 100];
    let asked = batches.map(|batch| ask(rule, &events, ("g", "b1", asked), batch));
    asked.to_vec()
}

fn all_have(told: &[String], parts: &[&str]) {
    for one in told {
        for part in parts {
            assert!(one.contains(part), "{part}\nin {one}");
        }
    }
    let plain = |text: &String| text.split("\"id\":").next().map(str::to_owned);
    assert!(told.iter().all(|one| plain(one) == plain(&told[0])));
}

#[test]
fn a_firing_of_a_graph_names_its_trigger_and_shows_all_nodes() {
    all_have(
        &graph(GRAPH, Some("2026-01-01T00:01:00Z")),
        &[
            r#"{"answer":"fired","rule":"g","revision":3,"task":"g/b1","resource":"b1","time":"2026-01-01T00:01:00.000Z","kind":"result","id":""#,
            r#""cause":["line:1"],"decided":"triggers[1]","nodes":[{"path":"nodes.a","state":"Above","p":{"Above":1,"Below":0},"observed":"2026-01-01T00:01:00.000Z","evicts":"2026-01-01T00:06:00.000Z"},{"path":"nodes.b","state":null,"p":{"Above":0.5,"Below":0.5}},{"path":"nodes.g","state":null,"p":{"TRUE":0.5,"FALSE":0.5}},{"path":"triggers[0]","value":false,"reason":"not_certain"},{"path":"triggers[1]","value":true},{"path":"triggers[2]","value":false,"reason":"not_certain"}],"history":"complete"}"#,
        ],
    );
    // The newest firing: `note` goes out once, when the load first falls.
    all_have(
        &graph(GRAPH, None),
        &[
            r#""answer":"fired""#,
            r#""time":"2026-01-01T00:03:00.000Z","kind":"result""#,
            r#""cause":["line:3"],"decided":"triggers[2]""#,
            r#"{"path":"nodes.b","state":"Below","p":{"Above":0,"Below":1},"observed":"2026-01-01T00:03:00.000Z","previous":"Above"}"#,
        ],
    );
}

#[test]
fn what_keeps_triggers_of_a_graph_from_firing_has_a_word() {
    let throttled = r#""decided":"triggers[0]","first_false":{"path":"triggers[0]","value":false,"reason":"throttled"}"#;
    all_have(
        &graph(GRAPH, Some("2026-01-01T00:02:30Z")),
        &[
            r#""answer":"near_miss""#,
            r#""time":"2026-01-01T00:02:00.000Z""#,
            throttled,
            r#"{"path":"nodes.g","state":"TRUE","p":{"TRUE":1,"FALSE":0}}"#,
            r#"{"path":"triggers[1]","value":false,"reason":"no_change"}"#,
        ],
    );
    all_have(
        &graph(GRAPH, Some("2026-01-01T00:05:00Z")),
        &[r#"{"path":"triggers[2]","value":false,"reason":"once"}"#],
    );
    // Nothing runs when an observation is valid no longer.
    all_have(
        &graph(GRAPH, Some("2026-01-01T00:06:30Z")),
        &[
            r#""time":"2026-01-01T00:06:00.000Z""#,
            r#"{"path":"nodes.a","state":null,"p":{"Above":0.5,"Below":0.5}}"#,
            r#"{"path":"triggers[0]","value":false,"reason":"not_run"}"#,
        ],
    );
    let whole = GRAPH.replace("graph:\n", "graph:\n  full_observation: true\n");
    all_have(
        &graph(&whole, Some("2026-01-01T00:01:30Z")),
        &[r#"{"path":"triggers[0]","value":false,"reason":"full_observation"}"#],
    );
}

#[test]
fn a_delay_that_runs_says_until_when() {
    let rule = "kind: Rule\nname: g\nfor: all\ngraph:\n  nodes:\n    b: { formula: load, states: { Above: \"> 2\", Below: \"<= 2\" } }\n    d: { delay: 90s }\n  triggers:\n    - { from: b, on: { becomes: Above }, do: d }\n    - { from: d, do: mail }\n  actuators: { mail: { log: { text: hot } } }\n";
    all_have(
        &graph(rule, Some("2026-01-01T00:02:00Z")),
        &[
            r#""answer":"near_miss""#,
            r#"{"path":"nodes.d","state":null,"p":{"Triggered":1},"since":"2026-01-01T00:02:00.000Z","due":"2026-01-01T00:03:30.000Z"}"#,
            r#""decided":"triggers[1]""#,
        ],
    );
    all_have(
        &graph(rule, Some("2026-01-01T00:03:30Z")),
        &[
            r#""answer":"fired""#,
            r#""cause":["line:2"],"decided":"triggers[1]""#,
            r#"{"path":"nodes.d","state":"Triggered","p":{"Triggered":1},"observed":"2026-01-01T00:03:30.000Z"}"#,
        ],
    );
}

const RISE: &str = "kind: Rule\nname: rise\nfor: all\norder: arrival\npattern:\n  within: 10m\n  steps: [ { low: load < 2 }, { not: temperature > 50 }, { high: load > 3 } ]\n";

fn rise(rule: &str, asked: Option<&str>, limits: WhyLimits) -> Vec<String> {
    let events = [
        at(1, r#""load":1"#),
        at(2, r#""temperature":60"#),
        at(3, r#""load":1.5"#),
        at(4, r#""load":1.2"#),
        at(5, r#""load":5"#),
        at(6, r#""load":1"#),
        at(20, r#""load":2.5"#),
        at(21, r#""load":1"#),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let batches = [1, 3, 100];
    let asked =
        batches.map(|batch| ask_within(limits, rule, &events, ("rise", "b1", asked), batch));
    asked.to_vec()
}

const BROKEN: &str = r#"{"path":"attempt","began":"2026-01-01T00:01:00.000Z","bound":{"low":["line:1"]},"waits_for":"steps[1]","ended":"broken","by":"line:2","at":"2026-01-01T00:02:00.000Z"}"#;
const MATCHED: &str = r#"{"path":"attempt","began":"2026-01-01T00:03:00.000Z","bound":{"low":["line:3"],"high":["line:5"]},"ended":"matched","by":"line:5","at":"2026-01-01T00:05:00.000Z"}"#;
const SKIPPED: &str = r#"{"path":"attempt","began":"2026-01-01T00:04:00.000Z","bound":{"low":["line:4"],"high":["line:5"]},"waits_for":"steps[2]","ended":"skipped","by":"line:5","at":"2026-01-01T00:05:00.000Z"}"#;

#[test]
fn attempts_that_have_ended_say_how_by_which_row_and_when() {
    let limits = WhyLimits::default();
    let nodes = format!(r#""nodes":[{SKIPPED},{MATCHED},{BROKEN}],"history":"complete"}}"#);
    for asked in [None, Some("2026-01-01T00:05:00Z")] {
        all_have(
            &rise(RISE, asked, limits),
            &[
                r#""answer":"fired""#,
                r#""kind":"match""#,
                r#""cause":["line:3","line:5"],"decided":"steps[2]""#,
                &nodes,
            ],
        );
    }
    all_have(
        &rise(RISE, Some("2026-01-01T00:02:30Z"), limits),
        &[
            r#""answer":"near_miss""#,
            r#""time":"2026-01-01T00:02:00.000Z","decided":"steps[1]""#,
            &format!(r#""first_false":{BROKEN},"nodes":[{BROKEN}]"#),
        ],
    );
    // Time ends it, not a row.
    all_have(
        &rise(RISE, Some("2026-01-01T00:16:00.001Z"), limits),
        &[
            r#""time":"2026-01-01T00:16:00.001Z""#,
            r#""nodes":[{"path":"attempt","began":"2026-01-01T00:06:00.000Z","bound":{"low":["line:6"]},"waits_for":"steps[1]","ended":"expired","at":"2026-01-01T00:16:00.001Z"}"#,
        ],
    );
}

#[test]
fn the_newest_attempts_are_told_and_those_that_a_condition_hides_too() {
    let limits = WhyLimits {
        attempts: 2,
        ..WhyLimits::default()
    };
    all_have(
        &rise(RISE, Some("2026-01-01T00:05:00Z"), limits),
        &[&format!(r#""nodes":[{SKIPPED},{MATCHED}],"#)],
    );
    let hidden = format!("{RISE}  having: load > 9\n");
    all_have(
        &rise(&hidden, Some("2026-01-01T00:05:00Z"), WhyLimits::default()),
        &[
            r#""answer":"near_miss""#,
            r#""path":"attempt","reason":"`having` is not true","began":"2026-01-01T00:03:00.000Z""#,
        ],
    );
    let open = "kind: Rule\nname: rise\nfor: all\norder: arrival\npattern:\n  within: none\n  steps: [ { low: load < 9 }, { high: load > 13 } ]\n";
    all_have(
        &rise(open, None, limits),
        &[r#""bound":{"low":["line:8"]}"#, r#""cut":5,"#],
    );
    let short = WhyLimits {
        bytes: 1_000,
        ..WhyLimits::default()
    };
    let told = rise(open, None, short);
    assert!(
        told.iter()
            .all(|one| one.len() <= 1_000 && one.contains("\"cut\":"))
    );
}
