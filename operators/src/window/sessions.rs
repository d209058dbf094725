//! [`Sessions`]: rows of a key that follow each other within a gap, `[first, last + gap)`.
//!
//! Invariants, per key: sessions rise by time, do not touch each other unless the greatest length parted them, and none
//! is final: what is final is gone.

mod cut;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::Value;

use super::cell::{Cell, Past, count_skipped};
use super::change::Change;
use super::{EmitMode, Excess, LateRow, RowKey, WindowLimits, WindowOutput, WindowRow, WindowSpec};
use crate::aggregate::AggregateKind;

/// Where sessions end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Shape {
    gap: i64,
    max: Option<i64>,
    /// 1 if a row exactly the gap later still belongs to the session.
    edge: i64,
}

impl Shape {
    /// Whether two times are near enough to be in one session.
    const fn near(&self, earlier: i64, later: i64) -> bool {
        later.saturating_sub(earlier) < self.gap.saturating_add(self.edge)
    }

    fn end(&self, first: i64, last: i64) -> i64 {
        let end = last.saturating_add(self.gap);
        match self.max {
            Some(max) => end.min(first.saturating_add(max)),
            None => end,
        }
    }
}

/// All keys of session windows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sessions {
    spec: WindowSpec,
    shape: Shape,
    limits: WindowLimits,
    keys: Vec<Option<Box<KeySessions>>>,
    deadlines: Vec<i64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeySessions {
    list: Vec<Session>,
    past: Past,
    watermark: i64,
    /// Sessions that end at or before this are final because of a limit.
    forced: i64,
}

type Row = (RowKey, SmallVec<[Value; 1]>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Session {
    first: i64,
    last: i64,
    cell: Cell,
    /// Kept where the greatest length may part the session elsewhere.
    rows: Vec<Row>,
    closed: bool,
    told: Option<Told>,
}

/// What was said about a session that may still be corrected.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    end: i64,
    revision: u32,
    values: Vec<Value>,
}

impl Session {
    fn new(kinds: &[AggregateKind], time: i64) -> Self {
        Self {
            first: time,
            last: time,
            cell: Cell::new(kinds),
            rows: Vec::new(),
            closed: false,
            told: None,
        }
    }

    fn add(&mut self, kinds: &[AggregateKind], row: &RowKey, arguments: &[Value]) {
        self.first = self.first.min(row.time);
        self.last = self.last.max(row.time);
        self.cell.add(kinds, row, arguments);
    }
}

