//! `POST /v1/events`: events into the log. Answered when they are there; all of a request or none.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::extract::{idempotency_key, read_body};
use super::problem::Problem;
use super::split::split;
use super::state::Api;

/// Takes one JSON object, an array of them, or NDJSON; each needs `resource`.
pub(super) async fn post(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let once = idempotency_key(&headers)?;
    let body = read_body(&headers, body, api.limits().body_bytes).await?;
    let events = split(&body, api.split_limits()).map_err(Problem::invalid)?;
    if events.is_empty() {
        return Ok(Json(json!({ "accepted": 0 })));
    }
    let accepted = api.backend().ingest(events, once).await?;
    api.counters().accepted(accepted);
    Ok(Json(json!({ "accepted": accepted })))
}
