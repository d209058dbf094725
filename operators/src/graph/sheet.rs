//! [`Sheet`]: what one task of a graph remembers: observations, states before, when what is due, what was fired.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::graph::{Beat, GraphTarget};
use tidegate_proto::{EventRef, Value};

use super::belief::Likelihoods;
use crate::plan::graph::{Doing, GraphPlan};
use crate::timer::IDLE;

/// A row behind an observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SeenRow {
    /// Its place in the order of reading.
    pub(crate) order: u64,
    pub(crate) event: EventRef,
}

/// One run of a node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Past {
    pub(crate) value: Value,
    pub(crate) state: u16,
    pub(crate) time: i64,
}

/// What is remembered of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeSheet {
    /// Its state, while the observation is valid.
    pub(crate) state: Option<u16>,
    /// When it was observed, or a delay was started.
    pub(crate) since: i64,
    /// When the observation is valid no longer.
    pub(crate) evicts: Option<i64>,
    /// When its delay runs out, or its own tick comes.
    pub(crate) due: Option<i64>,
    /// Its last runs, the newest first.
    pub(crate) past: Vec<Past>,
    /// Rows behind the observation, or behind the start of a delay.
    pub(crate) rows: SmallVec<[SeenRow; 1]>,
    /// The last row that carried what it looks at.
    pub(crate) last: Option<SeenRow>,
}

/// What one task remembers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sheet {
    pub(crate) nodes: Vec<NodeSheet>,
    /// Certain states as last propagated.
    pub(crate) certain: Vec<Option<u16>>,
    /// Certain states at the last evaluation.
    pub(crate) previous: Vec<Option<u16>>,
    /// Certain states as last told.
    pub(crate) told: Vec<Option<u16>>,
    /// Which comparisons of probabilities were true.
    pub(crate) bits: Vec<bool>,
    /// When each target was fired last.
    pub(crate) fired: BTreeMap<GraphTarget, i64>,
    /// What has been fired for good: trigger and target.
    pub(crate) spent: BTreeSet<(usize, GraphTarget)>,
    /// When the graph's next tick is.
    pub(crate) tick: Option<i64>,
    /// The beginning of the task, until it is told.
    pub(crate) birth: Option<i64>,
    pub(crate) born: bool,
    /// Ticks since the last row.
    pub(crate) beats: u64,
    /// Delays that start in the next pass: rows behind what fired them.
    #[serde(skip)]
    pub(crate) starts: BTreeMap<usize, SmallVec<[SeenRow; 1]>>,
    /// Beliefs by part, under what was observed then. Computed again after a restart.
    #[serde(skip)]
    pub(crate) beliefs: Vec<Option<(Vec<Option<u16>>, Likelihoods)>>,
}

impl PartialEq for Sheet {
    fn eq(&self, other: &Self) -> bool {
        self.nodes == other.nodes && self.previous == other.previous && self.fired == other.fired
    }
}

/// The first multiple of a duration after a time.
fn multiple(beat: &Beat, after: i64) -> Option<i64> {
    match beat {
        Beat::Every(span) => {
            let next = after.div_euclid(span.0).saturating_add(1);
            Some(next.saturating_mul(span.0))
        }
        Beat::Cron(schedule) => schedule.next(after),
        Beat::Recurrence(rule) => rule.next(after),
        Beat::Birth => None,
    }
}

impl Sheet {
    /// Makes room for the nodes of a plan.
    pub(crate) fn open(&mut self, plan: &GraphPlan) {
        let count = plan.nodes.len();
        if self.nodes.len() != count {
            self.nodes.resize(count, NodeSheet::default());
            self.certain.resize(count, None);
            self.previous.resize(count, None);
            self.told.resize(count, None);
            self.bits.resize(plan.bits, false);
        }
        if self.beliefs.len() != plan.belief.parts() {
            self.beliefs = vec![None; plan.belief.parts()];
        }
    }

    /// The task begins: its ticks are counted from here.
    pub(crate) fn begin(&mut self, plan: &GraphPlan, at: i64) {
        self.open(plan);
        self.born = true;
        self.birth = Some(at);
        self.arm(plan, at, true);
    }

    /// Sets the next ticks after a time; `birth`: those at the beginning, too.
    pub(crate) fn arm(&mut self, plan: &GraphPlan, after: i64, birth: bool) {
        let next = |beat: &Beat| match beat {
            Beat::Birth => birth.then_some(after),
            Beat::Every(_) | Beat::Cron(_) | Beat::Recurrence(_) => multiple(beat, after),
        };
        self.tick = plan.tick.as_ref().and_then(next);
        for (node, sheet) in plan.nodes.iter().zip(&mut self.nodes) {
            if let Some(beat) = node.sensor().and_then(|sensor| sensor.beat.as_ref()) {
                sheet.due = next(beat);
            }
        }
    }

    /// The tick after the one at a time.
    pub(crate) fn next_tick(beat: &Beat, at: i64) -> Option<i64> {
        multiple(beat, at)
    }

