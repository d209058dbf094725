//! Pattern rules come, change and go; resources begin to match and stop.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_proto::{Names, Order, Outcome, Trigger, Value};

use super::{PatternScratch, PatternUnit};
use crate::order::Waiting;
use crate::pattern::Taken;
use crate::pipeline::apply::Change;
use crate::pipeline::group::{Push, Watch};
use crate::pipeline::heirs::places;
use crate::pipeline::members::matches;
use crate::pipeline::picker::Picker;
use crate::pipeline::sight::Sight;
use crate::pipeline::suspect::{Part, Working, break_if};
use crate::pipeline::{Pipeline, Seat, Times, View};
use crate::plan::Plan;
use crate::plan::pattern::PatternPlan;
use crate::watermark::NEVER;

impl Pipeline {
    pub(crate) fn apply_pattern(
        &mut self,
        plan: &Arc<Plan>,
        pattern: &Arc<PatternPlan>,
        metrics: &mut Names,
        change: &mut Change<'_>,
    ) {
        let old = match self.rules.get(&plan.name) {
            Some(Seat::Pattern(index)) => Some(*index),
            _ => None,
        };
        let was = old.and_then(|old| self.patterns.get(old)?.as_ref());
        let line = self.line_again(pattern.timing, was.map(PatternUnit::line));
        let mut unit = PatternUnit::new(plan, pattern, line, change.view, metrics);
        let was = old.and_then(|old| self.patterns.get_mut(old)?.take());
        if let (Some(old), Some(mut was)) = (old, was) {
            self.pattern_picker.set_all(old, &was.state.members, false);
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
            unit.inherit(was);
        }
        let free = old.or_else(|| self.patterns.iter().position(Option::is_none));
        let index = free.unwrap_or_else(|| {
            self.patterns.push(None);
            self.patterns.len() - 1
        });
        for resource in 0..change.view.resources() {
            if unit.state.members.has(resource) {
                self.bear_pattern(&mut unit, resource);
            }
        }
        if old.is_some() {
            self.settle_pattern(&mut unit, change);
        }
        self.pattern_picker
            .set_all(index, &unit.state.members, true);
        if let Some(place) = self.patterns.get_mut(index) {
            *place = Some(unit);
        }
        self.rules
            .insert(Arc::clone(&plan.name), Seat::Pattern(index));
    }

    /// What a revision has made past due happens at once, at the watermark of each task.
    fn settle_pattern(&mut self, unit: &mut PatternUnit, change: &mut Change<'_>) {
        let mut due = Vec::new();
        for resource in unit.state.waiting.resources() {
            let mark = self.mark(unit.line(), resource);
            unit.seed(resource, Sight::limit(true, mark), change.view);
        }
        for resource in 0..change.view.resources() {
            let mark = self.mark(unit.line(), resource);
            if mark != NEVER && unit.deadline(resource) <= mark {
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
            let scratch = &mut self.pattern_scratch;
            unit.wake(whom, change.view, (watch, true), scratch, change.out);
        }
    }

    /// The task of a resource begins now, if its pattern waits from the beginning: at its watermark, or at the clock.
    fn bear_pattern(&mut self, unit: &mut PatternUnit, resource: u32) {
        if unit.pattern.machine.born_waiting && !unit.is_born(resource) {
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
    fn bear_unborn(&mut self) {
        for index in 0..self.patterns.len() {
            let Some(mut unit) = self.patterns.get_mut(index).and_then(Option::take) else {
                continue;
            };
            for resource in std::mem::take(&mut unit.state.unborn) {
                self.bear_pattern(&mut unit, resource);
            }
            if let Some(place) = self.patterns.get_mut(index) {
                *place = Some(unit);
            }
        }
    }

    /// The clock has moved: silent resources pass their deadlines.
    pub(crate) fn advance_patterns(
        &mut self,
        (clock, first): (i64, bool),
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        if first {
            self.bear_unborn();
        }
        let mut due = Vec::new();
        for (index, unit) in self.patterns.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            self.working = Working::Judging(Part::Pattern(index));
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
                let whom = (due.as_slice(), limits, Trigger::Clock);
                unit.wake(whom, view, (watch, false), &mut self.pattern_scratch, out);
            }
        }
    }

    /// Every watermark has moved to a time.
    pub(crate) fn patterns_until(
        &mut self,
        all: &[u32],
        time: i64,
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        for (index, unit) in self.patterns.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            self.working = Working::Judging(Part::Pattern(index));
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
            let whom = (due.as_slice(), limits, Trigger::Clock);
            unit.wake(whom, view, (watch, false), &mut self.pattern_scratch, out);
        }
    }

    pub(crate) fn remove_pattern(&mut self, index: usize, reason: &str, change: &mut Change<'_>) {
        let Some(mut unit) = self.patterns.get_mut(index).and_then(Option::take) else {
            return;
        };
        self.pattern_picker
            .set_all(index, &unit.state.members, false);
        let raised: Vec<u32> = unit.state.raised.keys().copied().collect();
        for resource in raised {
            let time = self.mark(unit.line(), resource);
            unit.tell_end((resource, time), reason, change.trigger, change.out);
        }
    }

