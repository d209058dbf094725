//! A task of a rule over several resources that somebody watches: that of the engine inside, or the rows of a join that wait.

use std::sync::Arc;

use tidegate_proto::{EventRef, Outcome, Timestamp, Value};

use super::joined::JoinedState;
use super::picked::of_pair;
use super::{Engine, ONE, WideUnit};
use crate::join::{JoinKey, JoinRow, Lack, Pair};
use crate::pipeline::View;
use crate::pipeline::seen::{Inside, Sighting, Subject};
use crate::plan::Plan;

/// Rows of a join that wait, of one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinSeen {
    /// Left, then right.
    pub sides: Vec<JoinSideSeen>,
}

/// One side of a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinSideSeen {
    /// What formulas call its rows.
    pub name: Arc<str>,
    /// Rows that are kept.
    pub rows: usize,
    /// The newest of them, the newest first.
    pub waits: Vec<WaitSeen>,
}

/// A row that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitSeen {
    /// Its event.
    pub cause: EventRef,
    /// Its time.
    pub time: Timestamp,
    /// Until when a partner may come.
    pub until: Option<Timestamp>,
    /// What it lacks; `None`: others look for it, it looks for none.
    pub lack: Option<Lack>,
    /// The nearest row of the other side that is no partner.
    pub nearest: Option<EventRef>,
}

/// The watched task of a join.
#[derive(Clone, Debug)]
pub(super) struct JoinWatch {
    plan: Arc<Plan>,
    subject: Subject,
    key: Option<JoinKey>,
    /// Rows that were kept when it was looked at last.
    kept: usize,
    done: Vec<Sighting>,
}

impl JoinWatch {
    fn is_mine(&self, key: &JoinKey) -> bool {
        match key {
            JoinKey::Resource(resource) => *resource == self.subject.resource,
            JoinKey::Values(_, text) | JoinKey::Nothing(_, text) => *text == self.subject.key,
        }
    }
}

impl JoinedState {
    /// How the watched task stands now.
    fn waits(&self, seen: &JoinWatch, view: &dyn View) -> JoinSeen {
        let Some(key) = &seen.key else {
            return JoinSeen::default();
        };
        let holds = |left: &Arc<JoinRow>, right: &Arc<JoinRow>| {
            let pair = Pair {
                key: key.clone(),
                left: Some(Arc::clone(left)),
                right: Some(Arc::clone(right)),
                time: left.time.max(right.time),
                window: None,
                back: false,
                record: 0,
            };
            self.holds(&pair, view)
        };
        let joined = &self.saved.joined;
        let sides = joined.waits(&self.rules, key, seen.subject.most, &holds);
        let streams = [&self.plan.join.left, &self.plan.join.right];
        let sides = streams.into_iter().zip(sides);
        let sides = sides.map(|(stream, (rows, waits))| JoinSideSeen {
            name: Arc::clone(&stream.name),
            rows,
            waits: waits
                .into_iter()
                .map(|wait| WaitSeen {
                    cause: wait.row.event.clone(),
                    time: Timestamp(wait.row.time),
                    until: wait.until.filter(|at| *at != i64::MAX).map(Timestamp),
                    lack: wait.lack,
                    nearest: wait.nearest.map(|row| row.event.clone()),
                })
                .collect(),
        });
        JoinSeen {
            sides: sides.collect(),
        }
    }

    /// Whether the rule's `where` is true of a pair.
    fn holds(&self, pair: &Pair, view: &dyn View) -> bool {
        let Some(filter) = &self.plan.filter else {
            return true;
        };
        let values = filter.sources.iter();
        let values: Vec<Value> = values
            .map(|source| of_pair(source, pair, &[], view))
            .collect();
        filter.formula.evaluate_row(&values) == Ok(Value::Bool(true))
    }

    /// Notes how the watched task stands after a row, or after time has passed; `from`: findings that were there before.
    pub(super) fn see(
        &mut self,
        (key, from): (Option<&JoinKey>, usize),
        (at, cause): (i64, Option<EventRef>),
        view: &dyn View,
    ) {
        let Some(mut seen) = self.seen.take() else {
            return;
        };
        if let Some(key) = key.filter(|key| seen.is_mine(key)) {
            seen.key = Some(key.clone());
        }
        let pairs = self.found.pairs.get(from..).unwrap_or_default();
        let mine = pairs.iter().filter(|pair| seen.is_mine(&pair.key));
        let told = mine.filter(|pair| self.holds(pair, view));
        let told: Vec<Timestamp> = told.map(|pair| Timestamp(pair.time)).collect();
        let kept = self.kept(&seen);
        let changed = std::mem::replace(&mut seen.kept, kept) != kept;
        if changed || key.is_some_and(|key| seen.is_mine(key)) || !told.is_empty() {
            let inside = Inside::Join(self.waits(&seen, view));
            let mut sighting = Sighting::of(Arc::clone(&seen.plan), at, inside);
            (sighting.cause, sighting.told) = (cause, told);
            seen.done.push(sighting);
        }
        self.seen = Some(seen);
    }

