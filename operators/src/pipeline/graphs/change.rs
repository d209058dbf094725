//! Graph rules come, change and go; resources begin to match and stop.

use std::sync::Arc;

use tidegate_proto::{Names, Outcome, Trigger};

use super::{GraphScratch, GraphState, GraphUnit};
use crate::graph::sheet::Sheet;
use crate::pipeline::apply::Change;
use crate::pipeline::group::{Push, Watch};
use crate::pipeline::members::matches;
use crate::pipeline::picker::Picker;
use crate::pipeline::suspect::{Part, Working, break_if};
use crate::pipeline::{Pipeline, Seat, Times, View};
use crate::plan::Plan;
use crate::plan::graph::GraphPlan;
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
        let mut unit = GraphUnit::new(plan, graph, line, change.view, metrics);
        let old = match self.rules.get(&plan.name) {
            Some(Seat::Graph(index)) => Some(*index),
            _ => None,
        };
        let was = old.and_then(|old| self.graphs.get_mut(old)?.take());
        if let (Some(old), Some(mut was)) = (old, was) {
            self.graph_picker.set_all(old, &was.state.members, false);
            let strangers = was.state.raised.keys().copied();
            let strangers: Vec<u32> = strangers.filter(|r| !unit.state.members.has(*r)).collect();
            for resource in strangers {
                let time = self.mark(was.line(), resource);
                was.tell_end(
                    (resource, time),
                    "no longer matches",
                    change.trigger,
                    change.out,
                );
            }
            unit.inherit(&was);
        }
        let free = old.or_else(|| self.graphs.iter().position(Option::is_none));
        let index = free.unwrap_or_else(|| {
            self.graphs.push(None);
            self.graphs.len() - 1
        });
        for resource in 0..change.view.resources() {
            if unit.state.members.has(resource) {
                self.bear_graph(&mut unit, resource);
            }
        }
        if old.is_some() {
            self.settle_graph(&mut unit, change);
        }
        self.graph_picker.set_all(index, &unit.state.members, true);
        if let Some(place) = self.graphs.get_mut(index) {
            *place = Some(unit);
        }
        self.rules
            .insert(Arc::clone(&plan.name), Seat::Graph(index));
    }

    /// What a revision has made past due happens at once, at the watermark of each task.
    fn settle_graph(&mut self, unit: &mut GraphUnit, change: &mut Change<'_>) {
        let mut due = Vec::new();
        for resource in 0..change.view.resources() {
            let mark = self.mark(unit.line(), resource);
            if mark != NEVER && unit.state.members.has(resource) && unit.is_born(resource) {
                unit.settle(resource, mark);
                due.push(resource);
            }
        }
        let limits = self.settings.limits;
        if let Some((line, _)) = self.lines.get(unit.line()) {
            let watch = Watch {
                clocks: &self.clocks,
                line,
            };
            let whom = (due.as_slice(), limits, change.trigger);
            let scratch = &mut self.graph_scratch;
            unit.wake(whom, change.view, watch, scratch, change.out);
        }
    }

    /// The task of a resource begins now, if its graph waits from the beginning: at its watermark, or at the clock.
    fn bear_graph(&mut self, unit: &mut GraphUnit, resource: u32) {
        if unit.graph.born_waiting && !unit.is_born(resource) {
            // Without a row there is no time but the clock's.
            let time = match self.clocks.latest(resource) {
                NEVER => self.clock,
                _ => self.mark(unit.line(), resource),
            };
            if time == NEVER {
                unit.state.unborn.insert(resource);
            } else {
                unit.give_birth(resource, time);
            }
        }
        if let Some((line, _)) = self.lines.get(unit.line()) {
            let watch = Watch {
                clocks: &self.clocks,
                line,
            };
            unit.rearm(watch, &[resource]);
        }
    }

    /// The first clock: waits that no time was known for begin.
    fn bear_unborn_graphs(&mut self) {
        for index in 0..self.graphs.len() {
            let Some(mut unit) = self.graphs.get_mut(index).and_then(Option::take) else {
                continue;
            };
            for resource in std::mem::take(&mut unit.state.unborn) {
                self.bear_graph(&mut unit, resource);
            }
            if let Some(place) = self.graphs.get_mut(index) {
                *place = Some(unit);
            }
        }
    }

    /// The clock has moved: silent resources pass their deadlines.
    pub(crate) fn advance_graphs(
        &mut self,
        (clock, first): (i64, bool),
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        if first {
            self.bear_unborn_graphs();
        }
        let mut due = Vec::new();
        for (index, unit) in self.graphs.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            self.working = Working::Judging(Part::Graph(index));
            due.clear();
            while let Some(resource) = unit.timers().pop(clock) {
                due.push(resource);
            }
            let Some((line, _)) = self.lines.get_mut(unit.line()) else {
                continue;
            };
            due.sort_unstable();
            for resource in &due {
                line.advance(&self.clocks, *resource, clock);
            }
            let watch = Watch {
                clocks: &self.clocks,
                line,
            };
            if !due.is_empty() {
                let name = std::iter::once(&unit.plan.name);
                break_if(self.settings.breaks.brittle_clock, name);
                let limits = self.settings.limits;
                unit.wake(
                    (&due, limits, Trigger::Clock),
                    view,
                    watch,
                    &mut self.graph_scratch,
                    out,
                );
            }
        }
    }

    /// Every watermark has moved to a time.
    pub(crate) fn graphs_until(
        &mut self,
        all: &[u32],
        time: i64,
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        for (index, unit) in self.graphs.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            self.working = Working::Judging(Part::Graph(index));
            let Some((line, _)) = self.lines.get(unit.line()) else {
                continue;
            };
            let watch = Watch {
                clocks: &self.clocks,
                line,
            };
            let resources = all.iter().copied();
            let due: Vec<u32> = resources.filter(|r| unit.deadline(*r) <= time).collect();
            let limits = self.settings.limits;
            unit.wake(
                (&due, limits, Trigger::Clock),
                view,
                watch,
                &mut self.graph_scratch,
                out,
            );
        }
    }

    pub(crate) fn remove_graph(&mut self, index: usize, reason: &str, change: &mut Change<'_>) {
        let Some(mut unit) = self.graphs.get_mut(index).and_then(Option::take) else {
            return;
        };
        self.graph_picker.set_all(index, &unit.state.members, false);
        let raised: Vec<u32> = unit.state.raised.keys().copied().collect();
        for resource in raised {
            let time = self.mark(unit.line(), resource);
            unit.tell_end((resource, time), reason, change.trigger, change.out);
        }
    }

    /// Drops a graph without a word about what it raised.
    pub(crate) fn expel_graph(&mut self, index: usize) {
        if let Some(unit) = self.graphs.get_mut(index).and_then(Option::take) {
            self.graph_picker.set_all(index, &unit.state.members, false);
        }
    }

    /// A resource was described anew, or (`exists` false) forgotten.
    pub(crate) fn match_graph(
        &mut self,
        index: usize,
        resource: u32,
        exists: bool,
        change: &mut Change<'_>,
    ) {
        self.working = Working::Matching(Part::Graph(index));
        let Some(mut unit) = self.graphs.get_mut(index).and_then(Option::take) else {
            return;
        };
        let view = change.view;
        let (id, traits) = (view.resource(resource), view.traits(resource));
        let fits = exists && matches(&unit.plan.rule().selector, id, traits);
        let before = unit.state.members.set(resource, fits);
        if before != fits {
            self.graph_picker.set(index, resource, fits);
        }
        if before && !fits {
            let reason = if exists {
                "no longer matches"
            } else {
                "resource deleted"
            };
            let time = self.mark(unit.line(), resource);
            unit.tell_end((resource, time), reason, change.trigger, change.out);
            unit.forget(resource);
        }
        if fits {
            self.bear_graph(&mut unit, resource);
        }
        if let Some(place) = self.graphs.get_mut(index) {
            *place = Some(unit);
        }
    }
}

