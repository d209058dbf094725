//! Time passes without rows: what is due for silent resources happens.

use tidegate_proto::{Outcome, Timestamp, Trigger};

use super::graphs::GraphUnit;
use super::patterns::PatternUnit;
use super::suspect::{Part, Working, break_if};
use super::timed::pop_due;
use super::{Pipeline, View};
use crate::watermark::NEVER;

impl Pipeline {
    /// Moves the clock, never back: silent resources pass their deadlines.
    pub fn advance(&mut self, clock: Timestamp, view: &dyn View, out: &mut Vec<Outcome>) {
        let first = self.clock == NEVER;
        self.clock = self.clock.max(clock.0);
        let clock = self.clock;
        if first {
            self.bear_groups(view);
        }
        self.advance_groups(clock, view, out);
        self.advance_windows(clock, view, out);
        self.advance_timed::<PatternUnit>((clock, first), view, out);
        self.advance_timed::<GraphUnit>((clock, first), view, out);
        self.advance_wides(view, out);
        self.working = Working::Nobody;
    }

    fn advance_groups(&mut self, clock: i64, view: &dyn View, out: &mut Vec<Outcome>) {
        let mut due = Vec::new();
        for (index, group) in self.groups.iter_mut().enumerate() {
            let Some(group) = group else {
                continue;
            };
            self.working = Working::Judging(Part::Group(index));
            let line = (self.lines.as_mut_slice(), group.state.line);
            let now = (&self.clocks, clock);
            let Some(watch) = pop_due(&mut group.state.timers, line, now, &mut due) else {
                continue;
            };
            break_if(self.settings.breaks.brittle_clock, group.names());
            let whom = (due.as_slice(), Trigger::Clock);
            group.wake(whom, view, watch, &mut self.scratch, out);
        }
    }

    fn advance_windows(&mut self, clock: i64, view: &dyn View, out: &mut Vec<Outcome>) {
        let mut due = Vec::new();
        for (index, window) in self.windows.iter_mut().enumerate() {
            let Some(window) = window else {
                continue;
            };
            self.working = Working::Judging(Part::Window(index));
            let line = (self.lines.as_mut_slice(), window.line());
            let now = (&self.clocks, clock);
            let Some(watch) = pop_due(window.timers(), line, now, &mut due) else {
                continue;
            };
            let name = std::iter::once(&window.plan.name);
            break_if(self.settings.breaks.brittle_clock, name);
            let whom = (due.as_slice(), self.settings.limits);
            window.wake(whom, view, watch, &mut self.window_scratch, out);
        }
    }
}
