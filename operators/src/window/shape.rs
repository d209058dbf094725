//! [`Shape`]: where tumbling and hopping windows and their panes lie on the axis of time.

use serde::{Deserialize, Serialize};

/// Where windows and panes lie.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Shape {
    pub(super) size: i64,
    pub(super) every: i64,
    offset: i64,
    pub(super) width: i64,
    /// Whether the size is a multiple of the step: then panes are as wide as steps, and nothing is divided to find the
    /// windows of a pane.
    even: bool,
    /// Most windows that one pane can be of.
    pub(super) windows_of_a_pane: usize,
}

fn divisor(left: i64, right: i64) -> i64 {
    if right == 0 {
        left
    } else {
        divisor(right, left % right)
    }
}

impl Shape {
    pub(super) fn new(size: i64, every: i64, offset: i64) -> Self {
        let (size, every) = (size.max(1), every.max(1));
        Self {
            size,
            every,
            offset,
            width: divisor(size, every),
            even: size % every == 0,
            windows_of_a_pane: (size / every + 1) as usize,
        }
    }

    /// The greatest multiple of a step at or before a time.
    pub(super) fn floor(&self, time: i64, step: i64) -> i64 {
        time.saturating_sub(time.wrapping_sub(self.offset).rem_euclid(step))
    }

    /// Start of the last window that starts at or before a pane.
    pub(super) fn last_start(&self, pane: i64) -> i64 {
        if self.even {
            pane
        } else {
            self.floor(pane, self.every)
        }
    }

    /// End of the first window that holds a pane, or would if there is a gap.
    pub(super) fn first_end(&self, pane: i64) -> i64 {
        if self.even {
            pane.saturating_add(self.width)
        } else {
            self.end(self.start_after(pane.saturating_sub(self.size)))
        }
    }

    /// First and last start of the windows that hold a time; first above last in a gap.
    pub(super) fn starts(&self, time: i64) -> (i64, i64) {
        (
            self.start_after(time.saturating_sub(self.size)),
            self.floor(time, self.every),
        )
    }

    /// The first window start after a time.
    pub(super) fn start_after(&self, time: i64) -> i64 {
        self.floor(time, self.every).saturating_add(self.every)
    }

    /// Panes that lie within so much time are of at most so many windows.
    pub(super) fn reach(&self, windows: usize) -> i64 {
        let panes = (windows / self.windows_of_a_pane.max(1)).saturating_sub(2);
        i64::try_from(panes)
            .unwrap_or(i64::MAX)
            .saturating_mul(self.width)
    }

    pub(super) fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.size)
    }

    pub(super) fn count(&self, first: i64, last: i64) -> u32 {
        if first > last {
            return 0;
        }
        u32::try_from(last.saturating_sub(first) / self.every + 1).unwrap_or(u32::MAX)
    }

    /// When nothing will ask for a pane any more: the end of its last window, or of itself in a gap.
    pub(super) fn last_end(&self, pane: i64) -> i64 {
        let own = pane.saturating_add(self.width);
        self.end(self.last_start(pane)).max(own)
    }
}
