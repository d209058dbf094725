//! [`Attempt`]: one way to a match: the rows it has and the elements it waits for.

pub(crate) mod fork;

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use super::sequence::Sequence;
use super::{Alias, Copies, Hand, Machine, Moment, Node, NodeKind, Scene, Taken, last_row};
use crate::timer::IDLE;
use crate::watermark::NEVER;

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    /// Number among those of its key, in the order in which they were made.
    pub(crate) made: u64,
    /// When its wait began; of a match that is held, when it completed.
    waits_since: i64,
    /// Time of its first row, or of the end of a leading absence; [`NEVER`] before.
    pub(crate) began: i64,
    pub(crate) rows: Vec<Taken>,
    sequence: Sequence,
    /// Its copy has been left behind.
    pub(crate) left: bool,
    /// It has matched, in another of its ways.
    pub(crate) matched: bool,
    pub(crate) stand: Stand,
    /// As it was before the element that `every` begins with.
    heir: Option<Box<(Vec<Taken>, Sequence)>>,
}

/// How a way of an attempt stands to being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Stand {
    /// It is told once it is a match.
    Lives,
    /// As it is it has been told, or another goes on from it.
    Told,
    /// A match that waits until no older attempt lives.
    Held,
}

/// What became of an attempt at a row or timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It waits on, unchanged.
    Waits,
    /// It took the row, or an absence ended, and it waits on.
    Moved,
    Broken,
    Expired,
    Complete,
}

impl Attempt {
    pub(crate) fn new(machine: &Machine, made: u64, at: i64) -> Self {
        Self {
            made,
            waits_since: at,
            began: NEVER,
            rows: Vec::new(),
            sequence: Sequence::begin(&machine.steps, Moment::after(&[], at)),
            left: false,
            matched: false,
            stand: Stand::Lives,
            heir: None,
        }
    }

    /// Number of the first row, or past all numbers before it.
    pub(crate) fn first(&self) -> u64 {
        let mut rows = self.rows.iter().filter(|taken| taken.row.is_some());
        rows.next().map_or(u64::MAX, |taken| taken.order)
    }

    /// Older first, then the rows one by one.
    pub(crate) fn age(&self, other: &Self) -> Ordering {
        let own = (self.first(), self.made);
        let age = own.cmp(&(other.first(), other.made));
        age.then_with(|| self.orders().cmp(other.orders()))
    }

    /// Whether it began at or before a row; one still inside a leading absence has not begun.
    pub(crate) fn began_by(&self, (order, at): (u64, i64)) -> bool {
        match self.first() {
            u64::MAX => self.began != NEVER && self.began <= at,
            first => first <= order,
        }
    }

    /// Number and time of the last row.
    pub(crate) fn last(&self) -> Option<(u64, i64)> {
        last_row(&self.rows).map(|taken| (taken.order, taken.at))
    }

    /// When a match of it begins, as told.
    pub(crate) fn start(&self, machine: &Machine) -> i64 {
        if let Some(first) = self.rows.iter().find(|taken| taken.row.is_some()) {
            return first.at;
        }
        // The absence may have begun again after the wait did.
        let absence = self.rows.first();
        let began = absence
            .and_then(|taken| Some(taken.at.saturating_sub(lasts(&machine.steps, taken.alias)?)));
        began.unwrap_or(self.waits_since)
    }

    /// When it expires, or completes because its last element is a negation.
    fn deadline(&self, machine: &Machine) -> i64 {
        if machine.within == 0 || self.began == NEVER {
            return IDLE;
        }
        let max = self.began.saturating_add(machine.within);
        let complete = machine.ends_in_not && self.sequence.can_end(&machine.steps);
        max.saturating_add(i64::from(!(machine.exclusive || complete)))
    }

    /// The next time at which something happens without a row, and whether that is an expiry.
    pub(crate) fn due(&self, machine: &Machine) -> (i64, bool) {
        let expiry = self.deadline(machine);
        let expiry = expiry.min(self.sequence.limit(&machine.steps));
        let absence = self.sequence.due(&machine.steps);
        (expiry.min(absence), expiry <= absence)
    }

    /// Place of the element that it waits for.
    pub(crate) fn waits_for(&self, machine: &Machine) -> usize {
        self.sequence.waits_for(&machine.steps)
    }

