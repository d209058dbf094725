//! [`Pattern`]: a pattern of rows as written and checked. Its meaning, field by field, is in the rule reference.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::across::InputSource;
use crate::issue::Mark;
use crate::rule::FormulaText;
use crate::time::Span;

/// Most elements of one list of steps.
pub const MOST_STEPS: usize = 64;
/// Most elements of a pattern altogether.
pub const MOST_ELEMENTS: usize = 256;
/// Deepest nesting of groups, `and` and `or`.
pub const MOST_DEPTH: usize = 8;
/// Most repetitions that can be asked for.
pub const MOST_TIMES: u32 = 10_000;

/// `pattern`: rows that have to come one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// The elements, in order.
    pub steps: Vec<Element>,
    /// Longest time from the first to the last row; `None`: no limit.
    pub within: Option<Within>,
    /// After which elements a copy of an attempt is left behind.
    pub every: Every,
    /// Whether each row that fits the first element begins an attempt.
    pub begin: Begin,
    /// Which other attempts a match drops.
    pub after_match: AfterMatch,
    /// Whether the row that broke or completed an attempt may begin the next.
    pub reuse: Reuse,
    /// Whether a broken attempt is replaced.
    pub after_break: bool,
    /// Whether an expired attempt is replaced.
    pub after_expiry: bool,
    /// Whether a final repetition reports as soon as it can, or when it can take no more.
    pub longest: bool,
    /// Default of every element's contiguity.
    pub contiguity: Contiguity,
    /// Whether a bare metric in `where` is only the row's own.
    pub own_values: bool,
    /// Whether every row of the key counts as next, not only those on which some element is judged.
    pub all_rows: bool,
    /// Values of a match by name, in the order written; empty: the bound rows by alias.
    pub emit: Vec<(Arc<str>, FormulaText)>,
    /// What must be true of a match to be told.
    pub having: Option<FormulaText>,
    /// Key of a rule over everything: rows of one value belong together.
    pub by: Option<FormulaText>,
    /// Whether an expired attempt is told.
    pub tell_timeout: bool,
    /// Ends the rule's alarm on a later row.
    pub clear: Option<FormulaText>,
    /// Whether every way the rows fit is a match, not only the first.
    pub all_ways: bool,
    /// Whether at each element only the oldest attempt of the key waits.
    pub one_waits: bool,
    /// Whether a match waits until no older attempt of the key lives.
    pub holds: bool,
}

/// Longest time from the first row of a match to its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Within {
    /// How long.
    pub max: Span,
    /// Whether exactly so long is too long.
    pub exclusive: bool,
}

/// `every`: the span of elements after which a copy is left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Every {
    /// The first element.
    First,
    /// The whole pattern: one attempt at a time.
    All,
    /// One attempt per key ever.
    Never,
    /// From one element of `steps` to another, by place.
    Span(usize, usize),
}

/// `begin`: how attempts begin when `every` is the first element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Begin {
    /// With each row that fits the first element.
    EachRow,
    /// Once the last attempt is done with the first element.
    AfterDone,
}

/// `after_match`: which other attempts of the key a match drops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterMatch {
    /// Those that began at or before its last row.
    PastLast,
    /// Those with the same first row.
    ToNext,
    /// None.
    Nothing,
    /// Those that began before the first row of an element.
    ToFirst(Arc<str>),
    /// Those that began before the last row of an element.
    ToLast(Arc<str>),
}

/// `reuse`: which rows that ended an attempt may begin the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reuse {
    /// The row that broke it.
    pub broken: bool,
    /// The row that completed it.
    pub matched: bool,
}

/// Which rows may lie between two that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contiguity {
    /// Any: the first that fits is taken.
    Relaxed,
    /// None: the very next row has to fit.
    Strict,
    /// Any: every later one that fits; where one way per attempt is asked for, the first.
    Any,
}

/// What a row that fits an absence does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBreak {
    /// The wait begins again at that row.
    Restart,
    /// The attempt is broken.
    End,
    /// This side of an `or` is lost.
    Drop,
    /// The next rows that complete the other sides are used up without result.
    Spend,
}

/// One element of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Element {
    /// Its name: as written, otherwise `s1`, `s2` … by place.
    pub alias: Arc<str>,
    /// Path of the element: `pattern.steps[1]`.
    pub path: Arc<str>,
    /// Where it stands.
    pub mark: Mark,
    /// What it is.
    pub kind: ElementKind,
    /// Whose rows it looks at; `None`: those of the task's key.
    pub of: Option<RowsOf>,
    /// Fewest repetitions; zero: it may be left out.
    pub min: u32,
    /// Most repetitions; `None`: any number.
    pub max: Option<u32>,
    /// Whether a row that fits both goes to the repetition and not behind it.
    pub greedy: bool,
    /// Of its first row to the row taken before.
    pub contiguity: Contiguity,
    /// The same where it is the first to take a row inside another element: as it says itself, otherwise the other's.
    pub lead: Contiguity,
    /// Between its repetitions, or between the rows of an `and`.
    pub inner: Contiguity,
    /// Closes the repetition.
    pub until: Option<FormulaText>,
    /// Longest time from the row taken before the element to the element's last row.
    pub within: Option<Span>,
}

/// Whose rows an element of a pattern looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowsOf {
    /// Equal for elements that look at the same rows.
    pub name: Arc<str>,
    /// The resource, or the resources.
    pub source: InputSource,
}

/// What an element is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ElementKind {
    /// A row for which a formula is true; `None`: any row.
    Step(Option<FormulaText>),
    /// No such row: between its neighbours, or for a time.
    Absence {
        /// The row that must not come.
        not: FormulaText,
        /// For how long; `None`: between its neighbours.
        lasts: Option<Span>,
        /// What such a row does.
        on_break: OnBreak,
    },
    /// All of its sides, in any order.
    And {
        /// The sides.
        sides: Vec<Element>,
        /// Whether one row may satisfy several sides.
        share: bool,
    },
    /// The first of its sides to complete.
    Or(Vec<Element>),
    /// Elements in order, repeated together.
    Group(Vec<Element>),
}

impl Element {
    /// The elements inside it.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        match &self.kind {
            ElementKind::Step(_) | ElementKind::Absence { .. } => &[],
            ElementKind::And { sides, .. } | ElementKind::Or(sides) => sides,
            ElementKind::Group(steps) => steps,
        }
    }

    /// Whether it may take more than one row or round.
    #[must_use]
    pub fn repeats(&self) -> bool {
        self.max.is_none_or(|max| max > 1)
    }

    /// Whether it is an absence that lies between its neighbours and takes no time of its own.
    #[must_use]
    pub const fn is_between(&self) -> bool {
        matches!(self.kind, ElementKind::Absence { lasts: None, .. })
    }

    /// Whether it is or holds an absence.
    #[must_use]
    pub fn holds_absence(&self) -> bool {
        matches!(self.kind, ElementKind::Absence { .. })
            || self.children().iter().any(Self::holds_absence)
    }
}
