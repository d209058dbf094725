//! `/v1/rules`: submitting, looking at, enabling and deleting rules.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_actors::command::{Command, Request};
use tidegate_proto::document::Document;
use tidegate_proto::rule::Rule;

use super::definitions::{command, in_force, shown};
use super::documents::check;
use super::extract::{Ask, Place, expected, idempotency_key, read_text};
use super::page::{Wanted, encode, page};
use super::problem::Problem;
use super::state::Api;
use super::view;

/// Query of a submission.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Submission {
    /// Checks and changes nothing.
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// Rules in byte order of their names.
pub(super) async fn list(
    State(api): State<Api>,
    uri: Uri,
    Ask(wanted): Ask<Wanted>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let size = wanted.size(api.limits().page)?;
    let mut found = api.backend().rules().await?;
    if let Some(after) = &wanted.after {
        found.retain(|rule| rule.name > *after);
    }
    Ok(page(found, size, &uri, |one| one.name.clone(), view::rule))
}

/// One rule.
pub(super) async fn get(State(api): State<Api>, Place(name): Place) -> Result<Response, Problem> {
    let found = api.backend().rule(&name).await?;
    let found = found.ok_or_else(|| Problem::missing(&format!("rule/{name}")))?;
    Ok(shown(found.revision, view::rule(&found)))
}

/// Exactly one rule of a text, checked.
pub(super) fn one_rule(text: &str) -> Result<Rule, Vec<tidegate_proto::issue::Issue>> {
    match check(text)?.as_slice() {
        [Document::Rule(rule)] => Ok(rule.clone()),
        _ => Err(vec![tidegate_proto::issue::Issue::new(
            "",
            tidegate_proto::issue::Mark::default(),
            "exactly one document of `kind: Rule` is wanted here",
        )]),
    }
}

/// Submits a rule or revises it; with `?dryRun=true` it is only checked.
pub(super) async fn post(
    State(api): State<Api>,
    Ask(submission): Ask<Submission>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let expected = expected(&headers)?;
    let key = idempotency_key(&headers)?;
    let document = read_text(&headers, body, api.limits().body_bytes).await?;
    let rule = one_rule(&document).map_err(|issues| Problem::issues(&issues))?;
    let name = rule.name.as_str().to_owned();
    let before = api
        .backend()
        .rule(&name)
        .await?
        .map_or(0, |known| known.revision);
    if submission.dry_run {
        let body = json!({ "name": name, "revision": before, "outcome": "valid" });
        return Ok(Json(body).into_response());
    }
    let request = Request {
        request: api.request_id(key.as_deref()),
        command: Command::PutRule { document, expected },
    };
    let answer = api.backend().request(request).await?;
    let place = [(header::LOCATION, format!("/v1/rules/{}", encode(&name)))];
    let told = in_force(("name", &name), before, &answer, Some(&answer.parts));
    Ok((place, told).into_response())
}

/// Deletes a rule.
pub(super) async fn delete(
    State(api): State<Api>,
    Place(name): Place,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let make = |name, expected| Command::DeleteRule { name, expected };
    command(&api, &headers, ("name", &name), "deleted", make).await
}

/// Lets a rule run.
pub(super) async fn enable(
    State(api): State<Api>,
    Place(name): Place,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    turn(&api, &headers, &name, true).await
}

/// Stops a rule and keeps its definition.
pub(super) async fn disable(
    State(api): State<Api>,
    Place(name): Place,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    turn(&api, &headers, &name, false).await
}

async fn turn(
    api: &Api,
    headers: &HeaderMap,
    name: &str,
    enabled: bool,
) -> Result<Json<Value>, Problem> {
    let word = if enabled { "enabled" } else { "disabled" };
    let make = |name, expected| Command::EnableRule {
        name,
        enabled,
        expected,
    };
    command(api, headers, ("name", name), word, make).await
}
