//! Graphs: rules for the laws of cuts, and what a revision keeps.

use tidegate_proto::{Document, Rule};

use super::{World, event};

/// A rule with a graph over all resources.
pub(super) fn graph(name: &str, body: &str) -> Rule {
    let body = body.lines().map(|line| format!("  {line}\n"));
    let text = format!(
        "kind: Rule\nname: {name}\nfor: all\ngraph:\n{}",
        body.collect::<String>()
    );
    match tidegate_proto::document::parse(&text).unwrap().pop() {
        Some(Document::Rule(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

/// Graphs with everything that has state: evictions, delays, ticks, functions with a past, tables, throttles, alarms.
pub(super) fn rules() -> [Rule; 4] {
    let joined = "nodes:
  x: { formula: a, states: { High: \"> 5\", Low: \"<= 5\" }, evict: 3s }
  y: { formula: \"avg(b, \\\"4s\\\")\", threshold: 4, evict: 5s }
  g: { gate: GENERAL, of: [x, y], true_when: [[High, Above], [Low, [Below, Equal]]] }
  d: { delay: 2s }
triggers:
  - { from: g, on: { becomes: TRUE }, do: [d, alarm], at_most_every: 4s }
  - { from: g, on: { state: FALSE }, do: out, once: true }
  - { from: d, do: out }
actuators:
  alarm: { alarm: { severity: MAJOR, text: \"${x.state} ${y.value}\" } }
  out: { log: \"${prev(x.value, 2)} ${a}\" }
observe: [g]
";
    let counted = "reset: true
tick: 3s
nodes:
  n: { formula: \"or(n.value, 0.0) + 1.0\", tick: false }
  s: { formula: a > 4, evict: 2s, tick: false }
  f: { formula: \"or(s.value, false) && n.value > 3.0 && prev(n.value, 2) > 1.0\" }
  t: { table: [0.9, 0.25, 0.1, 0.75], states: [OK, NOK], of: [s] }
triggers:
  - { from: t, on: { probability: { state: NOK, above: 0.3 } }, do: out }
  - { from: f, on: { changes: \"*\" }, do: s }
actuators: { out: { log: \"${n.value} ${t.state}\" } }
observe: [t, f]
";
    let nodes = "evaluate: node
nodes:
  low: { formula: a, threshold: 3, sequence: 2 }
  high: { formula: b, threshold: 6 }
  each: { loop: \"[a, b]\", formula: item, states: { Odd: \"value % 2.0 == 1.0\", Even: \"value % 2.0 == 0.0\" }, every: 4s, data: false }
  any: { gate: AT_LEAST, k: 2, of: [low, high, each], true_when: [[Above, Above, Odd]] }
triggers:
  - { from: any, on: { state: TRUE, leaves: FALSE }, do: out }
  - { from: each, on: { state: Odd }, do: out, at_most_every: 5s }
actuators: { out: { log: \"${low.state} ${high.state} ${each.value}\" } }
";
    let mut some = graph("graph-some", joined);
    some.filter = Some(super::formula("where", "b != 5"));
    [
        graph("graph-joined", joined),
        graph("graph-counted", counted),
        graph("graph-nodes", nodes),
        some,
    ]
}

/// What the lines of a world say, briefly, firings first.
fn said(world: &World) -> Vec<String> {
    let mut told: Vec<_> = world.told.iter().collect();
    told.sort_by_key(|outcome| (outcome.time, outcome.kind));
    let lines = told.iter().map(|outcome| {
        let values = outcome.values.iter().flatten();
        let values: Vec<String> = values.map(|(_, value)| value.to_string()).collect();
        format!("{} {} {}", outcome.time.0, outcome.kind, values.join(" "))
    });
    lines.collect()
}

const HELD: &str = "nodes:
  x: { formula: a, states: { High: \"> 5\", Low: \"<= 5\" }, evict: 10s }
  y: { formula: b > 0 }
  g: { gate: AND, of: [x, y], true_when: [[High, TRUE]] }
  d: { delay: 5s }
triggers:
  - { from: x, do: d }
  - { from: g, on: { becomes: TRUE }, do: out, once: true }
  - { from: d, do: late }
actuators: { out: { log: x }, late: { log: y } }
";

#[test]
fn a_revision_keeps_equal_nodes_and_counts_their_times_anew() {
    let mut world = World::new();
    world.apply(&graph("r", HELD));
    world.push(&[event("r1", 1_000, &[("a", 9.0), ("b", 1.0)])]);
    assert_eq!(
        said(&world),
        [
            "1000 result out g TRUE",
            "1000 state x High {\"High\":1,\"Low\":0}",
            "1000 state g TRUE {\"TRUE\":1,\"FALSE\":0}",
        ]
    );
    world.told.clear();
    // The delay is shorter, an observation valid for less, a node is new: what was observed stays.
    let revised = HELD
        .replace("delay: 5s", "delay: 2s")
        .replace("evict: 10s", "evict: 4s");
    let revised = revised.replace(
        "y: { formula: b > 0 }",
        "z: { formula: a > 3 }\n  y: { formula: b > 0 }",
    );
    let report = world.apply(&graph("r", &revised));
    let kept = |path: &str| {
        let part = report.parts.iter().find(|part| part.path == path).unwrap();
        format!("{:?}", part.state)
    };
    assert_eq!(
        (kept("graph.nodes.x"), kept("graph.nodes.z")),
        ("Kept".into(), "New".into())
    );
    world.push(&[event("r1", 3_000, &[("b", 2.0)])]);
    assert_eq!(
        said(&world),
        [
            "3000 result late d Triggered",
            "3000 state d Triggered {\"Triggered\":1}"
        ]
    );
    world.told.clear();
    world.push(&[event("r1", 5_000, &[("b", 2.0)])]);
    assert_eq!(
        said(&world),
        [
            "5000 state x null {\"High\":0.5,\"Low\":0.5}",
            "5000 state g null {\"TRUE\":0.5,\"FALSE\":0.5}",
        ]
    );
    world.told.clear();
    // What was fired for good stays so.
    world.push(&[event("r1", 6_000, &[("a", 9.0)])]);
    assert!(
        !said(&world).iter().any(|line| line.contains("out")),
        "{:?}",
        said(&world)
    );
    assert_eq!(world.pipeline.counters("r", 0).throttled, 1);
}

#[test]
fn a_removed_rule_and_a_forgotten_resource_end_the_alarm() {
    let text = "nodes: { x: { formula: a > 5 } }\ntriggers: [ { from: x, on: { state: TRUE }, do: alarm } ]\nactuators: { alarm: { alarm: { severity: MINOR } } }\n";
    let mut world = World::new();
    world.apply(&graph("r", text));
    world.push(&[
        event("r1", 1_000, &[("a", 9.0)]),
        event("r2", 2_000, &[("a", 9.0)]),
    ]);
    assert!(world.pipeline.active("r", 0).unwrap().raised);
    world.told.clear();
    let trigger = tidegate_proto::Trigger::Record(0);
    world
        .pipeline
        .forget(0, &world.house, trigger, &mut world.told);
    world.remove("r");
    assert_eq!(
        said(&world),
        ["1000 cleared resource deleted", "2000 cleared rule removed"]
    );
}

#[test]
fn problems_that_only_formulas_show_are_told_with_their_paths() {
    let told = |body: &str| -> Vec<String> {
        let issues = crate::plan::Plan::compile(&graph("r", body)).unwrap_err();
        issues
            .iter()
            .map(|issue| format!("{}: {}", issue.path, issue.problem))
            .collect()
    };
    assert_eq!(
        told("nodes: { a: { formula: x }, g: { gate: AND, of: [a] } }"),
        ["rule r: graph.nodes.g: `a` has no state `TRUE`"]
    );
    assert_eq!(
        told("nodes: { a: { formula: b.value }, b: { formula: a.value } }"),
        ["rule r: graph.nodes.a: formulas name each other in a circle: `a`, `b`"]
    );
    assert_eq!(
        told("nodes: { a: { formula: x, priors: { TRUE: 0.5, FALSE: 0.5 } } }"),
        [
            "rule r: graph.nodes.a: there are priors of TRUE and FALSE, and the formula is no condition"
        ]
    );
    assert_eq!(
        told("nodes: { a: { formula: x, states: { Up: \"> \\\"a\\\" + 1 >\", Down: \"5\" } }, meta: { formula: x } }").len(),
        3
    );
    let wide: Vec<String> = (0..17)
        .map(|n| format!("n{n}: {{ formula: x > {n} }}"))
        .collect();
    let row = |hit: usize| {
        let states: Vec<&str> = (0..17)
            .map(|n| if n == hit { "TRUE" } else { "FALSE" })
            .collect();
        format!("[{}]", states.join(", "))
    };
    let of: Vec<String> = (0..17).map(|n| format!("n{n}")).collect();
    let gate = format!(
        "g: {{ gate: GENERAL, of: [{}], true_when: [{}, {}] }}",
        of.join(", "),
        row(0),
        row(1)
    );
    let found = told(&format!("nodes: {{ {}, {gate} }}", wide.join(", ")));
    assert!(
        found[0].starts_with("rule r: graph.nodes.g: 262144 states have to be looked at together"),
        "{found:?}"
    );
}

#[test]
fn ticks_end_without_rows_and_begin_again() {
    let settings = crate::pipeline::PipelineSettings {
        limits: crate::pipeline::Limits {
            graph_ticks: 3,
            ..Default::default()
        },
        ..Default::default()
    };
    let mut world = World::with(settings);
    world.apply(&graph(
        "r",
        "tick: 1s\nnodes: { x: { formula: \"or(x.value, 0.0) + 1.0\", data: false } }\ntriggers: [ { from: x, do: out } ]\nactuators: { out: { log: x } }\n",
    ));
    world.push(&[event("r1", 500, &[("a", 1.0)])]);
    world.push(&[event("r1", 60_500, &[("a", 1.0)])]);
    world.push(&[event("r1", 61_500, &[("a", 1.0)])]);
    let times: Vec<i64> = world
        .told
        .iter()
        .filter(|o| o.kind == tidegate_proto::OutcomeKind::Result)
        .map(|o| o.time.0)
        .collect();
    assert_eq!(times, [1_000, 2_000, 3_000, 61_000]);
    assert_eq!(world.pipeline.counters("r", 0).ticks_stopped, 1);
}

#[test]
fn sensors_over_other_resources_ask_for_metrics_of_other_names() {
    let rule = graph(
        "r",
        "nodes:\n  a: { formula: \"avg(t, \\\"5m\\\") + t\", of: boiler1, states: { Hot: \"value > limit\", Fine: \"true\" } }\n  b: { formula: \"t + meta.x\", of: \"${meta.line}\" }\n  c: { formula: t }\n",
    );
    let tidegate_proto::Body::Graph(body) = &rule.body else {
        panic!("{rule:?}");
    };
    let mut issues = Vec::new();
    let draft = crate::plan::graph::Draft::compile(&rule, body, &mut issues).unwrap();
    let plan = draft.finish(&rule, Vec::new());
    let labels: Vec<&str> = plan
        .table
        .places
        .iter()
        .map(|place| place.label.as_ref())
        .collect();
    assert_eq!(
        labels,
        [
            "metric(\"limit@boiler1\")",
            "t",
            "metric(\"t@${meta.line}\")",
            "metric(\"t@boiler1\")",
            "meta.x",
            "avg(metric(\"t@boiler1\"),\"5m\")",
        ]
    );
    let plan = crate::plan::Plan::compile(&rule).unwrap();
    assert_eq!(plan.reach(), crate::plan::Reach::Wide);
}
