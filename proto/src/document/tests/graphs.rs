//! Graphs as written: all forms, defaults, and every line that is told about mistakes.

use super::*;
use crate::document::Document;
use crate::graph::{
    Beat, Cue, GateForm, Graph, GraphNodeKind, GraphTarget, Pick, Prior, States, Than,
};
use crate::rule::Body;

fn read(body: &str) -> Result<Graph, Vec<String>> {
    let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("kind: Rule\nname: r\nfor: all\ngraph:\n{body}");
    match parse(&text) {
        Ok(mut documents) => match documents.pop() {
            Some(Document::Rule(rule)) => match rule.body {
                Body::Graph(graph) => Ok(graph),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        },
        Err(issues) => Err(issues.iter().map(ToString::to_string).collect()),
    }
}

/// The graph of the reference, section 2.
const WHOLE: &str = "nodes:
  a: { formula: temperature, states: { Above: \"> 90\", Below: \"<= 90\" }, evict: 5s }
  d: { delay: 5s }
  g: { gate: GENERAL, of: [a, d], true_when: [[Above, Triggered]] }
  t: { table: [0.9, 0.2, 0.1, 0.8], states: [OK, NOK], of: [a] }
  c: { formula: load, threshold: 21, priors: { Below: 0.5, Equal: 0.25, Above: 0.25 }, every: 10s }
triggers:
  - { from: a, on: { becomes: Above }, do: d }
  - { from: g, on: { becomes: TRUE, probability: { state: TRUE, at_least: 0.75 } }, do: [mail], at_most_every: 60s }
actuators:
  mail: { log: \"${resource} is hot\" }
tick: 1s
observe: [t]
";

#[test]
fn the_graph_of_the_reference_is_read() {
    let graph = read(WHOLE).unwrap();
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_ref()).collect();
    assert_eq!(names, ["a", "d", "g", "t", "c"]);
    let GraphNodeKind::Sensor(a) = &graph.nodes[0].kind else {
        panic!("{:?}", graph.nodes[0]);
    };
    let States::Conditions(states) = &a.states else {
        panic!("{:?}", a.states);
    };
    assert_eq!(states[0].1.source.as_ref(), "value > 90");
    assert!(a.tick && a.data.is_none() && a.prior == Prior::Uniform);
    let GraphNodeKind::Gate(gate) = &graph.nodes[2].kind else {
        panic!("{:?}", graph.nodes[2]);
    };
    assert_eq!(
        (gate.form, gate.of.as_slice()),
        (GateForm::All, &[0, 1][..])
    );
    assert_eq!(gate.combinations[0][0], Pick::States(vec!["Above".into()]));
    let GraphNodeKind::Sensor(t) = &graph.nodes[3].kind else {
        panic!("{:?}", graph.nodes[3]);
    };
    let weights = vec![900_000_000, 200_000_000, 100_000_000, 800_000_000];
    assert_eq!(
        t.prior,
        Prior::Table {
            of: vec![0],
            weights
        }
    );
    let GraphNodeKind::Sensor(c) = &graph.nodes[4].kind else {
        panic!("{:?}", graph.nodes[4]);
    };
    assert_eq!(c.beat, Some(Beat::Every(Span::seconds(10))));
    assert_eq!(
        c.prior,
        Prior::Given(vec![500_000_000, 250_000_000, 250_000_000])
    );
    assert_eq!(graph.triggers[0].to, [GraphTarget::Node(1)]);
    assert_eq!(graph.triggers[1].to, [GraphTarget::Actuator(0)]);
    let likely = Cue::Probability {
        state: "TRUE".into(),
        than: Than::AtLeast,
        limit: 750_000_000,
        level: false,
    };
    assert_eq!(graph.triggers[1].on[1], likely);
    assert_eq!(
        (graph.tick, graph.observe),
        (Some(Beat::Every(Span::seconds(1))), vec![3])
    );
    assert!(!graph.reset && !graph.full_observation && !graph.by_node);
}

#[test]
fn gates_default_to_true_and_say_what_their_lists_mean() {
    let gate = |gate: &str| {
        let text =
            format!("nodes:\n  a: {{ formula: x > 1 }}\n  b: {{ formula: y > 1 }}\n  g: {gate}\n");
        let graph = read(&text).unwrap();
        match &graph.nodes[2].kind {
            GraphNodeKind::Gate(gate) => gate.clone(),
            other => panic!("{other:?}"),
        }
    };
    let and = gate("{ gate: AND, of: [a, b] }");
    assert_eq!(
        and.combinations,
        [vec![Pick::States(vec!["TRUE".into()]); 2]]
    );
    let or = gate("{ gate: OR, of: [a, b], false_when: [[FALSE, FALSE]] }");
    assert!(or.form == GateForm::All && or.hits_are_false);
    assert_eq!(
        or.combinations,
        [vec![Pick::States(vec!["FALSE".into()]); 2]]
    );
    assert_eq!(gate("{ gate: OR, of: [a, b] }").form, GateForm::Any);
    assert!(gate("{ gate: NOR, of: [a, b] }").hits_are_false);
    assert!(gate("{ gate: NAND, of: [a, b] }").hits_are_false);
    assert_eq!(
        gate("{ gate: AT_LEAST, k: 2, of: [a, b] }").form,
        GateForm::AtLeast(2)
    );
    let picks =
        gate("{ gate: GENERAL, of: [a, b], true_when: [[TRUE, \"*\"], [[TRUE, FALSE], TRUE]] }");
    assert_eq!(picks.combinations[0][1], Pick::Any);
}

#[test]
fn all_mistakes_of_a_graph_are_told_at_once() {
    let told = read(
        "nodes:
  a: { formula: x, states: { Up: \"> 1\", Down: \"<= 1\" }, priors: { Up: 0.5, Down: 0.6 } }
  g: { gate: AND, of: [a, b], true_when: [[Upp, TRUE]] }
  h: { gate: XOR, of: [a] }
  k: { gate: AT_LEAST, of: [a], k: 2, true_when: [[Up]] }
  t: { table: [0.5, 0.5, 0.4], states: [OK, NOK], of: [a] }
  mail: { delay: 5 }
  c: { call: { use: x } }
triggers:
  - { from: aa, do: mial }
  - { from: a, on: { becomes: Dwn }, do: mail }
actuators:
  mail: { log: x }
tikc: 5s
",
    )
    .unwrap_err();
    assert_eq!(
        told,
        [
            "6:67: rule r: graph.nodes.a.priors: the priors sum to 1.1, not to 1",
            "7:29: rule r: graph.nodes.g.of[1]: there is no node `b` (did you mean `a`?)",
            "7:45: rule r: graph.nodes.g.true_when[0]: 2 states for 1 parents: a combination names one per parent (`\"*\"` stands for a parent that is not looked at)",
            "8:8: rule r: graph.nodes.h: `a` has no state `TRUE` (say which states hit with `true_when`)",
            "9:38: rule r: graph.nodes.k.k: 2 of 1 parents can never hit, so the gate has one state",
            "10:17: rule r: graph.nodes.t.table: 3 numbers, the table has 4 (own state slowest, last parent fastest)",
            "11:20: rule r: graph.nodes.mail.delay: `5` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
            "12:10: rule r: graph.nodes.c.call: `call` is not available yet in this version",
            "14:15: rule r: graph.triggers[0].from: there is no node `aa` (did you mean `a`?)",
            "14:23: rule r: graph.triggers[0].do: there is no actuator or node `mial` (did you mean `mail`?)",
            "15:33: rule r: graph.triggers[1].on.becomes: `a` has no state `Dwn` (did you mean `Down`?)",
            "17:5: rule r: graph.actuators.mail: `mail` is the name of a node, too (give one of them another name)",
            "18:3: rule r: graph.tikc: unknown field `tikc` (did you mean `tick`?)",
        ]
    );
}

#[test]
fn what_nodes_mean_together_is_checked() {
    let sensor = "{ formula: x, states: { Up: \"> 1\", Down: \"<= 1\" } }";
    for (body, wanted) in [
        (
            "g: { gate: AND, of: [h] }\nh: { gate: OR, of: [a, g], true_when: [[Up, TRUE]] }",
            "7:5: rule r: graph.nodes.h: a cycle among `of`: g of h of g",
        ),
        (
            "g: { gate: AND, of: [a], true_when: [[[Up, Down]]] }",
            "6:5: rule r: graph.nodes.g: the gate can only be `TRUE` (let its combinations name some states of a parent, not all or none)",
        ),
        (
            "g: { gate: GENERAL, of: [a], true_when: [[Up], [Down]] }",
            "6:5: rule r: graph.nodes.g: the gate can only be `TRUE` (let its combinations name some states of a parent, not all or none)",
        ),
        (
            "g: { gate: OR, of: [a], true_when: [[\"*\"]] }",
            "6:5: rule r: graph.nodes.g: the gate can only be `FALSE` (let its combinations name some states of a parent, not all or none)",
        ),
    ] {
        let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
        // The sensor stands behind, so that the lines of the gates are the same.
        let told = read(&format!("nodes:\n{body}  a: {sensor}\n")).unwrap_err();
        assert_eq!(told, [wanted]);
    }
    let told =
        read("nodes: { a: { formula: x, states: { Up: \"> 1\" }, priors: { A: 0.5, B: 0.5 } } }\n");
    assert_eq!(
        told.unwrap_err().len(),
        2,
        "no false sum beside the unknown states"
    );
    let own = "nodes: { a: { formula: x > 1, of: \"${resource}\" } }\ntriggers: [ { from: a, do: m } ]\nactuators: { m: { log: x } }\n";
    assert!(read(own).is_ok(), "the task's own resource, written out");
    let told = read(
        "nodes: { a: { formula: x > 1 }, g: { gate: AND, of: [a] } }\ntriggers: [ { from: g, do: g } ]\n",
    )
    .unwrap_err();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("`g` is a gate, which never runs"));
    assert!(told[1].contains("`g` cannot be fired"));
}

#[cfg(feature = "grpc")]
#[test]
fn a_graph_travels_in_a_message_as_it_stands() {
    use crate::document::message::{from_message, to_message};
    let body: String = WHOLE.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("kind: Rule\nname: r\nfor: all\ngraph:\n{body}");
    let back = from_message(&to_message(&text).unwrap());
    let unmarked = |text: &str| match parse(text).unwrap().pop() {
        Some(Document::Rule(rule)) => rule.document,
        other => panic!("{other:?}"),
    };
    assert_eq!(unmarked(&back), unmarked(&text));
}
