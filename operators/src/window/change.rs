//! A rule is revised and asks for other aggregates of the same windows: those that stay keep their state, new ones start
//! empty in windows that are open already.

use tidegate_proto::Value;

use super::{Form, Windows};
use crate::aggregate::AggregateKind;

/// The aggregates of a revised rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change<'a> {
    pub(super) aggregates: &'a [AggregateKind],
    /// For each where it stood before; `None`: it is new.
    pub(super) from: &'a [Option<usize>],
}

impl Change<'_> {
    /// Values by old place as values by new place; those of new aggregates are `()`.
    pub(super) fn values(&self, old: &[Value]) -> Vec<Value> {
        let value = |from: &Option<usize>| from.and_then(|from| old.get(from)).cloned();
        let values = self.from.iter().map(value);
        values.map(Option::unwrap_or_default).collect()
    }
}

impl Windows {
    /// Goes on with other aggregates; `from` has for each where it stood before, `None` for a new one.
    pub(crate) fn change(&mut self, aggregates: &[AggregateKind], from: &[Option<usize>]) {
        let change = Change { aggregates, from };
        match &mut self.form {
            Form::Paned(paned) => paned.change(&change),
            Form::Sliding(sliding) => sliding.change(&change),
            Form::Sessions(sessions) => sessions.change(&change),
            Form::Ordered(ordered) => ordered.change(&change),
            Form::Spans(spans) => spans.change(&change),
        }
    }
}
