//! Watermarks: how far the time of each resource has come.
//!
//! `W = max(latest − disorder, latest + silence − idle)`, never back. `latest` and when it arrived belong to the resource
//! ([`Clocks`]); the watermark belongs to a [`Line`], one for each pair of time settings that rules ask for. A backlog
//! gives what a running engine gave: the silence up to a row's arrival counts before the row.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventBatch, Span};

/// No time yet.
pub(crate) const NEVER: i64 = i64::MIN;

/// Time settings, each possibly left to the next level: rule, then resource, then engine.
pub(crate) type OwnTiming = (Option<Span>, Option<Span>);

/// Grows a dense column so that `index` is in it, and answers with the cell.
pub(crate) fn cell<T: Clone>(column: &mut Vec<T>, index: u32, empty: T) -> &mut T {
    let index = index as usize;
    if column.len() <= index {
        column.resize(index + 1, empty);
    }
    // The column is long enough now; the fallback is never made.
    match column.get_mut(index) {
        Some(cell) => cell,
        None => unreachable!("the column was grown to hold the index"),
    }
}

/// The cell of a dense column, or what an absent one stands for.
pub(crate) fn at<T: Copy>(column: &[T], index: u32, empty: T) -> T {
    column.get(index as usize).copied().unwrap_or(empty)
}

/// Highest event time of every resource, and the clock when it arrived.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Clocks {
    /// Highest event time, and when it arrived: a row reads and writes both.
    pairs: Vec<(i64, i64)>,
    own: Vec<OwnTiming>,
}

/// What one row did to its resource's clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tick {
    /// Number of the resource.
    pub(crate) resource: u32,
    /// Clock at the arrival of the row.
    pub(crate) now: i64,
    /// Highest event time before the row, and when it arrived.
    pub(crate) before: (i64, i64),
    /// Highest event time with the row.
    pub(crate) latest: i64,
}

impl Tick {
    /// How far silence lets the resource's watermark come, less the clock, if it counts as silent after `idle`.
    pub(crate) const fn lead(&self, idle: i64) -> i64 {
        let arrived = if self.latest > self.before.0 {
            self.now
        } else {
            self.before.1
        };
        self.latest.saturating_sub(arrived).saturating_sub(idle)
    }
}

impl Clocks {
    /// Takes the rows of a batch in log order.
    pub(crate) fn take(
        &mut self,
        batch: &EventBatch,
        rows: Range<usize>,
        clock: i64,
        ticks: &mut Vec<Tick>,
    ) {
        ticks.clear();
        let resources = batch.resource.get(rows.clone()).unwrap_or_default();
        let times = batch.time.get(rows.clone()).unwrap_or_default();
        for (index, (resource, time)) in resources.iter().zip(times).enumerate() {
            let arrival = batch
                .arrival
                .get(rows.start + index)
                .copied()
                .unwrap_or(NEVER);
            let now = match arrival.max(clock) {
                NEVER => *time,
                now => now,
            };
            let pair = cell(&mut self.pairs, *resource, (NEVER, NEVER));
            let before = *pair;
            if *time > before.0 {
                *pair = (*time, now);
            }
            ticks.push(Tick {
                resource: *resource,
                now,
                before,
                latest: pair.0,
            });
        }
    }

    /// Highest event time of a resource.
    pub(crate) fn latest(&self, resource: u32) -> i64 {
        self.pair(resource).0
    }

    /// Sets the resource's own time settings; answers whether they changed.
    pub(crate) fn set_own(&mut self, resource: u32, own: OwnTiming) -> bool {
        // Where nobody has any of their own, no row has to look for them.
        if own == (None, None) && self.own.len() <= resource as usize {
            return false;
        }
        let cell = cell(&mut self.own, resource, (None, None));
        let changed = *cell != own;
        *cell = own;
        changed
    }

    /// Takes the resources' own time settings from others.
    pub(crate) fn own_like(&mut self, other: &Self) {
        self.own.clone_from(&other.own);
    }

    fn own(&self, resource: u32) -> OwnTiming {
        at(&self.own, resource, (None, None))
    }

    /// Highest event time of a resource and the clock when it arrived, if it has any row.
    pub(crate) fn heard(&self, resource: u32) -> Option<(i64, i64)> {
        Some(self.pair(resource)).filter(|pair| pair.0 != NEVER)
    }

    /// Takes over what somebody else heard of a resource, unless something newer is known.
    pub(crate) fn recall(&mut self, resource: u32, heard: (i64, i64)) {
        let pair = cell(&mut self.pairs, resource, (NEVER, NEVER));
        if heard.0 > pair.0 {
            *pair = heard;
        }
    }

    /// How many resources have a clock.
    pub(crate) fn len(&self) -> u32 {
        u32::try_from(self.pairs.len().max(self.own.len())).unwrap_or(u32::MAX)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.pairs.capacity() * 16 + self.own.capacity() * 32
    }
}

/// `latest + silence − idle`; without any row as if silence had always been.
fn silent(before: (i64, i64), now: i64, idle: i64) -> i64 {
    if now == NEVER {
        NEVER
    } else if before.0 == NEVER {
        now.saturating_sub(idle)
    } else {
        before
            .0
            .saturating_add(now.saturating_sub(before.1))
            .saturating_sub(idle)
    }
}

