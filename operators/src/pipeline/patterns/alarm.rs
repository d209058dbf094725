//! The alarm of a pattern: raised by a match, ended by `clear` or with the task.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_proto::{EventRef, OutcomeKind, Value};

use super::tell::Theatre;
use crate::pattern::{Fit, Found, Scene};
use crate::pipeline::unit::line;
use crate::plan::texts::Rendered;

impl Theatre<'_> {
    /// Whether `clear` is to be looked at: the alarm was raised before this row.
    pub(super) fn may_clear(&mut self) -> bool {
        self.matched = false;
        let raised = || self.state.raised.contains_key(&self.step.resource);
        self.pattern.clear.is_some() && raised()
    }

    /// Whether an element looks at the row, not `clear` alone.
    pub(super) fn is_of_pattern(&self) -> bool {
        let point = self.step.point as usize;
        let clear = self.pattern.clear.map(usize::from);
        let mut fits = self.book.fits.iter().enumerate();
        self.pattern.all_rows
            || fits.any(|(test, fits)| {
                let fit = fits.get(point).copied().unwrap_or(Fit::Unjudged);
                Some(test) != clear && fit != Fit::Unjudged
            })
    }

    /// Ends the alarm, if the row says so and no match says otherwise.
    pub(super) fn clear(&mut self) {
        let pattern = Arc::clone(&self.pattern);
        let Some(test) = pattern.clear.filter(|_| !self.matched) else {
            return;
        };
        if self.fit(test, &[]) != Fit::Yes {
            return;
        }
        self.state.raised.remove(&self.step.resource);
        let metrics = pattern.tests.get(usize::from(test));
        let metrics = metrics.map_or(&[][..], |test| &test.metrics);
        let values = metrics.iter().filter_map(|place| {
            let label = &pattern.table.places.get(*place)?.label;
            Some((Arc::clone(label), self.place(*place)))
        });
        let values = values.collect();
        let tale = self.tale(OutcomeKind::Cleared, self.step.at, Some(self.event()));
        let mut outcome = line(&self.plan.name, &tale, values);
        outcome.texts = Rendered::blank(&pattern.texts);
        self.out.push(outcome);
    }

    /// The alarm of the rule: raised by the first match, counted up by the next.
    pub(super) fn raise(
        &mut self,
        found: &Found<'_>,
        cause: &SmallVec<[EventRef; 2]>,
        texts: &[Arc<str>],
    ) {
        let Some(alarm) = self.pattern.alarm else {
            return;
        };
        let resource = self.step.resource;
        if self.state.raised.contains_key(&resource) {
            return;
        }
        self.state.raised.insert(resource, found.at);
        let tale = self.tale(OutcomeKind::Raised, found.at, None);
        let severity = alarm.severity.map(|severity| Value::text(severity.word()));
        let severity = severity.map(|severity| (Arc::from("severity"), severity));
        let mut values: Vec<_> = severity.into_iter().collect();
        if let Some(text) = alarm.text.and_then(|index| texts.get(index)) {
            values.push((Arc::from("text"), Value::Text(Arc::clone(text))));
        }
        let mut outcome = line(&self.plan.name, &tale, values);
        outcome.cause.clone_from(cause);
        outcome.texts = texts.to_vec();
        self.out.push(outcome);
    }
}
