//! Rules over several resources come, change and go; resources begin to match and stop.

use std::sync::Arc;

use tidegate_proto::{Names, Outcome, Span, Timestamp, Value};

use super::groups::Groups;
use super::joined::{self, JoinedState};
use super::keyed::Keyed;
use super::least::{Least, Member};
use super::links::Links;
use super::moved;
use super::others::Others;
use super::{Engine, Now, ONE, WideState, WideUnit};
use crate::pipeline::apply::Change;
use crate::pipeline::members::{Members, matches};
use crate::pipeline::sight::Sight;
use crate::pipeline::suspect::{Part, Working, break_if};
use crate::pipeline::{Pipeline, PipelineBreaks, PipelineSettings, Seat, Untold, View};
use crate::plan::Plan;
use crate::plan::wide::{Feed, InputPlan, WideEngine, WidePlan};
use crate::timer::Timers;
use crate::watermark::NEVER;

/// Settings of the pipeline inside: it has no time of its own, and its guards are those of the one outside.
pub(super) fn inside(settings: PipelineSettings) -> PipelineSettings {
    PipelineSettings {
        disorder: Span::ZERO,
        idle: Span::ZERO,
        breaks: PipelineBreaks::default(),
        ..settings
    }
}

/// Numbers of the columns' metrics outside, those that `where` asks for behind them.
fn reads(plan: &Plan, wide: &WidePlan, metrics: &mut Names) -> Vec<u32> {
    if let WideEngine::Join(join) = &wide.engine {
        return joined::reads(join, metrics);
    }
    let columns = wide.columns.iter();
    let mut reads: Vec<u32> = columns.map(|c| metrics.intern(&c.metric)).collect();
    if let Some(filter) = &plan.filter {
        let sight = Sight::new(&filter.table, metrics);
        reads.extend(sight.metrics.iter().map(|cells| cells.metric));
    }
    let by = wide.by.iter().flat_map(|by| &by.metrics);
    reads.extend(by.map(|name| metrics.intern(name)));
    reads
}

impl WideUnit {
    fn new(
        (plan, wide): (&Arc<Plan>, &Arc<WidePlan>),
        line: usize,
        settings: PipelineSettings,
        change: &mut Change<'_>,
        metrics: &mut Names,
    ) -> Self {
        let view = change.view;
        let filter = plan.filter.as_ref();
        let mut filter = filter.map(|filter| Sight::new(&filter.table, metrics));
        if let (Some(horizon), Some(filter)) = (wide.horizon(), &mut filter) {
            // What `where` reads is known for rows that come below the watermark.
            filter
                .metrics
                .iter_mut()
                .for_each(|cells| cells.keep_past(horizon));
        }
        let mut state = WideState {
            line,
            members: Members::of(&plan.rule().selector, view),
            filter,
            seen: Vec::new(),
            least: Least::default(),
            others: Others::of(&wide.engine),
            tasks: Default::default(),
            links: Links::new(wide.inputs.len()),
            groups: Groups::new(wide),
            keyed: Keyed::default(),
            names: Names::default(),
            reads: reads(plan, wide, metrics),
            metrics: Vec::new(),
            sequence: 0,
            former: Default::default(),
            timers: Timers::default(),
            counters: Default::default(),
            hours: Default::default(),
        };
        let engine = match &wide.engine {
            WideEngine::Inner(_) => Engine::Inner(Box::new(Pipeline::new(inside(settings)))),
            WideEngine::Join(join) => {
                let how = (wide.ordered, settings.limits.join_rows);
                Engine::Join(Box::new(JoinedState::new(join, how, view)))
            }
        };
        for column in &wide.columns {
            let number = state.names.intern(&column.name);
            state.metrics.push(number);
        }
        let mut unit = Self {
            plan: Arc::clone(plan),
            wide: Arc::clone(wide),
            state,
            engine,
            most_keys: settings.limits.groups,
            wanted: None,
        };
        unit.fill(change);
        for resource in 0..view.resources() {
            unit.link(resource, true, view);
        }
        if wide.everything {
            unit.ask(ONE, true, view);
        }
        for resource in 0..view.resources() {
            unit.regroup(resource, true, view);
        }
        unit
    }

    /// The pipeline inside takes the rule.
    fn fill(&mut self, change: &mut Change<'_>) {
        let from = change.out.len();
        if let (Engine::Inner(inner), WideEngine::Inner(plan)) =
            (&mut self.engine, &self.wide.engine)
        {
            let (view, trigger) = (Untold(change.view), change.trigger);
            inner.apply(
                Arc::clone(plan),
                &view,
                &mut self.state.names,
                trigger,
                change.out,
            );
            inner.keep_reads();
        }
        self.rename(from, change.out);
    }

    /// Lines of the one task over everything name no resource.
    fn rename(&self, from: usize, out: &mut [Outcome]) {
        self.name_lines(out.get_mut(from..).unwrap_or_default());
    }

