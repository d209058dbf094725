//! [`Live`]: how far one element of one attempt has come.

use std::slice::from_ref;

use serde::{Deserialize, Serialize};
use tidegate_proto::pattern::{Contiguity, OnBreak};

use super::rounds::Rounds;
use super::sequence::Sequence;
use super::{Fit, Hand, Moment, Node, NodeKind, Since, Taken};
use crate::timer::IDLE;

/// How far an element has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Live {
    Step {
        taken: u32,
        closed: bool,
    },
    Between {
        /// Its only row has passed.
        done: bool,
    },
    Absence {
        since: i64,
        ended: bool,
    },
    And {
        /// Each a sequence of one.
        sides: Vec<Sequence>,
        started: bool,
        /// A negation was broken: what completes next is used up.
        spent: bool,
        since: Since,
    },
    Or {
        /// `None`: lost.
        sides: Vec<Option<Sequence>>,
        started: bool,
        since: Since,
    },
    Group(Box<Rounds>),
}

/// What the row at hand does to negations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Keep,
    Break,
    /// This side of an `or` is lost.
    Lost,
    /// The `and` around it is spent.
    Spend,
}

impl Live {
    /// An element that is reached at a moment.
    pub(crate) fn fresh(node: &Node, moment: Moment) -> Self {
        let begin = |side: &Node| Sequence::begin(from_ref(side), moment);
        match &node.kind {
            NodeKind::Step { .. } => Self::Step {
                taken: 0,
                closed: false,
            },
            NodeKind::Between { .. } => Self::Between { done: false },
            NodeKind::Absence { .. } => Self::Absence {
                since: moment.at,
                ended: false,
            },
            NodeKind::And { sides, .. } => Self::And {
                sides: sides.iter().map(begin).collect(),
                started: false,
                spent: false,
                since: moment.since(),
            },
            NodeKind::Or(sides) => Self::Or {
                sides: sides.iter().map(|side| Some(begin(side))).collect(),
                started: false,
                since: moment.since(),
            },
            NodeKind::Group(steps) => Self::Group(Box::new(Rounds {
                done: 0,
                now: Sequence::begin(steps, moment),
                next: None,
            })),
        }
    }

    /// Whether a row was taken, or an absence has ended.
    pub(crate) fn started(&self) -> bool {
        match self {
            Self::Step { taken, .. } => *taken > 0,
            Self::Between { .. } => false,
            Self::Absence { ended, .. } => *ended,
            Self::And { started, .. } | Self::Or { started, .. } => *started,
            Self::Group(rounds) => rounds.done > 0 || rounds.now.started(),
        }
    }

    /// Whether the attempt may go on behind it.
    pub(crate) fn satisfied(&self, node: &Node) -> bool {
        if node.min == 0 && !self.started() {
            return true;
        }
        match (self, &node.kind) {
            (Self::Step { taken, .. }, _) => *taken >= node.min,
            (Self::Between { .. }, _) => true,
            (Self::Absence { ended, .. }, _) => *ended,
            (Self::And { sides, started, .. }, NodeKind::And { sides: nodes, .. }) => {
                *started
                    && sides
                        .iter()
                        .zip(nodes)
                        .all(|(side, node)| side.can_end(from_ref(node)))
            }
            (Self::Or { sides, started, .. }, NodeKind::Or(nodes)) => {
                let mut sides = sides.iter().zip(nodes);
                *started
                    && sides.any(|(side, node)| {
                        let side = side.as_ref();
                        side.is_some_and(|side| side.started() && side.can_end(from_ref(node)))
                    })
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let ends = rounds.now.can_end(steps);
                let rest = rounds.done > 0 && !rounds.now.started();
                (ends && rounds.done + 1 >= node.min) || (rest && rounds.done >= node.min)
            }
            _ => false,
        }
    }

