//! Conditions over time: a machine of one task, fed with judgements in the order of the task's time. An unknown condition
//! changes nothing.
//!
//! A plain condition is one [`Level`]. Several levels, repeats, a guard against flapping and active times need an
//! [`Alarm`] besides, which a plain task does not carry.

mod alarm;
mod level;
mod revise;
mod schedule;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, OutcomeKind, Value};

use crate::timer::IDLE;
use crate::watermark::NEVER;

use alarm::Alarm;
pub(crate) use alarm::Flapping;
pub(crate) use level::{Level, LevelRules, Phase};
pub(crate) use revise::Heir;
pub(crate) use schedule::{Borders, Schedule};

/// What a rule says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    /// Levels, the worst first.
    pub(crate) levels: Vec<LevelRules>,
    /// Severity only rises until all levels are clear.
    pub(crate) never_lower: bool,
    /// Ms between repeats while raised, 0: none.
    pub(crate) again: i64,
    /// Guard against alarms that come and go.
    pub(crate) flapping: Option<Flapping>,
    /// Whether an action runs at every true evaluation.
    pub(crate) every_time: bool,
    /// Whether there are times at which the rule does not judge.
    pub(crate) scheduled: bool,
}

/// Whether a rule judges at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It does.
    Active,
    /// `when` reads unknown, runs of hold end.
    Paused,
    /// What is raised is cleared.
    Away,
}

/// What a line says besides values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// Nothing.
    Plain,
    /// How many times it was repeated.
    Again(i64),
    /// Whether it flaps.
    Flapping(bool),
    /// The rule is away from now on.
    Schedule,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    pub(crate) kind: OutcomeKind,
    /// Event time.
    pub(crate) time: i64,
    /// The level it is about.
    pub(crate) level: Option<usize>,
    pub(crate) note: Note,
    /// The row behind it.
    pub(crate) row: Option<EventRef>,
}

/// One judgement of a task.
pub(crate) struct Judgement<'a> {
    pub(crate) time: i64,
    /// `when` and `clear` by level.
    pub(crate) truths: &'a [(Option<bool>, Option<bool>)],
    pub(crate) presence: Presence,
    /// The row that is judged.
    pub(crate) row: &'a dyn Fn() -> Option<EventRef>,
}

/// What was known at the last judgement, kept while something waits for time: what a timer then tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Slot values of the last row judged.
    pub(crate) values: Vec<Value>,
}

/// One task of a condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The only level, or the worst of several.
    first: Level,
    /// Memory of a running wait.
    pub(crate) kept: Option<Box<Kept>>,
    alarm: Option<Box<Alarm>>,
}

impl Rules {
    /// Whether the machine ever waits for time.
    pub(crate) fn waits(&self) -> bool {
        let level = |level: &LevelRules| level.hold > 0 || level.clear_hold > 0;
        self.again > 0 || self.flapping.is_some() || self.levels.iter().any(level)
    }

    /// Whether a level alone is not enough.
    pub(crate) fn is_rich(&self) -> bool {
        self.levels.len() > 1
            || self.again > 0
            || self.flapping.is_some()
            || self.every_time
            || self.scheduled
    }

    /// Whether it is nothing but `when`.
    pub(crate) fn is_bare(&self) -> bool {
        let level = |level: &LevelRules| !level.clear && level.dampen.is_none();
        !self.is_rich() && !self.waits() && self.levels.iter().all(level)
    }

    fn level(&self, at: usize) -> LevelRules {
        self.levels.get(at).copied().unwrap_or_default()
    }
}

impl Task {
    /// A task that was raised at a time.
    pub(crate) const fn raised_at(at: i64) -> Self {
        Self {
            first: Level::raised_at(at),
            kept: None,
            alarm: None,
        }
    }

    /// Whether it has told that it is raised.
    pub(crate) fn raised(&self) -> bool {
        match &self.alarm {
            Some(alarm) => alarm.told.is_some(),
            None => self.first.raised().is_some(),
        }
    }

    fn levels(&self) -> impl Iterator<Item = &Level> {
        let others = self.alarm.iter().flat_map(|alarm| &alarm.others);
        std::iter::once(&self.first).chain(others)
    }

    fn levels_mut(&mut self) -> impl Iterator<Item = &mut Level> {
        let others = self.alarm.iter_mut().flat_map(|alarm| &mut alarm.others);
        std::iter::once(&mut self.first).chain(others)
    }

    /// The phase of the worst level that is not calm.
    pub(crate) fn phase(&self) -> Phase {
        let mut phases = self.levels().map(|level| level.phase);
        let raised = self.levels().find(|level| level.raised().is_some());
        let raised = raised.map(|level| level.phase);
        raised.unwrap_or_else(|| {
            phases
                .find(|phase| *phase != Phase::Calm)
                .unwrap_or_default()
        })
    }

