//! What nodes and triggers of a graph mean together: cycles, gates with one state, triggers on what never runs.

use std::sync::Arc;

use crate::document::section::Report;
use crate::graph::{
    Cue, DATA, FALSE, Gate, GateForm, Graph, GraphNode, GraphNodeKind, GraphTarget, GraphTrigger,
    Pick, Prior, TRIGGERED, TRUE,
};

/// Most steps that a gate is looked through for a second state.
const STEPS: usize = 100_000;

/// Tells what is wrong with a graph whose nodes are all read.
pub(super) fn check(graph: &Graph, report: &mut Report) {
    cycles(graph, report);
    for node in &graph.nodes {
        if let GraphNodeKind::Gate(gate) = &node.kind {
            one_state(graph, node, gate, report);
        }
    }
    for (place, trigger) in graph.triggers.iter().enumerate() {
        let same = |other: &GraphTrigger| {
            (other.from, &other.on, &other.to) == (trigger.from, &trigger.on, &trigger.to)
        };
        if graph.triggers.iter().take(place).any(same) {
            let problem = "this trigger is there twice: it would fire twice each time";
            report.hint(&trigger.path, trigger.mark, problem, "leave one out");
        }
        let Some(source) = graph.nodes.get(trigger.from) else {
            continue;
        };
        let still = match &source.kind {
            GraphNodeKind::Gate(_) => Some("a gate"),
            GraphNodeKind::Sensor(sensor) if sensor.formula.is_none() => {
                Some("a table without a formula")
            }
            _ => None,
        };
        if let (Some(still), true) = (still, trigger.on.contains(&Cue::Executed)) {
            let problem = format!("`{}` is {still}, which never runs", source.name);
            let hint = "say on what it fires: `on: { becomes: TRUE }`, `state`, `changes` …";
            report.hint(&trigger.path, trigger.mark, problem, hint);
        }
        // A delay takes its time.
        if still.is_none() && matches!(source.kind, GraphNodeKind::Sensor(_)) {
            endless(trigger, report);
        }
        for target in &trigger.to {
            if let GraphTarget::Node(place) = target
                && let Some(node) = graph.nodes.get(*place)
            {
                let runs = match &node.kind {
                    GraphNodeKind::Gate(_) => false,
                    GraphNodeKind::Sensor(sensor) => sensor.formula.is_some(),
                    GraphNodeKind::Delay { .. } => true,
                };
                if !runs {
                    let problem = format!("`{}` cannot be fired: it never runs", node.name);
                    let hint = "fire an actuator, a delay or a node with a formula";
                    report.hint(&trigger.path, trigger.mark, problem, hint);
                }
            }
        }
    }
}

/// Tells a trigger that fires a sensor each time the same sensor has run.
fn endless(trigger: &GraphTrigger, report: &mut Report) {
    let itself = trigger.to.contains(&GraphTarget::Node(trigger.from));
    let paced = trigger.once || trigger.at_most_every.is_some();
    if itself && !paced && trigger.on.contains(&Cue::Executed) {
        let problem = "the trigger fires its own source, which would never end";
        let hint = "say on what it fires, as in `on: { becomes: TRUE }`, or fire something else";
        report.hint(&trigger.path, trigger.mark, problem, hint);
    }
}

/// Parents of a node, by place.
fn parents(node: &GraphNode) -> &[usize] {
    match &node.kind {
        GraphNodeKind::Gate(gate) => &gate.of,
        GraphNodeKind::Sensor(sensor) => match &sensor.prior {
            Prior::Table { of, .. } => of,
            _ => &[],
        },
        GraphNodeKind::Delay { .. } => &[],
    }
}

/// Tells the first cycle among `of`.
fn cycles(graph: &Graph, report: &mut Report) {
    let mut done = vec![false; graph.nodes.len()];
    for start in 0..graph.nodes.len() {
        let mut path: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((at, next)) = path.last().copied() {
            let Some(node) = graph.nodes.get(at) else {
                break;
            };
            let known = done.get(at).copied().unwrap_or(true);
            let Some(parent) = parents(node).get(next).copied().filter(|_| !known) else {
                if let Some(done) = done.get_mut(at) {
                    *done = true;
                }
                path.pop();
                continue;
            };
            if let Some(last) = path.last_mut() {
                last.1 += 1;
            }
            if let Some(from) = path.iter().position(|(known, _)| *known == parent) {
                let names = path.iter().skip(from).chain(path.get(from));
                let names = names.filter_map(|(place, _)| graph.nodes.get(*place));
                let names: Vec<&str> = names.map(|node| node.name.as_ref()).collect();
                let problem = format!("a cycle among `of`: {}", names.join(" of "));
                report.add(&node.path, node.mark, problem);
                return;
            }
            path.push((parent, 0));
        }
    }
}