    /// Whether a row could still be taken, or an absence end.
    pub(crate) fn open(&self, node: &Node) -> bool {
        match (self, &node.kind) {
            (Self::Step { taken, closed }, _) => !closed && *taken < node.max,
            (Self::Absence { ended, .. }, _) => !ended,
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                let pairs = || sides.iter().zip(nodes);
                let open = |(side, node): (&Sequence, &Node)| side.any_open(from_ref(node));
                // One that can take no more and is not done will never be.
                pairs().any(open)
                    && pairs()
                        .all(|(side, node)| open((side, node)) || side.can_end(from_ref(node)))
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let mut sides = sides.iter().zip(nodes);
                sides.any(|(side, node)| {
                    let side = side.as_ref();
                    side.is_some_and(|side| side.any_open(from_ref(node)))
                })
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                rounds.now.any_open(steps)
                    || rounds
                        .next
                        .as_ref()
                        .is_some_and(|next| next.any_open(steps))
            }
            _ => false,
        }
    }

    /// Negations, absences and `until` look at the row at hand.
    pub(crate) fn forbid(&mut self, node: &Node, hand: &mut Hand<'_>) -> Verdict {
        match (self, &node.kind) {
            (
                Self::Step { taken, closed },
                NodeKind::Step {
                    until: Some(until), ..
                },
            ) => {
                if *taken == 0 || *closed || hand.fit(*until) != Fit::Yes {
                    return Verdict::Keep;
                }
                *closed = true;
                let broken = *taken < node.min;
                if broken {
                    Verdict::Break
                } else {
                    Verdict::Keep
                }
            }
            (Self::Between { done: false }, NodeKind::Between { test, on_break })
                if hand.fit(*test) == Fit::Yes =>
            {
                match on_break {
                    OnBreak::Spend => Verdict::Spend,
                    OnBreak::Drop => Verdict::Lost,
                    _ => Verdict::Break,
                }
            }
            (Self::Between { done }, _) => {
                *done |= node.contiguity == Contiguity::Strict;
                Verdict::Keep
            }
            (live @ Self::Absence { ended: false, .. }, _) => live.forbid_absence(node, hand),
            (live @ Self::And { .. }, NodeKind::And { .. }) => live.forbid_and(node, hand),
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => forbid_or(sides, nodes, hand),
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let next = rounds.next.as_mut();
                let broken = rounds.now.forbid(steps, hand)
                    || next.is_some_and(|next| next.forbid(steps, hand));
                if broken {
                    Verdict::Break
                } else {
                    Verdict::Keep
                }
            }
            _ => Verdict::Keep,
        }
    }

    fn forbid_absence(&mut self, node: &Node, hand: &mut Hand<'_>) -> Verdict {
        let (Self::Absence { since, .. }, NodeKind::Absence { test, on_break, .. }) =
            (self, &node.kind)
        else {
            return Verdict::Keep;
        };
        if hand.fit(*test) != Fit::Yes {
            return Verdict::Keep;
        }
        match on_break {
            OnBreak::Restart => {
                *since = hand.at;
                Verdict::Keep
            }
            OnBreak::Drop => Verdict::Lost,
            _ => Verdict::Break,
        }
    }

    fn forbid_and(&mut self, node: &Node, hand: &mut Hand<'_>) -> Verdict {
        let complete = self.satisfied(node);
        let (Self::And { sides, spent, .. }, NodeKind::And { sides: nodes, .. }) =
            (self, &node.kind)
        else {
            return Verdict::Keep;
        };
        for (side, node) in sides.iter_mut().zip(nodes) {
            // Once all sides are there, nothing is forbidden between them any more.
            if complete && matches!(node.kind, NodeKind::Between { .. }) {
                continue;
            }
            match side.verdict(from_ref(node), hand) {
                Verdict::Spend => *spent = true,
                Verdict::Break | Verdict::Lost => return Verdict::Break,
                Verdict::Keep => {}
            }
        }
        Verdict::Keep
    }

    /// Whether it would take the row at hand.
    pub(crate) fn fit(&self, node: &Node, hand: &mut Hand<'_>) -> Fit {
        if !self.open(node) {
            return Fit::No;
        }
        match (self, &node.kind) {
            (Self::Step { .. }, NodeKind::Step { test, until }) => {
                if until.is_some_and(|until| hand.fit(until) == Fit::Yes) {
                    return Fit::No;
                }
                test.map_or(Fit::Yes, |test| hand.fit(test))
            }
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                let mut fit = Fit::No;
                for (side, node) in sides.iter().zip(nodes) {
                    fit = fit.or(side.fit(from_ref(node), hand));
                }
                fit
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let mut fit = Fit::No;
                for (side, node) in sides.iter().zip(nodes) {
                    let own = side.as_ref().map(|side| side.fit(from_ref(node), hand));
                    fit = fit.or(own.unwrap_or(Fit::No));
                }
                fit
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let now = rounds.now.fit(steps, hand);
                let next = rounds.next.as_ref();
                now.or(next.map_or(Fit::No, |next| next.fit(steps, hand)))
            }
            _ => Fit::No,
        }
    }

    /// Takes the row at hand, which fits.
    pub(crate) fn take(&mut self, node: &Node, hand: &mut Hand<'_>) {
        match (&mut *self, &node.kind) {
            (Self::Step { taken, .. }, _) => {
                *taken += 1;
                hand.take(node.from);
            }
            (
                Self::And { sides, started, .. },
                NodeKind::And {
                    sides: nodes,
                    share,
                },
            ) => {
                let pairs = || sides.iter().zip(nodes);
                // All sides look before the first takes: they see the rows before this one.
                let fits: Vec<bool> = pairs()
                    .map(|(side, node)| side.fit(from_ref(node), hand) == Fit::Yes)
                    .collect();
                *started = true;
                for ((side, node), _) in sides
                    .iter_mut()
                    .zip(nodes)
                    .zip(fits)
                    .filter(|(_, fits)| *fits)
                {
                    side.take(from_ref(node), 0, hand);
                    if !share {
                        break;
                    }
                }
                self.spend(node, hand.at, hand.rows);
            }
            (
                Self::Or {
                    sides,
                    started,
                    since,
                },
                NodeKind::Or(nodes),
            ) => {
                let mut found = None;
                for (index, (own, side)) in sides.iter_mut().zip(nodes).enumerate() {
                    if let Some(own) = own
                        && own.fit(from_ref(side), hand) == Fit::Yes
                    {
                        own.take(from_ref(side), 0, hand);
                        found = own.can_end(from_ref(side)).then_some((index, side));
                        break;
                    }
                }
                *started = true;
                if let Some((index, side)) = found {
                    only(sides, index);
                    since.release(hand.rows, node, Some(side));
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => rounds.take(node, steps, hand),
            _ => {}
        }
    }

    /// A complete `and` whose negation was broken begins again.
    pub(super) fn spend(&mut self, node: &Node, at: i64, rows: &mut Vec<Taken>) {
        if let Self::And {
            spent: true, since, ..
        } = *self
            && self.satisfied(node)
        {
            since.release(rows, node, None);
            *self = Self::fresh(node, Moment::after(rows, at));
        }
    }

    /// When the next absence in it ends.
    pub(crate) fn due(&self, node: &Node) -> i64 {
        if !self.open(node) {
            return IDLE;
        }
        match (self, &node.kind) {
            (
                Self::Absence {
                    since,
                    ended: false,
                },
                NodeKind::Absence { lasts, .. },
            ) => since.saturating_add(*lasts),
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                let dues = sides.iter().zip(nodes);
                let dues = dues.map(|(side, node)| side.due(from_ref(node)));
                dues.min().unwrap_or(IDLE)
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let dues = sides.iter().zip(nodes);
                let dues = dues.filter_map(|(side, node)| Some(side.as_ref()?.due(from_ref(node))));
                dues.min().unwrap_or(IDLE)
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let next = rounds.next.as_ref().map_or(IDLE, |next| next.due(steps));
                rounds.now.due(steps).min(next)
            }
            _ => IDLE,
        }
    }

    /// Ends the first absence that is due at a time.
    pub(crate) fn end(&mut self, node: &Node, at: i64, rows: &mut Vec<Taken>) {
        if self.due(node) > at {
            return;
        }
        match (&mut *self, &node.kind) {
            (Self::Absence { ended, .. }, _) => {
                *ended = true;
                rows.push(Taken {
                    alias: node.from,
                    order: rows.last().map_or(0, |taken| taken.order),
                    at,
                    row: None,
                });
            }
            (Self::And { sides, started, .. }, NodeKind::And { sides: nodes, .. }) => {
                let mut pairs = sides.iter_mut().zip(nodes);
                if let Some((side, node)) =
                    pairs.find(|(side, node)| side.due(from_ref(*node)) <= at)
                {
                    side.end(from_ref(node), at, rows);
                }
                *started = true;
                self.spend(node, at, rows);
            }
            (
                Self::Or {
                    sides,
                    started,
                    since,
                },
                NodeKind::Or(nodes),
            ) => {
                for (index, side) in nodes.iter().enumerate() {
                    let own = sides.get_mut(index).and_then(Option::as_mut);
                    let Some(own) = own.filter(|own| own.due(from_ref(side)) <= at) else {
                        continue;
                    };
                    own.end(from_ref(side), at, rows);
                    *started = true;
                    if own.can_end(from_ref(side)) {
                        only(sides, index);
                        since.release(rows, node, Some(side));
                    }
                    break;
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => rounds.end(node, steps, at, rows),
            _ => {}
        }
    }
}

/// Loses every side but one.
pub(super) fn only(sides: &mut [Option<Sequence>], index: usize) {
    for (other, side) in sides.iter_mut().enumerate() {
        if other != index {
            *side = None;
        }
    }
}

/// Sides of an `or`: those whose absence is broken are lost.
fn forbid_or(sides: &mut [Option<Sequence>], nodes: &[Node], hand: &mut Hand<'_>) -> Verdict {
    for (side, node) in sides.iter_mut().zip(nodes) {
        let Some(own) = side else { continue };
        match own.verdict(from_ref(node), hand) {
            Verdict::Lost => *side = None,
            Verdict::Break => return Verdict::Break,
            Verdict::Keep | Verdict::Spend => {}
        }
    }
    if sides.iter().all(Option::is_none) {
        Verdict::Break
    } else {
        Verdict::Keep
    }
}
