//! The shards of this process: one actix actor each, spread over arbiters (threads). They come and go as the log says what
//! is ours. The only file here that knows actix; everything else of the engine runs on tokio.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use actix::prelude::*;
use tidegate_actors::host::{Abandon, AskHealth, Drain, Health, Look, ShardActor, TakeOver};
use tidegate_actors::observe::{Observation, Query};

use crate::error::EngineError;

/// Longest wait for a shard that recovers.
const PATIENCE: Duration = Duration::from_secs(10);

type Make = Arc<dyn Fn(u32) -> ShardActor + Send + Sync>;

/// The running shards.
pub struct Shards {
    running: Mutex<BTreeMap<u32, Addr<ShardActor>>>,
    /// Shards of others that are followed.
    following: Mutex<BTreeMap<u32, Addr<ShardActor>>>,
    arbiters: Vec<ArbiterHandle>,
    /// Where what is followed runs: catching up takes no time of shards that are ours.
    aside: Vec<ArbiterHandle>,
    make: Make,
    system: System,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shards")
            .field("running", &self.owned())
            .finish_non_exhaustive()
    }
}

impl Shards {
    /// Starts `threads` arbiters without a shard, and `aside` more for shards that are only followed; `make` builds the actor of a shard on its own thread.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn start(
        threads: usize,
        aside: usize,
        make: impl Fn(u32) -> ShardActor + Send + Sync + 'static,
    ) -> Result<Self, EngineError> {
        let (sender, receiver) = sync_channel(1);
        let body = move || {
            let runner = System::new();
            let arbiters: Vec<ArbiterHandle> = runner.block_on(async move {
                let arbiters = (0..threads.max(1) + aside).map(|_| Arbiter::new().handle());
                arbiters.collect()
            });
            // Nobody to tell any more means that the start was given up.
            if sender.send((System::current(), arbiters)).is_ok()
                && let Err(error) = runner.run()
            {
                tracing::error!(%error, "the actor system did not end well");
            }
        };
        let failed =
            |what: String| EngineError::Internal(format!("cannot start the shards: {what}"));
        let thread = std::thread::Builder::new()
            .name("shards".to_owned())
            .spawn(body)
            .map_err(|error| failed(error.to_string()))?;
        let (system, mut arbiters) = receiver.recv().map_err(|error| failed(error.to_string()))?;
        let aside = arbiters.split_off(threads.max(1).min(arbiters.len()));
        Ok(Self {
            running: Mutex::new(BTreeMap::new()),
            following: Mutex::new(BTreeMap::new()),
            arbiters,
            aside,
            make: Arc::new(make),
            system,
            thread: Mutex::new(Some(thread)),
        })
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<u32, Addr<ShardActor>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn following(&self) -> MutexGuard<'_, BTreeMap<u32, Addr<ShardActor>>> {
        self.following
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn address(&self, shard: u32) -> Option<Addr<ShardActor>> {
        self.running().get(&shard).cloned()
    }

    /// Shards that run here.
    pub fn owned(&self) -> Vec<u32> {
        self.running().keys().copied().collect()
    }

    /// Whether a shard runs here.
    pub fn runs(&self, shard: u32) -> bool {
        self.running().contains_key(&shard)
    }

    /// Starts a shard; it takes itself over, on what was followed of it, if anything was. One that runs already goes on.
    pub fn begin(&self, shard: u32) {
        let mut running = self.running();
        if running.contains_key(&shard) {
            return;
        }
        // One that has ended, or does not take the message, followed in vain.
        let followed = self.following().remove(&shard);
        let told = followed.filter(|address| address.try_send(TakeOver).is_ok());
        if let Some(address) = told {
            running.insert(shard, address);
            return;
        }
        let on = self
            .arbiters
            .get(shard as usize % self.arbiters.len().max(1));
        if let Some(arbiter) = on {
            let make = Arc::clone(&self.make);
            let address = ShardActor::start_in_arbiter(arbiter, move |_| make(shard));
            running.insert(shard, address);
        }
    }

    /// Follows these shards of others and no more, as far as they do not run here.
    pub fn follow(&self, shards: &BTreeSet<u32>) {
        let running = self.running();
        let mut following = self.following();
        following.retain(|shard, address| {
            let stays = shards.contains(shard) && address.connected();
            if !stays {
                // Whoever has ended needs not be told.
                let _ = address.try_send(Abandon);
            }
            stays
        });
        for shard in shards {
            let on = self.aside.get(*shard as usize % self.aside.len().max(1));
            let Some(arbiter) = on.filter(|_| !running.contains_key(shard)) else {
                continue;
            };
            following.entry(*shard).or_insert_with(|| {
                let (make, shard) = (Arc::clone(&self.make), *shard);
                ShardActor::start_in_arbiter(arbiter, move |_| make(shard).following())
            });
        }
    }

    /// How far everything that is followed is.
    pub async fn followed(&self) -> Vec<(u32, Health)> {
        let all: Vec<_> = {
            let following = self.following();
            let all = following.iter();
            all.map(|(shard, address)| (*shard, address.clone()))
                .collect()
        };
        let asked = all.into_iter().map(|(shard, address)| async move {
            let health = address.send(AskHealth).await.ok()?;
            Some((shard, health))
        });
        let asked = futures::future::join_all(asked).await;
        asked.into_iter().flatten().collect()
    }

    /// Lets shards finish (no more intake, epoch finished, snapshot) and forgets them.
    pub async fn end(&self, shards: &[u32]) {
        let going: Vec<_> = {
            let mut running = self.running();
            let going = shards.iter().filter_map(|shard| running.remove(shard));
            going.collect()
        };
        // Whoever is gone already has finished.
        let drained = going.iter().map(|address| address.send(Drain));
        futures::future::join_all(drained).await;
    }

    /// Stops shards at once: they may be somebody else's.
    pub async fn abandon(&self, shards: &[u32]) {
        let going: Vec<_> = {
            let mut running = self.running();
            let going = shards.iter().filter_map(|shard| running.remove(shard));
            going.collect()
        };
        let stopped = going.iter().map(|address| address.send(Abandon));
        futures::future::join_all(stopped).await;
    }

    /// Looks at a shard as of its newest acknowledged epoch; `None`: it does not run here.
    ///
    /// # Errors
    /// When the shard is recovering for too long.
    pub async fn look(&self, shard: u32, query: Query) -> Result<Option<Observation>, EngineError> {
        let Some(address) = self.address(shard) else {
            return Ok(None);
        };
        match tokio::time::timeout(PATIENCE, address.send(Look(query))).await {
            Ok(Ok(Some(observation))) => Ok(Some(observation)),
            Ok(_) => stopped(shard, &address).await.map_or(Ok(None), Err),
            Err(_) => Err(EngineError::Unavailable(format!(
                "shard {shard} is still recovering"
            ))),
        }
    }

    /// How every shard that runs here is doing; `None`: gone.
    pub async fn health(&self) -> Vec<(u32, Option<Health>)> {
        let all: Vec<_> = {
            let running = self.running();
            let all = running.iter();
            all.map(|(shard, address)| (*shard, address.clone()))
                .collect()
        };
        let asked = all
            .into_iter()
            .map(|(shard, address)| async move { (shard, address.send(AskHealth).await.ok()) });
        futures::future::join_all(asked).await
    }

    /// Lets every shard finish and stops the threads.
    pub async fn drain(&self) {
        self.end(&self.owned()).await;
        self.system.stop();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("a shard thread did not end well");
            }
        }
    }
}

/// Why a shard did not answer; `None`: it has stopped, somebody else may have it.
async fn stopped(shard: u32, address: &Addr<ShardActor>) -> Option<EngineError> {
    let Health { phase, why, .. } = address.send(AskHealth).await.ok()?;
    let why = why.unwrap_or_default();
    let text = format!("shard {shard}: {phase:?}: {why}");
    Some(EngineError::Unavailable(text))
}