    /// Goes on with the state of the last revision, if it reads the same rows in the same order.
    fn inherit(&mut self, old: Self, change: &mut Change<'_>) {
        if self.wide.identity != old.wide.identity {
            old.clear("rule changed", change);
            return;
        }
        let reads = self.state.reads.clone();
        let places = self.places_of(&old);
        match (&self.engine, old.engine) {
            (Engine::Join(_), Engine::Join(join)) => {
                let ordered = (self.wide.ordered, join.most());
                if let WideEngine::Join(plan) = &self.wide.engine {
                    let resumed = JoinedState::resume(plan, ordered, join.saved);
                    self.engine = Engine::Join(Box::new(resumed));
                }
            }
            (Engine::Inner(_), Engine::Inner(inner)) => self.engine = Engine::Inner(inner),
            _ => return,
        }
        let line = self.state.line;
        self.state = WideState {
            line,
            reads,
            metrics: Vec::new(),
            ..old.state
        };
        for column in &self.wide.columns {
            let number = self.state.names.intern(&column.name);
            self.state.metrics.push(number);
        }
        for row in self
            .state
            .tasks
            .values_mut()
            .flat_map(|t| t.held.values_mut())
        {
            let value = |place: &Option<usize>| place.and_then(|place| row.values.get(place));
            let values = places.iter().map(|place| value(place).cloned());
            row.values = values.map(Option::unwrap_or_default).collect();
        }
        self.fill(change);
    }

    /// Where each value of a row stood in the rows of the last revision: columns by name, then what `where` asks for.
    fn places_of(&self, old: &Self) -> Vec<Option<usize>> {
        let (new, was) = (&self.wide.columns, &old.wide.columns);
        let column = |name: &str| was.iter().position(|column| column.name.as_ref() == name);
        let columns = new.iter().map(|new| column(&new.name));
        let filter = (self.state.reads.iter().skip(new.len())).map(|metric| {
            let mut others = old.state.reads.iter().enumerate().skip(was.len());
            Some(others.find(|(_, other)| *other == metric)?.0)
        });
        columns.chain(filter).collect()
    }

    /// Clears what the rule raised.
    fn clear(self, reason: &str, change: &mut Change<'_>) {
        let from = change.out.len();
        let plan = Arc::clone(&self.plan);
        let mut unit = self;
        if let Engine::Inner(inner) = &mut unit.engine {
            let view = Untold(change.view);
            inner.remove(&plan.name, &view, change.trigger, change.out);
        }
        unit.name_lines(change.out.get_mut(from..).unwrap_or_default());
        for outcome in change.out.iter_mut().skip(from) {
            for (name, value) in outcome.values.iter_mut().flatten() {
                if name.as_ref() == "reason" {
                    *value = Value::text(reason);
                }
            }
        }
    }

    /// Finds the sources of a resource's task, and notes the resource itself as one.
    fn link(&mut self, resource: u32, exists: bool, view: &dyn View) {
        if self.wide.inputs.is_empty() {
            return;
        }
        let id = view.resource(resource);
        self.state.links.know(resource, exists.then_some(id));
        let wide = Arc::clone(&self.wide);
        for (index, input) in wide.inputs.iter().enumerate() {
            let InputPlan::Resource(input) = input else {
                continue;
            };
            let member = exists && self.state.members.has(resource);
            let source = member.then(|| moved::source(input, resource, view));
            let begun = self.state.seen.get(resource as usize);
            let begun = begun.is_some_and(Option::is_some);
            let old = self.state.links.named(index, resource);
            let source = source.flatten();
            if !self.state.links.set(index, resource, source.as_deref()) || !begun {
                continue;
            }
            if wide.ordered {
                // Rows that wait have the source of when they were read.
                self.leave_source(index, resource, old);
                continue;
            }
            for (column, metric) in wide.columns.iter().zip(&self.state.metrics) {
                if column.feed == Feed::Input(index)
                    && let Engine::Inner(inner) = &mut self.engine
                {
                    let latest = self.state.links.recent(index, resource).last();
                    let latest = latest.map(|known| (known.time, known.value.clone()));
                    inner.replace(resource, *metric, latest.as_ref(), NEVER);
                }
            }
        }
    }

    /// A resource comes, changes or goes.
    fn describe(&mut self, resource: u32, exists: bool, change: &mut Change<'_>) {
        let view = change.view;
        if let Engine::Join(join) = &mut self.engine {
            if !join.describe(resource, exists, view) {
                self.state.least.remove(resource);
            }
            if !exists {
                self.state.others.remove(resource);
            }
            return;
        }
        if self.wide.everything {
            if !exists {
                self.state.least.remove(resource);
            }
            self.link(resource, exists, view);
            self.regroup(resource, exists, view);
            return;
        }
        let (id, traits) = (view.resource(resource), view.traits(resource));
        let fits = exists && matches(&self.plan.rule().selector, id, traits);
        self.state.members.set(resource, fits);
        if let Engine::Inner(inner) = &mut self.engine {
            let (view, trigger) = (Untold(view), change.trigger);
            if let Some(time) = self.state.tasks.get(&resource) {
                // In order of arrival it may have been judged beyond its watermark.
                inner.raise(resource, time.water.max(time.last));
            }
            if exists {
                inner.describe(resource, (None, None), &view, trigger, change.out);
            } else {
                inner.forget(resource, &view, trigger, change.out);
            }
        }
        self.link(resource, exists, view);
        self.regroup(resource, exists, view);
        if !fits {
            self.state.tasks.remove(&resource);
            self.state.groups.end(resource);
        }
        if !exists && let Some(seen) = self.state.seen.get_mut(resource as usize) {
            *seen = None;
        }
    }