/// Watermarks of all resources under one pair of time settings.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    /// What the rules say; what they leave out comes from the resource, then from `engine`.
    pub(crate) rule: OwnTiming,
    engine: (Span, Span),
    water: Vec<i64>,
}

impl Line {
    pub(crate) fn new(rule: OwnTiming, engine: (Span, Span)) -> Self {
        Self {
            rule,
            engine,
            water: Vec::new(),
        }
    }

    /// Other defaults of the engine from here on.
    pub(crate) const fn set_engine(&mut self, engine: (Span, Span)) {
        self.engine = engine;
    }

    fn timing(&self, clocks: &Clocks, resource: u32) -> (i64, i64) {
        let own = clocks.own(resource);
        let disorder = self.rule.0.or(own.0).unwrap_or(self.engine.0);
        let idle = self.rule.1.or(own.1).unwrap_or(self.engine.1);
        // Where one level says `disorder` and another `idle`: nobody is silent while its rows may still come.
        (disorder.0, idle.0.max(disorder.0))
    }

    /// After how much silence the time of a resource runs on without it.
    pub(crate) fn idle(&self, clocks: &Clocks, resource: u32) -> i64 {
        self.timing(clocks, resource).1
    }

    /// Moves the watermarks of the rows' resources; `water` gets the watermark at each row.
    pub(crate) fn take(&mut self, clocks: &Clocks, ticks: &[Tick], water: &mut Vec<i64>) {
        water.clear();
        for tick in ticks {
            let (disorder, idle) = self.timing(clocks, tick.resource);
            let mark = cell(&mut self.water, tick.resource, NEVER);
            if tick.before.0 != NEVER {
                *mark = (*mark).max(silent(tick.before, tick.now, idle));
            }
            *mark = (*mark).max(tick.latest.saturating_sub(disorder));
            water.push(*mark);
        }
    }

    /// The watermark of a resource when the clock stands at `clock`, kept.
    pub(crate) fn advance(&mut self, clocks: &Clocks, resource: u32, clock: i64) -> i64 {
        let (_, idle) = self.timing(clocks, resource);
        let now = silent(clocks.pair(resource), clock, idle);
        let mark = cell(&mut self.water, resource, NEVER);
        *mark = (*mark).max(now);
        *mark
    }

    /// The watermark of a resource when the clock stands at `clock`.
    pub(crate) fn at(&self, clocks: &Clocks, resource: u32, clock: i64) -> i64 {
        let (_, idle) = self.timing(clocks, resource);
        self.mark(resource)
            .max(silent(clocks.pair(resource), clock, idle))
    }

    /// Moves the watermark of a resource to a time, never back.
    pub(crate) fn raise(&mut self, resource: u32, time: i64) -> i64 {
        let mark = cell(&mut self.water, resource, NEVER);
        *mark = (*mark).max(time);
        *mark
    }

    /// The watermark as last moved.
    pub(crate) fn mark(&self, resource: u32) -> i64 {
        at(&self.water, resource, NEVER)
    }

    /// The clock at which silence alone brings the watermark of a resource to `deadline`.
    pub(crate) fn due(&self, clocks: &Clocks, resource: u32, deadline: i64) -> i64 {
        let (_, idle) = self.timing(clocks, resource);
        let (latest, arrived) = clocks.pair(resource);
        if latest == NEVER {
            return deadline.saturating_add(idle);
        }
        deadline
            .saturating_sub(latest)
            .saturating_add(arrived)
            .saturating_add(idle)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.water.capacity() * 8
    }
}

impl Clocks {
    pub(crate) fn pair(&self, resource: u32) -> (i64, i64) {
        at(&self.pairs, resource, (NEVER, NEVER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rows: &[(u32, i64, i64)]) -> EventBatch {
        let mut batch = EventBatch::default();
        for (resource, time, arrival) in rows {
            batch.resource.push(*resource);
            batch.time.push(*time);
            batch.arrival.push(*arrival);
        }
        batch
    }

    fn marks(rows: &[(u32, i64, i64)], clock: i64) -> (Clocks, Line, Vec<i64>) {
        let mut clocks = Clocks::default();
        let mut line = Line::new((None, None), (Span(5), Span(15)));
        let (mut ticks, mut water) = (Vec::new(), Vec::new());
        clocks.take(&batch(rows), 0..rows.len(), clock, &mut ticks);
        line.take(&clocks, &ticks, &mut water);
        (clocks, line, water)
    }

    #[test]
    fn the_watermark_follows_the_latest_row_and_never_goes_back() {
        let (_, _, water) = marks(&[(0, 100, NEVER), (0, 90, NEVER), (1, 7, NEVER)], NEVER);
        assert_eq!(water, [95, 95, 2]);
    }

    #[test]
    fn silence_moves_it_on_before_the_row_that_ends_it() {
        // 100 arrived at 1000, the next row at 1040: 100 + 40 − 15 = 125 is past the row at 110.
        let (mut clocks, mut line, water) = marks(&[(0, 100, 1000), (0, 110, 1040)], NEVER);
        assert_eq!(water, [95, 125]);
        assert_eq!(line.due(&clocks, 0, 130), 1075);
        assert_eq!(line.advance(&clocks, 0, 1074), 129);
        assert_eq!(line.advance(&clocks, 0, 1075), 130);
        clocks.set_own(0, (None, Some(Span(10))));
        assert_eq!(line.advance(&clocks, 0, 1075), 135);
        assert_eq!(line.mark(3), NEVER);
    }
}
