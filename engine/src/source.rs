//! Gateways: topics of the user's that shards do not read themselves, because their records are not keyed by resource or
//! need a schema or a script, become events in `inbox`.
//!
//! A gateway reads one partition in order, makes events of its records, publishes these and then notes how far it has
//! read. Every event says where it comes from ([`tidegate_actors::source::Origin`]), so that a shard drops what a gateway
//! writes again after a failure. What is I/O or could differ (a schema of a registry) so happens before the log: a replay
//! reads what was made of a record, never the schema.

mod aside;
mod avro;
mod body;
mod framing;
mod gateway;
mod held;
mod lane;
mod protobuf;
mod registry;
mod rekey;

#[cfg(test)]
mod tests;

pub(crate) use gateway::check;
pub use gateway::{AskSources, Gateway, GatewayStatus, Gateways, Owns, World};
pub use held::{ClockHold, HeldClock};
pub use registry::{Registry, RegistrySettings};

use tidegate_actors::port::ReadLimit;
use tidegate_proto::time::Span;

/// `[sources]`.
#[derive(Clone, Copy, Debug)]
pub struct SourceSettings {
    /// How long a gateway that cannot go on keeps the clock back, so that its rows do not come late.
    pub patience: Span,
    /// How much one read of a gateway brings.
    pub read: ReadLimit,
}

/// Why a record is no event now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Unread {
    /// It never will be: a dead letter.
    Bad(String),
    /// Something that is needed is not there now: to be tried again.
    Later(String),
}
