//! [`Reach`]: how far a rule looks.

use super::Plan;

/// How far a rule looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every resource by itself: its task runs in the resource's own shard.
    Own,
    /// Rows of several resources meet in one task: they are brought to the rule's home.
    Wide,
}

impl Plan {
    /// How far this rule looks.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        Reach::Own
    }
}
