//! [`Across`] and [`Join`]: what a rule says about rows of more than one resource.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::issue::Mark;
use crate::outcome::OutcomeKind;
use crate::rule::{FormulaText, Selector};
use crate::time::Span;

/// Longest that members of a task may be behind the furthest of them, if the rule does not say.
pub const MAX_SKEW: Span = Span::seconds(60);

/// What a rule asks of resources other than the task's own, and whose time counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Across {
    /// Values of other resources, by name.
    pub inputs: Vec<Input>,
    /// Whose time counts; `None`: the least of all members.
    pub clock: Option<TaskClock>,
    /// How far a member may be behind the furthest before it is left out; default [`MAX_SKEW`].
    pub max_skew: Option<Span>,
}

impl Across {
    /// Whether the rule says nothing of the kind.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.inputs.is_empty() && self.clock.is_none() && self.max_skew.is_none()
    }
}

/// `from` at the top of a rule: what it reads is what other rules say, not events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamOf {
    /// Names of those rules, sorted.
    pub rules: Vec<Arc<str>>,
    /// Which of their lines, sorted.
    pub kinds: Vec<OutcomeKind>,
    /// Where it is said.
    pub mark: Mark,
}

/// `clock`: whose time is the time of a task with several members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskClock {
    /// The least of the members' watermarks, without those more than `max_skew` behind.
    Least,
    /// The furthest of the members' watermarks.
    Newest,
    /// That of the task's own resource, whatever its inputs do.
    Own,
}

/// One of `inputs`: a metric of another resource under a name of the rule's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// What formulas call it; it hides a metric of that name of the task's own resource.
    pub name: Arc<str>,
    /// Whose values.
    pub source: InputSource,
    /// The rule whose lines have them; `None`: events have.
    pub rule: Option<Arc<str>>,
    /// Metric of the other resource; of a rule's lines as [`Input::said`] names it.
    pub metric: Arc<str>,
    /// How old the value may be; `None`: as old as it likes.
    pub max_age: Option<Span>,
    /// Whether its rows only bring values and are never judged.
    pub passive: bool,
}

/// Whose values an input has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InputSource {
    /// Id of the other resource, or a template over the traits of the task's own.
    Resource(FormulaText),
    /// Every member of a group of resources.
    Group(GroupOf),
}

/// `of` of an input: which resources are its members. All that is said must hold; texts may be templates over the traits of the
/// task's own resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupOf {
    /// They are children of this resource.
    pub parent: Option<FormulaText>,
    /// They are somewhere below this resource.
    pub under: Option<FormulaText>,
    /// Their type.
    pub kind: Option<FormulaText>,
    /// Their labels.
    pub labels: Vec<(Arc<str>, FormulaText)>,
    /// Their ids.
    pub ids: Vec<FormulaText>,
}

impl GroupOf {
    /// Every text with the name of what it says, in a fixed order.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &FormulaText)> {
        let parent = self.parent.iter().map(|text| ("parent", text));
        let under = self.under.iter().map(|text| ("under", text));
        let kind = self.kind.iter().map(|text| ("type", text));
        let labels = self.labels.iter().map(|(name, text)| (name.as_ref(), text));
        let ids = self.ids.iter().map(|text| ("ids", text));
        parent.chain(under).chain(kind).chain(labels).chain(ids)
    }
}

impl Input {
    /// Where it says whose values it has.
    #[must_use]
    pub fn mark(&self) -> Mark {
        match &self.source {
            InputSource::Resource(text) => text.mark,
            InputSource::Group(of) => of
                .texts()
                .next()
                .map(|(_, text)| text.mark)
                .unwrap_or_default(),
        }
    }

    /// How a column of a rule's lines is called among the metrics of events.
    #[must_use]
    pub fn said(rule: &str, column: &str) -> Arc<str> {
        Arc::from(format!("{rule}#{column}"))
    }

    /// Whether it has the values of several resources.
    #[must_use]
    pub const fn is_group(&self) -> bool {
        matches!(self.source, InputSource::Group(_))
    }
}

/// Which sides of a join keep rows without a partner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JoinKind {
    /// None.
    Inner,
    /// The left one.
    Left,
    /// The right one.
    Right,
    /// Both.
    Full,
}

impl JoinKind {
    /// Whether rows of a side are told without a partner.
    #[must_use]
    pub const fn keeps(self, left: bool) -> bool {
        match self {
            Self::Inner => false,
            Self::Left => left,
            Self::Right => !left,
            Self::Full => true,
        }
    }
}

/// One of the two streams of a join.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinStream {
    /// What formulas call its rows.
    pub name: Arc<str>,
    /// Which resources' events it has; none if it has lines of rules.
    pub from: Selector,
    /// Whose lines it has; `None`: it has events.
    pub of: Option<StreamOf>,
    /// Which of them.
    pub filter: Option<FormulaText>,
}

/// Which partner an as-of join looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// The last one before.
    Backward,
    /// The first one after.
    Forward,
    /// Whichever is nearer; of two equally near the one before.
    Nearest,
}

/// `within` of a join: which rows are partners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JoinWithin {
    /// `left − before ≤ right ≤ left + after`, in ms; each may be negative.
    Interval {
        /// How far before the left row.
        before: i64,
        /// How far behind it.
        after: i64,
    },
    /// Rows of one tumbling window `[offset + k·size, offset + (k+1)·size)`.
    Window {
        /// Length.
        size: Span,
        /// Shift against 1970-01-01 UTC in ms, may be negative.
        offset: i64,
        /// Whether a result's time is that of the later row, not the window's end.
        latest: bool,
    },
    /// Lines of rules that are of equal windows: start and end.
    Same,
    /// For each left row the right row nearest to it in a direction.
    AsOf {
        /// How far apart they may be; `None`: any distance.
        tolerance: Option<Span>,
        /// Which one.
        direction: Direction,
        /// Whether a row of the very same time is none.
        strict: bool,
    },
}

/// `join / emit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Join {
    /// Which sides keep rows without a partner.
    pub kind: JoinKind,
    /// The left stream.
    pub left: JoinStream,
    /// The right stream.
    pub right: JoinStream,
    /// Pairs of formulas, of the left row and of the right one, that must be equal; empty: the same resource.
    pub on: Vec<(FormulaText, FormulaText)>,
    /// Which rows are partners.
    pub within: JoinWithin,
    /// Whether a row without a partner is told at once.
    pub eager: bool,
    /// Whether a row may be its own partner.
    pub own_pairs: bool,
    /// How much longer rows wait for a partner.
    pub lateness: Span,
    /// Filter on the joined row.
    pub filter: Option<FormulaText>,
    /// Columns by name, in the order written; none: all of both rows.
    pub emit: Vec<(Arc<str>, FormulaText)>,
}
