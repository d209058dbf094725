//! Resources come and change: selectors are matched again; and what is asked about single tasks.

use std::sync::Arc;

use tidegate_proto::{Outcome, Span, Timestamp, Trigger};

use super::apply::Change;
use super::graphs::GraphUnit;
use super::members::matches;
use super::patterns::PatternUnit;
use super::suspect::{Part, Working};
use super::timed::{self, Timed as _};
use super::{Pipeline, Seat, TaskCounters, TaskState, View};
use crate::condition::{Phase, Task};
use crate::plan::Plan;
use crate::watermark::NEVER;

impl Pipeline {
    /// Highest event time of a resource and the clock when it arrived, if it has any row.
    #[must_use]
    pub fn heard(&self, resource: u32) -> Option<(i64, i64)> {
        self.clocks.heard(resource)
    }

    /// Takes over what another pipeline has heard of a resource.
    pub fn recall(&mut self, resource: u32, heard: (i64, i64)) {
        self.clocks.recall(resource, heard);
    }

    /// Tells that the traits of a resource are about to change, `view` still having the old ones: rows that wait for their time
    /// keep those under which they were read.
    pub fn part(&mut self, resource: u32, view: &dyn View) {
        let groups = self.groups.iter_mut().flatten();
        let groups = groups.map(|group| &mut group.state.waiting);
        let windows = self.windows.iter_mut().flatten();
        let windows = windows.map(|window| &mut window.state.held);
        let patterns = self.patterns.iter_mut().flatten();
        let patterns = patterns.map(|pattern| &mut pattern.state.waiting);
        let mut traits = None;
        for waiting in groups.chain(windows).chain(patterns) {
            if waiting.count() > 0 {
                let traits = traits.get_or_insert_with(|| Arc::new(view.traits(resource).clone()));
                waiting.part(resource, self.sequence, traits);
            }
        }
        for wide in self.wides.iter_mut().flatten().filter(|w| w.waits()) {
            let traits = traits.get_or_insert_with(|| Arc::new(view.traits(resource).clone()));
            wide.part(resource, traits);
        }
    }

    /// Tells that a resource was discovered or changed (type, labels, own time settings): selectors are matched again, and a
    /// task that no longer matches is cleared with the reason `no longer matches` and forgotten. `view.traits(resource)`
    /// already answers with the new traits; `timing` is the resource's own disorder and idle.
    pub fn describe(
        &mut self,
        resource: u32,
        timing: (Option<Span>, Option<Span>),
        view: &dyn View,
        trigger: Trigger,
        out: &mut Vec<Outcome>,
    ) {
        let moved = self.clocks.set_own(resource, timing);
        let mut change = Change { view, trigger, out };
        for index in 0..self.groups.len() {
            self.working = Working::Matching(Part::Group(index));
            self.match_group(index, resource, true, &mut change);
        }
        let (id, traits) = (view.resource(resource), view.traits(resource));
        for (index, window) in self.windows.iter_mut().enumerate() {
            let Some(window) = window else {
                continue;
            };
            self.working = Working::Matching(Part::Window(index));
            let fits = matches(&window.plan.rule().selector, id, traits);
            let before = window.state.members.set(resource, fits);
            if before != fits {
                self.window_picker.set(index, resource, fits);
            }
            if before && !fits {
                window.forget(resource);
            }
        }
        for index in 0..self.patterns.len() {
            self.match_timed::<PatternUnit>(index, (resource, true), &mut change);
        }
        for index in 0..self.graphs.len() {
            self.match_timed::<GraphUnit>(index, (resource, true), &mut change);
        }
        self.match_wides(resource, (true, moved), &mut change);
        if moved {
            self.rearm_resource(resource);
        }
        self.working = Working::Nobody;
    }

    /// Forgets a resource: what was raised on it is cleared with the reason `resource deleted`, its tasks end.
    pub fn forget(
        &mut self,
        resource: u32,
        view: &dyn View,
        trigger: Trigger,
        out: &mut Vec<Outcome>,
    ) {
        let mut change = Change { view, trigger, out };
        for index in 0..self.groups.len() {
            self.working = Working::Matching(Part::Group(index));
            self.match_group(index, resource, false, &mut change);
        }
        for index in 0..self.patterns.len() {
            self.match_timed::<PatternUnit>(index, (resource, false), &mut change);
        }
        for index in 0..self.graphs.len() {
            self.match_timed::<GraphUnit>(index, (resource, false), &mut change);
        }
        self.match_wides(resource, (false, false), &mut change);
        for (index, window) in self.windows.iter_mut().enumerate() {
            let Some(window) = window else {
                continue;
            };
            self.working = Working::Matching(Part::Window(index));
            if window.state.members.set(resource, false) {
                window.forget(resource);
            }
        }
        self.working = Working::Nobody;
    }

