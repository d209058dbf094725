//! Workers that share the shards of one log: each says every second on a topic of its own where its doors are and what runs
//! there; who is asked about a shard that runs elsewhere asks the worker that said so last.
//!
//! It is a hint, never a truth: a worker that is asked about a shard that it does not have says so, and the asker waits for
//! the next word.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use serde::{Deserialize, Serialize};
use tidegate_actors::observe::{Observation, Query};
use tidegate_actors::port::{Clock, EventLog, TopicPartition};
use tidegate_proto::record::{Record, Topic};
use tidegate_proto::time::Timestamp;
use tidegate_proto::wire::worker::v1::LookRequest;
use tidegate_proto::wire::worker::v1::worker_service_client::WorkerServiceClient;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::error::EngineError;
use crate::tail::Tail;

/// How often a worker speaks.
pub(crate) const EVERY: Duration = Duration::from_secs(1);
/// Silence after which a worker is taken for gone.
const GONE: Duration = Duration::from_secs(10);
/// Longest wait for somebody to have a shard: a takeover after a kill.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Most bytes of an answer: a page of twins.
const ANSWER_BYTES: usize = 64 << 20;

/// A shard at its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerShard {
    /// Its number.
    pub shard: u32,
    /// `Ready`, `Recovering` …
    pub phase: String,
    /// Offset of the takeover record under which it runs.
    pub generation: i64,
    /// Newest epoch whose outputs are out.
    pub epoch: u64,
    /// Records of the inbox and the sources read in place that it has not taken yet.
    pub lag: u64,
    /// When its newest snapshot was written.
    pub snapshot: Option<Timestamp>,
    /// How its worker came to have it; `None`: it has not recovered yet.
    #[serde(default)]
    pub takeover: Option<Takeover>,
}

/// How a shard was taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Takeover {
    /// From the first request to the log until it took events again.
    pub millis: u64,
    /// Epochs that were replayed.
    pub epochs: u64,
    /// Their records.
    pub records: u64,
    /// On what a standby had in memory, not on a snapshot.
    pub warm: bool,
}

/// A shard that a worker follows, so that taking it over is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStandby {
    /// Its number.
    pub shard: u32,
    /// Newest epoch that was replayed.
    pub epoch: u64,
    /// How many epochs its owner was ahead by its own last word.
    pub behind: u64,
}

/// A worker as it speaks of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerView {
    /// Its name.
    pub name: String,
    /// Where its doors are: `http://HOST:PORT`.
    pub address: String,
    /// When it said so.
    pub heard: Timestamp,
    /// What runs there.
    pub shards: Vec<WorkerShard>,
    /// What it follows.
    #[serde(default)]
    pub standbys: Vec<WorkerStandby>,
}

#[derive(Debug)]
struct Known {
    view: WorkerView,
    heard: Instant,
}

/// What is known of all workers; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Workers {
    known: Arc<Mutex<BTreeMap<String, Known>>>,
    channels: Arc<Mutex<BTreeMap<String, Channel>>>,
}

impl Workers {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what workers say, for as long as the topic lasts.
    pub async fn follow(self, mut said: Tail) {
        while let Some(entry) = said.next().await {
            match entry {
                Ok(entry) => {
                    let bytes = entry.record.value.as_deref().unwrap_or_default();
                    if let Ok(view) = serde_json::from_slice::<WorkerView>(bytes) {
                        self.take(view);
                    }
                }
                Err(error) => tracing::error!(%error, "what other workers say cannot be read"),
            }
        }
    }

    fn take(&self, view: WorkerView) {
        let mut known = self.known();
        known.retain(|_, known| known.heard.elapsed() < GONE);
        let heard = Instant::now();
        known.insert(view.name.clone(), Known { view, heard });
    }

    /// All that were heard of lately, in byte order of their names.
    #[must_use]
    pub fn all(&self) -> Vec<WorkerView> {
        let known = self.known();
        let all = known.values().filter(|known| known.heard.elapsed() < GONE);
        all.map(|known| known.view.clone()).collect()
    }

    /// Newest epoch of a shard, by its owner's word.
    pub(crate) fn epoch_of(&self, shard: u32) -> Option<u64> {
        let known = self.known();
        let shards = known.values().flat_map(|known| &known.view.shards);
        let own = shards.filter(|own| own.shard == shard);
        own.max_by_key(|own| own.generation).map(|own| own.epoch)
    }

    /// Address of the worker that said last that it has a shard.
    fn owner(&self, shard: u32, not: &str) -> Option<String> {
        let known = self.known();
        let owners = known.values().filter(|known| {
            let has = known.view.shards.iter().any(|own| own.shard == shard);
            has && known.view.name != not && known.heard.elapsed() < GONE
        });
        // The largest generation is the newest takeover.
        let newest = owners.max_by_key(|known| {
            let own = known.view.shards.iter().find(|own| own.shard == shard);
            own.map(|own| own.generation)
        });
        newest.map(|known| known.view.address.clone())
    }

