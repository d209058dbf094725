//! [`Sliding`]: `(t − size, t]` for every distinct time t of a row, or for every row up to itself, told when the
//! watermark passes t.
//!
//! Invariants, per key: rows lie in row order; the first `left` of them have left the running aggregates but may still
//! be needed for corrections; up to `entered` they are inside; the rest wait for their windows.

mod change;
mod tell;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::Value;

use super::{Excess, LateRow, RowKey, Told, WindowLimits, WindowOutput, WindowSpec};
use crate::aggregate::{AggregateKind, Ends, RowOrder};
use crate::lookback::running::Running;

/// All keys of sliding windows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sliding {
    spec: WindowSpec,
    shape: Shape,
    limits: WindowLimits,
    keys: Vec<Option<Box<SlidingKey>>>,
    deadlines: Vec<i64>,
}

/// Which rows a window holds, and of what there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shape {
    /// Length as printed.
    size: i64,
    /// Rows so much older than a window's time are outside.
    reach: i64,
    per_row: bool,
}

impl Shape {
    pub(super) fn new(size: i64, closed: bool, per_row: bool) -> Self {
        let size = size.max(1);
        Self {
            size,
            // Time is whole milliseconds: a row at the start is inside when the one before it is not.
            reach: size.saturating_add(i64::from(closed)),
            per_row,
        }
    }

    /// The last place in row order that the window of a row holds.
    const fn last(self, row: RowOrder) -> RowOrder {
        let sequence = if self.per_row { row.sequence } else { u64::MAX };
        RowOrder { sequence, ..row }
    }

