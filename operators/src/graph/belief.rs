//! [`Belief`]: how likely each state of each node is under what is observed: the exact posterior, rounded once.
//!
//! Variables are eliminated in a fixed order (least table first); messages go up the tree of cliques and down again
//! (Shenoy and Shafer 1990), in whole numbers. Gates over many parents become chains of hidden variables that count hits
//! one parent at a time, so that a gate of fifty sensors costs fifty small tables.

mod factors;

use std::collections::BTreeSet;

use self::factors::{Builder, Factor, Odometer, index, places, reduced};
use super::natural::Natural;
use super::net::{Net, Source};

/// Most states of a clique; what needs more is refused.
pub(crate) const MOST_JOINT: usize = 65_536;

/// Probabilities of the nodes in billionths; `None`: what is observed cannot be.
pub(crate) type Likelihoods = Option<Vec<Vec<u64>>>;

/// A clique: the variable that is eliminated with it comes first.
#[derive(Clone, Debug)]
struct Clique {
    variables: Vec<usize>,
    factors: Vec<Factor>,
    /// The clique that takes its message.
    parent: Option<usize>,
    children: Vec<usize>,
}

/// One connected part of a net.
#[derive(Clone, Debug)]
struct Part {
    /// In the order of elimination.
    cliques: Vec<Clique>,
}

/// What beliefs are computed by; made once for a net.
#[derive(Debug)]
pub(crate) struct Belief {
    /// States of each variable; the first are the nodes.
    sizes: Vec<usize>,
    nodes: usize,
    parts: Vec<Part>,
    /// The part of each node.
    part_of: Vec<usize>,
}

/// Nodes whose clique is too large.
#[derive(Debug)]
pub(crate) struct TooLarge {
    pub(crate) nodes: Vec<usize>,
    pub(crate) states: usize,
}

impl Belief {
    /// Finds the cliques of a net.
    pub(crate) fn new(net: &Net) -> Result<Self, TooLarge> {
        let sizes = net.nodes.iter().map(|node| node.states.len()).collect();
        let mut builder = Builder {
            sizes,
            factors: Vec::new(),
        };
        for (index, node) in net.nodes.iter().enumerate() {
            match &node.source {
                Source::Prior(weights) => builder.factors.push(Factor {
                    of: vec![index],
                    weights: reduced(weights.clone()),
                }),
                Source::Table { of, weights } => {
                    let mut variables = vec![index];
                    variables.extend(of);
                    builder.factors.push(Factor {
                        of: variables,
                        weights: reduced(weights.clone()),
                    });
                }
                Source::Gate(gate) => builder.gate(index, gate).map_err(|states| {
                    let mut nodes = gate.of.clone();
                    nodes.push(index);
                    TooLarge { nodes, states }
                })?,
            }
        }
        let nodes = net.nodes.len();
        let mut belief = Self {
            sizes: builder.sizes,
            nodes,
            parts: Vec::new(),
            part_of: vec![0; nodes],
        };
        belief.divide(&builder.factors)?;
        Ok(belief)
    }

    /// Makes a part of all variables that factors connect.
    fn divide(&mut self, factors: &[Factor]) -> Result<(), TooLarge> {
        let mut group: Vec<usize> = (0..self.sizes.len()).collect();
        let find = |group: &[usize], mut at: usize| {
            while let Some(next) = group.get(at).copied().filter(|next| *next != at) {
                at = next;
            }
            at
        };
        for factor in factors {
            for pair in factor.of.windows(2) {
                let [a, b] = pair else { continue };
                let (a, b) = (find(&group, *a), find(&group, *b));
                if let Some(place) = group.get_mut(a.max(b)) {
                    *place = a.min(b);
                }
            }
        }
        let roots: Vec<usize> = (0..self.sizes.len()).map(|v| find(&group, v)).collect();
        let distinct: BTreeSet<usize> = roots.iter().copied().collect();
        for (number, root) in distinct.into_iter().enumerate() {
            let members = (0..self.sizes.len()).filter(|v| roots.get(*v) == Some(&root));
            let members: BTreeSet<usize> = members.collect();
            for member in members.iter().filter(|member| **member < self.nodes) {
                if let Some(part) = self.part_of.get_mut(*member) {
                    *part = number;
                }
            }
            let own = factors.iter();
            let own = own.filter(|f| f.of.first().is_some_and(|v| members.contains(v)));
            let part = self.eliminate(members.clone(), own.cloned().collect())?;
            self.parts.push(part);
        }
        Ok(())
    }