    /// Drops a pattern without a word about what it raised.
    pub(crate) fn expel_pattern(&mut self, index: usize) {
        if let Some(unit) = self.patterns.get_mut(index).and_then(Option::take) {
            self.pattern_picker
                .set_all(index, &unit.state.members, false);
        }
    }

    /// A resource was described anew, or (`exists` false) forgotten.
    pub(crate) fn match_pattern(
        &mut self,
        index: usize,
        resource: u32,
        exists: bool,
        change: &mut Change<'_>,
    ) {
        self.working = Working::Matching(Part::Pattern(index));
        let Some(mut unit) = self.patterns.get_mut(index).and_then(Option::take) else {
            return;
        };
        let view = change.view;
        let (id, traits) = (view.resource(resource), view.traits(resource));
        let fits = exists && matches(&unit.plan.rule().selector, id, traits);
        let before = unit.state.members.set(resource, fits);
        if before != fits {
            self.pattern_picker.set(index, resource, fits);
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
            self.bear_pattern(&mut unit, resource);
        }
        if let Some(place) = self.patterns.get_mut(index) {
            *place = Some(unit);
        }
    }
}

/// Takes the rows of a push through all pattern rules; notes which one is at work.
pub(crate) fn push_all(
    ((patterns, working), hit): ((&mut [Option<PatternUnit>], &mut Working), bool),
    picker: &Picker,
    times: &Times<'_>,
    push: &Push<'_>,
    scratch: &mut PatternScratch,
    out: &mut Vec<Outcome>,
) {
    for (index, unit) in patterns.iter_mut().enumerate() {
        let Some(unit) = unit else {
            continue;
        };
        *working = Working::Judging(Part::Pattern(index));
        break_if(hit, std::iter::once(&unit.plan.name));
        let all = unit.state.members.is_all();
        if let Some((push, watch)) = times.of(push, unit.line(), picker.rows(index), all) {
            unit.push(&push, watch, scratch, out);
        }
    }
}

impl PatternUnit {
    fn is_born(&self, resource: u32) -> bool {
        let key = self.state.keys.get(resource as usize);
        key.is_some_and(|key| key.born)
    }

    /// What two revisions must have in common to go on with the same attempts: rows and elements, not `within`.
    pub(crate) fn frame(plan: &Plan, pattern: &PatternPlan) -> String {
        format!("{}\n{}", plan.input_identity(), pattern.identity)
    }

    /// Rows that wait for the watermark are taken by the new revision, whatever has changed.
    fn waiting_of(&self, old: &Self) -> Waiting {
        if self.plan.order() != Order::Time {
            return Waiting::default();
        }
        let (new, was) = (&self.state, &old.state);
        let places = places(
            (&new.sight, new.filter.as_ref()),
            (&was.sight, was.filter.as_ref()),
        );
        let members = &self.state.members;
        old.state
            .waiting
            .handed_on(&places, |resource| members.has(resource))
    }

    /// Goes on with the attempts of the last revision when it is the same pattern of the same rows; due times are
    /// counted anew. Alarms stay raised in any case.
    fn inherit(&mut self, old: Self) {
        let mut raised = old.state.raised.clone();
        let waiting = self.waiting_of(&old);
        if Self::frame(&self.plan, &self.pattern) != Self::frame(&old.plan, &old.pattern) {
            raised.retain(|resource, _| self.state.members.has(*resource));
            self.state.raised = raised;
            self.state.waiting = waiting;
            return;
        }
        let mut sight = std::mem::take(&mut self.state.sight);
        let table = &self.pattern.table;
        sight.inherit(table, &old.state.sight, &old.pattern.table);
        self.state = old.state;
        self.state.sight = sight;
        self.state.waiting = waiting;
        for kept in &mut self.state.kept {
            *kept = table.translate(&old.pattern.table, kept);
        }
        let (new, old) = (&self.pattern.aliases, &old.pattern.aliases);
        let mut change = |taken: &mut Taken| {
            let number = usize::from(taken.alias);
            let (Some(new), Some(old), Some(row)) =
                (new.get(number), old.get(number), taken.row.as_mut())
            else {
                return;
            };
            let value = |name: &Arc<str>| {
                let place = old.kept.iter().position(|(known, _)| known == name);
                place.and_then(|place| row.values.get(place)).cloned()
            };
            let values = new.kept.iter().map(|(name, _)| value(name));
            let values: SmallVec<[Value; 2]> = values.map(Option::unwrap_or_default).collect();
            row.values = values;
        };
        let machine = &self.pattern.machine;
        for (resource, key) in (0_u32..).zip(&mut self.state.keys) {
            key.each_row(&mut change);
            *crate::watermark::cell(&mut self.state.due, resource, crate::timer::IDLE) =
                key.due(machine);
        }
    }
}
