//! What the process says of itself while it runs: log lines on standard error, pretty for people, JSON for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

/// Variable that overrides the filter of the settings.
const FILTER_VARIABLE: &str = "RUST_LOG";

/// Starts logging; does nothing if somebody started it before.
pub fn start(config: &TelemetryConfig) {
    let filter = std::env::var(FILTER_VARIABLE)
        .ok()
        .filter(|filter| !filter.is_empty())
        .and_then(|filter| EnvFilter::try_new(filter).ok())
        // The settings were checked, so their filter reads.
        .unwrap_or_else(|| EnvFilter::new(&config.filter));
    let is_terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let is_pretty = match config.format {
        LogFormat::Auto => is_terminal,
        LogFormat::Pretty => true,
        LogFormat::Json => false,
    };
    let colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
    // It fails only when logging was started before, by a test.
    let _ = if is_pretty {
        builder.with_ansi(colours).with_target(false).try_init()
    } else {
        builder.json().flatten_event(true).try_init()
    };
}
