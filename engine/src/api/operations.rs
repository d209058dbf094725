//! `/healthz`, `/readyz`, `/metrics`, `/version`: what machines ask.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::metrics::{self, Process};
use super::problem::{Problem, ProblemKind};
use super::state::Api;
use crate::workers::WorkerShard;

/// The process lives.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// All shards have recovered.
pub(super) async fn readyz(State(api): State<Api>) -> Result<&'static str, Problem> {
    let trouble = api.backend().trouble().await;
    if trouble.is_empty() {
        Ok("ready\n")
    } else {
        Err(Problem::new(ProblemKind::Unavailable, trouble.join("; ")))
    }
}

/// Numbers as Prometheus text. Of shards every worker tells those that it owns: the sum over workers counts each once.
pub(super) async fn metrics(State(api): State<Api>) -> Response {
    // While shards recover they cannot be asked, but the process's own numbers are wanted all the more.
    let shards = api.backend().own_shards().await.unwrap_or_default();
    let process = Process {
        uptime: api.started().elapsed().as_secs_f64(),
        ready: api.backend().trouble().await.is_empty(),
        streams: api.streams_open(),
    };
    let workers = api.backend().workers().await.unwrap_or_default();
    let own: BTreeSet<u32> = shards.iter().map(|shard| shard.shard).collect();
    let all = workers.iter().flat_map(|worker| &worker.shards);
    let ready = all.filter(|shard| shard.phase == "Ready" && own.contains(&shard.shard));
    let ready: BTreeMap<u32, &WorkerShard> = ready.map(|shard| (shard.shard, shard)).collect();
    let text = metrics::text(api.counters(), process, &shards)
        + metrics::log_text(&ready, &api.backend().clients()).as_str();
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        text,
    )
        .into_response()
}

/// Which program this is.
pub(super) async fn version(State(api): State<Api>) -> Json<Value> {
    Json(json!({
        "name": "tidegate",
        "version": env!("CARGO_PKG_VERSION"),
        "partitions": api.backend().partitions(),
    }))
}