    /// The row at hand.
    pub(crate) fn row(
        &mut self,
        machine: &Machine,
        (at, order): (i64, u64),
        scene: &mut dyn Scene,
    ) -> Fate {
        let steps = &machine.steps;
        let mut hand = Hand {
            at,
            order,
            rows: &mut self.rows,
            scene,
        };
        if self.sequence.forbid(steps, &mut hand) {
            return Fate::Broken;
        }
        let Some((place, _)) = self.sequence.choose(steps, &mut hand) else {
            if self.began != NEVER {
                self.sequence.close(steps, &mut hand);
            }
            self.pass_heir(machine);
            return self.stuck(machine);
        };
        self.prepare_heir(machine);
        self.pass_heir(machine);
        let mut hand = Hand {
            at,
            order,
            rows: &mut self.rows,
            scene,
        };
        self.sequence.take(steps, place, &mut hand);
        if self.began == NEVER && !self.rows.is_empty() {
            self.began = at;
        }
        if self.rows.is_empty() {
            self.began = NEVER;
        }
        self.moved(machine)
    }

    /// Keeps what a copy begins with, before the element that `every` begins with takes its first row.
    fn prepare_heir(&mut self, machine: &Machine) {
        if let Copies::Span { from, .. } = machine.copies
            && from > 0
            && !self.left
            && self.heir.is_none()
            && self.sequence.reaches(from)
        {
            self.heir = Some(Box::new((self.rows.clone(), self.sequence.clone())));
        }
    }

    /// The row at hand is none that a copy takes.
    fn pass_heir(&mut self, machine: &Machine) {
        if let (Some(heir), Copies::Span { from, .. }) = (&mut self.heir, machine.copies) {
            heir.1.pass(&machine.steps, from);
        }
    }

    /// After a step forward.
    fn moved(&mut self, machine: &Machine) -> Fate {
        self.drop_heir(machine);
        let ends = self.sequence.can_end(&machine.steps) && !machine.ends_in_not;
        let waits = machine.longest && self.sequence.any_open(&machine.steps);
        if ends && !waits {
            Fate::Complete
        } else {
            Fate::Moved
        }
    }

    fn drop_heir(&mut self, machine: &Machine) {
        if let Copies::Span { from, .. } = machine.copies
            && self.heir.is_some()
            && self.sequence.reaches(from)
            && self.sequence.at() <= from
        {
            // The elements before it took more: the copy will begin with them too.
            self.heir = None;
        }
    }

    /// After a row that was not taken.
    fn stuck(&self, machine: &Machine) -> Fate {
        if self.sequence.any_open(&machine.steps) {
            return Fate::Waits;
        }
        match (self.sequence.can_end(&machine.steps), machine.ends_in_not) {
            (true, true) => Fate::Waits,
            (true, false) => Fate::Complete,
            (false, _) => Fate::Broken,
        }
    }

    /// What is due at a time happens: an expiry, or the end of an absence.
    pub(crate) fn time(&mut self, machine: &Machine, at: i64) -> Fate {
        let steps = &machine.steps;
        let can_end = self.sequence.can_end(steps);
        if self.deadline(machine) <= at {
            let complete = can_end && (machine.ends_in_not || machine.longest);
            return if complete {
                Fate::Complete
            } else {
                Fate::Expired
            };
        }
        if self.sequence.limit(steps) <= at {
            return match self.sequence.expire(steps, at) {
                true => Fate::Expired,
                false => self.stuck(machine),
            };
        }
        self.prepare_heir(machine);
        self.sequence.end(steps, at, &mut self.rows);
        let done = self.sequence.is_done(steps, 0);
        if self.began == NEVER && done {
            self.began = at;
        }
        self.moved(machine)
    }

    /// Whether the element that ends the span of `every` is done.
    pub(crate) fn passed(&self, machine: &Machine, to: usize) -> bool {
        self.sequence.is_done(&machine.steps, to)
    }

    /// The copy that is left behind: as it was before the element that `every` begins with.
    pub(crate) fn copy(&self, machine: &Machine, made: u64, at: i64) -> Option<Self> {
        let Copies::Span { from, .. } = machine.copies else {
            return None;
        };
        if from == 0 || self.sequence.at() < from {
            return Some(Self::new(machine, made, at));
        }
        let (rows, mut sequence) = self.heir.as_deref()?.clone();
        sequence.restart(&machine.steps, from, Moment::after(&rows, at));
        Some(Self {
            made,
            waits_since: self.waits_since,
            began: self.began,
            rows,
            sequence,
            left: false,
            matched: false,
            stand: Stand::Lives,
            heir: None,
        })
    }

    /// Whether it has as much time left as one that begins now.
    pub(crate) const fn begins_anew(&self) -> bool {
        self.began == NEVER
    }

    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.rows.capacity() * (size_of::<Taken>() + 32) + 128
    }
}

/// How long an absence lasts, by its number.
fn lasts(nodes: &[Node], alias: Alias) -> Option<i64> {
    nodes.iter().find_map(|node| match &node.kind {
        NodeKind::Absence { lasts, .. } => (node.from == alias).then_some(*lasts),
        NodeKind::And { sides: nodes, .. } | NodeKind::Or(nodes) | NodeKind::Group(nodes) => {
            lasts(nodes, alias)
        }
        _ => None,
    })
}
