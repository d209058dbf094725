//! [`Waiting`]: rows of `order: time` that wait for the watermark, taken by (event time, log order).

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::{EventRef, Traits, Value};

use crate::former::Former;
use crate::timer::IDLE;
use crate::watermark::cell;

/// A row that waits, with what its group needs of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitingRow {
    /// Event time.
    pub(crate) time: i64,
    /// Place in the log.
    pub(crate) sequence: u64,
    /// What a result names.
    pub(crate) cause: EventRef,
    /// Values by the place of their metric in the group.
    pub(crate) values: SmallVec<[Value; 2]>,
    pub(crate) role: Role,
}

/// What a row that waits is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// It is judged if it carries what is asked for.
    Row,
    /// It is judged: it says of a metric that is asked for that it has no value.
    Null,
    /// It only brings values: its row was taken before, or came before the rule did.
    Values,
}

/// Rows that wait, per resource.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Waiting {
    rows: Vec<VecDeque<WaitingRow>>,
    /// How many there are.
    total: u64,
    /// Traits of when they were read.
    former: Former,
}

impl Waiting {
    /// Adds a row at its place.
    pub(crate) fn insert(&mut self, resource: u32, row: WaitingRow) {
        let rows = cell(&mut self.rows, resource, VecDeque::new());
        let key = (row.time, row.sequence);
        let place = rows.partition_point(|other| (other.time, other.sequence) < key);
        rows.insert(place, row);
        self.total += 1;
    }

    /// Something of each place that the next row of a resource and the rows that it lets go lie at.
    #[inline]
    pub(crate) fn words(&self, resource: u32) -> u64 {
        let Some(rows) = self.rows.get(resource as usize) else {
            return 0;
        };
        let ends = [rows.front(), rows.get(1), rows.back()];
        ends.iter().flatten().fold(0, |all, row| {
            all ^ row.sequence ^ u64::from(row.role == Role::Row)
        })
    }

    /// The first row, if its time is at most `time`.
    pub(crate) fn take(&mut self, resource: u32, time: i64) -> Option<WaitingRow> {
        let rows = self.rows.get_mut(resource as usize)?;
        let row = rows.pop_front_if(|row| row.time <= time)?;
        self.total -= 1;
        Some(row)
    }

    /// The traits of a resource change: rows that wait keep those that they were read under. `until` is the place in the log of
    /// the next row.
    pub(crate) fn part(&mut self, resource: u32, until: u64, traits: &Arc<Traits>) {
        if self.total == 0 {
            return self.former.clear();
        }
        let rows = &self.rows;
        self.former.part((resource, until), traits, || {
            let rows = (0..).zip(rows);
            rows.flat_map(|(of, rows)| rows.iter().map(move |row| (of, row.sequence)))
        });
    }

    /// The traits under which a row of a resource was read, if they are others now.
    pub(crate) fn traits_of(&self, resource: u32, sequence: u64) -> Option<Arc<Traits>> {
        self.former.at(resource, sequence)
    }

    /// Event time of the first row, [`IDLE`] if none waits.
    pub(crate) fn first(&self, resource: u32) -> i64 {
        let rows = self.rows.get(resource as usize);
        rows.and_then(VecDeque::front).map_or(IDLE, |row| row.time)
    }

    /// How many rows of a resource wait.
    pub(crate) fn len(&self, resource: u32) -> usize {
        self.rows.get(resource as usize).map_or(0, VecDeque::len)
    }

    /// How many rows wait.
    pub(crate) const fn count(&self) -> u64 {
        self.total
    }

    /// Resources of which something waits.
    pub(crate) fn resources(&self) -> Vec<u32> {
        let rows = (0..).zip(&self.rows);
        let waiting = rows.filter(|(_, rows)| !rows.is_empty());
        waiting.map(|(resource, _)| resource).collect()
    }

    /// What waits, for somebody who asks for other values of rows: `from` has for each where it stood before.
    pub(crate) fn handed_on(&self, from: &[Option<usize>], takes: impl Fn(u32) -> bool) -> Self {
        let hand_on = |row: &WaitingRow| {
            let value = |from: &Option<usize>| from.and_then(|from| row.values.get(from)).cloned();
            let values = from.iter().map(|from| value(from).unwrap_or_default());
            WaitingRow {
                time: row.time,
                sequence: row.sequence,
                cause: row.cause.clone(),
                values: values.collect(),
                role: row.role,
            }
        };
        let of = |(resource, rows): (u32, &VecDeque<WaitingRow>)| {
            let rows = rows.iter().filter(|_| takes(resource));
            rows.map(hand_on).collect()
        };
        let rows: Vec<VecDeque<_>> = (0..).zip(&self.rows).map(of).collect();
        Self {
            total: rows.iter().map(|rows| rows.len() as u64).sum(),
            rows,
            former: self.former.clone(),
        }
    }

    /// Lets go what waits of a resource.
    pub(crate) fn forget(&mut self, resource: u32) {
        if let Some(rows) = self.rows.get_mut(resource as usize) {
            self.total -= rows.len() as u64;
            *rows = VecDeque::new();
        }
        self.former.forget(resource);
    }

    pub(crate) fn bytes(&self) -> usize {
        let row = size_of::<WaitingRow>();
        self.rows
            .iter()
            .map(|rows| size_of::<VecDeque<WaitingRow>>() + rows.capacity() * row)
            .sum::<usize>()
            + self.former.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_by_time_then_log_order_once_the_watermark_is_there() {
        let mut waiting = Waiting::default();
        for (time, sequence) in [(5, 0), (3, 1), (5, 2), (3, 3)] {
            waiting.insert(
                2,
                WaitingRow {
                    time,
                    sequence,
                    cause: EventRef::default(),
                    values: SmallVec::new(),
                    role: Role::Row,
                },
            );
        }
        assert_eq!(waiting.first(2), 3);
        let mut taken = Vec::new();
        while let Some(row) = waiting.take(2, 4) {
            taken.push((row.time, row.sequence));
        }
        assert_eq!(taken, [(3, 1), (3, 3)]);
        assert_eq!((waiting.first(2), waiting.first(0)), (5, IDLE));
        assert_eq!(waiting.take(2, 5).map(|row| row.sequence), Some(0));
    }
}