    /// The plan was changed: ticks that are not counted yet are from now on, what is past due is due now.
    pub(crate) fn settle(&mut self, plan: &GraphPlan, at: i64) {
        let every = |beat: &Beat| multiple(beat, at);
        self.tick = self.tick.or_else(|| plan.tick.as_ref().and_then(every));
        for (node, sheet) in plan.nodes.iter().zip(&mut self.nodes) {
            if let Some(beat) = node.sensor().and_then(|sensor| sensor.beat.as_ref()) {
                sheet.due = sheet.due.or_else(|| every(beat));
            }
        }
        let nodes = self.nodes.iter_mut();
        let dues = nodes.flat_map(|node| [&mut node.evicts, &mut node.due]);
        for due in dues.flatten() {
            *due = (*due).max(at);
        }
    }

    /// When the next thing is due, [`IDLE`] if nothing is.
    pub(crate) fn due(&self) -> i64 {
        let nodes = self.nodes.iter().flat_map(|node| [node.evicts, node.due]);
        let all = nodes.chain([self.tick, self.birth]).flatten();
        all.min().unwrap_or(IDLE)
    }

    pub(crate) fn observed(&self, node: usize) -> Option<u16> {
        self.nodes.get(node)?.state
    }

    /// A run of a node, how many runs ago; the last one only as long as it is valid, unless the node asks for itself.
    pub(crate) fn past(&self, node: usize, back: usize, own: bool) -> Option<&Past> {
        let sheet = self.nodes.get(node)?;
        if back == 0 && !own && sheet.state.is_none() {
            return None;
        }
        sheet.past.get(back)
    }

    /// Rows behind the valid observations of a node and of what it depends on, in the order of reading.
    pub(crate) fn causes(&self, plan: &GraphPlan, node: usize) -> Vec<SeenRow> {
        let mut seen = BTreeSet::new();
        let mut open = vec![node];
        let mut rows: Vec<SeenRow> = Vec::new();
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            if let Some(sheet) = self.nodes.get(node).filter(|sheet| sheet.state.is_some()) {
                rows.extend(sheet.rows.iter().cloned());
            }
            if let Some(net) = plan.net.nodes.get(node) {
                open.extend(net.source.parents());
            }
            if let Some(sensor) = plan.nodes.get(node).and_then(|node| node.sensor()) {
                open.extend(&sensor.after);
            }
        }
        rows.sort_by_key(|row| row.order);
        rows.dedup_by_key(|row| row.order);
        rows
    }

    /// Goes on with what another revision's task remembers of equal nodes and triggers; due times are counted anew.
    pub(crate) fn inherit(&mut self, plan: &GraphPlan, old: &Self, old_plan: &GraphPlan) {
        self.open(plan);
        self.born = old.born;
        self.birth = old.birth;
        self.tick = old.tick.filter(|_| plan.tick == old_plan.tick);
        for (index, node) in plan.nodes.iter().enumerate() {
            let same = |other: &crate::plan::graph::NodePlan| {
                other.name == node.name && other.identity == node.identity
            };
            let Some(other) = old_plan.nodes.iter().position(same) else {
                continue;
            };
            let (Some(sheet), Some(was)) = (self.nodes.get_mut(index), old.nodes.get(other)) else {
                continue;
            };
            sheet.clone_from(was);
            sheet.past.truncate(node.history + 1);
            match &node.doing {
                Doing::Delay { lasts, .. } if sheet.due.is_some() => {
                    sheet.due = Some(sheet.since.saturating_add(*lasts));
                }
                Doing::Sensor(sensor) => {
                    let valid = sheet.state.filter(|_| sensor.evict > 0);
                    sheet.evicts = valid.map(|_| sheet.since.saturating_add(sensor.evict));
                    let before = old_plan.nodes.get(other).and_then(|node| node.sensor());
                    if before.is_none_or(|before| before.beat != sensor.beat) {
                        sheet.due = None;
                    }
                }
                _ => {}
            }
            for (new, old) in [
                (&mut self.certain, &old.certain),
                (&mut self.previous, &old.previous),
                (&mut self.told, &old.told),
            ] {
                if let (Some(new), Some(old)) = (new.get_mut(index), old.get(other)) {
                    *new = *old;
                }
            }
        }
        self.inherit_firings(plan, old, old_plan);
    }

    fn inherit_firings(&mut self, plan: &GraphPlan, old: &Self, old_plan: &GraphPlan) {
        let place = |target: &GraphTarget| match target {
            GraphTarget::Node(node) => {
                let name = &old_plan.nodes.get(*node)?.name;
                let found = plan.nodes.iter().position(|node| node.name == *name);
                found.map(GraphTarget::Node)
            }
            GraphTarget::Actuator(actuator) => {
                let name = &old_plan.actuators.get(*actuator)?.name;
                let found = plan.actuators.iter().position(|own| own.name == *name);
                found.map(GraphTarget::Actuator)
            }
        };
        let fired = old.fired.iter();
        self.fired = fired
            .filter_map(|(target, at)| Some((place(target)?, *at)))
            .collect();
        let trigger = |was: usize| {
            let identity = &old_plan.triggers.get(was)?.identity;
            plan.triggers
                .iter()
                .position(|own| own.identity == *identity)
        };
        let spent = old.spent.iter();
        let spent = spent.filter_map(|(was, target)| Some((trigger(*was)?, place(target)?)));
        self.spent = spent.collect();
    }
}
