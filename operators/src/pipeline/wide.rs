//! [`WideUnit`]: one running rule whose tasks read several resources. It finds out whose rows go to which task, how far the
//! task's time is, and in which order rows are taken; what is computed of them is the part of an engine inside.

mod carried;
mod change;
mod delivery;
mod groups;
mod heard;
mod held;
mod intake;
mod joined;
mod keyed;
mod kin;
mod least;
mod links;
mod moved;
mod others;
mod picked;
mod regroup;
mod saved;
pub(crate) mod seen;
mod shares;

pub(crate) use self::intake::push_all;
pub(crate) use self::least::Member;
pub(crate) use self::saved::WideSaved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, Names, Outcome, OutcomeKind, TaskClock, Timestamp, Trigger, Value};

use self::delivery::Delivery;
use self::groups::Groups;
use self::joined::JoinedState;
use self::keyed::Keyed;
use self::least::{Least, Reign, Standing};
use self::links::Links;
use self::others::Others;
use super::members::Members;
use super::seen::Subject;
use super::sight::{Gaze, Sight};
use super::steps::{Blame, Cause};
use super::unit::{Tale, line};
use super::{Pipeline, TaskCounters, TaskState, Untold, View};
use crate::former::Former;
use crate::join::Columns;
use crate::plan::Plan;
use crate::plan::wide::{Feed, WideEngine, WidePlan};
use crate::timer::{IDLE, Timers};
use crate::watermark::{Clocks, Line, NEVER};

/// The clock, in the place of a record.
const CLOCK: u32 = u32::MAX;

/// The only task of a rule over everything.
const ONE: u32 = 0;

/// A row that was taken from a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Taken {
    resource: u32,
    time: i64,
    event: EventRef,
    /// Values by column, then what `where` asks for.
    values: Vec<Value>,
    /// Whether it is a row of the task's own resource, or of everything.
    own: bool,
    /// Streams of a join that have this line of a rule, as bits: left, right; none: it is an event.
    sides: u8,
    /// All that it carries, of a join without `emit`.
    all: Columns,
}

/// Row order: event time, id of the resource in byte order, place in the log.
type Place = (i64, Foremost, u64);

/// What is taken first at one time: inputs, so that a row sees what they say at its very instant; then by the id of the resource.
type Foremost = (bool, Arc<str>);

/// Time and waiting rows of one task.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct TaskTime {
    water: i64,
    /// How far time was given to the engine.
    given: i64,
    held: BTreeMap<Place, Taken>,
    /// Whether a row of its own resource was taken.
    lives: bool,
    /// Time as of which the members of its groups were looked at last.
    looked: i64,
    /// Columns about members that have a value.
    told: BTreeSet<usize>,
    /// The last row that was given.
    event: EventRef,
    /// The latest time of a row that was given.
    last: i64,
    /// Of inputs that have been more than one resource: the place in the log of the row that turned to this one, and its id.
    sources: BTreeMap<usize, (u64, Option<Arc<str>>)>,
}

impl Default for TaskTime {
    fn default() -> Self {
        Self {
            water: NEVER,
            given: NEVER,
            held: BTreeMap::new(),
            lives: false,
            looked: NEVER,
            told: BTreeSet::new(),
            event: EventRef::default(),
            last: NEVER,
            sources: BTreeMap::new(),
        }
    }
}

/// All of a wide rule that a snapshot keeps, without its engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct WideState {
    line: usize,
    /// Resources that have a task, or all.
    members: Members,
    /// What `where` sees: every row of the task's own resource.
    filter: Option<Sight>,
    /// Time of every resource, of rules with a task per resource.
    seen: Vec<Option<Member>>,
    /// Time of every resource that the one task over everything reads.
    least: Least,
    /// Time of the rules whose lines a join has.
    others: Others,
    tasks: BTreeMap<u32, TaskTime>,
    links: Links,
    groups: Groups,
    keyed: Keyed,
    /// What the engine calls its metrics.
    names: Names,
    /// Numbers of the columns' metrics for the shard.
    reads: Vec<u32>,
    /// Numbers of the columns' metrics for the engine.
    metrics: Vec<u32>,
    /// Rows that were held, for their order.
    sequence: u64,
    /// Traits of when they were read.
    former: Former,
    timers: Timers,
    counters: BTreeMap<u32, TaskCounters>,
    /// Hour of the last error line per task.
    hours: BTreeMap<u32, i64>,
}

/// What runs on the rows.
#[derive(Debug)]
enum Engine {
    Inner(Box<Pipeline>),
    Join(Box<JoinedState>),
}

/// One running rule over several resources.
#[derive(Debug)]
pub(crate) struct WideUnit {
    pub(crate) plan: Arc<Plan>,
    wide: Arc<WidePlan>,
    pub(crate) state: WideState,
    engine: Engine,
    /// Most keys of a pattern over everything.
    most_keys: usize,
    /// Somebody asks about a task.
    wanted: Option<Subject>,
}

