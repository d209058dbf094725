//! [`Times`]: how far time is for every group of a push.

use super::group::{Begun, Push, Watch};
use crate::watermark::{Clocks, Line};

/// Time of all resources at the rows of a push.
pub(super) struct Times<'a> {
    pub(super) clocks: &'a Clocks,
    pub(super) lines: &'a [(Line, Begun)],
    pub(super) water: &'a [Vec<i64>],
}

impl<'a> Times<'a> {
    /// The push as one group sees it; `None` when no row concerns it.
    pub(super) fn of(
        &self,
        push: &Push<'a>,
        line: usize,
        picked: Option<&'a [u32]>,
        all: bool,
    ) -> Option<(Push<'a>, Watch<'a>)> {
        if picked.is_none() && !all {
            return None;
        }
        let push = Push {
            water: self.water.get(line)?,
            picked,
            ..push.clone()
        };
        let watch = Watch {
            clocks: self.clocks,
            line: &self.lines.get(line)?.0,
        };
        Some((push, watch))
    }
}
