//! Functions over the members of a group of resources: `avg(temps)`, `members(temps)`, `stale_count(temps, "10m")`.

use rhai::Position;

use super::Lowering;
use super::streams::Parts;
use crate::catalogue::{Lookback, StreamEntry};
use crate::stream::{Over, Slot, StreamCall, StreamFunction};

/// What a call is, seen from the groups that are known.
pub(super) enum GroupForm {
    /// Nothing of theirs: the parts come back.
    None(Parts),
    /// A call over the members of one; `None` after a problem.
    Call(Option<StreamCall>),
}

impl Lowering<'_> {
    /// Whether the arguments of a call name a group, and nothing else.
    fn names_group(&self, parts: &Parts) -> bool {
        let Some(scope) = self.aliases else {
            return false;
        };
        let slots = parts.arguments.iter().flat_map(|(x, _)| x.slots());
        let mut names = slots.map(|slot| match slot {
            Slot::Metric(name) => Some(name).filter(|name| scope.groups.contains(name)),
            _ => None,
        });
        let first = names.next().flatten();
        first.is_some() && names.all(|name| name == first)
    }

    /// A call in a condition, if it is over the members of a group.
    pub(super) fn of_group(
        &mut self,
        entry: &StreamEntry,
        parts: Parts,
        at: Position,
    ) -> GroupForm {
        let name = entry.function.name();
        let of_group = self.names_group(&parts);
        let counts = matches!(
            entry.function,
            StreamFunction::Members | StreamFunction::StaleCount
        );
        let bare = matches!(parts.arguments.as_slice(), [(x, _)] if x.slots().len() == 1);
        if counts && !(of_group && bare) {
            self.problem(
                at,
                format!("`{name}` counts the members of a group, and no group is named"),
                "name one under `inputs`: `temps: { of: { type: sensor }, metric: temperature }`",
            );
            return GroupForm::Call(None);
        }
        if entry.lookback == Lookback::Rows && parts.over.is_none() && of_group {
            return GroupForm::Call(self.over_members(entry, parts, at));
        }
        GroupForm::None(parts)
    }

    /// A function over the members of a group, as they are known at the moment.
    fn over_members(
        &mut self,
        entry: &StreamEntry,
        parts: Parts,
        at: Position,
    ) -> Option<StreamCall> {
        use StreamFunction as F;
        let name = entry.function.name();
        let alone = matches!(
            entry.function,
            F::Cov
                | F::Corr
                | F::CorrLag
                | F::Slope
                | F::Increase
                | F::Integral
                | F::Twa
                | F::Duration
                | F::Delta
                | F::Rate
                | F::Zscore
        );
        if alone || parts.nulls {
            self.problem(
                at,
                format!("`{name}` has no meaning over the members of a group"),
                format!("look back on all their rows: `{name}(…, \"5m\")`"),
            );
            return None;
        }
        self.finish(entry, parts, Over::Window, at)
    }
}
