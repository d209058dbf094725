//! [`Group`]: rules that look at the same rows in the same way. The values of a point are found once for all of them.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventBatch, EventRef, Names, Order, Outcome, OutcomeKind, Trigger};

use super::View;
use super::cells::Cursor;
use super::judge::Judging;
use super::members::Members;
use super::plain::Plain;
use super::sight::{Gaze, Sight};
use super::steps::{Blame, Late, Step};
use super::unit::Unit;
use crate::condition::Borders;
use crate::order::Waiting;
use crate::plan::condition::ConditionPlan;
use crate::plan::{FilterPlan, Plan};
use crate::threshold::Table;
use crate::timer::{IDLE, Timers};
use crate::watermark::{Clocks, Line, NEVER, Tick, at, cell};

/// When something began: rows taken so far and the clock. Equal only within one moment of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    pub(crate) sequence: u64,
    pub(crate) clock: i64,
}

/// All of a group that a snapshot keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GroupState {
    /// What rules of this group have in common.
    pub(crate) identity: String,
    pub(crate) begun: Begun,
    /// Number of its watermark line.
    pub(crate) line: usize,
    pub(crate) members: Members,
    pub(crate) sight: Sight,
    /// What `where` sees: every row.
    pub(crate) filter: Option<Sight>,
    pub(crate) waiting: Waiting,
    /// Time of the last timer point per resource: no row is judged as of an earlier time.
    pub(crate) judged: Vec<i64>,
    /// Last row that was judged, per resource: the cause of a timer point.
    pub(crate) causes: Vec<EventRef>,
    /// Earliest end of a hold per resource.
    pub(crate) deadline: Vec<i64>,
    pub(crate) timers: Timers,
    pub(crate) tables: Vec<Table>,
}

/// Rules that share their points.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) condition: Arc<ConditionPlan>,
    pub(crate) filter: Option<Arc<FilterPlan>>,
    pub(crate) order: Order,
    pub(crate) state: GroupState,
    /// Rules by number; a removed one leaves its place for the next.
    pub(crate) units: Vec<Option<Unit>>,
    /// Times at which its rules judge, if not always.
    pub(crate) borders: Option<Borders>,
    /// Whether any rule waits for time.
    pub(crate) waits: bool,
    /// Numbers of the rules that no threshold table judges.
    pub(crate) singles: Vec<usize>,
    /// The rule that is at work alone, not the group as a whole.
    pub(crate) at_work: Option<usize>,
}

/// Rows that are pushed, with what their watermarks did.
#[derive(Clone)]
pub(crate) struct Push<'a> {
    pub(crate) batch: &'a EventBatch,
    pub(crate) rows: Range<usize>,
    /// Which of the rows can concern this group, counted from the first; `None`: all.
    pub(crate) picked: Option<&'a [u32]>,
    pub(crate) ticks: &'a [Tick],
    /// What metrics are called, where somebody has to know.
    pub(crate) names: &'a [Arc<str>],
    /// Where in the batch the column of each metric is.
    pub(crate) columns: &'a [Option<u32>],
    /// Watermark of the group's line at each row.
    pub(crate) water: &'a [i64],
    /// Log order of the first row.
    pub(crate) sequence: u64,
    pub(crate) view: &'a dyn View,
    pub(crate) limits: super::Limits,
    /// Rows that only move time, by their place among the rows; empty: none.
    pub(crate) quiet: &'a [bool],
    /// What rules say: it moves no time.
    pub(crate) heard: bool,
    /// The rule and the kind of the lines, if they are rows of joins.
    pub(crate) said: Option<(&'a str, OutcomeKind)>,
}

impl<'a> Push<'a> {
    /// Rows of a batch, of which nothing else is known.
    pub(crate) const fn of(
        batch: &'a EventBatch,
        rows: Range<usize>,
        limits: super::Limits,
        view: &'a dyn View,
    ) -> Self {
        Self {
            batch,
            rows,
            picked: None,
            ticks: &[],
            columns: &[],
            names: &[],
            water: &[],
            sequence: 0,
            view,
            limits,
            quiet: &[],
            heard: false,
            said: None,
        }
    }

