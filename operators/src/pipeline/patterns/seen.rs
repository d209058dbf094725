//! [`PatternWatch`]: attempts of a pattern on a task that somebody watches, also those that have ended. Nobody notes that
//! while a shard runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proto::{EventRef, Timestamp};

use super::PatternUnit;
use super::tell::Theatre;
use crate::pattern::{Attempt, AttemptEnd};
use crate::pipeline::attempts::{AttemptEnded, AttemptSeen, AttemptsSeen};
use crate::pipeline::seen::{Inside, Sighting};
use crate::plan::Plan;
use crate::plan::pattern::PatternPlan;

/// Older first: by number of the first row, then by number of the attempt, then in the order of ending.
type Age = (u64, u64, u64);

/// A task of a pattern that is watched.
#[derive(Clone, Debug)]
pub(crate) struct PatternWatch {
    pub(crate) resource: u32,
    plan: Arc<Plan>,
    /// Most attempts that are told.
    most: usize,
    /// The newest that have ended.
    ended: BTreeMap<Age, AttemptSeen>,
    /// Attempts that have ended so far.
    count: u64,
    /// Times of matches since the last moment.
    told: Vec<Timestamp>,
    pub(crate) done: Vec<Sighting>,
}

impl PatternWatch {
    fn new(resource: u32, plan: Arc<Plan>, most: usize) -> Self {
        Self {
            resource,
            plan,
            most,
            ended: BTreeMap::new(),
            count: 0,
            told: Vec::new(),
            done: Vec::new(),
        }
    }

    /// The newest of those that live and those that have ended, the newest first.
    fn attempts(&self, pattern: &PatternPlan, living: &[Attempt]) -> AttemptsSeen {
        let newest = living.iter().rev().take(self.most);
        let alive = newest.map(|attempt| {
            let age = (attempt.first(), attempt.made, u64::MAX);
            (age, AttemptSeen::of(attempt, pattern))
        });
        let mut all: Vec<(Age, AttemptSeen)> = alive.collect();
        let ended = self.ended.iter();
        all.extend(ended.map(|(age, attempt)| (*age, attempt.clone())));
        all.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
        all.truncate(self.most);
        let attempts: Vec<AttemptSeen> = all.into_iter().map(|(_, attempt)| attempt).collect();
        let lives = attempts.iter().filter(|attempt| attempt.ended.is_none());
        AttemptsSeen {
            cut: living.len() - lives.count().min(living.len()),
            attempts,
            steps: pattern.machine.steps.len(),
        }
    }
}

impl Theatre<'_> {
    /// Notes how an attempt ended.
    pub(super) fn see_end(&mut self, attempt: &Attempt, how: AttemptEnd, at: i64) {
        if self.seen.is_none() {
            return;
        }
        let by = (!self.between).then(|| self.event());
        let Some(seen) = &mut self.seen else { return };
        seen.count += 1;
        let mut told = AttemptSeen::of(attempt, &self.pattern);
        told.until = None;
        told.ended = Some(AttemptEnded {
            how,
            by,
            at: Timestamp(at),
        });
        let age = (attempt.first(), attempt.made, seen.count);
        seen.ended.insert(age, told);
        while seen.ended.len() > seen.most {
            seen.ended.pop_first();
        }
    }

    /// Notes that a match was told.
    pub(super) fn see_match(&mut self, at: i64) {
        if let Some(seen) = &mut self.seen {
            seen.told.push(Timestamp(at));
        }
    }

    /// Notes how the attempts stand.
    pub(super) fn see(&mut self, living: &[Attempt], at: i64) {
        if self.seen.is_none() {
            return;
        }
        let cause = (!self.between).then(|| self.event());
        let Some(seen) = &mut self.seen else { return };
        let inside = Inside::Attempts(seen.attempts(&self.pattern, living));
        let mut sighting = Sighting::of(Arc::clone(&seen.plan), at, inside);
        sighting.cause = cause;
        sighting.told = std::mem::take(&mut seen.told);
        seen.done.push(sighting);
    }
}

impl PatternUnit {
    /// Begins to watch a task, goes on, or ends.
    pub(crate) fn watch(&mut self, resource: Option<u32>, most: usize) {
        match (resource, self.seen.as_mut()) {
            (None, _) => self.seen = None,
            (Some(resource), Some(seen)) if seen.resource == resource => {
                seen.plan = Arc::clone(&self.plan);
            }
            (Some(resource), _) => {
                let plan = Arc::clone(&self.plan);
                self.seen = Some(Box::new(PatternWatch::new(resource, plan, most)));
            }
        }
    }

    /// How a task stands, when nothing of its past is known.
    pub(crate) fn sight(&self, resource: u32, most: usize) -> Option<Inside> {
        let key = self.state.keys.get(resource as usize)?;
        let watch = PatternWatch::new(resource, Arc::clone(&self.plan), most);
        let attempts = watch.attempts(&self.pattern, key.attempts());
        Some(Inside::Attempts(attempts))
    }
}

impl AttemptSeen {
    fn of(attempt: &Attempt, pattern: &PatternPlan) -> Self {
        let mut bound: Vec<(Arc<str>, Vec<EventRef>)> = Vec::new();
        for taken in &attempt.rows {
            let alias = pattern.aliases.get(usize::from(taken.alias));
            let (Some(alias), Some(row)) = (alias, &taken.row) else {
                continue;
            };
            match bound.iter_mut().find(|(name, _)| *name == alias.name) {
                Some((_, rows)) => rows.push(row.event.clone()),
                None => bound.push((Arc::clone(&alias.name), vec![row.event.clone()])),
            }
        }
        let machine = &pattern.machine;
        let (due, _) = attempt.next(machine);
        let some = |at: i64, none: i64| (at != none).then_some(Timestamp(at));
        Self {
            began: some(attempt.began, crate::watermark::NEVER),
            bound,
            waits_for: attempt.waits_for(machine),
            until: some(due, crate::timer::IDLE),
            ended: None,
        }
    }
}
