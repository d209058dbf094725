//! Keyed windows: what they are ([`WindowSpec`]), what comes out of them ([`WindowOutput`]) and the operator
//! ([`Windows`]) that runs all keys of one rule at once.
//!
//! Tumbling and hopping windows are made of panes (`paned`): a row touches one pane, a close merges a few. Sliding
//! windows keep their rows (`sliding`).

mod block;
mod cell;
mod change;
mod layout;
mod ordered;
mod paned;
mod panes;
mod rolling;
mod sessions;
mod shape;
mod sliding;
mod slots;
mod spans;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventBatch, EventRef, Span, Value, WindowForm, Zone};

use crate::aggregate::{AggregateKind, RowOrder};
use ordered::Ordered;
use paned::Paned;
use sessions::Sessions;
use sliding::{Shape, Sliding};
use spans::{SpanShape, Spans};

/// What windows a rule asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowSpec {
    /// Form and size.
    pub form: WindowForm,
    /// How long after its close a window still takes rows.
    pub lateness: Span,
    /// One per distinct aggregate call of the rule.
    pub aggregates: Vec<AggregateKind>,
    /// What each of them takes of a row; one that is not here takes a value of its own.
    pub arguments: Vec<Argument>,
    /// Everything that has a default.
    pub mode: WindowMode,
}

/// What an aggregate takes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Argument {
    /// The row itself, every row: `count()`.
    Row,
    /// A value. Aggregates of one number take the same value of every row.
    Value(u32),
}

/// When results of windows are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EmitMode {
    /// At close, and corrections within lateness.
    #[default]
    OnClose,
    /// Once, when lateness is over.
    Final,
    /// After each row.
    OnChange,
    /// At multiples of so many ms where something changed, and at close if something changed since.
    Every(i64),
    /// After each row in row order, as [`WindowOutput::probes`]: someone else decides what is told.
    When,
}

/// What windows can be told besides form and lateness.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowMode {
    /// When results are told.
    pub emit: EmitMode,
    /// Shift of the multiples of [`EmitMode::Every`].
    pub offset: i64,
    /// Whether closing tells too, with [`EmitMode::When`].
    pub also_close: bool,
    /// How many windows without rows are told in a row; 0: none.
    pub fill_limit: u32,
    /// Whether an equal result is a revision too.
    pub repeat_equal: bool,
    /// Zone of calendar windows.
    pub zone: Option<Zone>,
    /// Which argument of a row begins a state, or is it.
    pub start: Option<u32>,
    /// Which argument of a row ends a state.
    pub end: Option<u32>,
}

impl WindowMode {
    /// Whether nothing but the start and end of states is asked for.
    fn is_plain(&self) -> bool {
        self.emit == EmitMode::OnClose && self.fill_limit == 0 && !self.repeat_equal
    }
}

/// How much one key may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowLimits {
    /// Windows that are not final and have rows; beyond it the oldest is closed and final.
    pub open_windows: usize,
    /// Rows of forms that keep rows; beyond it the oldest leaves.
    pub window_rows: usize,
}

impl Default for WindowLimits {
    fn default() -> Self {
        Self {
            open_windows: 10_000,
            window_rows: 100_000,
        }
    }
}

/// A row: when it happened, where it stands in the log, what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowKey {
    /// Event time in ms.
    pub time: i64,
    /// Log order; no two rows of a key share one.
    pub sequence: u64,
    /// The event, for causes.
    pub event: EventRef,
}

impl RowKey {
    pub(crate) const fn order(&self) -> RowOrder {
        RowOrder {
            time: self.time,
            sequence: self.sequence,
        }
    }
}

/// One result of one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowRow {
    /// Key of the window.
    pub key: u32,
    /// Start as printed.
    pub start: i64,
    /// End as printed, and the time of the result.
    pub end: i64,
    /// The end under which the result before this one was told, where ends move; otherwise `end`.
    pub was: i64,
    /// 1 for the first result of the window, then 2, 3 …
    pub revision: u32,
    /// One per aggregate of the spec.
    pub values: Vec<Value>,
    /// First row of the window in row order.
    pub first: EventRef,
    /// Last row of the window in row order.
    pub last: EventRef,
    /// Rows in the window.
    pub rows: u64,
    /// Log order of the row that the window is of, where there is one for every row; 0 otherwise.
    pub of_row: u64,
    /// Which row of `push_numbers` made it: an index into its columns; 0 otherwise.
    pub trigger: u32,
}

/// A row that came too late for at least one of its windows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateRow {
    /// Its key.
    pub key: u32,
    /// Windows that it missed.
    pub missed: u32,
    /// Windows that it belongs to.
    pub of: u32,
    /// Start of the earliest missed window.
    pub start: i64,
    /// End of the earliest missed window.
    pub end: i64,
    /// Its own time.
    pub time: i64,
    /// Which row of `push_numbers` it was: an index into its columns; 0 otherwise.
    pub trigger: u32,
}

