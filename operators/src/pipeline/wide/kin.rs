//! [`Kin`]: who is whose child, by id: parents may be named before they are known, and a ring of them is only names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How many parents are climbed at most.
const DEPTH: usize = 64;

/// Parents and children of resources.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Kin {
    parents: BTreeMap<Arc<str>, Arc<str>>,
    children: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
}

impl Kin {
    /// Sets the parent of a resource; answers whether it is another one than before.
    pub(super) fn set(&mut self, id: &Arc<str>, parent: Option<&Arc<str>>) -> bool {
        if self.parents.get(id) == parent {
            return false;
        }
        if let Some(old) = self.parents.remove(id)
            && let Some(children) = self.children.get_mut(&old)
        {
            children.remove(id);
            if children.is_empty() {
                self.children.remove(&old);
            }
        }
        if let Some(parent) = parent {
            self.parents.insert(Arc::clone(id), Arc::clone(parent));
            let children = self.children.entry(Arc::clone(parent)).or_default();
            children.insert(Arc::clone(id));
        }
        true
    }

    /// Everything above a resource, the nearest first, itself left out.
    pub(super) fn above(&self, id: &str) -> Vec<Arc<str>> {
        let mut found: Vec<Arc<str>> = Vec::new();
        let mut next = self.parents.get(id);
        while let Some(parent) = next {
            if found.len() == DEPTH || parent.as_ref() == id || found.contains(parent) {
                break;
            }
            found.push(Arc::clone(parent));
            next = self.parents.get(parent);
        }
        found
    }

    /// Everything below a resource, itself left out.
    pub(super) fn below(&self, id: &str) -> BTreeSet<Arc<str>> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = vec![id];
        while let Some(next) = open.pop() {
            for child in self.children.get(next).into_iter().flatten() {
                if child.as_ref() != id && found.insert(Arc::clone(child)) {
                    open.push(child);
                }
            }
        }
        found
    }

    pub(super) fn bytes(&self) -> usize {
        self.parents.len() * 160
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_of_parents_ends() {
        let mut kin = Kin::default();
        let id = |name: &str| -> Arc<str> { Arc::from(name) };
        assert!(kin.set(&id("a"), Some(&id("b"))));
        assert!(kin.set(&id("b"), Some(&id("c"))));
        assert_eq!(kin.above("a"), [id("b"), id("c")]);
        assert!(kin.set(&id("c"), Some(&id("a"))));
        assert_eq!(kin.above("a"), [id("b"), id("c")]);
        assert_eq!(kin.below("a").len(), 2);
        assert!(!kin.set(&id("c"), Some(&id("a"))));
        assert!(kin.set(&id("b"), None));
        assert_eq!(kin.above("c"), [id("a"), id("b")]);
        assert_eq!(
            kin.below("b").into_iter().collect::<Vec<_>>(),
            [id("a"), id("c")]
        );
    }
}
