//! [`Rolling`]: running totals of the window that closed last, so that the next one costs its new panes and its old ones
//! and not all of them. Only sums and counts can be rolled: what was merged into them can be taken back exactly.

use serde::{Deserialize, Serialize};

use super::panes::{KeyPanes, Pane};
use super::slots::Slots;

/// Windows of fewer panes are merged anew.
const FEWEST_PANES: i64 = 4;

/// Running totals by key; switched off for windows of few panes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Rolling {
    on: bool,
    keys: Vec<Option<Rolled>>,
}

/// The slot holds the panes that start in `[from, to)` and are still there.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Rolled {
    slot: u32,
    from: i64,
    to: i64,
}

impl Rolling {
    pub(super) const fn new(panes: i64) -> Self {
        Self {
            on: panes >= FEWEST_PANES,
            keys: Vec::new(),
        }
    }

    fn rolled(&self, key: u32) -> Option<Rolled> {
        self.keys.get(key as usize).copied().flatten()
    }

    /// Rolls on to the window `[start, end)`; returns the slot of its totals, if this is on.
    pub(super) fn roll(
        &mut self,
        key: u32,
        state: &KeyPanes,
        window: (i64, i64),
        slots: &mut Slots,
    ) -> Option<u32> {
        if !self.on {
            return None;
        }
        let (start, end) = window;
        let at = key as usize;
        if self.keys.len() <= at {
            self.keys.resize(at + 1, None);
        }
        let known = self.keys.get_mut(at)?;
        if let Some(rolled) = known.filter(|rolled| rolled.to <= start) {
            slots.release(key, rolled.slot);
            *known = None;
        }
        let rolled = known.get_or_insert_with(|| Rolled {
            slot: slots.take(),
            from: start,
            to: start,
        });
        for pane in state.between(rolled.from, start) {
            slots.unroll(key, pane.slot, rolled.slot);
        }
        for pane in state.between(rolled.to, end) {
            slots.roll(key, pane.slot, rolled.slot);
        }
        rolled.from = start;
        rolled.to = end;
        Some(rolled.slot)
    }

    /// The slot that also has to take a row of the pane that starts there.
    pub(super) fn also(&self, key: u32, pane: i64) -> Option<u32> {
        let rolled = self.rolled(key)?;
        (rolled.from <= pane && pane < rolled.to).then_some(rolled.slot)
    }

    /// Takes out a pane that goes.
    pub(super) fn leave(&self, key: u32, pane: Pane, slots: &mut Slots) {
        if let Some(slot) = self.also(key, pane.start) {
            slots.unroll(key, pane.slot, slot);
        }
    }

    /// Gives the slot back when no pane is left in it; `first` is the start of the first pane left.
    pub(super) fn settle(&mut self, key: u32, first: Option<i64>, slots: &mut Slots) {
        let empty = |rolled: &Rolled| first.is_none_or(|first| first >= rolled.to);
        if let Some(rolled) = self.rolled(key).filter(empty) {
            slots.release(key, rolled.slot);
            if let Some(known) = self.keys.get_mut(key as usize) {
                *known = None;
            }
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<Option<Rolled>>()
    }
}
