//! [`Reach`]: whether rows of several resources meet in one task of a rule.

use super::{Plan, PlanBody};

/// Whose rows a task of a rule reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every resource by itself.
    Own,
    /// Rows of several resources meet in one task, or rows are what other rules say.
    Wide,
}

impl Plan {
    /// Whether its tasks are of no single resource: one task, or one for each key.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        match &self.body {
            PlanBody::Wide(wide) => wide.everything && !wide.joins_resources(),
            PlanBody::Condition(_)
            | PlanBody::Window(_)
            | PlanBody::Pattern(_)
            | PlanBody::Graph(_) => false,
        }
    }

    /// Whose rows the rule's tasks read.
    #[must_use]
    pub fn reach(&self) -> Reach {
        if self.rule.is_reader() {
            return Reach::Wide;
        }
        match self.body {
            PlanBody::Wide(_) => Reach::Wide,
            PlanBody::Condition(_)
            | PlanBody::Window(_)
            | PlanBody::Pattern(_)
            | PlanBody::Graph(_) => Reach::Own,
        }
    }
}
