//! [`Paned`]: tumbling and hopping windows. A pane is as wide as the greatest common divisor of size and step.
//!
//! Invariants, per key: panes rise by start and none is empty; the last of them is the key's home in [`Slots`]; every window
//! whose end is at or before `closed_to` is closed; every window whose end is at or before `final_to` is final and its
//! panes may be gone.

mod carried;
mod change;
mod rows;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::block::{Block, Newest};
use super::panes::{KeyPanes, Pane};
use super::rolling::Rolling;
use super::shape::Shape;
use super::slots::Slots;
use super::{
    Excess, LateRow, RowKey, Told, WindowLimits, WindowOutput, WindowRow, WindowSpec, tell,
};
use crate::aggregate::Ends;

/// How many panes are looked through for a row that is a little out of order.
const NEWEST_PANES: usize = 4;

/// All keys of tumbling or hopping windows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Paned {
    spec: WindowSpec,
    shape: Shape,
    limit: usize,
    /// How far a new pane may be from the oldest without a look at the limit on open windows.
    reach: i64,
    keys: Vec<KeyPanes>,
    slots: Slots,
    rolling: Rolling,
    /// Per aggregate that looks back: its index, and by key its value in panes that are gone.
    older: Vec<(u32, Vec<Ends>)>,
}

impl Paned {
    /// `form` is size, step and offset.
    pub(super) fn new(spec: WindowSpec, form: (i64, i64, i64), limits: WindowLimits) -> Self {
        let shape = Shape::new(form.0, form.1, form.2);
        let latest = spec.aggregates.iter().enumerate();
        let older = latest
            .filter(|(_, kind)| kind.looks_back())
            .map(|(index, _)| (index as u32, Vec::new()));
        Self {
            older: older.collect(),
            slots: Slots::new(&spec),
            rolling: Rolling::new(shape.size / shape.width),
            shape,
            limit: limits.open_windows.max(1),
            reach: shape.reach(limits.open_windows),
            keys: Vec::new(),
            spec,
        }
    }

    fn lateness(&self) -> i64 {
        self.spec.lateness.0
    }

    pub(super) fn deadline(&self, key: u32) -> i64 {
        let home = self.slots.homes.get(key as usize);
        home.map_or(i64::MAX, |home| home.deadline)
    }

    fn make_room(&mut self, key: u32) {
        let needed = key as usize + 1;
        if self.keys.len() < needed {
            self.keys.resize_with(needed, KeyPanes::default);
            self.slots.reach(key);
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
            return self.slots.add(key, slot, row, arguments);
        }
        self.make_room(key);
        self.advance(key, watermark, out);
        self.push_any(key, row, arguments, out);
    }

    /// The slot of a row in one of the newest panes of its key when nothing is due and all windows of the pane are open.
    fn ordinary(&self, key: u32, row: &RowKey, watermark: i64) -> Option<u32> {
        let at = key as usize;
        let width = self.shape.width;
        let home = self.slots.homes.get(at)?;
        if home.takes(row.time, watermark, width) {
            return Some(home.slot);
        }
        if watermark >= home.deadline {
            return None;
        }
        let state = self.keys.get(at)?;
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
        self.slots.add(key, slot, row, arguments);
        if let Some(rolled) = self.rolling.also(key, pane) {
            self.slots.add(key, rolled, row, arguments);
        }
        self.correct(key, first_left, last, closed_to, out);
        self.enforce_limit(key, out);
    }

