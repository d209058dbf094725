//! The log adapters: one trait ([`tidegate_actors::port::EventLog`]), several worlds behind it.
//!
//! [`embedded`] is the log inside this program: a durable, partitioned log in the data directory that needs nothing else.
//! [`kafka`] is the log on Kafka.

pub mod embedded;
pub mod kafka;
mod open;
mod reopening;

pub use embedded::{EmbeddedLog, EmbeddedLogSettings, FsyncPolicy};
pub use kafka::{KafkaLog, KafkaSettings};
pub use open::OpenLog;
pub use reopening::ReopeningLog;

use tidegate_actors::port::{PortError, PortErrorKind};

/// Group under which shards commit how far they have read and published.
pub(crate) const SHARD_GROUP: &str = "tidegate";

/// Runs blocking work of a port off the runtime's own threads; without a runtime (a test, the replay) it runs here.
pub(crate) async fn offload<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    match tokio::runtime::Handle::try_current() {
        Err(_) => work(),
        Ok(runtime) => match runtime.spawn_blocking(work).await {
            Ok(answer) => answer,
            Err(failure) => Err(PortError::new(
                PortErrorKind::Unavailable,
                format!("background work did not finish: {failure}"),
            )
            .in_doubt()),
        },
    }
}

/// Runs a future of a port in a test, on a runtime of its own.
#[cfg(test)]
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}
