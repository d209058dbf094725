//! Rules come, change and go: what is equal keeps its state, what is raised stays raised, what leaves is cleared.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_proto::{Names, Order, Outcome, OutcomeKind, Trigger, Value};

use super::group::{Begun, Group, identity};
use super::unit::{Tale, Unit, UnitState};
use super::{Pipeline, Seat, View};
use crate::plan::Plan;
use crate::plan::condition::ConditionPlan;
use crate::watermark::{Line, NEVER, OwnTiming, at};

/// Everything outside that a change of rules needs.
pub(crate) struct Change<'a> {
    pub(crate) view: &'a dyn View,
    pub(crate) trigger: Trigger,
    pub(crate) out: &'a mut Vec<Outcome>,
}

/// What a rule takes along from one group to another.
pub(crate) struct Baggage {
    pub(crate) state: UnitState,
    pub(crate) raised: BTreeSet<u32>,
    pub(crate) condition: Arc<ConditionPlan>,
}

impl Pipeline {
    pub(crate) fn begun(&self) -> Begun {
        Begun {
            sequence: self.sequence,
            clock: self.clock,
        }
    }

    /// The watermark line of a rule that is revised: its own, as long as its time settings stay; time never goes back.
    pub(crate) fn line_again(&mut self, timing: OwnTiming, old: Option<usize>) -> usize {
        let same = |line: &usize| {
            let line = self.lines.get(*line);
            line.is_some_and(|(line, _)| line.rule == timing)
        };
        match old.filter(same) {
            Some(line) => line,
            None => self.line(timing),
        }
    }

    /// The watermark line for time settings. One that a rule asks for itself is shared only within one moment: its past
    /// would otherwise depend on who asked first.
    pub(crate) fn line(&mut self, timing: OwnTiming) -> usize {
        let begun = self.begun();
        let engine = (self.settings.disorder, self.settings.idle);
        let mut lines = self.lines.iter().enumerate();
        let found = lines.find(|(index, (line, at))| {
            line.rule == timing && (*index < super::STANDING_LINES || *at == begun)
        });
        if let Some((index, _)) = found {
            return index;
        }
        self.lines.push((Line::new(timing, engine), begun));
        self.lines.len() - 1
    }

    pub(crate) fn apply_condition(
        &mut self,
        plan: &Arc<Plan>,
        condition: &Arc<ConditionPlan>,
        metrics: &mut Names,
        change: &mut Change<'_>,
    ) {
        let identity = identity(plan, condition);
        let old = match self.rules.get(&plan.name) {
            Some(Seat::Condition { group, unit }) => Some((*group, *unit)),
            _ => None,
        };
        let stays = old.filter(|(group, _)| {
            let group = self.groups.get(*group).and_then(Option::as_ref);
            group.is_some_and(|group| group.state.identity == identity)
        });
        let baggage = old.and_then(|(group, unit)| self.take_out(group, unit));
        let target = match stays {
            Some((group, _)) => group,
            None => self.find_group(plan, condition, &identity, (metrics, change), old),
        };
        let severity = self.seat(target, plan, condition, baggage, change.view);
        if old.is_some() {
            self.clear_strangers(target, &plan.name, change);
        }
        if let Some((unit, raised)) = severity {
            self.tell_updated(target, unit, &raised, change);
            if old.is_some() {
                self.settle_condition((target, unit), stays.is_none(), change);
            }
        }
        if let Some((group, _)) = old.filter(|(group, _)| *group != target) {
            self.sweep(group);
        }
    }

    /// Clears what a revised rule raised on resources that it no longer looks at.
    fn clear_strangers(&mut self, target: usize, rule: &str, change: &mut Change<'_>) {
        let Some(Seat::Condition { unit, .. }) = self.rules.get(rule).copied() else {
            return;
        };
        let Some(group) = self.groups.get(target).and_then(Option::as_ref) else {
            return;
        };
        let members = &group.state.members;
        let strangers: Vec<u32> = group
            .raised(unit)
            .into_iter()
            .filter(|resource| !members.has(*resource))
            .collect();
        for resource in strangers {
            let who: (&[usize], u32) = (&[unit], resource);
            self.clear_for(target, who, "no longer matches", change);
            if let Some(group) = self.groups.get_mut(target).and_then(Option::as_mut) {
                group.drop_task(unit, resource);
            }
        }
    }

    /// Takes a rule out of its group with all that is its own.
    fn take_out(&mut self, group: usize, unit: usize) -> Option<Baggage> {
        let group = self.groups.get_mut(group)?.as_mut()?;
        let raised = group.raised(unit);
        let taken = group.units.get_mut(unit)?.take()?;
        let place = u32::try_from(unit).unwrap_or(u32::MAX);
        if let Some(table) = taken
            .state
            .table
            .and_then(|t| group.state.tables.get_mut(t))
        {
            table.remove(place);
        }
        group.count_units();
        Some(Baggage {
            state: taken.state,
            raised,
            condition: taken.condition,
        })
    }

