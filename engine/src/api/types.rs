//! `/v1/types`: resource types as they are defined. They are brought in force with `/v1/apply`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tidegate_actors::command::{Command, Request};

use super::extract::{Ask, Place, etag, expected, idempotency_key};
use super::page::{Wanted, page};
use super::problem::Problem;
use super::state::Api;
use super::view;

/// Resource types in byte order of their names.
pub(super) async fn list(
    State(api): State<Api>,
    uri: Uri,
    Ask(wanted): Ask<Wanted>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let size = wanted.size(api.limits().page)?;
    let mut found = api.backend().types().await?;
    if let Some(after) = &wanted.after {
        found.retain(|one| one.name > *after);
    }
    Ok(page(
        found,
        size,
        &uri,
        |one| one.name.clone(),
        view::resource_type,
    ))
}

/// One resource type.
pub(super) async fn get(State(api): State<Api>, Place(name): Place) -> Result<Response, Problem> {
    let found = api.backend().resource_type(&name).await?;
    let found = found.ok_or_else(|| Problem::missing(&format!("type/{name}")))?;
    let etag = [(header::ETAG, etag(found.revision))];
    Ok((etag, Json(view::resource_type(&found))).into_response())
}

/// Deletes a resource type; its resources keep what they said of themselves.
pub(super) async fn delete(
    State(api): State<Api>,
    Place(name): Place,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let request = Request {
        request: api.request_id(idempotency_key(&headers)?.as_deref()),
        command: Command::DeleteResourceType {
            name: name.clone(),
            expected: expected(&headers)?,
        },
    };
    let answer = api.backend().request(request).await?;
    Ok(Json(
        json!({ "name": name, "revision": answer.revision, "outcome": "deleted" }),
    ))
}
