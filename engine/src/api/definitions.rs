//! What doors for definitions (rules, sources, resources, types) have in common: how one is shown, put in force, and changed by a
//! command without a body.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidegate_actors::command::{Command, Request};

use super::documents::{Change, outcome_of};
use super::extract::{etag, expected, idempotency_key};
use super::problem::Problem;
use super::state::Api;
use crate::answers::Answer;

/// One definition, its revision as a tag.
pub(super) fn shown(revision: u64, body: Value) -> Response {
    ([(header::ETAG, etag(revision))], Json(body)).into_response()
}

/// The answer to whoever put a definition in force: `before` is its revision until then, 0 for none; some tell their parts.
pub(super) fn in_force(
    (field, name): (&str, &str),
    before: u64,
    answer: &Answer,
    parts: Option<&[String]>,
) -> Response {
    let change = outcome_of(before, answer.revision);
    let status = if change == Change::Created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut body = json!({ field: name, "revision": answer.revision, "outcome": change.word() });
    if let (Some(body), Some(parts)) = (body.as_object_mut(), parts) {
        body.insert("parts".to_owned(), parts.into());
    }
    let tag = [(header::ETAG, etag(answer.revision))];
    (status, tag, Json(body)).into_response()
}

/// Carries out a command about a definition, which is made from the revision that the caller expects; `word` says what became of it.
pub(super) async fn command(
    api: &Api,
    headers: &HeaderMap,
    (field, name): (&str, &str),
    word: &str,
    make: impl FnOnce(String, Option<u64>) -> Command,
) -> Result<Json<Value>, Problem> {
    let expected = expected(headers)?;
    let request = Request {
        request: api.request_id(idempotency_key(headers)?.as_deref()),
        command: make(name.to_owned(), expected),
    };
    let answer = api.backend().request(request).await?;
    Ok(Json(
        json!({ field: name, "revision": answer.revision, "outcome": word }),
    ))
}
