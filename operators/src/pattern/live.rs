//! [`Live`]: how far one element of one attempt has come.

use serde::{Deserialize, Serialize};
use tidegate_proto::pattern::{Contiguity, OnBreak};

use super::rounds::Rounds;
use super::sequence::Sequence;
use super::{Fit, Hand, Node, NodeKind, Taken};
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
        sides: Vec<Live>,
        started: bool,
        /// A negation was broken: what completes next is used up.
        spent: bool,
        closed: bool,
    },
    Or {
        /// `None`: lost.
        sides: Vec<Option<Live>>,
        started: bool,
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
    /// An element that is reached at a time.
    pub(crate) fn fresh(node: &Node, at: i64) -> Self {
        match &node.kind {
            NodeKind::Step { .. } => Self::Step {
                taken: 0,
                closed: false,
            },
            NodeKind::Between { .. } => Self::Between { done: false },
            NodeKind::Absence { .. } => Self::Absence {
                since: at,
                ended: false,
            },
            NodeKind::And { sides, .. } => Self::And {
                sides: sides.iter().map(|side| Self::fresh(side, at)).collect(),
                started: false,
                spent: false,
                closed: false,
            },
            NodeKind::Or(sides) => Self::Or {
                sides: sides
                    .iter()
                    .map(|side| Some(Self::fresh(side, at)))
                    .collect(),
                started: false,
            },
            NodeKind::Group(steps) => Self::Group(Box::new(Rounds {
                done: 0,
                now: Sequence::begin(steps, (at, None)),
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
                        .all(|(live, node)| live.satisfied(node))
            }
            (Self::Or { sides, started }, NodeKind::Or(nodes)) => {
                let mut sides = sides.iter().zip(nodes);
                *started
                    && sides.any(|(live, node)| {
                        let live = live.as_ref();
                        live.is_some_and(|live| live.started() && live.satisfied(node))
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
            (Self::And { sides, closed, .. }, NodeKind::And { sides: nodes, .. }) => {
                !closed && sides.iter().zip(nodes).any(|(live, node)| live.open(node))
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let mut sides = sides.iter().zip(nodes);
                sides.any(|(live, node)| live.as_ref().is_some_and(|live| live.open(node)))
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
        for (live, node) in sides.iter_mut().zip(nodes) {
            // Once all sides are there, nothing is forbidden between them any more.
            if complete && matches!(live, Self::Between { .. }) {
                continue;
            }
            match live.forbid(node, hand) {
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
                for (live, node) in sides.iter().zip(nodes) {
                    fit = fit.or(live.fit(node, hand));
                }
                fit
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let mut fit = Fit::No;
                for (live, node) in sides.iter().zip(nodes) {
                    let own = live.as_ref().map(|live| live.fit(node, hand));
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
                    .map(|(live, node)| live.fit(node, hand) == Fit::Yes)
                    .collect();
                *started = true;
                for ((live, node), _) in sides
                    .iter_mut()
                    .zip(nodes)
                    .zip(fits)
                    .filter(|(_, fits)| *fits)
                {
                    live.take(node, hand);
                    if !share {
                        break;
                    }
                }
                self.spend(node, hand.at, hand.rows);
            }
            (Self::Or { sides, started }, NodeKind::Or(nodes)) => {
                let mut found = None;
                for (index, (live, side)) in sides.iter_mut().zip(nodes).enumerate() {
                    if let Some(live) = live
                        && live.fit(side, hand) == Fit::Yes
                    {
                        live.take(side, hand);
                        found = live.satisfied(side).then_some((index, side));
                        break;
                    }
                }
                *started = true;
                if let Some((index, side)) = found {
                    only(sides, index);
                    hand.release((node.from, node.to), (side.from, side.to));
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => rounds.take(node, steps, hand),
            _ => {}
        }
    }

    /// A complete `and` whose negation was broken begins again.
    fn spend(&mut self, node: &Node, at: i64, rows: &mut Vec<Taken>) {
        if self.satisfied(node) && matches!(self, Self::And { spent: true, .. }) {
            rows.retain(|taken| !(node.from..node.to).contains(&taken.alias));
            *self = Self::fresh(node, at);
        }
    }

    /// A row was not taken: what has begun and asks for the very next row can take no more.
    pub(crate) fn close(&mut self, node: &Node, hand: &mut Hand<'_>) {
        let strict = node.inner == Contiguity::Strict && self.started();
        let known = strict && self.fit(node, hand) != Fit::Unknown;
        match (self, &node.kind) {
            (Self::Step { closed, .. } | Self::And { closed, .. }, _) => *closed |= known,
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                for (live, node) in sides.iter_mut().zip(nodes) {
                    if let Some(live) = live {
                        live.close(node, hand);
                    }
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                if rounds.now.started() {
                    rounds.now.close(steps, hand);
                } else if known {
                    rounds.now.shut();
                }
                if known {
                    rounds.next = None;
                }
            }
            _ => {}
        }
    }

    /// When the next absence in it ends.
    pub(crate) fn due(&self, node: &Node) -> i64 {
        match (self, &node.kind) {
            (
                Self::Absence {
                    since,
                    ended: false,
                },
                NodeKind::Absence { lasts, .. },
            ) => since.saturating_add(*lasts),
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                let dues = sides.iter().zip(nodes).map(|(live, node)| live.due(node));
                dues.min().unwrap_or(IDLE)
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let dues = sides.iter().zip(nodes);
                let dues = dues.filter_map(|(live, node)| Some(live.as_ref()?.due(node)));
                dues.min().unwrap_or(IDLE)
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let next = rounds.next.as_ref().map_or(IDLE, |next| next.due(steps));
                rounds.now.due(steps).min(next)
            }
            _ => IDLE,
        }
    }

    /// Ends the first absence that is due at a time; answers whether there was one.
    pub(crate) fn end(&mut self, node: &Node, at: i64, rows: &mut Vec<Taken>) -> bool {
        if self.due(node) > at {
            return false;
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
                pairs.any(|(live, node)| live.end(node, at, rows));
                *started = true;
                self.spend(node, at, rows);
            }
            (Self::Or { sides, started }, NodeKind::Or(nodes)) => {
                for (index, side) in nodes.iter().enumerate() {
                    let live = sides.get_mut(index).and_then(Option::as_mut);
                    let Some(live) = live.filter(|live| live.due(side) <= at) else {
                        continue;
                    };
                    live.end(side, at, rows);
                    *started = true;
                    if live.satisfied(side) {
                        only(sides, index);
                        let own = side.from..side.to;
                        let all = node.from..node.to;
                        rows.retain(|t| !all.contains(&t.alias) || own.contains(&t.alias));
                    }
                    break;
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => rounds.end(node, steps, at, rows),
            _ => {}
        }
        true
    }
}

/// Loses every side but one.
fn only(sides: &mut [Option<Live>], index: usize) {
    for (other, side) in sides.iter_mut().enumerate() {
        if other != index {
            *side = None;
        }
    }
}

/// Sides of an `or`: those whose absence is broken are lost.
fn forbid_or(sides: &mut [Option<Live>], nodes: &[Node], hand: &mut Hand<'_>) -> Verdict {
    for (side, node) in sides.iter_mut().zip(nodes) {
        let Some(live) = side else { continue };
        match live.forbid(node, hand) {
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
