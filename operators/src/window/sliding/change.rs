//! Sliding windows under other aggregates.

use super::super::change::Change;
use super::{AggregateKind, Ends, Running, Sliding};

impl Sliding {
    /// Goes on with other aggregates.
    pub(in crate::window) fn change(&mut self, change: &Change<'_>) {
        for key in self.keys.iter_mut().flatten() {
            for row in &mut key.rows {
                row.arguments = change.values(&row.arguments).into();
            }
            for told in &mut key.told {
                told.values = change.values(&told.values);
            }
            let places = change.aggregates.iter().zip(change.from);
            let inside = places.map(|(kind, from)| {
                let kept = from.and_then(|from| key.inside.0.get(from)).cloned();
                let fresh = || match kind {
                    AggregateKind::Latest => (*kind, Running::Latest(Ends::default())),
                    other => (*kind, Running::new(*other)),
                };
                kept.unwrap_or_else(fresh)
            });
            key.inside.0 = inside.collect();
            let older = change.from.iter();
            let older = older.map(|from| from.and_then(|from| key.older.get(from)).cloned());
            key.older = older.map(Option::unwrap_or_default).collect();
        }
        self.spec.aggregates = change.aggregates.to_vec();
    }
}
