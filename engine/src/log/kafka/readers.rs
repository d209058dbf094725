//! [`Readers`]: all fetchers, by topic. A read goes on in the stream that stands at its offset; a second reader of a
//! partition somewhere else gets a consumer of its own. What nobody reads any more is closed after a while.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_actors::port::{PortError, PortErrorKind, ReadLimit, Retry, Slice, TopicPartition};
use tidegate_proto::record::{Offset, Partition, Topic};

use super::fetcher::Fetcher;
use super::lookup::Lookup;
use super::settings::KafkaSettings;
use super::stream::{Lease, Stream};

/// How long a stream that nobody reads stays open.
const IDLE: Duration = Duration::from_secs(20);
/// Silence after which it is looked whether the brokers have more.
const LOOK: Duration = Duration::from_secs(10);
/// How often idle ones are looked for.
const SWEEP: Duration = Duration::from_secs(5);
#[derive(Debug)]
struct Reader {
    fetcher: Arc<Fetcher>,
    streams: BTreeMap<Partition, Arc<Stream>>,
}

#[derive(Debug)]
struct Pool {
    readers: BTreeMap<Topic, Vec<Reader>>,
    swept: Instant,
    closed: bool,
}

/// All fetchers.
#[derive(Debug)]
pub(super) struct Readers {
    settings: KafkaSettings,
    lookup: Arc<Lookup>,
    pool: Mutex<Pool>,
    /// One at a time looks for a free reader, or all partitions of a topic would get one each.
    opening: tokio::sync::Mutex<()>,
}

