//! The algebra of Tidegate: exact sums, aggregates, windows, lookbacks, conditions over time, watermarks; rules compiled
//! to a [`Plan`] and run keyed and columnar by a [`Pipeline`].
//!
//! Pure and synchronous: time comes in as numbers, answers go out as [`tidegate_proto::Outcome`]s, equal input gives
//! equal bytes however it was cut into batches, epochs and snapshots.

pub mod aggregate;
mod along;
mod anomaly;
mod check;
mod condition;
pub mod exact;
mod former;
mod graph;
mod join;
pub mod lookback;
mod order;
mod pattern;
pub mod pipeline;
pub mod plan;
mod threshold;
mod timer;
mod watermark;
pub mod why;
pub mod window;

pub use check::check;
pub use graph::machine::Verdict;
pub use pipeline::{
    ApplyReport, AttemptEnd, AttemptEnded, AttemptSeen, AttemptsSeen, GraphNodeSeen, GraphSeen,
    Inside, JoinSeen, JoinSideSeen, Lack, Limits, PartReport, PartState, Pipeline, PipelineBreaks,
    PipelineSettings, Portrait, PortraitNode, Reached, RestoreError, Sighting, Subject, Suspects,
    TaskCounters, TaskState, TriggerSeen, Untold, View, WaitSeen,
};
pub use plan::{Plan, PlanTemplate, Reach, TemplateForm};
