//! The language of Tidegate: the words that every other crate speaks.
//!
//! Owns ids, time, values, the columns of an event batch, rules, resources, results, validation issues and the wire
//! messages. It owns no behaviour beyond parsing, validating and printing: no I/O, no clock, no state.
//!
//! | word | meaning |
//! |---|---|
//! | [`Record`] | one entry of a log: key, headers, bytes, timestamp |
//! | [`EventBatch`] | the events of one intake as Arrow columns, one row per event |
//! | [`Rule`] | what a person wrote, validated, ready to compile |
//! | [`Outcome`] | what a rule says about a resource at an event time |
//! | [`Issue`] | one thing that is wrong with what somebody wrote: where, what, how to mend it |

pub mod across;
pub mod batch;
mod calendar;
pub mod cron;
pub mod decode;
pub mod document;
pub mod graph;
pub mod id;
pub mod issue;
pub mod json;
pub mod outcome;
pub mod pattern;
mod reads;
pub mod record;
pub mod recurrence;
pub mod resource;
pub mod rule;
pub mod said;
pub mod time;
pub mod value;
pub mod window;
#[cfg(feature = "grpc")]
pub mod wire;
pub mod zone;

pub use across::{
    Across, Direction, GroupOf, Input, InputSource, Join, JoinKind, JoinStream, JoinWithin,
    MAX_SKEW, StreamOf, TaskClock,
};
pub use batch::{Attributes, EventBatch, EventRef, MetricColumn};
pub use decode::{DecodeLimits, Decoder, SourceProfile, SourceRecord, Undecodable};
pub use document::{Document, SourceDefinition};
pub use graph::Graph;
pub use id::{Name, NameError, Names};
pub use issue::{Issue, Issues, Mark};
pub use outcome::{Outcome, OutcomeKind, Trigger};
pub use pattern::Pattern;
pub use record::{Headers, Offset, OffsetRange, Partition, Record, Topic};
pub use resource::{ResourceDefinition, ResourceTypeDefinition, Traits};
pub use rule::{
    Action, ActionKind, Body, FormulaText, Level, On, Order, Outside, Rule, Selector, Severity,
    Target, Timing, When, WindowForm, WindowRule,
};
pub use said::{SaidNode, SaidOf};
pub use time::{Span, Timestamp};
pub use value::Value;
pub use window::{Calendar, CalendarUnit, Emission, Fill, StateTexts, StateWindow, WindowOptions};
pub use zone::{Zone, ZoneError};
