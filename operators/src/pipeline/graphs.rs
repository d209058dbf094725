//! [`GraphUnit`]: one running graph rule: rows as they arrive, a sheet per task, timers.

mod change;
pub(crate) mod seen;
mod tell;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, Names, Outcome, Severity, Value};

use self::seen::GraphWatch;
use self::tell::{Moment, Theatre};
use super::cells::Cursor;
use super::filter;
use super::group::Push;
use super::members::Members;
use super::sight::{Gaze, Row, Sight};
use super::steps::Blame;
use super::{Limits, TaskCounters, View};
use crate::graph::machine::{GraphLimits, Machine};
use crate::graph::sheet::{SeenRow, Sheet};
use crate::plan::Plan;
use crate::plan::graph::GraphPlan;
use crate::timer::Timers;
use crate::watermark::cell;

/// All of a graph rule that a snapshot keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GraphState {
    line: usize,
    pub(crate) members: Members,
    pub(crate) sight: Sight,
    /// What `where` sees: every row.
    filter: Option<Sight>,
    /// What each task remembers, by resource.
    sheets: Vec<Sheet>,
    timers: Timers,
    /// Members whose task could not begin yet: no time is known.
    unborn: BTreeSet<u32>,
    pub(crate) counters: BTreeMap<u32, TaskCounters>,
    /// Hour of the last error line per resource.
    hours: BTreeMap<u32, i64>,
    /// Resources with an active alarm, since when and how bad.
    pub(crate) raised: BTreeMap<u32, (i64, Severity)>,
}

/// One running graph rule.
#[derive(Debug)]
pub(crate) struct GraphUnit {
    pub(crate) plan: Arc<Plan>,
    pub(crate) graph: Arc<GraphPlan>,
    pub(crate) state: GraphState,
    /// A task that somebody watches.
    pub(crate) seen: Option<Box<GraphWatch>>,
}

/// Vectors used again by every call.
#[derive(Debug, Default)]
pub(crate) struct GraphScratch {
    gaze: Gaze,
    filter: Gaze,
    blames: Vec<Blame>,
    touched: Vec<u32>,
}

impl GraphUnit {
    pub(crate) fn new(
        plan: &Arc<Plan>,
        graph: &Arc<GraphPlan>,
        line: usize,
        view: &dyn View,
        metrics: &mut Names,
    ) -> Self {
        let filter = plan.filter.as_ref();
        let state = GraphState {
            line,
            members: Members::of(&plan.rule().selector, view),
            sight: Sight::new(&graph.table, metrics),
            filter: filter.map(|f| Sight::new(&f.table, metrics)),
            sheets: Vec::new(),
            timers: Timers::default(),
            unborn: BTreeSet::new(),
            counters: BTreeMap::new(),
            hours: BTreeMap::new(),
            raised: BTreeMap::new(),
        };
        Self {
            plan: Arc::clone(plan),
            graph: Arc::clone(graph),
            state,
            seen: None,
        }
    }

    pub(crate) fn next_clock(&self) -> Option<i64> {
        self.state.timers.next()
    }

    /// Takes the rows of a push, one after the other.
    fn take_rows(&mut self, push: &Push<'_>, scratch: &mut GraphScratch, out: &mut Vec<Outcome>) {
        self.open(scratch);
        let mask = match (&self.plan.filter, &mut self.state.filter) {
            (Some(plan), Some(sight)) => {
                let members = &self.state.members;
                let (gaze, blames) = (&mut scratch.filter, &mut scratch.blames);
                Some(filter::mask(plan, sight, members, push, gaze, blames))
            }
            _ => None,
        };
        self.tell_blames(push.batch, &scratch.blames, out);
        let mut cursors = push.cursors(&self.state.sight);
        for (index, number) in push.each() {
            let (Some(tick), Some(water)) = (push.ticks.get(index), push.water.get(index)) else {
                break;
            };
            if !self.state.members.has(tick.resource) {
                continue;
            }
            let time = push.batch.time.get(number).copied().unwrap_or_default();
            let at = (*water).max(tick.latest);
            let passes = mask
                .as_ref()
                .is_none_or(|mask| mask.get(index) == Some(&true));
            if push.is_quiet(index) {
                let moment = Moment {
                    resource: tick.resource,
                    view: push.view,
                    trigger: push.trigger(number),
                    event: None,
                };
                self.turn(&moment, (at, push.limits), None, scratch, out);
                scratch.touched.push(tick.resource);
                continue;
            }
            read(&mut cursors, number, scratch);
            let row = Row {
                resource: tick.resource,
                time,
                sequence: push.sequence + index as u64,
                at,
            };
            let moment = Moment {
                resource: tick.resource,
                view: push.view,
                trigger: push.trigger(number),
                event: Some(push.batch.event_ref(number)),
            };
            self.meet(&row, push.view);
            self.turn(
                &moment,
                (at, push.limits),
                passes.then_some(&row),
                scratch,
                out,
            );
            scratch.touched.push(tick.resource);
        }
    }

