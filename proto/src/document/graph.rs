//! `graph` of a rule: its options and actuators; nodes are read in `node` and `gate`, triggers in `trigger`, what they
//! mean together is checked in `check`.

mod check;
mod gate;
mod node;
mod said;
mod trigger;

use std::sync::Arc;

use crate::cron::Schedule;
use crate::document::action;
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, flag, span, text};
use crate::graph::{
    Beat, DATA, FALSE, Graph, GraphNode, GraphNodeKind, GraphTarget, GraphTrigger, MOST_NODES, TRUE,
};
use crate::issue::nearest;
use crate::recurrence::Recurrence;
use crate::rule::Action;
use crate::zone::Zone;

const GRAPH: Allowed = Allowed {
    known: &[
        "nodes",
        "triggers",
        "actuators",
        "tick",
        "schedule",
        "reset",
        "full_observation",
        "evaluate",
        "observe",
        "labels",
        "variables",
        "ui",
    ],
    later: &[],
};
const SCHEDULE: Allowed = Allowed {
    known: &["cron", "rrule", "zone"],
    later: &[],
};

/// What is known of the nodes before they are read in full.
struct Known<'n> {
    names: Vec<&'n str>,
    /// Their states; `None`: those of the formula, which is read later.
    states: Vec<Option<Vec<Arc<str>>>>,
    /// Whether they are said here, and not only by another rule.
    own_states: Vec<bool>,
    /// Names of the actuators.
    actuators: Vec<&'n str>,
}

impl Known<'_> {
    /// The place of a node by its name.
    fn node(&self, field: &Field<'_>, report: &mut Report) -> Option<usize> {
        let name = word(field, "the name of a node", report)?;
        let found = self.names.iter().position(|known| **known == *name);
        if found.is_none() {
            let near = nearest(&name, self.names.iter().copied());
            let hint = near.map_or_else(
                || "name a node of `nodes`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            let problem = format!("there is no node `{name}`");
            report.hint(&field.path, field.node.mark, problem, hint);
        }
        found
    }

    /// The states of a node by its name, as far as the document says them.
    fn states_of(&self, name: &str) -> &[Arc<str>] {
        let place = self.names.iter().position(|known| *known == name);
        let states = place.and_then(|place| self.states.get(place)?.as_deref());
        states.unwrap_or_default()
    }

    /// The name of a state of a node.
    fn state(&self, field: &Field<'_>, node: usize, report: &mut Report) -> Option<Arc<str>> {
        let name = word(field, "the name of a state", report)?;
        let open = [Arc::from(TRUE), Arc::from(FALSE), Arc::from(DATA)];
        let states = self.states.get(node).and_then(Option::as_deref);
        let states = states.unwrap_or(&open);
        if states.contains(&name) {
            return Some(name);
        }
        let near = nearest(&name, states.iter().map(AsRef::as_ref));
        let own = self.own_states.get(node).copied().unwrap_or(true);
        let hint = near.map_or_else(
            || {
                let known = states.join(", ");
                if own {
                    format!("its states are {known}")
                } else {
                    format!("its states are {known}, unless the node says `states`")
                }
            },
            |near| format!("did you mean `{near}`?"),
        );
        let of = self.names.get(node).copied().unwrap_or_default();
        let problem = format!("`{of}` has no state `{name}`");
        report.hint(&field.path, field.node.mark, problem, hint);
        None
    }

    /// One state, or a list of them.
    fn states(&self, field: &Field<'_>, node: usize, report: &mut Report) -> Vec<Arc<str>> {
        let items = one_or_more(field, report);
        let states = items.iter();
        states
            .filter_map(|item| self.state(item, node, report))
            .collect()
    }
}

/// A name; a flag as YAML reads `TRUE` and `FALSE` is one too.
fn word(field: &Field<'_>, what: &str, report: &mut Report) -> Option<Arc<str>> {
    match &field.node.kind {
        NodeKind::Bool(true) => Some(Arc::from(TRUE)),
        NodeKind::Bool(false) => Some(Arc::from(FALSE)),
        NodeKind::Text(text) if !text.is_empty() => Some(Arc::from(text.as_str())),
        NodeKind::Number(text) => Some(Arc::from(text.as_str())),
        _ => {
            field.not(what, report);
            None
        }
    }
}

