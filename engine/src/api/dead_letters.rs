//! `/v1/dlq`: records that could not be used; looking at them and sending them once more.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use futures::StreamExt as _;
use serde_json::{Value, json};

use super::backend::{IngestEvent, TailEntry, TailFrom, TailTopic};
use super::extract::{Ask, Place};
use super::follow::{Start, follow};
use super::page::{Wanted, page};
use super::problem::Problem;
use super::split::event;
use super::state::Api;
use super::tail::dead_letter;

/// Place of a dead letter: `PARTITION:OFFSET`.
type Id = (u32, i64);

fn id_of(text: &str) -> Result<Id, Problem> {
    text.split_once(':')
        .and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)))
        .ok_or_else(|| {
            Problem::bad(format!(
                "`{text}` is not the id of a dead letter: it is `PARTITION:OFFSET`"
            ))
        })
}

fn id(entry: &TailEntry) -> Id {
    (entry.partition, entry.offset)
}

/// Dead letters by partition and offset.
pub(super) async fn list(
    State(api): State<Api>,
    uri: Uri,
    Ask(wanted): Ask<Wanted>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let size = wanted.size(api.limits().page)?;
    let after = wanted.after.as_deref().map(id_of).transpose()?;
    let mut letters: Vec<TailEntry> = Vec::new();
    let mut entries = std::pin::pin!(follow(
        &api,
        TailTopic::DeadLetters,
        Start::At(TailFrom::Earliest),
        true
    )?);
    while let Some(followed) = entries.next().await {
        let entry = followed?.entry;
        if after.is_none_or(|after| id(&entry) > after) {
            letters.push(entry);
            // Partitions come interleaved, so the first ones are known only at the end; but never hold more than twice
            // a page.
            if letters.len() > 2 * (size + 1) {
                letters.sort_by_key(id);
                letters.truncate(size + 1);
            }
        }
    }
    letters.sort_by_key(id);
    letters.truncate(size + 1);
    let name = |entry: &TailEntry| format!("{}:{}", entry.partition, entry.offset);
    Ok(page(letters, size, &uri, name, dead_letter))
}

async fn find(api: &Api, place: &str) -> Result<TailEntry, Problem> {
    let wanted = id_of(place)?;
    let mut entries = std::pin::pin!(follow(
        api,
        TailTopic::DeadLetters,
        Start::At(TailFrom::Earliest),
        true
    )?);
    while let Some(followed) = entries.next().await {
        let entry = followed?.entry;
        if id(&entry) == wanted {
            return Ok(entry);
        }
    }
    Err(Problem::missing(&format!("dlq/{place}")))
}

/// One dead letter.
pub(super) async fn get(
    State(api): State<Api>,
    Place(place): Place,
) -> Result<Json<Value>, Problem> {
    Ok(Json(dead_letter(&find(&api, &place).await?)))
}

/// Sends a dead letter once more: its body goes to the log as a new event.
pub(super) async fn send(
    State(api): State<Api>,
    Place(place): Place,
) -> Result<Json<Value>, Problem> {
    let entry = find(&api, &place).await?;
    let body = entry.record.value.clone().unwrap_or_default();
    let event = match event(body.clone(), api.limits().event_bytes) {
        Ok(event) => event,
        Err(problem) => {
            // The key says whose it is when the body does not; what is no object at all would come back at once.
            let key = entry
                .record
                .key
                .as_ref()
                .and_then(|key| String::from_utf8(key.to_vec()).ok());
            match key {
                Some(key) if body.first() == Some(&b'{') && !key.is_empty() => {
                    IngestEvent { key, body }
                }
                _ => {
                    return Err(Problem::bad(format!(
                        "this dead letter is not an event: {problem}"
                    )));
                }
            }
        }
    };
    // The same letter sent twice by mistake is taken once.
    let accepted = api
        .backend()
        .ingest(vec![event], Some(format!("dlq-{place}")))
        .await?;
    Ok(Json(json!({ "id": place, "accepted": accepted })))
}
