//! [`Window`]: the actions of one partition that were read and are not delivered yet, what may be committed, and which
//! ids were seen.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use hashbrown::HashSet;
use tidegate_proto::record::{Offset, Record};

use super::action::ActionRecord;

type Ids = HashSet<Arc<str>, foldhash::fast::FixedState>;

/// Bounds of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowLimits {
    /// Most undelivered actions.
    pub(super) actions: usize,
    /// Most bytes of undelivered actions.
    pub(super) bytes: usize,
    /// Ids of delivered actions that are remembered.
    pub(super) remembered: usize,
}

/// An action that was read and is not settled.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// The record as it was read.
    pub(super) record: Record,
    /// What it says; `None` if it could not be read.
    pub(super) action: Option<ActionRecord>,
}

/// In-flight window of a partition.
#[derive(Debug)]
pub(super) struct Window {
    limits: WindowLimits,
    held: BTreeMap<Offset, Held>,
    bytes: usize,
    next: Offset,
    ids: Ids,
    remembered: VecDeque<Arc<str>>,
}

impl Window {
    /// An empty window that begins at an offset.
    pub(super) fn new(limits: WindowLimits, next: Offset) -> Self {
        Self {
            limits,
            held: BTreeMap::new(),
            bytes: 0,
            next,
            ids: Ids::default(),
            remembered: VecDeque::new(),
        }
    }

    /// Whether one more action may be taken; an empty window always takes one, however large.
    pub(super) fn has_room(&self) -> bool {
        self.held.is_empty()
            || (self.held.len() < self.limits.actions && self.bytes < self.limits.bytes)
    }

    /// Takes a record; `false` if its id was seen before, so that there is nothing to deliver.
    pub(super) fn take(&mut self, offset: Offset, held: Held) -> bool {
        self.next = self.next.max(offset + 1);
        if let Some(action) = &held.action
            && !self.ids.insert(Arc::from(action.id.as_str()))
        {
            return false;
        }
        self.bytes += held.record.size();
        self.held.insert(offset, held).is_none()
    }

    /// What is held at an offset.
    pub(super) fn get(&self, offset: Offset) -> Option<&Held> {
        self.held.get(&offset)
    }

    /// An action is settled for good; its id is remembered for a while.
    pub(super) fn settle(&mut self, offset: Offset) {
        let Some(held) = self.held.remove(&offset) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(held.record.size());
        let Some(action) = held.action else {
            return;
        };
        self.remembered.push_back(Arc::from(action.id));
        while self.remembered.len() > self.limits.remembered {
            if let Some(id) = self.remembered.pop_front() {
                self.ids.remove(&id);
            }
        }
    }

    /// Everything before this offset is settled.
    pub(super) fn settled_to(&self) -> Offset {
        self.held
            .first_key_value()
            .map_or(self.next, |(offset, _)| *offset)
    }

    /// Offset after the last record taken.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// Number of undelivered actions.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: WindowLimits = WindowLimits {
        actions: 3,
        bytes: 10_000,
        remembered: 2,
    };

    fn held(id: &str) -> Held {
        let text = format!(
            r#"{{"id":"{id}","handler":"h","rule":"r","task":"r/a","resource":"a","time":0,"kind":"raised"}}"#
        );
        let record = Record::new("a", text);
        let action = ActionRecord::decode(&record).ok();
        Held { record, action }
    }

    #[test]
    fn the_oldest_undelivered_holds_the_commit_back() {
        let mut window = Window::new(LIMITS, 5);
        assert_eq!(window.settled_to(), 5);
        for offset in 5..8 {
            assert!(window.has_room());
            assert!(window.take(offset, held(&offset.to_string())));
        }
        assert!(!window.has_room());
        window.settle(7);
        window.settle(6);
        assert_eq!(window.settled_to(), 5);
        window.settle(5);
        assert_eq!((window.settled_to(), window.len(), window.bytes), (8, 0, 0));
    }

    #[test]
    fn an_id_is_delivered_once_while_it_is_known() {
        let mut window = Window::new(LIMITS, 0);
        assert!(window.take(0, held("a")));
        assert!(!window.take(1, held("a")), "in flight");
        window.settle(0);
        assert!(!window.take(2, held("a")), "remembered");
        for (offset, id) in [(3, "b"), (4, "c")] {
            assert!(window.take(offset, held(id)));
            window.settle(offset);
        }
        assert!(window.take(5, held("a")), "forgotten after two others");
    }

    #[test]
    fn bytes_bound_it_too_but_never_stop_it() {
        let limits = WindowLimits { bytes: 1, ..LIMITS };
        let mut window = Window::new(limits, 0);
        assert!(window.has_room());
        window.take(0, held("a"));
        assert!(!window.has_room());
        window.settle(0);
        assert!(window.has_room());
    }

    proptest! {
        /// Whatever the order of settlement, exactly the offsets before `settled_to` are all settled.
        #[test]
        fn settled_to_is_the_oldest_hole(order in Just((0..20_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let limits = WindowLimits { actions: 20, ..LIMITS };
            let mut window = Window::new(limits, 0);
            for offset in 0..20 {
                window.take(offset, held(&offset.to_string()));
            }
            let mut settled = std::collections::BTreeSet::new();
            for offset in order {
                window.settle(offset);
                settled.insert(offset);
                let hole = (0..20).find(|offset| !settled.contains(offset)).unwrap_or(20);
                prop_assert_eq!(window.settled_to(), hole);
            }
        }
    }
}
