//! The engine room: shards, epochs, ownership, virtual actors, supervision and the ports to the world.

pub mod actor;
pub mod command;
pub mod epoch;
pub mod host;
pub mod journal;
pub mod observe;
mod order;
pub mod owner;
pub mod parcel;
pub mod port;
pub mod registry;
pub mod resource;
pub mod result;
pub mod rule;
pub mod shard;
pub mod source;
pub mod task;
pub mod why;
