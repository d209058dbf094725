//! States whose answer changes with time alone: [`Held`] (`held`, `since` of a condition) and [`Stale`] (`stale`,
//! `silent`). Each tells the next moment at which its answer changes without a row.

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

/// How long a condition has been true without a break. A row older than the last known one is skipped and counted; an
/// unknown condition changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    span: i64,
    keys: Vec<HeldKey>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct HeldKey {
    /// When the unbroken true run began.
    since: Option<i64>,
    last: i64,
    out_of_order: u64,
}

const NEVER: HeldKey = HeldKey {
    since: None,
    last: i64::MIN,
    out_of_order: 0,
};

impl Held {
    /// No rows yet; held means true for at least `span` ms.
    #[must_use]
    pub const fn new(span: i64) -> Self {
        Self {
            span,
            keys: Vec::new(),
        }
    }

    fn state(&self, key: u32) -> HeldKey {
        self.keys.get(key as usize).copied().unwrap_or(NEVER)
    }

    /// Takes the condition at a row. `false`: the row is older than the last one and was skipped.
    pub fn insert(&mut self, key: u32, time: i64, condition: Option<bool>) -> bool {
        let Some(condition) = condition else {
            return true;
        };
        let at = key as usize;
        if self.keys.len() <= at {
            self.keys.resize(at + 1, NEVER);
        }
        let Some(state) = self.keys.get_mut(at) else {
            return false;
        };
        if time < state.last {
            state.out_of_order += 1;
            return false;
        }
        state.last = time;
        state.since = condition.then(|| state.since.unwrap_or(time));
        true
    }

    /// `held`: whether the condition has been true for the span at a time; also true at since + span exactly.
    #[must_use]
    pub fn held(&self, key: u32, at: i64) -> bool {
        let due = self
            .state(key)
            .since
            .map(|since| since.saturating_add(self.span));
        due.is_some_and(|due| at >= due)
    }

    /// `since`: seconds since the condition last turned true, `()` if it is not.
    #[must_use]
    pub fn since(&self, key: u32, at: i64) -> Value {
        let since = self.state(key).since;
        since.map_or(Value::Missing, |since| {
            Value::number(at.saturating_sub(since) as f64 / 1000.0)
        })
    }

    /// When the condition last turned true, if it still is.
    pub(crate) fn began(&self, key: u32) -> Option<i64> {
        self.state(key).since
    }

    /// The first time after `after` at which `held` turns true by itself.
    #[must_use]
    pub fn next_change(&self, key: u32, after: i64) -> Option<i64> {
        let due = self.state(key).since?.saturating_add(self.span);
        (due > after).then_some(due)
    }

    /// Rows of a key that were skipped because they were older than the last one.
    #[must_use]
    pub fn out_of_order(&self, key: u32) -> u64 {
        self.state(key).out_of_order
    }

    /// Drops everything of a key.
    pub fn forget(&mut self, key: u32) {
        if let Some(state) = self.keys.get_mut(key as usize) {
            *state = NEVER;
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.keys.capacity() * size_of::<HeldKey>()
    }
}

/// Whether the last row is too long ago.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stale {
    span: i64,
    /// Time of the last row; `i64::MIN`: none.
    last: Vec<i64>,
    /// When the task started, which counts until the first row.
    started: Vec<i64>,
}

/// The cell of a key, which may be new.
fn of_key(cells: &mut Vec<i64>, key: u32) -> Option<&mut i64> {
    let at = key as usize;
    if cells.len() <= at {
        cells.resize(at + 1, i64::MIN);
    }
    cells.get_mut(at)
}

impl Stale {
    /// No rows yet; stale means no row for `span` ms.
    #[must_use]
    pub const fn new(span: i64) -> Self {
        Self {
            span,
            last: Vec::new(),
            started: Vec::new(),
        }
    }

    /// The task of a key starts: without a row, its age counts from here.
    pub fn start(&mut self, key: u32, time: i64) {
        if let Some(started) = of_key(&mut self.started, key) {
            *started = time;
        }
    }

    /// Takes a row. `false`: it is older than the last one and changes nothing.
    pub fn insert(&mut self, key: u32, time: i64) -> bool {
        match of_key(&mut self.last, key) {
            Some(last) if time >= *last => {
                *last = time;
                true
            }
            _ => false,
        }
    }

    fn due(&self, key: u32) -> Option<i64> {
        let cells = [&self.last, &self.started].into_iter();
        let mut known = cells.filter_map(|cells| cells.get(key as usize).copied());
        let from = known.find(|time| *time != i64::MIN)?;
        Some(from.saturating_add(self.span))
    }

    /// Whether the last row is at least the span ago; also true at last + span exactly. Before any start: false.
    #[must_use]
    pub fn stale(&self, key: u32, at: i64) -> bool {
        self.due(key).is_some_and(|due| at >= due)
    }

    /// The first time after `after` at which `stale` turns true by itself.
    #[must_use]
    pub fn next_change(&self, key: u32, after: i64) -> Option<i64> {
        self.due(key).filter(|due| *due > after)
    }

    /// Drops everything of a key.
    pub fn forget(&mut self, key: u32) {
        for cells in [&mut self.last, &mut self.started] {
            if let Some(cell) = cells.get_mut(key as usize) {
                *cell = i64::MIN;
            }
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        (self.last.capacity() + self.started.capacity()) * size_of::<i64>()
    }
}
