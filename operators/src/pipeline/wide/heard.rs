//! Lines of rules among the rows of a task over everything: whose time counts where the task reads nothing else.

use super::intake::Come;
use super::least::Member;
use super::{Now, ONE, Taken, WideUnit};
use crate::plan::wide::Feed;
use crate::watermark::NEVER;

impl WideUnit {
    /// Whether the one task over everything reads what rules say of a resource: then its time counts, whatever its rows carry.
    pub(super) fn awaits(&self, resource: u32) -> bool {
        let mut inputs = self.wide.heard.iter();
        inputs.any(|input| self.state.groups.feeds(*input, resource, ONE))
    }

    /// Whether a row is what a rule said: `where` is about rows of resources.
    pub(super) fn is_heard(&self, row: &Taken) -> bool {
        let mut columns = self.wide.columns.iter().zip(&row.values);
        columns.any(|(column, value)| {
            let heard = |input: usize| self.wide.heard.contains(&input);
            !value.is_missing() && matches!(column.feed, Feed::Input(input) if heard(input))
        })
    }

    /// Lines of what has no rows of its own, a rule or a key that stands for a resource, have the time of a row each.
    pub(super) fn count_heard(&mut self, come: &Come<'_>, now: Now<'_>) {
        if come.tick.before.0 != NEVER {
            return;
        }
        let (resource, time) = (come.row.resource, come.row.time);
        let known = self.state.least.get(resource);
        if known.is_some_and(|known| known.mark > time) {
            return;
        }
        let arrived = if now.clock == NEVER { time } else { now.clock };
        let idle = now.line.idle(now.clocks, resource);
        let member = Member {
            mark: time,
            lead: time.saturating_sub(arrived).saturating_sub(idle),
        };
        self.pass_silence(ONE, now);
        self.state.least.set(resource, member, now.clock);
    }
}
