//! [`Groups`]: inputs that are groups of resources: who is a member for which task, the members' latest values, and what formulas
//! ask of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, Traits, Value};
use tidegate_scripts::Formula;

use super::kin::Kin;
use super::links::Latest;
use crate::aggregate::{Accumulator, AggregateKind, RowOrder, whole};
use crate::plan::members::{GroupCall, MemberFunction};
use crate::plan::wide::{InputPlan, WidePlan};
use crate::timer::IDLE;

/// Most members whose values are looked at; those beyond, by id, are left out.
const MOST_MEMBERS: usize = 10_000;

/// Who is a member, with the traits of the task's resource filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Criterion {
    pub(super) parent: Option<Arc<str>>,
    pub(super) under: Option<Arc<str>>,
    pub(super) kind: Option<Arc<str>>,
    pub(super) labels: Vec<(Arc<str>, Arc<str>)>,
    pub(super) ids: BTreeSet<Arc<str>>,
}

impl Criterion {
    fn anchor(&self) -> Option<&Arc<str>> {
        self.parent.as_ref().or(self.under.as_ref())
    }

    /// Whether anything but the id counts: then a member is one from the moment that it is said to be.
    pub(super) fn by_traits(&self) -> bool {
        self.anchor().is_some() || self.kind.is_some() || !self.labels.is_empty()
    }

    fn fits(&self, id: &Arc<str>, traits: &Traits, above: &[Arc<str>]) -> bool {
        let parent = self.parent.is_none() || self.parent == traits.parent;
        let under = self
            .under
            .as_ref()
            .is_none_or(|under| above.contains(under));
        let kind = self.kind.is_none() || self.kind == traits.kind;
        let label = |(name, value): &(Arc<str>, Arc<str>)| traits.labels.get(name) == Some(value);
        parent
            && under
            && kind
            && self.labels.iter().all(label)
            && (self.ids.is_empty() || self.ids.contains(id))
    }
}

/// Resources that fit, and tasks that ask for them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Set {
    members: BTreeMap<Arc<str>, u32>,
    tasks: BTreeSet<u32>,
}

/// What is known of one member for one task.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Fellow {
    /// Since when it is one, in the task's time.
    since: i64,
    last: Option<Latest>,
}

/// One group input.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Group {
    sets: BTreeMap<Arc<Criterion>, Set>,
    of_task: BTreeMap<u32, Arc<Criterion>>,
    of_member: BTreeMap<u32, BTreeSet<Arc<Criterion>>>,
    /// Criteria by the resource that members stand below, and those without one.
    anchored: BTreeMap<Arc<str>, BTreeSet<Arc<Criterion>>>,
    loose: BTreeSet<Arc<Criterion>>,
    fellows: BTreeMap<u32, BTreeMap<Arc<str>, Fellow>>,
}

/// All group inputs of a rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Groups {
    pub(super) kin: Kin,
    groups: BTreeMap<usize, Group>,
}

/// A resource becomes a member for a task, or is none any more.
#[derive(Clone, Debug)]
pub(super) struct Move {
    pub(super) input: usize,
    pub(super) task: u32,
    pub(super) resource: u32,
    pub(super) id: Arc<str>,
    pub(super) joins: bool,
}

/// A resource as it stands.
pub(super) struct Stand<'a> {
    pub(super) resource: u32,
    pub(super) id: Arc<str>,
    pub(super) traits: &'a Traits,
    pub(super) above: Vec<Arc<str>>,
    pub(super) exists: bool,
}

impl Group {
    fn refit(&mut self, input: usize, stand: &Stand<'_>, moves: &mut Vec<Move>) {
        let mut fits = BTreeSet::new();
        if stand.exists {
            let anchors = stand.above.iter().chain(&stand.traits.parent);
            let anchored = anchors
                .filter_map(|anchor| self.anchored.get(anchor))
                .flatten();
            let all = anchored.chain(&self.loose);
            let fitting = all.filter(|c| c.fits(&stand.id, stand.traits, &stand.above));
            fits.extend(fitting.cloned());
        }
        let before = self.of_member.remove(&stand.resource).unwrap_or_default();
        let changed = before.symmetric_difference(&fits);
        for criterion in changed {
            let joins = fits.contains(criterion);
            let Some(set) = self.sets.get_mut(criterion) else {
                continue;
            };
            if joins {
                set.members.insert(Arc::clone(&stand.id), stand.resource);
            } else {
                set.members.remove(&stand.id);
            }
            moves.extend(set.tasks.iter().map(|task| Move {
                input,
                task: *task,
                resource: stand.resource,
                id: Arc::clone(&stand.id),
                joins,
            }));
        }
        if !fits.is_empty() {
            self.of_member.insert(stand.resource, fits);
        }
    }

