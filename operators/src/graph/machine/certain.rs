//! What is certain, and what is so no longer.

use super::{Machine, Scene};
use crate::plan::graph::CuePlan;

impl<S: Scene> Machine<'_, S> {
    /// A node is observed no more, as after an eviction; answers with the part that this is told of. `was`: it was observed until it
    /// was reset right now.
    pub(super) fn lose_one(&mut self, node: usize, was: bool) -> Option<usize> {
        let sheet = self.sheet.nodes.get_mut(node)?;
        sheet.evicts = None;
        let observed = sheet.state.take().is_some();
        let part = self.plan.part.get(node).copied();
        part.filter(|_| was || observed)
    }

    /// Finds what is certain now.
    pub(super) fn propagate(&mut self) {
        let plan = self.plan;
        let observed: Vec<Option<u16>> = self.sheet.nodes.iter().map(|node| node.state).collect();
        let mut likely = |node: usize| {
            let of = self.sheet.likely(plan, node)?;
            let sure = of
                .iter()
                .position(|p| *p == crate::graph::natural::BILLION)?;
            u16::try_from(sure).ok()
        };
        let seen = |node: usize| observed.get(node).copied().flatten();
        let certain = plan.net.certain(seen, &mut likely);
        self.sheet.certain = certain;
    }

    /// What has lost its certain state has none before it either; what is no longer likely may become so again.
    pub(super) fn lose(&mut self) {
        for (now, previous) in self.sheet.certain.iter().zip(&mut self.sheet.previous) {
            if now.is_none() {
                *previous = None;
            }
        }
        if !self.sheet.bits.contains(&true) {
            return;
        }
        for trigger in &self.plan.triggers {
            for cue in &trigger.on {
                if let CuePlan::Probability {
                    state,
                    than,
                    limit,
                    bit,
                    ..
                } = cue
                {
                    let likely = self.sheet.likely(self.plan, trigger.from);
                    let likely = likely.and_then(|of| of.get(usize::from(*state)));
                    // While what is observed cannot be, nothing is compared.
                    let holds = likely.is_none_or(|p| than.holds(*p, *limit));
                    if let Some(bit) = self.sheet.bits.get_mut(*bit) {
                        *bit &= holds;
                    }
                }
            }
        }
    }
}