    fn find_group(
        &mut self,
        plan: &Arc<Plan>,
        condition: &Arc<ConditionPlan>,
        identity: &str,
        (metrics, change): (&mut Names, &mut Change<'_>),
        place: Option<(usize, usize)>,
    ) -> usize {
        let begun = self.begun();
        let waits = plan.order() == Order::Time;
        let heir = place.is_some() && (waits || condition.table.streams().next().is_some());
        let mut groups = self.groups.iter();
        let found = groups.position(|group| {
            !heir
                && group
                    .as_ref()
                    .is_some_and(|group| group.takes(identity, begun))
        });
        if let Some(found) = found {
            return found;
        }
        let old = place.and_then(|(group, _)| self.groups.get(group)?.as_ref());
        let was = old.map(|old| old.state.line);
        let line = self.line_again(condition.timing, was);
        let mut group = Group::new(plan, condition, (begun, line), change.view, metrics);
        if let Some(old) = place.and_then(|(group, _)| self.groups.get(group)?.as_ref()) {
            group.inherit(old, plan);
        }
        self.meet_waiting(&mut group, change.view);
        self.give_birth(&mut group, change.view);
        let free = self.groups.iter().position(Option::is_none);
        let index = free.unwrap_or_else(|| {
            self.groups.push(None);
            self.groups.len() - 1
        });
        if let Some(place) = self.groups.get_mut(index) {
            self.group_picker.set_all(index, &group.state.members, true);
            *place = Some(group);
        }
        index
    }

    /// Tasks of resources that are known already begin now: at their watermark, or at the clock.
    fn give_birth(&mut self, group: &mut Group, view: &dyn View) {
        if !group.state.sight.wakes() {
            return;
        }
        for resource in 0..view.resources() {
            if group.state.members.has(resource) {
                self.give_birth_to(group, resource);
            }
        }
    }

    /// The first clock: tasks that no time was known for begin.
    pub(crate) fn bear_groups(&mut self, view: &dyn View) {
        for index in 0..self.groups.len() {
            let Some(mut group) = self.groups.get_mut(index).and_then(Option::take) else {
                continue;
            };
            for resource in 0..view.resources() {
                if group.state.members.has(resource) && group.unborn(resource) {
                    self.give_birth_to(&mut group, resource);
                }
            }
            if let Some(place) = self.groups.get_mut(index) {
                *place = Some(group);
            }
        }
    }

    pub(crate) fn give_birth_to(&mut self, group: &mut Group, resource: u32) {
        let heard = self.clocks.latest(resource) != NEVER;
        let time = match self.mark(group.state.line, resource) {
            NEVER => self.clock,
            mark => mark,
        };
        if time != NEVER && group.state.sight.wakes() {
            // Without a row there is no time but the clock's; a first row may still be as old as the watermark allows.
            group.bear(resource, time, if heard { time } else { self.clock });
            let mut scratch = std::mem::take(&mut self.scratch);
            scratch.touched.clear();
            scratch.touched.push(resource);
            if let Some((line, _)) = self.lines.get(group.state.line) {
                let watch = super::group::Watch {
                    clocks: &self.clocks,
                    line,
                };
                group.rearm(watch, &scratch);
            }
            self.scratch = scratch;
        }
    }

    /// Gives a rule its place in a group. Answers with its number there, and what is raised at another severity now, with
    /// the level that says so.
    fn seat(
        &mut self,
        target: usize,
        plan: &Arc<Plan>,
        condition: &Arc<ConditionPlan>,
        baggage: Option<Baggage>,
        view: &dyn View,
    ) -> Option<(usize, BTreeMap<u32, usize>)> {
        let tables = self.settings.thresholds;
        let lines = &self.lines;
        let group = self.groups.get_mut(target)?.as_mut()?;
        let free = group.units.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            group.units.push(None);
            group.units.len() - 1
        });
        let mut unit = Unit::new(plan, condition);
        let mut raised = BTreeSet::new();
        let mut updated = BTreeMap::new();
        if let Some(baggage) = baggage {
            raised.clone_from(&baggage.raised);
            updated = unit.adopt(baggage, |resource| {
                let line = lines.get(group.state.line);
                line.map_or(NEVER, |(line, _)| line.mark(resource))
            });
            updated.retain(|resource, _| group.state.members.has(*resource));
        }
        if let Some(threshold) = condition.threshold.as_ref().filter(|_| tables) {
            let table = group.table(threshold);
            unit.state.table = Some(table);
            unit.state.tasks = Vec::new();
            let place = u32::try_from(number).unwrap_or(u32::MAX);
            if let Some(table) = group.state.tables.get_mut(table) {
                table.add(place, threshold.constant, raised);
            }
        }
        let waits = condition.rules.waits();
        *group.units.get_mut(number)? = Some(unit);
        group.count_unit(number);
        let seat = Seat::Condition {
            group: target,
            unit: number,
        };
        self.rules.insert(Arc::clone(&plan.name), seat);
        if waits {
            self.rearm_all(target, view.resources());
        }
        Some((number, updated))
    }

    /// Finds every deadline of a group anew and sets its timers.
    pub(crate) fn rearm_all(&mut self, target: usize, resources: u32) {
        let Some(group) = self.groups.get_mut(target).and_then(Option::as_mut) else {
            return;
        };
        let Some((line, _)) = self.lines.get(group.state.line) else {
            return;
        };
        self.scratch.touched.clear();
        for resource in 0..resources.max(self.clocks.len()) {
            group.count_deadline(resource);
            self.scratch.touched.push(resource);
        }
        let watch = super::group::Watch {
            clocks: &self.clocks,
            line,
        };
        group.rearm(watch, &self.scratch);
    }

    /// Lets a group go that has no rules left.
    fn sweep(&mut self, number: usize) {
        if let Some(place) = self.groups.get_mut(number)
            && place
                .as_ref()
                .is_some_and(|g| g.units.iter().all(Option::is_none))
            && let Some(group) = place.take()
        {
            self.group_picker
                .set_all(number, &group.state.members, false);
        }
    }

    fn tell_updated(
        &mut self,
        group: usize,
        unit: usize,
        raised: &BTreeMap<u32, usize>,
        change: &mut Change<'_>,
    ) {
        for (resource, level) in raised {
            let Some((tale, values)) = self.moment(group, *resource, OutcomeKind::Updated, change)
            else {
                return;
            };
            let group = self.groups.get(group).and_then(Option::as_ref);
            if let Some(unit) = group.and_then(|g| g.units.get(unit)?.as_ref()) {
                let value = |place: usize| values.get(place).cloned().unwrap_or_default();
                change.out.push(unit.tell(&tale, Some(*level), &value));
            }
        }
    }

    /// The watermark of a task at this moment, and the values of its group as of it.
    fn moment(
        &mut self,
        group: usize,
        resource: u32,
        kind: OutcomeKind,
        change: &Change<'_>,
    ) -> Option<(Tale, Vec<Value>)> {
        let line = self.groups.get(group)?.as_ref()?.state.line;
        let time = self.mark(line, resource);
        let latest = self.clocks.latest(resource);
        let group = self.groups.get_mut(group)?.as_mut()?;
        // Lookbacks never go back: looking further than the last row would change what its other rules see next.
        let judged = at(&group.state.judged, resource, NEVER);
        let seen = match group.order {
            Order::Arrival => judged.max(latest),
            Order::Time => judged,
        };
        let mut values = vec![Value::Missing; group.condition.table.places.len()];
        let sight = &mut group.state.sight;
        sight.look(
            &group.condition.table,
            resource,
            seen,
            change.view,
            &mut values,
        );
        let tale = Tale {
            kind,
            resource,
            time,
            cause: None,
            trigger: change.trigger,
        };
        Some((tale, values))
    }

    /// Clears what rules of a group raised on a resource, for a reason.
    pub(crate) fn clear_for(
        &mut self,
        group: usize,
        (units, resource): (&[usize], u32),
        reason: &str,
        change: &mut Change<'_>,
    ) {
        if units.is_empty() {
            return;
        }
        let moment = self.moment(group, resource, OutcomeKind::Cleared, change);
        let Some((tale, values)) = moment else {
            return;
        };
        let value = |place: usize| values.get(place).cloned().unwrap_or_default();
        let group = self.groups.get(group).and_then(Option::as_ref);
        for unit in units {
            if let Some(unit) = group.and_then(|group| group.units.get(*unit)?.as_ref()) {
                change.out.push(unit.tell_end(&tale, reason, &value));
            }
        }
    }

    pub(crate) fn remove_condition(
        &mut self,
        (group, unit): (usize, usize),
        reason: &str,
        change: &mut Change<'_>,
    ) {
        let raised = self.groups.get(group).and_then(Option::as_ref);
        let raised = raised.map(|group| group.raised(unit)).unwrap_or_default();
        for resource in raised {
            self.clear_for(group, (&[unit], resource), reason, change);
        }
        self.let_go(group, unit);
    }

    /// Takes a rule out for good; its group goes with the last one.
    pub(crate) fn let_go(&mut self, group: usize, unit: usize) {
        self.take_out(group, unit);
        self.sweep(group);
    }
}