    /// A task asks for no members any more.
    fn leave(&mut self, task: u32) {
        self.fellows.remove(&task);
        let Some(old) = self.of_task.remove(&task) else {
            return;
        };
        let Some(set) = self.sets.get_mut(&old) else {
            return;
        };
        set.tasks.remove(&task);
        if !set.tasks.is_empty() {
            return;
        }
        let members: Vec<u32> = set.members.values().copied().collect();
        for member in members {
            if let Some(of) = self.of_member.get_mut(&member) {
                of.remove(&old);
                if of.is_empty() {
                    self.of_member.remove(&member);
                }
            }
        }
        self.sets.remove(&old);
        self.loose.remove(&old);
        if let Some(anchor) = old.anchor()
            && let Some(anchored) = self.anchored.get_mut(anchor)
        {
            anchored.remove(&old);
            if anchored.is_empty() {
                self.anchored.remove(anchor);
            }
        }
    }

    /// Notes a criterion that nobody has asked for before; `all` are those who may fit.
    fn establish(&mut self, criterion: &Arc<Criterion>, all: &[Stand<'_>]) {
        let mut set = Set::default();
        for stand in all {
            if stand.exists && criterion.fits(&stand.id, stand.traits, &stand.above) {
                set.members.insert(Arc::clone(&stand.id), stand.resource);
                let of = self.of_member.entry(stand.resource).or_default();
                of.insert(Arc::clone(criterion));
            }
        }
        self.sets.insert(Arc::clone(criterion), set);
        match criterion.anchor() {
            Some(anchor) => {
                let anchored = self.anchored.entry(Arc::clone(anchor)).or_default();
                anchored.insert(Arc::clone(criterion));
            }
            None => {
                self.loose.insert(Arc::clone(criterion));
            }
        }
    }
}

impl Groups {
    pub(super) fn new(wide: &WidePlan) -> Self {
        let inputs = wide.inputs.iter().enumerate();
        let groups = inputs.filter(|(_, input)| matches!(input, InputPlan::Group(_)));
        Self {
            kin: Kin::default(),
            groups: groups.map(|(index, _)| (index, Group::default())).collect(),
        }
    }

    /// A resource may fit elsewhere than before.
    pub(super) fn refit(&mut self, stand: &Stand<'_>, moves: &mut Vec<Move>) {
        for (input, group) in &mut self.groups {
            group.refit(*input, stand, moves);
        }
    }

    /// Whether nobody asks like this yet.
    pub(super) fn is_new(&self, input: usize, criterion: &Criterion) -> bool {
        let group = self.groups.get(&input);
        group.is_some_and(|group| !group.sets.contains_key(criterion))
    }

    /// What a task asks for from here on; answers whether that is another group than before.
    pub(super) fn ask(
        &mut self,
        (input, task): (usize, u32),
        criterion: Option<Criterion>,
        all: &[Stand<'_>],
    ) -> bool {
        let Some(group) = self.groups.get_mut(&input) else {
            return false;
        };
        if group.of_task.get(&task).map(AsRef::as_ref) == criterion.as_ref() {
            return false;
        }
        group.leave(task);
        if let Some(criterion) = criterion {
            let criterion = Arc::new(criterion);
            if !group.sets.contains_key(&criterion) {
                group.establish(&criterion, all);
            }
            if let Some(set) = group.sets.get_mut(&criterion) {
                set.tasks.insert(task);
            }
            group.of_task.insert(task, criterion);
        }
        true
    }

    /// Adds the tasks for which a resource is a member.
    pub(super) fn tasks(&self, resource: u32, into: &mut Vec<u32>) {
        for group in self.groups.values() {
            let of = group.of_member.get(&resource).into_iter().flatten();
            let sets = of.filter_map(|criterion| group.sets.get(criterion));
            into.extend(sets.flat_map(|set| &set.tasks));
        }
    }

    /// Whether a resource is a member of a task's group.
    pub(super) fn feeds(&self, input: usize, resource: u32, task: u32) -> bool {
        let Some(group) = self.groups.get(&input) else {
            return false;
        };
        let (of, asks) = (group.of_member.get(&resource), group.of_task.get(&task));
        of.zip(asks).is_some_and(|(of, asks)| of.contains(asks))
    }

    /// Members of all groups of a task.
    pub(super) fn members(&self, task: u32) -> impl Iterator<Item = u32> + use<'_> {
        let groups = self.groups.values();
        let sets = groups.filter_map(move |group| group.sets.get(group.of_task.get(&task)?));
        sets.flat_map(|set| set.members.values().copied())
    }

    /// Members of one group of a task, in the order of their ids, and whether they are known by more than their rows.
    pub(super) fn of(&self, input: usize, task: u32) -> (Vec<(Arc<str>, u32)>, bool) {
        let Some(group) = self.groups.get(&input) else {
            return (Vec::new(), false);
        };
        let Some(criterion) = group.of_task.get(&task) else {
            return (Vec::new(), false);
        };
        let set = group.sets.get(criterion);
        let members = set.into_iter().flat_map(|set| &set.members);
        let members = members.map(|(id, resource)| (Arc::clone(id), *resource));
        (members.collect(), criterion.by_traits())
    }

