//! [`Ordered`]: windows whose rows are taken in row order once the watermark has come to them: so many rows (`count`),
//! while a condition holds (`state`), or all of them until told to begin anew (`global`).
//!
//! Invariants, per key: rows that wait are newer than the watermark; everything that is due at the watermark has
//! happened, in time order, timers before rows.

mod count;
mod global;
mod state;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::{Value, WindowForm};

use super::cell::{Past, count_skipped};
use super::change::Change;
use super::{EmitMode, Excess, LateRow, RowKey, WindowLimits, WindowOutput, WindowSpec};
use crate::aggregate::RowOrder;
use count::Counting;
use global::Everything;
pub(super) use global::multiple_after;
use state::Stating;

/// All keys of windows in row order.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Ordered {
    spec: WindowSpec,
    limits: WindowLimits,
    keys: Vec<Option<Box<OrderedKey>>>,
    deadlines: Vec<i64>,
}

type Arguments = SmallVec<[Value; 1]>;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct OrderedKey {
    waiting: BTreeMap<RowOrder, (RowKey, Arguments)>,
    watermark: i64,
    past: Past,
    machine: Machine,
}

/// What makes windows of the rows of one key.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Machine {
    Counting(Counting),
    Stating(Stating),
    Everything(Everything),
}

/// What a machine works with.
struct Work<'a> {
    spec: &'a WindowSpec,
    key: u32,
    past: &'a Past,
    out: &'a mut WindowOutput,
}

impl Machine {
    fn new(spec: &WindowSpec) -> Self {
        match spec.form {
            WindowForm::State(_) => Self::Stating(Stating::default()),
            WindowForm::Global { .. } => Self::Everything(Everything::default()),
            _ => Self::Counting(Counting::default()),
        }
    }

    /// When time alone makes something happen.
    fn timer(&self, spec: &WindowSpec) -> i64 {
        match self {
            Self::Counting(counting) => counting.timer(spec),
            Self::Stating(stating) => stating.timer(spec),
            Self::Everything(everything) => everything.timer(spec),
        }
    }

    fn fire(&mut self, work: &mut Work<'_>, at: i64) {
        match self {
            Self::Counting(counting) => counting.fire(work, at),
            Self::Stating(stating) => stating.fire(work, at),
            Self::Everything(everything) => everything.fire(work, at),
        }
    }

    fn take(&mut self, work: &mut Work<'_>, row: &RowKey, arguments: &[Value]) {
        match self {
            Self::Counting(counting) => counting.take(work, row, arguments),
            Self::Stating(stating) => stating.take(work, row, arguments),
            Self::Everything(everything) => everything.take(work, row, arguments),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Counting(counting) => counting.bytes(),
            Self::Stating(stating) => stating.bytes(),
            Self::Everything(everything) => everything.bytes(),
        }
    }

    fn change(&mut self, change: &Change<'_>) {
        match self {
            Self::Counting(counting) => counting.change(change),
            Self::Stating(stating) => stating.change(change),
            Self::Everything(everything) => everything.change(change),
        }
    }
}

impl OrderedKey {
    /// Lets one thing happen that is due at the watermark; whether anything did.
    fn step(&mut self, spec: &WindowSpec, key: u32, out: &mut WindowOutput) -> bool {
        let Self {
            waiting,
            watermark,
            past,
            machine,
        } = self;
        let timer = machine.timer(spec);
        let row = waiting.first_key_value().map(|(order, _)| order.time);
        let row = row.filter(|time| *time <= *watermark);
        if timer <= *watermark && row.is_none_or(|row| timer <= row) {
            let mut work = Work {
                spec,
                key,
                past,
                out,
            };
            machine.fire(&mut work, timer);
            return true;
        }
        let Some((_, (row, arguments))) = row.and_then(|_| waiting.pop_first()) else {
            return false;
        };
        past.add(&spec.aggregates, &row, &arguments);
        let mut work = Work {
            spec,
            key,
            past,
            out,
        };
        machine.take(&mut work, &row, &arguments);
        let oldest = machine.oldest().unwrap_or(row.time);
        past.prune(oldest.min(row.time));
        true
    }

