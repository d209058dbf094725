//! The doors: REST, server-sent events, NDJSON and gRPC on one port.
//!
//! | path | what |
//! |---|---|
//! | `POST /v1/events` | events into the log: a JSON object, an array, NDJSON |
//! | `GET /v1/resources`, `GET PUT DELETE /v1/resources/{id}` | twins and their definitions |
//! | `GET /v1/types`, `GET DELETE /v1/types/{name}` | resource types |
//! | `GET POST /v1/rules`, `GET DELETE /v1/rules/{name}`, `POST /v1/rules/{name}/enable`, `…/disable` | rules |
//! | `GET POST /v1/sources`, `GET DELETE /v1/sources/{name}` | topics that events are read from |
//! | `POST /v1/topics/{topic}/records` | records into a topic of the user's |
//! | `POST /v1/apply` | many documents, one after another |
//! | `GET /v1/tasks`, `GET /v1/tasks/{id}`, `GET /v1/shards` | what runs |
//! | `GET /v1/results` | results as server-sent events |
//! | `GET /v1/tail/{topic}` | `results alarms changes late dlq actions` as NDJSON |
//! | `GET /v1/dlq`, `GET /v1/dlq/{id}`, `POST /v1/dlq/{id}/send` | dead letters |
//! | `GET /v1/late`, `GET /v1/late/{id}`, `POST /v1/late/{id}/send` | late rows |
//! | `GET /healthz /readyz /metrics /version` | for machines |
//! | `/tidegate.*.v1.*Service/*` | gRPC, with reflection and health |
//!
//! Errors are RFC 9457 problems. Revisions travel as `ETag` and `If-Match`; `Idempotency-Key` makes repeats safe.

pub mod backend;
mod definitions;
mod documents;
mod events;
mod extract;
pub mod follow;
mod grpc;
mod guard;
mod lanes;
pub mod metrics;
mod operations;
mod page;
pub mod problem;
mod resources;
mod rules;
mod serve;
mod sources;
pub mod split;
mod state;
mod tail;
mod tasks;
mod types;
mod view;
pub(crate) mod why;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

pub use backend::{
    Again, Answer, Answering, Backend, IngestEvent, Tail, TailEntry, TailFrom, TailTopic,
};
pub use page::encode;
pub use problem::{Problem, ProblemItem, ProblemKind};
pub use serve::{bind, serve, serve_starting};
pub use state::Api;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{get, post};

/// All doors as one service.
pub fn router(api: &Api) -> Router {
    let rest = rest()
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        // Bodies are bounded where they are read.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(api.clone(), guard::bounded))
        .with_state(api.clone());
    let grpc = grpc::router(api).layer(from_fn_with_state(api.clone(), guard::called));
    rest.merge(grpc)
        .layer(from_fn_with_state(api.clone(), guard::local))
        .layer(map_response(never_sniffed))
}

/// The doors before there is an engine behind them.
fn starting() -> Router {
    let text = "the engine is starting; what it waits for is in its own log";
    let wait = move || async move { Problem::new(ProblemKind::Unavailable, text) };
    Router::new()
        .route("/healthz", get(operations::healthz))
        .fallback(wait)
        .layer(map_response(never_sniffed))
}

fn rest() -> Router<Api> {
    Router::new()
        .route("/v1/events", post(events::post))
        .route("/v1/resources", get(resources::list))
        .route(
            "/v1/resources/{id}",
            get(resources::get)
                .put(resources::put)
                .delete(resources::delete),
        )
        .route("/v1/types", get(types::list))
        .route("/v1/types/{name}", get(types::get).delete(types::delete))
        .route("/v1/rules", get(rules::list).post(rules::post))
        .route("/v1/rules/{name}", get(rules::get).delete(rules::delete))
        .route("/v1/rules/{name}/why", get(why::get))
        .route("/v1/rules/{name}/enable", post(rules::enable))
        .route("/v1/rules/{name}/disable", post(rules::disable))
        .route("/v1/sources", get(sources::list).post(sources::post))
        .route(
            "/v1/sources/{name}",
            get(sources::get).delete(sources::delete),
        )
        .route("/v1/topics/{topic}/records", post(sources::produce))
        .route("/v1/apply", post(documents::apply))
        .route("/v1/tasks", get(tasks::list))
        .route("/v1/tasks/{*id}", get(tasks::get))
        .route("/v1/shards", get(tasks::shards))
        .route("/v1/workers", get(tasks::workers))
        .route("/v1/results", get(tail::results))
        .route("/v1/tail/{topic}", get(tail::tail))
        .route("/v1/dlq", get(lanes::dead))
        .route("/v1/dlq/{id}", get(lanes::get_dead))
        .route("/v1/dlq/{id}/send", post(lanes::send_dead))
        .route("/v1/late", get(lanes::late))
        .route("/v1/late/{id}", get(lanes::get_late))
        .route("/v1/late/{id}/send", post(lanes::send_late))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .route("/version", get(operations::version))
}

async fn no_such_path(uri: axum::http::Uri) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("there is no path `{}`", uri.path()),
    )
}

async fn no_such_method(method: axum::http::Method, uri: axum::http::Uri) -> Problem {
    let detail = format!("`{}` does not take {method}", uri.path());
    Problem::new(ProblemKind::MethodNotAllowed, detail)
}

/// What a device sent must never be taken for a page by a browser.
async fn never_sniffed(mut response: Response) -> Response {
    let nosniff = axum::http::HeaderValue::from_static("nosniff");
    response
        .headers_mut()
        .insert("x-content-type-options", nosniff);
    response
}
