//! [`Pipeline`]: all running rules of one shard, keyed by dense resource numbers and run on columns.

use std::ops::Range;
use std::sync::Arc;

use tidegate_proto::{EventBatch, Names, Outcome, Span, Timestamp, Traits, Trigger, Value};

use crate::plan::Plan;

mod api;

pub use api::{
    ApplyReport, Limits, PartReport, PartState, PipelineSettings, RestoreError, TaskCounters,
    TaskState, View,
};

/// All running rules of one shard.
#[derive(Debug)]
pub struct Pipeline {
    settings: PipelineSettings,
}

impl Pipeline {
    /// A pipeline without rules.
    #[must_use]
    pub fn new(settings: PipelineSettings) -> Self {
        Self { settings }
    }

    /// Starts a rule, or revises the rule of that name: parts that are equal keep their state, raised stays raised. `metrics` is the
    /// shard's interner: names of metrics that no event has carried yet get their number here.
    pub fn apply(
        &mut self,
        plan: Arc<Plan>,
        view: &dyn View,
        metrics: &mut Names,
        trigger: Trigger,
        out: &mut Vec<Outcome>,
    ) -> ApplyReport {
        ApplyReport::default()
    }

    /// Deletes or disables a rule: what it raised is cleared with the reason `rule removed` at the watermark of each task.
    pub fn remove(
        &mut self,
        rule: &str,
        view: &dyn View,
        trigger: Trigger,
        out: &mut Vec<Outcome>,
    ) {
    }

    /// Tells that a resource was discovered or changed (type, labels, own time settings): selectors are matched again, and a task
    /// that no longer matches is cleared with the reason `no longer matches` and forgotten. `view.traits(resource)` already
    /// answers with the new traits.
    pub fn describe(
        &mut self,
        resource: u32,
        timing: (Option<Span>, Option<Span>),
        view: &dyn View,
        trigger: Trigger,
        out: &mut Vec<Outcome>,
    ) {
    }

    /// Judges rows of a batch, which are in log order. `view.last` answers with the state before these rows: the shard
    /// pushes first and updates its twins afterwards.
    pub fn push(
        &mut self,
        batch: &EventBatch,
        rows: Range<usize>,
        view: &dyn View,
        out: &mut Vec<Outcome>,
    ) {
    }

    /// Moves the clock, never back: silent resources pass their deadlines.
    pub fn advance(&mut self, clock: Timestamp, view: &dyn View, out: &mut Vec<Outcome>) {}

    /// Moves the clock and the watermark of every resource to a time: the end of a replay that says so.
    pub fn until(&mut self, time: Timestamp, view: &dyn View, out: &mut Vec<Outcome>) {}

    /// The earliest clock at which [`Pipeline::advance`] would do something; may be too early, never too late.
    #[must_use]
    pub fn next_clock(&self) -> Option<Timestamp> {
        None
    }

    /// What was counted on a task.
    #[must_use]
    pub fn counters(&self, rule: &str, resource: u32) -> TaskCounters {
        TaskCounters::default()
    }

    /// What a task is doing; `None` if the rule does not run or does not match the resource.
    #[must_use]
    pub fn active(&self, rule: &str, resource: u32) -> Option<TaskState> {
        None
    }

    /// Names of the running rules in byte order.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<str>> {
        std::iter::empty()
    }

    /// The whole state as bytes; plans are not in it.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    /// A pipeline as it was when the snapshot was taken.
    ///
    /// # Errors
    /// When the bytes are no snapshot of this version, or the plan of a running rule is missing or another one.
    pub fn restore(
        bytes: &[u8],
        plans: Vec<Arc<Plan>>,
        settings: PipelineSettings,
    ) -> Result<Self, RestoreError> {
        Ok(Self::new(settings))
    }

    /// Bytes of memory that the state holds, estimated.
    #[must_use]
    pub fn bytes(&self) -> usize {
        0
    }
}
