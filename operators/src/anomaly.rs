//! Anomalies and forecasts of one key: what is usual ([`Baseline`], [`Ewma`], [`Season`]), when that changes
//! ([`EwmaShift`], [`Cusum`]), and where it leads ([`HoltWinters`], [`Trend`]).
//!
//! Every answer is as of the last row taken. Sums over a span are exact, so that rows may leave without a trace;
//! recursions run in row order with the mathematics of `libm`, the same on every machine.

mod baseline;
mod holt_winters;
mod learnt;
mod season;
mod smooth;
#[cfg(test)]
mod tests;
mod trend;

pub(crate) use baseline::Baseline;
pub(crate) use holt_winters::{HoltWinters, Seasons};
pub(crate) use season::Season;
pub(crate) use smooth::{Cusum, Ewma, EwmaShift};
pub(crate) use trend::Trend;

/// Rows that one key keeps; beyond it the oldest leaves.
const WINDOW_ROWS: usize = 100_000;
