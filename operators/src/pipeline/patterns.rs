//! [`PatternUnit`]: one running pattern rule: rows in their order, columnar tests, attempts per resource, timers.

mod alarm;
mod change;
mod intake;
mod pick;
mod seen;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventBatch, EventRef, Names, Outcome, Trigger, Value};
use tidegate_scripts::Column;

use self::seen::PatternWatch;
use self::tell::{Book, Theatre};
use super::excess::Excesses;
use super::members::Members;
use super::sight::{Gaze, Sight};
use super::steps::{Blame, Late};
use super::{Limits, TaskCounters, View};
use crate::order::Waiting;
use crate::pattern::{Fit, Key, KeyLimits};
use crate::plan::Plan;
use crate::plan::pattern::PatternPlan;
use crate::timer::{IDLE, Timers};
use crate::watermark::{NEVER, at, cell};

/// No point: time passes, nothing is judged.
const NO_POINT: u32 = u32::MAX;

/// All of a pattern rule that a snapshot keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PatternState {
    line: usize,
    pub(crate) members: Members,
    pub(crate) sight: Sight,
    /// What `where` sees: every row.
    pub(super) filter: Option<Sight>,
    pub(super) waiting: Waiting,
    /// Attempts by resource.
    pub(super) keys: Vec<Key>,
    /// When the next timer of a resource is due.
    due: Vec<i64>,
    timers: Timers,
    /// Values as of the last row, where a match without a row tells some.
    kept: Vec<Vec<Value>>,
    /// Members whose wait could not begin yet: no time is known.
    unborn: BTreeSet<u32>,
    pub(crate) counters: BTreeMap<u32, TaskCounters>,
    /// Hour of the last error line per resource.
    hours: BTreeMap<u32, i64>,
    excesses: Excesses,
    /// Resources with an active alarm, and since when.
    pub(crate) raised: BTreeMap<u32, i64>,
}

/// One running pattern rule.
#[derive(Debug)]
pub(crate) struct PatternUnit {
    pub(crate) plan: Arc<Plan>,
    pub(crate) pattern: Arc<PatternPlan>,
    pub(crate) state: PatternState,
    /// A task that somebody watches.
    pub(crate) seen: Option<Box<PatternWatch>>,
}

/// One step of one task's time.
#[derive(Clone, Debug)]
struct Step {
    resource: u32,
    /// The time that counts for the row.
    at: i64,
    /// The row's own time.
    time: i64,
    /// Timers up to here come before the row.
    before: i64,
    /// Timers up to here come after it.
    after: i64,
    /// A revision made them due: they happen at that time, not at their own.
    settles: bool,
    /// Number of the point, or [`NO_POINT`].
    point: u32,
    event: Event,
    trigger: Trigger,
}

/// Where the event of a step is.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A row of the batch.
    Row(u32),
    /// An entry of the kept events.
    Kept(u32),
    None,
}

/// Vectors used again by every call.
#[derive(Debug, Default)]
pub(crate) struct PatternScratch {
    gaze: Gaze,
    filter: Gaze,
    steps: Vec<Step>,
    late: Vec<Late>,
    blames: Vec<Blame>,
    /// Events that waited.
    events: Vec<EventRef>,
    touched: Vec<u32>,
    /// What each test says of each point.
    fits: Vec<Vec<Fit>>,
}

impl PatternUnit {
    pub(crate) fn new(
        plan: &Arc<Plan>,
        pattern: &Arc<PatternPlan>,
        line: usize,
        view: &dyn View,
        metrics: &mut Names,
    ) -> Self {
        let filter = plan.filter.as_ref();
        let state = PatternState {
            line,
            members: Members::of(&plan.rule().selector, view),
            sight: Sight::new(&pattern.table, metrics),
            filter: filter.map(|f| Sight::new(&f.table, metrics)),
            waiting: Waiting::default(),
            keys: Vec::new(),
            due: Vec::new(),
            timers: Timers::default(),
            kept: Vec::new(),
            unborn: BTreeSet::new(),
            counters: BTreeMap::new(),
            hours: BTreeMap::new(),
            excesses: Excesses::default(),
            raised: BTreeMap::new(),
        };
        Self {
            plan: Arc::clone(plan),
            pattern: Arc::clone(pattern),
            state,
            seen: None,
        }
    }

    pub(crate) fn next_clock(&self) -> Option<i64> {
        self.state.timers.next()
    }

    fn open(&self, scratch: &mut PatternScratch) {
        let metrics = self.state.sight.metrics.len();
        scratch.gaze.open(&self.pattern.table, metrics);
        if let (Some(plan), Some(sight)) = (&self.plan.filter, &self.state.filter) {
            scratch.filter.open(&plan.table, sight.metrics.len());
        }
        scratch.steps.clear();
        scratch.late.clear();
        scratch.blames.clear();
        scratch.events.clear();
        scratch.touched.clear();
        scratch.fits.resize(self.pattern.tests.len(), Vec::new());
        scratch.fits.iter_mut().for_each(Vec::clear);
    }

