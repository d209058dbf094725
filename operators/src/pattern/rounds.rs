//! [`Rounds`]: how far a group has come: the round in hand, and the one that may begin instead.

use serde::{Deserialize, Serialize};

use super::sequence::Sequence;
use super::{Hand, Moment, Node, Taken};

/// The rounds of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rounds {
    /// Rounds before this one.
    pub(super) done: u32,
    pub(super) now: Sequence,
    /// The round after this one, once this one could end.
    pub(super) next: Option<Sequence>,
}

impl Rounds {
    pub(super) fn take(&mut self, node: &Node, steps: &[Node], hand: &mut Hand<'_>) {
        let now = self.now.choose(steps, hand);
        let next = self.next.as_ref().and_then(|next| next.choose(steps, hand));
        let greedy = node.greedy || now.is_some_and(|(_, greedy)| greedy);
        match (now, next, self.next.take()) {
            (None, Some((place, _)), Some(round)) => self.turn(round, place, steps, hand),
            (Some(_), Some((place, _)), Some(round)) if !greedy => {
                self.turn(round, place, steps, hand);
            }
            (Some((place, _)), _, _) => self.now.take(steps, place, hand),
            _ => {}
        }
        self.prepare(node, steps, Moment::after(hand.rows, hand.at));
    }

    fn turn(&mut self, round: Sequence, place: usize, steps: &[Node], hand: &mut Hand<'_>) {
        self.done += 1;
        self.now = round;
        self.now.take(steps, place, hand);
    }

    pub(super) fn prepare(&mut self, node: &Node, steps: &[Node], moment: Moment) {
        if self.next.is_none() && self.now.can_end(steps) && self.done + 1 < node.max {
            self.next = Some(Sequence::begin(steps, moment));
        }
    }

    pub(super) fn end(&mut self, node: &Node, steps: &[Node], at: i64, rows: &mut Vec<Taken>) {
        if self.now.due(steps) <= at {
            self.now.end(steps, at, rows);
            self.next = None;
        } else if let Some(mut round) = self.next.take() {
            round.end(steps, at, rows);
            self.done += 1;
            self.now = round;
        }
        self.prepare(node, steps, Moment::after(rows, at));
    }
}
