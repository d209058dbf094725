//! [`Paned`]: tumbling and hopping windows. A pane is as wide as the greatest common divisor of size and step.
//!
//! Invariants, per key: panes rise by start and none is empty; every window whose end is at or before `closed_to` is
//! closed; every window whose end is at or before `final_to` is final and its panes may be gone.

mod change;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::panes::{KeyPanes, Pane};
use super::rolling::Rolling;
use super::shape::Shape;
use super::slots::Slots;
use super::{
    Excess, LateRow, NumberRows, RowKey, Told, WindowLimits, WindowOutput, WindowRow, WindowSpec,
    tell,
};
use crate::aggregate::{AggregateKind, Ends};

/// How many panes are looked through for a row that is a little out of order.
const NEWEST_PANES: usize = 4;

/// All keys of tumbling or hopping windows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Paned {
    spec: WindowSpec,
    shape: Shape,
    limit: usize,
    keys: Vec<KeyPanes>,
    deadlines: Vec<i64>,
    slots: Slots,
    rolling: Rolling,
    /// Per `Latest` aggregate: its index, and by key its value in panes that are gone.
    older: Vec<(u32, Vec<Ends>)>,
}

impl Paned {
    /// `form` is size, step and offset.
    pub(super) fn new(spec: WindowSpec, form: (i64, i64, i64), limits: WindowLimits) -> Self {
        let shape = Shape::new(form.0, form.1, form.2);
        let latest = spec.aggregates.iter().enumerate();
        let older = latest
            .filter(|(_, kind)| **kind == AggregateKind::Latest)
            .map(|(index, _)| (index as u32, Vec::new()));
        Self {
            older: older.collect(),
            slots: Slots::new(&spec.aggregates),
            rolling: Rolling::new(shape.size / shape.width),
            shape,
            limit: limits.open_windows.max(1),
            keys: Vec::new(),
            deadlines: Vec::new(),
            spec,
        }
    }

    fn lateness(&self) -> i64 {
        self.spec.lateness.0
    }

    pub(super) fn deadline(&self, key: u32) -> i64 {
        self.deadlines
            .get(key as usize)
            .copied()
            .unwrap_or(i64::MAX)
    }

