//! [`Past`]: what a metric was, not only what it is: for windows that close over rows which have followed, and for rows that come
//! below the watermark.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use crate::watermark::cell;

/// Most values of a resource that are kept from one push to the next.
const MOST: usize = 10_000;

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    /// The time from which it counts.
    from: i64,
    /// Its place among the rows: later rows do not change what was told before.
    sequence: u64,
    /// When it was said.
    said: i64,
    value: Value,
}

/// Values by time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Values {
    known: VecDeque<Known>,
    /// Older ones have been let go.
    dropped: bool,
}

/// Values of a metric by resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Past {
    of: Vec<Values>,
    /// How far back from the newest value they are kept.
    horizon: i64,
}

impl Values {
    /// The first value that is not too old; those before it may be gone, as rows were cut into batches.
    fn first(&self, horizon: i64) -> usize {
        let Some(last) = self.known.back() else {
            return 0;
        };
        let cut = last.from.saturating_sub(horizon);
        // What is followed by a value before the cut is asked for no more.
        self.known
            .partition_point(|known| known.from < cut)
            .saturating_sub(1)
    }
}

impl Past {
    pub(crate) fn new(horizon: i64) -> Self {
        Self {
            of: Vec::new(),
            horizon,
        }
    }

    /// A resource has a value from a time on.
    pub(crate) fn note(
        &mut self,
        resource: u32,
        (from, said): (i64, i64),
        sequence: u64,
        value: &Value,
    ) {
        let values = cell(&mut self.of, resource, Values::default());
        let place = values.known.partition_point(|known| known.from <= from);
        let known = Known {
            from,
            sequence,
            said,
            value: value.clone(),
        };
        values.known.insert(place, known);
    }

    /// The value as of a time, and when it was said: the oldest that is known if that is before all that is kept.
    pub(crate) fn at(&self, resource: u32, time: i64) -> Option<(i64, &Value)> {
        let values = self.of.get(resource as usize)?;
        let first = values.first(self.horizon);
        let after = values.known.partition_point(|known| known.from <= time);
        let older = values.dropped || first > 0;
        let place = match after.checked_sub(1) {
            Some(place) => place.max(first),
            None if older => first,
            None => return None,
        };
        let known = values.known.get(place)?;
        Some((known.said, &known.value))
    }

    /// The last value before a time among those of rows before a place in their order, unless it is older than `max_age`.
    pub(crate) fn before(
        &self,
        resource: u32,
        (time, sequence): (i64, u64),
        max_age: i64,
    ) -> Option<&Value> {
        let values = self.of.get(resource as usize)?;
        let after = values.known.partition_point(|known| known.from < time);
        let mut known = values.known.iter().take(after).rev();
        let known = known.find(|known| known.sequence < sequence)?;
        let age = time.saturating_sub(1).saturating_sub(known.said);
        (max_age == i64::MAX || age <= max_age).then_some(&known.value)
    }

    /// Lets go what is asked for no more.
    pub(crate) fn prune(&mut self, resource: u32) {
        let Some(values) = self.of.get_mut(resource as usize) else {
            return;
        };
        let over = values.known.len().saturating_sub(MOST);
        let gone = values.first(self.horizon).max(over);
        if gone > 0 {
            values.known.drain(..gone);
            values.dropped = true;
        }
    }

    /// Lets a resource go.
    pub(crate) fn forget(&mut self, resource: u32) {
        if let Some(values) = self.of.get_mut(resource as usize) {
            *values = Values::default();
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        let known: usize = self.of.iter().map(|values| values.known.capacity()).sum();
        known * size_of::<Known>() + self.of.capacity() * size_of::<Values>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_their_time_however_much_was_let_go() {
        let mut past = Past::new(10);
        assert_eq!(past.at(0, 5), None);
        for (sequence, time) in [(0, 3), (1, 9), (2, 6)] {
            past.note(0, (time, time), sequence, &Value::Int(time));
        }
        assert_eq!(past.at(0, 2), None);
        assert_eq!(past.at(0, 8), Some((6, &Value::Int(6))));
        // A row that came later changes nothing that was told before.
        assert_eq!(past.before(0, (9, 2), i64::MAX), Some(&Value::Int(3)));
        assert_eq!(past.before(0, (9, 3), i64::MAX), Some(&Value::Int(6)));
        assert_eq!(past.before(0, (9, 3), 1), None);
        past.note(0, (30, 30), 3, &Value::Int(30));
        let before = (past.at(0, 2).is_some(), past.at(0, 2).map(|known| known.0));
        past.prune(0);
        let after = (past.at(0, 2).is_some(), past.at(0, 2).map(|known| known.0));
        assert_eq!((before, after), ((true, Some(9)), (true, Some(9))));
    }
}
