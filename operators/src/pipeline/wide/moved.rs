//! Tasks whose input has become another resource while rows wait. A row of the task's own resource is judged with the input that it
//! had when it was read; rows of an input that was left are used no more once one that was read later is taken.

use std::sync::Arc;

use tidegate_proto::Value;
use tidegate_scripts::{Slot, Template};

use super::links::Latest;
use super::{Engine, Place, Taken, TaskTime, WideScratch, WideUnit};
use crate::pipeline::View;
use crate::plan::wide::{Feed, InputPlan};

/// The id of an input's resource, over the traits of the task's own; `None` without one of them.
pub(super) fn source(input: &Template, task: u32, view: &dyn View) -> Option<String> {
    let slots = input.slots().iter();
    let values: Vec<Value> = slots
        .map(|slot| match slot {
            Slot::Trait(path) => {
                let text = view.traits(task).path(path);
                text.map_or(Value::Missing, Value::Text)
            }
            _ => Value::text(view.resource(task)),
        })
        .collect();
    let known = !values.iter().any(Value::is_missing);
    known.then(|| input.render(&values))
}

/// Whether the row of a value is among those that wait.
fn holds(task: &TaskTime, known: &Latest) -> bool {
    let first: Place = (known.time, (false, Arc::from("")), 0);
    let rows = task.held.range(first..);
    let mut rows = rows.take_while(|(place, _)| place.0 == known.time);
    rows.any(|(_, row)| row.event == known.event)
}

impl WideUnit {
    /// An input of a task that has begun is another resource from here on; `old` is the one before.
    pub(super) fn leave_source(&mut self, input: usize, task: u32, old: Option<Arc<str>>) {
        if let Some(time) = self.state.tasks.get_mut(&task) {
            time.sources.entry(input).or_insert((0, old));
        }
    }

    /// Before a row is given to a task whose inputs have changed: it is judged with those of when it was read. Whether the row is
    /// one of them, or of the task's own.
    pub(super) fn turn_to(
        &mut self,
        (task, place): (u32, u64),
        row: &mut Taken,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) -> bool {
        let known = self.state.tasks.get(&task);
        if self.wide.everything || known.is_none_or(|time| time.sources.is_empty()) {
            return true;
        }
        let wide = Arc::clone(&self.wide);
        for (input, plan) in wide.inputs.iter().enumerate() {
            let InputPlan::Resource(template) = plan else {
                continue;
            };
            let time = self.state.tasks.get(&task);
            let Some((since, now)) = time.and_then(|time| time.sources.get(&input)).cloned() else {
                continue;
            };
            if row.own {
                let wanted = source(template, task, view);
                if wanted.as_deref() != now.as_deref() {
                    let wanted = wanted.map(Arc::from);
                    self.turn(
                        (input, task, place.max(since)),
                        wanted,
                        row.time,
                        view,
                        scratch,
                    );
                } else if let Some(time) = self.state.tasks.get_mut(&task) {
                    time.sources.insert(input, (place.max(since), now));
                }
            }
            let mut columns = wide.columns.iter().zip(&row.values);
            let says = columns
                .any(|(column, value)| column.feed == Feed::Input(input) && !value.is_missing());
            let of: Option<Arc<str>> = self.state.links.id(row.resource).cloned();
            let time = self.state.tasks.get_mut(&task);
            let Some(current) = time.and_then(|time| time.sources.get_mut(&input)) else {
                continue;
            };
            if !says || current.1 == of {
                continue;
            }
            if place > since && !row.own {
                // What it says itself is its value; there is nothing to look up.
                *current = (place, of);
                continue;
            }
            for (column, value) in wide.columns.iter().zip(&mut row.values) {
                if column.feed == Feed::Input(input) {
                    *value = Value::Missing;
                }
            }
        }
        row.own || row.values.iter().any(|value| !value.is_missing())
    }

    /// From a time on an input of a task is another resource, beginning with what that one said last by then.
    fn turn(
        &mut self,
        (input, task, place): (usize, u32, u64),
        source: Option<Arc<str>>,
        time: i64,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) {
        let known = self.state.tasks.entry(task).or_default();
        let at = known.given.max(time);
        known.sources.insert(input, (place, source.clone()));
        let number = source.as_ref().and_then(|id| self.state.links.number(id));
        let values = number.map(|number| self.state.links.recent_of(input, number).to_vec());
        let values = values.unwrap_or_default();
        let then = values.iter().rev().find(|known| known.time <= at);
        let then = then.map(|known| (known.time, known.value.clone()));
        self.drain(view, scratch);
        let wide = Arc::clone(&self.wide);
        for (column, metric) in wide.columns.iter().zip(&self.state.metrics) {
            if let (Feed::Input(of), Engine::Inner(inner)) = (column.feed, &mut self.engine)
                && of == input
            {
                inner.replace(task, *metric, then.as_ref(), at);
            }
        }
        let (Some(number), Some(id)) = (number, source) else {
            return;
        };
        for known in values.into_iter().filter(|known| known.time > at) {
            let held = self.state.tasks.get(&task);
            if held.is_some_and(|time| holds(time, &known)) {
                continue;
            }
            let mut values = vec![Value::Missing; self.state.reads.len()];
            for (column, value) in wide.columns.iter().zip(&mut values) {
                if column.feed == Feed::Input(input) {
                    value.clone_from(&known.value);
                }
            }
            let row = Taken {
                resource: number,
                time: known.time,
                event: known.event,
                values,
                own: false,
                sides: 0,
                all: Vec::new(),
            };
            // As read with the row that turned to it: used no more once one that was read later turns away.
            self.hold_at(task, row, (Arc::clone(&id), place));
        }
    }
}
