//! A small HTTP server on loopback that answers by a script and tells what it got.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method, Uri};
use tokio::task::JoinSet;

/// One request that arrived.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// One answer of the script.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Status, headers, body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Nothing ever comes.
    Silence,
}

pub(super) fn status(code: u16) -> Reply {
    Reply::Status(code, Vec::new(), String::new())
}

#[derive(Clone, Default)]
struct Shared {
    script: Arc<Mutex<VecDeque<Reply>>>,
    requests: Arc<Mutex<Vec<Request>>>,
}

pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    shared: Shared,
    _server: JoinSet<()>,
}

impl Receiver {
    /// Answers by the script, then 204.
    pub(super) async fn start(script: Vec<Reply>) -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared::default();
        shared.script.lock().unwrap().extend(script);
        let router = Router::new().fallback(answer).with_state(shared.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            _server: server,
        }
    }

    pub(super) fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/hook?token=t0k3n", self.address.port())
    }

    pub(super) fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

async fn answer(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = Request {
        method,
        path: uri.to_string(),
        headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    shared.requests.lock().unwrap().push(request);
    let reply = shared.script.lock().unwrap().pop_front();
    match reply.unwrap_or_else(|| status(204)) {
        Reply::Silence => std::future::pending().await,
        Reply::Status(code, headers, body) => {
            let mut response = Response::builder().status(code);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            response.body(Body::from(body)).unwrap()
        }
    }
}
