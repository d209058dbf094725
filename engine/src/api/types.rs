//! `/v1/types`: resource types as they are defined. They are brought in force with `/v1/apply`.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::Value;
use tidegate_actors::command::Command;

use super::definitions::{command, shown};
use super::extract::{Ask, Place};
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
    Ok(shown(found.revision, view::resource_type(&found)))
}

/// Deletes a resource type; its resources keep what they said of themselves.
pub(super) async fn delete(
    State(api): State<Api>,
    Place(name): Place,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let make = |name, expected| Command::DeleteResourceType { name, expected };
    command(&api, &headers, ("name", &name), "deleted", make).await
}