/// What is counted on the task because it was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Excess {
    /// A value of a type that the aggregate skips.
    TypeSkipped,
    /// A row that left early because of `window_rows`.
    RowDropped,
    /// A window that was closed and made final early because of `open_windows`.
    WindowDropped,
    /// A state window that was shorter than its least length.
    WindowTooShort,
}

/// What windows have to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowOutput {
    /// Results, for one key by end, then start.
    pub rows: Vec<WindowRow>,
    /// Results that are taken back: told before `rows`, without values.
    pub back: Vec<WindowRow>,
    /// What windows hold after a row; their revisions mean nothing.
    pub probes: Vec<WindowRow>,
    /// Rows that missed windows.
    pub late: Vec<LateRow>,
    /// Key and what is to be counted for it, once for each occurrence.
    pub excess: Vec<(u32, Excess)>,
}

impl WindowOutput {
    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.back.is_empty()
            && self.probes.is_empty()
            && self.late.is_empty()
            && self.excess.is_empty()
    }

    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.back.clear();
        self.probes.clear();
        self.late.clear();
        self.excess.clear();
    }
}

/// Rows for `push_numbers`, in log order. All slices have one entry per row, `columns` one slice per aggregate.
#[derive(Clone, Copy, Debug)]
pub struct NumberRows<'a> {
    /// Where the rows are: their times and causes.
    pub events: &'a EventBatch,
    /// Index of each row in `events`.
    pub rows: &'a [u32],
    /// Key of each row.
    pub keys: &'a [u32],
    /// Log order of each row.
    pub sequences: &'a [u64],
    /// Watermark of the key after each row moved it.
    pub watermarks: &'a [i64],
    /// Per aggregate the number of each row; NaN: the aggregate does not take the row.
    pub columns: &'a [&'a [f64]],
}

impl NumberRows<'_> {
    fn row_key(&self, index: usize) -> RowKey {
        let row = self.rows.get(index).map_or(usize::MAX, |row| *row as usize);
        RowKey {
            time: self.events.time.get(row).copied().unwrap_or_default(),
            sequence: self.sequences.get(index).copied().unwrap_or_default(),
            event: self.events.event_ref(row),
        }
    }

    fn arguments(&self, index: usize, out: &mut Vec<Value>) {
        out.clear();
        let cell = |column: &&[f64]| column.get(index).copied().unwrap_or(f64::NAN);
        out.extend(
            self.columns
                .iter()
                .map(|column| Value::number(cell(column))),
        );
    }
}

/// The windows of all keys of one rule. Its serde form is its snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Windows {
    form: Form,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Form {
    Paned(Box<Paned>),
    Sliding(Box<Sliding>),
    Sessions(Box<Sessions>),
    Ordered(Box<Ordered>),
    Spans(Box<Spans>),
}

/// The same work on whatever the form is.
macro_rules! each {
    ($form:expr, $windows:ident => $work:expr) => {
        match $form {
            Form::Paned($windows) => $work,
            Form::Sliding($windows) => $work,
            Form::Sessions($windows) => $work,
            Form::Ordered($windows) => $work,
            Form::Spans($windows) => $work,
        }
    };
}

impl Windows {
    /// No rows yet, the usual limits.
    #[must_use]
    pub fn new(spec: WindowSpec) -> Self {
        Self::with_limits(spec, WindowLimits::default())
    }

    /// No rows yet.
    #[must_use]
    pub fn with_limits(spec: WindowSpec, limits: WindowLimits) -> Self {
        let plain = spec.mode.is_plain();
        let form = match spec.form {
            WindowForm::Tumbling { size, offset } if plain => {
                Form::Paned(Box::new(Paned::new(spec, (size.0, size.0, offset), limits)))
            }
            WindowForm::Hopping {
                size,
                every,
                offset,
            } if plain => Form::Paned(Box::new(Paned::new(
                spec,
                (size.0, every.0, offset),
                limits,
            ))),
            WindowForm::Sliding {
                size,
                closed,
                per_row,
            } => {
                let shape = Shape::new(size.0, closed, per_row);
                Form::Sliding(Box::new(Sliding::new(spec, shape, limits)))
            }
            WindowForm::Session { gap, max, join } => {
                let shape = (gap.0, max.map(|max| max.0), join);
                Form::Sessions(Box::new(Sessions::new(spec, shape, limits)))
            }
            _ => Self::fixed_or_ordered(spec, limits),
        };
        Self { form }
    }

