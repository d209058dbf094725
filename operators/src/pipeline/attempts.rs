//! [`AttemptSeen`]: how far the attempts of a pattern have come on one resource.

use std::sync::Arc;

use tidegate_proto::{EventRef, Timestamp};

use super::{Pipeline, Seat};
use crate::timer::IDLE;
use crate::watermark::NEVER;

/// Attempts that are told.
const TOLD: usize = 16;

/// How far one attempt of a pattern has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSeen {
    /// Time of its first row, or of the end of a leading absence.
    pub began: Option<Timestamp>,
    /// Rows by element, in the order of taking.
    pub bound: Vec<(Arc<str>, Vec<EventRef>)>,
    /// Place of the element that it waits for, from 0.
    pub waits_for: usize,
    /// When something happens to it without a row.
    pub until: Option<Timestamp>,
}

impl Pipeline {
    /// The newest attempts of a pattern on a resource, the newest first; `None` if the rule is no running pattern.
    #[must_use]
    pub fn attempts(&self, rule: &str, resource: u32) -> Option<Vec<AttemptSeen>> {
        let Some(Seat::Pattern(at)) = self.rules.get(rule) else {
            return None;
        };
        let unit = self.patterns.get(*at)?.as_ref()?;
        let key = unit.state.keys.get(resource as usize);
        let attempts = key.map(|key| key.attempts()).unwrap_or_default();
        let machine = &unit.pattern.machine;
        let told = attempts.iter().rev().take(TOLD).map(|attempt| {
            let mut bound: Vec<(Arc<str>, Vec<EventRef>)> = Vec::new();
            for taken in &attempt.rows {
                let alias = unit.pattern.aliases.get(usize::from(taken.alias));
                let (Some(alias), Some(row)) = (alias, &taken.row) else {
                    continue;
                };
                match bound.iter_mut().find(|(name, _)| *name == alias.name) {
                    Some((_, rows)) => rows.push(row.event.clone()),
                    None => bound.push((Arc::clone(&alias.name), vec![row.event.clone()])),
                }
            }
            let (due, _) = attempt.next(machine);
            AttemptSeen {
                began: (attempt.began != NEVER).then_some(Timestamp(attempt.began)),
                bound,
                waits_for: attempt.waits_for(machine),
                until: (due != IDLE).then_some(Timestamp(due)),
            }
        });
        Some(told.collect())
    }
}
