//! [`Pipeline`]: all running rules of one shard, keyed by dense resource numbers and run on columns.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use tidegate_proto::{EventBatch, Names, Outcome, Span, Timestamp, Trigger};

use crate::plan::{Plan, PlanBody};
use crate::watermark::{Clocks, Line, NEVER, Tick, cell};

mod api;
mod apply;
mod apply_window;
mod arguments;
mod attempts;
mod awaiting;
mod cells;
mod clock;
mod describe;
mod even;
mod excess;
mod fills;
mod filter;
mod given;
mod graphs;
mod group;
mod heard;
mod heirs;
mod judge;
mod keys;
mod lagged;
mod members;
mod outlook;
mod past;
mod patterns;
mod picker;
mod plain;
mod portrait;
mod reached;
mod report;
mod results;
mod seen;
mod sight;
pub(crate) mod snapshot;
mod steps;
mod streams;
mod suspect;
mod tables;
mod timed;
mod times;
mod told;
mod unit;
mod wide;
mod windows;

#[cfg(test)]
mod tests;

use self::apply::Change;
use self::graphs::{GraphScratch, GraphUnit};
use self::group::{Begun, Group, Push, Scratch, Watch};
use self::patterns::{PatternScratch, PatternUnit};
use self::picker::Picker;
use self::seen::Watched;
use self::suspect::{Part, Working, break_if};
use self::times::Times;
use self::wide::{WideScratch, WideUnit};
use self::windows::{WindowScratch, WindowUnit};

pub use self::graphs::seen::{GraphNodeSeen, GraphSeen, TriggerSeen};
pub use crate::join::Lack;
pub use api::{
    ApplyReport, Limits, PartReport, PartState, PipelineBreaks, PipelineSettings, RestoreError,
    TaskCounters, TaskState, Untold, View,
};
pub use attempts::{AttemptEnd, AttemptEnded, AttemptSeen, AttemptsSeen};
pub use portrait::{Portrait, PortraitNode};
pub use reached::Reached;
pub use seen::{Inside, Sighting, Subject};
pub use suspect::Suspects;
pub use wide::seen::{JoinSeen, JoinSideSeen, WaitSeen};

/// Watermark lines that are always there: that of the engine's defaults, and that of holds in arrival order.
const STANDING_LINES: usize = 2;

/// Where a rule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Seat {
    /// A condition: its group, and its number there.
    Condition { group: usize, unit: usize },
    /// Windows of its own.
    Window(usize),
    /// A pattern.
    Pattern(usize),
    /// A graph.
    Graph(usize),
    /// Any of these, or a join, over several resources.
    Wide(usize),
}

impl PipelineBreaks {
    /// Makes the watermarks of a batch wrong in the way that is asked for.
    fn bend(self, line: &Line, ticks: &[Tick], water: &mut [i64]) {
        for (tick, mark) in ticks.iter().zip(water) {
            if self.watermark_per_batch {
                *mark = line.mark(tick.resource);
            }
            if self.timer_after_row {
                *mark -= 1;
            }
        }
    }
}

/// All running rules of one shard.
#[derive(Debug)]
pub struct Pipeline {
    settings: PipelineSettings,
    /// The clock as last told, [`NEVER`] before.
    clock: i64,
    /// Rows taken so far.
    sequence: u64,
    clocks: Clocks,
    lines: Vec<(Line, Begun)>,
    groups: Vec<Option<Group>>,
    windows: Vec<Option<WindowUnit>>,
    patterns: Vec<Option<PatternUnit>>,
    graphs: Vec<Option<GraphUnit>>,
    wides: Vec<Option<WideUnit>>,
    rules: BTreeMap<Arc<str>, Seat>,
    group_picker: Picker,
    window_picker: Picker,
    pattern_picker: Picker,
    graph_picker: Picker,
    scratch: Scratch,
    window_scratch: WindowScratch,
    pattern_scratch: PatternScratch,
    graph_scratch: GraphScratch,
    wide_scratch: WideScratch,
    ticks: Vec<Tick>,
    water: Vec<Vec<i64>>,
    columns: Vec<Option<u32>>,
    /// What metrics are called, where a rule has to know.
    names: Vec<Arc<str>>,
    /// Who is at work: whom to suspect when it panics.
    working: Working,
    /// A task that somebody watches.
    watched: Option<Box<Watched>>,
}

impl Pipeline {
    /// A pipeline without rules.
    #[must_use]
    pub fn new(settings: PipelineSettings) -> Self {
        let engine = (settings.disorder, settings.idle);
        let begun = Begun {
            sequence: 0,
            clock: NEVER,
        };
        Self {
            settings,
            clock: NEVER,
            sequence: 0,
            clocks: Clocks::default(),
            lines: vec![
                (Line::new((None, None), engine), begun),
                (Line::new((Some(Span::ZERO), None), engine), begun),
            ],
            groups: Vec::new(),
            windows: Vec::new(),
            patterns: Vec::new(),
            graphs: Vec::new(),
            wides: Vec::new(),
            rules: BTreeMap::new(),
            group_picker: Picker::default(),
            window_picker: Picker::default(),
            pattern_picker: Picker::default(),
            graph_picker: Picker::default(),
            scratch: Scratch::default(),
            window_scratch: WindowScratch::default(),
            pattern_scratch: PatternScratch::default(),
            graph_scratch: GraphScratch::default(),
            wide_scratch: WideScratch::default(),
            ticks: Vec::new(),
            water: Vec::new(),
            columns: Vec::new(),
            names: Vec::new(),
            working: Working::Nobody,
            watched: None,
        }
    }

