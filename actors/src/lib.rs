//! The engine room: shards, epochs, ownership, virtual actors, supervision and the ports to the world.

pub mod command;
pub mod epoch;
pub mod journal;
pub mod observe;
pub mod owner;
pub mod port;
