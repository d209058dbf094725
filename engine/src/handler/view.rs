//! What the dispatcher says about itself when it is asked.

use serde::Serialize;
use tidegate_proto::record::{Offset, Partition};

use super::breaker::BreakerState;

/// One handler, since the start of the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HandlerView {
    /// Its name.
    pub handler: String,
    /// Deliveries that wait: in the queue, for a free place, or for their next try.
    pub waiting: usize,
    /// Deliveries under way.
    pub under_way: usize,
    /// Delivered.
    pub delivered: u64,
    /// Tries that failed and are made again.
    pub failures: u64,
    /// Refused for good.
    pub refused: u64,
    /// Given up because their time was over.
    pub given_up: u64,
    /// Its breaker.
    pub breaker: BreakerState,
    /// What failed last.
    pub last_error: Option<String>,
}

/// One partition of the actions topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartitionView {
    /// Its number.
    pub partition: Partition,
    /// Offset after the last action taken.
    pub position: Offset,
    /// Committed: everything before it is settled.
    pub committed: Offset,
    /// Actions held and not settled.
    pub undelivered: usize,
    /// Actions for handlers without room, of which only the offsets are held.
    pub parked: usize,
    /// Records whose id was seen before.
    pub repeated: u64,
    /// Given up without a try: no action, for a handler that does not exist, or too old.
    pub untried: u64,
}

/// All of the dispatcher.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DispatcherView {
    /// By name.
    pub handlers: Vec<HandlerView>,
    /// By number.
    pub partitions: Vec<PartitionView>,
}

impl HandlerView {
    pub(super) fn new(handler: &str) -> Self {
        Self {
            handler: handler.to_owned(),
            ..Self::default()
        }
    }
}
