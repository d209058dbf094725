//! [`Spans`]: windows that lie fixed on the axis of time, with everything that they can be told: cumulating and calendar
//! windows, emission other than on close, empty windows. Tumbling and hopping windows without any of that are
//! [`super::paned`]'s.
//!
//! Invariants, per key: panes do not overlap and none is empty; windows that end at or before `closed_to` are closed;
//! no two windows end together.

mod emit;
mod shape;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::Value;

use super::cell::{Cell, Past, count_skipped};
use super::change::Change;
use super::{EmitMode, Excess, LateRow, RowKey, WindowLimits, WindowOutput, WindowSpec};
use crate::aggregate::RowOrder;
pub(super) use shape::SpanShape;

/// All keys of windows that lie fixed in time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Spans {
    spec: WindowSpec,
    shape: SpanShape,
    limits: WindowLimits,
    keys: Vec<Option<Box<KeySpans>>>,
    deadlines: Vec<i64>,
}

type Arguments = SmallVec<[Value; 1]>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeySpans {
    /// By start.
    panes: BTreeMap<i64, Pane>,
    /// By end.
    told: BTreeMap<i64, Told>,
    past: Past,
    watermark: i64,
    closed_to: i64,
    /// Windows that end at or before this are final because of a limit.
    forced: i64,
    /// Start of the first pane ever: empty windows are told from here on.
    since: Option<i64>,
    /// Empty windows in a row.
    empty: u32,
    /// Panes that changed since they were told, where that is done at set times.
    dirty: BTreeSet<i64>,
    /// The last of the set times.
    last: i64,
    /// Rows that wait for the watermark, where they are taken in row order.
    waiting: BTreeMap<RowOrder, (RowKey, Arguments)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pane {
    end: i64,
    cell: Cell,
}

/// What was said about a window that may be told again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    revision: u32,
    values: Vec<Value>,
}

impl KeySpans {
    fn new(spec: &WindowSpec) -> Self {
        Self {
            panes: BTreeMap::new(),
            told: BTreeMap::new(),
            past: Past::new(&spec.aggregates),
            watermark: i64::MIN,
            closed_to: i64::MIN,
            forced: i64::MIN,
            since: None,
            empty: 0,
            dirty: BTreeSet::new(),
            last: i64::MIN,
            waiting: BTreeMap::new(),
        }
    }

    /// Windows that end at or before this are final.
    fn final_to(&self, spec: &WindowSpec) -> i64 {
        self.watermark
            .saturating_sub(spec.lateness.0)
            .max(self.forced)
    }

    /// The earliest window that ends after a time and has rows, or is to be told without.
    fn next_window(&self, spec: &WindowSpec, shape: &SpanShape, after: i64) -> Option<(i64, i64)> {
        let mut best: Option<(i64, i64)> = None;
        for (start, pane) in &self.panes {
            if best.is_some_and(|best| *start >= best.1) {
                break;
            }
            if let Some(window) = shape.after((*start, pane.end), after)
                && best.is_none_or(|best| window.1 < best.1)
            {
                best = Some(window);
            }
        }
        let fills = spec.mode.fill_limit > self.empty;
        if let Some(since) = self.since.filter(|_| fills)
            && let Some(window) = shape.following(after.max(since))
            && best.is_none_or(|best| window.1 < best.1)
        {
            best = Some(window);
        }
        best
    }
}

impl Spans {
    pub(super) const fn new(spec: WindowSpec, shape: SpanShape, limits: WindowLimits) -> Self {
        Self {
            spec,
            shape,
            limits,
            keys: Vec::new(),
            deadlines: Vec::new(),
        }
    }

    pub(super) fn deadline(&self, key: u32) -> i64 {
        let deadline = self.deadlines.get(key as usize);
        deadline.copied().unwrap_or(i64::MAX)
    }

    fn reach(&mut self, key: u32) {
        let at = key as usize;
        if self.keys.len() <= at {
            self.keys.resize_with(at + 1, || None);
            self.deadlines.resize(at + 1, i64::MAX);
        }
        if let Some(state) = self.keys.get_mut(at) {
            state.get_or_insert_with(|| Box::new(KeySpans::new(&self.spec)));
        }
    }

    pub(super) fn push(
        &mut self,
        key: u32,
        row: &RowKey,
        arguments: &[Value],
        watermark: i64,
        out: &mut WindowOutput,
    ) {
        count_skipped(&self.spec.aggregates, key, arguments, out);
        self.reach(key);
        self.advance(key, watermark, out);
        let limit = self.limits.window_rows.max(1);
        let state = self.keys.get_mut(key as usize);
        let Some(state) = state.and_then(Option::as_deref_mut) else {
            return;
        };
        if self.spec.mode.emit == EmitMode::When && row.time >= state.watermark {
            let kept = (row.clone(), arguments.iter().cloned().collect());
            state.waiting.insert(row.order(), kept);
            if state.waiting.len() > limit {
                state.waiting.pop_first();
                out.excess.push((key, Excess::RowDropped));
            }
            // A row at the watermark is over as soon as it is there.
            state.run(&self.spec, &self.shape, key, out);
        } else {
            let now = state.watermark;
            state.take(&self.spec, &self.shape, (key, now), (row, arguments), out);
        }
        self.enforce_limit(key, out);
        self.update_deadline(key);
    }

