//! [`Outcome`]: what a rule says about one resource at one event time, and the result line that it becomes.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::batch::EventRef;
use crate::time::Timestamp;
use crate::value::Value;

/// What kind of thing a rule says, in the order in which equal moments are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutcomeKind {
    /// A row of a join or an actuator.
    Result,
    /// A condition became true (after its hold).
    Raised,
    /// The severity of a raised alarm changed.
    Updated,
    /// A raised condition ended.
    Cleared,
    /// A row of a window rule.
    Window,
    /// A pattern matched.
    Match,
    /// A state of a node or of the rule changed.
    State,
    /// A row came too late for a window.
    Late,
    /// The rule could not do its work on a row.
    Error,
    /// A raised condition was found true again: no line, only a cue for actions that run every time.
    Holds,
}

impl OutcomeKind {
    /// The word in a result line.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Raised => "raised",
            Self::Updated => "updated",
            Self::Cleared => "cleared",
            Self::Window => "window",
            Self::Match => "match",
            Self::State => "state",
            Self::Late => "late",
            Self::Error => "error",
            Self::Holds => "holds",
        }
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What of the intake made an outcome: a record of it, or the clock at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// The record with this index in the intake (a row, or a change of a definition).
    Record(u32),
    /// The clock of the epoch.
    Clock,
}

/// What a rule says about one resource at one event time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the rule.
    pub rule: Arc<str>,
    /// Number of the resource in the shard's interner, or [`Outcome::NOWHERE`].
    pub resource: u32,
    /// Key text of the group inside the resource; empty without `by`.
    pub group: Arc<str>,
    /// Event time: row time, since + hold, or window end.
    pub time: Timestamp,
    /// What kind of line this is.
    pub kind: OutcomeKind,
    /// Columns by name in the order written; `None` prints as `null` (a retraction).
    pub values: Option<Vec<(Arc<str>, Value)>>,
    /// Window `[start, end)` as printed, if the rule has windows.
    pub window: Option<(Timestamp, Timestamp)>,
    /// 1, 2, 3 … of one window; 1 for everything else.
    pub revision: u32,
    /// Events that caused it, as DESIGN section 5 orders them.
    pub cause: SmallVec<[EventRef; 2]>,
    /// Texts of the rule's actions and targets as rendered at this moment, in the order of the plan's templates; empty
    /// for kinds that no action runs on.
    pub texts: Vec<Arc<str>>,
    /// What of the intake made it, for the order of result lines.
    pub trigger: Trigger,
}

impl Outcome {
    /// Instead of the number of a resource: the task is that of no single one.
    pub const NOWHERE: u32 = u32::MAX;

    /// Task id: `rule/resource`, with the group's key text behind it when there is one; of no resource: `rule`, or
    /// `rule/key`.
    #[must_use]
    pub fn task(&self, resource: &str) -> String {
        if self.resource == Self::NOWHERE {
            match self.group.as_ref() {
                "" => self.rule.to_string(),
                group => format!("{}/{group}", self.rule),
            }
        } else if self.group.is_empty() {
            format!("{}/{resource}", self.rule)
        } else {
            format!("{}/{resource}/{}", self.rule, self.group)
        }
    }
}