/// The states that a node can have, as far as the document says them.
fn states_of(graph: &Graph, place: usize) -> Option<Vec<Arc<str>>> {
    match &graph.nodes.get(place)?.kind {
        GraphNodeKind::Gate(_) => Some(vec![Arc::from(TRUE), Arc::from(FALSE)]),
        GraphNodeKind::Delay { .. } => Some(vec![Arc::from(TRIGGERED)]),
        GraphNodeKind::Sensor(sensor) => sensor.states.names(),
    }
}

/// Which states of a parent hit; `None`: it is not looked at.
type Hits = Option<Vec<bool>>;

/// For each parent how many states it has, and for each combination which of them hit.
fn hits_of(graph: &Graph, gate: &Gate) -> (Vec<usize>, Vec<Vec<Hits>>) {
    let mut sizes = Vec::with_capacity(gate.of.len());
    let mut hits: Vec<Vec<Hits>> = vec![Vec::new(); gate.combinations.len()];
    for (index, parent) in gate.of.iter().enumerate() {
        let states = states_of(graph, *parent);
        let open = || vec![Arc::from(TRUE), Arc::from(FALSE), Arc::from(DATA)];
        let states = states.unwrap_or_else(open);
        // What has one state is in it or unobserved: that is news enough for a gate.
        let alone = states.len() == 1;
        sizes.push(states.len() + usize::from(alone));
        for (combination, hits) in gate.combinations.iter().zip(&mut hits) {
            hits.push(match combination.get(index) {
                Some(Pick::States(names)) => {
                    let known = states.iter().map(|state| names.contains(state));
                    Some(known.chain(alone.then_some(false)).collect())
                }
                _ => None,
            });
        }
    }
    (sizes, hits)
}

/// Tells a gate that can have only one state.
fn one_state(graph: &Graph, node: &GraphNode, gate: &Gate, report: &mut Report) {
    let (sizes, hits) = hits_of(graph, gate);
    let first = || hits.first().into_iter().flatten().flatten();
    let count = |wanted: bool| first().filter(|known| known.contains(&wanted)).count();
    // Parents that can hit, and those that always do.
    let (most, least) = (count(true), first().count() - count(false));
    let can_hit = |known: &Hits| known.as_ref().is_none_or(|known| known.contains(&true));
    let (yes, no) = match gate.form {
        GateForm::All => (
            hits.iter().any(|row| row.iter().all(can_hit)),
            !covers(&hits.iter().collect::<Vec<_>>(), &sizes, 0, &mut 0),
        ),
        GateForm::Any => (most > 0, least == 0),
        GateForm::Odd => {
            let turns = first().any(|known| known.contains(&true) && known.contains(&false));
            (turns, turns)
        }
        GateForm::AtLeast(k) => (most >= k as usize, least < k as usize),
        GateForm::Exactly(k) => {
            let k = k as usize;
            (least <= k && k <= most, least < k || most > k)
        }
    };
    let looked = |row: &Vec<Hits>| row.iter().any(Option::is_some);
    if !yes || !no || !hits.iter().any(looked) {
        let state = if yes == gate.hits_are_false {
            FALSE
        } else {
            TRUE
        };
        let problem = format!("the gate can only be `{state}`");
        let hint = "let its combinations name some states of a parent, not all or none";
        report.hint(&node.path, node.mark, problem, hint);
    }
}

/// Whether combinations cover every assignment of the parents from a place on; gives up as "no" after many steps.
fn covers(rows: &[&Vec<Hits>], sizes: &[usize], at: usize, steps: &mut usize) -> bool {
    *steps += 1;
    if rows.is_empty() || *steps > STEPS {
        return false;
    }
    let rest = |row: &&Vec<Hits>| row.iter().skip(at).all(Option::is_none);
    if rows.iter().any(rest) {
        return true;
    }
    let Some(size) = sizes.get(at) else {
        return true;
    };
    (0..*size).all(|state| {
        let fits = |row: &&&Vec<Hits>| match row.get(at) {
            Some(Some(known)) => known.get(state).copied().unwrap_or(false),
            _ => true,
        };
        let left: Vec<_> = rows.iter().filter(fits).copied().collect();
        covers(&left, sizes, at + 1, steps)
    })
}