    fn enforce_limit(&mut self, key: u32, out: &mut WindowOutput) {
        let limit = self.limits.open_windows.max(1);
        let (spec, shape) = (&self.spec, &self.shape);
        let state = self.keys.get_mut(key as usize);
        let Some(state) = state.and_then(Option::as_deref_mut) else {
            return;
        };
        while state.panes.len() > limit {
            let Some((start, end)) = state.next_window(spec, shape, state.final_to(spec)) else {
                return;
            };
            if end > state.closed_to {
                state.closed_to = end;
                state.tell_closed(spec, key, (start, end), out);
            }
            state.forced = end;
            out.excess.push((key, Excess::WindowDropped));
            state.release(spec, shape);
        }
    }

    fn update_deadline(&mut self, key: u32) {
        let state = self.keys.get(key as usize).and_then(Option::as_deref);
        let deadline = state.map_or(i64::MAX, |state| state.next(&self.spec, &self.shape));
        if let Some(known) = self.deadlines.get_mut(key as usize) {
            *known = deadline;
        }
    }

    pub(super) fn advance(&mut self, key: u32, watermark: i64, out: &mut WindowOutput) {
        let due = watermark >= self.deadline(key);
        let state = self.keys.get_mut(key as usize);
        let Some(state) = state.and_then(Option::as_deref_mut) else {
            return;
        };
        state.watermark = state.watermark.max(watermark);
        if due {
            state.run(&self.spec, &self.shape, key, out);
        }
        state.closed_to = state.closed_to.max(state.closes_to(&self.spec));
        state.pass_multiples(&self.spec);
        if due {
            state.release(&self.spec, &self.shape);
            self.update_deadline(key);
        }
    }

    pub(super) fn forget(&mut self, key: u32) {
        if let Some(state) = self.keys.get_mut(key as usize) {
            *state = None;
        }
        if let Some(deadline) = self.deadlines.get_mut(key as usize) {
            *deadline = i64::MAX;
        }
    }

    pub(super) fn change(&mut self, change: &Change<'_>) {
        for state in self.keys.iter_mut().flatten() {
            state.past.change(change);
            state
                .panes
                .values_mut()
                .for_each(|pane| pane.cell.change(change));
            for told in state.told.values_mut() {
                told.values = change.values(&told.values);
            }
            for (_, arguments) in state.waiting.values_mut() {
                *arguments = change.values(arguments).into();
            }
        }
        self.spec.aggregates = change.aggregates.to_vec();
    }

    pub(super) fn bytes(&self) -> usize {
        let states = self.keys.iter().flatten().map(|state| {
            let panes: usize = state.panes.values().map(|pane| pane.cell.bytes()).sum();
            let told = state.told.len() * (size_of::<Told>() + 32);
            let waiting = state.waiting.len() * (size_of::<(RowKey, Arguments)>() + 32);
            size_of::<KeySpans>() + panes + told + waiting + state.past.bytes()
        });
        states.sum::<usize>()
            + self.keys.capacity() * size_of::<Option<Box<KeySpans>>>()
            + self.deadlines.capacity() * size_of::<i64>()
    }
}

impl KeySpans {
    /// Takes a row into its pane as of a watermark, and tells what it changes.
    fn take(
        &mut self,
        spec: &WindowSpec,
        shape: &SpanShape,
        (key, now): (u32, i64),
        (row, arguments): (&RowKey, &[Value]),
        out: &mut WindowOutput,
    ) {
        let final_to = now.saturating_sub(spec.lateness.0).max(self.forced);
        let time = row.time;
        let windows = shape.windows(time);
        let missed = windows.iter().filter(|window| window.1 <= final_to).count();
        if let Some((start, end)) = windows.first().copied().filter(|_| missed > 0) {
            out.late.push(LateRow {
                key,
                missed: missed as u32,
                of: windows.len() as u32,
                start,
                end,
                time,
                trigger: 0,
            });
            if missed == windows.len() {
                return;
            }
        }
        self.past.add(&spec.aggregates, row, arguments);
        if windows.is_empty() {
            return;
        }
        let (start, end) = shape.pane(time);
        let pane = self.panes.entry(start).or_insert_with(|| Pane {
            end,
            cell: Cell::new(&spec.aggregates),
        });
        pane.cell.add(&spec.aggregates, row, arguments);
        if spec.mode.fill_limit > 0 {
            self.since = Some(self.since.map_or(start, |since| since.min(start)));
        }
        // Data came: empty windows after it are told again.
        self.empty = 0;
        if let EmitMode::Every(_) = spec.mode.emit {
            self.dirty.insert(start);
        }
        for window in windows {
            if window.1 > final_to {
                self.touched(spec, key, window, out);
            }
        }
        self.touched_later(spec, shape, (key, time), out);
    }
}
