//! What windows can be told besides their size: units of a calendar, when results are emitted, what fills empty windows.

use serde::{Deserialize, Serialize};

use crate::rule::FormulaText;
use crate::time::Span;
use crate::zone::Zone;

/// Unit of a calendar window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CalendarUnit {
    /// Sixty seconds.
    Minute,
    /// Sixty minutes.
    Hour,
    /// From one local midnight to the next.
    Day,
    /// Seven days.
    Week,
    /// A month of the calendar.
    Month,
    /// Three months.
    Quarter,
    /// Twelve months.
    Year,
}

impl CalendarUnit {
    /// The word as it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

/// Which calendar windows there are, but for their zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Calendar {
    /// Unit.
    pub unit: CalendarUnit,
    /// How many units a window has, counted from 1970-01-01 local (weeks: from that week's first day).
    pub every: u32,
    /// First day of the week: 0 is Monday.
    pub week_start: u8,
    /// Shift of the wall clock in ms, may be negative: 6 h makes days from 06:00.
    pub offset: i64,
}

/// `state`, but for its formulas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StateWindow {
    /// How long `start` has to stay true; zero: not at all.
    pub true_for: Span,
    /// Shorter windows give no result; zero: none are too short.
    pub min: Span,
    /// Longest window.
    pub max: Option<Span>,
    /// Whether the row that ends a window belongs to it.
    pub include_end: bool,
    /// Whether there is an `end`.
    pub ends: bool,
    /// Whether there is `of` in place of `start`: a window per run of equal values.
    pub of: bool,
}

/// Formulas of `state`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateTexts {
    /// `start` or `of`.
    pub start: FormulaText,
    /// `end`.
    pub end: Option<FormulaText>,
}

/// When rows of windows are emitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Emission {
    /// At close, and corrections within lateness.
    #[default]
    OnClose,
    /// Once, when lateness is over.
    Final,
    /// After each row.
    OnChange,
    /// At multiples of a duration where something changed, and at close if something changed since.
    Every(Span),
    /// When a condition over the columns turns true.
    When {
        /// The condition.
        when: FormulaText,
        /// Whether closing emits too.
        also_close: bool,
    },
}

/// What is told of windows without rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fill {
    /// Nothing.
    #[default]
    None,
    /// Formulas over no rows.
    Null,
    /// Every number 0.
    Zero,
    /// The columns of the last window with rows.
    Previous,
    /// Numbers between those of the neighbours.
    Linear,
}

/// What windows can be told besides their form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowOptions {
    /// When rows are emitted.
    pub emission: Emission,
    /// What is told of empty windows.
    pub fill: Fill,
    /// How many empty windows in a row are told.
    pub fill_limit: u32,
    /// Whether an equal row is a revision too.
    pub repeat_equal: bool,
    /// Whether a row is taken back before the next revision.
    pub retract: bool,
    /// Shift of `emit: { every }` in ms.
    pub offset: i64,
    /// Zone of a calendar window.
    pub zone: Option<Zone>,
    /// Formulas of a state window.
    pub state: Option<StateTexts>,
}

impl Default for WindowOptions {
    fn default() -> Self {
        Self {
            emission: Emission::OnClose,
            fill: Fill::None,
            fill_limit: 1_000,
            repeat_equal: false,
            retract: false,
            offset: 0,
            zone: None,
            state: None,
        }
    }
}
