//! [`Reach`]: whether a rule looks at each resource by itself, or at several in one task.

use tidegate_proto::Body;

use super::Plan;

/// Which resources' rows one task of a rule needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every resource by itself.
    Own,
    /// Rows of several resources in one task.
    Wide,
}

impl Plan {
    /// Which resources' rows one task of the rule needs.
    #[must_use]
    pub fn reach(&self) -> Reach {
        match &self.rule.body {
            Body::Graph(graph) if graph.looks_elsewhere() => Reach::Wide,
            _ => Reach::Own,
        }
    }
}
