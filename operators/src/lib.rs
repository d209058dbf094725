//! The algebra of Tidegate: exact sums, aggregates, windows, lookbacks, conditions over time, watermarks; rules compiled
//! to a [`Plan`] and run keyed and columnar by a [`Pipeline`].
//!
//! Pure and synchronous: time comes in as numbers, answers go out as [`tidegate_proto::Outcome`]s, equal input gives
//! equal bytes however it was cut into batches, epochs and snapshots.

pub mod pipeline;
pub mod plan;

pub use pipeline::{
    ApplyReport, Limits, PartReport, PartState, Pipeline, PipelineSettings, RestoreError,
    TaskCounters, TaskState, View,
};
pub use plan::{Plan, PlanTemplate, TemplateForm};
