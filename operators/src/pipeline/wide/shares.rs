//! What of a row belongs to which task, and what a task that begins takes of its inputs.

use std::sync::Arc;

use tidegate_proto::Value;

use super::links::Latest;
use super::{Engine, Now, Taken, WideUnit};
use crate::pipeline::View;
use crate::plan::wide::{Feed, InputPlan};

impl WideUnit {
    /// A task begins with the first row of its own resource: it takes what its inputs said last.
    pub(super) fn begin(&mut self, task: u32, time: i64, now: Now<'_>, view: &dyn View) {
        let wide = Arc::clone(&self.wide);
        let all = self.state.reads.len();
        let water = self.move_on(task, now);
        for (input, plan) in wide.inputs.iter().enumerate() {
            if matches!(plan, InputPlan::Group(_)) {
                self.gather_members(input, (task, water), time);
            }
        }
        for (place, column) in wide.columns.iter().enumerate() {
            let Feed::Input(input) = column.feed else {
                continue;
            };
            let source = self.state.links.source_of(input, task);
            let Some(source) = source.filter(|source| *source != task) else {
                continue;
            };
            for known in self.state.links.recent(input, task).to_vec() {
                if !wide.ordered || known.time < water {
                    self.replace(task, place, known.time, known.value);
                    continue;
                }
                let mut values = vec![Value::Missing; all];
                if let Some(value) = values.get_mut(place) {
                    *value = known.value;
                }
                let row = Taken {
                    resource: source,
                    time: known.time,
                    event: known.event,
                    values,
                    own: false,
                    sides: 0,
                    all: Vec::new(),
                };
                self.hold(task, row, view);
            }
        }
    }

    /// An input has a value without a row.
    pub(super) fn replace(&mut self, task: u32, column: usize, time: i64, value: Value) {
        if let (Engine::Inner(inner), Some(metric)) =
            (&mut self.engine, self.state.metrics.get(column))
        {
            inner.replace(task, *metric, Some(&(time, value)), time);
        }
    }

    /// Keeps the values of inputs for tasks that come to them later.
    pub(super) fn note(&mut self, row: &Taken, mark: i64) {
        for (column, value) in self.wide.columns.iter().zip(&row.values) {
            if let Feed::Input(input) = column.feed
                && !value.is_missing()
            {
                let links = &mut self.state.links;
                let noted = Latest {
                    time: row.time,
                    value: value.clone(),
                    event: row.event.clone(),
                };
                links.note(input, row.resource, noted, mark);
            }
        }
    }

    /// The part of a row that belongs to a task.
    pub(super) fn share(&self, row: &Taken, task: u32) -> Taken {
        let own = self.wide.everything || row.resource == task;
        let columns = self.wide.columns.len();
        let values = row.values.iter().enumerate().map(|(index, value)| {
            let belongs = if index < columns {
                self.feeds(index, row.resource, task)
            } else {
                own
            };
            if belongs {
                value.clone()
            } else {
                Value::Missing
            }
        });
        Taken {
            resource: row.resource,
            time: row.time,
            event: row.event.clone(),
            values: values.collect(),
            own,
            sides: 0,
            all: Vec::new(),
        }
    }
}
