//! [`Rule`]: a rule as written and checked. Parsing it from a document is `document`'s part; compiling it to a plan is
//! the operators' part.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::across::{Across, Join, StreamOf};
use crate::graph::Graph;
use crate::id::Name;
use crate::issue::Mark;
use crate::pattern::Pattern;
use crate::time::Span;
use crate::window::{Calendar, StateWindow, WindowOptions};
use crate::zone::Zone;

/// Source text of a formula or template and where it stands in its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormulaText {
    /// The text as written.
    pub source: Arc<str>,
    /// Path of the field: `when`, `emit.mean`, `then[0].alarm.text`.
    pub path: Arc<str>,
    /// Position of the text in its document.
    pub mark: Mark,
}

/// `for`: which resources get a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Selector {
    /// Every resource.
    All,
    /// Left out: one task over everything.
    Everything,
    /// Exactly these ids, sorted.
    Ids(Vec<Arc<str>>),
    /// Resources of a type, having all these labels; `kind: None` means any type. At least one is given.
    Match {
        /// Type name.
        kind: Option<Arc<str>>,
        /// Labels that must be there with these values.
        labels: BTreeMap<Arc<str>, Arc<str>>,
    },
}

/// `order`: when a row is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// The moment it arrives; holds and timers run with `disorder` 0.
    Arrival,
    /// By (event time, log order) once the watermark has passed it.
    Time,
}

/// Time settings of a rule; what is left out comes from the resource, its type, or the defaults (5 s, 15 s).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timing {
    /// How far rows of one resource may be out of order.
    pub disorder: Option<Span>,
    /// After how much silence a resource's time runs on without it.
    pub idle: Option<Span>,
    /// When rows are judged; default `arrival` for `when`, `time` for `pattern`.
    pub order: Option<Order>,
}

/// Alarm severity, from the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Worth a look.
    Warning,
    /// Of limited effect.
    Minor,
    /// Of great effect.
    Major,
    /// Act now.
    Critical,
}

impl Severity {
    /// The word as it is written.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Warning => "WARNING",
            Self::Minor => "MINOR",
            Self::Major => "MAJOR",
            Self::Critical => "CRITICAL",
        }
    }
}

/// A rule as written and checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Name, unique in the engine.
    pub name: Name,
    /// What it is for, for people.
    pub description: Option<Arc<str>>,
    /// Whose lines are its rows; `None`: events are.
    pub from: Option<StreamOf>,
    /// Which resources get a task.
    pub selector: Selector,
    /// `where`: row filter before everything.
    pub filter: Option<FormulaText>,
    /// Time settings.
    pub timing: Timing,
    /// What it asks of several resources.
    pub across: Across,
    /// What the rule computes.
    pub body: Body,
    /// What it does when its condition is raised, updated or cleared, or a window closes.
    pub then: Vec<Action>,
    /// Where its results go; empty: `results` alone.
    pub to: Vec<Target>,
    /// The document it came from, canonical JSON: what `get` prints and a revision is compared with.
    pub document: Arc<str>,
}

/// What a rule computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// A condition over time.
    When(When),
    /// Aggregates over windows.
    Window(WindowRule),
    /// A pattern of rows.
    Pattern(Pattern),
    /// A graph of sensors and gates; its actuators are the rule's `then`.
    Graph(Graph),
    /// Rows of two streams, paired.
    Join(Box<Join>),
}

/// A condition over time: one level, or several of different severity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// The levels, the most severe first; a plain `when` is one without a severity.
    pub levels: Vec<Level>,
    /// Severity only rises until all levels are clear.
    pub never_lower: bool,
    /// Time between repeats while raised.
    pub again: Option<Span>,
    /// Guard against alarms that come and go.
    pub flapping: Option<Flapping>,
    /// Times at which the rule judges; `None`: always.
    pub active: Option<Active>,
}

