//! The engine room: shards, epochs, ownership, virtual actors, supervision and the ports to the world.

pub mod port;
