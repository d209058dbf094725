//! What a revised condition goes on with: rows that wait, values and lookbacks that are equal, the levels of each task; and
//! what has become past due by it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proto::Order;

use super::apply::{Baggage, Change};
use super::group::{Group, Watch};
use super::sight::Sight;
use super::unit::Unit;
use super::{Pipeline, View};
use crate::condition::Task;
use crate::plan::Plan;
use crate::timer::IDLE;
use crate::watermark::NEVER;

/// The values of a rule's rows: those that it asks for, then those that its `where` does.
type Asked<'a> = (&'a Sight, Option<&'a Sight>);

/// Where each value that a rule asks of its rows stood in the rows of another.
pub(crate) fn places(new: Asked<'_>, old: Asked<'_>) -> Vec<Option<usize>> {
    let all = |asked: Asked<'_>| -> Vec<u32> {
        let sights = std::iter::once(asked.0).chain(asked.1);
        let cells = sights.flat_map(|sight| &sight.metrics);
        cells.map(|cells| cells.metric).collect()
    };
    let old = all(old);
    let place = |metric: u32| old.iter().position(|other| *other == metric);
    all(new).into_iter().map(place).collect()
}

impl Pipeline {
    /// Rows that wait for a revised rule are of resources that it has met.
    pub(crate) fn meet_waiting(&mut self, group: &mut Group, view: &dyn View) {
        for resource in group.state.waiting.resources() {
            let water = self.mark(group.state.line, resource);
            group.meet(resource, water, view);
        }
    }

    /// What a revision has made past due happens at once, at the watermark of each task; `moved`: the rule has a group
    /// of its own now, whose waiting rows may be due too.
    pub(crate) fn settle_condition(
        &mut self,
        (target, unit): (usize, usize),
        moved: bool,
        change: &mut Change<'_>,
    ) {
        let Some(mut group) = self.groups.get_mut(target).and_then(Option::take) else {
            return;
        };
        let mut waiting = Vec::new();
        let mut touched = Vec::new();
        for resource in 0..change.view.resources().max(self.clocks.len()) {
            let mark = self.mark(group.state.line, resource);
            if mark == NEVER || !group.state.members.has(resource) {
                continue;
            }
            if let Some(unit) = group.units.get_mut(unit).and_then(Option::as_mut)
                && unit.due(resource) <= mark
            {
                unit.settle((resource, mark), change);
                group.count_deadline(resource);
            }
            if moved && group.state.waiting.first(resource) <= mark {
                waiting.push(resource);
            } else if group.deadline(resource) != IDLE {
                touched.push(resource);
            }
        }
        if let Some((line, _)) = self.lines.get(group.state.line) {
            let watch = Watch {
                clocks: &self.clocks,
                line,
            };
            let (whom, scratch) = ((waiting.as_slice(), change.trigger), &mut self.scratch);
            group.wake(whom, change.view, watch, scratch, change.out);
            scratch.touched = touched;
            group.rearm(watch, scratch);
        }
        if let Some(place) = self.groups.get_mut(target) {
            *place = Some(group);
        }
    }
}

impl Group {
    /// Goes on with what is equal in the group that a rule comes from; rows that wait there are taken here.
    pub(crate) fn inherit(&mut self, old: &Self, plan: &Plan) {
        if self.order == Order::Time {
            let old = &old.state;
            let (own, filter) = (&self.state.sight, self.state.filter.as_ref());
            let places = places((own, filter), (&old.sight, old.filter.as_ref()));
            let members = &self.state.members;
            self.state.waiting = old.waiting.handed_on(&places, |r| members.has(r));
        }
        // Nobody may join who was not there when what it goes on with began.
        if self.order == Order::Time || self.state.sight.has_streams() {
            self.state.begun = old.state.begun;
        }
        let input = plan.input_identity();
        if !old.state.identity.starts_with(&input) {
            return;
        }
        let sight = &mut self.state.sight;
        sight.inherit(
            &self.condition.table,
            &old.state.sight,
            &old.condition.table,
        );
        self.state.filter.clone_from(&old.state.filter);
        if old.wakes() || self.order == Order::Time {
            self.state.judged.clone_from(&old.state.judged);
            self.state.causes.clone_from(&old.state.causes);
        }
    }
}

impl Unit {
    /// Goes on with the state of the rule's last revision. Answers with what is raised at another severity now, and the
    /// level that says so.
    pub(crate) fn adopt(
        &mut self,
        mut baggage: Baggage,
        mark: impl Fn(u32) -> i64,
    ) -> BTreeMap<u32, usize> {
        let old = &baggage.condition;
        let condition = Arc::clone(&self.condition);
        let tasks = baggage.state.tasks.iter_mut();
        for kept in tasks.filter_map(|task| task.kept.as_mut()) {
            kept.values = condition.table.translate(&old.table, &kept.values);
        }
        let was_in_table = baggage.state.table.is_some();
        self.state = baggage.state;
        self.state.table = None;
        if was_in_table {
            for resource in &baggage.raised {
                *self.task(*resource) = Task::raised_at(mark(*resource));
            }
        }
        let heirs = condition.heirs(old);
        let mut updated = BTreeMap::new();
        for (resource, task) in (0..).zip(&mut self.state.tasks) {
            let before = task.told();
            task.carry(&old.rules, &condition.rules, &heirs);
            if let (Some(before), Some(now)) = (before, task.told())
                && condition.is_other_severity(now, (old, before))
            {
                task.change_severity(mark(resource));
                updated.insert(resource, now);
            }
        }
        updated
    }

    /// What is past due of a task happens now.
    fn settle(&mut self, (resource, mark): (u32, i64), change: &mut Change<'_>) {
        let condition = Arc::clone(&self.condition);
        let mut told = Vec::new();
        let task = self.task(resource);
        task.settle(&condition.rules, mark, &mut told);
        let kept = task.known(&condition.rules);
        let value = |place: usize| kept.values.get(place).cloned().unwrap_or_default();
        for told in told {
            self.report((resource, change.trigger), told, &value, change.out);
        }
    }
}
