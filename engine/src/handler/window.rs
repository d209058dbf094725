//! [`Window`]: the actions of one partition that were read and are not settled yet, what may be committed, and which
//! ids were seen.
//!
//! Each handler has a window of its own. When it is full, only the offsets of further actions for it are kept: the log
//! has them, they are read again when there is room. So a handler that is away for hours holds nobody else back, and
//! costs eight bytes an action.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use hashbrown::HashSet;
use tidegate_proto::record::{Offset, Record};

use super::action::ActionRecord;

type Ids = HashSet<Arc<str>, foldhash::fast::FixedState>;

/// Bounds of a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowLimits {
    /// Most actions that one handler holds.
    pub(super) actions: usize,
    /// Most bytes of actions that one handler holds.
    pub(super) bytes: usize,
    /// Most parked actions of all handlers.
    pub(super) parked: usize,
    /// Ids of settled actions that are remembered.
    pub(super) remembered: usize,
}

/// An action that was read and is not settled.
#[derive(Clone, Debug)]
pub(super) struct Held {
    /// The record as it was read.
    pub(super) record: Record,
    /// What it says; `None` if it could not be read.
    pub(super) action: Option<ActionRecord>,
    /// Its handler, if there is one of that name.
    pub(super) handler: Option<Arc<str>>,
}

/// The part of one handler.
#[derive(Debug, Default)]
struct Part {
    /// Everything of this handler before this offset was settled by an earlier run.
    done_to: Offset,
    held: BTreeSet<Offset>,
    bytes: usize,
    parked: VecDeque<Offset>,
}

impl Part {
    fn oldest(&self) -> Option<Offset> {
        let held = self.held.first().copied();
        let parked = self.parked.front().copied();
        held.into_iter().chain(parked).min()
    }
}

/// In-flight window of a partition.
#[derive(Debug)]
pub(super) struct Window {
    limits: WindowLimits,
    held: BTreeMap<Offset, Held>,
    parts: BTreeMap<Arc<str>, Part>,
    parked: usize,
    next: Offset,
    ids: Ids,
    remembered: VecDeque<Arc<str>>,
}

impl Window {
    /// An empty window that begins at an offset, with what earlier runs settled of each handler.
    pub(super) fn new(
        limits: WindowLimits,
        next: Offset,
        done: impl IntoIterator<Item = (Arc<str>, Offset)>,
    ) -> Self {
        let part = |done_to| Part {
            done_to,
            ..Part::default()
        };
        Self {
            limits,
            held: BTreeMap::new(),
            parts: done
                .into_iter()
                .map(|(h, done_to)| (h, part(done_to)))
                .collect(),
            parked: 0,
            next,
            ids: Ids::default(),
            remembered: VecDeque::new(),
        }
    }

    /// Whether more may be read.
    pub(super) fn takes_more(&self) -> bool {
        self.parked < self.limits.parked
    }

    /// Whether an earlier run settled this action of a handler.
    pub(super) fn was_settled(&self, handler: &str, offset: Offset) -> bool {
        self.parts
            .get(handler)
            .is_some_and(|part| offset < part.done_to)
    }

    /// Whether a handler may hold one more action; one that holds none always may, however large the action.
    pub(super) fn has_room(&self, handler: &str) -> bool {
        let limits = &self.limits;
        self.parts.get(handler).is_none_or(|part| {
            part.held.is_empty() || (part.held.len() < limits.actions && part.bytes < limits.bytes)
        })
    }

    /// Whether a handler has parked actions: then further ones go behind them.
    pub(super) fn has_parked(&self, handler: &str) -> bool {
        self.parts
            .get(handler)
            .is_some_and(|part| !part.parked.is_empty())
    }

    /// A record was read, whatever becomes of it.
    pub(super) fn pass(&mut self, offset: Offset) {
        self.next = self.next.max(offset + 1);
    }

