//! [`Way`]: where `matches: all` asks for every way the rows fit: the places of a sequence that could take the row at hand, and what is
//! left for later rows when some of them have.

use std::slice::from_ref;

use tidegate_proto::pattern::Contiguity;

use super::Sequence;
use crate::pattern::live::Live;
use crate::pattern::rounds::Rounds;
use crate::pattern::{Fit, Hand, Moment, Node, NodeKind, Taken};

/// One place that could take the row at hand.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    place: usize,
    pick: Pick,
}

/// What of an element takes the row.
#[derive(Clone, Debug)]
enum Pick {
    Step,
    /// Sides of an `and`.
    Sides(Vec<(usize, Way)>),
    /// A side of an `or`.
    Side(usize, Box<Way>),
    /// The round of a group in hand.
    Now(Box<Way>),
    /// The round after it.
    Next(Box<Way>),
}

impl Sequence {
    /// All places that could take the row at hand; a greedy one keeps it from those behind.
    pub(crate) fn ways(&self, nodes: &[Node], hand: &mut Hand<'_>) -> Vec<Way> {
        let mut found = Vec::new();
        for (place, entry) in self.entries.iter().enumerate() {
            let node = nodes.get(usize::from(entry.index));
            let Some(node) = node.filter(|_| !entry.closed) else {
                continue;
            };
            let picks = entry.live.picks(node, hand);
            let takes = !picks.is_empty();
            found.extend(picks.into_iter().map(|pick| Way { place, pick }));
            if takes && entry.live.greedy(node, hand) {
                break;
            }
        }
        found
    }

    /// The row at hand is taken in one way; what stands before it is left behind.
    pub(crate) fn take_way(&mut self, nodes: &[Node], way: &Way, hand: &mut Hand<'_>) {
        self.take_with(nodes, way.place, hand, |live, node, hand| {
            live.take_pick(node, &way.pick, hand);
        });
    }

    /// What is left for later rows: `strict` nothing, `relaxed` what the row did not fit, `any` all. `true`: a greedy
    /// element fits, so nothing behind it is left.
    pub(crate) fn stay(
        &mut self,
        nodes: &[Node],
        lead: Option<Contiguity>,
        hand: &mut Hand<'_>,
    ) -> bool {
        let lead = lead.filter(|_| !self.started());
        let mut behind = false;
        for entry in &mut self.entries {
            let Some(node) = nodes.get(usize::from(entry.index)) else {
                continue;
            };
            if behind || entry.closed {
                entry.closed = true;
                continue;
            }
            let fits = entry.live.fit(node, hand) == Fit::Yes;
            behind = fits && entry.live.greedy(node, hand);
            let way = lead.map_or(node.contiguity, |lead| together(lead, node.lead));
            entry.live.stay(node, way, hand);
        }
        behind
    }

    /// Ends the first absence that is due at a time, and nothing else goes on.
    pub(crate) fn finish(&mut self, nodes: &[Node], at: i64, rows: &mut Vec<Taken>) {
        let Some(place) = self.first_due(nodes, at) else {
            return;
        };
        self.entries.drain(..place);
        self.entries.truncate(1);
        let Some(entry) = self.entries.first_mut() else {
            return;
        };
        let index = usize::from(entry.index);
        let Some(node) = nodes.get(index) else {
            return;
        };
        entry.live.finish(node, at, rows);
        if entry.live.started() && entry.live.satisfied(node) {
            self.reach(nodes, index + 1, Moment::after(rows, at));
        }
    }

    /// The first absence that is due at a time has ended on another way: here it waits no more.
    pub(crate) fn lapse(&mut self, nodes: &[Node], at: i64) {
        let place = self.first_due(nodes, at);
        let Some(entry) = place.and_then(|place| self.entries.get_mut(place)) else {
            return;
        };
        match (&mut entry.live, nodes.get(usize::from(entry.index))) {
            (live @ (Live::And { .. } | Live::Or { .. } | Live::Group(_)), Some(node)) => {
                live.lapse(node, at);
            }
            _ => entry.closed = true,
        }
    }

    fn first_due(&self, nodes: &[Node], at: i64) -> Option<usize> {
        self.entries.iter().position(|entry| {
            let node = nodes.get(usize::from(entry.index));
            !entry.closed && node.is_some_and(|node| entry.live.due(node) <= at)
        })
    }

    /// Closes what another way that has taken the same rows waits for just so.
    pub(crate) fn part_from(&mut self, other: &Self) {
        for entry in &mut self.entries {
            entry.closed |= other.entries.contains(entry);
        }
    }
}