    /// Cursors over the metrics of a sight, at the first row.
    pub(crate) fn cursors(&self, sight: &Sight) -> Vec<Cursor<'a>> {
        let (batch, columns, from) = (self.batch, self.columns, self.rows.start);
        let metrics = sight.metrics.iter();
        metrics
            .map(|cells| Cursor::new(batch, columns, cells.metric, from))
            .collect()
    }

    /// Whether a row only moves time.
    pub(crate) fn is_quiet(&self, index: usize) -> bool {
        self.quiet.get(index).copied().unwrap_or(false)
    }

    /// What a line of a row names as its trigger.
    pub(crate) fn trigger(&self, number: usize) -> Trigger {
        let record = self.batch.record.get(number);
        record.map_or(Trigger::Clock, |record| Trigger::Record(*record))
    }

    /// Rows that can concern the group: place among the rows, and number in the batch.
    pub(crate) fn each(&self) -> impl Iterator<Item = (usize, usize)> + use<'_, 'a> {
        let count = self.picked.map_or(self.rows.len(), <[u32]>::len);
        (0..count).map(|place| {
            let picked = self.picked.and_then(|picked| picked.get(place));
            let index = picked.map_or(place, |index| *index as usize);
            (index, self.rows.start + index)
        })
    }
}

/// What reads the time of resources.
#[derive(Clone, Copy)]
pub(crate) struct Watch<'a> {
    pub(crate) clocks: &'a Clocks,
    pub(crate) line: &'a Line,
}

/// Vectors used again by every call.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) gaze: Gaze,
    pub(crate) filter: Gaze,
    pub(crate) steps: Vec<Step>,
    pub(crate) late: Vec<Late>,
    pub(crate) blames: Vec<Blame>,
    /// Causes that are no row of the batch at hand.
    pub(crate) causes: Vec<EventRef>,
    /// Resources whose next deadline may have changed.
    pub(crate) touched: Vec<u32>,
    pub(crate) told: Vec<(u32, bool)>,
    pub(crate) plain: Plain,
    pub(crate) judging: Judging,
}

/// What two rules must have in common to be of one group.
pub(crate) fn identity(plan: &Plan, condition: &ConditionPlan) -> String {
    let judged = condition.every_row;
    let table = condition.table.identity();
    let schedule = &condition.schedule;
    format!("{}\n{judged}\n{schedule:?}\n{table}", plan.input_identity())
}

impl Group {
    pub(crate) fn new(
        plan: &Plan,
        condition: &Arc<ConditionPlan>,
        (begun, line): (Begun, usize),
        view: &dyn View,
        metrics: &mut Names,
    ) -> Self {
        let filter = plan.filter.clone();
        let state = GroupState {
            identity: identity(plan, condition),
            begun,
            line,
            members: Members::of(&plan.rule().selector, view),
            sight: Sight::new(&condition.table, metrics),
            filter: filter.as_ref().map(|f| Sight::new(&f.table, metrics)),
            waiting: Waiting::default(),
            judged: Vec::new(),
            causes: Vec::new(),
            deadline: Vec::new(),
            timers: Timers::default(),
            tables: Vec::new(),
        };
        Self {
            condition: Arc::clone(condition),
            filter,
            order: plan.order(),
            state,
            borders: condition.schedule.clone().map(Borders::new),
            units: Vec::new(),
            waits: false,
            singles: Vec::new(),
            at_work: None,
        }
    }

    /// Notes a rule that has come. Ten thousand of them come one by one.
    pub(crate) fn count_unit(&mut self, number: usize) {
        if number + 1 < self.units.len() {
            self.count_units();
        } else if let Some(unit) = self.units.get(number).and_then(Option::as_ref)
            && unit.state.table.is_none()
        {
            self.singles.push(number);
            self.waits |= unit.condition.rules.waits();
        }
    }

    /// Finds anew what depends on which rules are here.
    pub(crate) fn count_units(&mut self) {
        let units = self.units.iter().enumerate();
        let singles = units.filter_map(|(number, unit)| {
            unit.as_ref()
                .is_some_and(|unit| unit.state.table.is_none())
                .then_some(number)
        });
        self.singles = singles.collect();
        let mut singles = self
            .singles
            .iter()
            .filter_map(|number| self.units.get(*number));
        self.waits = singles.any(|unit| unit.as_ref().is_some_and(|u| u.condition.rules.waits()));
    }

    /// Whether a rule may join: answers must not depend on rows that the group took before the rule was there.
    pub(crate) fn takes(&self, identity: &str, begun: Begun) -> bool {
        let timeless = !self.state.sight.has_streams()
            && self.filter.is_none()
            && self.order == Order::Arrival;
        self.state.identity == identity && (timeless || self.state.begun == begun)
    }

