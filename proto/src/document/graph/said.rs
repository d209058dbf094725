//! Nodes of a graph that stand for another rule's task: `{ rule, node, of }`.

use std::sync::Arc;

use super::node::priors;
use super::{one_or_more, word};
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::{Node, NodeKind};
use crate::document::value::{formula, name, span};
use crate::graph::{FALSE, Prior, Sensor, States, TRUE};
use crate::rule::FormulaText;
use crate::said::{CLEARED, MATCHED, RAISED, SaidNode, SaidOf};

pub(super) const SAID: Allowed = Allowed {
    known: &[
        "rule", "node", "of", "states", "priors", "evict", "sequence", "ui",
    ],
    later: &[],
};

/// A field of a map.
fn field<'n>(map: &'n Node, name: &str) -> Option<&'n Node> {
    let NodeKind::Map(entries) = &map.kind else {
        return None;
    };
    let found = entries.iter().find(|(key, _)| key.scalar() == Some(name));
    found.map(|(_, value)| value)
}

/// The items of a list, or the node itself.
fn items(node: &Node) -> &[Node] {
    match &node.kind {
        NodeKind::Seq(items) => items,
        _ => std::slice::from_ref(node),
    }
}

/// Whether a text stands somewhere in a node.
fn holds(node: &Node, text: &str) -> bool {
    match &node.kind {
        NodeKind::Seq(items) => items.iter().any(|item| holds(item, text)),
        NodeKind::Map(entries) => entries
            .iter()
            .any(|(key, value)| key.scalar() == Some(text) || holds(value, text)),
        _ => node.scalar() == Some(text),
    }
}

/// Whether a gate or table names a state of one of its parents.
fn gate_names(gate: &Node, parent: &str, state: &str) -> bool {
    let Some(place) = field(gate, "of")
        .map(items)
        .and_then(|of| of.iter().position(|of| of.scalar() == Some(parent)))
    else {
        return false;
    };
    let rows = ["true_when", "false_when"].iter();
    let mut rows = rows.filter_map(|name| field(gate, name)).flat_map(items);
    rows.any(|row| {
        let pick = items(row).get(place);
        pick.is_some_and(|pick| holds(pick, state))
    })
}

/// Whether anything in the graph takes a node for one that matches: its priors, a trigger, a gate.
fn is_matched(entry: &Field<'_>, graph: &Field<'_>) -> bool {
    let own = field(entry.node, "priors").is_some_and(|priors| holds(priors, MATCHED));
    let triggers = field(graph.node, "triggers").map_or(&[][..], items).iter();
    let mut triggers = triggers
        .filter(|trigger| field(trigger, "from").and_then(Node::scalar) == Some(entry.name));
    let triggered =
        triggers.any(|trigger| field(trigger, "on").is_some_and(|on| holds(on, MATCHED)));
    let nodes = field(graph.node, "nodes");
    let gated = nodes.is_some_and(|nodes| match &nodes.kind {
        NodeKind::Map(nodes) => nodes
            .iter()
            .any(|(_, node)| gate_names(node, entry.name, MATCHED)),
        _ => false,
    });
    own || triggered || gated
}

/// The states of such a node: as written, or those that its rule has.
pub(super) fn state_names(entry: &Field<'_>, graph: &Field<'_>) -> Vec<Arc<str>> {
    let mut quiet = Report::default();
    let entries = entry.entries(&mut quiet);
    if let Some(states) = entries.iter().find(|field| field.name == "states") {
        let read = one_or_more(states, &mut quiet);
        let read = read.iter().filter_map(|item| word(item, "", &mut quiet));
        return read.collect();
    }
    let names: &[&str] = if field(entry.node, "node").is_some() {
        &[TRUE, FALSE]
    } else if is_matched(entry, graph) {
        &[MATCHED]
    } else {
        &[RAISED, CLEARED]
    };
    names.iter().map(|name| Arc::from(*name)).collect()
}

/// Tells what is wrong with the states that are written.
fn check_states(field: &Field<'_>, of_node: bool, states: &[Arc<str>], report: &mut Report) {
    let before = report.issues.len();
    for item in one_or_more(field, report) {
        word(&item, "the name of a state", report);
    }
    for (place, state) in states.iter().enumerate() {
        if states.iter().take(place).any(|other| other == state) {
            let problem = format!("`{state}` is there twice");
            report.add(&field.path, field.node.mark, problem);
        }
    }
    if of_node || report.issues.len() > before {
        return;
    }
    let mut sorted: Vec<&str> = states.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    if sorted != [CLEARED, RAISED] && sorted != [MATCHED] {
        let problem = "without `node` the states are those of a whole rule";
        let hint = "`[ RAISED, CLEARED ]` of an alarm, `[ MATCHED ]` of a pattern";
        report.hint(&field.path, field.node.mark, problem, hint);
    }
}

/// Reads such a node, whose states are known.
pub(super) fn read(
    section: &Section<'_>,
    states: &[Arc<str>],
    report: &mut Report,
) -> Option<Sensor> {
    let before = report.issues.len();
    let asked = section.need("rule", report)?;
    let rule = name(asked, report);
    let node = section.get("node");
    let node = match node {
        Some(field) => Some(word(field, "the name of a node", report)?),
        None => None,
    };
    if let Some(field) = section.get("states") {
        check_states(field, node.is_some(), states, report);
    }
    let of = section.get("of").and_then(|field| formula(field, report));
    let evict = section.get("evict");
    let evict = evict.and_then(|field| span(field, false, report));
    let prior = section.get("priors");
    let prior = prior.and_then(|field| priors(field, states, report));
    let of_rule = match node {
        Some(node) => SaidOf::Node(node),
        None if states.iter().any(|state| state.as_ref() == MATCHED) => SaidOf::Match,
        None => SaidOf::Alarm,
    };
    let sensor = Sensor {
        formula: Some(FormulaText {
            source: Arc::from("said"),
            path: Arc::from(asked.path.as_str()),
            mark: asked.mark,
        }),
        // The task's own resource, which it looks at anyway.
        of: of.filter(|of| !matches!(of.source.trim(), "$" | "${resource}")),
        said: Some(SaidNode {
            rule: rule?.shared(),
            of: of_rule,
        }),
        states: States::Named(states.to_vec()),
        prior: prior.map_or(Prior::Uniform, Prior::Given),
        evict,
        data: None,
        tick: false,
        beat: None,
        each: None,
    };
    (report.issues.len() == before).then_some(sensor)
}
