//! What a rule reads of what other rules say: at its top, as inputs, as streams of a join, as nodes of a graph.

use std::sync::Arc;

use crate::across::{Direction, Join, JoinWithin, StreamOf};
use crate::graph::GraphNode;
use crate::outcome::OutcomeKind;
use crate::rule::{Body, Rule};
use crate::said::SaidNode;

impl StreamOf {
    /// Whether it has lines of a kind of a rule.
    #[must_use]
    pub fn has(&self, rule: &str, kind: OutcomeKind) -> bool {
        self.reads(rule) && self.kinds.contains(&kind)
    }

    /// Whether it has lines of a rule.
    #[must_use]
    pub fn reads(&self, rule: &str) -> bool {
        self.rules.iter().any(|name| name.as_ref() == rule)
    }
}

impl JoinWithin {
    /// How far behind the time of a join its lines may lie, without `lateness`, in ms.
    const fn waits(&self) -> i64 {
        match self {
            Self::Interval { before, after } => {
                let longer = if *before > *after { *before } else { *after };
                if longer > 0 { longer } else { 0 }
            }
            Self::Window { size, latest, .. } => {
                if *latest {
                    size.0
                } else {
                    0
                }
            }
            Self::AsOf {
                tolerance: Some(tolerance),
                direction: Direction::Forward | Direction::Nearest,
                ..
            } => tolerance.0,
            Self::AsOf { .. } | Self::Same => 0,
        }
    }
}

impl Join {
    /// Streams that are lines of rules.
    pub fn of_rules(&self) -> impl Iterator<Item = &StreamOf> {
        let sides = [&self.left, &self.right].into_iter();
        sides.filter_map(|side| side.of.as_ref())
    }

    /// Names of the rules whose lines are in one of its streams, sorted.
    #[must_use]
    pub fn rules(&self) -> Vec<Arc<str>> {
        let mut rules: Vec<Arc<str>> = self.of_rules().flat_map(|of| &of.rules).cloned().collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// Whether one of its streams is events.
    #[must_use]
    pub const fn has_events(&self) -> bool {
        self.left.of.is_none() || self.right.of.is_none()
    }
}

impl Rule {
    /// The join that it is, if one of its streams is lines of rules.
    #[must_use]
    pub fn join_of_rules(&self) -> Option<&Join> {
        match &self.body {
            Body::Join(join) if join.of_rules().next().is_some() => Some(join),
            _ => None,
        }
    }

    /// Where lines of other rules are rows of its own, and not only values of an input.
    fn streams(&self) -> impl Iterator<Item = &StreamOf> {
        let sides = self.join_of_rules().into_iter().flat_map(Join::of_rules);
        self.from.iter().chain(sides)
    }

    /// Whether lines of other rules are rows of its own: such a rule runs by itself.
    #[must_use]
    pub fn is_reader(&self) -> bool {
        self.streams().next().is_some()
    }

    /// Rules whose lines are rows of its own; some may be there twice.
    pub fn read_rows(&self) -> impl Iterator<Item = &Arc<str>> {
        self.streams().flat_map(|of| &of.rules)
    }

    /// Names of the rules whose lines it reads, sorted.
    #[must_use]
    pub fn reads(&self) -> Vec<Arc<str>> {
        let inputs = self.across.inputs.iter();
        let inputs = inputs.filter_map(|input| input.rule.as_ref());
        let nodes = self.said_nodes().map(|(_, said)| &said.rule);
        let all = self.read_rows().chain(inputs).chain(nodes);
        let mut rules: Vec<Arc<str>> = all.cloned().collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// Whether it wants lines of a kind of a rule.
    #[must_use]
    pub fn wants(&self, rule: &str, kind: OutcomeKind) -> bool {
        self.streams().any(|of| of.has(rule, kind)) || self.hears(rule, kind)
    }

    /// Whether it reads lines of a kind of a rule beside events.
    #[must_use]
    pub fn hears(&self, rule: &str, kind: OutcomeKind) -> bool {
        let shows =
            |(_, said): (&GraphNode, &SaidNode)| said.rule.as_ref() == rule && said.wants(kind);
        (kind != OutcomeKind::State && self.has_input_of(rule)) || self.said_nodes().any(shows)
    }

    /// How far behind the time of a task its first lines may lie, in ms: windows take rows and joins wait for so long.
    #[must_use]
    pub fn behind(&self) -> i64 {
        match &self.body {
            Body::Window(window) => window.lateness.0,
            Body::Join(join) => join.within.waits().saturating_add(join.lateness.0),
            Body::When(_) | Body::Pattern(_) | Body::Graph(_) => 0,
        }
    }

    /// Whether one of its inputs has the values of a rule's lines.
    fn has_input_of(&self, rule: &str) -> bool {
        let mut inputs = self.across.inputs.iter();
        inputs.any(|input| input.rule.as_deref() == Some(rule))
    }
}
