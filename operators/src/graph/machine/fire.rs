//! What an evaluation makes of triggers: looks at them, tells states, fires.

use std::collections::BTreeSet;

use smallvec::SmallVec;
use tidegate_proto::graph::GraphTarget;

use super::{Count, Machine, Scene, Verdict};
use crate::graph::sheet::{SeenRow, Sheet};
use crate::plan::graph::{CuePlan, GraphPlan, TriggerPlan};

impl<S: Scene> Machine<'_, S> {
    /// Propagates, looks at the triggers of what is connected with nodes that ran, records, fires.
    pub(super) fn evaluate(
        &mut self,
        at: i64,
        (ran, lost): (&BTreeSet<usize>, &BTreeSet<usize>),
        fired: &mut BTreeSet<usize>,
    ) {
        self.propagate();
        let part = |node: &usize| self.plan.part.get(*node).copied();
        let mut parts: BTreeSet<usize> = ran.iter().filter_map(part).collect();
        let plan = self.plan;
        let mut firings: Vec<(usize, &TriggerPlan)> = Vec::new();
        for (index, trigger) in plan.triggers.iter().enumerate() {
            let connected = part(&trigger.from).is_some_and(|part| parts.contains(&part));
            if !connected {
                continue;
            }
            match self.judge(trigger, ran) {
                Verdict::Fired => firings.push((index, trigger)),
                verdict => self.scene.looked(index, verdict),
            }
        }
        // What is lost fires nothing.
        parts.extend(lost);
        self.scene.evaluates(self.sheet, &parts);
        let sheet = &mut *self.sheet;
        sheet.previous.clone_from(&sheet.certain);
        self.record(at, false, &parts);
        for (index, trigger) in firings {
            for target in &trigger.to {
                let verdict = self.fire(at, (index, trigger), *target, fired);
                self.scene.looked(index, verdict);
            }
        }
    }

    /// Whether a trigger fires, or the reason of the first thing that it looks for.
    fn judge(&mut self, trigger: &TriggerPlan, ran: &BTreeSet<usize>) -> Verdict {
        let from = trigger.from;
        if !self.plan.net.is_complete(from, &self.sheet.certain) {
            return Verdict::FullObservation;
        }
        let mut verdict = None;
        for cue in &trigger.on {
            let said = self.cue(cue, from, ran);
            if said == Verdict::Fired || verdict.is_none() {
                verdict = Some(said);
            }
        }
        verdict.unwrap_or(Verdict::NoChange)
    }

    fn cue(&mut self, cue: &CuePlan, from: usize, ran: &BTreeSet<usize>) -> Verdict {
        let now = self.sheet.certain.get(from).copied().flatten();
        let before = self.sheet.previous.get(from).copied().flatten();
        let fires = match cue {
            CuePlan::Executed if ran.contains(&from) => true,
            CuePlan::Executed => return Verdict::NotRun,
            CuePlan::State(_) | CuePlan::Change { .. } if now.is_none() => {
                return Verdict::NotCertain;
            }
            CuePlan::State(states) => now.is_some_and(|now| states.contains(&now)),
            CuePlan::Change { from, to } => {
                now != before && (to.is_none() || *to == now) && (from.is_none() || *from == before)
            }
            CuePlan::Probability {
                state,
                than,
                limit,
                level,
                bit,
            } => {
                let likely = self.sheet.likely(self.plan, from);
                let likely = likely.and_then(|of| of.get(usize::from(*state)).copied());
                let Some(p) = likely else {
                    self.scene.count(Count::Contradiction);
                    return Verdict::NotCertain;
                };
                let holds = than.holds(p, *limit);
                let bit = self.sheet.bits.get_mut(*bit);
                let was = bit.is_some_and(|bit| std::mem::replace(bit, holds));
                holds && (*level || !was)
            }
        };
        if fires {
            Verdict::Fired
        } else {
            Verdict::NoChange
        }
    }

    /// Tells states that have changed, and those that are told after every evaluation of their part.
    pub(super) fn record(&mut self, at: i64, birth: bool, parts: &BTreeSet<usize>) {
        for node in 0..self.plan.nodes.len() {
            let flag = |of: &[bool]| of.get(node).copied().unwrap_or(false);
            let now = self.sheet.certain.get(node).copied().flatten();
            let before = self.sheet.told.get(node).copied().flatten();
            let part = self.plan.part.get(node);
            let told = if flag(&self.plan.observe) {
                birth || now != before || part.is_some_and(|part| parts.contains(part))
            } else {
                flag(&self.plan.sources) && now != before
            };
            if !told {
                continue;
            }
            let likely = self.sheet.likely(self.plan, node).map(<[u64]>::to_vec);
            self.scene.told(self.sheet, node, at, likely.as_deref());
            if let Some(told) = self.sheet.told.get_mut(node) {
                *told = now;
            }
        }
    }

    fn fire(
        &mut self,
        at: i64,
        (index, trigger): (usize, &TriggerPlan),
        target: GraphTarget,
        fired: &mut BTreeSet<usize>,
    ) -> Verdict {
        let last = self.sheet.fired.get(&target);
        let soon = last.is_some_and(|last| at.saturating_sub(*last) < trigger.at_most_every);
        let spent = trigger.once && self.sheet.spent.contains(&(index, target));
        if soon || spent {
            self.scene.count(Count::Throttled);
            return if spent {
                Verdict::Once
            } else {
                Verdict::Throttled
            };
        }
        self.sheet.fired.insert(target, at);
        if trigger.once {
            self.sheet.spent.insert((index, target));
        }
        match target {
            GraphTarget::Actuator(actuator) => {
                self.scene.fired(self.sheet, actuator, trigger.from, at);
            }
            GraphTarget::Node(node) => {
                if self.is_delay(node) {
                    let rows: SmallVec<[SeenRow; 1]> =
                        self.sheet.causes(self.plan, trigger.from).into();
                    self.sheet.starts.insert(node, rows);
                }
                fired.insert(node);
            }
        }
        Verdict::Fired
    }
}

impl Sheet {
    /// Probabilities of a node's states in billionths; `None`: what is observed cannot be.
    pub(crate) fn likely(&mut self, plan: &GraphPlan, node: usize) -> Option<&[u64]> {
        let part = plan.belief.part(node);
        let observed: Vec<Option<u16>> = self.nodes.iter().map(|node| node.state).collect();
        let known = self.beliefs.get_mut(part)?;
        let same = |known: &(Vec<Option<u16>>, _)| {
            let all = known.0.iter().zip(&observed).enumerate();
            let mut own = all.filter(|(node, _)| plan.belief.part(*node) == part);
            own.all(|(_, (known, now))| known == now)
        };
        if !known.as_ref().is_some_and(same) {
            let likelihoods = plan.belief.of(part, &observed);
            *known = Some((observed, likelihoods));
        }
        let (_, likelihoods) = known.as_ref()?;
        likelihoods.as_ref()?.get(node).map(Vec::as_slice)
    }
}
