//! [`Machine`]: one moment of one task: what is due, what runs, what that makes certain, what it fires, and so on until
//! nothing more is fired.

mod certain;
mod fire;

use std::collections::BTreeSet;

use tidegate_proto::Value;

use super::sheet::{Past, Sheet};
use crate::plan::graph::{Doing, GraphPlan};

/// What a formula says of its node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Run {
    /// It failed: nothing was executed.
    Failed,
    /// It has no value, or none of the states.
    Nothing,
    /// What it stands for is certain no more.
    Lost,
    /// It is in a state.
    Seen { state: u16, value: Value },
}

/// What is only counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Unknown,
    Throttled,
    Contradiction,
    Tick,
}

/// What came of a trigger at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It fired.
    Fired,
    /// The node that it looks at is not certainly in a state, or what is observed cannot be.
    NotCertain,
    /// What it looks for did not come about.
    NoChange,
    /// It fired its target too short a time ago.
    Throttled,
    /// It has fired its target for good.
    Once,
    /// Nothing that it looks at ran.
    NotRun,
    /// The gate that it looks at waits for all that it is made of.
    FullObservation,
}

/// What a graph may do at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GraphLimits {
    pub(crate) passes: usize,
    pub(crate) elements: usize,
    /// Ticks without a row.
    pub(crate) ticks: u64,
}

/// What a machine asks for and tells.
pub(crate) trait Scene {
    /// Runs the formula of a node.
    fn run(&mut self, sheet: &Sheet, node: usize, item: Option<&Value>, at: i64) -> Run;
    /// The list that a node runs for; `None`: it failed.
    fn items(&mut self, sheet: &Sheet, node: usize, at: i64) -> Option<Vec<Value>>;
    /// An actuator is fired by a node.
    fn fired(&mut self, sheet: &Sheet, actuator: usize, from: usize, at: i64);
    /// The state of a node is told, with its probabilities in billionths.
    fn told(&mut self, sheet: &Sheet, node: usize, at: i64, likely: Option<&[u64]>);
    fn count(&mut self, count: Count);
    /// There is no end to it.
    fn endless(&mut self, what: &str, at: i64);
    /// A trigger was looked at.
    fn looked(&mut self, _trigger: usize, _verdict: Verdict) {}
    /// Nodes of some parts are evaluated; their states before are still there.
    fn evaluates(&mut self, _sheet: &Sheet, _parts: &BTreeSet<usize>) {}
    /// All that happens at a moment has happened: by a row, or by time alone.
    fn rests(&mut self, _sheet: &mut Sheet, _at: i64, _by_row: bool) {}
}

/// One task at work.
pub(crate) struct Machine<'a, S> {
    pub(crate) plan: &'a GraphPlan,
    pub(crate) sheet: &'a mut Sheet,
    pub(crate) scene: &'a mut S,
    pub(crate) limits: GraphLimits,
}

