//! [`Alarm`]: what a task with several levels, repeats or a guard against flapping has told, and what it will tell.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, OutcomeKind};

use super::level::Level;
use super::{Note, Rules, Told};
use crate::timer::IDLE;

/// `flapping`: a guard against alarms that come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Flapping {
    /// So many transitions…
    pub(crate) changes: usize,
    /// …within so many ms begin it,
    pub(crate) within: i64,
    /// and it ends when at most so many are left.
    pub(crate) until: usize,
}

/// What a task remembers of what it told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarm {
    /// The levels behind the first.
    pub(crate) others: Vec<Level>,
    /// The level that stands, by its number; the least number is the worst.
    pub(crate) stands: Option<usize>,
    /// The level that was told last.
    pub(crate) told: Option<usize>,
    /// Time and row of the line that told it.
    base: i64,
    row: Option<Box<EventRef>>,
    /// Repeats so far.
    again: i64,
    /// Newest times at which it was raised or cleared, told or not.
    transitions: VecDeque<i64>,
    flapping: bool,
}

impl Alarm {
    /// The alarm of a task that began without one and has told its first level.
    pub(crate) fn of(first: &Level, rules: &Rules) -> Self {
        let raised = first.raised();
        let told = raised.map(|_| 0);
        Self {
            others: vec![Level::default(); rules.levels.len().saturating_sub(1)],
            stands: told,
            told,
            base: raised.unwrap_or_default(),
            ..Self::default()
        }
    }

    /// When it has something to tell by itself.
    pub(crate) fn due(&self, rules: &Rules) -> i64 {
        self.due_again(rules).min(self.due_end(rules))
    }

    fn due_again(&self, rules: &Rules) -> i64 {
        if rules.again == 0 || self.told.is_none() {
            return IDLE;
        }
        let next = rules.again.saturating_mul(self.again.saturating_add(1));
        self.base.saturating_add(next)
    }

    /// When so many transitions have left that it flaps no more.
    fn due_end(&self, rules: &Rules) -> i64 {
        let Some(guard) = rules.flapping.filter(|_| self.flapping) else {
            return IDLE;
        };
        let last = self.transitions.len().checked_sub(guard.until + 1);
        let last = last.and_then(|last| self.transitions.get(last));
        last.map_or(0, |last| last.saturating_add(guard.within))
    }

    /// Runs what is due at a time, after the levels have moved.
    pub(crate) fn wake(&mut self, rules: &Rules, time: i64, told: &mut Vec<Told>) {
        if self.due_end(rules) <= time {
            self.flapping = false;
            told.push(self.note(time, Note::Flapping(false)));
            self.tell(time, None, Note::Plain, told);
        }
        if self.due_again(rules) <= time {
            self.again += 1;
            if !self.flapping {
                told.push(self.note(time, Note::Again(self.again)));
            }
        }
    }

    fn note(&self, time: i64, note: Note) -> Told {
        Told {
            kind: OutcomeKind::State,
            time,
            level: self.told,
            note,
            row: self.row.as_deref().cloned(),
        }
    }

    /// The levels have moved: tells the net change.
    pub(crate) fn settle(
        &mut self,
        rules: &Rules,
        worst: Option<usize>,
        (time, row, note): (i64, Option<EventRef>, Note),
        told: &mut Vec<Told>,
    ) {
        let stands = match (worst, self.stands) {
            (Some(now), Some(before)) if rules.never_lower => Some(now.min(before)),
            (worst, _) => worst,
        };
        let turned = stands.is_some() != self.stands.is_some();
        let changed = stands != self.stands;
        self.stands = stands;
        if turned && let Some(guard) = rules.flapping {
            self.count(guard, (time, &row), told);
        }
        if !self.flapping {
            self.tell(time, row, note, told);
        } else if let Some(row) = row.filter(|_| changed) {
            // What is told when it ends is what this row made of it, not the row that began it.
            self.row = Some(Box::new(row));
        }
    }

    fn count(
        &mut self,
        guard: Flapping,
        (time, row): (i64, &Option<EventRef>),
        told: &mut Vec<Told>,
    ) {
        let edge = time.saturating_sub(guard.within);
        while self.transitions.pop_front_if(|at| *at <= edge).is_some() {}
        self.transitions.push_back(time);
        if self.transitions.len() > guard.changes {
            self.transitions.pop_front();
        }
        if !self.flapping && self.transitions.len() >= guard.changes {
            self.flapping = true;
            self.row = row.clone().map(Box::new);
            told.push(self.note(time, Note::Flapping(true)));
        }
    }

    /// Goes on under revised rules: without a guard there is nothing to count, and nothing is held back.
    pub(crate) fn obey(&mut self, rules: &Rules) {
        if rules.flapping.is_none() {
            self.transitions.clear();
            self.flapping = false;
        }
    }

    /// A revision changed the severity of what is told: repeats count anew.
    pub(crate) const fn restart(&mut self, time: i64) {
        self.base = time;
        self.again = 0;
    }

    /// Whether what it tells is held back.
    pub(crate) const fn is_flapping(&self) -> bool {
        self.flapping
    }

    fn tell(&mut self, time: i64, row: Option<EventRef>, note: Note, told: &mut Vec<Told>) {
        let kind = match (self.told, self.stands) {
            (None, Some(_)) => OutcomeKind::Raised,
            (Some(_), None) => OutcomeKind::Cleared,
            (Some(before), Some(now)) if before != now => OutcomeKind::Updated,
            _ => return,
        };
        let row = row.or_else(|| self.row.as_deref().cloned());
        told.push(Told {
            kind,
            time,
            level: self.stands.or(self.told),
            note,
            row: row.clone(),
        });
        self.told = self.stands;
        self.row = row.map(Box::new);
        self.base = time;
        self.again = 0;
    }

    /// Whether actions that run at every true evaluation may run.
    pub(crate) const fn repeats(&self) -> bool {
        self.told.is_some() && self.stands.is_some() && !self.flapping
    }
}