    /// What tells windows of one time apart.
    const fn mark(self, last: RowOrder) -> (i64, u64) {
        (last.time, if self.per_row { last.sequence } else { 0 })
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    key: RowKey,
    arguments: SmallVec<[Value; 1]>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SlidingKey {
    rows: VecDeque<Row>,
    left: usize,
    entered: usize,
    inside: Inside,
    /// Per aggregate the last value of rows that are gone; only kept for those that look back.
    older: Vec<Ends>,
    /// Windows that are not closed.
    waiting: usize,
    /// The highest watermark so far.
    closed_to: i64,
    /// Windows at or before this are final because of a limit.
    forced: i64,
    told: Vec<Told>,
}

/// Running aggregates of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Inside(Vec<(AggregateKind, Running)>);

impl Inside {
    /// Empty but for the latest values of rows that are gone.
    fn new(aggregates: &[AggregateKind], older: &[Ends]) -> Self {
        let running = aggregates.iter().zip(older).map(|(kind, older)| {
            let mut running = if *kind == AggregateKind::Latest {
                Running::Latest(older.clone())
            } else {
                Running::new(*kind)
            };
            running.carry(older.order(), &older.value());
            (*kind, running)
        });
        Self(running.collect())
    }

    fn enter(&mut self, row: &Row) {
        for ((kind, running), value) in self.0.iter_mut().zip(&row.arguments) {
            running.enter(*kind, row.key.order(), value);
        }
    }

    fn leave(&mut self, row: &Row) {
        for ((kind, running), value) in self.0.iter_mut().zip(&row.arguments) {
            running.leave(*kind, row.key.order(), value);
        }
    }

    fn values(&self, time: i64, size: i64) -> Vec<Value> {
        let frame = (time.saturating_sub(size), time);
        self.0
            .iter()
            .map(|(kind, running)| running.result(*kind, frame))
            .collect()
    }
}

impl SlidingKey {
    fn new(aggregates: &[AggregateKind]) -> Self {
        let older: Vec<Ends> = aggregates.iter().map(|_| Ends::default()).collect();
        Self {
            rows: VecDeque::new(),
            left: 0,
            entered: 0,
            inside: Inside::new(aggregates, &older),
            older,
            waiting: 0,
            closed_to: i64::MIN,
            forced: i64::MIN,
            told: Vec::new(),
        }
    }

    /// Windows at times before this are final.
    fn final_to(&self, lateness: i64) -> i64 {
        self.closed_to.saturating_sub(lateness).max(self.forced)
    }

    /// How many rows are before a time.
    fn rows_before(&self, time: i64) -> usize {
        self.rows.partition_point(|row| row.key.time < time)
    }

    /// Time of the earliest window that is not closed.
    fn next_window(&self) -> Option<i64> {
        let open = |row: &&Row| row.key.time >= self.closed_to;
        let row = self.rows.get(self.entered).filter(open);
        let row = row.or_else(|| self.rows.get(self.rows_before(self.closed_to)));
        row.map(|row| row.key.time)
    }

    /// Puts a row at its place.
    fn place(&mut self, row: Row, shape: Shape) {
        let order = row.key.order();
        let place = if self.rows.back().is_none_or(|last| last.key.order() < order) {
            self.rows.len()
        } else {
            self.rows.partition_point(|known| known.key.order() < order)
        };
        let same = |known: Option<&Row>| known.is_some_and(|known| known.key.time == order.time);
        let before = place
            .checked_sub(1)
            .and_then(|before| self.rows.get(before));
        let own = shape.per_row || (!same(self.rows.get(place)) && !same(before));
        if order.time >= self.closed_to && own {
            self.waiting += 1;
        }
        if place < self.entered {
            let newest = self
                .entered
                .checked_sub(1)
                .and_then(|last| self.rows.get(last));
            let gone = newest.map_or(i64::MIN, |row| row.key.time.saturating_sub(shape.reach));
            self.inside.enter(&row);
            self.entered += 1;
            if order.time <= gone {
                self.inside.leave(&row);
                self.left += 1;
            }
        }
        self.rows.insert(place, row);
    }

    /// Brings the running aggregates to a window and lets go what no later window needs, unless it is kept.
    fn run_to(&mut self, last: RowOrder, reach: i64, keep: bool) {
        while let Some(row) = self
            .rows
            .get(self.entered)
            .filter(|row| row.key.order() <= last)
        {
            self.inside.enter(row);
            self.entered += 1;
        }
        let gone = last.time.saturating_sub(reach);
        while let Some(row) = self.rows.get(self.left).filter(|row| row.key.time <= gone) {
            self.inside.leave(row);
            self.left += 1;
        }
        while !keep && self.left > 0 {
            self.pop_oldest();
        }
    }

    fn pop_oldest(&mut self) {
        let Some(row) = self.rows.pop_front() else {
            return;
        };
        if self.left > 0 {
            self.left -= 1;
            self.entered -= 1;
        } else {
            if self.entered == 0 {
                // No window came by, but a bare metric remembers it.
                self.inside.enter(&row);
            }
            self.inside.leave(&row);
            self.entered = self.entered.saturating_sub(1);
        }
        for (index, value) in row.arguments.iter().enumerate() {
            let kind = self.inside.0.get(index).map(|(kind, _)| *kind);
            if kind.is_some_and(|kind| kind.looks_back() && kind.takes(value))
                && let Some(older) = self.older.get_mut(index)
            {
                older.keep_last(row.key.order(), value);
            }
        }
    }
}

/// Number of windows with times in `[from, to)` that hold a row at `from`, and whether its own is one of them.
fn holding(rows: &VecDeque<Row>, shape: Shape, row: RowOrder, to: i64) -> (u32, bool) {
    let from = row.time;
    if shape.per_row {
        let start = rows.partition_point(|known| known.key.order() < row);
        let end = rows.partition_point(|known| known.key.time < to);
        return (end.saturating_sub(start) as u32, false);
    }
    let start = rows.partition_point(|row| row.key.time < from);
    let times = rows.iter().skip(start).map(|row| row.key.time);
    let mut count = 0;
    let mut last = None;
    let mut first_is_from = false;
    for time in times.take_while(|time| *time < to) {
        first_is_from |= time == from;
        count += u32::from(last != Some(time));
        last = Some(time);
    }
    (count, first_is_from)
}

impl Sliding {
    pub(super) const fn new(spec: WindowSpec, shape: Shape, limits: WindowLimits) -> Self {
        Self {
            spec,
            shape,
            limits,
            keys: Vec::new(),
            deadlines: Vec::new(),
        }
    }

    pub(super) fn deadline(&self, key: u32) -> i64 {
        self.deadlines
            .get(key as usize)
            .copied()
            .unwrap_or(i64::MAX)
    }

    fn state(&mut self, key: u32) -> Option<&mut SlidingKey> {
        self.keys.get_mut(key as usize)?.as_deref_mut()
    }

    fn reach(&mut self, key: u32) {
        let at = key as usize;
        if self.keys.len() <= at {
            self.keys.resize_with(at + 1, || None);
            self.deadlines.resize(at + 1, i64::MAX);
        }
        if let Some(state) = self.keys.get_mut(at) {
            let make = || Box::new(SlidingKey::new(&self.spec.aggregates));
            state.get_or_insert_with(make);
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
        self.reach(key);
        self.advance(key, watermark, out);
        let (shape, lateness) = (self.shape, self.spec.lateness.0);
        let Some(state) = self.state(key) else {
            return;
        };
        let (time, final_to) = (row.time, state.final_to(lateness));
        let end = time.saturating_add(shape.reach);
        if time < final_to {
            let lost = end <= final_to;
            let (missed, of) = if lost {
                // The windows of other rows that it missed as well are forgotten: its own stands for all.
                (1, 1)
            } else {
                let (of, known) = holding(&state.rows, shape, row.order(), end);
                let (missed, _) = holding(&state.rows, shape, row.order(), final_to);
                let own = u32::from(!known);
                (missed + own, of + own)
            };
            out.late.push(LateRow {
                key,
                missed,
                of,
                start: time.saturating_sub(shape.size),
                end: time,
                time,
                trigger: 0,
            });
            if lost {
                return;
            }
        }
        let arguments = arguments.iter().cloned().collect();
        let row = Row {
            key: row.clone(),
            arguments,
        };
        state.place(row, shape);
        self.correct(key, time, out);
        self.enforce_limits(key, out);
        self.update_deadline(key);
    }

    /// Tells corrections of closed windows that a row at a time touched.
    fn correct(&mut self, key: u32, time: i64, out: &mut WindowOutput) {
        let (shape, lateness) = (self.shape, self.spec.lateness.0);
        let spec = std::mem::take(&mut self.spec.aggregates);
        if let Some(state) = self.state(key) {
            let from = time.max(state.final_to(lateness));
            // A bare metric also looks back from windows that do not hold the row.
            let to = if spec.iter().any(|kind| kind.looks_back()) {
                state.closed_to
            } else {
                state.closed_to.min(time.saturating_add(shape.reach))
            };
            if from < to {
                state.sweep(&spec, shape, (from, to), (key, out));
            }
        }
        self.spec.aggregates = spec;
    }

    fn enforce_limits(&mut self, key: u32, out: &mut WindowOutput) {
        let (limits, shape, keep) = (self.limits, self.shape, self.spec.lateness.0 > 0);
        let Some(state) = self.state(key) else {
            return;
        };
        while state.rows.len() > limits.window_rows.max(1) {
            let oldest = state.rows.front().map(|row| row.key.time);
            let next = state.rows.get(1).map(|row| row.key.time);
            let alone = shape.per_row || oldest != next;
            if alone && oldest.is_some_and(|oldest| oldest >= state.closed_to) {
                state.waiting -= 1;
            }
            state.pop_oldest();
            out.excess.push((key, Excess::RowDropped));
        }
        while state.waiting + state.told.len() > limits.open_windows.max(1) {
            let oldest = state.told.first().map(|told| told.at.0);
            let Some(oldest) = oldest.or_else(|| state.next_window()) else {
                return;
            };
            if oldest >= state.closed_to {
                state.close(oldest, shape, keep, (key, out));
            }
            state.forced = oldest.saturating_add(1);
            let told = state.told.partition_point(|told| told.at.0 <= oldest);
            state.told.drain(..told);
            out.excess.push((key, Excess::WindowDropped));
        }
    }

    fn update_deadline(&mut self, key: u32) {
        let keep = self.shape.reach.saturating_add(self.spec.lateness.0);
        let Some(state) = self.state(key) else {
            return;
        };
        let deadline = match (state.next_window(), state.rows.back()) {
            (Some(next), _) => next.saturating_add(1),
            (None, Some(last)) => last.key.time.saturating_add(keep),
            (None, None) => i64::MAX,
        };
        if let Some(known) = self.deadlines.get_mut(key as usize) {
            *known = deadline;
        }
    }

    pub(super) fn advance(&mut self, key: u32, watermark: i64, out: &mut WindowOutput) {
        let due = watermark >= self.deadline(key);
        let (shape, lateness) = (self.shape, self.spec.lateness.0);
        let Some(state) = self.state(key) else {
            return;
        };
        if due {
            while let Some(next) = state.next_window().filter(|next| *next < watermark) {
                state.close(next, shape, lateness > 0, (key, &mut *out));
            }
        }
        state.closed_to = state.closed_to.max(watermark);
        if due {
            let final_to = state.final_to(lateness);
            let needed = final_to.saturating_sub(shape.reach);
            while state.rows.front().is_some_and(|row| row.key.time <= needed) {
                state.pop_oldest();
            }
            let told = state.told.partition_point(|told| told.at.0 < final_to);
            state.told.drain(..told);
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

    pub(super) fn bytes(&self) -> usize {
        let states = self.keys.iter().flatten().map(|state| {
            let running = state.inside.0.iter();
            size_of::<SlidingKey>()
                + state.rows.capacity() * size_of::<Row>()
                + state.told.capacity() * (size_of::<Told>() + size_of::<Value>())
                + running
                    .map(|(_, running)| {
                        size_of::<(AggregateKind, Running)>() + running.heap_bytes()
                    })
                    .sum::<usize>()
        });
        states.sum::<usize>()
            + self.keys.capacity() * size_of::<Option<Box<SlidingKey>>>()
            + self.deadlines.capacity() * size_of::<i64>()
    }
}
