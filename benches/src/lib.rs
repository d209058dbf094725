//! What the benches share: a fleet of devices that sends the same events on every machine, a shard with rules that is fed
//! with them, and what a process holds in memory.

pub mod fleet;
pub mod memory;
pub mod station;

use std::time::Duration;

use criterion::Criterion;

/// Criterion as all benches run it: short, because a long run on a shared machine measures its neighbours.
#[must_use]
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(700))
        .measurement_time(Duration::from_millis(2500))
        .configure_from_args()
}