    /// The joint size of variables.
    fn joint<'v>(&self, variables: impl Iterator<Item = &'v usize>) -> usize {
        let sizes = variables.map(|v| self.sizes.get(*v).copied().unwrap_or(1));
        sizes.fold(1, usize::saturating_mul)
    }

    fn eliminate(&self, mut left: BTreeSet<usize>, factors: Vec<Factor>) -> Result<Part, TooLarge> {
        let mut neighbours: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); self.sizes.len()];
        for factor in &factors {
            for a in &factor.of {
                if let Some(near) = neighbours.get_mut(*a) {
                    near.extend(factor.of.iter().filter(|b| *b != a));
                }
            }
        }
        let mut cliques: Vec<Clique> = Vec::with_capacity(left.len());
        let mut factors: Vec<Option<Factor>> = factors.into_iter().map(Some).collect();
        let near = |neighbours: &[BTreeSet<usize>], v: usize| {
            neighbours.get(v).cloned().unwrap_or_default()
        };
        while !left.is_empty() {
            let cost = |v: &usize| {
                let others = near(&neighbours, *v);
                (self.joint(others.iter().chain([v])), others.len(), *v)
            };
            let Some(variable) = left.iter().copied().min_by_key(cost) else {
                break;
            };
            left.remove(&variable);
            let others = near(&neighbours, variable);
            let mut variables = vec![variable];
            variables.extend(&others);
            let states = self.joint(variables.iter());
            if states > MOST_JOINT {
                variables.retain(|v| *v < self.nodes);
                variables.sort_unstable();
                return Err(TooLarge {
                    nodes: variables,
                    states,
                });
            }
            for a in &others {
                if let Some(near) = neighbours.get_mut(*a) {
                    near.remove(&variable);
                    near.extend(others.iter().filter(|b| *b != a));
                }
            }
            let own = factors
                .iter_mut()
                .filter(|f| f.as_ref().is_some_and(|f| f.of.contains(&variable)));
            let own = own.filter_map(Option::take).collect();
            cliques.push(Clique {
                variables,
                factors: own,
                parent: None,
                children: Vec::new(),
            });
        }
        Ok(Part {
            cliques: linked(cliques),
        })
    }

    /// The part of a node.
    pub(crate) fn part(&self, node: usize) -> usize {
        self.part_of.get(node).copied().unwrap_or_default()
    }

    pub(crate) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Probabilities of the nodes of a part, by node; those of other parts are empty.
    pub(crate) fn of(&self, part: usize, observed: &[Option<u16>]) -> Likelihoods {
        let part = self.parts.get(part)?;
        let solver = Solver {
            belief: self,
            part,
            observed,
        };
        let up = solver.up();
        let down = solver.down(&up);
        let mut out = vec![Vec::new(); self.nodes];
        for (number, clique) in part.cliques.iter().enumerate() {
            let Some(variable) = clique.variables.first().filter(|v| **v < self.nodes) else {
                continue;
            };
            let own = solver.sum(number, &[*variable], (&up, &down), None);
            let mut whole = Natural::default();
            own.iter().for_each(|weight| whole.add(weight));
            if whole.is_zero() {
                return None;
            }
            if let Some(place) = out.get_mut(*variable) {
                *place = own.iter().map(|weight| weight.billionths(&whole)).collect();
            }
        }
        Some(out)
    }
}

/// Links each clique to the one that holds the next of its variables to go.
fn linked(mut cliques: Vec<Clique>) -> Vec<Clique> {
    let firsts: Vec<usize> = cliques
        .iter()
        .filter_map(|clique| clique.variables.first().copied())
        .collect();
    let place = |variable: &usize| firsts.iter().position(|first| first == variable);
    let parents: Vec<Option<usize>> = cliques
        .iter()
        .map(|clique| clique.variables.iter().skip(1).filter_map(place).min())
        .collect();
    for (number, parent) in parents.into_iter().enumerate() {
        if let Some(clique) = cliques.get_mut(number) {
            clique.parent = parent;
        }
        if let Some(parent) = parent.and_then(|parent| cliques.get_mut(parent)) {
            parent.children.push(number);
        }
    }
    cliques
}