    /// A row in a gap between windows that is older than every window that can still change.
    fn keep_older(&mut self, key: u32, row: &RowKey, arguments: &[Value]) {
        for (aggregate, older) in &mut self.older {
            let kind = self.spec.aggregates.get(*aggregate as usize);
            let value = arguments.get(*aggregate as usize);
            let takes = |value: &&Value| kind.is_some_and(|kind| kind.takes(value));
            if let Some(value) = value.filter(takes) {
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
        let pane = Pane { start, slot };
        if place == state.panes.len() {
            let deadline = i64::MAX;
            if let Some(home) = self.slots.turn(key) {
                *home = Block::newest(Newest {
                    start,
                    slot,
                    deadline,
                });
            }
        }
        state.panes.insert(place, pane);
        self.update_deadline(key);
        slot
    }

    /// Says in the home of a key when something is due next, and whether rows may enter there.
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
        if let Some(home) = self.slots.homes.get_mut(key as usize) {
            home.deadline = close.min(release);
            home.set_open(state.closed_to < home.start.saturating_add(self.shape.width));
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
        let Some(reading) = self.slots.read(key, state.between(start, end), rolled) else {
            return;
        };
        let mut values = reading.values;
        for (aggregate, older) in &self.older {
            let index = *aggregate as usize;
            if let (Some(column), Some(cell)) = (self.slots.column(index), values.get_mut(index)) {
                *cell = carried::value(column, state, (start, end), older.get(at));
            }
        }
        let correctable = self.lateness() > 0 && end > state.forced();
        let revision = match self.keys.get_mut(at) {
            Some(state) if correctable => tell(&mut state.seldom().told, (start, 0), &values),
            _ => Some(1),
        };
        let Some(revision) = revision else {
            return;
        };
        out.rows.push(WindowRow {
            key,
            start,
            end,
            was: end,
            revision,
            values,
            first: reading.first,
            last: reading.last,
            rows: reading.rows,
            of_row: 0,
            trigger: 0,
        });
    }

    /// Closes and makes final the oldest windows beyond the limit.
    fn enforce_limit(&mut self, key: u32, out: &mut WindowOutput) {
        let (shape, lateness, limit) = (self.shape, self.lateness(), self.limit);
        loop {
            let Some(state) = self.keys.get_mut(key as usize) else {
                return;
            };
            let final_to = state.final_to(lateness);
            if state.panes.len().saturating_mul(shape.windows_of_a_pane) <= limit
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
                state.seldom().forced = end;
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
        } else if let Some(home) = self.slots.homes.get_mut(at) {
            home.set_open(home.is_open() && watermark < home.start.saturating_add(shape.width));
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
        for pane in state.panes.iter().take(gone).copied() {
            for (aggregate, older) in &mut self.older {
                if let Some(column) = self.slots.column(*aggregate as usize) {
                    with_older(older, key, |ends| column.last_into(pane.slot, ends));
                }
            }
            self.rolling.leave(key, pane, &mut self.slots);
            self.slots.release(key, pane.slot);
        }
        state.panes.leave(gone);
        let first = state.panes.first().map(|pane| pane.start);
        self.rolling.settle(key, first, &mut self.slots);
        if let Some(seldom) = &mut state.seldom {
            let told = &mut seldom.told;
            let gone = told.partition_point(|told| self.shape.end(told.at.0) <= final_to);
            told.drain(..gone);
        }
        self.update_deadline(key);
    }

    pub(super) fn forget(&mut self, key: u32) {
        let Some(state) = self.keys.get_mut(key as usize) else {
            return;
        };
        for pane in std::mem::take(state).panes.iter() {
            self.slots.release(key, pane.slot);
        }
        self.rolling.settle(key, None, &mut self.slots);
        for (_, older) in &mut self.older {
            if let Some(ends) = older.get_mut(key as usize) {
                *ends = Ends::default();
            }
        }
        if let Some(home) = self.slots.homes.get_mut(key as usize) {
            home.deadline = i64::MAX;
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let spilled = |state: &KeyPanes| {
            let values = self.spec.aggregates.len() * size_of::<Value>();
            let told = state.seldom.as_ref().map_or(0, |seldom| {
                size_of_val(seldom.as_ref()) + seldom.told.capacity() * (size_of::<Told>() + values)
            });
            state.panes.heap_bytes() + told
        };
        self.slots.bytes()
            + self.rolling.bytes()
            + self.keys.capacity() * size_of::<KeyPanes>()
            + self.keys.iter().map(spilled).sum::<usize>()
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
