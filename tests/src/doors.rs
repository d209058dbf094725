//! The real program behind its doors with other limits than it has by default, and a client of HTTP/2 that shows all of an
//! answer and sends any body.

use std::net::SocketAddr;
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use tokio::net::TcpStream;

use crate::process::{Process, client};

/// A running program whose log lines are kept.
#[derive(Debug)]
pub struct Door {
    process: Process,
    folder: tempfile::TempDir,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Door {
    /// Starts the program with settings, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn open(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file can be made");
        let data = folder.path().join("data");
        let mut process = Process::start_saying(&data, settings, Stdio::from(log));
        // The client goes with its connections, which count.
        process.ready(&client()).await;
        let address = process.url.trim_start_matches("http://");
        let address = address.parse().expect("a process has an address");
        Self {
            process,
            folder,
            address,
        }
    }

    /// Stops the program; it must still be there, and must not have panicked anywhere.
    ///
    /// # Panics
    /// When it has.
    pub async fn close(self) {
        let Self {
            process, folder, ..
        } = self;
        let ended = tokio::task::spawn_blocking(move || process.stop()).await;
        assert!(ended.expect("it can be waited for").success());
        let said = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// A message over gRPC as it goes through the wire.
pub fn grpc_message(body: &[u8]) -> Bytes {
    let mut message = BytesMut::from(&[0_u8][..]);
    let length = u32::try_from(body.len()).expect("a message is short");
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    message.freeze()
}

/// What came of a call.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// Of HTTP.
    pub status: Option<u16>,
    /// Of gRPC, in the headers or behind the body.
    pub grpc_status: Option<String>,
    /// Whether the stream was ended by an error of HTTP/2.
    pub was_reset: bool,
}

impl Answer {
    /// Waits for the beginning of an answer.
    pub async fn beginning(response: ResponseFuture) -> Self {
        Self::begun(response).await.0
    }

    async fn begun(response: ResponseFuture) -> (Self, Option<RecvStream>) {
        let mut answer = Self::default();
        match response.await {
            Ok(response) => {
                answer.status = Some(response.status().as_u16());
                answer.grpc_status = grpc_status(response.headers());
                (answer, Some(response.into_body()))
            }
            Err(_) => {
                answer.was_reset = true;
                (answer, None)
            }
        }
    }

    /// Waits for the end of an answer.
    pub async fn of(response: ResponseFuture) -> Self {
        let (mut answer, body) = Self::begun(response).await;
        let Some(mut body) = body else {
            return answer;
        };
        while let Some(data) = body.data().await {
            let Ok(data) = data else {
                answer.was_reset = true;
                return answer;
            };
            // What is read makes room; a stream that is gone needs none.
            let _ = body.flow_control().release_capacity(data.len());
        }
        match body.trailers().await {
            Ok(trailers) => {
                let behind = trailers.as_ref().and_then(grpc_status);
                answer.grpc_status = behind.or(answer.grpc_status);
            }
            Err(_) => answer.was_reset = true,
        }
        answer
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<String> {
    let status = headers.get("grpc-status")?;
    status.to_str().ok().map(str::to_owned)
}

/// A connection of HTTP/2.
#[derive(Debug)]
pub struct Calls {
    sender: SendRequest<Bytes>,
}

impl Calls {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (sender, connection) = h2::client::handshake(stream)
            .await
            .expect("it speaks HTTP/2");
        // How it ends is seen by the calls.
        tokio::spawn(async move { drop(connection.await) });
        Self { sender }
    }

    /// Begins a call over gRPC; its body is still to be sent.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn begin(
        &mut self,
        path: &str,
        more: &[(&str, &str)],
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut request = Request::post(format!("http://127.0.0.1{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request can be made");
        let mut sender = self.sender.clone().ready().await.expect("it lives");
        sender.send_request(request, false).expect("it lives")
    }

    /// Calls with a body as it is.
    pub async fn call(&mut self, path: &str, more: &[(&str, &str)], body: &[u8]) -> ResponseFuture {
        let (response, mut sending) = self.begin(path, more).await;
        // Whoever has answered already does not take it.
        let _ = sending.send_data(Bytes::copy_from_slice(body), true);
        response
    }

    /// Asks for a page.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn get(&mut self, path: &str) -> Answer {
        let request = Request::get(format!("http://127.0.0.1{path}")).body(());
        let request = request.expect("a request can be made");
        let mut sender = self.sender.clone().ready().await.expect("it lives");
        let (response, _) = sender.send_request(request, true).expect("it lives");
        Answer::of(response).await
    }
}
