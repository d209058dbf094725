//! [`Lagged`]: what a metric said over the last while, per resource, to be read as of an earlier time: `corr_lag`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::sight::Sight;
use crate::plan::slots::SlotTable;

/// Rows that may come so long after newer ones still find what was known at their time.
const SLACK: i64 = 60_000;
/// Values that are kept of one resource; beyond it the oldest is forgotten.
const KEPT: usize = 100_000;

/// The values of one metric of every resource by time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Lagged {
    /// Place in the table.
    pub(crate) place: usize,
    /// Place of the metric.
    pub(crate) of: usize,
    lag: i64,
    rows: Vec<VecDeque<(i64, Value)>>,
}

impl Lagged {
    pub(crate) const fn new(place: usize, of: usize, lag: i64) -> Self {
        Self {
            place,
            of,
            lag,
            rows: Vec::new(),
        }
    }

    /// Takes a value; among equal times the one that comes later stands.
    pub(crate) fn take(&mut self, resource: u32, time: i64, value: &Value) {
        let at = resource as usize;
        if self.rows.len() <= at {
            self.rows.resize_with(at + 1, VecDeque::new);
        }
        let Some(rows) = self.rows.get_mut(at) else {
            return;
        };
        let place = if rows.back().is_none_or(|(last, _)| *last <= time) {
            rows.len()
        } else {
            rows.partition_point(|(known, _)| *known <= time)
        };
        rows.insert(place, (time, value.clone()));
        let newest = rows.back().map_or(time, |(newest, _)| *newest);
        let needed = newest.saturating_sub(self.lag).saturating_sub(SLACK);
        // The value in force at the earliest time that may be asked for stays.
        while rows.len() > KEPT || rows.get(1).is_some_and(|(second, _)| *second <= needed) {
            rows.pop_front();
        }
    }

    /// What was known so much before a time; older than `max_age` then: nothing.
    pub(crate) fn before(&self, resource: u32, time: i64, max_age: i64) -> Value {
        let asked = time.saturating_sub(self.lag);
        let rows = self.rows.get(resource as usize);
        let found = rows.and_then(|rows| {
            let place = rows.partition_point(|(known, _)| *known <= asked);
            rows.get(place.checked_sub(1)?)
        });
        let found = found.filter(|(known, _)| asked.saturating_sub(*known) <= max_age);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    }

    /// Goes on with the values of an equal place.
    pub(crate) fn inherit(&mut self, other: &Self) {
        self.rows.clone_from(&other.rows);
    }

    pub(crate) fn forget(&mut self, resource: u32) {
        if let Some(rows) = self.rows.get_mut(resource as usize) {
            *rows = VecDeque::new();
        }
    }

    /// Values that are kept.
    pub(crate) fn kept(&self) -> u64 {
        self.rows.iter().map(|rows| rows.len() as u64).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        let rows = self.rows.iter().map(VecDeque::capacity).sum::<usize>();
        rows * size_of::<(i64, Value)>()
            + self.rows.capacity() * size_of::<VecDeque<(i64, Value)>>()
    }
}

impl Sight {
    /// Puts another value in the place of the latest of a metric: what it means has changed.
    pub(crate) fn replace(
        &mut self,
        resource: u32,
        metric: u32,
        known: Option<&(i64, Value)>,
        when: (i64, u64),
    ) {
        for (place, cells) in self.metrics.iter_mut().enumerate() {
            if cells.metric != metric {
                continue;
            }
            cells.replace(resource, known.cloned(), when);
            for past in self.lagged.iter_mut().filter(|past| past.of == place) {
                past.forget(resource);
                if let Some((time, value)) = known {
                    past.take(resource, *time, value);
                }
            }
        }
    }

    /// Keeps what a row says for those that ask later.
    pub(super) fn keep_lagged(&mut self, resource: u32, time: i64, values: &[Value]) {
        for past in &mut self.lagged {
            if let Some(value) = values.get(past.of).filter(|value| !value.is_missing()) {
                past.take(resource, time, value);
            }
        }
    }

    /// What metrics said before a row, as of its own time.
    pub(super) fn look_back(
        &self,
        table: &SlotTable,
        (resource, time): (u32, i64),
        now: &mut [Value],
    ) {
        for past in &self.lagged {
            let max_age = table.places.get(past.of).map_or(i64::MAX, |of| of.max_age);
            if let Some(value) = now.get_mut(past.place) {
                *value = past.before(resource, time, max_age);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_past_is_the_last_value_at_or_before(
            rows in prop::collection::vec((0_i64..90_000, 0_i64..50), 1..40),
            lag in 1_i64..40_000,
            asked in 0_i64..90_000,
        ) {
            let mut past = Lagged::new(1, 0, lag);
            for (time, number) in &rows {
                past.take(3, *time, &Value::Number(*number as f64));
            }
            let newest = rows.iter().map(|row| row.0).max().unwrap_or_default();
            let time = asked.max(newest - SLACK);
            let known = rows.iter().filter(|row| row.0 <= time - lag);
            // Among equal times `max_by_key` takes the last.
            let expected = known.max_by_key(|row| row.0);
            let expected = expected.map_or(Value::Missing, |row| Value::Number(row.1 as f64));
            prop_assert_eq!(past.before(3, time, i64::MAX), expected);
            prop_assert_eq!(past.before(2, time, i64::MAX), Value::Missing);
        }
    }
}
