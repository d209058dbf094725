//! The proof: scenarios, deterministic simulation, and what tests of several kinds share.

pub mod broker;
pub mod bucket;
pub mod checker;
pub mod cluster;
pub mod damage;
pub mod doors;
pub mod frames;
pub mod fuzz;
pub mod group;
pub mod inside;
pub mod load;
pub mod nab;
pub mod probe;
pub mod process;
pub mod random;
pub mod scenario;
pub mod simulation;
