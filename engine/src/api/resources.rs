//! `/v1/resources`: twins as they are known, definitions as people write them.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::Value;
use tidegate_actors::command::{Command, Request};
use tidegate_proto::document::{self, Document};
use tidegate_proto::resource::ResourceDefinition;

use super::definitions::{command, in_force, shown};
use super::extract::{Ask, Place, expected, idempotency_key, read_text};
use super::page::{Wanted, page};
use super::problem::Problem;
use super::state::Api;
use super::view;

/// Resources in byte order of their ids.
pub(super) async fn list(
    State(api): State<Api>,
    uri: Uri,
    Ask(wanted): Ask<Wanted>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let size = wanted.size(api.limits().page)?;
    let found = api
        .backend()
        .resources(wanted.r#type, wanted.after, size + 1)
        .await?;
    Ok(page(
        found,
        size,
        &uri,
        |one| one.id.as_ref().to_owned(),
        view::resource,
    ))
}

/// One resource.
pub(super) async fn get(State(api): State<Api>, Place(id): Place) -> Result<Response, Problem> {
    let found = api.backend().resource(&id).await?;
    let found = found.ok_or_else(|| Problem::missing(&format!("resource/{id}")))?;
    Ok(shown(found.revision, view::resource(&found)))
}

/// Defines a resource; the body is a document of `kind: Resource`, which may leave out `kind` and `id`.
pub(super) async fn put(
    State(api): State<Api>,
    Place(id): Place,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let expected = expected(&headers)?;
    let key = idempotency_key(&headers)?;
    let text = read_text(&headers, body, api.limits().body_bytes).await?;
    let definition = definition(&id, &text)?;
    let before = api
        .backend()
        .resource(&id)
        .await?
        .map_or(0, |known| known.revision);
    let request = Request {
        request: api.request_id(key.as_deref()),
        command: Command::PutResource {
            definition,
            expected,
        },
    };
    let answer = api.backend().request(request).await?;
    Ok(in_force(("id", &id), before, &answer, None))
}

/// Reads a definition, as `apply` would read it.
fn definition(id: &str, text: &str) -> Result<ResourceDefinition, Problem> {
    let mut body: serde_json::Map<String, Value> = serde_json::from_str(text)
        .map_err(|error| Problem::bad(format!("the body is not a JSON object: {error}")))?;
    for (name, value) in [("kind", "Resource"), ("id", id)] {
        let said = body.insert(name.to_owned(), Value::from(value));
        if said.is_some_and(|said| said != value) {
            return Err(Problem::bad(format!(
                "`{name}` of the body is not `{value}`"
            )));
        }
    }
    let text = Value::Object(body).to_string();
    match document::parse(&text)
        .map_err(|issues| Problem::issues(&issues))?
        .pop()
    {
        Some(Document::Resource(definition)) => Ok(definition),
        _ => Err(Problem::bad("the body is not one resource")),
    }
}

/// Forgets a resource.
pub(super) async fn delete(
    State(api): State<Api>,
    Place(id): Place,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let make = |id, expected| Command::DeleteResource { id, expected };
    command(&api, &headers, ("id", &id), "deleted", make).await
}