/// The items of a list, or the field itself.
fn one_or_more<'n>(field: &Field<'n>, report: &mut Report) -> Vec<Field<'n>> {
    if !matches!(field.node.kind, NodeKind::Seq(_)) {
        return vec![field.clone()];
    }
    let items = field.items(report);
    if items.is_empty() {
        report.add(&field.path, field.node.mark, "the list is empty");
    }
    items
}

/// Reads a graph; what is wrong is in the report.
pub(super) fn read(field: &Field<'_>, report: &mut Report) -> Option<Graph> {
    let before = report.issues.len();
    let section = Section::open(field, GRAPH, report);
    let nodes = section.need("nodes", report);
    let entries = nodes.map_or_else(Vec::new, |field| field.entries(report));
    if let (Some(field), true) = (nodes, entries.is_empty()) {
        report.add(&field.path, field.node.mark, "there is no node");
    }
    if let (Some(field), true) = (nodes, entries.len() > MOST_NODES) {
        let problem = format!("{} nodes, at most {MOST_NODES}", entries.len());
        report.add(&field.path, field.mark, problem);
        return None;
    }
    let mut quiet = Report::default();
    let actuators = section.get("actuators");
    let actuators = actuators.map_or_else(Vec::new, |field| field.entries(&mut quiet));
    let known = Known {
        names: entries.iter().map(|entry| entry.name).collect(),
        states: entries
            .iter()
            .map(|entry| node::state_names(entry, field))
            .collect(),
        own_states: entries.iter().map(node::says_states).collect(),
        actuators: actuators.iter().map(|entry| entry.name).collect(),
    };
    names(&entries, &actuators, &known, report);
    let nodes: Vec<_> = entries
        .iter()
        .map(|entry| node::read(entry, &known, report))
        .collect();
    let whole = nodes.iter().all(Option::is_some);
    let graph = rest(
        &section,
        nodes.into_iter().flatten().collect(),
        &known,
        report,
    );
    // Where triggers could not be read, that is told.
    if report.issues.len() == before {
        idle(&actuators, &graph, report);
    }
    if whole {
        check::check(&graph, report);
    }
    if let Some(found) = report.issues.get_mut(before..) {
        found.sort_by_key(|issue| issue.mark);
    }
    (report.issues.len() == before).then_some(graph)
}

