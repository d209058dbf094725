//! [`ReopeningLog`]: the embedded log, opened anew by itself after it closed itself (a full disk, a failed write).
//!
//! Appends and publications that meet a closed log fail at once: whoever made them decides what was lost. What only looks
//! (reads, bounds, waiting for growth) waits until the log is open again and goes on where it was, so that readers of all
//! kinds live through it. What was held against retention is held again before anything else happens.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_actors::port::{
    Bounds, EventLog, PortError, PortErrorKind, PortFuture, Publication, ReadLimit, Slice,
    TopicPartition, TopicSettings,
};
use tidegate_proto::record::{Offset, Record, Topic};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::EmbeddedLog;

/// Shortest and longest wait before it is tried again.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Pause while calls that began before still end.
const PAUSE: Duration = Duration::from_millis(10);

type Open = Box<dyn Fn() -> Result<EmbeddedLog, PortError> + Send + Sync>;

/// What stands behind it now.
#[derive(Clone, Debug)]
enum Now {
    Open(Arc<EmbeddedLog>),
    /// Not open; it is being tried.
    Away(Arc<str>),
    /// Closed in order: it stays so.
    Shut,
}

/// The embedded log, opened anew by itself.
pub struct ReopeningLog {
    now: watch::Sender<Now>,
    holds: Mutex<BTreeMap<TopicPartition, Offset>>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for ReopeningLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReopeningLog")
            .field("trouble", &self.trouble())
            .finish_non_exhaustive()
    }
}

impl ReopeningLog {
    /// Opens the log, and keeps it open from now on. Must be called on a runtime.
    ///
    /// # Errors
    /// What kept it from being opened the first time.
    pub fn open(
        open: impl Fn() -> Result<EmbeddedLog, PortError> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, PortError> {
        let first = Arc::new(open()?);
        let log = Arc::new(Self {
            now: watch::Sender::new(Now::Open(first)),
            holds: Mutex::default(),
            keeper: Mutex::default(),
        });
        let keeper = tokio::spawn(keep_open(Arc::clone(&log), Arc::new(Box::new(open))));
        *log.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(log)
    }

    /// Why it is not open, if it is not.
    pub fn trouble(&self) -> Option<String> {
        match &*self.now.borrow() {
            Now::Open(log) => log.status().closed,
            Now::Away(why) => Some(why.as_ref().to_owned()),
            Now::Shut => Some("it was shut down".to_owned()),
        }
    }

    /// Closes it for good.
    ///
    /// # Errors
    /// When it was not open, or could not be closed well.
    pub async fn close(&self) -> Result<(), PortError> {
        let keeper = self
            .keeper
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(keeper) = keeper {
            keeper.abort();
        }
        match self.now.send_replace(Now::Shut) {
            Now::Open(log) => log.close().await,
            Now::Away(why) => Err(away(&why)),
            Now::Shut => Ok(()),
        }
    }

    /// The log, if it is open.
    fn current(&self) -> Result<Arc<EmbeddedLog>, PortError> {
        match &*self.now.borrow() {
            Now::Open(log) => Ok(Arc::clone(log)),
            Now::Away(why) => Err(away(why)),
            Now::Shut => Err(away("it was shut down")),
        }
    }

    /// The log, as soon as it is open.
    async fn opened(&self) -> Result<Arc<EmbeddedLog>, PortError> {
        let mut now = self.now.subscribe();
        // The sender lives in `self`: it cannot be gone.
        let _ = now.wait_for(|now| !matches!(now, Now::Away(_))).await;
        self.current()
    }

    /// Looks, again and again while the log closes under it.
    async fn look<T>(
        &self,
        look: impl for<'l> Fn(&'l EmbeddedLog) -> PortFuture<'l, T> + Send + Sync,
    ) -> Result<T, PortError> {
        loop {
            let log = self.opened().await?;
            match look(&log).await {
                Err(error) if error.kind == PortErrorKind::Closed => {
                    drop(log);
                    self.changed().await;
                }
                answer => return answer,
            }
        }
    }

    /// Resolves when the keeper has noticed that the log is closed.
    async fn changed(&self) {
        let mut now = self.now.subscribe();
        let working = |now: &Now| match now {
            Now::Open(log) => log.status().closed.is_some(),
            Now::Away(_) | Now::Shut => false,
        };
        let _ = now.wait_for(|now| !working(now)).await;
    }