/// Vectors used again by every call.
#[derive(Debug, Default)]
pub(crate) struct WideScratch {
    gaze: Gaze,
    blames: Vec<Blame>,
    touched: Vec<u32>,
    delivery: Delivery,
    /// What the engine said of deliveries that could not wait.
    told: Vec<Outcome>,
}

/// What reads the time of resources, at a clock.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) clocks: &'a Clocks,
    pub(crate) line: &'a Line,
    pub(crate) clock: i64,
    pub(crate) waiting_rows: usize,
}

impl WideUnit {
    pub(crate) const fn line(&self) -> usize {
        self.state.line
    }

    pub(crate) fn next_clock(&self) -> Option<i64> {
        self.state.timers.next()
    }

    fn reign(&self) -> Reign {
        Reign {
            clock: self.wide.clock,
            max_skew: self.wide.max_skew,
        }
    }

    /// Where the time of a task stands.
    fn standing(&mut self, task: u32, now: Now<'_>) -> Option<Standing> {
        let reign = self.reign();
        if self.wide.everything {
            let own = self.state.least.standing(now.clock, reign);
            return self.state.others.standing(own, now.clock, reign);
        }
        // A source that has said nothing yet is not waited for.
        let member = |resource: u32| self.state.seen.get(resource as usize).copied().flatten();
        let own = member(task);
        if own.is_none() && (reign.clock == TaskClock::Own || !self.gathers()) {
            return None;
        }
        let mut members: Vec<Member> = own.into_iter().collect();
        members.extend(self.state.links.sources(task).filter_map(member));
        members.extend(self.state.groups.members(task).filter_map(member));
        Standing::of(&members, now.clock, reign)
    }

    /// Brings the time of a task to where it stands, never back.
    fn move_on(&mut self, task: u32, now: Now<'_>) -> i64 {
        let water = self.standing(task, now).map_or(NEVER, |s| s.water);
        let time = self.state.tasks.entry(task).or_default();
        time.water = time.water.max(water);
        time.water
    }

    /// Sets the timers of the tasks that were touched.
    fn rearm(&mut self, tasks: &[u32], now: Now<'_>) {
        for task in tasks {
            let held = self.state.tasks.get(task);
            let held = held.and_then(|time| time.held.first_key_value());
            let held = held.map_or(IDLE, |(place, _)| place.0.saturating_add(1));
            let due = match &self.engine {
                Engine::Inner(_) if self.wide.by.is_some() => self.state.keyed.next(),
                Engine::Inner(inner) => inner.deadline(*task),
                Engine::Join(join) => join.deadline(),
            };
            let looked = self.state.tasks.get(task).map_or(NEVER, |time| time.looked);
            let (change, _) = self.state.groups.next_change(&self.wide, *task, looked);
            let deadline = due.min(held).min(change);
            if deadline == IDLE {
                continue;
            }
            if let Some(standing) = self.standing(*task, now) {
                let clock = standing.due(deadline, self.reign());
                self.state.timers.arm(*task, clock.max(NEVER + 1));
            }
        }
    }

    /// Lets the clock move time.
    pub(crate) fn wake(
        &mut self,
        now: Now<'_>,
        view: &dyn View,
        scratch: &mut WideScratch,
        out: &mut Vec<Outcome>,
    ) {
        let mut due = Vec::new();
        while let Some(task) = self.state.timers.pop(now.clock) {
            due.push(task);
        }
        if due.is_empty() {
            return;
        }
        due.sort_unstable();
        self.open(scratch);
        for task in &due {
            let water = self.move_on(*task, now);
            self.pass((*task, water), CLOCK, view, scratch);
        }
        self.flush(view, scratch, out);
        self.rearm(&due, now);
    }

    /// Moves the time of every task to a time.
    pub(crate) fn until(
        &mut self,
        time: i64,
        view: &dyn View,
        scratch: &mut WideScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.open(scratch);
        let tasks: Vec<u32> = self.state.tasks.keys().copied().collect();
        for task in tasks {
            let known = self.state.tasks.entry(task).or_default();
            known.water = known.water.max(time);
            let water = known.water;
            self.pass((task, water), CLOCK, view, scratch);
        }
        self.flush(view, scratch, out);
    }

    fn open(&self, scratch: &mut WideScratch) {
        scratch.blames.clear();
        scratch.touched.clear();
        scratch.delivery.open(&self.state.metrics);
        if let (Some(plan), Some(sight)) = (&self.plan.filter, &self.state.filter) {
            scratch.gaze.open(&plan.table, sight.metrics.len());
        }
    }

