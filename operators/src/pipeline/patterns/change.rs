//! Pattern rules come, change and go: what they do as [`Timed`] rules.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_proto::{Names, Order, Outcome, Value};

use super::{PatternScratch, PatternUnit};
use crate::order::Waiting;
use crate::pattern::{Key, Taken};
use crate::pipeline::apply::Change;
use crate::pipeline::group::{Push, Watch};
use crate::pipeline::heirs::places;
use crate::pipeline::members::Members;
use crate::pipeline::sight::Sight;
use crate::pipeline::suspect::Part;
use crate::pipeline::timed::{Ranks, Tasks, Timed, Whom};
use crate::pipeline::{Pipeline, Seat, View};
use crate::plan::Plan;
use crate::plan::pattern::PatternPlan;
use crate::plan::texts::Rendered;
use crate::timer::IDLE;
use crate::watermark::{NEVER, at};

impl Pipeline {
    pub(crate) fn apply_pattern(
        &mut self,
        plan: &Arc<Plan>,
        pattern: &Arc<PatternPlan>,
        metrics: &mut Names,
        change: &mut Change<'_>,
    ) {
        let old = match self.rules.get(&plan.name) {
            Some(Seat::Pattern(index)) => self.patterns.get(*index),
            _ => None,
        };
        let old = old.and_then(|old| old.as_ref()).map(PatternUnit::line);
        let line = self.line_again(pattern.timing, old);
        let unit = PatternUnit::new(plan, pattern, line, change.view, metrics);
        self.seat_timed(unit, change);
    }
}

impl Timed for PatternUnit {
    type Scratch = PatternScratch;

    fn ranks(pipeline: &mut Pipeline) -> Ranks<'_, Self> {
        Ranks {
            units: &mut pipeline.patterns,
            picker: &mut pipeline.pattern_picker,
            scratch: &mut pipeline.pattern_scratch,
            working: &mut pipeline.working,
            lines: &mut pipeline.lines,
            clocks: &pipeline.clocks,
            settings: &pipeline.settings,
        }
    }

    fn seat(number: usize) -> Seat {
        Seat::Pattern(number)
    }

    fn number(seat: Seat) -> Option<usize> {
        match seat {
            Seat::Pattern(number) => Some(number),
            _ => None,
        }
    }

    fn part(number: usize) -> Part {
        Part::Pattern(number)
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
        Rendered::blank(&self.pattern.texts)
    }

    fn deadline(&self, resource: u32) -> i64 {
        at(&self.state.due, resource, IDLE).min(self.state.waiting.first(resource))
    }

    fn begins_waiting(&self) -> bool {
        self.pattern.machine.born_waiting
    }

    fn is_born(&self, resource: u32) -> bool {
        let key = self.state.keys.get(resource as usize);
        key.is_some_and(|key| key.born)
    }

    fn give_birth(&mut self, resource: u32, time: i64) {
        self.begin_task(resource, time);
    }

    /// Goes on with the attempts of the last revision when it is the same pattern of the same rows; due times are
    /// counted anew. Alarms stay raised in any case.
    fn inherit(&mut self, old: Self) {
        let waiting = self.waiting_of(&old);
        if Self::frame(&self.plan, &self.pattern) != Self::frame(&old.plan, &old.pattern) {
            self.state.raised = old.state.raised;
            let members = &self.state.members;
            self.state
                .raised
                .retain(|resource, _| members.has(*resource));
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

    fn overdue(
        &mut self,
        resources: u32,
        mark: &mut dyn FnMut(u32) -> i64,
        view: &dyn View,
    ) -> Vec<u32> {
        for resource in self.state.waiting.resources() {
            let mark = mark(resource);
            self.seed(resource, Sight::limit(true, mark), view);
        }
        let mut due = Vec::new();
        for resource in 0..resources {
            let mark = mark(resource);
            if mark != NEVER && self.deadline(resource) <= mark {
                due.push(resource);
            }
        }
        due
    }

    fn forget(&mut self, resource: u32) {
        self.state.sight.forget(resource);
        if let Some(filter) = &mut self.state.filter {
            filter.forget(resource);
        }
        self.state.waiting.forget(resource);
        self.state.unborn.remove(&resource);
        if let Some(key) = self.state.keys.get_mut(resource as usize) {
            *key = Key::default();
        }
        if let Some(due) = self.state.due.get_mut(resource as usize) {
            *due = IDLE;
        }
    }

    fn push(
        &mut self,
        push: &Push<'_>,
        watch: Watch<'_>,
        scratch: &mut PatternScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.open(scratch);
        self.gather(push, scratch);
        self.run((Some(push.batch), push.view), push.limits, scratch, out);
        self.rearm(watch, &scratch.touched);
    }

    fn wake(
        &mut self,
        whom: Whom<'_>,
        view: &dyn View,
        watch: Watch<'_>,
        scratch: &mut PatternScratch,
        out: &mut Vec<Outcome>,
    ) {
        self.open(scratch);
        for resource in whom.resources {
            let water = watch.line.mark(*resource);
            self.pass(*resource, water, (whom.trigger, view), scratch);
            if let Some(step) = scratch.steps.last_mut() {
                step.settles |= whom.settles;
            }
        }
        self.run((None, view), whom.limits, scratch, out);
        self.rearm(watch, whom.resources);
    }
}

impl PatternUnit {
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
}