    /// Takes the closed log away from everybody and waits until nobody uses it any more.
    async fn take_away(&self, why: &str) {
        let old = self.now.send_replace(Now::Away(why.into()));
        let Now::Open(mut log) = old else {
            return;
        };
        loop {
            match Arc::try_unwrap(log) {
                Ok(last) => {
                    // It is closed already: this ends its thread, and what it could not write stays unwritten.
                    let _ = last.close().await;
                    return;
                }
                Err(shared) => log = shared,
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

fn away(why: &str) -> PortError {
    PortError::new(
        PortErrorKind::Closed,
        format!("the embedded log is not open: {why}"),
    )
}

/// Waits until the log closes itself, and opens it anew.
async fn keep_open(log: Arc<ReopeningLog>, open: Arc<Open>) {
    loop {
        let Ok(current) = log.current() else {
            return;
        };
        let error = current.closed().await;
        drop(current);
        tracing::error!(%error, "the log closed itself; it is opened again");
        log.take_away(&error.message).await;
        let mut wait = BACKOFF.0;
        loop {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(BACKOFF.1);
            let opener = Arc::clone(&open);
            match super::offload(move || opener()).await {
                Ok(opened) => {
                    let opened = Arc::new(opened);
                    let holds = log
                        .holds
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clone();
                    for (of, offset) in &holds {
                        if let Err(error) = opened.hold(of, *offset).await {
                            tracing::warn!(%of, %error, "what is still needed could not be held again");
                        }
                    }
                    tracing::info!("the log is open again");
                    log.now.send_replace(Now::Open(opened));
                    break;
                }
                Err(again) => {
                    let why = format!(
                        "{error}; opening it again failed: {again}; the next try is in {} s at most",
                        wait.as_secs().max(1)
                    );
                    tracing::warn!("{why}");
                    log.now.send_replace(Now::Away(why.into()));
                }
            }
        }
    }
}

impl EventLog for ReopeningLog {
    fn create_topic(&self, topic: &Topic, settings: TopicSettings) -> PortFuture<'_, u32> {
        let topic = Topic::clone(topic);
        Box::pin(async move { self.current()?.create_topic(&topic, settings).await })
    }

    fn partitions(&self, topic: &Topic) -> PortFuture<'_, Option<u32>> {
        let topic = Topic::clone(topic);
        Box::pin(async move { self.look(|log| log.partitions(&topic)).await })
    }

    fn append(&self, to: &TopicPartition, records: Vec<Record>) -> PortFuture<'_, Offset> {
        let to = to.clone();
        Box::pin(async move { self.current()?.append(&to, records).await })
    }

    fn publish(&self, publication: Publication) -> PortFuture<'_, ()> {
        Box::pin(async move { self.current()?.publish(publication).await })
    }

    fn read(
        &self,
        from: &TopicPartition,
        offset: Offset,
        limit: ReadLimit,
    ) -> PortFuture<'_, Slice> {
        let from = from.clone();
        Box::pin(async move { self.look(|log| log.read(&from, offset, limit)).await })
    }

    fn bounds(&self, of: &TopicPartition) -> PortFuture<'_, Bounds> {
        let of = of.clone();
        Box::pin(async move { self.look(|log| log.bounds(&of)).await })
    }

    fn grown(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        let of = of.clone();
        Box::pin(async move { self.look(|log| log.grown(&of, offset)).await })
    }

    fn committed(&self, group: &str, of: &TopicPartition) -> PortFuture<'_, Option<Offset>> {
        let (group, of) = (group.to_owned(), of.clone());
        Box::pin(async move { self.look(|log| log.committed(&group, &of)).await })
    }

    fn commit(&self, group: &str, offsets: Vec<(TopicPartition, Offset)>) -> PortFuture<'_, ()> {
        let group = group.to_owned();
        Box::pin(async move { self.current()?.commit(&group, offsets).await })
    }

    fn hold(&self, of: &TopicPartition, offset: Offset) -> PortFuture<'_, ()> {
        let of = of.clone();
        Box::pin(async move {
            self.holds
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(of.clone(), offset);
            self.current()?.hold(&of, offset).await
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::engine::WallClock;
    use crate::log::EmbeddedLogSettings;

    #[tokio::test(start_paused = true)]
    async fn a_log_that_closed_itself_is_opened_again_and_readers_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let tries = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&tries);
        let log = ReopeningLog::open(move || {
            // The first try after the failure still finds the disk full.
            if count.fetch_add(1, Ordering::SeqCst) == 1 {
                return Err(PortError::new(PortErrorKind::Full, "no space left"));
            }
            EmbeddedLog::open(&path, EmbeddedLogSettings::default(), Arc::new(WallClock))
        })
        .unwrap();
        let of = TopicPartition {
            topic: Topic::from("t"),
            partition: 0,
        };
        let settings = TopicSettings {
            partitions: 1,
            retention_ms: None,
            retention_bytes: None,
        };
        log.create_topic(&of.topic, settings).await.unwrap();
        log.append(&of, vec![Record::new("k", "1")]).await.unwrap();
        let waiting = {
            let (log, of) = (Arc::clone(&log), of.clone());
            tokio::spawn(async move { log.grown(&of, 1).await })
        };
        tokio::task::yield_now().await;

        // What a failed write does: the log behind it closes.
        log.current().unwrap().close().await.unwrap();
        let failed = log.append(&of, vec![Record::new("k", "x")]).await;
        assert_eq!(failed.unwrap_err().kind, PortErrorKind::Closed);
        // Reading waits for the log to be open again, through the try that fails.
        let limit = ReadLimit {
            records: 10,
            bytes: 1 << 20,
        };
        assert_eq!(log.read(&of, 0, limit).await.unwrap().entries.len(), 1);
        assert_eq!(tries.load(Ordering::SeqCst), 3);
        assert_eq!(log.trouble(), None);
        log.append(&of, vec![Record::new("k", "2")]).await.unwrap();
        waiting.await.unwrap().unwrap();

        log.close().await.unwrap();
        assert_eq!(log.trouble().as_deref(), Some("it was shut down"));
        assert!(log.read(&of, 0, limit).await.is_err());
    }
}
