//! The shards of this process: one actix actor each, spread over arbiters (threads). The only file here that knows
//! actix; everything else of the engine runs on tokio.

use std::sync::mpsc::sync_channel;
use std::thread::JoinHandle;

use actix::prelude::*;
use tidegate_actors::host::{AskHealth, Drain, Health, Look, ShardActor};
use tidegate_actors::observe::{Observation, Query};

use crate::error::EngineError;

/// The running shards.
#[derive(Debug)]
pub struct Shards {
    addresses: Vec<Addr<ShardActor>>,
    system: System,
    thread: std::sync::Mutex<Option<JoinHandle<()>>>,
}

impl Shards {
    /// Starts `count` shards on `threads` arbiters; `make` builds the actor of a shard on its own thread.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn start(
        count: u32,
        threads: usize,
        make: impl Fn(u32) -> ShardActor + Clone + Send + 'static,
    ) -> Result<Self, EngineError> {
        let (sender, receiver) = sync_channel(1);
        let body = move || {
            let runner = System::new();
            let addresses = runner.block_on(async move {
                let arbiters: Vec<Arbiter> = (0..threads.max(1)).map(|_| Arbiter::new()).collect();
                let on = (0..count).zip(arbiters.iter().cycle());
                on.map(|(shard, arbiter)| {
                    let make = make.clone();
                    ShardActor::start_in_arbiter(&arbiter.handle(), move |_| make(shard))
                })
                .collect::<Vec<_>>()
            });
            // Nobody to tell any more means that the start was given up.
            if sender.send((System::current(), addresses)).is_ok()
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
        let (system, addresses) = receiver.recv().map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            addresses,
            system,
            thread: std::sync::Mutex::new(Some(thread)),
        })
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.addresses.len()).unwrap_or(u32::MAX)
    }

    /// Looks at a shard as of its newest acknowledged epoch.
    ///
    /// # Errors
    /// When the shard is gone or recovering for too long.
    pub async fn look(&self, shard: u32, query: Query) -> Result<Observation, EngineError> {
        let gone = || EngineError::Unavailable(format!("shard {shard} is not running"));
        let address = self.addresses.get(shard as usize).ok_or_else(gone)?;
        let look = address.send(Look(query));
        match tokio::time::timeout(std::time::Duration::from_secs(10), look).await {
            Ok(Ok(Some(observation))) => Ok(observation),
            Ok(_) => Err(self.stopped(shard, address).await),
            Err(_) => Err(EngineError::Unavailable(format!(
                "shard {shard} is still recovering"
            ))),
        }
    }

    async fn stopped(&self, shard: u32, address: &Addr<ShardActor>) -> EngineError {
        let why = match address.send(AskHealth).await {
            Ok(Health { phase, why, .. }) => {
                format!("shard {shard}: {phase:?}: {}", why.unwrap_or_default())
            }
            Err(_) => format!("shard {shard} is not running"),
        };
        EngineError::Unavailable(why)
    }

    /// How every shard is doing; `None`: gone.
    pub async fn health(&self) -> Vec<Option<Health>> {
        let asked = self.addresses.iter().map(|address| address.send(AskHealth));
        futures::future::join_all(asked)
            .await
            .into_iter()
            .map(Result::ok)
            .collect()
    }

    /// Drains every shard (no more intake, epoch finished, snapshot) and stops the threads.
    pub async fn drain(&self) {
        let drained = self.addresses.iter().map(|address| address.send(Drain));
        futures::future::join_all(drained).await;
        self.system.stop();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let joined = tokio::task::spawn_blocking(move || thread.join()).await;
            if !matches!(joined, Ok(Ok(()))) {
                tracing::error!("a shard thread did not end well");
            }
        }
    }
}