/// Places of some variables among others, and their sizes.
type Strides = (Vec<usize>, Vec<usize>);

/// Messages between cliques, over the variables of the child without its first.
type Messages = Vec<Vec<Natural>>;

/// One computation.
struct Solver<'a> {
    belief: &'a Belief,
    part: &'a Part,
    observed: &'a [Option<u16>],
}

impl Solver<'_> {
    fn sizes(&self, variables: &[usize]) -> Vec<usize> {
        let size = |v: &usize| self.belief.sizes.get(*v).copied().unwrap_or(1);
        variables.iter().map(size).collect()
    }

    /// Sums everything that a clique knows over all but some variables; `without`: a child whose message is left out.
    fn sum(
        &self,
        clique: usize,
        keep: &[usize],
        (up, down): (&Messages, &Messages),
        without: Option<usize>,
    ) -> Vec<Natural> {
        let Some(own) = self.part.cliques.get(clique) else {
            return Vec::new();
        };
        let place_of = |of: &[usize]| (places(of, &own.variables), self.sizes(of));
        let factors = own.factors.iter();
        let factors: Vec<_> = factors.map(|f| (&f.weights, place_of(&f.of))).collect();
        let mut messages: Vec<(&Vec<Natural>, Strides)> = Vec::new();
        for child in own.children.iter().filter(|child| Some(**child) != without) {
            let over = self.part.cliques.get(*child);
            let over = over.and_then(|child| child.variables.get(1..));
            if let (Some(message), Some(over)) = (up.get(*child), over) {
                messages.push((message, place_of(over)));
            }
        }
        let from_parent = down.get(clique).filter(|message| !message.is_empty());
        if let (Some(message), Some(over)) = (from_parent, own.variables.get(1..)) {
            messages.push((message, place_of(over)));
        }
        let (kept, kept_sizes) = place_of(keep);
        let mut out = vec![Natural::default(); kept_sizes.iter().product()];
        let ranges = own.variables.iter().map(|v| {
            let size = self.belief.sizes.get(*v).copied().unwrap_or(1);
            let seen = self.observed.get(*v).copied().flatten();
            seen.map_or((0, size), |state| {
                let state = usize::from(state).min(size);
                (state, state + 1)
            })
        });
        let mut odometer = Odometer::new(ranges.collect());
        while !odometer.done {
            let at = &odometer.at;
            let mut weight = Natural::of(1);
            for (weights, (places, sizes)) in &factors {
                let factor = weights.get(index(at, places, sizes)).copied();
                weight = weight.times(&Natural::of(factor.unwrap_or_default()));
                if weight.is_zero() {
                    break;
                }
            }
            for (message, (places, sizes)) in &messages {
                if weight.is_zero() {
                    break;
                }
                if let Some(factor) = message.get(index(at, places, sizes)) {
                    weight = weight.times(factor);
                }
            }
            if let Some(place) = out.get_mut(index(at, &kept, &kept_sizes)) {
                place.add(&weight);
            }
            odometer.step();
        }
        out
    }

    fn up(&self) -> Messages {
        let mut up: Messages = vec![Vec::new(); self.part.cliques.len()];
        for (number, clique) in self.part.cliques.iter().enumerate() {
            if clique.parent.is_none() {
                continue;
            }
            let keep = clique.variables.get(1..).unwrap_or_default();
            let message = self.sum(number, keep, (&up, &Vec::new()), None);
            if let Some(place) = up.get_mut(number) {
                *place = message;
            }
        }
        up
    }

    fn down(&self, up: &Messages) -> Messages {
        let mut down: Messages = vec![Vec::new(); self.part.cliques.len()];
        for number in (0..self.part.cliques.len()).rev() {
            let Some(clique) = self.part.cliques.get(number) else {
                continue;
            };
            let Some(parent) = clique.parent else {
                continue;
            };
            let keep = clique.variables.get(1..).unwrap_or_default();
            let message = self.sum(parent, keep, (up, &down), Some(number));
            if let Some(place) = down.get_mut(number) {
                *place = message;
            }
        }
        down
    }
}

#[cfg(test)]
mod tests;
