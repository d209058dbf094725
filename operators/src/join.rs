//! [`Joined`]: rows of two streams that wait for each other, by key: pairs within an interval, within a window, as of.
//!
//! Pure: rows come with the time of the task, pairs go out. What is told of a pair is the pipeline's part.

mod asof;
mod interval;
#[cfg(test)]
mod tests;
mod waits;
mod windowed;

pub use self::waits::Lack;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, JoinKind, JoinWithin, Value};

use crate::timer::IDLE;

/// What rows must have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum JoinKey {
    /// The resource.
    Resource(u32),
    /// Equal values: text that is equal for equal ones, and as it is printed.
    Values(Arc<str>, Arc<str>),
    /// Nothing: a value is missing, so the row, known by its number, has no partner.
    Nothing(u64, Arc<str>),
}

/// Values by name.
pub(crate) type Columns = Vec<(Arc<str>, Value)>;

/// A row of a side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct JoinRow {
    pub(crate) time: i64,
    /// Its place among all rows: the same on both sides for one event.
    pub(crate) number: u64,
    pub(crate) resource: u32,
    pub(crate) event: EventRef,
    /// What formulas ask for.
    pub(crate) values: Vec<Value>,
    /// All that it carries, by name, of a join without `emit`.
    pub(crate) all: Columns,
}

/// A pair, or a row without a partner.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) key: JoinKey,
    pub(crate) left: Option<Arc<JoinRow>>,
    pub(crate) right: Option<Arc<JoinRow>>,
    pub(crate) time: i64,
    pub(crate) window: Option<(i64, i64)>,
    /// Whether it is taken back: a row that was told without a partner has one.
    pub(crate) back: bool,
    /// Record that made it.
    pub(crate) record: u32,
}

/// What came of a row or of time.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) pairs: Vec<Pair>,
    /// Rows whose wait was over when they came, with the record that brought them.
    pub(crate) late: Vec<(JoinKey, Arc<JoinRow>, u32)>,
    /// Rows that were let go early because too many waited.
    pub(crate) dropped: u64,
}

/// How a join pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JoinRules {
    pub(crate) kind: JoinKind,
    pub(crate) within: JoinWithin,
    pub(crate) eager: bool,
    pub(crate) own_pairs: bool,
    pub(crate) lateness: i64,
    /// Rows come in row order, once the task's time has passed them.
    pub(crate) ordered: bool,
    /// Most rows per key and side.
    pub(crate) most: usize,
}

/// A row that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Waits {
    row: Arc<JoinRow>,
    /// It had a partner, or was told without one.
    told: bool,
}

/// Rows of a side of a key, in their order.
type Side = BTreeMap<(i64, u64), Waits>;

/// Rows of a key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Keyed {
    left: Side,
    right: Side,
}

impl Keyed {
    const fn side(&mut self, left: bool) -> &mut Side {
        if left {
            &mut self.left
        } else {
            &mut self.right
        }
    }

    fn is_empty(&self) -> bool {
        self.left.is_empty() && self.right.is_empty()
    }
}

/// When the wait of a row is over: time, whether it is a left one, key, place on its side.
type Expiry = (i64, bool, JoinKey, (i64, u64));

/// Rows of one window of a key, left and right.
type Gathered = [Vec<Arc<JoinRow>>; 2];

/// Rows that wait for partners.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Joined {
    keys: BTreeMap<JoinKey, Keyed>,
    expiries: BTreeSet<Expiry>,
    /// Windows that are open, by end, key and start.
    windows: BTreeMap<(i64, JoinKey, i64), Gathered>,
    /// Windows that were told and still take rows.
    told: BTreeMap<(i64, JoinKey, i64), Gathered>,
    rows: usize,
}

/// Whether a row comes, and what with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Coming {
    pub(crate) left: bool,
    /// Time of the task.
    pub(crate) water: i64,
    pub(crate) record: u32,
    /// Bounds of the window that a line of a rule is of.
    pub(crate) window: Option<(i64, i64)>,
}

impl Joined {
    /// Takes a row of a side.
    pub(crate) fn take(
        &mut self,
        rules: &JoinRules,
        (key, row): (JoinKey, JoinRow),
        coming: Coming,
        found: &mut Findings,
    ) {
        let row = Arc::new(row);
        match rules.within {
            JoinWithin::Interval { before, after } => {
                self.take_interval(rules, (before, after), (key, row), coming, found);
            }
            JoinWithin::Window { size, offset, .. } => {
                let window = tumbling(row.time, size.0, offset);
                self.take_window(rules, window, (key, row), coming, found);
            }
            JoinWithin::Same => {
                if let Some(window) = coming.window {
                    self.take_window(rules, window, (key, row), coming, found);
                }
            }
            JoinWithin::AsOf { .. } => self.take_asof(rules, (key, row), coming, found),
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(
        &mut self,
        rules: &JoinRules,
        water: i64,
        record: u32,
        found: &mut Findings,
    ) {
        match rules.within {
            JoinWithin::Interval { .. } => self.pass_interval(rules, water, record, found),
            JoinWithin::Window { .. } | JoinWithin::Same => {
                self.pass_window(rules, water, record, found);
            }
            JoinWithin::AsOf { .. } => self.pass_asof(rules, water, record, found),
        }
    }

    /// The next time at which something is due without a row.
    pub(crate) fn deadline(&self) -> i64 {
        let wait = self.expiries.first();
        let wait = wait.map_or(IDLE, |(time, ..)| time.saturating_add(1));
        let end = self.windows.first_key_value();
        wait.min(end.map_or(IDLE, |((end, ..), _)| *end))
    }

    /// Rows that are kept.
    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// Keeps a row of a side; answers with the oldest if there are too many now.
    fn keep(
        &mut self,
        rules: &JoinRules,
        (key, row): (&JoinKey, &Arc<JoinRow>),
        (left, told): (bool, bool),
    ) -> Option<Waits> {
        let keyed = self.keys.entry(key.clone()).or_default();
        let side = keyed.side(left);
        let waits = Waits {
            row: Arc::clone(row),
            told,
        };
        side.insert((row.time, row.number), waits);
        self.rows += 1;
        if side.len() <= rules.most {
            return None;
        }
        self.rows -= 1;
        side.pop_first().map(|(_, oldest)| oldest)
    }

    /// Takes out a row of a side, and its key with the last one.
    fn remove(&mut self, key: &JoinKey, left: bool, place: (i64, u64)) -> Option<Waits> {
        let keyed = self.keys.get_mut(key)?;
        let removed = keyed.side(left).remove(&place);
        self.rows -= usize::from(removed.is_some());
        if keyed.is_empty() {
            self.keys.remove(key);
        }
        removed
    }
}

impl JoinRow {
    const fn place(&self) -> (i64, u64) {
        (self.time, self.number)
    }
}

/// A row without a partner.
fn alone(key: &JoinKey, row: &Arc<JoinRow>, left: bool, record: u32) -> Pair {
    let (of_left, of_right) = if left {
        (Some(Arc::clone(row)), None)
    } else {
        (None, Some(Arc::clone(row)))
    };
    Pair {
        key: key.clone(),
        left: of_left,
        right: of_right,
        time: row.time,
        window: None,
        back: false,
        record,
    }
}

/// The tumbling window of a time.
const fn tumbling(time: i64, size: i64, offset: i64) -> (i64, i64) {
    let size = if size < 1 { 1 } else { size };
    let since = time.saturating_sub(offset);
    let start = since.div_euclid(size).saturating_mul(size);
    let start = start.saturating_add(offset);
    (start, start.saturating_add(size))
}