    fn match_group(&mut self, index: usize, resource: u32, exists: bool, change: &mut Change<'_>) {
        let Some(mut group) = self.groups.get_mut(index).and_then(Option::take) else {
            return;
        };
        let first = group.units.iter().flatten().next();
        let plan: Option<Arc<Plan>> = first.map(|unit| Arc::clone(&unit.plan));
        let view = change.view;
        let fits = exists
            && plan.is_some_and(|plan| {
                matches(
                    &plan.rule().selector,
                    view.resource(resource),
                    view.traits(resource),
                )
            });
        let before = group.state.members.set(resource, fits);
        if before != fits {
            self.group_picker.set(index, resource, fits);
        }
        if fits && group.unborn(resource) {
            self.give_birth_to(&mut group, resource);
        }
        let raised = if before && !fits {
            group.raised_on(resource)
        } else {
            Vec::new()
        };
        if let Some(place) = self.groups.get_mut(index) {
            *place = Some(group);
        }
        if before && !fits {
            let reason = if exists {
                "no longer matches"
            } else {
                "resource deleted"
            };
            self.clear_for(index, (&raised, resource), reason, change);
            if let Some(group) = self.groups.get_mut(index).and_then(Option::as_mut) {
                group.drop_tasks(resource);
                group.forget(resource);
            }
        }
    }

    fn rearm_resource(&mut self, resource: u32) {
        let touched = vec![resource];
        for (index, group) in self.groups.iter_mut().enumerate() {
            let Some(group) = group else {
                continue;
            };
            self.working = Working::Matching(Part::Group(index));
            if let Some((line, _)) = self.lines.get(group.state.line) {
                let watch = super::Watch {
                    clocks: &self.clocks,
                    line,
                };
                self.scratch.touched.clone_from(&touched);
                group.rearm(watch, &self.scratch);
            }
        }
        for (index, window) in self.windows.iter_mut().enumerate() {
            let Some(window) = window else {
                continue;
            };
            self.working = Working::Matching(Part::Window(index));
            if let Some((line, _)) = self.lines.get(window.line()) {
                let watch = super::Watch {
                    clocks: &self.clocks,
                    line,
                };
                window.rearm(watch, &touched);
            }
        }
        let time = (self.lines.as_slice(), &self.clocks);
        timed::rearm_all(&mut self.patterns, time, &touched);
        timed::rearm_all(&mut self.graphs, time, &touched);
    }

    /// What was counted on a task.
    #[must_use]
    pub fn counters(&self, rule: &str, resource: u32) -> TaskCounters {
        match self.rules.get(rule) {
            Some(Seat::Condition { group, unit }) => {
                let Some(group) = self.groups.get(*group).and_then(Option::as_ref) else {
                    return TaskCounters::default();
                };
                let Some(unit) = group.units.get(*unit).and_then(Option::as_ref) else {
                    return TaskCounters::default();
                };
                let mut counters = unit
                    .state
                    .counters
                    .get(&resource)
                    .copied()
                    .unwrap_or_default();
                let table = unit.state.table.and_then(|t| group.state.tables.get(t));
                let unknown = table.and_then(|table| table.unknown.get(&resource));
                counters.unknown += unknown.copied().unwrap_or(0);
                counters.out_of_order = group.state.sight.out_of_order(resource);
                counters
            }
            Some(Seat::Window(window)) => {
                let window = self.windows.get(*window).and_then(Option::as_ref);
                let counters = window.and_then(|w| w.state.counters.get(&resource));
                counters.copied().unwrap_or_default()
            }
            Some(Seat::Pattern(pattern)) => {
                let unit = self.patterns.get(*pattern).and_then(Option::as_ref);
                let counters = unit.and_then(|unit| unit.state.counters.get(&resource));
                counters.copied().unwrap_or_default()
            }
            Some(Seat::Graph(graph)) => {
                let unit = self.graphs.get(*graph).and_then(Option::as_ref);
                let counters = unit.and_then(|unit| unit.state.counters.get(&resource));
                counters.copied().unwrap_or_default()
            }
            Some(Seat::Wide(wide)) => {
                let unit = self.wides.get(*wide).and_then(Option::as_ref);
                unit.map(|unit| unit.counters(resource)).unwrap_or_default()
            }
            None => TaskCounters::default(),
        }
    }

