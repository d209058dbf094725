//! [`AttemptsSeen`]: how far the attempts of a pattern have come on one task, and how those ended that live no longer.

use std::sync::Arc;

use tidegate_proto::{EventRef, Timestamp};

pub use crate::pattern::AttemptEnd;

/// How far one attempt of a pattern has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptSeen {
    /// Time of its first row, or of the end of a leading absence.
    pub began: Option<Timestamp>,
    /// Rows by element, in the order of taking.
    pub bound: Vec<(Arc<str>, Vec<EventRef>)>,
    /// Place of the element that it waits for, or waited for when it ended, from 0.
    pub waits_for: usize,
    /// When something happens to it without a row.
    pub until: Option<Timestamp>,
    /// How it ended; nothing: it lives.
    pub ended: Option<AttemptEnded>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnded {
    /// In which way.
    pub how: AttemptEnd,
    /// The row that ended it; nothing: time did.
    pub by: Option<EventRef>,
    /// When.
    pub at: Timestamp,
}

/// Attempts of a pattern on one task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptsSeen {
    /// The newest, the newest first.
    pub attempts: Vec<AttemptSeen>,
    /// Attempts that live and are not among them.
    pub cut: usize,
    /// Elements of the pattern.
    pub steps: usize,
}