    fn reach(&mut self, key: u32) {
        let needed = key as usize + 1;
        if self.keys.len() < needed {
            self.keys.resize_with(needed, KeyPanes::default);
            self.deadlines.resize(needed, i64::MAX);
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
        for (kind, value) in self.spec.aggregates.iter().zip(arguments) {
            if !value.is_missing() && !kind.takes(value) {
                out.excess.push((key, Excess::TypeSkipped));
            }
        }
        if let Some(slot) = self.ordinary(key, row, watermark) {
            return self.slots.add(slot, row, arguments);
        }
        self.reach(key);
        self.advance(key, watermark, out);
        self.push_any(key, row, arguments, out);
    }

    /// The slot of a row in one of the newest panes of its key when nothing is due and all windows of the pane are open.
    #[inline]
    fn ordinary(&self, key: u32, row: &RowKey, watermark: i64) -> Option<u32> {
        let at = key as usize;
        if watermark >= *self.deadlines.get(at)? {
            return None;
        }
        let state = self.keys.get(at)?;
        let width = self.shape.width;
        let inside = |pane: &&Pane| (row.time.wrapping_sub(pane.start) as u64) < width as u64;
        let pane = state.panes.iter().rev().take(NEWEST_PANES).find(inside)?;
        let end = pane.start.saturating_add(width);
        (watermark.max(state.closed_to) < end).then_some(pane.slot)
    }

    fn push_any(&mut self, key: u32, row: &RowKey, arguments: &[Value], out: &mut WindowOutput) {
        let (shape, lateness) = (self.shape, self.lateness());
        let Some(state) = self.keys.get_mut(key as usize) else {
            return;
        };
        let (first, last) = shape.starts(row.time);
        let (closed_to, final_to) = (state.closed_to, state.final_to(lateness));
        let first_left = first.max(shape.start_after(final_to.saturating_sub(shape.size)));
        let of = shape.count(first, last);
        let missed = of - shape.count(first_left, last);
        if missed > 0 {
            let (start, end) = (first, shape.end(first));
            let (time, trigger) = (row.time, 0);
            out.late.push(LateRow {
                key,
                missed,
                of,
                start,
                end,
                time,
                trigger,
            });
        }
        if missed == of && (of > 0 || self.older.is_empty()) {
            return;
        }
        let pane = shape.floor(row.time, shape.width);
        if of == 0 && pane.saturating_add(shape.width) <= final_to {
            self.keep_older(key, row, arguments);
            return self.correct(key, first_left, last, closed_to, out);
        }
        let slot = self.pane(key, pane);
        self.slots.add(slot, row, arguments);
        if let Some(rolled) = self.rolling.also(key, pane) {
            self.slots.add(rolled, row, arguments);
        }
        self.correct(key, first_left, last, closed_to, out);
        self.enforce_limit(key, out);
    }

    /// A row in a gap between windows that is older than every window that can still change.
    fn keep_older(&mut self, key: u32, row: &RowKey, arguments: &[Value]) {
        for (aggregate, older) in &mut self.older {
            let value = arguments.get(*aggregate as usize);
            if let Some(value) = value.filter(|value| AggregateKind::Latest.takes(value)) {
                with_older(older, key, |ends| ends.keep_last(row.order(), value));
            }
        }
    }

    /// The slot of a pane, made if need be.
    fn pane(&mut self, key: u32, start: i64) -> u32 {
        let Some(state) = self.keys.get_mut(key as usize) else {
            return u32::MAX;
        };
        let place = state.position(start);
        if let Some(pane) = state.panes.get(place).filter(|pane| pane.start == start) {
            return pane.slot;
        }
        let slot = self.slots.take();
        state.panes.insert(place, Pane { start, slot });
        self.update_deadline(key);
        slot
    }

    fn update_deadline(&mut self, key: u32) {
        let lateness = self.lateness();
        let Some(state) = self.keys.get(key as usize) else {
            return;
        };
        let close = state.next_window(&self.shape, state.closed_to);
        let close = close.map_or(i64::MAX, |start| self.shape.end(start));
        let release = state.panes.first().map_or(i64::MAX, |pane| {
            self.shape.last_end(pane.start).saturating_add(lateness)
        });
        if let Some(deadline) = self.deadlines.get_mut(key as usize) {
            *deadline = close.min(release);
        }
    }

    /// Tells corrections of the closed windows that a row touched: those that start in `first..=last`.
    fn correct(&mut self, key: u32, first: i64, last: i64, closed_to: i64, out: &mut WindowOutput) {
        let shape = self.shape;
        // A bare metric also looks back from windows after those that hold the row.
        let last = if self.older.is_empty() {
            last
        } else {
            i64::MAX
        };
        let mut after = shape.end(first).saturating_sub(1);
        while let Some(state) = self.keys.get(key as usize) {
            match state.next_window(&shape, after) {
                Some(start) if start <= last && shape.end(start) <= closed_to => {
                    self.tell_window(key, start, None, out);
                    after = shape.end(start);
                }
                _ => return,
            }
        }
    }

    /// Tells a window if it has rows and differs from what was told. `rolled`: the slot of its totals, if known.
    fn tell_window(&mut self, key: u32, start: i64, rolled: Option<u32>, out: &mut WindowOutput) {
        let end = self.shape.end(start);
        let at = key as usize;
        let Some(state) = self.keys.get(at) else {
            return;
        };
        let (extent, mut values) = self.slots.read(&mut state.between(start, end), rolled);
        if extent.rows == 0 {
            return;
        }
        for (aggregate, older) in &self.older {
            let index = *aggregate as usize;
            let Some(column) = self.slots.column(index) else {
                continue;
            };
            let panes = state.between(i64::MIN, end).rev();
            let known = panes
                .map(|slot| column.result(slot))
                .find(|v| !v.is_missing());
            let value = known.or_else(|| older.get(at).map(Ends::value));
            if let Some(cell) = values.get_mut(index) {
                *cell = value.unwrap_or_default();
            }
        }
        let correctable = self.lateness() > 0 && end > state.forced;
        let revision = match self.keys.get_mut(at) {
            Some(state) if correctable => tell(&mut state.told, start, &values),
            _ => Some(1),
        };
        let Some(revision) = revision else {
            return;
        };
        out.rows.push(WindowRow {
            key,
            start,
            end,
            revision,
            values,
            first: extent.first.event,
            last: extent.last.event,
            rows: extent.rows,
            trigger: 0,
        });
    }

    /// Closes and makes final the oldest windows beyond the limit.
    fn enforce_limit(&mut self, key: u32, out: &mut WindowOutput) {
        let (shape, lateness, limit) = (self.shape, self.lateness(), self.limit);
        let per_pane = (shape.size / shape.every + 1) as usize;
        loop {
            let Some(state) = self.keys.get_mut(key as usize) else {
                return;
            };
            let final_to = state.final_to(lateness);
            if state.panes.len().saturating_mul(per_pane) <= limit
                || state.open_windows(&shape, final_to) <= limit
            {
                return;
            }
            let Some(oldest) = state.next_window(&shape, final_to) else {
                return;
            };
            let end = shape.end(oldest);
            if end > state.closed_to {
                state.closed_to = end;
                self.tell_window(key, oldest, None, out);
            }
            if let Some(state) = self.keys.get_mut(key as usize) {
                state.forced = end;
            }
            out.excess.push((key, Excess::WindowDropped));
            self.release(key);
        }
    }

    pub(super) fn advance(&mut self, key: u32, watermark: i64, out: &mut WindowOutput) {
        let at = key as usize;
        let due = watermark >= self.deadline(key);
        let shape = self.shape;
        while let Some(state) = self.keys.get_mut(at).filter(|_| due) {
            let next = state.next_window(&shape, state.closed_to);
            let Some(start) = next.filter(|start| shape.end(*start) <= watermark) else {
                break;
            };
            let end = shape.end(start);
            state.closed_to = end;
            let rolled = self.rolling.roll(key, state, (start, end), &mut self.slots);
            self.tell_window(key, start, rolled, out);
        }
        if let Some(state) = self.keys.get_mut(at) {
            state.closed_to = state.closed_to.max(watermark);
        }
        if due {
            self.release(key);
        }
    }

    /// Lets go what is final.
    fn release(&mut self, key: u32) {
        let lateness = self.lateness();
        let Some(state) = self.keys.get_mut(key as usize) else {
            return;
        };
        let final_to = state.final_to(lateness);
        let gone = state
            .panes
            .iter()
            .take_while(|pane| self.shape.last_end(pane.start) <= final_to)
            .count();
        for pane in state.panes.drain(..gone) {
            for (aggregate, older) in &mut self.older {
                if let Some(column) = self.slots.column(*aggregate as usize) {
                    with_older(older, key, |ends| column.last_into(pane.slot, ends));
                }
            }
            self.rolling.leave(key, pane, &mut self.slots);
            self.slots.release(pane.slot);
        }
        let first = state.panes.first().map(|pane| pane.start);
        self.rolling.settle(key, first, &mut self.slots);
        let told = state
            .told
            .partition_point(|told| self.shape.end(told.at) <= final_to);
        state.told.drain(..told);
        self.update_deadline(key);
    }

    pub(super) fn push_numbers(&mut self, rows: &NumberRows<'_>, out: &mut WindowOutput) {
        let mut slots: Vec<u32> = Vec::with_capacity(rows.keys.len());
        let mut done = 0;
        let mut arguments = Vec::new();
        for (index, key) in rows.keys.iter().enumerate() {
            let row = rows.row_key(index);
            let watermark = rows.watermarks.get(index).copied().unwrap_or(i64::MIN);
            if let Some(slot) = self.ordinary(*key, &row, watermark) {
                self.slots.note(slot, &row);
                slots.push(slot);
                continue;
            }
            // What follows may read or release slots: the columns have to be up to date.
            self.flush(rows, done, &mut slots);
            done = index + 1;
            rows.arguments(index, &mut arguments);
            let mark = out.mark();
            self.push(*key, &row, &arguments, watermark, out);
            out.trigger_since(mark, index);
        }
        self.flush(rows, done, &mut slots);
    }

    /// Adds the numbers of consecutive rows, from row `first` on, to their slots.
    fn flush(&mut self, rows: &NumberRows<'_>, first: usize, slots: &mut Vec<u32>) {
        let end = first + slots.len();
        for (column, numbers) in self.slots.columns_mut().iter_mut().zip(rows.columns) {
            column.add_numbers(
                slots,
                numbers.get(first..end).unwrap_or_default(),
                |index| rows.row_key(first + index).order(),
            );
        }
        slots.clear();
    }

    pub(super) fn forget(&mut self, key: u32) {
        let Some(state) = self.keys.get_mut(key as usize) else {
            return;
        };
        for pane in std::mem::take(state).panes {
            self.slots.release(pane.slot);
        }
        self.rolling.settle(key, None, &mut self.slots);
        for (_, older) in &mut self.older {
            if let Some(ends) = older.get_mut(key as usize) {
                *ends = Ends::default();
            }
        }
        if let Some(deadline) = self.deadlines.get_mut(key as usize) {
            *deadline = i64::MAX;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let spilled = |state: &KeyPanes| {
            let panes = if state.panes.spilled() {
                state.panes.capacity()
            } else {
                0
            };
            let values = self.spec.aggregates.len() * size_of::<Value>();
            panes * size_of::<Pane>() + state.told.capacity() * (size_of::<Told>() + values)
        };
        self.slots.bytes()
            + self.rolling.bytes()
            + self.keys.capacity() * size_of::<KeyPanes>()
            + self.keys.iter().map(spilled).sum::<usize>()
            + self.deadlines.capacity() * size_of::<i64>()
            + self
                .older
                .iter()
                .map(|(_, ends)| ends.capacity() * size_of::<Ends>())
                .sum::<usize>()
    }
}

/// The values of a `Latest` aggregate in panes that are gone, by key.
fn with_older(older: &mut Vec<Ends>, key: u32, work: impl FnOnce(&mut Ends)) {
    let at = key as usize;
    if older.len() <= at {
        older.resize_with(at + 1, Ends::default);
    }
    if let Some(ends) = older.get_mut(at) {
        work(ends);
    }
}
