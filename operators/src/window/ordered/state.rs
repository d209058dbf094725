//! [`Stating`]: windows while a condition holds, or while a value stays the same.

use serde::{Deserialize, Serialize};
use tidegate_proto::{StateWindow, Value, WindowForm};

use super::super::cell::Cell;
use super::super::change::Change;
use super::super::{Excess, RowKey, WindowSpec};
use super::Work;

/// The window at hand.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Stating {
    open: Option<Open>,
    /// What `start` last said, or the last value of `of`.
    last: Value,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Open {
    start: i64,
    cell: Cell,
    /// Whether `start` has stayed true for long enough.
    sure: bool,
}

fn form(spec: &WindowSpec) -> Option<StateWindow> {
    match spec.form {
        WindowForm::State(state) => Some(state),
        _ => None,
    }
}

fn truth(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(truth) => Some(*truth),
        _ => None,
    }
}

/// What a row says of the state.
struct Signals {
    start: Value,
    end: Option<bool>,
}

impl Signals {
    fn of(spec: &WindowSpec, arguments: &[Value]) -> Self {
        let value = |place: Option<u32>| {
            let value = place.and_then(|place| arguments.get(place as usize));
            value.cloned().unwrap_or_default()
        };
        Self {
            start: value(spec.mode.start),
            end: truth(&value(spec.mode.end)),
        }
    }
}

impl Stating {
    pub(super) fn timer(&self, spec: &WindowSpec) -> i64 {
        let (Some(open), Some(form)) = (&self.open, form(spec)) else {
            return i64::MAX;
        };
        if !open.sure {
            return open.start.saturating_add(form.true_for.0);
        }
        form.max
            .map_or(i64::MAX, |max| open.start.saturating_add(max.0))
    }

    pub(super) fn fire(&mut self, work: &mut Work<'_>, at: i64) {
        let Some(form) = form(work.spec) else {
            return;
        };
        if let Some(open) = self.open.as_mut().filter(|open| !open.sure) {
            open.sure = true;
            return;
        }
        self.close(work, &form, (at, at));
        let goes_on = if form.of {
            !self.last.is_missing()
        } else {
            self.last == Value::Bool(true)
        };
        if goes_on {
            self.begin(work.spec, at, form.true_for.0 == 0);
        }
    }

    fn begin(&mut self, spec: &WindowSpec, start: i64, sure: bool) {
        self.open = Some(Open {
            start,
            cell: Cell::new(&spec.aggregates),
            sure,
        });
    }

    /// Closes the window; `end` as printed, and the time up to which its values are in force.
    fn close(&mut self, work: &mut Work<'_>, form: &StateWindow, (end, until): (i64, i64)) {
        let Some(open) = self.open.take().filter(|open| open.sure) else {
            return;
        };
        if end.saturating_sub(open.start) < form.min.0 {
            work.out.excess.push((work.key, Excess::WindowTooShort));
            return;
        }
        let kinds = &work.spec.aggregates;
        let values = open.cell.values(kinds, (open.start, until), work.past);
        let row = open.cell.row(work.key, (open.start, end), (1, values));
        work.out.rows.push(row);
    }

    pub(super) fn take(&mut self, work: &mut Work<'_>, row: &RowKey, arguments: &[Value]) {
        let Some(form) = form(work.spec) else {
            return;
        };
        let signals = Signals::of(work.spec, arguments);
        let ends = self.ends(&form, &signals);
        let kinds = &work.spec.aggregates;
        if ends && let Some(open) = &mut self.open {
            if !open.sure {
                self.open = None;
            } else if form.include_end {
                open.cell.add(kinds, row, arguments);
                self.close(work, &form, (row.time, row.time.saturating_add(1)));
                self.remember(&form, signals.start);
                return;
            } else {
                self.close(work, &form, (row.time, row.time));
            }
        }
        let begins = if form.of {
            !signals.start.is_missing()
        } else {
            signals.start == Value::Bool(true)
        };
        if self.open.is_none() && begins {
            self.begin(work.spec, row.time, form.true_for.0 == 0);
        }
        if let Some(open) = &mut self.open {
            open.cell.add(kinds, row, arguments);
        }
        self.remember(&form, signals.start);
    }

    fn remember(&mut self, form: &StateWindow, start: Value) {
        if form.of {
            if !start.is_missing() {
                self.last = start;
            }
        } else if truth(&start).is_some() {
            self.last = start;
        }
    }

    /// Whether a row ends the window at hand.
    fn ends(&self, form: &StateWindow, signals: &Signals) -> bool {
        let Some(open) = &self.open else {
            return false;
        };
        if form.of {
            return !signals.start.is_missing() && !same(&signals.start, &self.last);
        }
        let stops = truth(&signals.start) == Some(false);
        if form.ends && open.sure {
            signals.end == Some(true)
        } else {
            stops || (form.ends && signals.end == Some(true))
        }
    }

    pub(super) fn oldest(&self) -> Option<i64> {
        self.open.as_ref().map(|open| open.start)
    }

    pub(super) fn change(&mut self, change: &Change<'_>) {
        if let Some(open) = &mut self.open {
            open.cell.change(change);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.cell.bytes())
    }
}

/// 1 and 1.0 are the same number.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Int(_) | Value::Number(_), Value::Int(_) | Value::Number(_)) => {
            left.as_number() == right.as_number()
        }
        _ => left == right,
    }
}
