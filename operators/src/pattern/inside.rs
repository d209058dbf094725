//! What becomes of elements inside others when a row goes by, when time runs out, and which of them a row goes to.

use std::slice::from_ref;

use tidegate_proto::pattern::Contiguity;

use super::live::Live;
use super::sequence::Sequence;
use super::{Fit, Hand, Moment, Node, NodeKind};
use crate::timer::IDLE;

impl Live {
    /// A row was not taken: what has begun and asks for the very next row can take no more, and so can elements inside
    /// that asked for the very next row as their first.
    pub(crate) fn close(&mut self, node: &Node, hand: &mut Hand<'_>) {
        let strict = node.inner == Contiguity::Strict && self.started();
        let known = strict && self.fit(node, hand) != Fit::Unknown;
        match (self, &node.kind) {
            (Self::Step { closed, .. }, _) => *closed |= known,
            (live @ Self::And { .. }, NodeKind::And { .. }) if known => live.shut(node),
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                for (side, node) in sides.iter_mut().zip(nodes) {
                    side.close(from_ref(node), hand);
                }
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                for (side, node) in sides.iter_mut().zip(nodes) {
                    if let Some(side) = side {
                        side.close(from_ref(node), hand);
                    }
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                if known && !rounds.now.started() {
                    rounds.now.shut(steps);
                } else {
                    rounds.now.close(steps, hand);
                }
                match &mut rounds.next {
                    Some(next) if known => next.shut(steps),
                    Some(next) => next.close(steps, hand),
                    None => {}
                }
            }
            _ => {}
        }
    }

    /// No step in it takes any more; absences go on.
    pub(crate) fn shut(&mut self, node: &Node) {
        match (self, &node.kind) {
            (Self::Step { closed, .. }, _) => *closed = true,
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                for (side, node) in sides.iter_mut().zip(nodes) {
                    side.shut(from_ref(node));
                }
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                for (side, node) in sides.iter_mut().zip(nodes) {
                    if let Some(side) = side {
                        side.shut(from_ref(node));
                    }
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                rounds.now.shut(steps);
                if let Some(next) = &mut rounds.next {
                    next.shut(steps);
                }
            }
            _ => {}
        }
    }

    /// The element before it took another row: what asks for the very next row may take again, and limits run anew.
    pub(crate) fn anew(&mut self, node: &Node, moment: Moment) {
        match (self, &node.kind) {
            (Self::Step { taken: 0, closed }, _) => *closed = false,
            (Self::And { sides, since, .. }, NodeKind::And { sides: nodes, .. }) => {
                since.order = moment.order();
                for (side, node) in sides.iter_mut().zip(nodes) {
                    side.anew(from_ref(node), moment);
                }
            }
            (Self::Or { sides, since, .. }, NodeKind::Or(nodes)) => {
                since.order = moment.order();
                for (side, node) in sides.iter_mut().zip(nodes) {
                    if let Some(side) = side {
                        side.anew(from_ref(node), moment);
                    }
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                rounds.now.anew(steps, moment);
                if let Some(next) = &mut rounds.next {
                    next.anew(steps, moment);
                }
            }
            _ => {}
        }
    }

    /// When the `within` of an element in it has passed.
    pub(crate) fn limit(&self, node: &Node) -> i64 {
        match (self, &node.kind) {
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                let limits = sides.iter().zip(nodes);
                let limits = limits.map(|(side, node)| side.limit(from_ref(node)));
                limits.min().unwrap_or(IDLE)
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let limits = sides.iter().zip(nodes);
                let limits =
                    limits.filter_map(|(side, node)| Some(side.as_ref()?.limit(from_ref(node))));
                limits.min().unwrap_or(IDLE)
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let next = rounds.next.as_ref();
                let next = next.map_or(IDLE, |next| next.limit(steps));
                rounds.now.limit(steps).min(next)
            }
            _ => IDLE,
        }
    }

    /// Elements in it whose `within` has passed; `true`: it cannot be done any more.
    pub(crate) fn expire(&mut self, node: &Node, at: i64) -> bool {
        match (&mut *self, &node.kind) {
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                let mut expired = false;
                for (side, node) in sides.iter_mut().zip(nodes) {
                    expired |= side.expire(from_ref(node), at);
                }
                expired
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                for (side, node) in sides.iter_mut().zip(nodes) {
                    let expired = side.as_mut().map(|side| side.expire(from_ref(node), at));
                    if expired == Some(true) {
                        *side = None;
                    }
                }
                sides.iter().all(Option::is_none)
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let next = rounds.next.as_mut();
                if next.is_some_and(|next| next.expire(steps, at)) {
                    rounds.next = None;
                }
                rounds.now.expire(steps, at) && !self.satisfied(node)
            }
            _ => false,
        }
    }

    /// Whether it keeps the row at hand, which fits it, from what stands behind it: so does the element inside that the
    /// row goes to.
    pub(crate) fn greedy(&self, node: &Node, hand: &mut Hand<'_>) -> bool {
        let greedy = |side: &Sequence, nodes: &[Node], hand: &mut Hand<'_>| {
            let chosen = side.choose(nodes, hand);
            chosen.map(|(_, greedy)| greedy)
        };
        match (self, &node.kind) {
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                let mut sides = sides.iter().zip(nodes);
                sides.any(|(side, node)| greedy(side, from_ref(node), hand) == Some(true))
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let mut sides = sides.iter().zip(nodes);
                sides.find_map(|(side, node)| greedy(side.as_ref()?, from_ref(node), hand))
                    == Some(true)
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let again = node.greedy && (node.max > 1 || !self.started());
                again || greedy(&rounds.now, steps, hand) == Some(true)
            }
            _ => node.greedy,
        }
    }
}
