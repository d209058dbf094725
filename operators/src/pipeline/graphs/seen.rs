//! [`GraphSeen`]: nodes and triggers of a graph as they stood at one moment. Noted only while somebody watches the task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidegate_proto::graph::GraphTarget;
use tidegate_proto::{EventRef, Timestamp, Value};

use super::tell::chance;
use super::{GraphUnit, Sheet};
use crate::graph::machine::Verdict;
use crate::pipeline::seen::{Inside, Sighting};
use crate::plan::Plan;
use crate::plan::graph::{Doing, GraphPlan};

/// Nodes and triggers of a graph, in document order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GraphSeen {
    /// The nodes.
    pub nodes: Vec<GraphNodeSeen>,
    /// The triggers.
    pub triggers: Vec<TriggerSeen>,
}

/// A node of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct GraphNodeSeen {
    /// Its name.
    pub name: Arc<str>,
    /// The state that it is certainly in.
    pub state: Option<Arc<str>>,
    /// Probability of each state; nothing: what is observed cannot be.
    pub chances: Vec<(Arc<str>, Value)>,
    /// When it was observed, while that is valid.
    pub observed: Option<Timestamp>,
    /// When that is valid no longer.
    pub evicts: Option<Timestamp>,
    /// The certain state before, if it was evaluated at this moment.
    pub previous: Option<Arc<str>>,
    /// Begin and end of a delay that runs.
    pub runs: Option<(Timestamp, Timestamp)>,
}

/// A trigger of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct TriggerSeen {
    /// Name of the node that it looks at.
    pub from: Arc<str>,
    /// Names of the actuators that it fires.
    pub actuators: Vec<Arc<str>>,
    /// What came of it at this moment.
    pub verdict: Verdict,
}

/// A task of a graph that is watched.
#[derive(Clone, Debug)]
pub(crate) struct GraphWatch {
    pub(crate) resource: u32,
    plan: Arc<Plan>,
    /// What came of triggers at this moment; one that has fired stays so.
    verdicts: BTreeMap<usize, Verdict>,
    /// Certain states of nodes before the evaluations of this moment.
    previous: BTreeMap<usize, Option<u16>>,
    /// Whether an actuator was fired at this moment.
    fired: bool,
    pub(crate) done: Vec<Sighting>,
}

impl GraphWatch {
    fn new(resource: u32, plan: Arc<Plan>) -> Self {
        Self {
            resource,
            plan,
            verdicts: BTreeMap::new(),
            previous: BTreeMap::new(),
            fired: false,
            done: Vec::new(),
        }
    }

    pub(super) fn looked(&mut self, trigger: usize, verdict: Verdict) {
        let known = self.verdicts.entry(trigger).or_insert(verdict);
        if *known != Verdict::Fired {
            *known = verdict;
        }
    }

    pub(super) const fn fired(&mut self) {
        self.fired = true;
    }

    /// Nodes of some parts are evaluated: what was certain before stays noted where it has changed.
    pub(super) fn evaluates(&mut self, plan: &GraphPlan, sheet: &Sheet, parts: &BTreeSet<usize>) {
        let states = sheet.previous.iter().zip(&sheet.certain).zip(&plan.part);
        for (node, ((before, now), part)) in states.enumerate() {
            if !parts.contains(part) {
                continue;
            }
            let known = self.previous.entry(node).or_insert(*before);
            if before != now {
                *known = *before;
            }
        }
    }

    /// The moment is over.
    pub(super) fn rests(
        &mut self,
        plan: &GraphPlan,
        sheet: &mut Sheet,
        (at, cause): (i64, Option<EventRef>),
    ) {
        let inside = self.inside(plan, sheet);
        let mut sighting = Sighting::of(Arc::clone(&self.plan), at, Inside::Graph(inside));
        sighting.cause = cause;
        if self.fired {
            sighting.told.push(Timestamp(at));
        }
        self.done.push(sighting);
        self.verdicts.clear();
        self.previous.clear();
        self.fired = false;
    }

    fn inside(&self, plan: &GraphPlan, sheet: &mut Sheet) -> GraphSeen {
        let nodes = (0..plan.nodes.len()).filter_map(|node| self.node(plan, sheet, node));
        let nodes = nodes.collect();
        let name = |node: usize| {
            let node = plan.nodes.get(node);
            node.map_or_else(|| Arc::from(""), |node| Arc::clone(&node.name))
        };
        let actuator = |target: &GraphTarget| match target {
            GraphTarget::Actuator(actuator) => {
                let actuator = plan.actuators.get(*actuator)?;
                Some(Arc::clone(&actuator.name))
            }
            GraphTarget::Node(_) => None,
        };
        let triggers = plan.triggers.iter().enumerate();
        let triggers = triggers.map(|(index, trigger)| TriggerSeen {
            from: name(trigger.from),
            actuators: trigger.to.iter().filter_map(actuator).collect(),
            verdict: self
                .verdicts
                .get(&index)
                .copied()
                .unwrap_or(Verdict::NotRun),
        });
        GraphSeen {
            nodes,
            triggers: triggers.collect(),
        }
    }

    fn node(&self, plan: &GraphPlan, sheet: &mut Sheet, node: usize) -> Option<GraphNodeSeen> {
        let own = plan.nodes.get(node)?;
        let states = &plan.net.nodes.get(node)?.states;
        let likely = sheet.likely(plan, node).unwrap_or_default();
        let chances = states.iter().zip(likely);
        let chances = chances.map(|(state, p)| (Arc::clone(state), chance(*p)));
        let chances = chances.collect();
        let known = sheet.nodes.get(node)?;
        let valid = known.state.is_some();
        let name = |state: Option<u16>| plan.state(node, state).cloned();
        let runs = match own.doing {
            Doing::Delay { .. } => known
                .due
                .map(|due| (Timestamp(known.since), Timestamp(due))),
            _ => None,
        };
        let seen_at = match own.doing {
            // Of a delay that is when it ran out.
            Doing::Delay { .. } => known.past.first().map(|past| past.time),
            _ => Some(known.since),
        };
        Some(GraphNodeSeen {
            name: Arc::clone(&own.name),
            state: name(sheet.certain.get(node).copied().flatten()),
            chances,
            observed: seen_at.filter(|_| valid).map(Timestamp),
            evicts: known.evicts.filter(|_| valid).map(Timestamp),
            previous: name(self.previous.get(&node).copied().flatten()),
            runs,
        })
    }
}

impl GraphUnit {
    /// Begins to watch a task, goes on, or ends.
    pub(crate) fn watch(&mut self, resource: Option<u32>) {
        match (resource, self.seen.as_mut()) {
            (None, _) => self.seen = None,
            (Some(resource), Some(seen)) if seen.resource == resource => {
                seen.plan = Arc::clone(&self.plan);
            }
            (Some(resource), _) => {
                let plan = Arc::clone(&self.plan);
                self.seen = Some(Box::new(GraphWatch::new(resource, plan)));
            }
        }
    }

    /// How a task stands, when nothing of its past is known.
    pub(crate) fn sight(&self, resource: u32) -> Option<Inside> {
        let sheet = self.state.sheets.get(resource as usize)?;
        let watch = GraphWatch::new(resource, Arc::clone(&self.plan));
        let mut sheet = sheet.born.then(|| sheet.clone())?;
        sheet.open(&self.graph);
        Some(Inside::Graph(watch.inside(&self.graph, &mut sheet)))
    }
}
