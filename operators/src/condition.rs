//! Conditions over time: `when`, `hold`, `clear`, `clear_hold` as a machine of one task, fed with judgements in the order
//! of the task's time. An unknown condition changes nothing.

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, OutcomeKind, Value};

use crate::timer::IDLE;

/// What the rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rules {
    /// `hold` in ms.
    pub(crate) hold: i64,
    /// Whether there is a `clear` of its own.
    pub(crate) clear: bool,
    /// `clear_hold` in ms.
    pub(crate) clear_hold: i64,
}

impl Rules {
    /// Whether the machine ever waits for time.
    pub(crate) const fn waits(self) -> bool {
        self.hold > 0 || self.clear_hold > 0
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Not raised, and nothing on the way.
    #[default]
    Calm,
    /// True without break since then, the hold runs.
    Pending {
        /// First true.
        since: i64,
    },
    /// Raised at that time.
    Raised {
        /// When.
        at: i64,
    },
    /// Raised, and the end has been in sight since then, the clear hold runs.
    Clearing {
        /// When it was raised.
        at: i64,
        /// First true of what ends it.
        since: i64,
    },
}

/// What was known at the last judgement, kept while a hold runs: what a timer then tells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Row that began the run.
    pub(crate) cause: EventRef,
    /// Slot values of the last row judged.
    pub(crate) values: Vec<Value>,
}

/// One task of a condition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Task {
    /// Where it stands.
    pub(crate) phase: Phase,
    /// Memory of a running hold.
    pub(crate) kept: Option<Box<Kept>>,
}

/// A change to tell: what and at which event time.
pub(crate) type Change = (OutcomeKind, i64);

impl Task {
    /// Whether the condition is raised.
    pub(crate) const fn raised(&self) -> bool {
        matches!(self.phase, Phase::Raised { .. } | Phase::Clearing { .. })
    }

    /// The event time of the next timer, [`IDLE`] if none runs.
    pub(crate) const fn due(&self, rules: Rules) -> i64 {
        match self.phase {
            Phase::Pending { since } => since.saturating_add(rules.hold),
            Phase::Clearing { since, .. } => since.saturating_add(rules.clear_hold),
            _ => IDLE,
        }
    }

    /// Runs the timer if it is due at this watermark.
    pub(crate) fn wake(&mut self, rules: Rules, watermark: i64) -> Option<Change> {
        let due = self.due(rules);
        if due > watermark || due == IDLE {
            return None;
        }
        let kind = if let Phase::Pending { .. } = self.phase {
            self.phase = Phase::Raised { at: due };
            OutcomeKind::Raised
        } else {
            self.phase = Phase::Calm;
            OutcomeKind::Cleared
        };
        Some((kind, due))
    }

    /// Judges a row or timer point. `ends` is the value of `clear`, or of `!when` without one.
    pub(crate) fn judge(
        &mut self,
        rules: Rules,
        when: Option<bool>,
        clear: Option<bool>,
        time: i64,
    ) -> Option<Change> {
        let ends = if rules.clear {
            clear
        } else {
            when.map(|truth| !truth)
        };
        match self.phase {
            Phase::Calm if when == Some(true) => self.begin(rules, time),
            Phase::Pending { .. } if when == Some(false) => {
                self.phase = Phase::Calm;
                None
            }
            Phase::Raised { at } if ends == Some(true) => self.end(rules, at, time),
            Phase::Clearing { at, .. } if ends == Some(false) => {
                self.phase = Phase::Raised { at };
                None
            }
            _ => None,
        }
    }

    fn begin(&mut self, rules: Rules, time: i64) -> Option<Change> {
        if rules.hold > 0 {
            self.phase = Phase::Pending { since: time };
            return None;
        }
        self.phase = Phase::Raised { at: time };
        Some((OutcomeKind::Raised, time))
    }

    fn end(&mut self, rules: Rules, at: i64, time: i64) -> Option<Change> {
        // A row that is judged as of an earlier time than the timer that raised cannot clear before it.
        let time = time.max(at);
        if rules.clear_hold > 0 {
            self.phase = Phase::Clearing { at, since: time };
            return None;
        }
        self.phase = Phase::Calm;
        Some((OutcomeKind::Cleared, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judgements `(time, when, clear)` with the watermark at each time; ends with the watermark at `until`.
    fn run(
        rules: Rules,
        rows: &[(i64, Option<bool>, Option<bool>)],
        until: i64,
    ) -> Vec<(&'static str, i64)> {
        let mut task = Task::default();
        let mut told = Vec::new();
        for (time, when, clear) in rows {
            told.extend(task.wake(rules, *time));
            told.extend(task.judge(rules, *when, *clear, *time));
        }
        told.extend(task.wake(rules, until));
        told.into_iter()
            .map(|(kind, time)| (kind.word(), time))
            .collect()
    }

    const T: Option<bool> = Some(true);
    const F: Option<bool> = Some(false);

    #[test]
    fn hold_of_the_specification() {
        let rules = Rules {
            hold: 120_000,
            clear: false,
            clear_hold: 0,
        };
        assert_eq!(
            run(rules, &[(0, T, None), (120_000, F, None)], 120_000),
            [("raised", 120_000), ("cleared", 120_000)]
        );
        assert_eq!(run(rules, &[(0, T, None), (119_999, F, None)], 600_000), []);
        // Unknown neither breaks nor begins a run.
        assert_eq!(
            run(rules, &[(0, T, None), (60_000, None, None)], 120_000),
            [("raised", 120_000)]
        );
    }

    #[test]
    fn clear_is_read_only_while_raised_and_holds_too() {
        let rules = Rules {
            hold: 0,
            clear: true,
            clear_hold: 30,
        };
        let rows = [
            (0, T, T),
            (10, T, T),
            (20, F, F),
            (30, F, T),
            (50, T, None),
            (60, T, T),
            (61, T, F),
        ];
        assert_eq!(
            run(rules, &rows, 500),
            [("raised", 0), ("cleared", 60), ("raised", 60)]
        );
    }
}
