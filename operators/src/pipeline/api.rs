//! What the pipeline asks of the shard ([`View`]) and the small things that it is set up with and answers with.

use serde::{Deserialize, Serialize};
use tidegate_proto::{Span, Timestamp, Traits, Value};

/// What the shard knows and rules may ask: names, traits, twins.
pub trait View {
    /// Id of a resource.
    fn resource(&self, resource: u32) -> &str;
    /// Traits of a resource, in force now.
    fn traits(&self, resource: u32) -> &Traits;
    /// The twin's value of a metric with the largest event time, before the rows at hand.
    fn last(&self, resource: u32, metric: u32) -> Option<(Timestamp, Value)>;
    /// How many resources are known; their numbers are below it.
    fn resources(&self) -> u32;
}

/// The view of rules that begin with what they read themselves: what resources are, but not what their twins know.
#[derive(Clone, Copy)]
pub struct Untold<'a>(pub &'a dyn View);

impl std::fmt::Debug for Untold<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Untold")
    }
}

impl View for Untold<'_> {
    fn resource(&self, resource: u32) -> &str {
        self.0.resource(resource)
    }

    fn traits(&self, resource: u32) -> &Traits {
        self.0.traits(resource)
    }

    fn last(&self, _: u32, _: u32) -> Option<(Timestamp, Value)> {
        None
    }

    fn resources(&self) -> u32 {
        self.0.resources()
    }
}

/// Most that a rule may keep or do; what lies beyond is dropped and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Rows that wait for the watermark, per task (`order: time`): beyond it the oldest row is taken early.
    pub waiting_rows: usize,
    /// Attempts of a pattern per task: beyond it the oldest is dropped.
    pub attempts: usize,
    /// Rows that one attempt of a pattern may hold: beyond it the attempt is dropped.
    pub attempt_rows: usize,
    /// Ways of one attempt of a pattern with `matches: all`: beyond it new ones are not made.
    pub attempt_ways: usize,
    /// Group keys (`by`) per rule and shard: rows of new groups beyond it are late.
    pub groups: usize,
    /// Passes of a graph at one time: beyond it the rest of the row is dropped.
    pub graph_passes: usize,
    /// Elements of the list that a node of a graph runs for: a longer one is dropped.
    pub graph_elements: usize,
    /// Ticks of a graph's task since its last row: beyond it there are none until the next row.
    pub graph_ticks: u64,
    /// Rows of a join that wait, per key and side: beyond it the oldest is let go as one without a partner.
    pub join_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting_rows: 100_000,
            attempts: 1_000,
            attempt_rows: 10_000,
            attempt_ways: 1_000,
            groups: 100_000,
            graph_passes: 100,
            graph_elements: 1_000,
            graph_ticks: 1_000_000,
            join_rows: 10_000,
        }
    }
}

/// Guards of the pipeline that a simulation switches off, one at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineBreaks {
    /// The watermark moves once per batch instead of with every row.
    pub watermark_per_batch: bool,
    /// A timer at T comes after the row at T.
    pub timer_after_row: bool,
    /// Rules whose name begins with `brittle` panic on rows whose event time is a multiple of this, in ms; 0: never.
    pub brittle_rows: i64,
    /// The same rules panic when they are woken by the clock.
    pub brittle_clock: bool,
    /// The same rules panic while they are applied.
    pub brittle_apply: bool,
    /// The same rules panic while they are removed.
    pub brittle_remove: bool,
}

/// Defaults of the engine that rules and resources may override.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineSettings {
    /// How far rows of one resource may be out of order.
    pub disorder: Span,
    /// After how much silence a resource's time runs on without it.
    pub idle: Span,
    /// Limits.
    pub limits: Limits,
    /// Whether thresholds of many rules on one expression are looked up in a sorted table; `false` judges each singly,
    /// with the same answers (for tests and measurements).
    pub thresholds: bool,
    /// Guards switched off on purpose: only a simulation does that, to show that it would notice.
    pub breaks: PipelineBreaks,
}

impl Default for PipelineSettings {
    fn default() -> Self {
        Self {
            disorder: Span::seconds(5),
            idle: Span::seconds(15),
            limits: Limits::default(),
            thresholds: true,
            breaks: PipelineBreaks::default(),
        }
    }
}

/// What became of the parts of a rule that was applied, in document order, dropped ones last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApplyReport {
    /// The parts.
    pub parts: Vec<PartReport>,
}

/// One part of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartReport {
    /// Path and normal text: `when`, `when: avg(temperature,"5m")`, `window`, `emit.mean`.
    pub path: String,
    /// What became of its state.
    pub state: PartState,
    /// The first field that differs, for a part that is new although the rule was there before.
    pub why_new: Option<String>,
}

/// What became of the state of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PartState {
    /// It goes on with its state.
    Kept,
    /// It starts empty.
    New,
    /// It is gone.
    Dropped,
}

/// What was counted on a task (rule and resource).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounters {
    /// Judgements whose condition had no value.
    pub unknown: u64,
    /// Rows that came too late.
    pub late: u64,
    /// Rows on which a formula failed.
    pub errors: u64,
    /// Rows that were taken before their time because too many waited.
    pub forced: u64,
    /// Values of a type that an aggregate skips.
    pub type_skipped: u64,
    /// Rows that left a window early because it held too many.
    pub rows_dropped: u64,
    /// Times that a function in row order skipped a row because it was older than its last one (`order: arrival`).
    pub out_of_order: u64,
    /// Windows that were closed early because too many were open.
    pub windows_dropped: u64,
    /// State windows that were shorter than their least length.
    pub windows_too_short: u64,
    /// Rows without a group key that the rule leaves out.
    pub null_keys: u64,
    /// Attempts of a pattern that were dropped because there were too many or they held too many rows.
    pub attempts_dropped: u64,
    /// Ways of attempts that were not made because there were too many.
    pub ways_dropped: u64,
    /// Firings of a graph that came too soon after the last, or were for once.
    pub throttled: u64,
    /// Evaluations of a graph whose observations cannot be true together.
    pub contradictions: u64,
    /// Times that a graph was stopped because it did not come to an end.
    pub loops: u64,
    /// Times that a graph's ticks were stopped because there was no row.
    pub ticks_stopped: u64,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskState {
    /// Whether the condition is raised.
    pub raised: bool,
    /// When it was raised; `None` when it is not, or when the rule is one of many thresholds that keep no time per task.
    pub since: Option<Timestamp>,
    /// Since when the condition has been true, while its hold runs.
    pub pending: Option<Timestamp>,
    /// How far the task's time has come; `None` before its first row.
    pub watermark: Option<Timestamp>,
}

/// Why a snapshot cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The bytes are damaged or of another version.
    #[error("the pipeline's snapshot cannot be read: {0}")]
    Bytes(String),
    /// The snapshot has state of a rule whose plan was not given.
    #[error("the pipeline's snapshot holds the rule `{0}`, whose plan is missing")]
    Plan(String),
}
