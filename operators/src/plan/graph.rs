//! [`GraphPlan`]: a compiled `graph`: its net, what runs when, triggers, and where formulas get their values.

mod compile;
mod constant;
mod order;
mod resolve;

use std::sync::Arc;

use tidegate_proto::graph::{Beat, Graph, GraphTarget, Than};
use tidegate_proto::{Order, Rule, Severity, Span};
use tidegate_scripts::{AliasKind, AliasScope, Formula};

use super::slots::SlotTable;
use super::texts::TextPlan;
use crate::graph::belief::Belief;
use crate::graph::net::Net;
use crate::watermark::OwnTiming;

pub(crate) use compile::Draft;

/// Where a slot of a graph's formula gets its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A place of the table.
    Place(usize),
    /// What the node's formula has just given.
    Value,
    /// The element of the list that the node runs for, or what lies in it.
    Item(Vec<Arc<str>>),
    /// A node.
    Node {
        /// Its number.
        node: usize,
        /// How many runs ago; 0: the last.
        back: usize,
        /// What of it.
        what: What,
    },
}

/// What of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Value,
    State,
    Time,
}

/// A formula and where its slots get their values.
#[derive(Clone, Debug)]
pub(crate) struct Sourced {
    pub(crate) formula: Formula,
    pub(crate) sources: Vec<Source>,
}

/// How a value becomes a state.
#[derive(Debug)]
pub(crate) enum StateRule {
    /// The first whose condition is true.
    Conditions(Vec<Sourced>),
    /// The value is the name.
    Named,
    /// True or false.
    Flag,
    /// There is one.
    Data,
}

/// A node that observes.
#[derive(Debug)]
pub(crate) struct SensorPlan {
    pub(crate) formula: Sourced,
    pub(crate) states: StateRule,
    pub(crate) each: Option<Sourced>,
    /// Metrics that it names, by place; empty: every row carries what it looks at.
    pub(crate) metrics: Vec<usize>,
    /// Whether rows that carry one of them run it.
    pub(crate) by_rows: bool,
    /// Whether the graph's ticks run it.
    pub(crate) tick: bool,
    /// Its own ticks.
    pub(crate) beat: Option<Beat>,
    /// How long an observation is valid, in ms; 0: for ever.
    pub(crate) evict: i64,
    /// The other rule whose task it stands for, in words: what it looks at are states, and that there is none.
    pub(crate) said: Option<Arc<str>>,
    /// The nodes that it runs after.
    pub(crate) after: Vec<usize>,
}

/// What a node does.
#[derive(Debug)]
pub(crate) enum Doing {
    Sensor(Box<SensorPlan>),
    Delay {
        lasts: i64,
        restart: bool,
    },
    /// It never runs.
    Still,
}

/// A node.
#[derive(Debug)]
pub(crate) struct NodePlan {
    pub(crate) name: Arc<str>,
    pub(crate) doing: Doing,
    /// How many runs formulas look back.
    pub(crate) history: usize,
    /// Equal for nodes that go on with each other's observations.
    pub(crate) identity: String,
}

impl NodePlan {
    /// The formula and what belongs to it, if it has one.
    pub(crate) fn sensor(&self) -> Option<&SensorPlan> {
        match &self.doing {
            Doing::Sensor(sensor) => Some(sensor),
            _ => None,
        }
    }
}

/// What a trigger looks for, by numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CuePlan {
    State(Vec<u16>),
    Change {
        from: Option<u16>,
        to: Option<u16>,
    },
    Executed,
    Probability {
        state: u16,
        than: Than,
        limit: u64,
        level: bool,
        /// Which bit of a task remembers whether it was true.
        bit: usize,
    },
}

/// A trigger.
#[derive(Debug)]
pub(crate) struct TriggerPlan {
    pub(crate) from: usize,
    pub(crate) on: Vec<CuePlan>,
    pub(crate) to: Vec<GraphTarget>,
    /// In ms; 0: as often as it likes.
    pub(crate) at_most_every: i64,
    pub(crate) once: bool,
    /// Equal for triggers that go on with each other's memory.
    pub(crate) identity: String,
}

/// An actuator.
#[derive(Debug)]
pub(crate) struct ActuatorPlan {
    pub(crate) name: Arc<str>,
    /// How bad its alarm is, and which text it has; `None`: it is no alarm.
    pub(crate) alarm: Option<(Severity, Option<usize>)>,
    /// Which texts it needs.
    pub(crate) texts: Vec<usize>,
}

/// A graph, compiled.
#[derive(Debug)]
pub(crate) struct GraphPlan {
    pub(crate) table: SlotTable,
    pub(crate) net: Net,
    pub(crate) belief: Belief,
    pub(crate) nodes: Vec<NodePlan>,
    /// Nodes that run, in the order in which they do.
    pub(crate) order: Vec<usize>,
    /// Which nodes are connected, by the number of their part.
    pub(crate) part: Vec<usize>,
    pub(crate) triggers: Vec<TriggerPlan>,
    /// Comparisons of probabilities.
    pub(crate) bits: usize,
    pub(crate) actuators: Vec<ActuatorPlan>,
    pub(crate) texts: Vec<TextPlan<Source>>,
    /// Texts of the targets.
    pub(crate) target_texts: Vec<usize>,
    pub(crate) tick: Option<Beat>,
    pub(crate) reset: bool,
    pub(crate) by_node: bool,
    /// Nodes that are told after every evaluation.
    pub(crate) observe: Vec<bool>,
    /// Nodes that are told when their certain state changes.
    pub(crate) sources: Vec<bool>,
    /// Whether a task has to begin before its first row.
    pub(crate) born_waiting: bool,
    pub(crate) timing: OwnTiming,
}

impl GraphPlan {
    /// Whether a node runs on rows whatever they carry.
    pub(crate) fn every_row(&self) -> bool {
        let sensors = self.nodes.iter().filter_map(NodePlan::sensor);
        let mut running = sensors.filter(|sensor| sensor.by_rows);
        running.any(|sensor| sensor.metrics.is_empty())
    }

    /// The name of a node's state.
    pub(crate) fn state(&self, node: usize, state: Option<u16>) -> Option<&Arc<str>> {
        let states = &self.net.nodes.get(node)?.states;
        states.get(usize::from(state?))
    }
}

/// What formulas see of nodes.
pub(crate) fn names(graph: &Graph) -> AliasScope {
    use tidegate_proto::graph::GraphNodeKind;
    let nodes = graph.nodes.iter().map(|node| {
        let runs = match &node.kind {
            GraphNodeKind::Gate(_) => false,
            GraphNodeKind::Sensor(sensor) => sensor.formula.is_some(),
            GraphNodeKind::Delay { .. } => true,
        };
        let kind = if runs {
            AliasKind::Node
        } else {
            AliasKind::Still
        };
        (Arc::clone(&node.name), kind)
    });
    AliasScope {
        names: nodes.collect(),
        ..AliasScope::default()
    }
}

/// Graphs are judged as rows arrive: their timers run with `disorder` 0.
fn timing(rule: &Rule) -> OwnTiming {
    match rule.timing.order {
        Some(Order::Time) => (rule.timing.disorder, rule.timing.idle),
        _ => (Some(Span::ZERO), rule.timing.idle),
    }
}
