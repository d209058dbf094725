//! Joins without `emit` tell all that their rows carry, under the names of the streams.

use std::sync::Arc;

use tidegate_proto::{Names, Value};

use super::joined::JoinedState;
use super::{Engine, WideUnit};
use crate::join::{Columns, Pair};
use crate::pipeline::Pipeline;
use crate::pipeline::group::Push;

/// What every line of a rule has beside its columns.
const OF_LINES: [&str; 5] = ["kind", "rule", "raised", "win_start", "win_end"];

impl Pipeline {
    /// Learns what metrics are called, if a rule tells all that its rows carry.
    pub fn know_names(&mut self, metrics: &Names) {
        if !self.wides.iter().flatten().any(WideUnit::tells_all) {
            return;
        }
        for number in self.names.len()..metrics.len() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            let name = metrics.text(number).cloned();
            self.names.push(name.unwrap_or_else(|| Arc::from("")));
        }
    }
}

impl WideUnit {
    pub(super) fn tells_all(&self) -> bool {
        match &self.engine {
            Engine::Join(join) => join.plan.emit.is_empty(),
            Engine::Inner(_) => false,
        }
    }

    /// All that a row of a push carries, by name in byte order.
    pub(super) fn carried(&self, push: &Push<'_>, row: u32) -> Columns {
        let mut all = Columns::new();
        if !self.tells_all() {
            return all;
        }
        for column in &push.batch.metrics {
            let (Ok(at), Some(name)) = (
                column.rows.binary_search(&row),
                push.names.get(column.metric as usize),
            ) else {
                continue;
            };
            let value = column.value(at);
            let besides = push.heard && OF_LINES.contains(&name.as_ref());
            if !value.is_missing() && !besides {
                all.push((Arc::clone(name), value));
            }
        }
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }
}

impl JoinedState {
    /// Columns of a pair: those of the left row, then those of the right one.
    pub(super) fn all_of(&self, pair: &Pair) -> Vec<(Arc<str>, Value)> {
        let join = &self.plan.join;
        let sides = [
            (&join.left.name, &pair.left),
            (&join.right.name, &pair.right),
        ];
        let columns = sides.into_iter().flat_map(|(stream, row)| {
            let all = row.iter().flat_map(|row| &row.all);
            all.map(move |(name, value)| (Arc::from(format!("{stream}.{name}")), value.clone()))
        });
        columns.collect()
    }
}
