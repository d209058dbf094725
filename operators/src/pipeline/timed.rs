//! [`Timed`]: what patterns and graphs have in common. Their tasks may begin by waiting, have deadlines that pass in silence, and
//! end what they have raised when the rule or the resource goes.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_proto::{Outcome, OutcomeKind, Trigger, Value};

use super::apply::Change;
use super::group::{Begun, Push, Watch};
use super::members::{Members, matches};
use super::picker::Picker;
use super::suspect::{Part, Working, break_if};
use super::unit::{Tale, line};
use super::{Limits, Pipeline, PipelineSettings, Seat, Times, View};
use crate::plan::Plan;
use crate::timer::{IDLE, Timers};
use crate::watermark::{Clocks, Line, NEVER};

/// A running rule whose tasks have deadlines of their own.
pub(crate) trait Timed: Sized + 'static {
    /// Vectors used again by every call.
    type Scratch: 'static;

    /// All rules of this kind, and what they run with.
    fn ranks(pipeline: &mut Pipeline) -> Ranks<'_, Self>;
    /// Where the rule of a number sits.
    fn seat(number: usize) -> Seat;
    /// Its number, if a rule of this kind sits there.
    fn number(seat: Seat) -> Option<usize>;
    /// It as a part of the pipeline.
    fn part(number: usize) -> Part;

    fn plan(&self) -> &Arc<Plan>;
    /// Number of its watermark line.
    fn line(&self) -> usize;
    fn members(&self) -> &Members;
    fn tasks(&mut self) -> Tasks<'_>;
    /// Resources with an active alarm.
    fn raised(&self) -> Vec<u32>;
    /// Takes an alarm back; whether there was one.
    fn lower(&mut self, resource: u32) -> bool;
    /// The rule's texts where there is no row.
    fn blank_texts(&self) -> Vec<Arc<str>>;
    /// The next event time at which something of a resource is due.
    fn deadline(&self, resource: u32) -> i64;

    /// Whether tasks begin without a row, because they wait for something not to come.
    fn begins_waiting(&self) -> bool;
    fn is_born(&self, resource: u32) -> bool;
    /// The task of a resource begins.
    fn give_birth(&mut self, resource: u32, time: i64);
    /// Goes on with what the last revision knew.
    fn inherit(&mut self, old: Self);
    /// Of the first `resources`, those for which a revision has made something due by their watermarks.
    fn overdue(
        &mut self,
        resources: u32,
        mark: &mut dyn FnMut(u32) -> i64,
        view: &dyn View,
    ) -> Vec<u32>;
    /// Lets a resource go.
    fn forget(&mut self, resource: u32);

    /// Takes the rows of a push.
    fn push(
        &mut self,
        push: &Push<'_>,
        watch: Watch<'_>,
        scratch: &mut Self::Scratch,
        out: &mut Vec<Outcome>,
    );
    /// Lets time pass for resources whose watermark has moved without a row.
    fn wake(
        &mut self,
        whom: Whom<'_>,
        view: &dyn View,
        watch: Watch<'_>,
        scratch: &mut Self::Scratch,
        out: &mut Vec<Outcome>,
    );

    /// Sets the timers of resources.
    fn rearm(&mut self, watch: Watch<'_>, resources: &[u32]) {
        for resource in resources {
            let deadline = self.deadline(*resource);
            if deadline != IDLE {
                let clock = watch.line.due(watch.clocks, *resource, deadline);
                self.tasks().timers.arm(*resource, clock);
            }
        }
    }

    /// `cleared` for a reason other than what came.
    fn tell_end(
        &mut self,
        (resource, time): (u32, i64),
        reason: &str,
        trigger: Trigger,
        out: &mut Vec<Outcome>,
    ) {
        if !self.lower(resource) {
            return;
        }
        let tale = Tale {
            kind: OutcomeKind::Cleared,
            resource,
            time,
            cause: None,
            trigger,
        };
        let values = vec![(Arc::from("reason"), Value::text(reason))];
        let mut outcome = line(&self.plan().name, &tale, values);
        outcome.texts = self.blank_texts();
        out.push(outcome);
    }
}

/// What a rule knows of its tasks' time.
pub(crate) struct Tasks<'u> {
    pub(crate) members: &'u mut Members,
    pub(crate) timers: &'u mut Timers,
    /// Members whose task could not begin yet: no time is known.
    pub(crate) unborn: &'u mut BTreeSet<u32>,
}

/// Whose time has passed, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whom<'a> {
    pub(crate) resources: &'a [u32],
    pub(crate) limits: Limits,
    pub(crate) trigger: Trigger,
    /// A revision made something due, which happens at the watermark.
    pub(crate) settles: bool,
}