/// `when / hold / clear / clear_hold / dampen`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    /// How bad it is; only levels of `levels` say so.
    pub severity: Option<Severity>,
    /// The condition.
    pub when: FormulaText,
    /// How long it must stay true; zero: not at all.
    pub hold: Span,
    /// What ends it; `None`: `when` turning false.
    pub clear: Option<FormulaText>,
    /// How long `clear` must stay true.
    pub clear_hold: Span,
    /// Which of the last evaluations must be true.
    pub dampen: Option<Dampen>,
}

impl Level {
    /// A condition without any option.
    #[must_use]
    pub const fn plain(when: FormulaText) -> Self {
        Self {
            severity: None,
            when,
            hold: Span::ZERO,
            clear: None,
            clear_hold: Span::ZERO,
            dampen: None,
        }
    }
}

/// `dampen`: the current evaluation must be true, and so many of the last ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Dampen {
    /// How many.
    pub needed: u32,
    /// Of how many.
    pub of: u32,
}

/// `flapping`: raised and cleared too often in a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Flapping {
    /// So many transitions begin it.
    pub changes: u32,
    /// Time in which they are counted.
    pub within: Span,
    /// It ends when at most so many are left.
    pub until: u32,
}

/// `active`: when a rule judges.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// Whose clock on the wall counts.
    pub zone: Zone,
    /// Times of the week.
    pub times: Vec<ActiveTime>,
    /// What happens outside of them.
    pub outside: Outside,
}

/// Days, and a time of the day; one that ends at or before its start runs past midnight.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActiveTime {
    /// Days on which it begins, 0 is Monday; sorted.
    pub days: Vec<u8>,
    /// Seconds since midnight, inside.
    pub from: u32,
    /// Seconds since midnight, outside; 86,400 is the end of the day.
    pub to: u32,
}

/// What becomes of a condition outside of the active times.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outside {
    /// `when` reads unknown, `clear` goes on.
    Pause,
    /// What is raised is cleared.
    Clear,
}

/// `window / by / emit / having`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowRule {
    /// Form and size.
    pub form: WindowForm,
    /// How long after its close a window still takes rows.
    pub lateness: Span,
    /// Group keys by column name; of several groupings all of them, behind the column that tells which one it is.
    pub by: Vec<(Arc<str>, FormulaText)>,
    /// Several groupings: which of `by` each has.
    pub sets: Vec<Vec<u32>>,
    /// Columns by name, in the order written.
    pub emit: Vec<(Arc<str>, FormulaText)>,
    /// Filter on a row to be emitted.
    pub having: Option<FormulaText>,
    /// Whether rows with a missing group key are left out.
    pub drop_null_keys: bool,
    /// Everything that has a default.
    pub options: Box<WindowOptions>,
}

/// Form of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WindowForm {
    /// `[offset + k·size, offset + (k+1)·size)`.
    Tumbling {
        /// Length.
        size: Span,
        /// Shift against 1970-01-01 UTC in ms, may be negative.
        offset: i64,
    },
    /// `[start, start + size)` for every start ≡ offset modulo `every`.
    Hopping {
        /// Length.
        size: Span,
        /// Step from start to start.
        every: Span,
        /// Shift against 1970-01-01 UTC in ms, may be negative.
        offset: i64,
    },
    /// `(t − size, t]` for every distinct time t of a row.
    Sliding {
        /// Length.
        size: Span,
        /// Whether a row at `t − size` belongs: `[t − size, t]`.
        closed: bool,
        /// One for every row, up to itself in row order.
        per_row: bool,
    },
    /// Rows that follow each other within a gap: `[first, last + gap)`.
    Session {
        /// The next session begins so long after the last row.
        gap: Span,
        /// Longest session.
        max: Option<Span>,
        /// Whether a row exactly `gap` later still belongs to the session.
        join: bool,
    },
    /// So many rows in row order.
    Count {
        /// Rows of a window.
        size: u32,
        /// Rows from one window's end to the next.
        every: u32,
        /// Whether windows are told while the first one fills.
        partial: bool,
        /// How long after its first row a window is closed with what it has.
        timeout: Option<Span>,
    },
    /// `[k, k + j·step)` for j = 1 … size / step, k as tumbling.
    Cumulate {
        /// Length of the longest.
        size: Span,
        /// From one end to the next.
        step: Span,
        /// Shift against 1970-01-01 UTC in ms, may be negative.
        offset: i64,
    },
    /// Days, weeks, months … of a time zone.
    Calendar(Calendar),
    /// While a condition holds, or a value stays the same.
    State(StateWindow),
    /// All rows since the task began or the last reset.
    Global {
        /// Whether an emission empties it.
        reset: bool,
    },
}