/// Tells actuators that no trigger fires.
fn idle(actuators: &[Field<'_>], graph: &Graph, report: &mut Report) {
    for (place, entry) in actuators.iter().enumerate() {
        let target = GraphTarget::Actuator(place);
        let fired = |trigger: &GraphTrigger| trigger.to.contains(&target);
        if !graph.triggers.iter().any(fired) {
            let problem = format!("no trigger fires `{}`", entry.name);
            let hint = format!("write `triggers: [ {{ from: NODE, do: {} }} ]`", entry.name);
            report.hint(&entry.path, entry.mark, problem, hint);
        }
    }
}

/// Names of nodes and actuators: good ones, each for one thing.
fn names(entries: &[Field<'_>], actuators: &[Field<'_>], known: &Known<'_>, report: &mut Report) {
    for entry in entries.iter().chain(actuators) {
        named(entry, report);
    }
    let twice = actuators.iter();
    for entry in twice.filter(|entry| known.names.contains(&entry.name)) {
        let problem = format!("`{}` is the name of a node, too", entry.name);
        let hint = "give one of them another name";
        report.hint(&entry.path, entry.mark, problem, hint);
    }
}

/// A graph of nodes that are read, with everything else.
fn rest(
    section: &Section<'_>,
    nodes: Vec<GraphNode>,
    known: &Known<'_>,
    report: &mut Report,
) -> Graph {
    let triggers = section.get("triggers");
    let triggers = triggers.map_or_else(Vec::new, |field| trigger::read(field, known, report));
    let observe = section.get("observe").map_or_else(Vec::new, |field| {
        let items = one_or_more(field, report);
        let places = items.iter().filter_map(|item| known.node(item, report));
        places.collect()
    });
    let tick = ticks(section, "tick", report);
    let mut flag = |name: &str| {
        let field = section.get(name)?;
        flag(field, report)
    };
    let reset = flag("reset").unwrap_or(false);
    let full_observation = flag("full_observation").unwrap_or(false);
    let by_node = section.get("evaluate").and_then(|field| {
        let words = [("row", false), ("node", true)];
        choice(field, &words, &[], report)
    });
    let actuators = known.actuators.iter();
    Graph {
        nodes,
        triggers,
        actuators: actuators.map(|name| Arc::from(*name)).collect(),
        tick,
        reset,
        full_observation,
        by_node: by_node.unwrap_or(false),
        observe,
    }
}

/// Ticks by a duration or by a schedule, of which there is one.
fn ticks(section: &Section<'_>, name: &str, report: &mut Report) -> Option<Beat> {
    let (every, wall) = (section.get(name), section.get("schedule"));
    if let (Some(_), Some(wall)) = (every, wall) {
        let problem = format!("`{name}` and `schedule` do not go together");
        report.add(&wall.path, wall.mark, problem);
    }
    let every = every.and_then(|field| beat(field, report));
    every.or_else(|| schedule(wall?, report))
}

/// `schedule: { cron | rrule, zone }`.
fn schedule(field: &Field<'_>, report: &mut Report) -> Option<Beat> {
    let section = Section::open(field, SCHEDULE, report);
    let zone = match section.get("zone") {
        None => Some(Zone::utc()),
        Some(field) => match Zone::new(text(field, report)?) {
            Ok(zone) => Some(zone),
            Err(error) => {
                report.add(&field.path, field.node.mark, error.to_string());
                None
            }
        },
    };
    let (cron, rule) = (section.get("cron"), section.get("rrule"));
    if let (Some(_), Some(rule)) = (cron, rule) {
        let problem = "`cron` and `rrule` do not go together".to_owned();
        report.add(&rule.path, rule.node.mark, problem);
        return None;
    }
    let field = rule.or(cron).or_else(|| section.need("cron", report))?;
    let (written, zone) = (text(field, report)?, zone?);
    let beat = match rule {
        None => Schedule::new(written, zone)
            .map(|schedule| Beat::Cron(Arc::new(schedule)))
            .map_err(|error| error.to_string()),
        Some(_) => Recurrence::new(written, zone)
            .map(|rule| Beat::Recurrence(Arc::new(rule)))
            .map_err(|error| error.to_string()),
    };
    match beat {
        Ok(beat) => Some(beat),
        Err(problem) => {
            report.add(&field.path, field.node.mark, problem);
            None
        }
    }
}

/// A duration, or `once` for one tick when the task begins.
fn beat(field: &Field<'_>, report: &mut Report) -> Option<Beat> {
    match &field.node.kind {
        NodeKind::Text(text) if text == "once" => Some(Beat::Birth),
        _ => {
            let span = span(field, false, report)?;
            if span.0 < 100 {
                let problem = format!("`{span}` is too short: at least 100ms");
                report.add(&field.path, field.node.mark, problem);
                return None;
            }
            Some(Beat::Every(span))
        }
    }
}

/// Names of nodes and actuators can stand in formulas.
fn named(entry: &Field<'_>, report: &mut Report) {
    let mut letters = entry.name.chars();
    let first = letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let rest = letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if !first || !rest || entry.name.len() > 64 {
        let brief: String = entry.name.chars().take(64).collect();
        let problem = format!("`{brief}` is not a name");
        let hint = "letters, digits and `_`, not a digit first, at most 64";
        report.hint(&entry.path, entry.mark, problem, hint);
    }
}

/// Where lines of rules are the only rows, no node reads others beside them.
pub(super) fn not_beside_from(from: &Field<'_>, graph: &Graph, report: &mut Report) {
    let said = |node: &&GraphNode| match &node.kind {
        GraphNodeKind::Sensor(sensor) => sensor.said.is_some(),
        _ => false,
    };
    if let Some(node) = graph.nodes.iter().find(said) {
        let problem = format!(
            "`from` makes lines of rules the only rows, and the node `{}` is of a rule, too",
            node.name
        );
        let hint = "leave `from` out: a graph of such nodes needs no other rows";
        report.hint(&from.path, from.mark, problem, hint);
    }
}

/// Reads the actuators of a graph: the rule's actions, in the order written.
pub(super) fn actuators(field: &Field<'_>, report: &mut Report) -> Vec<Action> {
    let NodeKind::Map(_) = &field.node.kind else {
        return Vec::new();
    };
    // What is wrong with the map itself is told by whoever reads the graph.
    let mut quiet = Report::default();
    let entries = field.entries(&mut quiet);
    let Some(field) = entries.iter().find(|entry| entry.name == "actuators") else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for entry in field.entries(report) {
        let Some(read) = action::action(&entry, false, report) else {
            continue;
        };
        if read.every_time {
            let problem = "an actuator runs whenever it is fired";
            report.hint(&entry.path, entry.mark, problem, "leave `every_time` out");
        }
        out.push(read);
    }
    out
}