    /// A member counts for a task.
    pub(super) fn count(&mut self, (input, task): (usize, u32), id: &Arc<str>, since: i64) {
        if let Some(group) = self.groups.get_mut(&input) {
            let fellows = group.fellows.entry(task).or_default();
            let fellow = Fellow { since, last: None };
            fellows.entry(Arc::clone(id)).or_insert(fellow);
        }
    }

    /// A member says a value.
    pub(super) fn note(&mut self, place: (usize, u32), id: &Arc<str>, noted: Latest) {
        self.count(place, id, noted.time);
        let group = self.groups.get_mut(&place.0);
        let fellows = group.and_then(|group| group.fellows.get_mut(&place.1));
        if let Some(fellow) = fellows.and_then(|fellows| fellows.get_mut(id))
            && fellow
                .last
                .as_ref()
                .is_none_or(|last| last.time <= noted.time)
        {
            fellow.last = Some(noted);
        }
    }

    /// A member counts no more.
    pub(super) fn part(&mut self, (input, task): (usize, u32), id: &Arc<str>) {
        let group = self.groups.get_mut(&input);
        if let Some(fellows) = group.and_then(|group| group.fellows.get_mut(&task)) {
            fellows.remove(id);
        }
    }

    /// A task is no more.
    pub(super) fn end(&mut self, task: u32) {
        for group in self.groups.values_mut() {
            group.fellows.remove(&task);
        }
    }

    fn fellows(&self, input: usize, task: u32) -> impl Iterator<Item = &Fellow> {
        let group = self.groups.get(&input);
        let fellows = group.and_then(|group| group.fellows.get(&task));
        fellows
            .into_iter()
            .flat_map(BTreeMap::values)
            .take(MOST_MEMBERS)
    }

    /// The next time after `after` at which a call says something else, and the row behind it.
    pub(super) fn next_change(
        &self,
        wide: &WidePlan,
        task: u32,
        after: i64,
    ) -> (i64, Option<&EventRef>) {
        let mut next = (IDLE, None);
        for call in &wide.calls {
            let MemberFunction::Stale(span) = call.function else {
                continue;
            };
            for fellow in self.fellows(call.input, task).filter(|_| call.wakes) {
                let due = fellow.from().saturating_add(span);
                if due > after && due < next.0 {
                    next = (due, fellow.last.as_ref().map(|last| &last.event));
                }
            }
        }
        next
    }

    /// What a call says as of a time.
    pub(super) fn value(
        &self,
        (wide, call): (&WidePlan, &GroupCall),
        task: u32,
        at: i64,
        faults: &mut Vec<String>,
    ) -> Value {
        let fellows = self.fellows(call.input, task);
        let kind = match call.function {
            MemberFunction::Members => return whole(fellows.count() as u64),
            MemberFunction::Stale(span) => {
                let stale = fellows.filter(|f| f.from().saturating_add(span) <= at);
                return whole(stale.count() as u64);
            }
            MemberFunction::Aggregate(kind) => kind,
        };
        let max_age = match wide.inputs.get(call.input) {
            Some(InputPlan::Group(group)) => group.max_age,
            _ => i64::MAX,
        };
        let mut sum = Accumulator::new(kind);
        for (sequence, fellow) in (0..).zip(fellows) {
            let last = fellow.last.as_ref();
            let Some(last) = last.filter(|last| at.saturating_sub(last.time) <= max_age) else {
                continue;
            };
            if let Some(filter) = &call.filter
                && evaluate(filter, &last.value, faults) != Value::Bool(true)
            {
                continue;
            }
            let value = match &call.argument {
                Some(argument) => evaluate(argument, &last.value, faults),
                None => last.value.clone(),
            };
            let value = match value {
                Value::Bool(_) | Value::Missing => value,
                // What is no truth at all is not true.
                _ if kind == AggregateKind::CountIf => Value::Bool(false),
                value => value,
            };
            let order = RowOrder {
                time: last.time,
                sequence,
            };
            sum.add(kind, order, &value);
        }
        sum.result(kind)
    }

    pub(super) fn bytes(&self) -> usize {
        let groups = self.groups.values().map(|group| {
            let members: usize = group.sets.values().map(|set| set.members.len()).sum();
            let fellows: usize = group.fellows.values().map(BTreeMap::len).sum();
            members * 96 + fellows * (size_of::<Fellow>() + 64) + group.of_task.len() * 96
        });
        self.kin.bytes() + groups.sum::<usize>()
    }
}

impl Fellow {
    /// From when its silence counts.
    fn from(&self) -> i64 {
        self.last.as_ref().map_or(self.since, |last| last.time)
    }
}

/// The value of a formula that asks for nothing but a member's value.
fn evaluate(formula: &Formula, value: &Value, faults: &mut Vec<String>) -> Value {
    match formula.evaluate_row(std::slice::from_ref(value)) {
        Ok(value) => value,
        Err(error) => {
            faults.push(error.to_string());
            Value::Missing
        }
    }
}

#[cfg(test)]
mod tests;
