//! [`Excesses`]: limits that were reached: each is counted on the task and told once an hour as an `error` line of the rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{Outcome, OutcomeKind, Value};

use super::unit::{Tale, line};

/// An hour of event time.
const HOUR: i64 = 3_600_000;

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Limit {
    WaitingRows,
    Attempts,
    Ways,
}

impl Limit {
    /// Which one, what happens beyond it, and where it is counted.
    const fn words(self) -> &'static str {
        match self {
            Self::WaitingRows => {
                "limits.waiting_rows is reached: the oldest row was taken before its time (counted as forced_rows)"
            }
            Self::Attempts => {
                "limits.attempts or limits.attempt_rows is reached: an attempt was dropped (counted as dropped_attempts)"
            }
            Self::Ways => {
                "limits.attempt_ways is reached: a way of an attempt was not made (counted as dropped_ways)"
            }
        }
    }
}

/// Hour of the last line about each limit, per task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Excesses {
    hours: BTreeMap<(u32, Limit), i64>,
}

impl Excesses {
    /// Tells of a limit, unless it did in this hour.
    pub(crate) fn tell(
        &mut self,
        rule: &Arc<str>,
        limit: Limit,
        tale: Tale,
        out: &mut Vec<Outcome>,
    ) {
        let hour = tale.time.div_euclid(HOUR);
        let last = self.hours.get(&(tale.resource, limit));
        if last.is_some_and(|last| *last >= hour) {
            return;
        }
        self.hours.insert((tale.resource, limit), hour);
        let tale = Tale {
            kind: OutcomeKind::Error,
            ..tale
        };
        let values = vec![(Arc::from("message"), Value::text(limit.words()))];
        out.push(line(rule, &tale, values));
    }
}
