//! The machine of patterns: what attempts wait for, which row takes them on, what ends them. Knows nothing of formulas
//! or lines: a [`Scene`] judges rows and hears of matches.

mod attempt;
mod inside;
mod key;
mod live;
mod rounds;
mod sequence;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::pattern::{Contiguity, OnBreak, Reuse};
use tidegate_proto::{EventRef, Value};

pub(crate) use self::attempt::Attempt;
pub(crate) use self::key::Key;

/// Number of an element, in the order of the document.
pub(crate) type Alias = u16;
/// Number of a formula that rows are judged by.
pub(crate) type Test = u16;

/// One element, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    pub(crate) min: u32,
    pub(crate) max: u32,
    pub(crate) greedy: bool,
    pub(crate) contiguity: Contiguity,
    /// The same where it is the first to take a row inside another element: unless it says so itself, that is the other's.
    pub(crate) lead: Contiguity,
    pub(crate) inner: Contiguity,
    /// Longest time since the row taken before; 0: no limit.
    pub(crate) within: i64,
    /// Numbers of this element and of all inside it: from its own.
    pub(crate) from: Alias,
    pub(crate) to: Alias,
}

/// What an element is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// A row that fits; without a test any row.
    Step {
        test: Option<Test>,
        until: Option<Test>,
    },
    /// No such row until the next element takes one.
    Between { test: Test, on_break: OnBreak },
    /// No such row for a time.
    Absence {
        test: Test,
        lasts: i64,
        on_break: OnBreak,
    },
    /// All sides in any order.
    And { sides: Vec<Node>, share: bool },
    /// The first side to complete.
    Or(Vec<Node>),
    /// Elements in order, repeated together.
    Group(Vec<Node>),
}

/// Which attempts are replaced by copies, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Copies {
    /// Every row that fits the first element begins an attempt; nothing is left behind.
    Rows,
    /// A copy from before element `from` is left when element `to` is done, or when the pattern is, if that is past the
    /// last element.
    Span { from: usize, to: usize },
    /// One attempt ever.
    Never,
}

/// Which other attempts a match drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drops {
    PastLast,
    SameFirst,
    Nothing,
    BeforeFirst(Alias),
    BeforeLast(Alias),
}

/// A pattern, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) steps: Vec<Node>,
    /// Longest time from the first row to the last; 0: no limit.
    pub(crate) within: i64,
    pub(crate) exclusive: bool,
    pub(crate) copies: Copies,
    /// Tests of the elements that can take a first row; `None`: one of them takes any.
    pub(crate) begins: Option<Vec<Test>>,
    /// The first element is or holds an absence: waiting begins with the task.
    pub(crate) born_waiting: bool,
    pub(crate) drops: Drops,
    pub(crate) reuse: Reuse,
    pub(crate) after_break: bool,
    pub(crate) after_expiry: bool,
    pub(crate) longest: bool,
    /// The last element is a negation: the pattern completes at its deadline.
    pub(crate) ends_in_not: bool,
    pub(crate) tell_timeout: bool,
    /// Every way the rows fit is a match, not only the first.
    pub(crate) all_ways: bool,
    /// At each element only the oldest attempt waits.
    pub(crate) one_waits: bool,
    /// A match waits until no older attempt lives.
    pub(crate) holds: bool,
}

impl Machine {
    /// Whether attempts are more than one way each, or look at each other.
    pub(crate) const fn is_wide(&self) -> bool {
        self.all_ways || self.one_waits || self.holds
    }

    /// Whether one way to take rows can lead to more than one state: rounds of groups are cut in several ways.
    pub(crate) fn is_ambiguous(&self) -> bool {
        fn grouped(nodes: &[Node]) -> bool {
            nodes.iter().any(|node| match &node.kind {
                NodeKind::Group(_) => true,
                NodeKind::And { sides: nodes, .. } | NodeKind::Or(nodes) => grouped(nodes),
                _ => false,
            })
        }
        grouped(&self.steps)
    }
}

/// Most that a key may keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyLimits {
    pub(crate) attempts: usize,
    pub(crate) rows: usize,
    /// Ways of one attempt.
    pub(crate) ways: usize,
}

/// What a test says of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    No,
    Yes,
    /// The formula has no value: the row is passed over.
    Unknown,
    /// The row carries nothing that the test looks at.
    Unjudged,
}

