//! What metrics were, for results and for rows that come below the watermark.

use tidegate_proto::{Value, WindowForm};

use super::{CLOCK, WindowUnit};
use crate::pipeline::group::Push;
use crate::window::WindowRow;

impl WindowUnit {
    /// What bare inputs were is kept for windows that close.
    pub(in crate::pipeline) fn keep_past(&mut self) {
        for place in &self.window.bare_inputs {
            if let Some(cells) = self.state.sight.metrics.get_mut(*place) {
                cells.keep_past(self.window.horizon);
            }
        }
    }

    /// What keys, filters and conditions read is kept for rows that come below the watermark.
    pub(in crate::pipeline) fn keep_reads(&mut self) {
        let reads = self.state.sight.metrics.iter_mut().zip(&self.window.reads);
        for (cells, _) in reads.filter(|(_, read)| **read) {
            cells.keep_past(self.window.horizon);
        }
    }

    /// Lets go what nobody asks for any more of the resources of a push.
    pub(super) fn prune(&mut self, push: &Push<'_>) {
        if !self.state.sight.keeps_past() {
            return;
        }
        let resources = push.batch.resource.get(push.rows.clone());
        for resource in resources.unwrap_or_default() {
            self.state.sight.prune(*resource);
        }
    }

    /// What bare inputs were before the end of a window, as far as rows were taken when it told of itself.
    pub(in crate::pipeline) fn inputs_of(&self, row: &WindowRow, resource: u32) -> Vec<Value> {
        let last_inside = match self.window.form {
            WindowForm::Sliding { .. } | WindowForm::Count { .. } | WindowForm::Global { .. } => 1,
            WindowForm::State(state) if state.include_end => 1,
            _ => 0,
        };
        let until = if row.trigger == CLOCK {
            u64::MAX
        } else {
            self.first + u64::from(row.trigger) + 1
        };
        let value = |place: &usize| {
            let max_age = self.window.table.places.get(*place)?.max_age;
            let cells = self.state.sight.metrics.get(*place)?;
            let end = row.end.saturating_add(last_inside);
            Some(cells.before(resource, (end, until), max_age))
        };
        let places = self.window.bare_inputs.iter();
        places
            .map(|place| value(place).unwrap_or_default())
            .collect()
    }
}