    /// The engine takes what was delivered; its lines are those of the rule.
    fn flush(&mut self, view: &dyn View, scratch: &mut WideScratch, out: &mut Vec<Outcome>) {
        let from = out.len();
        out.append(&mut scratch.told);
        match &mut self.engine {
            Engine::Inner(inner) => {
                inner.push_given(&scratch.delivery.given(), &Untold(view), out);
            }
            Engine::Join(join) => join.tell(&self.plan, view, out),
        }
        let told = out.get_mut(from..).unwrap_or_default();
        for outcome in told.iter_mut() {
            if outcome.trigger == Trigger::Record(CLOCK) {
                outcome.trigger = Trigger::Clock;
            }
        }
        self.name_lines(told);
        self.settle_keys();
        for blame in std::mem::take(&mut scratch.blames) {
            out.extend(self.fail(&blame));
        }
    }

    /// The engine takes what was delivered so far.
    fn drain(&mut self, view: &dyn View, scratch: &mut WideScratch) {
        if let Engine::Inner(inner) = &mut self.engine {
            inner.push_given(&scratch.delivery.given(), &Untold(view), &mut scratch.told);
        }
        scratch.delivery.open(&self.state.metrics);
    }

    /// Counts a failed formula; a line about it at most once per task and hour.
    fn fail(&mut self, blame: &Blame) -> Option<Outcome> {
        let task = if self.wide.everything {
            ONE
        } else {
            blame.resource
        };
        self.state.counters.entry(task).or_default().errors += 1;
        let hour = blame.time.div_euclid(3_600_000);
        let last = self.state.hours.get(&task).copied();
        if last.is_some_and(|last| last >= hour) {
            return None;
        }
        self.state.hours.insert(task, hour);
        let tale = Tale {
            kind: OutcomeKind::Error,
            resource: self.named(task),
            time: blame.time,
            cause: None,
            trigger: blame.trigger,
        };
        debug_assert!(matches!(blame.cause, Cause::None));
        let values = vec![(Arc::from("message"), Value::text(&blame.message))];
        Some(line(&self.plan.name, &tale, values))
    }

    /// The resource that lines of a task name.
    fn named(&self, task: u32) -> u32 {
        if self.wide.everything {
            Outcome::NOWHERE
        } else {
            task
        }
    }

    /// The number of the task that people ask for by its resource.
    fn task_of(&self, resource: u32) -> Option<u32> {
        if self.wide.everything {
            (resource == Outcome::NOWHERE).then_some(ONE)
        } else {
            self.state.members.has(resource).then_some(resource)
        }
    }

    pub(crate) fn counters(&self, resource: u32) -> TaskCounters {
        let Some(task) = self.task_of(resource) else {
            return TaskCounters::default();
        };
        let mut counters = match &self.engine {
            Engine::Inner(inner) if self.wide.by.is_some() => {
                let mut all = TaskCounters::default();
                for key in 0..self.state.keyed.len() {
                    let one = inner.counters(&self.plan.name, key);
                    all.unknown += one.unknown;
                    all.errors += one.errors;
                    all.attempts_dropped += one.attempts_dropped;
                    all.ways_dropped += one.ways_dropped;
                }
                all
            }
            Engine::Inner(inner) => inner.counters(&self.plan.name, task),
            Engine::Join(join) => join.counters(),
        };
        let own = self.state.counters.get(&task).copied().unwrap_or_default();
        counters.late += own.late;
        counters.errors += own.errors;
        counters.forced += own.forced;
        counters.null_keys += own.null_keys;
        counters
    }

    pub(crate) fn active(&self, resource: u32) -> Option<TaskState> {
        let task = self.task_of(resource)?;
        let mut state = match &self.engine {
            Engine::Inner(inner) => inner.active(&self.plan.name, task).unwrap_or_default(),
            Engine::Join(_) => TaskState::default(),
        };
        let water = self.state.tasks.get(&task).map(|time| time.water);
        state.watermark = water.filter(|water| *water != NEVER).map(Timestamp);
        Some(state)
    }

    pub(crate) fn bytes(&self) -> usize {
        let state = &self.state;
        let held: usize = state.tasks.values().map(|time| time.held.len()).sum();
        let engine = match &self.engine {
            Engine::Inner(inner) => inner.bytes(),
            Engine::Join(join) => join.bytes(),
        };
        engine
            + state.least.bytes()
            + state.others.bytes()
            + state.links.bytes()
            + state.groups.bytes()
            + state.keyed.bytes()
            + state.members.bytes()
            + state.timers.bytes()
            + state.former.bytes()
            + state.seen.capacity() * size_of::<Option<Member>>()
            + state.tasks.len() * size_of::<TaskTime>()
            + held * (size_of::<Taken>() + 64)
    }

    /// Which columns of a row belong to a task.
    fn feeds(&self, column: usize, resource: u32, task: u32) -> bool {
        match self.wide.columns.get(column).map(|column| column.feed) {
            Some(Feed::Own) => self.wide.everything || resource == task,
            Some(Feed::Input(input)) => {
                self.state.links.feeds(input, resource, task)
                    || self.state.groups.feeds(input, resource, task)
            }
            Some(Feed::Call(_) | Feed::Resource) | None => false,
        }
    }

    fn is_join(&self) -> bool {
        matches!(self.wide.engine, WideEngine::Join(_))
    }
}