    fn next(&self, spec: &WindowSpec) -> i64 {
        let row = self.waiting.first_key_value();
        let row = row.map_or(i64::MAX, |(order, _)| order.time);
        row.min(self.machine.timer(spec))
    }
}

impl Machine {
    /// Start of the window at hand.
    fn oldest(&self) -> Option<i64> {
        match self {
            Self::Counting(counting) => counting.oldest(),
            Self::Stating(stating) => stating.oldest(),
            Self::Everything(everything) => everything.oldest(),
        }
    }
}

impl Ordered {
    pub(super) const fn new(spec: WindowSpec, limits: WindowLimits) -> Self {
        Self {
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
                Box::new(OrderedKey {
                    waiting: BTreeMap::new(),
                    watermark: i64::MIN,
                    past: Past::new(&self.spec.aggregates),
                    machine: Machine::new(&self.spec),
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
        let limit = self.limits.window_rows.max(1);
        let Some(state) = self
            .keys
            .get_mut(key as usize)
            .and_then(Option::as_deref_mut)
        else {
            return;
        };
        state.watermark = state.watermark.max(watermark);
        if row.time < state.watermark {
            let (start, end) = (row.time, row.time);
            out.late.push(LateRow {
                key,
                missed: 1,
                of: 1,
                start,
                end,
                time: row.time,
                trigger: 0,
            });
        } else {
            let kept = (row.clone(), arguments.iter().cloned().collect());
            state.waiting.insert(row.order(), kept);
            if state.waiting.len() > limit {
                state.waiting.pop_first();
                out.excess.push((key, Excess::RowDropped));
            }
        }
        self.settle(key, out);
    }

    /// Whether someone else decides after each row what happens next: see [`Ordered::step`].
    fn waits(&self) -> bool {
        self.spec.mode.emit == EmitMode::When
    }

    fn settle(&mut self, key: u32, out: &mut WindowOutput) {
        while !self.waits() && self.step(key, out) {}
        self.update_deadline(key);
    }

    /// Lets one thing happen that is due at the watermark; whether anything did.
    pub(super) fn step(&mut self, key: u32, out: &mut WindowOutput) -> bool {
        let state = self.keys.get_mut(key as usize);
        let Some(state) = state.and_then(Option::as_deref_mut) else {
            return false;
        };
        let went = state.step(&self.spec, key, out);
        if self.waits() {
            self.update_deadline(key);
        }
        went
    }

    /// Begins anew after an emission.
    pub(super) fn reset(&mut self, key: u32) {
        let state = self.keys.get_mut(key as usize);
        if let Some(state) = state.and_then(Option::as_deref_mut)
            && let Machine::Everything(everything) = &mut state.machine
        {
            everything.reset();
        }
    }

    fn update_deadline(&mut self, key: u32) {
        let state = self.keys.get(key as usize).and_then(Option::as_deref);
        let deadline = state.map_or(i64::MAX, |state| state.next(&self.spec));
        if let Some(known) = self.deadlines.get_mut(key as usize) {
            *known = deadline;
        }
    }

    pub(super) fn advance(&mut self, key: u32, watermark: i64, out: &mut WindowOutput) {
        let state = self.keys.get_mut(key as usize);
        let Some(state) = state.and_then(Option::as_deref_mut) else {
            return;
        };
        state.watermark = state.watermark.max(watermark);
        if watermark >= self.deadline(key) {
            self.settle(key, out);
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
            for (_, arguments) in state.waiting.values_mut() {
                *arguments = change.values(arguments).into();
            }
            state.past.change(change);
            state.machine.change(change);
        }
        self.spec.aggregates = change.aggregates.to_vec();
    }

    pub(super) fn bytes(&self) -> usize {
        let states = self.keys.iter().flatten().map(|state| {
            let waiting = state.waiting.len() * (size_of::<(RowKey, Arguments)>() + 32);
            size_of::<OrderedKey>() + waiting + state.past.bytes() + state.machine.bytes()
        });
        states.sum::<usize>()
            + self.keys.capacity() * size_of::<Option<Box<OrderedKey>>>()
            + self.deadlines.capacity() * size_of::<i64>()
    }
}
