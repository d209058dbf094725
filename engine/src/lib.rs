//! The world around the engine room: log adapters, snapshot stores, the data directory, handlers, doors, command line.

pub mod answers;
pub mod api;
pub mod cli;
pub mod config;
pub mod data_dir;
pub mod demo;
pub mod engine;
pub mod error;
pub mod fail_points;
pub mod feed;
pub mod handler;
pub mod import;
pub mod log;
pub mod replay;
pub mod runtime;
pub mod source;
pub mod standby;
pub mod store;
pub mod tail;
pub mod telemetry;
pub mod topics;
pub mod workers;
