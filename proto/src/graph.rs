//! [`Graph`]: the graph form of a rule as written and checked: sensors, gates, delays, triggers. Its meaning, field by
//! field, is in the rule reference.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::cron::Schedule;
use crate::issue::Mark;
use crate::recurrence::Recurrence;
use crate::rule::FormulaText;
use crate::said::SaidNode;
use crate::time::Span;

/// Most nodes of a graph.
pub const MOST_NODES: usize = 500;
/// Most combinations of one gate.
pub const MOST_COMBINATIONS: usize = 4_096;
/// Most states of one node.
pub const MOST_STATES: usize = 1_000;
/// One, in the billionths that probabilities are written in.
pub const ONE: u64 = 1_000_000_000;

/// State of a gate.
pub const TRUE: &str = "TRUE";
/// The other state of a gate.
pub const FALSE: &str = "FALSE";
/// State of a delay that has run out.
pub const TRIGGERED: &str = "Triggered";
/// State of a sensor that has nothing but a value.
pub const DATA: &str = "Data";

/// `graph`: nodes that have states, and what happens when they change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Graph {
    /// The nodes, in the order written.
    pub nodes: Vec<GraphNode>,
    /// The triggers, in the order written.
    pub triggers: Vec<GraphTrigger>,
    /// Names of the actuators; their actions are those of the rule's `then`, at the same places.
    pub actuators: Vec<Arc<str>>,
    /// When nodes run by themselves.
    pub tick: Option<Beat>,
    /// Whether a node returns to its priors before it runs.
    pub reset: bool,
    /// Whether a gate has a certain state only once all of its parents have.
    pub full_observation: bool,
    /// Whether each node is an evaluation of its own.
    pub by_node: bool,
    /// Nodes that are told after every evaluation, by place.
    pub observe: Vec<usize>,
}

/// Times at which nodes run by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Beat {
    /// At multiples since 1970.
    Every(Span),
    /// By the clock on the wall.
    Cron(Arc<Schedule>),
    /// By the clock on the wall, as RFC 5545 says it.
    Recurrence(Arc<Recurrence>),
    /// Once, when the task begins.
    Birth,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Its name.
    pub name: Arc<str>,
    /// Path of the node: `graph.nodes.a`.
    pub path: Arc<str>,
    /// Where it stands.
    pub mark: Mark,
    /// Lower groups run first.
    pub sequence: u32,
    /// What it is.
    pub kind: GraphNodeKind,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GraphNodeKind {
    /// It has states of its own, observed by a formula or believed by a table.
    Sensor(Box<Sensor>),
    /// `TRUE` or `FALSE`, by the states of its parents.
    Gate(Gate),
    /// `Triggered` so long after it was started.
    Delay {
        /// How long.
        lasts: Span,
        /// Whether a start while it counts makes it count anew.
        restart: bool,
    },
}

/// A node with states of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sensor {
    /// What it observes; only a table does without.
    pub formula: Option<FormulaText>,
    /// Template of the resource that it looks at; `None`: the task's.
    pub of: Option<FormulaText>,
    /// The other rule whose task it stands for, instead of rows of the resource.
    pub said: Option<SaidNode>,
    /// Its states.
    pub states: States,
    /// What is believed of it before it is observed.
    pub prior: Prior,
    /// How long an observation is valid.
    pub evict: Option<Span>,
    /// Whether rows run it; `None`: rows that carry a metric it names, unless it names nodes.
    pub data: Option<bool>,
    /// Whether the graph's ticks run it.
    pub tick: bool,
    /// Its own ticks, instead of the graph's.
    pub beat: Option<Beat>,
    /// `loop`: one run per element of this list.
    pub each: Option<FormulaText>,
}

/// States of a sensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum States {
    /// Those of the formula: `TRUE` and `FALSE` of a condition, else `Data`.
    Open,
    /// The first whose condition over `value` is true.
    Conditions(Vec<(Arc<str>, FormulaText)>),
    /// The formula gives the name.
    Named(Vec<Arc<str>>),
}

