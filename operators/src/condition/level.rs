//! [`Level`]: one condition with its hold, its clear and its dampening: calm, on the way, raised, on the way back.

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, Severity};

use crate::along::Dampening;
use crate::timer::IDLE;

/// What a rule says of one level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LevelRules {
    /// How bad it is; only levels of several say so.
    pub(crate) severity: Option<Severity>,
    /// `hold` in ms.
    pub(crate) hold: i64,
    /// Whether there is a `clear` of its own.
    pub(crate) clear: bool,
    /// `clear_hold` in ms.
    pub(crate) clear_hold: i64,
    /// So many of the last so many evaluations must be true.
    pub(crate) dampen: Option<(u32, u32)>,
}

/// Where a level stands.
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

/// One level of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    /// Where it stands.
    pub(crate) phase: Phase,
    /// Row that began the wait that runs.
    pub(crate) cause: Option<Box<EventRef>>,
    dampening: Option<Box<Dampening>>,
}

impl Level {
    /// A level that was raised at a time.
    pub(crate) const fn raised_at(at: i64) -> Self {
        Self {
            phase: Phase::Raised { at },
            cause: None,
            dampening: None,
        }
    }

    /// Whether it is raised, and since when.
    pub(crate) const fn raised(&self) -> Option<i64> {
        match self.phase {
            Phase::Raised { at } | Phase::Clearing { at, .. } => Some(at),
            Phase::Calm | Phase::Pending { .. } => None,
        }
    }

    /// The event time of its timer, [`IDLE`] if none runs.
    pub(crate) const fn due(&self, rules: LevelRules) -> i64 {
        match self.phase {
            Phase::Pending { since } => since.saturating_add(rules.hold),
            Phase::Clearing { since, .. } => since.saturating_add(rules.clear_hold),
            Phase::Calm | Phase::Raised { .. } => IDLE,
        }
    }

    /// Ends the wait that runs, at its time, or at `floor` if that is later; answers with the row that began it.
    pub(crate) fn wake(&mut self, rules: LevelRules, floor: i64) -> Option<EventRef> {
        let due = self.due(rules).max(floor);
        self.phase = match self.phase {
            Phase::Pending { .. } => Phase::Raised { at: due },
            Phase::Calm | Phase::Raised { .. } | Phase::Clearing { .. } => Phase::Calm,
        };
        self.cause.take().map(|cause| *cause)
    }

    /// Enters an evaluation into the history; what comes out of it. Unknown ones enter none.
    pub(crate) fn dampen(&mut self, rules: LevelRules, when: Option<bool>) -> Option<bool> {
        let (Some(truth), Some((needed, of))) = (when, rules.dampen) else {
            return when;
        };
        let history = self
            .dampening
            .get_or_insert_with(|| Box::new(Dampening::new(needed, of)));
        history.take(truth);
        Some(history.is_true())
    }

    /// Judges an evaluation as of a time, `when` dampened. The row is named where a wait begins.
    pub(crate) fn judge(
        &mut self,
        rules: LevelRules,
        when: Option<bool>,
        clear: Option<bool>,
        time: i64,
        row: &dyn Fn() -> Option<EventRef>,
    ) {
        let ends = if rules.clear {
            clear
        } else {
            when.map(|truth| !truth)
        };
        match self.phase {
            Phase::Calm if when == Some(true) && rules.hold > 0 => {
                self.phase = Phase::Pending { since: time };
                self.cause = row().map(Box::new);
            }
            Phase::Calm if when == Some(true) => self.phase = Phase::Raised { at: time },
            Phase::Pending { .. } if when == Some(false) => self.calm(),
            Phase::Raised { at } if ends == Some(true) => {
                // A row that is judged as of an earlier time than the timer that raised cannot clear before it.
                let time = time.max(at);
                if rules.clear_hold > 0 {
                    self.phase = Phase::Clearing { at, since: time };
                    self.cause = row().map(Box::new);
                } else {
                    self.phase = Phase::Calm;
                }
            }
            Phase::Clearing { at, .. } if ends == Some(false) => {
                self.phase = Phase::Raised { at };
                self.cause = None;
            }
            Phase::Calm | Phase::Pending { .. } | Phase::Raised { .. } | Phase::Clearing { .. } => {
            }
        }
    }

    /// Goes on under revised rules: `judges` with what its `when` said, `ends` with what ends it.
    pub(crate) fn carry(&self, judges: bool, ends: bool) -> Self {
        let mut level = self.clone();
        if !judges {
            level.give_up();
            level.dampening = None;
        }
        if let (false, Phase::Clearing { at, .. }) = (ends, level.phase) {
            level = Self {
                phase: Phase::Raised { at },
                cause: None,
                ..level
            };
        }
        level
    }

    /// A run of hold that is over without an end.
    pub(crate) fn give_up(&mut self) {
        if let Phase::Pending { .. } = self.phase {
            self.calm();
        }
    }

    /// Not raised any more, nothing on the way; the history stays.
    pub(crate) fn calm(&mut self) {
        self.phase = Phase::Calm;
        self.cause = None;
    }
}
