//! Gates that can have only one state because of what stands behind their parents: `a` and not `a`.

use std::collections::BTreeSet;

use tidegate_proto::Issues;
use tidegate_proto::graph::Graph;

use super::compile::issue;
use crate::graph::net::{Net, Source, TRUE};

/// Most combinations of states that are looked through for a gate; larger ones are believed.
const MOST: usize = 4096;

/// Tells gates over other gates that are TRUE, or FALSE, whatever is observed.
pub(super) fn refuse(graph: &Graph, net: &Net, issues: &mut Issues) {
    for gate in &net.order {
        if let Some(state) = only_state(net, *gate)
            && let Some(node) = graph.nodes.get(*gate)
        {
            let problem = format!("the gate can only be `{state}`, whatever its sensors say");
            let hint = "what stands behind its parents contradicts itself, or always holds";
            issues.push(issue(node, problem, hint));
        }
    }
}

/// The nodes behind a gate that are no gates; `None` where only its own parents are to be looked at.
fn roots(net: &Net, gate: usize) -> Option<BTreeSet<usize>> {
    let mut roots = BTreeSet::new();
    let mut waiting = vec![gate];
    let mut deep = false;
    while let Some(at) = waiting.pop() {
        match &net.nodes.get(at)?.source {
            Source::Gate(inner) => {
                deep = deep || at != gate;
                waiting.extend(&inner.of);
            }
            _ => {
                roots.insert(at);
            }
        }
        if roots.len() > 12 {
            return None;
        }
    }
    deep.then_some(roots)
}

/// The state that a gate has in every combination of what stands behind it.
fn only_state(net: &Net, gate: usize) -> Option<&str> {
    let own = net.nodes.get(gate)?;
    if !matches!(own.source, Source::Gate(_)) {
        return None;
    }
    let roots = roots(net, gate)?;
    let sizes = roots
        .iter()
        .map(|root| net.nodes.get(*root).map_or(1, |node| node.states.len()));
    let sizes: Vec<usize> = sizes.collect();
    let all = sizes.iter().copied().fold(1, usize::saturating_mul);
    // What has one state is in it or not observed: that is news enough for a gate.
    if all > MOST || sizes.contains(&1) {
        return None;
    }
    let mut first = None;
    for number in 0..all {
        let state = state_in(net, gate, (&roots, &sizes), number)?;
        if *first.get_or_insert(state) != state {
            return None;
        }
    }
    own.states
        .get(usize::from(first? != TRUE))
        .map(AsRef::as_ref)
}

/// The state of a gate in one combination.
fn state_in(
    net: &Net,
    gate: usize,
    (roots, sizes): (&BTreeSet<usize>, &[usize]),
    mut number: usize,
) -> Option<u16> {
    let mut states: Vec<Option<u16>> = vec![None; net.nodes.len()];
    for (root, size) in roots.iter().zip(sizes) {
        *states.get_mut(*root)? = u16::try_from(number % size).ok();
        number /= size;
    }
    for at in &net.order {
        if let Source::Gate(inner) = &net.nodes.get(*at)?.source {
            let parents: Vec<Option<u16>> = inner
                .of
                .iter()
                .map(|parent| states.get(*parent).copied().flatten())
                .collect();
            let own = inner.state(&parents);
            *states.get_mut(*at)? = own;
        }
    }
    states.get(gate).copied().flatten()
}