impl Readers {
    pub(super) fn new(settings: KafkaSettings, lookup: Arc<Lookup>) -> Self {
        Self {
            settings,
            lookup,
            pool: Mutex::new(Pool {
                readers: BTreeMap::new(),
                swept: Instant::now(),
                closed: false,
            }),
            opening: tokio::sync::Mutex::new(()),
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads from an offset on.
    pub(super) async fn read(
        &self,
        from: &TopicPartition,
        offset: Offset,
        limit: ReadLimit,
    ) -> Result<Slice, PortError> {
        // The second time with another reader: the first may have been given up by somebody who noticed earlier.
        for _ in 0..2 {
            let (fetcher, lease) = self.stream(from, offset).await?;
            match lease.take(limit).await {
                Ok(slice) => return Ok(slice),
                Err(error) if error.retry() == Retry::Backoff => {
                    self.give_up(&from.topic, &fetcher);
                }
                Err(error) => return Err(error),
            }
        }
        let text = format!("reading {from}: the brokers do not answer");
        Err(PortError::new(PortErrorKind::Unavailable, text))
    }

    /// Waits until there is a record at `offset` or behind it.
    pub(super) async fn grown(&self, of: &TopicPartition, offset: Offset) -> Result<(), PortError> {
        let (fetcher, lease) = self.stream(of, offset).await?;
        let mut behind = None;
        loop {
            match tokio::time::timeout(LOOK, lease.grown()).await {
                // Its reader was given up: who reads now gets another one and sees for itself.
                Ok(Err(error)) if error.retry() == Retry::Backoff => return Ok(()),
                Ok(grown) => return grown,
                Err(_) => {}
            }
            // After a broker was fenced for a moment librdkafka can miss that the leader is back, and says nothing.
            let Ok(bounds) = self.lookup.bounds(of).await else {
                continue;
            };
            let known = lease.known_end();
            if bounds.end > known && behind == Some(known) {
                self.give_up(&of.topic, &fetcher);
                return Ok(());
            }
            behind = (bounds.end > known).then_some(known);
        }
    }

    /// Uses a reader that does not get on no longer; whoever reads with it begins anew with another one.
    fn give_up(&self, topic: &Topic, fetcher: &Arc<Fetcher>) {
        let mut pool = self.pool();
        let Some(readers) = pool.readers.get_mut(topic) else {
            return;
        };
        let place = readers
            .iter()
            .position(|reader| Arc::ptr_eq(&reader.fetcher, fetcher));
        let Some(place) = place else {
            return;
        };
        let gone = readers.swap_remove(place);
        drop(pool);
        tracing::warn!(%topic, "a reader does not get on; another one takes its place");
        for (partition, stream) in &gone.streams {
            let text = format!("reading {topic}/{partition}: its reader was given up");
            stream.fail(PortError::new(PortErrorKind::Unavailable, text));
        }
        close_all(vec![gone]);
    }

    /// The stream that stands at an offset, or a new one.
    async fn stream(
        &self,
        of: &TopicPartition,
        offset: Offset,
    ) -> Result<(Arc<Fetcher>, Lease), PortError> {
        if let Some(known) = self.known(of, offset)? {
            return Ok(known);
        }
        // librdkafka would skip to another offset or say nothing; we want to know.
        let bounds = self.lookup.bounds(of).await?;
        if offset < bounds.start || offset > bounds.end {
            let message = format!(
                "{of} at offset {offset}: the log holds {} to {}",
                bounds.start, bounds.end
            );
            return Err(PortError::new(PortErrorKind::OutOfRange, message));
        }
        let lease = Stream::begin(of.clone(), offset, bounds.end);
        let _turn = self.opening.lock().await;
        let fetcher = self.free(of)?;
        fetcher.open(of.partition, offset, lease.stream());
        let mut pool = self.pool();
        let readers = pool.readers.entry(Topic::clone(&of.topic)).or_default();
        let reader = readers
            .iter_mut()
            .find(|reader| Arc::ptr_eq(&reader.fetcher, &fetcher));
        match reader {
            Some(reader) => {
                reader.streams.insert(of.partition, lease.stream());
            }
            None => readers.push(Reader {
                fetcher: Arc::clone(&fetcher),
                streams: BTreeMap::from([(of.partition, lease.stream())]),
            }),
        }
        Ok((fetcher, lease))
    }

    fn known(
        &self,
        of: &TopicPartition,
        offset: Offset,
    ) -> Result<Option<(Arc<Fetcher>, Lease)>, PortError> {
        let mut pool = self.pool();
        if pool.closed {
            return Err(PortError::new(
                PortErrorKind::Closed,
                "the log was shut down",
            ));
        }
        let gone = pool.sweep();
        let known = pool.readers.get(&of.topic).and_then(|readers| {
            readers.iter().find_map(|reader| {
                let lease = reader.streams.get(&of.partition)?.lease(offset)?;
                Some((Arc::clone(&reader.fetcher), lease))
            })
        });
        drop(pool);
        close_all(gone);
        Ok(known)
    }

    /// A reader that has no stream of the partition: one that is there, or a new one.
    fn free(&self, of: &TopicPartition) -> Result<Arc<Fetcher>, PortError> {
        let mut pool = self.pool();
        let readers = pool.readers.entry(Topic::clone(&of.topic)).or_default();
        for reader in readers.iter_mut() {
            let closes = reader
                .streams
                .get(&of.partition)
                .is_some_and(|stream| stream.close_if_idle(IDLE));
            if closes {
                reader.streams.remove(&of.partition);
                reader.fetcher.close(of.partition);
            }
            if !reader.streams.contains_key(&of.partition) {
                return Ok(Arc::clone(&reader.fetcher));
            }
        }
        drop(pool);
        Fetcher::start(&of.topic, &self.settings).map(Arc::new)
    }

    /// Closes everything; reads that wait are told so.
    pub(super) fn close(&self) {
        let mut pool = self.pool();
        pool.closed = true;
        let all = std::mem::take(&mut pool.readers);
        drop(pool);
        close_all(all.into_values().flatten().collect());
    }
}

/// Consumers take a moment to close: not while others wait for the pool.
fn close_all(readers: Vec<Reader>) {
    if readers.is_empty() {
        return;
    }
    let close = move || drop(readers);
    if let Err(error) = std::thread::Builder::new()
        .name("close readers".to_owned())
        .spawn(close)
    {
        tracing::warn!(%error, "readers could not be closed in the background");
    }
}

impl Pool {
    /// Closes idle streams; answers with the readers beyond the first of each topic that have none left.
    fn sweep(&mut self) -> Vec<Reader> {
        let mut gone = Vec::new();
        if self.swept.elapsed() < SWEEP {
            return gone;
        }
        self.swept = Instant::now();
        for readers in self.readers.values_mut() {
            for reader in readers.iter_mut() {
                reader.streams.retain(|partition, stream| {
                    let closes = stream.close_if_idle(IDLE);
                    if closes {
                        reader.fetcher.close(*partition);
                    }
                    !closes
                });
            }
            let (busy, idle) = std::mem::take(readers)
                .into_iter()
                .partition::<Vec<_>, _>(|reader| !reader.streams.is_empty());
            *readers = busy;
            gone.extend(idle);
        }
        gone
    }
}
