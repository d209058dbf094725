//! Resources come to groups and leave them, and what formulas ask of all members goes along with the rows of a task.

use std::sync::Arc;

use tidegate_proto::{EventRef, Value};
use tidegate_scripts::{Slot, Template};

use super::groups::{Criterion, Move, Stand};
use super::links::Latest;
use super::{Engine, ONE, Taken, WideScratch, WideUnit};
use crate::pipeline::View;
use crate::pipeline::steps::{Blame, Cause};
use crate::plan::members::GroupPlan;
use crate::plan::wide::{Feed, InputPlan};
use crate::watermark::NEVER;

use super::intake::trigger;

impl WideUnit {
    /// Whether rows of inputs begin a task, because its own resource may never say anything.
    pub(super) fn gathers(&self) -> bool {
        self.wide.eager
    }

    /// A resource as it stands.
    fn stand<'a>(&self, resource: u32, exists: bool, view: &'a dyn View) -> Stand<'a> {
        let id: Arc<str> = Arc::from(view.resource(resource));
        Stand {
            resource,
            above: self.state.groups.kin.above(&id),
            id,
            traits: view.traits(resource),
            exists,
        }
    }

    /// A resource comes, changes or goes: it may be a member of other groups, and its task may ask for others.
    pub(super) fn regroup(&mut self, resource: u32, exists: bool, view: &dyn View) {
        if !self.gathers() {
            return;
        }
        let id: Arc<str> = Arc::from(view.resource(resource));
        let parent = view.traits(resource).parent.as_ref().filter(|_| exists);
        let moved = self.state.groups.kin.set(&id, parent);
        let mut moves = Vec::new();
        let stand = self.stand(resource, exists, view);
        self.state.groups.refit(&stand, &mut moves);
        if moved {
            for below in self.state.groups.kin.below(&id) {
                if let Some(below) = self.state.links.number(&below) {
                    let stand = self.stand(below, true, view);
                    self.state.groups.refit(&stand, &mut moves);
                }
            }
        }
        for moved in moves {
            self.shift(&moved);
        }
        if !self.wide.everything {
            let asks = exists && self.state.members.has(resource);
            self.ask(resource, asks, view);
        }
    }

    /// What a task asks for: found anew from the traits of its resource.
    pub(super) fn ask(&mut self, task: u32, asks: bool, view: &dyn View) {
        let wide = Arc::clone(&self.wide);
        for (input, plan) in wide.inputs.iter().enumerate() {
            let InputPlan::Group(plan) = plan else {
                continue;
            };
            let criterion = asks.then(|| self.criterion(plan, task, view)).flatten();
            let new = criterion.as_ref();
            let new = new.is_some_and(|criterion| self.state.groups.is_new(input, criterion));
            let all: Vec<Stand<'_>> = if new {
                let known = (0..view.resources()).filter(|r| self.state.links.id(*r).is_some());
                known
                    .map(|resource| self.stand(resource, true, view))
                    .collect()
            } else {
                Vec::new()
            };
            if self.state.groups.ask((input, task), criterion, &all) && self.has_begun(task) {
                let given = self.state.tasks.get(&task).map_or(NEVER, |time| time.given);
                self.gather_members(input, (task, given), given);
            }
        }
    }

    fn criterion(&self, plan: &GroupPlan, task: u32, view: &dyn View) -> Option<Criterion> {
        let one = |template: &Template| -> Option<Arc<str>> {
            let values = template.slots().iter().map(|slot| match slot {
                Slot::Trait(path) => {
                    let text = view.traits(task).path(path);
                    text.map_or(Value::Missing, Value::Text)
                }
                _ => Value::text(view.resource(task)),
            });
            let values: Vec<Value> = values.collect();
            let known = !values.iter().any(Value::is_missing);
            known.then(|| Arc::from(template.render(&values)))
        };
        let some = |template: &Option<Template>| match template {
            Some(template) => one(template).map(Some),
            None => Some(None),
        };
        let label = |(name, text): &(Arc<str>, Template)| Some((Arc::clone(name), one(text)?));
        let mut labels = plan.labels.iter().map(label).collect::<Option<Vec<_>>>()?;
        labels.sort();
        Some(Criterion {
            parent: some(&plan.parent)?,
            under: some(&plan.under)?,
            kind: some(&plan.kind)?,
            labels,
            ids: plan.ids.iter().map(one).collect::<Option<_>>()?,
        })
    }

    /// A resource becomes a member for a task, or is none any more.
    fn shift(&mut self, moved: &Move) {
        let place = (moved.input, moved.task);
        if !moved.joins {
            self.state.groups.part(place, &moved.id);
            return;
        }
        if self.has_begun(moved.task) {
            let time = self.state.tasks.get(&moved.task);
            let given = time.map_or(NEVER, |time| time.given);
            let by_traits = self.state.groups.of(moved.input, moved.task).1;
            let member = (Arc::clone(&moved.id), moved.resource);
            self.gather_member(moved.input, (moved.task, given), member, (by_traits, given));
        }
    }

    /// Whether a task has begun.
    pub(super) fn has_begun(&self, task: u32) -> bool {
        let seen = self.state.seen.get(task as usize);
        let gathered = self.gathers() && self.state.tasks.contains_key(&task);
        seen.is_some_and(Option::is_some) || gathered
    }

    /// A task begins, or asks for another group: it takes what the members said last.
    pub(super) fn gather_members(&mut self, input: usize, task: (u32, i64), since: i64) {
        let (members, by_traits) = self.state.groups.of(input, task.0);
        for member in members {
            self.gather_member(input, task, member, (by_traits, since));
        }
    }

    fn gather_member(
        &mut self,
        input: usize,
        (task, water): (u32, i64),
        (id, resource): (Arc<str>, u32),
        (by_traits, since): (bool, i64),
    ) {
        let known = self.state.links.recent_of(input, resource).to_vec();
        if by_traits {
            self.state.groups.count((input, task), &id, since);
        }
        let wide = Arc::clone(&self.wide);
        let place = wide
            .columns
            .iter()
            .position(|c| c.feed == Feed::Input(input));
        for known in known {
            if !wide.ordered || known.time < water {
                self.state.groups.note((input, task), &id, known);
                continue;
            }
            let mut values = vec![Value::Missing; self.state.reads.len()];
            if let Some(value) = place.and_then(|place| values.get_mut(place)) {
                *value = known.value;
            }
            let row = Taken {
                resource,
                time: known.time,
                event: known.event,
                values,
                own: false,
                sides: 0,
                all: Vec::new(),
            };
            self.hold_as(task, row, id.clone());
        }
    }

    /// Values of members that a row brings to a task.
    pub(super) fn note_members(&mut self, task: u32, row: &Taken) {
        let wide = Arc::clone(&self.wide);
        for (column, value) in wide.columns.iter().zip(&row.values) {
            let Feed::Input(input) = column.feed else {
                continue;
            };
            if value.is_missing() || !self.state.groups.feeds(input, row.resource, task) {
                continue;
            }
            if let Some(id) = self.state.links.id(row.resource).cloned() {
                let noted = Latest {
                    time: row.time,
                    value: value.clone(),
                    event: row.event.clone(),
                };
                self.state.groups.note((input, task), &id, noted);
            }
        }
    }

    /// What formulas ask of all members, as of a time, by column.
    pub(super) fn ask_members(
        &mut self,
        task: u32,
        (at, record): (i64, u32),
        view: &dyn View,
        scratch: &mut WideScratch,
    ) -> Vec<(usize, Value)> {
        let wide = Arc::clone(&self.wide);
        let mut faults = Vec::new();
        let mut answers = Vec::with_capacity(wide.calls.len());
        for (column, plan) in wide.columns.iter().enumerate() {
            let Feed::Call(number) = plan.feed else {
                continue;
            };
            let Some(call) = wide.calls.get(number) else {
                continue;
            };
            let groups = &self.state.groups;
            let value = groups.value((&wide, call), task, at, &mut faults);
            let time = self.state.tasks.entry(task).or_default();
            let told = value.is_missing() && time.told.remove(&column);
            if !value.is_missing() {
                time.told.insert(column);
                answers.push((column, value));
            } else if told {
                // A row cannot say that there is no value any more.
                self.drain(view, scratch);
                if let (Engine::Inner(inner), Some(metric)) =
                    (&mut self.engine, self.state.metrics.get(column))
                {
                    inner.replace(task, *metric, None, at);
                }
            }
        }
        scratch
            .blames
            .extend(faults.into_iter().map(|message| Blame {
                resource: task,
                time: at,
                cause: Cause::None,
                trigger: trigger(record),
                message,
            }));
        let time = self.state.tasks.entry(task).or_default();
        time.looked = time.looked.max(at);
        answers
    }

    /// Time alone changes what is said of the members: the task is judged then.
    pub(super) fn members_change(
        &mut self,
        (task, at): (u32, i64),
        record: u32,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) {
        let time = self.state.tasks.entry(task).or_default();
        let (looked, last) = (time.looked, time.event.clone());
        time.given = time.given.max(at);
        let water = time.given;
        let (_, behind) = self.state.groups.next_change(&self.wide, task, looked);
        let event: EventRef = behind.cloned().unwrap_or(last);
        let answers = self.ask_members(task, (at, record), view, scratch);
        let task = if self.wide.everything { ONE } else { task };
        let values = answers.into_iter();
        scratch
            .delivery
            .row((task, at), (water, record), &event, values);
    }
}