    fn fixed_or_ordered(spec: WindowSpec, limits: WindowLimits) -> Form {
        let cut = match spec.mode.emit {
            EmitMode::Every(every) => Some((every, spec.mode.offset)),
            _ => None,
        };
        match SpanShape::new(spec.form, spec.mode.zone.as_ref(), cut) {
            Some(shape) => Form::Spans(Box::new(Spans::new(spec, shape, limits))),
            None => Form::Ordered(Box::new(Ordered::new(spec, limits))),
        }
    }

    /// With [`EmitMode::When`] and a global window: lets one row be taken that is due; whether there was one.
    pub fn step(&mut self, key: u32, out: &mut WindowOutput) -> bool {
        match &mut self.form {
            Form::Ordered(ordered) => ordered.step(key, out),
            _ => false,
        }
    }

    /// Begins a global window anew.
    pub fn reset(&mut self, key: u32) {
        if let Form::Ordered(ordered) = &mut self.form {
            ordered.reset(key);
        }
    }

    /// One row of a key. `arguments` has one value per aggregate; `Missing`: that aggregate does not take the row.
    /// `watermark` is that of the key after this row moved it; windows that are due at it are closed first, if they
    /// were not by [`Windows::advance`].
    pub fn push(
        &mut self,
        key: u32,
        row: &RowKey,
        arguments: &[Value],
        watermark: i64,
        out: &mut WindowOutput,
    ) {
        each!(&mut self.form, windows => windows.push(key, row, arguments, watermark, out));
    }

    /// Many rows with numbers alone. The same as one [`Windows::advance`] and one [`Windows::push`] per row; outputs
    /// carry the index of the row that made them.
    pub fn push_numbers(&mut self, rows: &NumberRows<'_>, out: &mut WindowOutput) {
        if let Form::Paned(paned) = &mut self.form {
            return paned.push_numbers(rows, out);
        }
        let mut arguments = Vec::new();
        for (index, key) in rows.keys.iter().enumerate() {
            let watermark = rows.watermarks.get(index).copied().unwrap_or(i64::MIN);
            rows.arguments(index, &mut arguments);
            let mark = out.mark();
            self.push(*key, &rows.row_key(index), &arguments, watermark, out);
            out.trigger_since(mark, index);
        }
    }

    /// The least watermark at which [`Windows::advance`] would do anything for a key; `i64::MAX`: never.
    #[must_use]
    pub fn deadline(&self, key: u32) -> i64 {
        each!(&self.form, windows => windows.deadline(key))
    }

    /// Closes the windows of a key that are due at a watermark and lets go what is final.
    pub fn advance(&mut self, key: u32, watermark: i64, out: &mut WindowOutput) {
        each!(&mut self.form, windows => windows.advance(key, watermark, out));
    }

    /// Drops everything of a key without a word.
    pub fn forget(&mut self, key: u32) {
        each!(&mut self.form, windows => windows.forget(key));
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        each!(&self.form, windows => windows.bytes())
    }
}

/// How much of each kind an output has.
pub(crate) type Mark = [usize; 4];

impl WindowOutput {
    pub(crate) fn mark(&self) -> Mark {
        [
            self.rows.len(),
            self.back.len(),
            self.probes.len(),
            self.late.len(),
        ]
    }

    pub(crate) fn trigger_since(&mut self, mark: Mark, index: usize) {
        let trigger = index as u32;
        self.map_triggers(mark, |_| trigger);
    }

    /// Says anew which row made everything since a mark.
    pub(crate) fn map_triggers(&mut self, mark: Mark, trigger: impl Fn(u32) -> u32) {
        let [rows, back, probes, late] = mark;
        let told = self.rows.iter_mut().skip(rows);
        let told = told.chain(self.back.iter_mut().skip(back));
        let told = told.chain(self.probes.iter_mut().skip(probes));
        told.for_each(|row| row.trigger = trigger(row.trigger));
        let late = self.late.iter_mut().skip(late);
        late.for_each(|row| row.trigger = trigger(row.trigger));
    }
}

/// What was said about a window that may still be corrected.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    /// Start of the window; sliding: its end, and the row that it is of where there is one for every row.
    at: (i64, u64),
    revision: u32,
    values: Vec<Value>,
}

/// The revision under which these values of the window are to be told, if they differ from what was told last.
fn tell(told: &mut Vec<Told>, at: (i64, u64), values: &[Value]) -> Option<u32> {
    let place = told.partition_point(|known| known.at < at);
    match told.get_mut(place).filter(|known| known.at == at) {
        Some(known) if known.values == values => None,
        Some(known) => {
            known.revision += 1;
            known.values = values.to_vec();
            Some(known.revision)
        }
        None => {
            let values = values.to_vec();
            let revision = 1;
            told.insert(
                place,
                Told {
                    at,
                    revision,
                    values,
                },
            );
            Some(1)
        }
    }
}