    /// A row of a resource is read: with the first one the task takes what the twin knew before, and begins if it could
    /// not before.
    fn meet(&mut self, row: &Row, view: &dyn View) {
        self.state.sight.seed(row.resource, i64::MAX, view);
        let sheet = cell(&mut self.state.sheets, row.resource, Sheet::default());
        if !sheet.born {
            self.state.unborn.remove(&row.resource);
            sheet.begin(&self.graph, row.at);
        }
    }

    /// Time passes for one task, then a row that `where` lets through is judged.
    fn turn(
        &mut self,
        moment: &Moment<'_>,
        (at, limits): (i64, Limits),
        row: Option<&Row>,
        scratch: &mut GraphScratch,
        out: &mut Vec<Outcome>,
    ) {
        let graph = Arc::clone(&self.graph);
        let resource = moment.resource;
        let cell_of =
            |sheets: &mut Vec<Sheet>| std::mem::take(cell(sheets, resource, Sheet::default()));
        let mut sheet = cell_of(&mut self.state.sheets);
        sheet.open(&graph);
        let limits = GraphLimits {
            passes: limits.graph_passes,
            elements: limits.graph_elements,
            ticks: limits.graph_ticks,
        };
        let mut theatre = Theatre::new(self, moment, &mut scratch.gaze, out);
        if sheet.due() <= at {
            let mut machine = Machine {
                plan: &graph,
                sheet: &mut sheet,
                scene: &mut theatre,
                limits,
            };
            machine.time(at);
        }
        if let Some(row) = row {
            let nodes = theatre.take(row, &mut sheet);
            let mut machine = Machine {
                plan: &graph,
                sheet: &mut sheet,
                scene: &mut theatre,
                limits,
            };
            machine.row(at, nodes);
        }
        *cell(&mut self.state.sheets, resource, Sheet::default()) = sheet;
    }

    fn open(&self, scratch: &mut GraphScratch) {
        let metrics = self.state.sight.metrics.len();
        scratch.gaze.open(&self.graph.table, metrics);
        if let (Some(plan), Some(sight)) = (&self.plan.filter, &self.state.filter) {
            scratch.filter.open(&plan.table, sight.metrics.len());
        }
        scratch.blames.clear();
        scratch.touched.clear();
    }

    pub(crate) fn bytes(&self) -> usize {
        let state = &self.state;
        let nodes = self.graph.nodes.len();
        let sheet = size_of::<Sheet>() + nodes * (size_of::<SeenRow>() * 2 + 160);
        state.sight.bytes()
            + state.filter.as_ref().map_or(0, Sight::bytes)
            + state.members.bytes()
            + state.timers.bytes()
            + state.sheets.capacity() * sheet
            + (state.counters.len() + state.hours.len() + state.raised.len()) * 64
    }
}

/// Puts the row's own values into the gaze.
fn read(cursors: &mut [Cursor<'_>], number: usize, scratch: &mut GraphScratch) {
    let number = u32::try_from(number).unwrap_or(u32::MAX);
    for (cursor, own) in cursors.iter_mut().zip(&mut scratch.gaze.own) {
        *own = cursor.value(number);
    }
}

impl Theatre<'_> {
    /// Takes a row whose own values are in the gaze; answers with the nodes that it runs.
    fn take(&mut self, row: &Row, sheet: &mut Sheet) -> BTreeSet<usize> {
        let graph = Arc::clone(&self.graph);
        let carries = |place: &usize| {
            let own = self.gaze.own.get(*place);
            own.is_some_and(|value: &Value| !value.is_missing())
        };
        let mut nodes = BTreeSet::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            let Some(sensor) = node.sensor() else {
                continue;
            };
            let every = sensor.metrics.is_empty();
            if !every && !sensor.metrics.iter().any(carries) {
                continue;
            }
            if sensor.by_rows {
                nodes.insert(index);
            }
            if let Some(sheet) = sheet.nodes.get_mut(index)
                && (sensor.by_rows || !every)
            {
                sheet.last = Some(SeenRow {
                    order: row.sequence,
                    event: self.event(),
                });
            }
        }
        self.gaze.judged = !nodes.is_empty();
        self.see(row);
        nodes
    }

    fn event(&self) -> EventRef {
        self.moment.event.clone().unwrap_or_default()
    }
}
