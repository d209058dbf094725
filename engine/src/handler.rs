//! Handlers: the only part that acts on the world.
//!
//! The [`Dispatcher`] reads the actions topic, one task per partition, and hands each action to the lane of its handler.
//! A lane has a bounded queue, a number of deliveries under way, waits that double and a breaker of its own, so that a
//! slow handler holds nobody else back; what it cannot take is parked: the log has it. How a delivery ended is written
//! back to the inbox of the resource; what was given up also goes to the dead letters; then the offset is committed, up
//! to the oldest action that is not settled, and for each handler that is ahead of that in a group of its own.
//!
//! ```text
//! actions ─▶ reader ─▶ window ─▶ lane `ops-mail` ─▶ sink ─▶ the world
//!                        ▲  └──▶ lane `log`      ─▶ sink
//!                        └─ settled ◀───┘   └─▶ inbox (outcome), dlq (given up), commit
//! ```
//!
//! Delivery is at least once: after a crash the actions since the last commit are delivered again, under the same ids.
//! There is no order between deliveries; `time` and `id` are in the body.

mod action;
mod address;
mod backoff;
mod breaker;
mod dispatcher;
mod endpoint;
mod forward;
mod job;
mod lane;
mod log_sink;
mod partition;
mod progress;
mod reader;
mod resolver;
mod settings;
mod settle;
mod view;
mod webhook;
mod window;

#[cfg(test)]
mod tests;

pub use action::{ActionError, ActionRecord};
pub use address::forbidden;
pub use breaker::BreakerState;
pub use dispatcher::{Dispatcher, DispatcherTopics, GROUP, Handlers, LOG_HANDLER};
pub use log_sink::LogSink;
pub use settings::{
    DispatcherSettings, HandlerKind, HandlerSettings, HandlersSettings, Secret, problems,
};
pub use view::{DispatcherView, HandlerView, PartitionView};
pub use webhook::WebhookSink;
