//! What every request passes: is it from here, are its headers small, does it end in time; and what is counted of it.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::{Problem, ProblemKind};
use super::state::Api;

/// Keeps web pages of others out: without users and keys, a browser on this machine is the one way in from elsewhere.
/// A page of another site sends its `Origin`; one that has its own name point here sends that name as `Host`.
pub(super) async fn local(State(api): State<Api>, request: Request, next: Next) -> Response {
    let hosts = &api.server().hosts;
    let headers = request.headers();
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()),
    };
    let origin = headers
        .get(header::ORIGIN)
        .map(|origin| origin.to_str().unwrap_or(""));
    let refused = if host.is_some_and(|host| !is_local(host, hosts)) {
        Some(format!(
            "this server is not `{}`; `server.hosts` names what it is called besides",
            host.unwrap_or_default()
        ))
    } else if origin.is_some_and(|origin| {
        !origin
            .split_once("://")
            .is_some_and(|(_, host)| is_local(host, hosts))
    }) {
        Some(format!(
            "web pages of `{}` may not call this server; `server.hosts` names those that may",
            origin.unwrap_or_default()
        ))
    } else {
        None
    };
    match refused {
        Some(detail) => Problem::new(ProblemKind::Forbidden, detail).into_response(),
        None => next.run(request).await,
    }
}

/// Whether an authority, `host` or `host:port`, means this machine.
fn is_local(authority: &str, hosts: &[String]) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host),
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
        || hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
}

/// Bounds and counts a request of the REST door; a stream is bounded until it begins.
pub(super) async fn bounded(State(api): State<Api>, request: Request, next: Next) -> Response {
    let response = if header_bytes(request.headers()) > api.limits().header_bytes {
        let detail = format!("headers have at most {} bytes", api.limits().header_bytes);
        Problem::new(ProblemKind::HeadersTooLarge, detail).into_response()
    } else {
        let limit = api.server().request_timeout.duration();
        match tokio::time::timeout(limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => {
                let detail = format!(
                    "the request took longer than {}",
                    api.server().request_timeout
                );
                Problem::new(ProblemKind::Timeout, detail).into_response()
            }
        }
    };
    api.counters().answered(response.status().as_u16());
    response
}

fn header_bytes(headers: &HeaderMap) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}

/// Bounds and counts a call over gRPC; one that answers with a stream is bounded until that begins.
pub(super) async fn called(State(api): State<Api>, request: Request, next: Next) -> Response {
    api.counters().called();
    let limit = api.server().request_timeout;
    let answered = tokio::time::timeout(limit.duration(), next.run(request)).await;
    answered.unwrap_or_else(|_| {
        let text = format!("the call took longer than {limit}");
        tonic::Status::deadline_exceeded(text).into_http()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        let hosts = vec!["tide.example.org".to_owned()];
        for local in [
            "localhost",
            "localhost:7878",
            "127.0.0.1:1",
            "127.9.9.9",
            "[::1]:7878",
            "Tide.Example.org:443",
        ] {
            assert!(is_local(local, &hosts), "{local}");
        }
        for other in [
            "",
            "example.org",
            "example.org:7878",
            "192.168.1.1:7878",
            "localhost.example.org",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!is_local(other, &hosts), "{other}");
        }
    }
}