    /// What was known at the last judgement, for what a timer tells; what goes on waiting tells of the same row.
    pub(crate) fn known(&mut self, rules: &Rules) -> Kept {
        let kept = if self.due(rules) == IDLE {
            self.kept.take()
        } else {
            self.kept.clone()
        };
        kept.map(|kept| *kept).unwrap_or_default()
    }

    /// The event time of the next timer, [`IDLE`] if none runs.
    pub(crate) fn due(&self, rules: &Rules) -> i64 {
        let levels = self.levels().zip(&rules.levels);
        let level = levels.map(|(level, rules)| level.due(*rules)).min();
        let alarm = self.alarm.as_ref().map(|alarm| alarm.due(rules));
        level.unwrap_or(IDLE).min(alarm.unwrap_or(IDLE))
    }

    /// Runs the timers up to a watermark in the order of their times.
    pub(crate) fn wake(&mut self, rules: &Rules, watermark: i64, told: &mut Vec<Told>) {
        loop {
            let due = self.due(rules);
            if due > watermark || due == IDLE {
                return;
            }
            self.wake_at(rules, due, told);
        }
    }

    fn wake_at(&mut self, rules: &Rules, time: i64, told: &mut Vec<Told>) {
        self.end_waits(rules, (time, NEVER), told);
        if let Some(mut alarm) = self.alarm.take() {
            alarm.wake(rules, time, told);
            self.alarm = Some(alarm);
        }
    }

    /// Ends the waits of levels that are due at a time, and tells what follows; nothing of a time before `floor`.
    fn end_waits(&mut self, rules: &Rules, (time, floor): (i64, i64), told: &mut Vec<Told>) {
        let was = self.first.raised();
        let mut row = None;
        let mut moved = false;
        for (level, rules) in self.levels_mut().zip(&rules.levels) {
            if level.due(*rules) <= time {
                let began = level.wake(*rules, floor);
                row = row.or(began);
                moved = true;
            }
        }
        let time = time.max(floor);
        let Some(mut alarm) = self.alarm.take() else {
            return self.plain(was, time, || row, told);
        };
        if moved {
            let worst = self.worst(&alarm);
            alarm.settle(rules, worst, (time, row, Note::Plain), told);
        }
        self.alarm = Some(alarm);
    }

    fn worst(&self, alarm: &Alarm) -> Option<usize> {
        let mut levels = std::iter::once(&self.first).chain(&alarm.others);
        levels.position(|level| level.raised().is_some())
    }

    /// Tells the change of a task of one level.
    fn plain(
        &self,
        was: Option<i64>,
        time: i64,
        row: impl FnOnce() -> Option<EventRef>,
        told: &mut Vec<Told>,
    ) {
        let (kind, time) = match (was, self.first.raised()) {
            (None, Some(at)) => (OutcomeKind::Raised, at),
            (Some(at), None) => (OutcomeKind::Cleared, time.max(at)),
            _ => return,
        };
        told.push(Told {
            kind,
            time,
            level: Some(0),
            note: Note::Plain,
            row: row(),
        });
    }

    /// Judges a row or timer point.
    pub(crate) fn judge(&mut self, rules: &Rules, judgement: &Judgement<'_>, told: &mut Vec<Told>) {
        if rules.is_rich() && self.alarm.is_none() {
            self.alarm = Some(Box::new(Alarm::of(&self.first, rules)));
        }
        let was = self.first.raised();
        let time = judgement.time;
        let mut repeats = false;
        for (at, level) in self.levels_mut().enumerate() {
            let rules = rules.level(at);
            let (when, clear) = judgement.truths.get(at).copied().unwrap_or_default();
            match judgement.presence {
                Presence::Active => {
                    let when = level.dampen(rules, when);
                    level.judge(rules, when, clear, time, judgement.row);
                    repeats |= when == Some(true) && level.raised().is_some();
                }
                Presence::Paused => {
                    level.give_up();
                    level.judge(rules, None, clear, time, judgement.row);
                }
                Presence::Away => level.calm(),
            }
        }
        let Some(mut alarm) = self.alarm.take() else {
            return self.plain(was, time, judgement.row, told);
        };
        let row = (judgement.row)();
        let note = match judgement.presence {
            Presence::Away => Note::Schedule,
            Presence::Active | Presence::Paused => Note::Plain,
        };
        let before = told.len();
        let worst = self.worst(&alarm);
        alarm.settle(rules, worst, (time, row.clone(), note), told);
        if rules.every_time && repeats && alarm.repeats() && told.len() == before {
            told.push(Told {
                kind: OutcomeKind::Holds,
                time,
                level: alarm.told,
                note: Note::Plain,
                row,
            });
        }
        self.alarm = Some(alarm);
    }
}
