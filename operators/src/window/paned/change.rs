//! Panes under other aggregates.

use super::super::change::Change;
use super::Paned;

impl Paned {
    /// Goes on with other aggregates.
    pub(in crate::window) fn change(&mut self, change: &Change<'_>) {
        self.slots.change(change);
        let seldom = self.keys.iter_mut().filter_map(|key| key.seldom.as_mut());
        for told in seldom.flat_map(|seldom| &mut seldom.told) {
            told.values = change.values(&told.values);
        }
        let places = (0_u32..).zip(change.aggregates.iter().zip(change.from));
        let latest = places.filter(|(_, (kind, _))| kind.looks_back());
        let older = latest.map(|(index, (_, from))| {
            let old = self.older.iter();
            let mut old = old.filter(|(place, _)| *from == Some(*place as usize));
            (
                index,
                old.next().map(|(_, ends)| ends.clone()).unwrap_or_default(),
            )
        });
        self.older = older.collect();
        self.spec.aggregates = change.aggregates.to_vec();
    }
}
