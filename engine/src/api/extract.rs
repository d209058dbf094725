//! What handlers take from requests: bodies within bounds, pages, preconditions, ids of requests.

use axum::body::Body;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use serde::de::DeserializeOwned;

use super::problem::{Problem, ProblemKind};

/// Longest key of idempotency.
const KEY_BYTES: usize = 256;

/// Reads a body within a bound.
///
/// # Errors
/// When it is larger, or the connection breaks.
pub(super) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    let too_large = || {
        let detail = format!(
            "a body has at most {limit} bytes; send several requests, or use the gRPC stream"
        );
        Problem::new(ProblemKind::TooLarge, detail)
    };
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    if headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| encoding != "identity")
    {
        return Err(Problem::bad(
            "compressed bodies are not taken: send it without `content-encoding`",
        ));
    }
    let mut chunks = body.into_data_stream();
    let mut taken = BytesMut::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::bad("the body did not arrive whole"))?;
        if taken.len() + chunk.len() > limit {
            return Err(too_large());
        }
        taken.extend_from_slice(&chunk);
    }
    Ok(taken.freeze())
}

/// Reads a body that is text.
///
/// # Errors
/// As [`read_body`], or when it is no UTF-8.
pub(super) async fn read_text(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<String, Problem> {
    let bytes = read_body(headers, body, limit).await?;
    String::from_utf8(bytes.to_vec()).map_err(|_| Problem::bad("the body is not UTF-8"))
}

/// The query of a request, with our own errors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Ask<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Problem::bad(rejection.body_text())),
        }
    }
}

/// A path parameter, with our own errors.
#[derive(Clone, Debug)]
pub(super) struct Place(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Place {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Path::<String>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(place)) => Ok(Self(place)),
            Err(rejection) => Err(Problem::bad(rejection.body_text())),
        }
    }
}

/// Revision that a thing must have: `If-Match: "3"`; `If-None-Match: *` means that it must not exist.
///
/// # Errors
/// When the header is not one of ours.
pub(super) fn expected(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let text = |name| {
        headers
            .get(name)
            .map(|value| value.to_str().unwrap_or("").trim())
    };
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) | (Some("*"), None) => Ok(None),
        (None, Some("*")) => Ok(Some(0)),
        (Some(tag), None) => {
            let number = tag
                .strip_prefix("W/")
                .unwrap_or(tag)
                .trim_matches('"')
                .parse();
            number.map(Some).map_err(|_| {
                Problem::bad(format!(
                    "`If-Match: {tag}` is not an ETag of ours: it is a revision such as `\"3\"`"
                ))
            })
        }
        _ => Err(Problem::bad(
            "of `If-None-Match` only `*` is understood, and not together with `If-Match`",
        )),
    }
}

/// The caller's `Idempotency-Key`.
///
/// # Errors
/// When it is longer than anybody needs.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    match value.to_str() {
        Ok(key) if (1..=KEY_BYTES).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::bad(format!(
            "`Idempotency-Key` is 1 to {KEY_BYTES} printable ASCII characters"
        ))),
    }
}

/// ETag of a revision.
#[must_use]
pub(super) fn etag(revision: u64) -> String {
    format!("\"{revision}\"")
}