    fn channel(&self, address: &str) -> Result<Channel, EngineError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|error| EngineError::Internal(format!("{address}: {error}")))?
            .connect_timeout(Duration::from_secs(2))
            .timeout(Duration::from_secs(15));
        let channel = endpoint.connect_lazy();
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }

    /// Looks at a shard that runs at another worker; `None` if nobody has it just now.
    ///
    /// # Errors
    /// When its worker answers with an error of its own.
    async fn ask(
        &self,
        shard: u32,
        query: &Query,
        own_name: &str,
    ) -> Result<Option<Observation>, EngineError> {
        let Some(address) = self.owner(shard, own_name) else {
            return Ok(None);
        };
        let broken = |error: postcard::Error| EngineError::Internal(error.to_string());
        let request = LookRequest {
            shard,
            query: postcard::to_stdvec(query).map_err(broken)?,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut client = WorkerServiceClient::new(self.channel(&address)?)
            .max_decoding_message_size(ANSWER_BYTES);
        match client.look(request).await {
            Ok(answer) => postcard::from_bytes(&answer.into_inner().observation)
                .map(Some)
                .map_err(broken),
            Err(status) if matches!(status.code(), Code::FailedPrecondition | Code::Internal) => {
                let text = format!("the worker at {address} says: {}", status.message());
                Err(EngineError::Unavailable(text))
            }
            // It is gone, or does not have it any more.
            Err(status) => {
                tracing::debug!(shard, address, %status, "a worker did not answer");
                Ok(None)
            }
        }
    }

    /// Looks at a shard wherever it runs; `here` looks at this process.
    ///
    /// # Errors
    /// When nobody has it for too long.
    pub async fn look<F>(
        &self,
        shard: u32,
        query: &Query,
        own_name: &str,
        here: impl Fn() -> F,
    ) -> Result<Observation, EngineError>
    where
        F: Future<Output = Result<Option<Observation>, EngineError>>,
    {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = here().await? {
                return Ok(seen);
            }
            if let Some(seen) = self.ask(shard, query, own_name).await? {
                return Ok(seen);
            }
            if tokio::time::Instant::now() >= deadline {
                let text = format!("shard {shard} runs nowhere just now");
                return Err(EngineError::Unavailable(text));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}

/// Says what runs here, every second and once more at the end.
pub(crate) struct Speaker {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) topic: Topic,
    pub(crate) name: String,
    pub(crate) address: String,
}

impl Speaker {
    /// Says what runs here. A word that is lost is said again in a second.
    pub(crate) async fn say(&self, shards: Vec<WorkerShard>, standbys: Vec<WorkerStandby>) {
        let view = WorkerView {
            name: self.name.clone(),
            address: self.address.clone(),
            heard: self.clock.now(),
            shards,
            standbys,
        };
        let body = serde_json::to_vec(&view).unwrap_or_default();
        let to = TopicPartition {
            topic: Topic::clone(&self.topic),
            partition: 0,
        };
        let record = Record::new(self.name.clone().into_bytes(), body);
        let said = tokio::time::timeout(EVERY * 3, self.log.append(&to, vec![record])).await;
        if let Ok(Err(error)) = said {
            tracing::debug!(%error, "others were not told what runs here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(name: &str, shards: &[(u32, i64)]) -> WorkerView {
        let shard = |(shard, generation): &(u32, i64)| WorkerShard {
            shard: *shard,
            generation: *generation,
            ..WorkerShard::default()
        };
        WorkerView {
            name: name.into(),
            address: format!("http://{name}"),
            heard: Timestamp(0),
            shards: shards.iter().map(shard).collect(),
            standbys: Vec::new(),
        }
    }

    #[test]
    fn the_newest_takeover_is_asked() {
        let workers = Workers::default();
        workers.take(worker("a", &[(0, 5), (1, 9)]));
        workers.take(worker("b", &[(1, 12)]));
        assert_eq!(workers.owner(0, "b").as_deref(), Some("http://a"));
        assert_eq!(workers.owner(1, "").as_deref(), Some("http://b"));
        // Whoever asks knows already that it does not have it itself.
        assert_eq!(workers.owner(1, "b").as_deref(), Some("http://a"));
        assert_eq!(workers.owner(2, ""), None);
        workers.take(worker("b", &[]));
        assert_eq!(workers.owner(1, "").as_deref(), Some("http://a"));
        assert_eq!(workers.all().len(), 2);
    }
}
