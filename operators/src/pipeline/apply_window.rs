//! Window rules come, change and go.

use std::sync::Arc;

use tidegate_proto::Names;

use super::apply::Change;
use super::group::Watch;
use super::heirs::places;
use super::windows::WindowUnit;
use super::{Pipeline, Seat};
use crate::plan::Plan;
use crate::plan::window::{Waits, WindowPlan};

impl Pipeline {
    pub(crate) fn apply_window(
        &mut self,
        plan: &Arc<Plan>,
        window: &Arc<WindowPlan>,
        metrics: &mut Names,
        change: &mut Change<'_>,
    ) {
        let view = change.view;
        let old = match self.rules.get(&plan.name) {
            Some(Seat::Window(index)) => Some(*index),
            _ => None,
        };
        let was = old.and_then(|old| self.windows.get(old)?.as_ref());
        let was = was.map(WindowUnit::line);
        let line = self.line_again(crate::plan::window::timing(plan.rule()), was);
        let mut unit = WindowUnit::new(plan, window, line, view, metrics);
        if let Some(old) = old {
            let was = self.windows.get_mut(old).and_then(Option::take);
            if let Some(was) = was {
                self.window_picker.set_all(old, &was.state.members, false);
                unit.inherit(was);
            }
        }
        let waiting = unit.state.held.resources();
        for resource in &waiting {
            let water = self.mark(line, *resource);
            unit.meet(*resource, water, view);
        }
        if let Some((line, _)) = self.lines.get(unit.line()) {
            let watch = Watch {
                clocks: &self.clocks,
                line,
            };
            if unit.window.waits == Waits::None && !waiting.is_empty() {
                // Nothing waits any more: what did is taken now.
                let from = change.out.len();
                let whom = (waiting.as_slice(), true, self.settings.limits);
                let scratch = &mut self.window_scratch;
                unit.wake_held(whom, view, watch, scratch, change.out);
                for line in change.out.iter_mut().skip(from) {
                    line.trigger = change.trigger;
                }
            }
            unit.rearm(watch, &waiting);
        }
        let free = old.or_else(|| self.windows.iter().position(Option::is_none));
        let index = free.unwrap_or_else(|| {
            self.windows.push(None);
            self.windows.len() - 1
        });
        if let Some(place) = self.windows.get_mut(index) {
            self.window_picker.set_all(index, &unit.state.members, true);
            *place = Some(unit);
        }
        self.rules
            .insert(Arc::clone(&plan.name), Seat::Window(index));
    }

    pub(crate) fn remove_window(&mut self, index: usize) {
        if let Some(unit) = self.windows.get_mut(index).and_then(Option::take) {
            self.window_picker
                .set_all(index, &unit.state.members, false);
        }
    }
}

/// What two revisions must have in common to go on with the same windows: rows, keys and form, not aggregates.
fn frame(unit: &WindowUnit) -> String {
    let by = unit.window.by.iter();
    let by: Vec<&str> = by
        .map(|(_, by)| by.formula.normal_text().as_ref())
        .collect();
    let window = &unit.window;
    let (form, lateness, mode) = (window.form, window.lateness, &window.mode);
    let signals = window.aggregates.iter().filter(|a| a.always);
    let signals: Vec<&str> = signals.map(|a| a.identity.as_str()).collect();
    let sets = &window.sets;
    format!(
        "{}\n{by:?} {sets:?}\n{form:?}\n{lateness}\n{mode:?}\n{signals:?}\n{}",
        unit.plan.input_identity(),
        window.drop_null_keys
    )
}

impl WindowUnit {
    /// Goes on with the windows of the last revision when they are the same windows of the same rows: aggregates that
    /// are equal keep their state, new ones start empty.
    fn inherit(&mut self, old: Self) {
        let (new, was) = (&self.state, &old.state);
        let places = places(
            (&new.sight, new.filter.as_ref()),
            (&was.sight, was.filter.as_ref()),
        );
        let members = &self.state.members;
        let held = old.state.held.handed_on(&places, |r| members.has(r));
        if frame(self) != frame(&old) {
            self.state.held = held;
            return;
        }
        let mut sight = std::mem::take(&mut self.state.sight);
        sight.inherit(&self.window.table, &old.state.sight, &old.window.table);
        let aggregates = &self.window.aggregates;
        let kinds: Vec<_> = aggregates.iter().map(|a| a.kind).collect();
        let place = |identity: &str| {
            let old = &old.window.aggregates;
            old.iter().position(|other| other.identity == identity)
        };
        let from: Vec<_> = aggregates.iter().map(|a| place(&a.identity)).collect();
        self.state = old.state;
        self.state.sight = sight;
        self.keep_past();
        self.state.held = held;
        if from.iter().any(|from| from.is_some()) {
            self.state.windows.change(&kinds, &from);
        } else {
            self.state.windows = self.no_windows();
        }
    }
}