impl Fit {
    /// What two ways of taking a row come to.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            _ => Self::No,
        }
    }
}

/// A row that an element has taken, or the end of an absence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) alias: Alias,
    /// The row's number among those of its key.
    pub(crate) order: u64,
    /// The time that counts.
    pub(crate) at: i64,
    /// `None`: the end of an absence.
    pub(crate) row: Option<TakenRow>,
}

/// What is kept of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TakenRow {
    /// Its own event time.
    pub(crate) time: i64,
    pub(crate) event: EventRef,
    /// Values that formulas ask for, in the order of the element's list.
    pub(crate) values: SmallVec<[Value; 2]>,
}

/// A match, or an attempt that ran out of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found<'a> {
    pub(crate) rows: &'a [Taken],
    /// When it began: first row, or begin of the leading absence.
    pub(crate) start: i64,
    /// When it completed.
    pub(crate) at: i64,
    pub(crate) timeout: bool,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// A row breaks it.
    Broken,
    /// Its time is over.
    Expired,
    /// A match drops it, or an older one waits where it would (`waiting: one`).
    Skipped,
    /// There are too many, or it holds too many rows.
    Limit,
    /// It is a match.
    Matched,
    /// It would be a match, but `having` is not true.
    Hidden,
}

/// Where a machine runs.
pub(crate) trait Scene {
    /// Another attempt looks at the row.
    fn turn(&mut self);
    /// What a test says of the row at hand, given the rows taken before.
    fn fit(&mut self, test: Test, rows: &[Taken]) -> Fit;
    /// What is kept of the row at hand for an element.
    fn keep(&self, alias: Alias) -> TakenRow;
    /// A match; answers whether it is told.
    fn matched(&mut self, found: &Found<'_>) -> bool;
    /// An attempt was dropped because there were too many, or it held too many rows.
    fn dropped(&mut self);
    /// A new way of an attempt was not made because it has too many.
    fn dropped_way(&mut self);
    /// An attempt has ended.
    fn ended(&mut self, _attempt: &Attempt, _how: AttemptEnd, _at: i64) {}
    /// All that was due at a time has happened.
    fn rests(&mut self, _attempts: &[Attempt], _at: i64) {}
}

/// The row at hand, as one attempt sees it.
pub(crate) struct Hand<'a> {
    pub(crate) at: i64,
    pub(crate) order: u64,
    pub(crate) rows: &'a mut Vec<Taken>,
    pub(crate) scene: &'a mut dyn Scene,
}

impl Hand<'_> {
    fn fit(&mut self, test: Test) -> Fit {
        self.scene.fit(test, self.rows)
    }

    fn take(&mut self, alias: Alias) {
        let row = Some(self.scene.keep(alias));
        self.rows.push(Taken {
            alias,
            order: self.order,
            at: self.at,
            row,
        });
    }
}

/// When an element is reached: the time, and number and time of the row taken last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) at: i64,
    pub(crate) last: Option<(u64, i64)>,
}

impl Moment {
    /// A time, after some rows.
    pub(crate) fn after(rows: &[Taken], at: i64) -> Self {
        let last = last_row(rows).map(|taken| (taken.order, taken.at));
        Self { at, last }
    }

    /// Number of the row taken last.
    pub(crate) fn order(self) -> u64 {
        self.last.map_or(0, |(order, _)| order)
    }

    pub(crate) fn since(self) -> Since {
        Since {
            order: self.order(),
            at: self.at,
        }
    }
}

/// What an element has taken since it was reached, apart from what it took in earlier rounds of a group around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Since {
    /// Rows with a higher number.
    pub(crate) order: u64,
    /// Absences that ended later.
    pub(crate) at: i64,
}

impl Since {
    /// Lets go of what an element took, but for one side of it.
    pub(crate) fn release(self, rows: &mut Vec<Taken>, all: &Node, kept: Option<&Node>) {
        let of = |node: &Node, taken: &Taken| (node.from..node.to).contains(&taken.alias);
        rows.retain(|taken| {
            let earlier = match taken.row {
                Some(_) => taken.order <= self.order,
                None => taken.at <= self.at,
            };
            earlier || !of(all, taken) || kept.is_some_and(|kept| of(kept, taken))
        });
    }
}

/// The newest entry that is a row.
fn last_row(rows: &[Taken]) -> Option<&Taken> {
    rows.iter().rev().find(|taken| taken.row.is_some())
}
