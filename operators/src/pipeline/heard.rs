//! What rules said comes to rules that have it among their inputs: rows of resources whose time they do not move.

use tidegate_proto::{EventBatch, Outcome};

use super::group::Push;
use super::reached::Said;
use super::times::Times;
use super::{Pipeline, View, Working, wide};
use crate::watermark::Tick;

impl Pipeline {
    /// Takes lines of rules as rows, for rules that read several resources alone. An input has them from when they are said.
    pub fn hear(&mut self, batch: &EventBatch, view: &dyn View, out: &mut Vec<Outcome>) {
        self.hear_as(batch, None, view, out);
    }

    pub(super) fn hear_as(
        &mut self,
        batch: &EventBatch,
        said: Said<'_>,
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        let tick = |resource: &u32| {
            let before = self.clocks.pair(*resource);
            Tick {
                resource: *resource,
                now: before.1,
                before,
                latest: before.0,
            }
        };
        self.ticks.clear();
        self.ticks.extend(batch.resource.iter().map(tick));
        self.water.resize_with(self.lines.len(), Vec::new);
        for ((line, _), water) in self.lines.iter().zip(&mut self.water) {
            water.clear();
            water.extend(batch.resource.iter().map(|resource| line.mark(*resource)));
        }
        self.find_columns(batch);
        let push = Push {
            ticks: &self.ticks,
            columns: &self.columns,
            names: &self.names,
            sequence: self.sequence,
            ..Push::of(batch, 0..batch.len(), self.settings.limits, view).heard(said)
        };
        self.sequence += batch.len() as u64;
        let times = Times {
            clocks: &self.clocks,
            lines: &self.lines,
            water: &self.water,
        };
        let units = (self.wides.as_mut_slice(), &mut self.working);
        let (now, scratch) = ((&times, self.clock), &mut self.wide_scratch);
        wide::push_all((units, false), now, &push, scratch, out);
        self.working = Working::Nobody;
    }
}