impl States {
    /// Their names, unless the formula says them.
    #[must_use]
    pub fn names(&self) -> Option<Vec<Arc<str>>> {
        match self {
            Self::Open => None,
            Self::Conditions(states) => {
                Some(states.iter().map(|(name, _)| Arc::clone(name)).collect())
            }
            Self::Named(names) => Some(names.clone()),
        }
    }
}

/// What is believed of a node that is not observed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Prior {
    /// All states alike.
    Uniform,
    /// In billionths, by state.
    Given(Vec<u64>),
    /// P(own | parents) in billionths: own state slowest, last parent fastest.
    Table {
        /// The parents, by place.
        of: Vec<usize>,
        /// The numbers.
        weights: Vec<u64>,
    },
}

/// `TRUE` or `FALSE`, by the states of its parents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    /// Its kind.
    pub form: GateForm,
    /// Its parents, by place.
    pub of: Vec<usize>,
    /// What hits, per parent; several only for `GENERAL`.
    pub combinations: Vec<Vec<Pick>>,
    /// Whether hits make it `FALSE`: `false_when`.
    pub hits_are_false: bool,
}

/// Kind of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GateForm {
    /// All of some combination hit: `AND`, `NAND`, `GENERAL`.
    All,
    /// One hits: `OR`, `NOR`.
    Any,
    /// An odd number hits: `XOR`.
    Odd,
    /// So many hit: `AT_LEAST`.
    AtLeast(u32),
    /// Exactly so many hit: `EXACTLY`.
    Exactly(u32),
}

/// What of one parent a combination names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pick {
    /// `"*"`: it is not looked at.
    Any,
    /// One of these states.
    States(Vec<Arc<str>>),
}

/// What happens when a node is in a state, comes to it, leaves it, or has run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphTrigger {
    /// Path: `graph.triggers[0]`.
    pub path: Arc<str>,
    /// Where it stands.
    pub mark: Mark,
    /// The source, by place.
    pub from: usize,
    /// On what; one is enough.
    pub on: Vec<Cue>,
    /// What is fired.
    pub to: Vec<GraphTarget>,
    /// Least time since the target was fired last.
    pub at_most_every: Option<Span>,
    /// Once per task.
    pub once: bool,
}

/// What a trigger looks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cue {
    /// Certain in one of these states, at every evaluation.
    State(Vec<Arc<str>>),
    /// From a state to a state; `None`: any.
    Change {
        /// Before.
        from: Option<Arc<str>>,
        /// Now.
        to: Option<Arc<str>>,
    },
    /// It has run without an error.
    Executed,
    /// How likely a state is.
    Probability {
        /// The state.
        state: Arc<str>,
        /// How it is compared.
        than: Than,
        /// With what, in billionths.
        limit: u64,
        /// At every evaluation while it is true, not only when it turns true.
        level: bool,
    },
}

/// How a probability is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Than {
    /// Greater.
    Above,
    /// Greater or equal.
    AtLeast,
    /// Less.
    Below,
    /// Less or equal.
    AtMost,
}

impl Than {
    /// Whether the comparison is true.
    #[must_use]
    pub const fn holds(self, probability: u64, limit: u64) -> bool {
        match self {
            Self::Above => probability > limit,
            Self::AtLeast => probability >= limit,
            Self::Below => probability < limit,
            Self::AtMost => probability <= limit,
        }
    }
}

/// What a trigger fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GraphTarget {
    /// A node runs, a delay starts.
    Node(usize),
    /// An actuator.
    Actuator(usize),
}

/// What is wrong with the numbers of a table: how many there are, or what a column of them sums to.
#[must_use]
pub fn table_problem(weights: &[u64], own: usize, columns: usize) -> Option<String> {
    let wanted = own.saturating_mul(columns);
    if weights.len() != wanted {
        return Some(format!("{} numbers, the table has {wanted}", weights.len()));
    }
    (0..columns).find_map(|column| {
        let sum: u64 = weights.iter().skip(column).step_by(columns).sum();
        (sum.abs_diff(ONE) > 1).then(|| {
            let shown = (sum / ONE, sum % ONE);
            let number = column + 1;
            format!(
                "the numbers of column {number} sum to {}.{:09}, not to 1",
                shown.0, shown.1
            )
        })
    })
}