impl<S: Scene> Machine<'_, S> {
    /// A row, judged at a time, runs some nodes.
    pub(crate) fn row(&mut self, at: i64, nodes: BTreeSet<usize>) {
        if self.sheet.beats >= self.limits.ticks {
            self.sheet.arm(self.plan, at, false);
        }
        self.sheet.beats = 0;
        if !nodes.is_empty() {
            self.passes(at, Vec::new(), nodes);
            self.scene.rests(self.sheet, at, true);
        }
    }

    /// All that is due up to a time happens, in the order of time.
    pub(crate) fn time(&mut self, until: i64) {
        loop {
            let due = self.sheet.due();
            if due > until || due == crate::timer::IDLE {
                return;
            }
            self.instant(due);
        }
    }

    /// What is due at one time.
    fn instant(&mut self, at: i64) {
        let reached = |due: &mut Option<i64>| due.take_if(|due| *due <= at).is_some();
        let mut evicted = BTreeSet::new();
        let mut ran = Vec::new();
        let mut nodes = BTreeSet::new();
        let ticks = reached(&mut self.sheet.tick);
        for (index, node) in self.plan.nodes.iter().enumerate() {
            let Some(sheet) = self.sheet.nodes.get_mut(index) else {
                continue;
            };
            if reached(&mut sheet.evicts) {
                sheet.state = None;
                evicted.extend(self.plan.part.get(index));
            }
            let due = reached(&mut sheet.due);
            match &node.doing {
                Doing::Delay { .. } if due => {
                    sheet.state = Some(0);
                    let past = Past {
                        value: Value::Missing,
                        state: 0,
                        time: at,
                    };
                    remember(&mut sheet.past, past, node.history);
                    ran.push(index);
                }
                Doing::Sensor(sensor) => {
                    if due || (ticks && sensor.tick) {
                        nodes.insert(index);
                    }
                    if due {
                        let beat = sensor.beat.as_ref();
                        sheet.due = beat.and_then(|beat| Sheet::next_tick(beat, at));
                    }
                }
                _ => {}
            }
        }
        if ticks {
            let beat = self.plan.tick.as_ref();
            self.sheet.tick = beat.and_then(|beat| Sheet::next_tick(beat, at));
        }
        if ticks || !nodes.is_empty() {
            self.rest();
        }
        let birth = reached(&mut self.sheet.birth);
        self.together(at, birth, evicted, (ran, nodes));
        self.scene.rests(self.sheet, at, false);
    }

    /// All that is due at one time is one pass: what that tells of its parts is not told twice.
    fn together(
        &mut self,
        at: i64,
        birth: bool,
        mut evicted: BTreeSet<usize>,
        (ran, nodes): (Vec<usize>, BTreeSet<usize>),
    ) {
        if birth || !evicted.is_empty() {
            self.propagate();
        }
        if !evicted.is_empty() {
            self.lose();
        }
        let runs = !ran.is_empty() || !nodes.is_empty();
        if birth || (!runs && !evicted.is_empty()) {
            self.record(at, birth, &evicted);
        }
        if !runs {
            return;
        }
        let lost = !birth && !evicted.is_empty();
        for node in ran.iter().chain(&nodes) {
            if let Some(part) = self.plan.part.get(*node) {
                evicted.remove(part);
            }
        }
        self.passes(at, ran, nodes);
        if lost {
            self.record(at, false, &evicted);
        }
    }

    /// Counts a tick; too many without a row, and there are none until the next one.
    fn rest(&mut self) {
        self.sheet.beats += 1;
        if self.sheet.beats < self.limits.ticks {
            return;
        }
        self.scene.count(Count::Tick);
        self.sheet.tick = None;
        for (node, sheet) in self.plan.nodes.iter().zip(&mut self.sheet.nodes) {
            if node.sensor().is_some() {
                sheet.due = None;
            }
        }
    }

    /// Passes until nothing is fired any more.
    fn passes(&mut self, at: i64, ran: Vec<usize>, nodes: BTreeSet<usize>) {
        let (mut ran, mut nodes) = (ran, nodes);
        for _ in 0..self.limits.passes {
            let next = self.pass(at, &ran, &nodes);
            if next.is_empty() {
                return;
            }
            ran.clear();
            nodes = next;
        }
        self.sheet.starts.clear();
        self.scene.endless("passes", at);
    }

    /// One pass; answers with the nodes that it fired.
    fn pass(&mut self, at: i64, ran: &[usize], nodes: &BTreeSet<usize>) -> BTreeSet<usize> {
        let mut fired = BTreeSet::new();
        let starts = nodes.iter().copied().filter(|node| self.is_delay(*node));
        let starts: Vec<usize> = starts.collect();
        for node in &starts {
            self.start(*node, at);
        }
        if !starts.is_empty() {
            self.propagate();
            self.lose();
        }
        let order = self.to_run(ran, nodes);
        let runs = order.len();
        let mut done: BTreeSet<usize> = ran.iter().copied().collect();
        for batch in self.batches(ran, &order) {
            self.batch(at, &batch, (nodes, &mut done), &mut fired);
        }
        if !starts.is_empty() && runs == 0 {
            self.record(at, false, &BTreeSet::new());
        }
        fired
    }

    fn is_delay(&self, node: usize) -> bool {
        let node = self.plan.nodes.get(node);
        node.is_some_and(|node| matches!(node.doing, Doing::Delay { .. }))
    }

    fn start(&mut self, node: usize, at: i64) {
        let rows = self.sheet.starts.remove(&node);
        let doing = self.plan.nodes.get(node).map(|node| &node.doing);
        if let (Some(Doing::Delay { lasts, restart }), Some(sheet)) =
            (doing, self.sheet.nodes.get_mut(node))
            && (*restart || sheet.due.is_none())
        {
            sheet.state = None;
            sheet.since = at;
            sheet.due = Some(at.saturating_add(*lasts));
            sheet.rows = rows.unwrap_or_default();
        }
    }

    /// Nodes that run, in order: those asked for, and functions of what runs.
    fn to_run(&self, ran: &[usize], nodes: &BTreeSet<usize>) -> Vec<usize> {
        let mut all: BTreeSet<usize> = nodes.iter().chain(ran).copied().collect();
        let mut order = Vec::new();
        for node in &self.plan.order {
            let sensor = self.plan.nodes.get(*node).and_then(|node| node.sensor());
            let follows = sensor.is_some_and(|s| s.after.iter().any(|other| all.contains(other)));
            if nodes.contains(node) || follows {
                all.insert(*node);
                order.push(*node);
            }
        }
        order
    }

    /// What is evaluated together: all nodes, or each by itself; one that runs for a list always by itself.
    fn batches(&self, ran: &[usize], order: &[usize]) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut open = Batch {
            ran: ran.to_vec(),
            ..Batch::default()
        };
        if self.plan.by_node {
            let alone = ran.iter().map(|node| Batch {
                ran: vec![*node],
                ..Batch::default()
            });
            batches.extend(alone);
            open.ran.clear();
        }
        for node in order {
            let sensor = self.plan.nodes.get(*node).and_then(|node| node.sensor());
            let each = sensor.is_some_and(|sensor| sensor.each.is_some());
            if each || self.plan.by_node {
                if !open.is_empty() {
                    batches.push(std::mem::take(&mut open));
                }
                batches.push(Batch {
                    ran: Vec::new(),
                    nodes: vec![*node],
                    each,
                });
            } else {
                open.nodes.push(*node);
            }
        }
        if !open.is_empty() {
            batches.push(open);
        }
        batches
    }

    fn batch(
        &mut self,
        at: i64,
        batch: &Batch,
        (asked, done): (&BTreeSet<usize>, &mut BTreeSet<usize>),
        fired: &mut BTreeSet<usize>,
    ) {
        if !batch.each {
            let ran = self.run(at, batch, (asked, done), None);
            self.evaluate(at, (&ran.0, &ran.1), fired);
            return;
        }
        let Some(node) = batch.nodes.first().copied() else {
            return;
        };
        let Some(mut items) = self.scene.items(self.sheet, node, at) else {
            return;
        };
        if items.len() > self.limits.elements {
            self.scene.endless("elements", at);
            items.clear();
        }
        for item in &items {
            let ran = self.run(at, batch, (asked, done), Some(item));
            self.evaluate(at, (&ran.0, &ran.1), fired);
        }
    }

    /// Runs the nodes of a batch; answers with those that were executed, and the parts that have lost an observation.
    fn run(
        &mut self,
        at: i64,
        batch: &Batch,
        (asked, done): (&BTreeSet<usize>, &mut BTreeSet<usize>),
        item: Option<&Value>,
    ) -> (BTreeSet<usize>, BTreeSet<usize>) {
        let mut ran: BTreeSet<usize> = batch.ran.iter().copied().collect();
        let mut lost = BTreeSet::new();
        let mut kept = Vec::new();
        if self.plan.reset {
            for node in &batch.nodes {
                if let Some(sheet) = self.sheet.nodes.get_mut(*node) {
                    kept.push((*node, sheet.state.take(), sheet.evicts.take()));
                }
            }
            self.propagate();
            self.lose();
        }
        for node in &batch.nodes {
            let Some(sensor) = self.plan.nodes.get(*node).and_then(|node| node.sensor()) else {
                continue;
            };
            // A function runs only after what it names has been executed.
            let follows = sensor.after.iter().any(|other| done.contains(other));
            if !asked.contains(node) && !follows {
                let was = kept.iter().find(|(kept, ..)| kept == node);
                if let (Some((_, state, evicts)), Some(sheet)) =
                    (was, self.sheet.nodes.get_mut(*node))
                {
                    (sheet.state, sheet.evicts) = (*state, *evicts);
                }
                continue;
            }
            match self.scene.run(self.sheet, *node, item, at) {
                Run::Failed => continue,
                Run::Nothing => self.scene.count(Count::Unknown),
                Run::Lost => {
                    let was = kept
                        .iter()
                        .any(|(kept, state, _)| kept == node && state.is_some());
                    lost.extend(self.lose_one(*node, was));
                    continue;
                }
                Run::Seen { state, value } => self.see(*node, state, value, at),
            }
            ran.insert(*node);
            done.insert(*node);
        }
        if !lost.is_empty() {
            self.propagate();
            self.lose();
        }
        (ran, lost)
    }

    fn see(&mut self, node: usize, state: u16, value: Value, at: i64) {
        let (Some(plan), Some(sheet)) = (self.plan.nodes.get(node), self.sheet.nodes.get_mut(node))
        else {
            return;
        };
        let evict = plan.sensor().map_or(0, |sensor| sensor.evict);
        sheet.state = Some(state);
        sheet.since = at;
        sheet.evicts = (evict > 0).then(|| at.saturating_add(evict));
        sheet.rows = sheet.last.iter().cloned().collect();
        remember(
            &mut sheet.past,
            Past {
                value,
                state,
                time: at,
            },
            plan.history,
        );
    }
}

/// Nodes that are evaluated together.
#[derive(Debug, Default)]
struct Batch {
    /// Delays that have run out.
    ran: Vec<usize>,
    nodes: Vec<usize>,
    /// The node runs for each element of a list.
    each: bool,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.ran.is_empty() && self.nodes.is_empty()
    }
}

/// Keeps a run in front of those before it.
fn remember(past: &mut Vec<Past>, run: Past, history: usize) {
    past.insert(0, run);
    past.truncate(history + 1);
}
