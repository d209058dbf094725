//! [`SaidNode`]: nodes of a graph that stand for another rule's task, and how they find their states in lines.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::graph::{GraphNode, GraphNodeKind};
use crate::outcome::OutcomeKind;
use crate::rule::{Body, Rule};
use crate::value::Value;

/// State of a node while the condition of its rule is raised.
pub const RAISED: &str = "RAISED";
/// The other state of a condition.
pub const CLEARED: &str = "CLEARED";
/// State of a node whose pattern has matched.
pub const MATCHED: &str = "MATCHED";

/// What of another rule's task a node of a graph shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaidNode {
    /// The other rule.
    pub rule: Arc<str>,
    /// What of it.
    pub of: SaidOf,
}

/// Which lines of a rule have the states of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SaidOf {
    /// Those that raise and clear.
    Alarm,
    /// Matches of a pattern.
    Match,
    /// Those about a node of its graph.
    Node(Arc<str>),
}

impl fmt::Display for SaidNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &self.rule;
        match &self.of {
            SaidOf::Alarm => write!(f, "alarm of rule {rule}"),
            SaidOf::Match => write!(f, "match of rule {rule}"),
            SaidOf::Node(node) => write!(f, "node {node} of rule {rule}"),
        }
    }
}

impl SaidNode {
    /// The state in a line that says: nothing is certain any more.
    pub const NOTHING: &'static str = "";

    /// How the state is called among the metrics of events.
    #[must_use]
    pub fn column(&self) -> Arc<str> {
        let rule = &self.rule;
        match &self.of {
            SaidOf::Alarm => Arc::from(format!("{rule}#@")),
            SaidOf::Match => Arc::from(format!("{rule}#@=")),
            SaidOf::Node(node) => Arc::from(format!("{rule}#@{node}")),
        }
    }

    /// Whether lines of a kind have it.
    #[must_use]
    pub const fn wants(&self, kind: OutcomeKind) -> bool {
        use OutcomeKind as Kind;
        match self.of {
            SaidOf::Alarm => matches!(kind, Kind::Raised | Kind::Updated | Kind::Cleared),
            SaidOf::Match => matches!(kind, Kind::Match),
            SaidOf::Node(_) => matches!(kind, Kind::State),
        }
    }

    /// The column that a line of a rule has for nodes, and the state in it.
    #[must_use]
    pub fn of_line(
        rule: &Arc<str>,
        kind: OutcomeKind,
        values: &[(Arc<str>, Value)],
    ) -> Option<(Arc<str>, Value)> {
        let value = |name: &str| {
            let found = values.iter().find(|(known, _)| known.as_ref() == name);
            found.map(|(_, value)| value)
        };
        let (of, state) = match kind {
            OutcomeKind::Raised | OutcomeKind::Updated => (SaidOf::Alarm, Value::text(RAISED)),
            OutcomeKind::Cleared => (SaidOf::Alarm, Value::text(CLEARED)),
            OutcomeKind::Match => (SaidOf::Match, Value::text(MATCHED)),
            OutcomeKind::State => {
                let Some(Value::Text(node)) = value("node") else {
                    return None;
                };
                let state = match value("state") {
                    Some(Value::Text(state)) => Value::Text(Arc::clone(state)),
                    _ => Value::text(Self::NOTHING),
                };
                (SaidOf::Node(Arc::clone(node)), state)
            }
            _ => return None,
        };
        let rule = Arc::clone(rule);
        Some((Self { rule, of }.column(), state))
    }
}

impl Rule {
    /// Nodes of its graph that stand for other rules' tasks.
    pub fn said_nodes(&self) -> impl Iterator<Item = (&GraphNode, &SaidNode)> {
        let nodes = match &self.body {
            Body::Graph(graph) => graph.nodes.as_slice(),
            _ => &[],
        };
        nodes.iter().filter_map(|node| match &node.kind {
            GraphNodeKind::Sensor(sensor) => Some((node, sensor.said.as_ref()?)),
            _ => None,
        })
    }
}
