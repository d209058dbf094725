//! `/v1/tasks`, `/v1/shards` and `/v1/workers`: what runs, and where.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use serde_json::{Value, json};
use tidegate_actors::observe::TaskView;

use super::extract::{Ask, Place};
use super::page::{Wanted, page};
use super::problem::Problem;
use super::state::Api;
use super::view;
use crate::error::EngineError;

/// Tasks that have said something, in byte order of their ids.
pub(super) async fn list(
    State(api): State<Api>,
    uri: Uri,
    Ask(wanted): Ask<Wanted>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let size = wanted.size(api.limits().page)?;
    let found = api
        .backend()
        .tasks(wanted.rule, wanted.resource, wanted.after, size + 1)
        .await?;
    Ok(page(found, size, &uri, |one| one.id.clone(), view::task))
}

/// One task by its id.
pub(super) async fn get(State(api): State<Api>, Place(id): Place) -> Result<Json<Value>, Problem> {
    let found = find(&api, &id).await?;
    let found = found.ok_or_else(|| Problem::missing(&format!("task/{id}")))?;
    Ok(Json(view::task(&found)))
}

/// The task with an id, if it has said something. A rule's name has no slash, so the id falls apart at the first one;
/// what follows is the resource, and its group if there is one.
pub(super) async fn find(api: &Api, id: &str) -> Result<Option<TaskView>, EngineError> {
    let Some((rule, _)) = id.split_once('/') else {
        return Ok(None);
    };
    let mut after: Option<String> = None;
    loop {
        let page = api
            .backend()
            .tasks(Some(rule.to_owned()), None, after, api.limits().page)
            .await?;
        let Some(last) = page.last().map(|task| task.id.clone()) else {
            return Ok(None);
        };
        if let Some(found) = page.into_iter().find(|task| task.id == id) {
            return Ok(Some(found));
        }
        after = Some(last);
    }
}

/// Numbers of all shards.
pub(super) async fn shards(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let shards = api.backend().shards().await?;
    Ok(Json(
        json!({ "items": shards.iter().map(view::shard).collect::<Vec<_>>(), "next": null }),
    ))
}

/// Workers that share the shards.
pub(super) async fn workers(State(api): State<Api>) -> Result<Json<Value>, Problem> {
    let workers = api.backend().workers().await?;
    Ok(Json(
        json!({ "items": workers.iter().map(view::worker).collect::<Vec<_>>(), "next": null }),
    ))
}
