//! In which order nodes of a graph are looked at: parents first, and functions after what they name.

use std::collections::{BTreeMap, BTreeSet};

use tidegate_proto::Issues;
use tidegate_proto::graph::Graph;

use super::compile::{Formulas, issue, names_of};
use crate::graph::net::{NetNode, Source as NetSource};

/// Gates and tables, parents first. The document has been checked for cycles.
pub(super) fn parents_first(nodes: &[NetNode]) -> Vec<usize> {
    let mut order = Vec::new();
    let mut done: Vec<bool> = nodes
        .iter()
        .map(|node| matches!(node.source, NetSource::Prior(_)))
        .collect();
    while let Some(next) = (0..nodes.len()).find(|index| {
        let ready = |parent: &usize| done.get(*parent).copied().unwrap_or(true);
        let node = nodes.get(*index);
        !done.get(*index).copied().unwrap_or(true)
            && node.is_some_and(|node| node.source.parents().iter().all(ready))
    }) {
        order.push(next);
        if let Some(done) = done.get_mut(next) {
            *done = true;
        }
    }
    order
}

/// The order in which nodes run: lower groups first, then as written, functions after what they name.
pub(super) fn run_order(graph: &Graph, formulas: &[Formulas], issues: &mut Issues) -> Vec<usize> {
    let runs = |index: usize| formulas.get(index).is_some_and(|f| f.formula.is_some());
    let mut left: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (index, own) in formulas
        .iter()
        .enumerate()
        .filter(|(index, _)| runs(*index))
    {
        let named = names_of(index, own, graph).into_iter();
        left.insert(index, named.filter(|other| runs(*other)).collect());
    }
    let mut order = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let ready = left
            .iter()
            .filter(|(_, named)| named.iter().all(|other| !left.contains_key(other)));
        let group = |index: usize| graph.nodes.get(index).map_or(1, |node| node.sequence);
        let next = ready.map(|(index, _)| (group(*index), *index)).min();
        let Some((_, next)) = next else {
            let names = left.keys().filter_map(|index| graph.nodes.get(*index));
            let names: Vec<String> = names.map(|node| format!("`{}`", node.name)).collect();
            if let Some(node) = left.keys().next().and_then(|index| graph.nodes.get(*index)) {
                let problem = format!("formulas name each other in a circle: {}", names.join(", "));
                let hint =
                    "take one name out of the circle: a node may read its own last run with `prev`";
                issues.push(issue(node, problem, hint));
            }
            break;
        };
        left.remove(&next);
        order.push(next);
    }
    order
}