impl Sessions {
    pub(super) fn new(
        spec: WindowSpec,
        (gap, max, join): (i64, Option<i64>, bool),
        limits: WindowLimits,
    ) -> Self {
        Self {
            shape: Shape {
                gap: gap.max(1),
                max,
                edge: i64::from(join),
            },
            spec,
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
            state.get_or_insert_with(|| {
                Box::new(KeySessions {
                    list: Vec::new(),
                    past: Past::new(&self.spec.aggregates),
                    watermark: i64::MIN,
                    forced: i64::MIN,
                })
            });
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
        let (shape, spec) = (self.shape, &self.spec);
        let Some(state) = self
            .keys
            .get_mut(key as usize)
            .and_then(Option::as_deref_mut)
        else {
            return;
        };
        let time = row.time;
        // The usual row: it goes on with the newest session.
        let single = state.list.len() == 1;
        if let Some(newest) = state.list.last_mut()
            && shape.max.is_none()
            && state.past.is_empty()
            && !newest.closed
            && spec.mode.emit != EmitMode::OnChange
            && time >= newest.first
            && shape.near(newest.last, time)
        {
            newest.add(&spec.aggregates, row, arguments);
            if let Some(deadline) = self.deadlines.get_mut(key as usize).filter(|_| single) {
                *deadline = due(spec, shape, shape.end(newest.first, newest.last));
                return;
            }
            return self.update_deadline(key);
        }
        let end = shape.end(time, time);
        let from = state.list.partition_point(|s| !shape.near(s.last, time));
        let to = state
            .list
            .partition_point(|s| s.first <= time || shape.near(time, s.first));
        if from >= to {
            let over = end.saturating_add(shape.edge + spec.lateness.0) <= state.watermark;
            if over || end <= state.forced {
                out.late.push(LateRow {
                    key,
                    missed: 1,
                    of: 1,
                    start: time,
                    end,
                    time,
                    trigger: 0,
                });
                return;
            }
        }
        let to = to.max(from);
        state.past.add(&spec.aggregates, row, arguments);
        let row = (row.clone(), arguments.iter().cloned().collect());
        state.take(spec, shape, (from, to), (key, &row), out);
        self.enforce_limits(key, out);
        self.update_deadline(key);
    }

    fn enforce_limits(&mut self, key: u32, out: &mut WindowOutput) {
        let (shape, spec, limits) = (self.shape, &self.spec, self.limits);
        let Some(state) = self
            .keys
            .get_mut(key as usize)
            .and_then(Option::as_deref_mut)
        else {
            return;
        };
        while state.list.len() > limits.open_windows.max(1) {
            let mut oldest = state.list.remove(0);
            if !oldest.closed && spec.mode.emit != EmitMode::OnChange {
                oldest.tell(spec, shape, (key, &state.past), out);
            }
            state.forced = shape.end(oldest.first, oldest.last);
            out.excess.push((key, Excess::WindowDropped));
        }
        let mut rows: usize = state.list.iter().map(|session| session.rows.len()).sum();
        for session in &mut state.list {
            let over = rows.saturating_sub(limits.window_rows.max(1));
            let gone = over.min(session.rows.len());
            session.rows.drain(..gone);
            rows -= gone;
            (0..gone).for_each(|_| out.excess.push((key, Excess::RowDropped)));
        }
    }

    fn update_deadline(&mut self, key: u32) {
        let (shape, spec) = (self.shape, &self.spec);
        let state = self.keys.get(key as usize).and_then(Option::as_deref);
        let Some(state) = state else {
            return;
        };
        let next = |session: &Session| {
            let end = shape.end(session.first, session.last);
            if session.closed {
                end.saturating_add(shape.edge + spec.lateness.0)
            } else {
                due(spec, shape, end)
            }
        };
        let deadline = state.list.iter().map(next).min().unwrap_or(i64::MAX);
        if let Some(known) = self.deadlines.get_mut(key as usize) {
            *known = deadline;
        }
    }

    pub(super) fn advance(&mut self, key: u32, watermark: i64, out: &mut WindowOutput) {
        let is_due = watermark >= self.deadline(key);
        let (shape, spec) = (self.shape, &self.spec);
        let Some(state) = self
            .keys
            .get_mut(key as usize)
            .and_then(Option::as_deref_mut)
        else {
            return;
        };
        state.watermark = state.watermark.max(watermark);
        if !is_due {
            return;
        }
        let KeySessions {
            list,
            past,
            watermark,
            ..
        } = state;
        for session in list.iter_mut().filter(|session| !session.closed) {
            let end = shape.end(session.first, session.last);
            if due(spec, shape, end) > *watermark {
                continue;
            }
            session.closed = true;
            if spec.mode.emit != EmitMode::OnChange {
                session.tell(spec, shape, (key, past), out);
            }
        }
        let keep = shape.edge + spec.lateness.0;
        list.retain(|session| {
            shape.end(session.first, session.last).saturating_add(keep) > *watermark
        });
        let oldest = list.first().map_or(i64::MAX, |session| session.first);
        let late = watermark.saturating_sub(shape.gap + keep);
        past.prune(oldest.min(late));
        self.update_deadline(key);
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
            for session in &mut state.list {
                session.cell.change(change);
                for row in &mut session.rows {
                    row.1 = change.values(&row.1).into();
                }
                if let Some(told) = &mut session.told {
                    told.values = change.values(&told.values);
                }
            }
        }
        self.spec.aggregates = change.aggregates.to_vec();
    }

    pub(super) fn bytes(&self) -> usize {
        let session =
            |session: &Session| session.cell.bytes() + session.rows.capacity() * size_of::<Row>();
        let states = self.keys.iter().flatten().map(|state| {
            let sessions: usize = state.list.iter().map(session).sum();
            size_of::<KeySessions>() + sessions + state.past.bytes()
        });
        states.sum::<usize>()
            + self.keys.capacity() * size_of::<Option<Box<KeySessions>>>()
            + self.deadlines.capacity() * size_of::<i64>()
    }
}

/// When a session that ends there is told.
fn due(spec: &WindowSpec, shape: Shape, end: i64) -> i64 {
    let wait = if spec.mode.emit == EmitMode::Final {
        spec.lateness.0
    } else {
        0
    };
    end.saturating_add(shape.edge + wait)
}

impl Session {
    /// Tells the session if it differs from what was told.
    fn tell(
        &mut self,
        spec: &WindowSpec,
        shape: Shape,
        (key, past): (u32, &Past),
        out: &mut WindowOutput,
    ) {
        let end = shape.end(self.first, self.last);
        let values = self.cell.values(&spec.aggregates, (self.first, end), past);
        let was = self.told.as_ref().map_or(end, |told| told.end);
        let revision = match &self.told {
            Some(told) if told.end == end && told.values == values && !spec.mode.repeat_equal => {
                return;
            }
            Some(told) => told.revision + 1,
            None => 1,
        };
        self.told = Some(Told {
            end,
            revision,
            values: values.clone(),
        });
        let row = self.cell.row(key, (self.first, end), (revision, values));
        out.rows.push(WindowRow { was, ..row });
    }
}
