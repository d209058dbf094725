//! `serve`: the engine and its doors, until somebody says stop.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::arguments::EngineArguments;
use super::failure::Failure;
use super::settings;
use crate::api::{self, Api};
use crate::config::{Config, ServerConfig};
use crate::engine::{Engine, Running};
use crate::error::EngineError;
use crate::telemetry;

/// How often the shards are asked whether they have recovered.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long nothing is said of a recovery that takes its time.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `serve`.
pub(super) async fn run(arguments: &EngineArguments) -> Result<(), Failure> {
    let (config, _) = settings::load(arguments)?;
    telemetry::start(&config.telemetry);
    serve(config, stop_signal()?).await
}

/// Opens the doors first, so that a port that is taken is told before anything is recovered; they answer that the engine
/// is not ready until it is.
async fn serve(config: Config, stop: impl Future<Output = ()>) -> Result<(), Failure> {
    let listener = api::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let (limits, server) = (config.limits, config.server.clone());
    // Other workers are told where the doors really are.
    let config = Config {
        listen: address,
        ..config
    };
    let mut stop = pin!(stop);
    let starting = start(config, &listener, &server);
    let running = tokio::select! {
        running = starting => running?,
        () = &mut stop => {
            tracing::info!("stopped before anything was started");
            return Ok(());
        }
    };
    let (told, stopping) = tokio::sync::watch::channel(false);
    let doors = Api::new(Arc::new(running.engine.clone()), limits, server, stopping);
    tracing::info!(%address, "listening");
    let announcing = tokio::spawn(announce(running.engine.clone(), address));
    api::serve(listener, doors, async move {
        stop.await;
        tracing::info!("stopping: no new intake");
        // Streams end first, or their clients would hold the port open.
        let _ = told.send(true);
    })
    .await;
    announcing.abort();
    running.stop().await?;
    tracing::info!("stopped");
    Ok(())
}

/// Starts the engine, which may have to wait for brokers; whoever asks meanwhile is told so.
async fn start(
    config: Config,
    listener: &TcpListener,
    server: &ServerConfig,
) -> Result<Running, EngineError> {
    let (tell, hear) = tokio::sync::oneshot::channel::<()>();
    let starting = async move {
        let running = Engine::start(config).await;
        drop(tell);
        running
    };
    let doors = api::serve_starting(listener, server, async move {
        // An end without a word is as good as one.
        let _ = hear.await;
    });
    tokio::join!(starting, doors).0
}

/// Says that the engine is ready once all shards have recovered, and now and then why it is not yet.
async fn announce(engine: Engine, address: SocketAddr) {
    let began = Instant::now();
    let mut told = began;
    loop {
        let trouble = engine.trouble().await;
        if trouble.is_empty() {
            let took_ms = began.elapsed().as_millis();
            tracing::info!(%address, took_ms, "tidegate is ready on http://{address}");
            return;
        }
        if told.elapsed() >= PATIENCE {
            told = Instant::now();
            tracing::warn!(trouble = trouble.join("; "), "not ready yet");
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Resolves on SIGTERM or Ctrl-C.
fn stop_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