/// As people write it.
impl fmt::Display for WindowForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shift = |f: &mut fmt::Formatter<'_>, offset: i64| match offset {
            0 => Ok(()),
            _ if offset < 0 => write!(f, ", offset -{}", Span(-offset)),
            _ => write!(f, ", offset {}", Span(offset)),
        };
        match self {
            Self::Tumbling { size, offset } => {
                write!(f, "tumbling {size}")?;
                shift(f, *offset)
            }
            Self::Hopping {
                size,
                every,
                offset,
            } => {
                write!(f, "hopping {size} every {every}")?;
                shift(f, *offset)
            }
            Self::Sliding {
                size,
                closed,
                per_row,
            } => {
                let edges = if *closed { ", edges closed" } else { "" };
                let per = if *per_row { ", per row" } else { "" };
                write!(f, "sliding {size}{edges}{per}")
            }
            Self::Session { gap, max, join } => {
                write!(f, "session gap {gap}")?;
                max.map_or(Ok(()), |max| write!(f, ", max {max}"))?;
                f.write_str(if *join { ", at_gap join" } else { "" })
            }
            Self::Count { size, every, .. } => write!(f, "count {size} every {every}"),
            Self::Cumulate { size, step, offset } => {
                write!(f, "cumulate {size} step {step}")?;
                shift(f, *offset)
            }
            Self::Calendar(calendar) => {
                write!(f, "calendar {} {}", calendar.every, calendar.unit.word())?;
                shift(f, calendar.offset)
            }
            Self::State(state) if state.of => f.write_str("state of equal values"),
            Self::State(_) => f.write_str("state"),
            Self::Global { .. } => f.write_str("global"),
        }
    }
}

/// When an action runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// The condition was raised, or a window row was emitted.
    Raised,
    /// The severity changed.
    Updated,
    /// The condition was cleared.
    Cleared,
    /// It has been raised for so long that it is told again.
    Again,
}

/// One thing of `then`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// When it runs; default raised and updated (an alarm: always).
    pub on: Vec<On>,
    /// Least event time between two runs, per task.
    pub at_most_every: Option<Span>,
    /// Once per task until the rule is deleted.
    pub once: bool,
    /// Not only when it is raised, but at every evaluation that finds it true.
    pub every_time: bool,
    /// What it does.
    pub kind: ActionKind,
}

/// What an action does. Texts are templates with `${formula}` parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ActionKind {
    /// An alarm: severity and text travel in the values of its lines.
    Alarm {
        /// How bad it is; `None` where levels say so.
        severity: Option<Severity>,
        /// What it says.
        text: Option<FormulaText>,
    },
    /// A record to a topic of the user's; key is the resource.
    Topic {
        /// Topic name.
        name: Arc<str>,
        /// Formula of the body; `None`: the result line as JSON.
        value: Option<FormulaText>,
    },
    /// A call of a configured handler.
    Handler {
        /// Handler name.
        name: Name,
        /// Arguments by name, templates.
        with: Vec<(Arc<str>, FormulaText)>,
    },
    /// An event of another resource.
    Set {
        /// Its id, a template.
        resource: FormulaText,
        /// Metrics by name, formulas.
        values: Vec<(Arc<str>, FormulaText)>,
    },
    /// A line in the engine's log.
    Log {
        /// What it says.
        text: FormulaText,
    },
}

/// Where results of a rule go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// The results topic: always, unless other targets are named without it.
    Results,
    /// A topic of the user's.
    Topic {
        /// Topic name.
        name: Arc<str>,
        /// Formula of the body; `None`: the result line as JSON.
        value: Option<FormulaText>,
    },
}
