//! Window rules come, change and go.

use std::sync::Arc;

use tidegate_proto::Names;

use super::windows::WindowUnit;
use super::{Pipeline, Seat, View};
use crate::plan::Plan;
use crate::plan::window::WindowPlan;

impl Pipeline {
    pub(crate) fn apply_window(
        &mut self,
        plan: &Arc<Plan>,
        window: &Arc<WindowPlan>,
        metrics: &mut Names,
        view: &dyn View,
    ) {
        let line = self.line(crate::plan::window::timing(plan.rule()));
        let mut unit = WindowUnit::new(plan, window, line, view, metrics);
        let old = match self.rules.get(&plan.name) {
            Some(Seat::Window(index)) => Some(*index),
            _ => None,
        };
        if let Some(old) = old {
            let was = self.windows.get_mut(old).and_then(Option::take);
            if let Some(was) = was {
                self.window_picker.set_all(old, &was.state.members, false);
                unit.inherit(was);
            }
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

impl WindowUnit {
    /// Goes on with the windows of the last revision when they are the same windows of the same rows and aggregates.
    fn inherit(&mut self, old: Self) {
        let identity = |plan: &WindowPlan| {
            let aggregates = plan.aggregates.iter().map(|a| a.identity.clone());
            let by = plan
                .by
                .iter()
                .map(|(_, b)| b.formula.normal_text().to_string());
            (
                plan.form,
                plan.lateness,
                by.collect::<Vec<_>>(),
                aggregates.collect::<Vec<_>>(),
            )
        };
        let same = old.plan.input_identity() == self.plan.input_identity()
            && identity(&old.window) == identity(&self.window)
            && old.window.table.identity() == self.window.table.identity();
        if same {
            self.state = old.state;
        }
    }
}
