//! [`Former`]: traits that resources had when rows were read that still wait. A row is filtered and grouped by what its resource was
//! when the row came, wherever it waits. While no traits change nothing is kept here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{Timestamp, Traits, Value};

use crate::pipeline::View;

/// More than this are kept before those are looked for that no row needs.
const FEW: usize = 64;

/// Traits that were in force, by resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Former {
    /// Oldest first, each with the place in the log before which rows were read under it.
    of: BTreeMap<u32, Vec<(u64, Arc<Traits>)>>,
    kept: usize,
    /// How many may be kept before the next sweep.
    most: usize,
}

impl Former {
    /// The traits of a resource change: rows before `until` were read under `traits`. `waiting` are resource and place of
    /// all rows that wait.
    pub(crate) fn part<I: Iterator<Item = (u32, u64)>>(
        &mut self,
        (resource, until): (u32, u64),
        traits: &Arc<Traits>,
        waiting: impl FnOnce() -> I,
    ) {
        let known = self.of.entry(resource).or_default();
        // Between this change and the last there was no row.
        if known.last().is_some_and(|(last, _)| *last == until) {
            return;
        }
        known.push((until, Arc::clone(traits)));
        self.kept += 1;
        if self.kept > self.most.max(FEW) {
            self.sweep(waiting());
        }
    }

    /// Lets go what no row needs that waits.
    fn sweep(&mut self, waiting: impl Iterator<Item = (u32, u64)>) {
        let mut used: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
        for (resource, place) in waiting {
            if let Some(version) = self.version(resource, place) {
                used.entry(resource).or_default().insert(version);
            }
        }
        self.of.retain(|resource, known| {
            let Some(used) = used.get(resource) else {
                return false;
            };
            let mut number = 0..;
            known.retain(|_| number.next().is_some_and(|number| used.contains(&number)));
            true
        });
        self.kept = self.of.values().map(Vec::len).sum();
        self.most = self.kept * 2;
    }

    /// Which of a resource's former traits were in force at a place in the log; `None`: those that are in force now.
    fn version(&self, resource: u32, place: u64) -> Option<usize> {
        let known = self.of.get(&resource)?;
        let version = known.partition_point(|(until, _)| *until <= place);
        (version < known.len()).then_some(version)
    }

    /// Traits of a resource at a place in the log, if they are others now.
    pub(crate) fn at(&self, resource: u32, place: u64) -> Option<Arc<Traits>> {
        let version = self.version(resource, place)?;
        let known = self.of.get(&resource)?.get(version);
        known.map(|(_, traits)| Arc::clone(traits))
    }

    /// Nothing waits any more.
    pub(crate) fn clear(&mut self) {
        self.of.clear();
        (self.kept, self.most) = (0, 0);
    }

    /// Lets a resource go.
    pub(crate) fn forget(&mut self, resource: u32) {
        let known = self.of.remove(&resource);
        self.kept -= known.map_or(0, |known| known.len());
    }

    pub(crate) fn bytes(&self) -> usize {
        self.kept * (size_of::<(u64, Arc<Traits>)>() + size_of::<Traits>())
    }
}

/// What a row sees that was read before the traits of a resource changed.
#[derive(Clone, Copy)]
pub(crate) struct Then<'a> {
    view: &'a dyn View,
    resource: u32,
    traits: Option<&'a Traits>,
}

impl<'a> Then<'a> {
    pub(crate) const fn new(view: &'a dyn View, resource: u32, traits: Option<&'a Traits>) -> Self {
        Self {
            view,
            resource,
            traits,
        }
    }
}

impl std::fmt::Debug for Then<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Then")
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

impl View for Then<'_> {
    fn resource(&self, resource: u32) -> &str {
        self.view.resource(resource)
    }

    fn traits(&self, resource: u32) -> &Traits {
        match self.traits {
            Some(traits) if resource == self.resource => traits,
            _ => self.view.traits(resource),
        }
    }

    fn last(&self, resource: u32, metric: u32) -> Option<(Timestamp, Value)> {
        self.view.last(resource, metric)
    }

    fn resources(&self) -> u32 {
        self.view.resources()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> Arc<Traits> {
        Arc::new(Traits {
            kind: Some(Arc::from(name)),
            ..Traits::default()
        })
    }

    #[test]
    fn a_row_has_the_traits_of_its_place_in_the_log() {
        let mut former = Former::default();
        assert_eq!(former.at(3, 0), None);
        former.part((3, 2), &kind("a"), std::iter::empty);
        former.part((3, 2), &kind("never seen by a row"), std::iter::empty);
        former.part((3, 5), &kind("b"), std::iter::empty);
        let at = |place| former.at(3, place).map(|traits| traits.kind.clone());
        assert_eq!(at(1), Some(kind("a").kind.clone()));
        assert_eq!(at(2), Some(kind("b").kind.clone()));
        assert_eq!(at(4), Some(kind("b").kind.clone()));
        assert_eq!(at(5), None);
        assert_eq!(former.at(4, 0), None);
    }

    #[test]
    fn what_no_row_needs_is_let_go() {
        let mut former = Former::default();
        for place in 0..10_000_u64 {
            let waiting = || [(1, 7_u64)].into_iter();
            former.part((1, place * 2), &kind(&place.to_string()), waiting);
            former.part((2, place * 2), &kind("other"), waiting);
            assert!(former.kept <= FEW + 1);
        }
        let traits = former.at(1, 7).unwrap();
        assert_eq!(traits.kind.as_deref(), Some("4"));
    }
}
