//! [`Told`]: how often each window was told, where that is not for the windows to know: rows that `having` hides, and
//! rows that are told when a condition turns true.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::{Value, WindowForm};

use crate::plan::window::WindowPlan;
use crate::window::{EmitMode, WindowRow};

/// A line to tell: its revision, whether it has values, and the end of the window that it names.
pub(crate) type Line = (u32, bool, i64);

/// Rows of one resource are at most so far out of order.
const WEEK: i64 = 7 * 86_400_000;

/// What a row of a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// It is taken back.
    Back,
    /// It is told if the condition on emission has turned true.
    Probe,
    /// It is told.
    Row,
}

/// How the book is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Book {
    /// Whether windows with one start differ by their ends.
    by_end: bool,
    /// Windows that end so long before another are not told any more.
    keep: i64,
    retract: bool,
    /// Whether a row that says what stands already is told again.
    repeat_equal: bool,
}

impl Book {
    /// How it is kept for a rule.
    pub(crate) fn of(plan: &WindowPlan) -> Self {
        let (by_end, reach) = match plan.form {
            WindowForm::Tumbling { size, .. }
            | WindowForm::Hopping { size, .. }
            | WindowForm::Sliding { size, .. }
            | WindowForm::Cumulate { size, .. } => (true, size.0),
            WindowForm::Calendar(_) => (true, WEEK),
            WindowForm::Session { gap, max, .. } => (false, max.map_or(gap.0, |max| max.0)),
            WindowForm::Count { .. } | WindowForm::State(_) | WindowForm::Global { .. } => {
                (false, WEEK)
            }
        };
        let early = match plan.mode.emit {
            EmitMode::OnClose | EmitMode::Final => 0,
            EmitMode::OnChange | EmitMode::Every(_) | EmitMode::When => WEEK,
        };
        Self {
            by_end,
            keep: reach.saturating_add(plan.lateness.0).saturating_add(early),
            retract: plan.retract,
            repeat_equal: plan.mode.repeat_equal,
        }
    }
}

/// What was told of one window.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Entry {
    revision: u32,
    /// Whether a row stands.
    stands: bool,
    /// Whether the condition on emission was true after the last row.
    met: bool,
    end: i64,
    /// What the row that stands says, and of which end.
    told: (i64, Vec<Value>),
}

/// How often each window was told, and whether a row stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    /// By key, end (where windows differ by it), start and row (where there is one for every row).
    rows: BTreeMap<(u32, i64, i64, u64), Entry>,
}

impl Told {
    /// Revisions to tell, and whether each has values; `shown`: whether it may be shown, and whether the condition on
    /// emission is met.
    pub(crate) fn revise(
        &mut self,
        book: &Book,
        kind: Telling,
        row: &WindowRow,
        (shown, met): (bool, bool),
    ) -> SmallVec<[Line; 2]> {
        self.forget(row.key, row.end.saturating_sub(book.keep));
        let end = if book.by_end { row.end } else { 0 };
        let entry = self
            .rows
            .entry((row.key, end, row.start, row.of_row))
            .or_default();
        entry.end = row.end;
        let mut lines = SmallVec::new();
        let mut say = |entry: &mut Entry, stands: bool| {
            entry.revision += 1;
            entry.stands = stands;
            let end = if stands { row.end } else { entry.told.0 };
            lines.push((entry.revision, stands, end));
        };
        let same = entry.stands && entry.told.1 == row.values && entry.told.0 == row.end;
        let repeats = same && !book.repeat_equal;
        let turned = !entry.met && met;
        if kind == Telling::Probe {
            entry.met = met;
        }
        match kind {
            Telling::Probe if !turned || !shown => {}
            Telling::Probe | Telling::Row if shown && repeats => {}
            Telling::Back if !entry.stands => {}
            Telling::Back => say(entry, false),
            Telling::Row if !shown => {
                if entry.stands {
                    say(entry, false);
                }
            }
            Telling::Probe | Telling::Row => {
                if entry.stands && book.retract {
                    say(entry, false);
                }
                say(entry, true);
                entry.told = (row.end, row.values.clone());
            }
        }
        lines
    }

    /// Lets windows of a key go that end before a time.
    pub(crate) fn forget(&mut self, key: u32, before: i64) {
        let all = self
            .rows
            .range((key, i64::MIN, i64::MIN, 0)..=(key, i64::MAX, i64::MAX, u64::MAX));
        let over = all.take_while(|(place, entry)| place.1 == 0 || entry.end < before);
        let over: Vec<_> = over
            .filter(|(_, entry)| entry.end < before)
            .map(|(place, _)| *place)
            .collect();
        for place in over {
            self.rows.remove(&place);
        }
    }
}