    /// What a task is doing; `None` if the rule does not run or does not match the resource.
    #[must_use]
    pub fn active(&self, rule: &str, resource: u32) -> Option<TaskState> {
        let (line, mut state) = match self.rules.get(rule)? {
            Seat::Condition { group, unit } => {
                let group = self.groups.get(*group)?.as_ref()?;
                let state = group.state.members.has(resource);
                let state = state.then(|| group.task_state(*unit, resource))?;
                (group.state.line, state)
            }
            Seat::Window(window) => {
                let window = self.windows.get(*window)?.as_ref()?;
                let state = window.state.members.has(resource);
                (window.line(), state.then(TaskState::default)?)
            }
            Seat::Pattern(pattern) => {
                let unit = self.patterns.get(*pattern)?.as_ref()?;
                let since = unit.state.raised.get(&resource).copied();
                let state = unit.state.members.has(resource).then_some(TaskState {
                    raised: since.is_some(),
                    since: since.map(Timestamp),
                    ..TaskState::default()
                });
                (unit.line(), state?)
            }
            Seat::Graph(graph) => {
                let unit = self.graphs.get(*graph)?.as_ref()?;
                let since = unit.state.raised.get(&resource).copied();
                let state = unit.state.members.has(resource).then_some(TaskState {
                    raised: since.is_some(),
                    since: since.map(|(since, _)| Timestamp(since)),
                    ..TaskState::default()
                });
                (unit.line(), state?)
            }
            Seat::Wide(wide) => return self.wides.get(*wide)?.as_ref()?.active(resource),
        };
        let (line, _) = self.lines.get(line)?;
        let mark = line.at(&self.clocks, resource, self.clock);
        state.watermark = (mark != NEVER).then_some(Timestamp(mark));
        Some(state)
    }
}

impl super::group::Group {
    /// Whether a resource's task has not begun although time alone can change what it sees.
    pub(crate) fn unborn(&self, resource: u32) -> bool {
        let judged = crate::watermark::at(&self.state.judged, resource, NEVER);
        judged == NEVER && self.state.sight.wakes()
    }

    /// Numbers of the rules that are raised on a resource.
    fn raised_on(&mut self, resource: u32) -> Vec<usize> {
        let mut raised: Vec<usize> = Vec::new();
        for table in &mut self.state.tables {
            raised.extend(table.forget(resource).into_iter().map(|unit| unit as usize));
        }
        for (number, unit) in self.units.iter().enumerate() {
            let task = unit
                .as_ref()
                .and_then(|u| u.state.tasks.get(resource as usize));
            if task.is_some_and(Task::raised) {
                raised.push(number);
            }
        }
        raised.sort_unstable();
        raised
    }

    fn drop_tasks(&mut self, resource: u32) {
        for number in 0..self.units.len() {
            self.drop_task(number, resource);
        }
    }

    /// Lets one task go.
    pub(crate) fn drop_task(&mut self, number: usize, resource: u32) {
        let Some(unit) = self.units.get_mut(number).and_then(Option::as_mut) else {
            return;
        };
        if let Some(task) = unit.state.tasks.get_mut(resource as usize) {
            *task = Task::default();
        }
        let table = unit.state.table.and_then(|t| self.state.tables.get_mut(t));
        if let Some(table) = table {
            table.release(u32::try_from(number).unwrap_or(u32::MAX), resource);
        }
    }

    fn task_state(&self, number: usize, resource: u32) -> TaskState {
        let mut state = TaskState::default();
        let Some(unit) = self.units.get(number).and_then(Option::as_ref) else {
            return state;
        };
        if let Some(table) = unit.state.table.and_then(|t| self.state.tables.get(t)) {
            state.raised = table.is_raised(u32::try_from(number).unwrap_or(u32::MAX), resource);
            return state;
        }
        match unit.state.tasks.get(resource as usize).map(Task::phase) {
            Some(Phase::Pending { since }) => state.pending = Some(Timestamp(since)),
            Some(Phase::Raised { at } | Phase::Clearing { at, .. }) => {
                state.raised = true;
                state.since = Some(Timestamp(at));
            }
            Some(Phase::Calm) | None => {}
        }
        state
    }
}
