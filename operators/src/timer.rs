//! [`Timers`]: which resources have something due at which clock. A heap that is only ever early, never late: a deadline
//! that moved on is put back when its old time comes, so that a row costs no heap work.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use serde::{Deserialize, Serialize};

use crate::watermark::cell;

/// Nothing due.
pub(crate) const IDLE: i64 = i64::MAX;

/// Resources by the clock at which they have to be looked at.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<i64>", into = "Vec<i64>")]
pub(crate) struct Timers {
    /// Earliest clock armed, per resource.
    due: Vec<i64>,
    heap: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Timers {
    /// Asks to be told of a resource when the clock reaches `clock`, or earlier.
    pub(crate) fn arm(&mut self, resource: u32, clock: i64) {
        if clock == IDLE {
            return;
        }
        let due = cell(&mut self.due, resource, IDLE);
        if clock < *due {
            *due = clock;
            self.heap.push(Reverse((clock, resource)));
        }
    }

    /// The next resource whose clock has come; it is disarmed.
    pub(crate) fn pop(&mut self, clock: i64) -> Option<u32> {
        loop {
            let Reverse((due, resource)) = self.heap.peek().copied()?;
            if due > clock {
                return None;
            }
            self.heap.pop();
            let armed = cell(&mut self.due, resource, IDLE);
            // An entry that was overtaken by an earlier one has nothing to say.
            if *armed == due {
                *armed = IDLE;
                return Some(resource);
            }
        }
    }

    /// The earliest clock at which `pop` would answer; may be too early.
    pub(crate) fn next(&self) -> Option<i64> {
        self.heap.peek().map(|Reverse((due, _))| *due)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.due.capacity() * 8 + self.heap.capacity() * 16
    }
}

impl From<Vec<i64>> for Timers {
    fn from(due: Vec<i64>) -> Self {
        let armed = due.iter().zip(0..).filter(|(due, _)| **due != IDLE);
        let heap = armed
            .map(|(due, resource)| Reverse((*due, resource)))
            .collect();
        Self { due, heap }
    }
}

impl From<Timers> for Vec<i64> {
    fn from(timers: Timers) -> Self {
        timers.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_told_once_at_its_earliest_time() {
        let mut timers = Timers::default();
        timers.arm(3, 50);
        timers.arm(1, 20);
        timers.arm(3, 10);
        timers.arm(3, 30);
        let mut timers = Timers::from(Vec::from(timers));
        assert_eq!(timers.next(), Some(10));
        assert_eq!(timers.pop(9), None);
        assert_eq!(timers.pop(60), Some(3));
        assert_eq!(timers.pop(60), Some(1));
        assert_eq!(timers.pop(60), None);
    }
}
