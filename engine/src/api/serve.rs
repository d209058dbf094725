//! The port: binding it, a bound on connections, and an end that lets open requests finish.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::state::Api;
use crate::error::EngineError;

/// Binds the port.
///
/// # Errors
/// When it is taken, or not loopback: this version has no users and keys.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, EngineError> {
    if !address.ip().is_loopback() {
        return Err(EngineError::Invalid(format!(
            "`{address}` can be reached from other machines, and this version has no users and keys to keep them out"
        )));
    }
    TcpListener::bind(address).await.map_err(|error| {
        EngineError::Invalid(format!(
            "cannot listen on `{address}`: {error}; `--listen HOST:PORT` takes another port"
        ))
    })
}

/// Serves all doors until `stop` resolves, then lets open requests finish for the time that the settings give.
///
/// # Errors
/// When the port breaks.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let drain = Duration::from_millis(u64::try_from(api.server().drain_timeout.0).unwrap_or(0));
    let listener = Bounded {
        places: Arc::new(Semaphore::new(api.server().connections)),
        listener,
    };
    let (told, mut hear) = tokio::sync::watch::channel(false);
    let router = super::router(&api);
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move {
        stop.await;
        // Nobody may be waiting any more, which is as good.
        let _ = told.send(true);
    });
    let deadline = async move {
        let _ = hear.wait_for(|stop| *stop).await;
        tokio::time::sleep(drain).await;
    };
    tokio::select! {
        done = serving.into_future() => done,
        () = deadline => {
            tracing::warn!("requests were still open when the time to drain was over");
            Ok(())
        }
    }
}

/// A listener that holds further connections back while all places are taken.
struct Bounded {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Listener for Bounded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are small and wanted at once; without it they only come later.
        let _ = stream.set_nodelay(true);
        (
            Connection {
                stream,
                _place: place,
            },
            address,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection with its place.
struct Connection {
    stream: TcpStream,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