/// All rules of a kind, and what of the pipeline they run with.
pub(crate) struct Ranks<'p, U: Timed> {
    pub(crate) units: &'p mut Vec<Option<U>>,
    pub(crate) picker: &'p mut Picker,
    pub(crate) scratch: &'p mut U::Scratch,
    pub(crate) working: &'p mut Working,
    pub(crate) lines: &'p mut [(Line, Begun)],
    pub(crate) clocks: &'p Clocks,
    pub(crate) settings: &'p PipelineSettings,
}

/// The resources of one watermark line whose timers are due by the clock, in order and with their watermarks moved; nothing if
/// there are none.
pub(crate) fn pop_due<'l>(
    timers: &mut Timers,
    (lines, number): (&'l mut [(Line, Begun)], usize),
    (clocks, clock): (&'l Clocks, i64),
    due: &mut Vec<u32>,
) -> Option<Watch<'l>> {
    due.clear();
    while let Some(resource) = timers.pop(clock) {
        due.push(resource);
    }
    let (line, _) = lines.get_mut(number)?;
    due.sort_unstable();
    for resource in &*due {
        line.advance(clocks, *resource, clock);
    }
    (!due.is_empty()).then_some(Watch { clocks, line })
}

/// What a watermark line says.
fn watch<'l>(lines: &'l [(Line, Begun)], number: usize, clocks: &'l Clocks) -> Option<Watch<'l>> {
    let (line, _) = lines.get(number)?;
    Some(Watch { clocks, line })
}