/// Takes the rows of a push through all graph rules; notes which one is at work.
pub(crate) fn push_all(
    ((graphs, working), hit): ((&mut [Option<GraphUnit>], &mut Working), bool),
    (picker, scratch): (&Picker, &mut GraphScratch),
    times: &Times<'_>,
    push: &Push<'_>,
    out: &mut Vec<Outcome>,
) {
    for (index, unit) in graphs.iter_mut().enumerate() {
        let Some(unit) = unit else {
            continue;
        };
        *working = Working::Judging(Part::Graph(index));
        break_if(hit, std::iter::once(&unit.plan.name));
        let all = unit.state.members.is_all();
        if let Some((push, watch)) = times.of(push, unit.line(), picker.rows(index), all) {
            unit.push(&push, watch, scratch, out);
        }
    }
}

impl GraphUnit {
    fn is_born(&self, resource: u32) -> bool {
        let sheet = self.state.sheets.get(resource as usize);
        sheet.is_some_and(|sheet| sheet.born)
    }

    fn settle(&mut self, resource: u32, at: i64) {
        if let Some(sheet) = self.state.sheets.get_mut(resource as usize) {
            sheet.settle(&self.graph, at);
        }
    }

    /// The task of a resource begins.
    fn give_birth(&mut self, resource: u32, time: i64) {
        let sheet = cell(&mut self.state.sheets, resource, Sheet::default());
        sheet.begin(&self.graph, time);
    }

    /// The parts of a rule: each node, by what it observes.
    pub(crate) fn parts(plan: &Plan, graph: &GraphPlan) -> Vec<(String, String)> {
        let input = plan.input_identity();
        let nodes = graph.nodes.iter().map(|node| {
            let path = format!("graph.nodes.{}", node.name);
            (path, format!("{input}\n{}", node.identity))
        });
        nodes.collect()
    }

    /// Goes on with the observations of equal nodes and the memory of equal triggers when the last revision saw the same
    /// rows; due times are counted anew. Alarms stay raised in any case.
    fn inherit(&mut self, old: &Self) {
        let mut raised = old.state.raised.clone();
        if self.plan.input_identity() != old.plan.input_identity() {
            raised.retain(|resource, _| self.state.members.has(*resource));
            self.state.raised = raised;
            return;
        }
        let mut sight = std::mem::take(&mut self.state.sight);
        sight.inherit(&self.graph.table, &old.state.sight, &old.graph.table);
        self.state = GraphState {
            sight,
            sheets: Vec::with_capacity(old.state.sheets.len()),
            ..old.state.clone()
        };
        for was in &old.state.sheets {
            let mut sheet = Sheet::default();
            if was.born {
                sheet.inherit(&self.graph, was, &old.graph);
            }
            self.state.sheets.push(sheet);
        }
    }
}