    /// Takes an action; `false` if its id was seen before, so that there is nothing to deliver.
    pub(super) fn take(&mut self, offset: Offset, held: Held) -> bool {
        if let Some(action) = &held.action
            && !self.ids.insert(Arc::from(action.id.as_str()))
        {
            return false;
        }
        if let Some(handler) = &held.handler {
            let part = self.parts.entry(Arc::clone(handler)).or_default();
            part.held.insert(offset);
            part.bytes += held.record.size();
        }
        self.held.insert(offset, held).is_none()
    }

    /// Keeps an action's offset only.
    pub(super) fn park(&mut self, handler: &Arc<str>, offset: Offset) {
        let part = self.parts.entry(Arc::clone(handler)).or_default();
        part.parked.push_back(offset);
        self.parked += 1;
    }

    /// The next handler after `last` in turn that has parked actions and half of its window free, with the first of
    /// their offsets.
    pub(super) fn parked_with_room(&self, last: Option<&Arc<str>>) -> Option<(Arc<str>, Offset)> {
        let fits = |(handler, part): (&Arc<str>, &Part)| {
            let room = self.has_room(handler) && part.held.len() <= self.limits.actions / 2;
            part.parked
                .front()
                .filter(|_| room)
                .map(|offset| (Arc::clone(handler), *offset))
        };
        let after = last.map_or(Bound::Unbounded, Bound::Excluded);
        let behind = self.parts.range::<Arc<str>, _>((after, Bound::Unbounded));
        behind.chain(self.parts.iter()).find_map(fits)
    }

    /// Takes an offset from a handler's parked ones, with those before it, which the log has lost; `false` if it is not
    /// among them.
    pub(super) fn unpark(&mut self, handler: &str, offset: Offset) -> bool {
        let Some(part) = self.parts.get_mut(handler) else {
            return false;
        };
        let upto = part.parked.partition_point(|parked| *parked <= offset);
        let found = part.parked.drain(..upto).next_back() == Some(offset);
        self.parked = self.parked.saturating_sub(upto);
        let lost = upto - usize::from(found);
        if lost > 0 {
            tracing::error!(handler, lost, "parked actions are no longer in the log");
        }
        found
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
        if let Some(part) = held
            .handler
            .and_then(|handler| self.parts.get_mut(&handler))
        {
            part.held.remove(&offset);
            part.bytes = part.bytes.saturating_sub(held.record.size());
        }
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
        let held = self.held.first_key_value().map(|(offset, _)| *offset);
        let parked = self
            .parts
            .values()
            .filter_map(|part| part.parked.front().copied());
        parked.chain(held).min().unwrap_or(self.next)
    }

    /// Everything of each handler before this offset is settled.
    pub(super) fn settled_by_handler(&self) -> impl Iterator<Item = (&Arc<str>, Offset)> {
        let to = |part: &Part| part.oldest().unwrap_or(self.next).max(part.done_to);
        self.parts
            .iter()
            .map(move |(handler, part)| (handler, to(part)))
    }

    /// Offset after the last record read.
    pub(super) fn next(&self) -> Offset {
        self.next
    }