/// Takes the rows of a push through all rules of a kind; notes which one is at work.
pub(crate) fn push_all<U: Timed>(
    (units, picker, scratch): (&mut [Option<U>], &Picker, &mut U::Scratch),
    working: &mut Working,
    (times, hit): (&Times<'_>, bool),
    push: &Push<'_>,
    out: &mut Vec<Outcome>,
) {
    for (index, unit) in units.iter_mut().enumerate() {
        let Some(unit) = unit else {
            continue;
        };
        *working = Working::Judging(U::part(index));
        break_if(hit, std::iter::once(&unit.plan().name));
        let all = unit.members().is_all();
        if let Some((push, watch)) = times.of(push, unit.line(), picker.rows(index), all) {
            unit.push(&push, watch, scratch, out);
        }
    }
}

/// Sets the timers of resources in all rules of a kind.
pub(crate) fn rearm_all<U: Timed>(
    units: &mut [Option<U>],
    (lines, clocks): (&[(Line, Begun)], &Clocks),
    resources: &[u32],
) {
    for unit in units.iter_mut().flatten() {
        if let Some(watch) = watch(lines, unit.line(), clocks) {
            unit.rearm(watch, resources);
        }
    }
}

impl Pipeline {
    /// Seats a rule, in the place of its last revision if there is one.
    pub(crate) fn seat_timed<U: Timed>(&mut self, mut unit: U, change: &mut Change<'_>) {
        let name = Arc::clone(&unit.plan().name);
        let old = self.rules.get(&name).and_then(|seat| U::number(*seat));
        let was = old.and_then(|old| U::ranks(self).units.get_mut(old)?.take());
        if let (Some(old), Some(mut was)) = (old, was) {
            U::ranks(self).picker.set_all(old, was.members(), false);
            let strangers = was.raised().into_iter();
            for resource in strangers.filter(|resource| !unit.members().has(*resource)) {
                let time = self.mark(was.line(), resource);
                let whom = (resource, time);
                was.tell_end(whom, "no longer matches", change.trigger, change.out);
            }
            unit.inherit(was);
        }
        let units = U::ranks(self).units;
        let free = old.or_else(|| units.iter().position(Option::is_none));
        let index = free.unwrap_or_else(|| {
            units.push(None);
            units.len() - 1
        });
        for resource in 0..change.view.resources() {
            if unit.members().has(resource) {
                self.bear(&mut unit, resource);
            }
        }
        if old.is_some() {
            self.settle(&mut unit, change);
        }
        let ranks = U::ranks(self);
        ranks.picker.set_all(index, unit.members(), true);
        if let Some(place) = ranks.units.get_mut(index) {
            *place = Some(unit);
        }
        self.rules.insert(name, U::seat(index));
    }

    /// What a revision has made past due happens at once, at the watermark of each task.
    fn settle<U: Timed>(&mut self, unit: &mut U, change: &mut Change<'_>) {
        let line = unit.line();
        let mut mark = |resource| self.mark(line, resource);
        let due = unit.overdue(change.view.resources(), &mut mark, change.view);
        let ranks = U::ranks(self);
        if let Some(watch) = watch(ranks.lines, line, ranks.clocks) {
            let whom = Whom {
                resources: &due,
                limits: ranks.settings.limits,
                trigger: change.trigger,
                settles: true,
            };
            unit.wake(whom, change.view, watch, ranks.scratch, change.out);
        }
    }

    /// The task of a resource begins now, if the rule waits from the beginning: at its watermark, or at the clock.
    fn bear<U: Timed>(&mut self, unit: &mut U, resource: u32) {
        if unit.begins_waiting() && !unit.is_born(resource) {
            // Without a row there is no time but the clock's.
            let time = match self.clocks.latest(resource) {
                NEVER => self.clock,
                _ => self.mark(unit.line(), resource),
            };
            if time == NEVER {
                unit.tasks().unborn.insert(resource);
            } else {
                unit.give_birth(resource, time);
            }
        }
        if let Some(watch) = watch(&self.lines, unit.line(), &self.clocks) {
            unit.rearm(watch, &[resource]);
        }
    }

    /// The first clock: waits that no time was known for begin.
    fn bear_unborn<U: Timed>(&mut self) {
        for index in 0..U::ranks(self).units.len() {
            let taken = U::ranks(self).units.get_mut(index).and_then(Option::take);
            let Some(mut unit) = taken else {
                continue;
            };
            for resource in std::mem::take(unit.tasks().unborn) {
                self.bear(&mut unit, resource);
            }
            if let Some(place) = U::ranks(self).units.get_mut(index) {
                *place = Some(unit);
            }
        }
    }

    /// The clock has moved: silent resources pass their deadlines.
    pub(crate) fn advance_timed<U: Timed>(
        &mut self,
        (clock, first): (i64, bool),
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        if first {
            self.bear_unborn::<U>();
        }
        let mut due = Vec::new();
        let ranks = U::ranks(self);
        for (index, unit) in ranks.units.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            *ranks.working = Working::Judging(U::part(index));
            let line = (&mut *ranks.lines, unit.line());
            let now = (ranks.clocks, clock);
            let Some(watch) = pop_due(unit.tasks().timers, line, now, &mut due) else {
                continue;
            };
            let name = std::iter::once(&unit.plan().name);
            break_if(ranks.settings.breaks.brittle_clock, name);
            let whom = Whom::by_clock(&due, ranks.settings.limits);
            unit.wake(whom, view, watch, ranks.scratch, out);
        }
    }

    /// Every watermark has moved to a time.
    pub(crate) fn timed_until<U: Timed>(
        &mut self,
        (all, time): (&[u32], i64),
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        let ranks = U::ranks(self);
        for (index, unit) in ranks.units.iter_mut().enumerate() {
            let Some(unit) = unit else {
                continue;
            };
            *ranks.working = Working::Judging(U::part(index));
            let Some(watch) = watch(ranks.lines, unit.line(), ranks.clocks) else {
                continue;
            };
            let resources = all.iter().copied();
            let due: Vec<u32> = resources.filter(|r| unit.deadline(*r) <= time).collect();
            let whom = Whom::by_clock(&due, ranks.settings.limits);
            unit.wake(whom, view, watch, ranks.scratch, out);
        }
    }

    pub(crate) fn remove_timed<U: Timed>(
        &mut self,
        index: usize,
        reason: &str,
        change: &mut Change<'_>,
    ) {
        let Some(mut unit) = self.expel_timed::<U>(index) else {
            return;
        };
        for resource in unit.raised() {
            let time = self.mark(unit.line(), resource);
            unit.tell_end((resource, time), reason, change.trigger, change.out);
        }
    }

    /// Drops a rule without a word about what it raised.
    pub(crate) fn expel_timed<U: Timed>(&mut self, index: usize) -> Option<U> {
        let ranks = U::ranks(self);
        let unit = ranks.units.get_mut(index)?.take()?;
        ranks.picker.set_all(index, unit.members(), false);
        Some(unit)
    }

    /// A resource was described anew, or (`exists` false) forgotten.
    pub(crate) fn match_timed<U: Timed>(
        &mut self,
        index: usize,
        (resource, exists): (u32, bool),
        change: &mut Change<'_>,
    ) {
        self.working = Working::Matching(U::part(index));
        let taken = U::ranks(self).units.get_mut(index).and_then(Option::take);
        let Some(mut unit) = taken else {
            return;
        };
        let view = change.view;
        let (id, traits) = (view.resource(resource), view.traits(resource));
        let fits = exists && matches(&unit.plan().rule().selector, id, traits);
        let before = unit.tasks().members.set(resource, fits);
        if before != fits {
            U::ranks(self).picker.set(index, resource, fits);
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
            self.bear(&mut unit, resource);
        }
        if let Some(place) = U::ranks(self).units.get_mut(index) {
            *place = Some(unit);
        }
    }
}

impl<'a> Whom<'a> {
    const fn by_clock(resources: &'a [u32], limits: Limits) -> Self {
        Self {
            resources,
            limits,
            trigger: Trigger::Clock,
            settles: false,
        }
    }
}
