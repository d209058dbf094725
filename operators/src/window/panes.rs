//! [`KeyPanes`]: the panes of one key of tumbling or hopping windows.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::Told;
use super::shape::Shape;

/// One cache line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub(super) struct KeyPanes {
    /// Rising by start; the last one is at home.
    pub(super) panes: SmallVec<[Pane; 2]>,
    pub(super) closed_to: i64,
    pub(super) seldom: Option<Box<Seldom>>,
}

const _: () = assert!(size_of::<KeyPanes>() == 64);

/// What few keys have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seldom {
    /// Set by the limit on open windows; the watermark makes windows final as well.
    pub(super) forced: i64,
    /// Of windows that may still be corrected.
    pub(super) told: Vec<Told>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Pane {
    pub(super) start: i64,
    pub(super) slot: u32,
}

impl Default for KeyPanes {
    fn default() -> Self {
        Self {
            panes: SmallVec::new(),
            closed_to: i64::MIN,
            seldom: None,
        }
    }
}

impl KeyPanes {
    pub(super) fn final_to(&self, lateness: i64) -> i64 {
        self.closed_to.saturating_sub(lateness).max(self.forced())
    }

    pub(super) fn forced(&self) -> i64 {
        self.seldom
            .as_ref()
            .map_or(i64::MIN, |seldom| seldom.forced)
    }

    pub(super) fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_with(|| {
            Box::new(Seldom {
                forced: i64::MIN,
                told: Vec::new(),
            })
        })
    }

    /// Start of the earliest window that has rows and ends after a time.
    pub(super) fn next_window(&self, shape: &Shape, after: i64) -> Option<i64> {
        let open = shape.start_after(after.saturating_sub(shape.size));
        let over = |pane: &Pane| shape.last_start(pane.start) < open;
        let from = self.panes.partition_point(over);
        self.panes.iter().skip(from).find_map(|pane| {
            let (first, last) = shape.starts(pane.start);
            let start = first.max(open);
            (start <= last).then_some(start)
        })
    }

    pub(super) fn position(&self, start: i64) -> usize {
        self.panes.partition_point(|pane| pane.start < start)
    }

    /// The panes that lie in `[start, end)`.
    pub(super) fn between(&self, start: i64, end: i64) -> &[Pane] {
        let panes = self.panes.get(self.position(start)..self.position(end));
        panes.unwrap_or_default()
    }

    /// How many windows that are not final have rows.
    pub(super) fn open_windows(&self, shape: &Shape, final_to: i64) -> usize {
        let mut next = shape.start_after(final_to.saturating_sub(shape.size));
        let mut count = 0;
        for pane in &self.panes {
            let (first, last) = shape.starts(pane.start);
            let first = first.max(next);
            count += shape.count(first, last) as usize;
            next = next.max(last.saturating_add(1));
        }
        count
    }
}