    /// Judges the rows of a push.
    pub(crate) fn push(
        &mut self,
        push: &Push<'_>,
        watch: Watch<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Outcome>,
    ) {
        let timed = self.waits || self.wakes() || self.order == Order::Time;
        if let Some(column) = self.plain_column(push, timed) {
            return self.push_plain(push, column, scratch, out);
        }
        if !timed && !self.condition.every_row && self.filter.is_none() {
            let mut cursors = push.cursors(&self.state.sight).into_iter();
            if !cursors.any(|cursor| cursor.is_live()) {
                return;
            }
        }
        self.open(scratch);
        match self.order {
            Order::Arrival => self.arrival(push, timed, scratch),
            Order::Time => self.in_time_order(push, scratch),
        }
        self.judge(Some(push.batch), scratch, out);
        if timed {
            self.rearm(watch, scratch);
        }
    }

    /// Lets time pass for resources whose watermark has moved without a row.
    pub(crate) fn wake(
        &mut self,
        (resources, trigger): (&[u32], Trigger),
        view: &dyn View,
        watch: Watch<'_>,
        scratch: &mut Scratch,
        out: &mut Vec<Outcome>,
    ) {
        self.open(scratch);
        for resource in resources {
            let water = watch.line.mark(*resource);
            self.pass(*resource, water, (trigger, view), scratch);
            scratch.touched.push(*resource);
        }
        self.judge(None, scratch, out);
        self.rearm(watch, scratch);
    }

    /// Whether time alone can change an answer.
    pub(crate) fn wakes(&self) -> bool {
        self.borders.is_some() || self.state.sight.wakes()
    }

    /// The next time at which an answer of a resource changes without a row, [`IDLE`] if none.
    pub(crate) fn next_change(&self, resource: u32) -> i64 {
        let after = at(&self.state.judged, resource, NEVER);
        let border = match &self.borders {
            Some(borders) if after != NEVER => borders.next(after),
            _ => IDLE,
        };
        self.state.sight.next_change(resource, after).min(border)
    }

    fn open(&self, scratch: &mut Scratch) {
        let metrics = self.state.sight.metrics.len();
        scratch.gaze.open(&self.condition.table, metrics);
        if let (Some(plan), Some(sight)) = (&self.filter, &self.state.filter) {
            scratch.filter.open(&plan.table, sight.metrics.len());
        }
        scratch.steps.clear();
        scratch.late.clear();
        scratch.blames.clear();
        scratch.causes.clear();
        scratch.touched.clear();
    }

    /// The next event time at which something of a resource is due.
    pub(crate) fn deadline(&self, resource: u32) -> i64 {
        let hold = at(&self.state.deadline, resource, IDLE);
        let leave = self.next_change(resource);
        hold.min(leave).min(self.state.waiting.first(resource))
    }

    /// Finds the earliest hold of a resource anew.
    pub(crate) fn count_deadline(&mut self, resource: u32) {
        let units = self.units.iter().flatten();
        let due = units.map(|unit| unit.due(resource)).min().unwrap_or(IDLE);
        *cell(&mut self.state.deadline, resource, IDLE) = due;
    }

    /// Sets the timers of the resources that were touched.
    pub(crate) fn rearm(&mut self, watch: Watch<'_>, scratch: &Scratch) {
        for resource in &scratch.touched {
            if at(&self.state.deadline, *resource, IDLE) <= watch.line.mark(*resource) {
                self.count_deadline(*resource);
            }
            let deadline = self.deadline(*resource);
            if deadline != IDLE {
                let clock = watch.line.due(watch.clocks, *resource, deadline);
                self.state.timers.arm(*resource, clock);
            }
        }
    }

    /// Lets a resource go: all that is known of it here but what its rules raised.
    pub(crate) fn forget(&mut self, resource: u32) {
        self.state.sight.forget(resource);
        if let Some(filter) = &mut self.state.filter {
            filter.forget(resource);
        }
        self.state.waiting.forget(resource);
        if let Some(judged) = self.state.judged.get_mut(resource as usize) {
            *judged = NEVER;
        }
        if let Some(deadline) = self.state.deadline.get_mut(resource as usize) {
            *deadline = IDLE;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let state = &self.state;
        let units: usize = self.units.iter().flatten().map(Unit::bytes).sum();
        let tables: usize = state.tables.iter().map(Table::bytes).sum();
        state.sight.bytes()
            + state.filter.as_ref().map_or(0, Sight::bytes)
            + state.members.bytes()
            + state.waiting.bytes()
            + state.timers.bytes()
            + (state.judged.capacity() + state.deadline.capacity()) * 8
            + state.causes.capacity() * size_of::<EventRef>()
            + units
            + tables
    }
}