    /// The silence of a resource counts otherwise from here on.
    fn retime(&mut self, resource: u32, now: Now<'_>) {
        let (latest, arrived) = now.clocks.pair(resource);
        if latest == NEVER {
            return;
        }
        let idle = now.line.idle(now.clocks, resource);
        let lead = latest.saturating_sub(arrived).saturating_sub(idle);
        if self.wide.everything {
            let known = self
                .state
                .least
                .each()
                .find(|(known, _)| *known == resource);
            if let Some((_, member)) = known {
                let member = Member { lead, ..member };
                self.state.least.set(resource, member, now.clock);
            }
        } else if let Some(Some(member)) = self.state.seen.get_mut(resource as usize) {
            member.lead = lead;
        }
        let tasks: Vec<u32> = if self.wide.everything {
            vec![ONE]
        } else {
            let mut tasks = vec![resource];
            self.state.links.tasks(resource, &mut tasks);
            self.state.groups.tasks(resource, &mut tasks);
            tasks
        };
        self.rearm(&tasks, now);
    }
}

impl Pipeline {
    pub(crate) fn apply_wide(
        &mut self,
        plan: &Arc<Plan>,
        wide: &Arc<WidePlan>,
        metrics: &mut Names,
        change: &mut Change<'_>,
    ) {
        let settings = self.settings;
        let old = match self.rules.get(&plan.name) {
            Some(Seat::Wide(index)) => Some(*index),
            _ => None,
        };
        let was = old.and_then(|old| self.wides.get(old)?.as_ref());
        let line = self.line_again(wide.timing, was.map(WideUnit::line));
        let mut unit = WideUnit::new((plan, wide), line, settings, change, metrics);
        if let Some(was) = old.and_then(|old| self.wides.get_mut(old)?.take()) {
            unit.inherit(was, change);
        }
        let free = old.or_else(|| self.wides.iter().position(Option::is_none));
        let index = free.unwrap_or_else(|| {
            self.wides.push(None);
            self.wides.len() - 1
        });
        if let Some(place) = self.wides.get_mut(index) {
            *place = Some(unit);
        }
        self.rules.insert(Arc::clone(&plan.name), Seat::Wide(index));
    }

    pub(crate) fn remove_wide(&mut self, index: usize, reason: &str, change: &mut Change<'_>) {
        if let Some(unit) = self.wides.get_mut(index).and_then(Option::take) {
            unit.clear(reason, change);
        }
    }

    /// Drops a wide rule without a word.
    pub(crate) fn expel_wide(&mut self, index: usize) {
        if let Some(place) = self.wides.get_mut(index) {
            *place = None;
        }
    }

    pub(crate) fn match_wides(
        &mut self,
        resource: u32,
        (exists, moved): (bool, bool),
        change: &mut Change<'_>,
    ) {
        for (index, unit) in self.wides.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            self.working = Working::Matching(Part::Wide(index));
            unit.describe(resource, exists, change);
            if let Some((line, _)) = self.lines.get(unit.line())
                && moved
            {
                let now = Now {
                    clocks: &self.clocks,
                    line,
                    clock: self.clock,
                    waiting_rows: self.settings.limits.waiting_rows,
                };
                unit.retime(resource, now);
            }
        }
    }

    /// Lets the clock move the time of wide rules.
    pub(crate) fn advance_wides(&mut self, view: &dyn View, out: &mut Vec<Outcome>) {
        for (index, unit) in self.wides.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            self.working = Working::Judging(Part::Wide(index));
            let Some((line, _)) = self.lines.get(unit.line()) else {
                continue;
            };
            let now = Now {
                clocks: &self.clocks,
                line,
                clock: self.clock,
                waiting_rows: self.settings.limits.waiting_rows,
            };
            let name = std::iter::once(&unit.plan.name);
            break_if(self.settings.breaks.brittle_clock, name);
            unit.wake(now, view, &mut self.wide_scratch, out);
        }
    }

    /// Moves the time of every task of wide rules to a time.
    pub(crate) fn wides_until(&mut self, time: Timestamp, view: &dyn View, out: &mut Vec<Outcome>) {
        for (index, unit) in self.wides.iter_mut().enumerate() {
            if let Some(unit) = unit {
                self.working = Working::Judging(Part::Wide(index));
                unit.until(time.0, view, &mut self.wide_scratch, out);
            }
        }
    }
}
