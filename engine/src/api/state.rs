//! [`Api`]: what all handlers of the doors share.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::backend::Backend;
use super::metrics::Counters;
use super::problem::{Problem, ProblemKind};
use super::split::SplitLimits;
use crate::config::{LimitsConfig, ServerConfig};

/// What all handlers share; cheap to clone.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    backend: Arc<dyn Backend>,
    limits: LimitsConfig,
    server: ServerConfig,
    streams: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
    counters: Counters,
    requests: RequestIds,
    started: Instant,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api")
            .field("limits", &self.inner.limits)
            .finish_non_exhaustive()
    }
}

impl Api {
    /// Doors in front of a backend; when `stopping` turns true, streams end.
    pub fn new(
        backend: Arc<dyn Backend>,
        limits: LimitsConfig,
        server: ServerConfig,
        stopping: watch::Receiver<bool>,
    ) -> Self {
        let inner = Inner {
            backend,
            limits,
            server,
            streams: Arc::new(Semaphore::new(limits.streams)),
            stopping,
            counters: Counters::default(),
            requests: RequestIds::new(),
            started: Instant::now(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The engine behind the doors.
    #[must_use]
    pub fn backend(&self) -> &dyn Backend {
        self.inner.backend.as_ref()
    }

    /// Limits.
    #[must_use]
    pub fn limits(&self) -> &LimitsConfig {
        &self.inner.limits
    }

    /// Settings of the server.
    #[must_use]
    pub fn server(&self) -> &ServerConfig {
        &self.inner.server
    }

    /// Bounds of a batch of events.
    #[must_use]
    pub fn split_limits(&self) -> SplitLimits {
        SplitLimits {
            events: self.limits().events,
            event_bytes: self.limits().event_bytes,
        }
    }

    /// What the doors count.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.inner.counters
    }

    /// Since when the doors are open.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.inner.started
    }

    /// A place among the streams; given back when it is dropped.
    ///
    /// # Errors
    /// When there are too many already.
    pub fn stream_place(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.inner.streams)
            .try_acquire_owned()
            .map_err(|_| {
                let detail = format!("more than {} streams at once", self.limits().streams);
                Problem::new(ProblemKind::Overloaded, detail)
            })
    }

    /// Streams that are open.
    #[must_use]
    pub fn streams_open(&self) -> usize {
        self.limits()
            .streams
            .saturating_sub(self.inner.streams.available_permits())
    }

    /// Resolves when the process is told to stop; never, if the one who could tell is gone.
    pub async fn stopped(&self) {
        let mut stopping = self.inner.stopping.clone();
        if stopping.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The caller's id of a request, or a new one.
    #[must_use]
    pub fn request_id(&self, given: Option<&str>) -> String {
        match given {
            Some(given) if !given.is_empty() => given.to_owned(),
            _ => self.inner.requests.next(),
        }
    }
}

/// Ids of requests whose callers gave none: random for the process, counted in it.
struct RequestIds {
    process: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        // The standard library's hash keys are the one source of randomness that is at hand; two processes on one data
        // folder must not give the same id, or the second request would be answered like the first.
        let mut hasher = std::collections::hash_map::RandomState::new().build_hasher();
        hasher.write_u32(std::process::id());
        if let Ok(now) = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH) {
            hasher.write_u128(now.as_nanos());
        }
        Self {
            process: hasher.finish(),
            next: AtomicU64::new(1),
        }
    }

    fn next(&self) -> String {
        format!(
            "{:016x}-{}",
            self.process,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}
