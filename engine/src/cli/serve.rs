//! `serve`: the engine and its doors, until somebody says stop.

use std::sync::Arc;

use super::arguments::EngineArguments;
use super::failure::Failure;
use super::settings;
use crate::api::{self, Api};
use crate::config::Config;
use crate::engine::Engine;
use crate::telemetry;

/// Runs `serve`.
pub(super) async fn run(arguments: &EngineArguments) -> Result<(), Failure> {
    let (config, _) = settings::load(arguments)?;
    telemetry::start(&config.telemetry);
    serve(config, stop_signal()?).await
}

/// Opens the doors first, so that a port that is taken is told before anything is recovered; they answer that the engine
/// is not ready until it is.
async fn serve(
    config: Config,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let listener = api::bind(config.listen).await?;
    let address = listener.local_addr()?;
    let (limits, server) = (config.limits, config.server.clone());
    let running = Engine::start(config).await?;
    let (told, stopping) = tokio::sync::watch::channel(false);
    let doors = Api::new(Arc::new(running.engine.clone()), limits, server, stopping);
    tracing::info!(%address, "tidegate is ready on http://{address}");
    let served = api::serve(listener, doors, async move {
        stop.await;
        tracing::info!("stopping: no new intake");
        // Streams end first, or their clients would hold the port open.
        let _ = told.send(true);
    })
    .await;
    running.stop().await?;
    tracing::info!("stopped");
    served.map_err(Failure::from)
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