/// What asks more of the row after: what stands around an element, or the element.
fn together(outer: Contiguity, inner: Contiguity) -> Contiguity {
    match (outer, inner) {
        (Contiguity::Strict, _) | (_, Contiguity::Strict) => Contiguity::Strict,
        (Contiguity::Any, _) | (_, Contiguity::Any) => Contiguity::Any,
        _ => Contiguity::Relaxed,
    }
}

impl Live {
    /// All that could take the row at hand.
    fn picks(&self, node: &Node, hand: &mut Hand<'_>) -> Vec<Pick> {
        if !self.open(node) {
            return Vec::new();
        }
        match (self, &node.kind) {
            (Self::Step { .. }, _) => match self.fit(node, hand) {
                Fit::Yes => vec![Pick::Step],
                _ => Vec::new(),
            },
            (
                Self::And { sides, .. },
                NodeKind::And {
                    sides: nodes,
                    share,
                },
            ) => sides_of(sides, nodes, *share, hand),
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let mut found = Vec::new();
                for (index, (side, node)) in sides.iter().zip(nodes).enumerate() {
                    let Some(side) = side else { continue };
                    let ways = side.ways(from_ref(node), hand).into_iter();
                    found.extend(ways.map(|way| Pick::Side(index, Box::new(way))));
                }
                found
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let now = rounds.now.ways(steps, hand);
                let kept = !now.is_empty() && keeps(rounds, node, steps, hand);
                let mut found: Vec<Pick> = now
                    .into_iter()
                    .map(|way| Pick::Now(Box::new(way)))
                    .collect();
                if let Some(next) = rounds.next.as_ref().filter(|_| !kept) {
                    let ways = next.ways(steps, hand).into_iter();
                    found.extend(ways.map(|way| Pick::Next(Box::new(way))));
                }
                found
            }
            _ => Vec::new(),
        }
    }

    /// Takes the row at hand so.
    fn take_pick(&mut self, node: &Node, pick: &Pick, hand: &mut Hand<'_>) {
        match (&mut *self, &node.kind, pick) {
            (
                Self::And { sides, started, .. },
                NodeKind::And { sides: nodes, .. },
                Pick::Sides(picks),
            ) => {
                *started = true;
                for (index, way) in picks {
                    if let (Some(side), Some(node)) = (sides.get_mut(*index), nodes.get(*index)) {
                        side.take_way(from_ref(node), way, hand);
                    }
                }
                self.spend(node, hand.at, hand.rows);
            }
            (Self::Or { sides, started, .. }, NodeKind::Or(nodes), Pick::Side(index, way)) => {
                crate::pattern::live::only(sides, *index);
                *started = true;
                let side = sides.get_mut(*index).and_then(Option::as_mut);
                if let (Some(side), Some(node)) = (side, nodes.get(*index)) {
                    side.take_way(from_ref(node), way, hand);
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps), Pick::Now(way)) => {
                rounds.next = None;
                rounds.now.take_way(steps, way, hand);
                rounds.prepare(node, steps, Moment::after(hand.rows, hand.at));
            }
            (Self::Group(rounds), NodeKind::Group(steps), Pick::Next(way)) => {
                if let Some(round) = rounds.next.take() {
                    rounds.done += 1;
                    rounds.now = round;
                    rounds.now.take_way(steps, way, hand);
                }
                rounds.prepare(node, steps, Moment::after(hand.rows, hand.at));
            }
            _ => self.take(node, hand),
        }
    }

    /// What is left of it for later rows; `way`: that of its first row.
    fn stay(&mut self, node: &Node, way: Contiguity, hand: &mut Hand<'_>) {
        let started = self.started();
        let after = if started { node.inner } else { way };
        let fit = match self {
            Self::Step { .. } => self.fit(node, hand),
            _ => Fit::No,
        };
        match (self, &node.kind) {
            (Self::Step { closed, .. }, _) => {
                *closed |= match after {
                    Contiguity::Strict => fit != Fit::Unknown,
                    Contiguity::Relaxed => fit == Fit::Yes,
                    Contiguity::Any => false,
                };
            }
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                for (side, node) in sides.iter_mut().zip(nodes) {
                    side.stay(from_ref(node), Some(after), hand);
                }
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                for (side, node) in sides.iter_mut().zip(nodes) {
                    if let Some(side) = side {
                        side.stay(from_ref(node), Some(way), hand);
                    }
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                let fits = rounds.now.fit(steps, hand) == Fit::Yes;
                if fits && keeps(rounds, node, steps, hand) {
                    rounds.next = None;
                }
                let first = if rounds.done == 0 { way } else { node.inner };
                rounds.now.stay(steps, Some(first), hand);
                if let Some(next) = &mut rounds.next {
                    next.stay(steps, Some(node.inner), hand);
                }
            }
            _ => {}
        }
    }

    /// Ends the first absence in it that is due at a time; other sides of an `or` do not go on.
    fn finish(&mut self, node: &Node, at: i64, rows: &mut Vec<Taken>) {
        match (&mut *self, &node.kind) {
            (Self::And { sides, started, .. }, NodeKind::And { sides: nodes, .. }) => {
                let mut pairs = sides.iter_mut().zip(nodes);
                if let Some((side, node)) =
                    pairs.find(|(side, node)| side.due(from_ref(*node)) <= at)
                {
                    side.finish(from_ref(node), at, rows);
                }
                *started = true;
                self.spend(node, at, rows);
            }
            (Self::Or { sides, started, .. }, NodeKind::Or(nodes)) => {
                let Some(index) = side_due(sides, nodes, at) else {
                    return;
                };
                crate::pattern::live::only(sides, index);
                *started = true;
                let side = sides.get_mut(index).and_then(Option::as_mut);
                if let (Some(side), Some(node)) = (side, nodes.get(index)) {
                    side.finish(from_ref(node), at, rows);
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                if rounds.now.due(steps) <= at {
                    rounds.now.finish(steps, at, rows);
                    rounds.next = None;
                } else if let Some(mut round) = rounds.next.take() {
                    round.finish(steps, at, rows);
                    rounds.done += 1;
                    rounds.now = round;
                }
                rounds.prepare(node, steps, Moment::after(rows, at));
            }
            _ => self.end(node, at, rows),
        }
    }

    fn lapse(&mut self, node: &Node, at: i64) {
        match (self, &node.kind) {
            (Self::And { sides, .. }, NodeKind::And { sides: nodes, .. }) => {
                let mut pairs = sides.iter_mut().zip(nodes);
                if let Some((side, node)) =
                    pairs.find(|(side, node)| side.due(from_ref(*node)) <= at)
                {
                    side.lapse(from_ref(node), at);
                }
            }
            (Self::Or { sides, .. }, NodeKind::Or(nodes)) => {
                let index = side_due(sides, nodes, at);
                let side = index.and_then(|index| Some((sides.get_mut(index)?, nodes.get(index)?)));
                if let Some((Some(side), node)) = side {
                    side.lapse(from_ref(node), at);
                }
            }
            (Self::Group(rounds), NodeKind::Group(steps)) => {
                if rounds.now.due(steps) <= at {
                    rounds.now.lapse(steps, at);
                } else if let Some(next) = &mut rounds.next {
                    next.lapse(steps, at);
                }
            }
            _ => {}
        }
    }
}

