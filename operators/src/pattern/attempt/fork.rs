//! One attempt of `matches: all`: a row that it can take makes new ways of it, and what is left of the old one stays.

use super::{Attempt, Stand};
use crate::pattern::{Hand, Machine, Scene};
use crate::timer::IDLE;
use crate::watermark::NEVER;

/// What a way comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// It is a match.
    pub(crate) complete: bool,
    /// It waits for more.
    pub(crate) lives: bool,
}

impl Attempt {
    /// The row at hand: ways that take it are added to `found`. `None`: it is broken.
    pub(crate) fn fork(
        &mut self,
        machine: &Machine,
        (at, order): (i64, u64),
        scene: &mut dyn Scene,
        found: &mut Vec<Self>,
    ) -> Option<Outcome> {
        let steps = &machine.steps;
        let mut hand = Hand {
            at,
            order,
            rows: &mut self.rows,
            scene: &mut *scene,
        };
        if self.sequence.forbid(steps, &mut hand) {
            return None;
        }
        let ways = self.sequence.ways(steps, &mut hand);
        for way in &ways {
            let mut next = self.clone();
            next.stand = Stand::Lives;
            next.prepare_heir(machine);
            next.pass_heir(machine);
            let mut hand = Hand {
                at,
                order,
                rows: &mut next.rows,
                scene: &mut *scene,
            };
            next.sequence.take_way(steps, way, &mut hand);
            next.began = match next.began {
                _ if next.rows.is_empty() => NEVER,
                NEVER => at,
                began => began,
            };
            next.drop_heir(machine);
            found.push(next);
        }
        if self.began == NEVER && (ways.is_empty() || !machine.born_waiting) {
            // An attempt has one first row.
            let lives = ways.is_empty();
            return Some(Outcome {
                complete: false,
                lives,
            });
        }
        let mut hand = Hand {
            at,
            order,
            rows: &mut self.rows,
            scene,
        };
        let behind = self.sequence.stay(steps, None, &mut hand);
        self.pass_heir(machine);
        let goes_on = machine.longest && !machine.ends_in_not && !ways.is_empty();
        if behind || goes_on {
            self.stand = Stand::Told;
        }
        Some(self.outcome(machine))
    }

    /// What is due at a time happens; a way behind an absence that ends is added to `found`.
    pub(crate) fn pass(&mut self, machine: &Machine, at: i64, found: &mut Vec<Self>) -> Outcome {
        let steps = &machine.steps;
        if self.deadline(machine) <= at {
            return Outcome {
                complete: self.ends_by_time(machine),
                lives: false,
            };
        }
        if self.sequence.limit(steps) <= at {
            self.sequence.expire(steps, at);
            return self.outcome(machine);
        }
        let mut next = self.clone();
        next.stand = Stand::Lives;
        next.prepare_heir(machine);
        next.sequence.finish(steps, at, &mut next.rows);
        if next.began == NEVER && next.sequence.is_done(steps, 0) {
            next.began = at;
        }
        next.drop_heir(machine);
        found.push(next);
        self.sequence.lapse(steps, at);
        self.outcome(machine)
    }

    /// Whether it is a match, and whether it waits for more.
    pub(crate) fn outcome(&self, machine: &Machine) -> Outcome {
        let ends = self.stand == Stand::Lives && self.sequence.can_end(&machine.steps);
        let open = self.sequence.any_open(&machine.steps);
        let (complete, lives) = if machine.ends_in_not {
            (false, open || ends)
        } else {
            (ends && !(machine.longest && open), open)
        };
        Outcome { complete, lives }
    }

    /// It is told as it is.
    pub(crate) const fn tell(&mut self) {
        self.stand = Stand::Told;
    }

    /// Whether it is a match when its time is over.
    pub(crate) fn ends_by_time(&self, machine: &Machine) -> bool {
        let by_time = machine.ends_in_not || machine.longest;
        by_time && self.stand == Stand::Lives && self.sequence.can_end(&machine.steps)
    }

    /// Whether its time is over.
    pub(crate) fn is_over(&self, machine: &Machine, at: i64) -> bool {
        self.stand != Stand::Held && self.deadline(machine) <= at
    }

    /// Rows that it has taken, in order.
    pub(crate) fn orders(&self) -> impl Iterator<Item = u64> + '_ {
        let rows = self.rows.iter().filter(|taken| taken.row.is_some());
        rows.map(|taken| taken.order)
    }

    /// Another way of the same attempt has taken the same rows: what both wait for is left to that one. Answers whether
    /// anything is left here.
    pub(crate) fn part_from(&mut self, other: &Self, machine: &Machine) -> bool {
        if self.rows != other.rows {
            return true;
        }
        self.sequence.part_from(&other.sequence);
        if other.sequence.can_end(&machine.steps) {
            self.stand = Stand::Told;
        }
        self.outcome(machine).lives
    }

    /// A match that is not told yet: it completed at a time.
    pub(crate) const fn hold(&mut self, at: i64) {
        self.stand = Stand::Held;
        self.waits_since = at;
    }

    /// When it completed, if it is a match that is not told yet.
    pub(crate) fn held(&self) -> Option<i64> {
        (self.stand == Stand::Held).then_some(self.waits_since)
    }

    /// The next time at which something happens to it without a row.
    pub(crate) fn next(&self, machine: &Machine) -> (i64, bool) {
        match self.stand {
            Stand::Held => (IDLE, false),
            _ => self.due(machine),
        }
    }
}
