//! Graph rules come, change and go: what they do as [`Timed`] rules.

use std::sync::Arc;

use tidegate_proto::{Names, Outcome};

use super::tell::Moment;
use super::{GraphScratch, GraphState, GraphUnit};
use crate::graph::sheet::Sheet;
use crate::pipeline::apply::Change;
use crate::pipeline::group::{Push, Watch};
use crate::pipeline::members::Members;
use crate::pipeline::suspect::Part;
use crate::pipeline::timed::{Ranks, Tasks, Timed, Whom};
use crate::pipeline::{Pipeline, Seat, View};
use crate::plan::Plan;
use crate::plan::graph::GraphPlan;
use crate::plan::texts::Rendered;
use crate::timer::IDLE;
use crate::watermark::{NEVER, cell};

impl Pipeline {
    pub(crate) fn apply_graph(
        &mut self,
        plan: &Arc<Plan>,
        graph: &Arc<GraphPlan>,
        metrics: &mut Names,
        change: &mut Change<'_>,
    ) {
        let line = self.line(graph.timing);
        let unit = GraphUnit::new(plan, graph, line, change.view, metrics);
        self.seat_timed(unit, change);
    }
}

impl Timed for GraphUnit {
    type Scratch = GraphScratch;

    fn ranks(pipeline: &mut Pipeline) -> Ranks<'_, Self> {
        Ranks {
            units: &mut pipeline.graphs,
            picker: &mut pipeline.graph_picker,
            scratch: &mut pipeline.graph_scratch,
            working: &mut pipeline.working,
            lines: &mut pipeline.lines,
            clocks: &pipeline.clocks,
            settings: &pipeline.settings,
        }
    }

    fn seat(number: usize) -> Seat {
        Seat::Graph(number)
    }

    fn number(seat: Seat) -> Option<usize> {
        match seat {
            Seat::Graph(number) => Some(number),
            _ => None,
        }
    }

    fn part(number: usize) -> Part {
        Part::Graph(number)
    }

    fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    fn line(&self) -> usize {
        self.state.line
    }

    fn members(&self) -> &Members {
        &self.state.members
    }

    fn tasks(&mut self) -> Tasks<'_> {
        Tasks {
            members: &mut self.state.members,
            timers: &mut self.state.timers,
            unborn: &mut self.state.unborn,
        }
    }

    fn raised(&self) -> Vec<u32> {
        self.state.raised.keys().copied().collect()
    }

    fn lower(&mut self, resource: u32) -> bool {
        self.state.raised.remove(&resource).is_some()
    }

    fn blank_texts(&self) -> Vec<Arc<str>> {
        Rendered::blank(&self.graph.texts)
    }

    fn deadline(&self, resource: u32) -> i64 {
        let sheet = self.state.sheets.get(resource as usize);
        sheet.map_or(IDLE, Sheet::due)
    }

    fn begins_waiting(&self) -> bool {
        self.graph.born_waiting
    }

    fn is_born(&self, resource: u32) -> bool {
        let sheet = self.state.sheets.get(resource as usize);
        sheet.is_some_and(|sheet| sheet.born)
    }

    fn give_birth(&mut self, resource: u32, time: i64) {
        let sheet = cell(&mut self.state.sheets, resource, Sheet::default());
        sheet.begin(&self.graph, time);
    }

    /// Goes on with the observations of equal nodes and the memory of equal triggers when the last revision saw the same
    /// rows; due times are counted anew. Alarms stay raised in any case.
    fn inherit(&mut self, old: Self) {
        let mut old = old;
        if self.plan.input_identity() != old.plan.input_identity() {
            let mut raised = old.state.raised;
            raised.retain(|resource, _| self.state.members.has(*resource));
            self.state.raised = raised;
            return;
        }
        let mut sight = std::mem::take(&mut self.state.sight);
        sight.inherit(&self.graph.table, &old.state.sight, &old.graph.table);
        let sheets = std::mem::take(&mut old.state.sheets);
        self.state = GraphState {
            sight,
            sheets: Vec::with_capacity(sheets.len()),
            ..old.state
        };
        for was in &sheets {
            let mut sheet = Sheet::default();
            if was.born {
                sheet.inherit(&self.graph, was, &old.graph);
            }
            self.state.sheets.push(sheet);
        }
    }

    fn overdue(
        &mut self,
        resources: u32,
        mark: &mut dyn FnMut(u32) -> i64,
        _: &dyn View,
    ) -> Vec<u32> {
        let mut due = Vec::new();
        for resource in 0..resources {
            let mark = mark(resource);
            if mark == NEVER || !self.state.members.has(resource) || !self.is_born(resource) {
                continue;
            }
            if let Some(sheet) = self.state.sheets.get_mut(resource as usize) {
                sheet.settle(&self.graph, mark);
            }
            due.push(resource);
        }
        due
    }

    fn forget(&mut self, resource: u32) {
        self.state.sight.forget(resource);
        if let Some(filter) = &mut self.state.filter {
            filter.forget(resource);
        }
        self.state.unborn.remove(&resource);
        if let Some(sheet) = self.state.sheets.get_mut(resource as usize) {
            *sheet = Sheet::default();
        }
    }

    fn push(
        &mut self,
        push: &Push<'_>,
        watch: Watch<'_>,
        scratch: &mut GraphScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.take_rows(push, scratch, out);
        self.rearm(watch, &scratch.touched);
    }

    fn wake(
        &mut self,
        whom: Whom<'_>,
        view: &dyn View,
        watch: Watch<'_>,
        scratch: &mut GraphScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.open(scratch);
        for resource in whom.resources {
            let water = watch.line.mark(*resource);
            let moment = Moment {
                resource: *resource,
                view,
                trigger: whom.trigger,
                event: None,
            };
            self.state.sight.seed(*resource, i64::MAX, view);
            self.turn(&moment, (water, whom.limits), None, scratch, out);
        }
        self.rearm(watch, whom.resources);
    }
}

impl GraphUnit {
    /// The parts of a rule: each node, by what it observes.
    pub(crate) fn parts(plan: &Plan, graph: &GraphPlan) -> Vec<(String, String)> {
        let input = plan.input_identity();
        let nodes = graph.nodes.iter().map(|node| {
            let path = format!("graph.nodes.{}", node.name);
            (path, format!("{input}\n{}", node.identity))
        });
        nodes.collect()
    }
}