/// Whether the round in hand, which takes the row, keeps it from the next.
fn keeps(rounds: &Rounds, node: &Node, steps: &[Node], hand: &mut Hand<'_>) -> bool {
    node.greedy || rounds.now.choose(steps, hand).is_some_and(|(_, g)| g)
}

fn side_due(sides: &[Option<Sequence>], nodes: &[Node], at: i64) -> Option<usize> {
    let mut pairs = sides.iter().zip(nodes);
    pairs.position(|(side, node)| {
        let side = side.as_ref();
        side.is_some_and(|side| side.due(from_ref(node)) <= at)
    })
}

/// Sides of an `and` that take the row: all that fit, or the first, each in each of its ways.
fn sides_of(sides: &[Sequence], nodes: &[Node], share: bool, hand: &mut Hand<'_>) -> Vec<Pick> {
    let mut found: Vec<Vec<(usize, Way)>> = Vec::new();
    for (index, (side, node)) in sides.iter().zip(nodes).enumerate() {
        let ways = side.ways(from_ref(node), hand);
        if ways.is_empty() {
            continue;
        }
        let before = std::mem::take(&mut found);
        let before = if before.is_empty() {
            vec![Vec::new()]
        } else {
            before
        };
        for picks in before {
            for way in &ways {
                let mut picks = picks.clone();
                picks.push((index, way.clone()));
                found.push(picks);
            }
        }
        if !share {
            break;
        }
    }
    found.into_iter().map(Pick::Sides).collect()
}
