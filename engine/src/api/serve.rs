//! The port: binding it, bounds on connections and on what each may hold open, and an end that lets open requests finish.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use super::state::Api;
use crate::config::ServerConfig;
use crate::error::EngineError;

/// What an HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Pause after the machine refused a connection: it has no files or memory left.
const PAUSE: Duration = Duration::from_secs(1);

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
pub async fn serve(listener: TcpListener, api: Api, stop: impl Future<Output = ()>) {
    let open = accept(&listener, super::router(&api), api.server(), stop).await;
    drop(listener);
    open.drain(api.server().drain_timeout.duration()).await;
}

/// Says that the process lives and is not ready, as long as the engine is still coming up: until `started` resolves.
pub async fn serve_starting(
    listener: &TcpListener,
    settings: &ServerConfig,
    started: impl Future<Output = ()>,
) {
    let open = accept(listener, super::starting(), settings, started).await;
    // Whoever is still there must not keep the engine from opening.
    tokio::spawn(open.drain(settings.drain_timeout.duration()));
}

/// Takes connections until `stop` resolves.
async fn accept(
    listener: &TcpListener,
    router: Router,
    settings: &ServerConfig,
    stop: impl Future<Output = ()>,
) -> Open {
    let places = Arc::new(Semaphore::new(settings.connections));
    let doors = Doors {
        router,
        protocol: Arc::new(protocol(settings)),
        opening: settings.header_timeout.duration(),
    };
    let (tell, hear) = watch::channel(false);
    let mut open = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            (place, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    open.spawn(doors.clone().connection(stream, place, hear.clone()));
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be taken; trying again");
                    sleep(PAUSE).await;
                }
            },
        }
        while open.try_join_next().is_some() {}
    }
    Open {
        connections: open,
        tell,
    }
}

/// Connections that were open when no more were taken.
struct Open {
    connections: JoinSet<()>,
    tell: watch::Sender<bool>,
}

impl Open {
    /// Lets requests that are under way finish.
    async fn drain(mut self, longest: Duration) {
        // Nobody may be connected any more, which is as good.
        let _ = self.tell.send(true);
        let finished = async { while self.connections.join_next().await.is_some() {} };
        if tokio::time::timeout(longest, finished).await.is_err() {
            tracing::warn!("requests were still open when the time to drain was over");
        }
    }
}

/// The other side went before it was taken.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

/// What every connection may do.
fn protocol(server: &ServerConfig) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(server.header_timeout.duration())
        .max_buf_size(server.http1_buffer_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(server.http2_streams)
        .max_header_list_size(server.http2_header_bytes)
        .max_pending_accept_reset_streams(server.http2_resets)
        .keep_alive_interval(server.http2_ping.duration())
        .keep_alive_timeout(server.http2_ping.duration());
    builder
}

/// What a connection needs.
#[derive(Clone)]
struct Doors {
    router: Router,
    protocol: Arc<Builder<TokioExecutor>>,
    opening: Duration,
}

impl Doors {
    async fn connection(
        self,
        stream: TcpStream,
        place: Option<OwnedSemaphorePermit>,
        mut stopping: watch::Receiver<bool>,
    ) {
        // Answers are small and wanted at once; without it they only come later.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            stream,
            opening: Some((Box::pin(sleep(self.opening)), PREFACE)),
            _place: place,
        };
        let service = TowerToHyperService::new(self.router);
        let io = TokioIo::new(connection);
        let mut serving = pin!(self.protocol.serve_connection_with_upgrades(io, service));
        let stop = async move {
            // Whoever could tell is gone only when everything is.
            let _ = stopping.wait_for(|stop| *stop).await;
        };
        let mut stop = pin!(stop);
        let mut told = false;
        loop {
            tokio::select! {
                served = serving.as_mut() => {
                    if let Err(error) = served {
                        tracing::debug!(error, "a connection ended badly");
                    }
                    return;
                }
                () = stop.as_mut(), if !told => {
                    told = true;
                    serving.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// A connection with its place. It must say in time what it speaks: the protocols' own limits come only then.
struct Connection {
    stream: TcpStream,
    /// How long it may take, and what has not come yet of what HTTP/2 begins with; anything else is HTTP/1.
    opening: Option<(Pin<Box<Sleep>>, &'static [u8])>,
    _place: Option<OwnedSemaphorePermit>,
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let Some((sleep, left)) = &mut this.opening else {
            return read;
        };
        let said = buffer.filled().get(before..).unwrap_or_default();
        if read.is_pending() {
            if sleep.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        } else {
            match left.strip_prefix(said) {
                Some(more) if !said.is_empty() && !more.is_empty() => *left = more,
                _ => this.opening = None,
            }
        }
        read
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
