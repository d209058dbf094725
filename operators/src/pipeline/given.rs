//! A pipeline whose time is given to it: the inside of a rule over several resources. Its rows come in their order, each with
//! the time of its task; no clock is ever told to it.

use tidegate_proto::{EventBatch, Outcome, Value};

use super::timed::Timed as _;
use super::{Pipeline, View};
use crate::timer::IDLE;
use crate::watermark::NEVER;

/// Rows in their order with the times of their tasks.
pub(crate) struct Given<'a> {
    pub(crate) batch: &'a EventBatch,
    /// Time of the task at each row.
    pub(crate) water: &'a [i64],
    /// Rows that only move time.
    pub(crate) quiet: &'a [bool],
}

impl Pipeline {
    /// Takes rows whose tasks' time is given.
    pub(crate) fn push_given(
        &mut self,
        given: &Given<'_>,
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
        let rows = 0..given.batch.len();
        if rows.is_empty() {
            return;
        }
        self.clocks
            .take(given.batch, rows.clone(), NEVER, &mut self.ticks);
        self.water.resize_with(self.lines.len(), Vec::new);
        for ((line, _), water) in self.lines.iter_mut().zip(&mut self.water) {
            water.clear();
            water.extend_from_slice(given.water);
            for (tick, mark) in self.ticks.iter().zip(given.water) {
                line.raise(tick.resource, *mark);
            }
        }
        self.run((given.batch, rows), given.quiet, view, out);
    }

    /// Moves the time of a task of a condition without a row: what is asked about it knows.
    pub(crate) fn raise(&mut self, task: u32, water: i64) {
        for (line, _) in &mut self.lines {
            line.raise(task, water);
        }
    }

    /// The next event time at which something of a task is due, [`IDLE`] if nothing is.
    pub(crate) fn deadline(&self, task: u32) -> i64 {
        let groups = self.groups.iter().flatten();
        let groups = groups.map(|group| group.deadline(task));
        let windows = self.windows.iter().flatten();
        let windows = windows.map(|window| window.deadline(task));
        let patterns = self.patterns.iter().flatten();
        let patterns = patterns.map(|pattern| pattern.deadline(task));
        let graphs = self.graphs.iter().flatten();
        let graphs = graphs.map(|graph| graph.deadline(task));
        let due = groups.chain(windows).chain(patterns).chain(graphs);
        due.min().unwrap_or(IDLE)
    }

    /// Keeps what metrics were that windows read, for rows that come below the watermark.
    pub(crate) fn keep_reads(&mut self) {
        for window in self.windows.iter_mut().flatten() {
            window.keep_reads();
        }
    }

    /// Puts another value in the place of a task's latest of a metric: what it means has changed.
    /// It counts from a time on.
    pub(crate) fn replace(
        &mut self,
        task: u32,
        metric: u32,
        known: Option<&(i64, Value)>,
        from: i64,
    ) {
        let when = (from, self.sequence);
        let groups = self.groups.iter_mut().flatten();
        let sights = groups.map(|group| &mut group.state.sight);
        let windows = self.windows.iter_mut().flatten();
        let windows = windows.map(|window| &mut window.state.sight);
        let patterns = self.patterns.iter_mut().flatten();
        let patterns = patterns.map(|pattern| &mut pattern.state.sight);
        let graphs = self.graphs.iter_mut().flatten();
        let graphs = graphs.map(|graph| &mut graph.state.sight);
        let sights = sights.chain(windows).chain(patterns).chain(graphs);
        sights.for_each(|sight| sight.replace(task, metric, known, when));
    }
}

impl super::WindowUnit {
    /// The next event time at which a window of a task, or a row that waits, is due.
    pub(crate) fn deadline(&self, task: u32) -> i64 {
        let keys = self.state.keys.of(task).iter();
        let due = keys.map(|key| self.state.windows.deadline(*key));
        due.min().unwrap_or(IDLE).min(self.state.held.first(task))
    }
}