    /// Starts a rule, or revises the rule of that name: parts that are equal keep their state, raised stays raised. `metrics`
    /// is the shard's interner: names of metrics that no event has carried yet get their number here.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "the pipeline keeps the plan; callers hand it over"
    )]
    pub fn apply(
        &mut self,
        plan: Arc<Plan>,
        view: &dyn View,
        metrics: &mut Names,
        trigger: Trigger,
        out: &mut Vec<Outcome>,
    ) -> ApplyReport {
        let mut change = Change { view, trigger, out };
        let plan = &plan;
        self.working = Working::Changing(Arc::clone(&plan.name));
        break_if(
            self.settings.breaks.brittle_apply,
            std::iter::once(&plan.name),
        );
        self.watch_again();
        let report = self.report(plan);
        let stays = match (&plan.body, self.rules.get(&plan.name)) {
            (PlanBody::Condition(_), Some(Seat::Condition { .. }))
            | (PlanBody::Window(_), Some(Seat::Window(_)))
            | (PlanBody::Pattern(_), Some(Seat::Pattern(_)))
            | (PlanBody::Graph(_), Some(Seat::Graph(_)))
            | (PlanBody::Wide(_), Some(Seat::Wide(_)))
            | (_, None) => true,
            (_, Some(_)) => false,
        };
        if !stays {
            self.unseat(&plan.name, "rule changed", &mut change);
        }
        match &plan.body {
            PlanBody::Condition(condition) => {
                self.apply_condition(plan, condition, metrics, &mut change);
            }
            PlanBody::Window(window) => self.apply_window(plan, window, metrics, &mut change),
            PlanBody::Pattern(pattern) => {
                self.apply_pattern(plan, pattern, metrics, &mut change);
            }
            PlanBody::Graph(graph) => self.apply_graph(plan, graph, metrics, &mut change),
            PlanBody::Wide(wide) => self.apply_wide(plan, wide, metrics, &mut change),
        }
        self.watch_again();
        self.working = Working::Nobody;
        report
    }

    /// Deletes or disables a rule: what it raised is cleared with the reason `rule removed` at the watermark of each task.
    pub fn remove(
        &mut self,
        rule: &str,
        view: &dyn View,
        trigger: Trigger,
        out: &mut Vec<Outcome>,
    ) {
        let mut change = Change { view, trigger, out };
        let name: Arc<str> = Arc::from(rule);
        self.working = Working::Changing(Arc::clone(&name));
        break_if(
            self.settings.breaks.brittle_remove && self.rules.contains_key(rule),
            std::iter::once(&name),
        );
        self.unseat(rule, "rule removed", &mut change);
        self.working = Working::Nobody;
    }

    /// Takes a rule out with all that it raised, for a reason.
    fn unseat(&mut self, rule: &str, reason: &str, change: &mut Change<'_>) {
        match self.rules.remove(rule) {
            Some(Seat::Condition { group, unit }) => {
                self.remove_condition((group, unit), reason, change);
            }
            Some(Seat::Window(window)) => self.remove_window(window),
            Some(Seat::Pattern(pattern)) => {
                self.remove_timed::<PatternUnit>(pattern, reason, change);
            }
            Some(Seat::Graph(graph)) => self.remove_timed::<GraphUnit>(graph, reason, change),
            Some(Seat::Wide(wide)) => self.remove_wide(wide, reason, change),
            None => {}
        }
    }

    /// Judges rows of a batch, which are in log order. `view.last` answers with the state before these rows: the shard
    /// pushes first and updates its twins afterwards.
    pub fn push(
        &mut self,
        batch: &EventBatch,
        rows: Range<usize>,
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        let rows = rows.start.min(batch.len())..rows.end.min(batch.len());
        if rows.is_empty() {
            return;
        }
        self.clocks
            .take(batch, rows.clone(), self.clock, &mut self.ticks);
        self.find_water();
        self.run((batch, rows), &[], view, out);
    }

    /// Judges rows whose times are found.
    fn run(
        &mut self,
        (batch, rows): (&EventBatch, Range<usize>),
        quiet: &[bool],
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        self.find_columns(batch);
        self.pick();
        let push = Push {
            ticks: &self.ticks,
            columns: &self.columns,
            names: &self.names,
            sequence: self.sequence,
            quiet,
            ..Push::of(batch, rows.clone(), self.settings.limits, view)
        };
        self.sequence += rows.len() as u64;
        let hit = self.settings.breaks.hit(batch, rows);
        let times = Times {
            clocks: &self.clocks,
            lines: &self.lines,
            water: &self.water,
        };
        for (index, group) in self.groups.iter_mut().enumerate() {
            let Some(group) = group else {
                continue;
            };
            self.working = Working::Judging(Part::Group(index));
            break_if(hit, group.names());
            let all = group.state.members.is_all();
            let picked = self.group_picker.rows(index);
            if let Some((push, watch)) = times.of(&push, group.state.line, picked, all) {
                group.push(&push, watch, &mut self.scratch, out);
            }
        }
        for (index, window) in self.windows.iter_mut().enumerate() {
            let Some(window) = window else {
                continue;
            };
            self.working = Working::Judging(Part::Window(index));
            break_if(hit, std::iter::once(&window.plan.name));
            let all = window.state.members.is_all();
            let picked = self.window_picker.rows(index);
            if let Some((push, watch)) = times.of(&push, window.line(), picked, all) {
                window.push(&push, watch, &mut self.window_scratch, out);
            }
        }
        let (picker, scratch) = (&self.pattern_picker, &mut self.pattern_scratch);
        let patterns = (self.patterns.as_mut_slice(), picker, scratch);
        timed::push_all(patterns, &mut self.working, (&times, hit), &push, out);
        let (picker, scratch) = (&self.graph_picker, &mut self.graph_scratch);
        let graphs = (self.graphs.as_mut_slice(), picker, scratch);
        timed::push_all(graphs, &mut self.working, (&times, hit), &push, out);
        let units = (self.wides.as_mut_slice(), &mut self.working);
        let (now, scratch) = ((&times, self.clock), &mut self.wide_scratch);
        wide::push_all((units, hit), now, &push, scratch, out);
        self.working = Working::Nobody;
    }

    /// Finds the watermark of every line at each row.
    fn find_water(&mut self) {
        self.water.resize_with(self.lines.len(), Vec::new);
        for ((line, _), water) in self.lines.iter_mut().zip(&mut self.water) {
            line.take(&self.clocks, &self.ticks, water);
            self.settings.breaks.bend(line, &self.ticks, water);
        }
    }

    /// Moves the clock and the watermark of every resource to a time: the end of a replay that says so.
    pub fn until(&mut self, time: Timestamp, view: &dyn View, out: &mut Vec<Outcome>) {
        self.advance(time, view, out);
        let known = view.resources().max(self.clocks.len());
        let all: Vec<u32> = (0..known).collect();
        for (line, _) in &mut self.lines {
            for resource in &all {
                line.raise(*resource, time.0);
            }
        }
        for (index, group) in self.groups.iter_mut().enumerate() {
            let Some(group) = group else {
                continue;
            };
            self.working = Working::Judging(Part::Group(index));
            let Some((line, _)) = self.lines.get(group.state.line) else {
                continue;
            };
            let watch = Watch {
                clocks: &self.clocks,
                line,
            };
            let resources = all.iter().copied();
            let due: Vec<u32> = resources
                .filter(|resource| group.deadline(*resource) <= time.0)
                .collect();
            let whom = (due.as_slice(), Trigger::Clock);
            group.wake(whom, view, watch, &mut self.scratch, out);
        }
        for (index, window) in self.windows.iter_mut().enumerate() {
            let Some(window) = window else {
                continue;
            };
            self.working = Working::Judging(Part::Window(index));
            let Some((line, _)) = self.lines.get(window.line()) else {
                continue;
            };
            let watch = Watch {
                clocks: &self.clocks,
                line,
            };
            let whom = (all.as_slice(), self.settings.limits);
            window.wake(whom, view, watch, &mut self.window_scratch, out);
        }
        self.timed_until::<PatternUnit>((&all, time.0), view, out);
        self.timed_until::<GraphUnit>((&all, time.0), view, out);
        self.wides_until(time, view, out);
        self.working = Working::Nobody;
    }

    /// Names of the running rules in byte order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<str>> {
        self.rules.keys()
    }

    /// The whole state as bytes; plans are not in it. Equal states give equal bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        snapshot::write(self)
    }

    /// A pipeline as it was when the snapshot was taken.
    ///
    /// # Errors
    /// When the bytes are no snapshot of this version, or the plan of a running rule is missing or another one.
    pub fn restore(
        bytes: &[u8],
        plans: Vec<Arc<Plan>>,
        settings: PipelineSettings,
    ) -> Result<Self, RestoreError> {
        snapshot::read(bytes, plans, settings)
    }

    fn find_columns(&mut self, batch: &EventBatch) {
        self.columns.clear();
        for (index, column) in (0..).zip(&batch.metrics) {
            *cell(&mut self.columns, column.metric, None) = Some(index);
        }
    }

    /// The watermark of a resource on a line at this moment, kept.
    fn mark(&mut self, line: usize, resource: u32) -> i64 {
        let clock = self.clock;
        match self.lines.get_mut(line) {
            Some((line, _)) => line.advance(&self.clocks, resource, clock),
            None => NEVER,
        }
    }
}