    fn kept(&self, seen: &JoinWatch) -> usize {
        let key = seen.key.as_ref();
        key.map_or(0, |key| self.saved.joined.kept(key))
    }

    /// Findings so far.
    pub(super) fn found(&self) -> usize {
        self.found.pairs.len()
    }

    fn watch(&mut self, plan: &Arc<Plan>, subject: Option<&Subject>) -> Vec<Sighting> {
        let done = self
            .seen
            .as_mut()
            .map(|seen| std::mem::take(&mut seen.done));
        match (subject, self.seen.as_mut()) {
            (None, _) => self.seen = None,
            (Some(subject), Some(seen)) if seen.subject == *subject => {
                seen.plan = Arc::clone(plan);
            }
            (Some(subject), _) => {
                let mut seen = JoinWatch {
                    plan: Arc::clone(plan),
                    subject: subject.clone(),
                    key: None,
                    kept: 0,
                    done: Vec::new(),
                };
                seen.key = self.saved.joined.find_key(|key| seen.is_mine(key));
                seen.kept = self.kept(&seen);
                self.seen = Some(Box::new(seen));
            }
        }
        done.unwrap_or_default()
    }
}

impl WideUnit {
    /// Begins to watch a task, goes on, or ends; answers with what it saw since it was last asked.
    pub(crate) fn watch(&mut self, subject: Option<&Subject>) -> Vec<Sighting> {
        self.wanted = subject.cloned();
        let name = Arc::clone(&self.plan.name);
        let inner = match &mut self.engine {
            Engine::Join(join) => return join.watch(&self.plan, subject),
            Engine::Inner(inner) => inner,
        };
        let done = inner.sightings();
        let Some(subject) = subject else {
            inner.unwatch();
            return done;
        };
        let resource = if self.wide.by.is_some() {
            // The number of a key is known from its first row on.
            self.state.keyed.find(&subject.key)
        } else if self.wide.everything {
            Some(ONE)
        } else {
            Some(subject.resource)
        };
        if let Some(resource) = resource {
            inner.keep_watching(&name, resource, subject);
        }
        done
    }

    /// The first row of a key has come, which somebody may have waited for.
    pub(super) fn watch_key(&mut self, key: u32) {
        let Some(subject) = self.wanted.clone() else {
            return;
        };
        if self.state.keyed.find(&subject.key) == Some(key)
            && let Engine::Inner(inner) = &mut self.engine
        {
            inner.keep_watching(&self.plan.name, key, &subject);
        }
    }

    /// How the watched task stands, whatever was seen of it.
    pub(crate) fn sight(&self, view: &dyn View) -> Option<Sighting> {
        let water = |task: u32| {
            let water = self.state.tasks.get(&task).map(|time| time.water);
            water.filter(|water| *water != crate::watermark::NEVER)
        };
        let mut sighting = match &self.engine {
            Engine::Inner(inner) => inner.sight(view)?,
            Engine::Join(join) => {
                let inside = Inside::Join(join.waits(join.seen.as_ref()?, view));
                Sighting::of(Arc::clone(&self.plan), water(ONE)?, inside)
            }
        };
        sighting.partial = true;
        Some(sighting)
    }

    /// Whether its tasks are of no single resource.
    pub(crate) fn is_everything(&self) -> bool {
        self.wide.everything
    }
}

impl super::Pipeline {
    fn keep_watching(&mut self, rule: &str, resource: u32, subject: &Subject) {
        let inside = Subject {
            resource,
            ..subject.clone()
        };
        if !self.watches(rule, &inside) {
            self.watch(rule, inside);
        }
    }

    /// The number that a task of a rule is asked for by: that of its resource, or of none.
    #[must_use]
    pub fn number_of(&self, rule: &str, resource: u32) -> u32 {
        let everything = match self.rules.get(rule) {
            Some(crate::pipeline::Seat::Wide(at)) => self.wides.get(*at).and_then(Option::as_ref),
            _ => None,
        };
        if everything.is_some_and(WideUnit::is_everything) {
            Outcome::NOWHERE
        } else {
            resource
        }
    }
}