    /// Number of actions held, and of those parked.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.held.len(), self.parked)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: WindowLimits = WindowLimits {
        actions: 3,
        bytes: 10_000,
        parked: 100,
        remembered: 2,
    };

    fn window(limits: WindowLimits, next: Offset) -> Window {
        Window::new(limits, next, [(Arc::from("h"), 0), (Arc::from("other"), 0)])
    }

    fn held(id: &str) -> Held {
        let text = format!(
            r#"{{"id":"{id}","handler":"h","rule":"r","task":"r/a","resource":"a","time":0,"kind":"raised"}}"#
        );
        let record = Record::new("a", text);
        let action = ActionRecord::decode(&record).ok();
        let handler = Some(Arc::from("h"));
        Held {
            record,
            action,
            handler,
        }
    }

    fn take(window: &mut Window, offset: Offset, id: &str) -> bool {
        window.pass(offset);
        window.take(offset, held(id))
    }

    fn by_handler(window: &Window) -> Vec<(&str, Offset)> {
        window
            .settled_by_handler()
            .map(|(handler, to)| (handler.as_ref(), to))
            .collect()
    }

    #[test]
    fn the_oldest_undelivered_holds_the_commit_back_but_only_of_its_handler() {
        let mut window = window(LIMITS, 5);
        assert_eq!(window.settled_to(), 5);
        for offset in 5..8 {
            assert!(window.has_room("h"));
            assert!(take(&mut window, offset, &offset.to_string()));
        }
        assert!(!window.has_room("h"));
        assert!(window.has_room("other"));
        window.settle(7);
        window.settle(6);
        assert_eq!(window.settled_to(), 5);
        assert_eq!(by_handler(&window), [("h", 5), ("other", 8)]);
        window.settle(5);
        assert_eq!((window.settled_to(), window.len()), (8, (0, 0)));
    }

    #[test]
    fn an_id_is_delivered_once_while_it_is_known() {
        let mut window = window(LIMITS, 0);
        assert!(take(&mut window, 0, "a"));
        assert!(!take(&mut window, 1, "a"), "in flight");
        window.settle(0);
        assert!(!take(&mut window, 2, "a"), "remembered");
        for (offset, id) in [(3, "b"), (4, "c")] {
            assert!(take(&mut window, offset, id));
            window.settle(offset);
        }
        assert!(take(&mut window, 5, "a"), "forgotten after two others");
    }

    #[test]
    fn bytes_bound_it_too_but_never_stop_it() {
        let mut window = window(WindowLimits { bytes: 1, ..LIMITS }, 0);
        assert!(window.has_room("h"));
        take(&mut window, 0, "a");
        assert!(!window.has_room("h"));
        window.settle(0);
        assert!(window.has_room("h"));
    }

    #[test]
    fn parked_actions_hold_the_commit_back_and_come_back_in_order() {
        let handler: Arc<str> = Arc::from("h");
        let mut window = window(
            WindowLimits {
                parked: 3,
                ..LIMITS
            },
            0,
        );
        for offset in [2, 4, 7] {
            assert!(window.takes_more());
            window.pass(offset);
            window.park(&handler, offset);
        }
        assert!(!window.takes_more());
        assert_eq!((window.settled_to(), window.next()), (2, 8));
        assert_eq!(by_handler(&window), [("h", 2), ("other", 8)]);
        assert_eq!(
            window.parked_with_room(None),
            Some((Arc::clone(&handler), 2))
        );
        assert_eq!(
            window.parked_with_room(Some(&handler)),
            Some((Arc::clone(&handler), 2))
        );
        assert!(!window.unpark("h", 1));
        assert!(window.unpark("h", 2));
        assert!(!window.unpark("h", 3));
        assert_eq!(window.settled_to(), 4);
        assert!(window.unpark("h", 7), "4 is gone");
        assert_eq!((window.settled_to(), window.len()), (8, (0, 0)));
    }

    #[test]
    fn what_an_earlier_run_settled_is_known() {
        let window = Window::new(LIMITS, 3, [(Arc::from("h"), 10)]);
        assert!(window.was_settled("h", 9));
        assert!(!window.was_settled("h", 10));
        assert!(!window.was_settled("other", 3));
        assert_eq!(by_handler(&window), [("h", 10)]);
    }

    proptest! {
        /// Whatever the order of settlement, `settled_to` is the oldest offset that is not settled.
        #[test]
        fn settled_to_is_the_oldest_hole(order in Just((0..20_i64).collect::<Vec<_>>()).prop_shuffle()) {
            let mut window = window(WindowLimits { actions: 20, ..LIMITS }, 0);
            for offset in 0..20 {
                take(&mut window, offset, &offset.to_string());
            }
            let mut settled = BTreeSet::new();
            for offset in order {
                window.settle(offset);
                settled.insert(offset);
                let hole = (0..20).find(|offset| !settled.contains(offset)).unwrap_or(20);
                prop_assert_eq!(window.settled_to(), hole);
            }
        }
    }
}
