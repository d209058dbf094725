//! `/v1/sources`: topics of the user's that events are read from; `POST /v1/topics/{topic}/records`: records into them.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_actors::command::Command;
use tidegate_actors::source::parse_source;
use tidegate_proto::record::Headers;

use super::backend::{SourceStatus, TopicRecord};
use super::definitions::{command, in_force, shown};
use super::extract::{Ask, Place, expected, idempotency_key, read_body, read_text};
use super::page::{Wanted, encode, page};
use super::problem::Problem;
use super::rules::Submission;
use super::state::Api;
use super::view;

/// Sources in byte order of their names.
pub(super) async fn list(
    State(api): State<Api>,
    uri: Uri,
    Ask(wanted): Ask<Wanted>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let size = wanted.size(api.limits().page)?;
    let mut found = api.backend().sources().await?;
    if let Some(after) = &wanted.after {
        found.retain(|one| one.view.name > *after);
    }
    let name = |one: &SourceStatus| one.view.name.clone();
    Ok(page(found, size, &uri, name, view::source))
}

/// One source.
pub(super) async fn get(State(api): State<Api>, Place(name): Place) -> Result<Response, Problem> {
    let found = api.backend().source(&name).await?;
    let found = found.ok_or_else(|| Problem::missing(&format!("source/{name}")))?;
    Ok(shown(found.view.revision, view::source(&found)))
}

/// Brings a source in force or changes it; with `?dryRun=true` it is only checked.
pub(super) async fn post(
    State(api): State<Api>,
    Ask(submission): Ask<Submission>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let expected = expected(&headers)?;
    let key = idempotency_key(&headers)?;
    let document = read_text(&headers, body, api.limits().body_bytes).await?;
    let source = parse_source(&document).map_err(|issues| Problem::issues(&issues))?;
    let name = source.name.as_str().to_owned();
    let before = api.backend().source(&name).await?;
    let before = before.map_or(0, |known| known.view.revision);
    if submission.dry_run {
        api.backend().check_source(&source)?;
        let body = json!({ "name": name, "revision": before, "outcome": "checked" });
        return Ok(Json(body).into_response());
    }
    let request = api.request_id(key.as_deref());
    let answer = api
        .backend()
        .put_source(request, document, expected)
        .await?;
    let place = [(header::LOCATION, format!("/v1/sources/{}", encode(&name)))];
    let told = in_force(("name", &name), before, &answer, Some(&answer.parts));
    Ok((place, told).into_response())
}

/// Deletes a source: its topic is no longer read.
pub(super) async fn delete(
    State(api): State<Api>,
    Place(name): Place,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    let make = |name, expected| Command::DeleteSource { name, expected };
    command(&api, &headers, ("name", &name), "deleted", make).await
}

/// Query of a record that is the whole body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Whole {
    /// Its key.
    #[serde(default)]
    key: Option<String>,
    /// Its partition, if not that of the key.
    #[serde(default)]
    partition: Option<u32>,
}

/// Records as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Records {
    records: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<Value>,
    #[serde(default)]
    value_hex: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    headers_hex: BTreeMap<String, String>,
    #[serde(default)]
    partition: Option<u32>,
}

impl Written {
    /// A text is the value itself, anything else its JSON, `null` a tombstone; bytes of any kind are hexadecimal.
    fn record(self) -> Result<TopicRecord, Problem> {
        let value = self.value.filter(|value| !value.is_null());
        let value = value.map(|value| match value {
            Value::String(text) => Bytes::from(text),
            other => Bytes::from(other.to_string()),
        });
        let value = match &self.value_hex {
            Some(hex) => Some(bytes(hex)?),
            None => value,
        };
        let texts = self.headers.into_iter();
        let mut headers: Headers = texts
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        for (name, hex) in self.headers_hex {
            headers.push((name.into(), bytes(&hex)?));
        }
        Ok(TopicRecord {
            key: self.key.map(Bytes::from),
            value,
            headers,
            partition: self.partition,
        })
    }
}

/// Bytes written in hexadecimal, as dead letters show them.
fn bytes(hex: &str) -> Result<Bytes, Problem> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let read: Option<Vec<u8>> = pairs.collect();
    read.map(Bytes::from)
        .ok_or_else(|| Problem::bad("hexadecimal is two of `0-9 a-f` per byte"))
}

/// Appends records to a topic that is there: with `content-type: application/json` the list `records`, otherwise the body
/// is one record's value; then `record-NAME: VALUE` are its headers.
pub(super) async fn produce(
    State(api): State<Api>,
    Place(topic): Place,
    Ask(whole): Ask<Whole>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let body = read_body(&headers, body, api.limits().body_bytes).await?;
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    let records = if is_json {
        let read: Records = serde_json::from_slice(&body).map_err(|error| {
            Problem::bad(format!("the body is not `{{\"records\": […]}}`: {error}"))
        })?;
        let records = read.records.into_iter().map(Written::record);
        records.collect::<Result<Vec<_>, _>>()?
    } else {
        let named = headers.iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("record-")?;
            Some((
                name.to_owned().into(),
                Bytes::copy_from_slice(value.as_bytes()),
            ))
        });
        vec![TopicRecord {
            key: whole.key.map(Bytes::from),
            value: Some(body),
            headers: named.collect(),
            partition: whole.partition,
        }]
    };
    let most = api.limits().events;
    if records.len() > most {
        return Err(Problem::bad(format!(
            "more than {most} records in one request"
        )));
    }
    let places = api.backend().produce(&topic, records).await?;
    let places: Vec<Value> = places
        .iter()
        .map(|place| json!({ "partition": place.partition, "offset": place.offset }))
        .collect();
    Ok(Json(json!({ "records": places })))
}