    /// Judges all points, then runs the steps in their order.
    fn run(
        &mut self,
        (batch, view): (Option<&EventBatch>, &dyn View),
        limits: Limits,
        scratch: &mut PatternScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.tell_excess(batch, scratch, out);
        let columns = scratch.gaze.columns();
        let points = scratch.gaze.points as usize;
        for (test, fits) in self.pattern.tests.iter().zip(&mut scratch.fits) {
            let Some(bound) = &test.bound else { continue };
            let asked = super::judge::columns_of(bound, &columns);
            let judged = bound.formula.evaluate(&asked, points);
            for (point, fit) in (0..).zip(fits.iter_mut()) {
                if *fit == Fit::Unjudged {
                    continue;
                }
                *fit = match super::judge::truth(&judged.column, point) {
                    Some(true) => Fit::Yes,
                    Some(false) => Fit::No,
                    None => Fit::Unknown,
                };
            }
            for (point, fit) in (0..).zip(fits.iter()) {
                if *fit == Fit::Unknown
                    && let Some(odd) = super::judge::oddity(&judged.column, point)
                    && let Some(step) = scratch.steps.iter().find(|step| step.point == point)
                {
                    scratch.blames.push(blame(step, odd));
                }
            }
            scratch
                .blames
                .extend(judged.errors.iter().filter_map(|(point, error)| {
                    let known = fits.get(*point as usize) != Some(&Fit::Unjudged);
                    let step = scratch.steps.iter().find(|step| step.point == *point);
                    step.filter(|_| known)
                        .map(|step| blame(step, error.to_string()))
                }));
        }
        let book = Book {
            batch,
            view,
            columns: &columns,
            fits: &scratch.fits,
            events: &scratch.events,
        };
        let steps = std::mem::take(&mut scratch.steps);
        self.tell_blames(&book, &scratch.blames, out);
        for step in &steps {
            self.step(step, &book, limits, out);
        }
        scratch.steps = steps;
    }

    fn step(&mut self, step: &Step, book: &Book<'_>, limits: Limits, out: &mut Vec<Outcome>) {
        let pattern = Arc::clone(&self.pattern);
        let resource = step.resource;
        let due = at(&self.state.due, resource, IDLE);
        let judged = step.point != NO_POINT;
        if due > step.after.max(step.before) && !judged {
            return;
        }
        let machine = &pattern.machine;
        let limits = KeyLimits {
            attempts: limits.attempts,
            rows: limits.attempt_rows,
            ways: limits.attempt_ways,
        };
        let mut key = std::mem::take(cell(&mut self.state.keys, resource, Key::default()));
        let mut theatre = Theatre::new(self, step, book, out);
        if due <= step.before {
            theatre.between = true;
            let floor = if step.settles { step.before } else { NEVER };
            key.pass(machine, (floor, step.before), limits, &mut theatre);
            theatre.between = false;
        }
        let clears = judged && theatre.may_clear();
        let judged = judged && (pattern.clear.is_none() || theatre.is_of_pattern());
        if judged && !(key.is_idle(machine) && theatre.passes_over(machine)) {
            key.row(machine, step.at, limits, &mut theatre);
        }
        if judged {
            theatre.see(key.attempts(), step.at);
            theatre.keep_values();
        }
        if clears {
            theatre.clear();
        }
        theatre.between = true;
        if key.due(machine) <= step.after {
            key.time(machine, step.after, limits, &mut theatre);
        }
        *cell(&mut self.state.due, resource, IDLE) = key.due(machine);
        *cell(&mut self.state.keys, resource, Key::default()) = key;
    }

    pub(crate) fn bytes(&self) -> usize {
        let state = &self.state;
        let keys: usize = state.keys.iter().map(Key::bytes).sum();
        state.sight.bytes()
            + state.filter.as_ref().map_or(0, Sight::bytes)
            + state.waiting.bytes()
            + state.members.bytes()
            + state.timers.bytes()
            + keys
            + state.keys.capacity() * size_of::<Key>()
            + state.due.capacity() * 8
            + state
                .kept
                .iter()
                .map(|kept| kept.capacity() * size_of::<Value>())
                .sum::<usize>()
            + (state.counters.len() + state.hours.len() + state.raised.len()) * 64
    }
}

fn blame(step: &Step, message: String) -> Blame {
    use super::steps::Cause;
    Blame {
        resource: step.resource,
        time: step.at,
        cause: match step.event {
            Event::Row(row) => Cause::Row(row),
            Event::Kept(kept) => Cause::Kept(kept),
            Event::None => Cause::None,
        },
        trigger: step.trigger,
        message,
    }
}

/// Values by place at a point.
fn value_at(columns: &[Column], place: usize, point: u32) -> Value {
    let column = columns.get(place);
    column
        .map(|column| column.value(point as usize))
        .unwrap_or_default()
}
