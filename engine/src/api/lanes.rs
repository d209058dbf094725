//! `/v1/dlq` and `/v1/late`: what could not be used and what came too late; looking at it and sending it once more.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_proto::record::{ID_HEADER, Record};

use super::backend::{Again, IngestEvent, TailEntry, TailFrom, TailTopic};
use super::extract::{Ask, Place};
use super::follow::{Start, follow};
use super::page::{Wanted, page};
use super::problem::Problem;
use super::split::event;
use super::state::Api;
use super::tail::dead_letter;
use crate::handler::ActionRecord;

/// Place of an entry: `PARTITION:OFFSET`.
type Id = (u32, i64);

/// A side lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Dead,
    Late,
}

impl Lane {
    const fn word(self) -> &'static str {
        match self {
            Self::Dead => "dlq",
            Self::Late => "late",
        }
    }

    const fn topic(self) -> TailTopic {
        match self {
            Self::Dead => TailTopic::DeadLetters,
            Self::Late => TailTopic::Late,
        }
    }

    fn view(self, entry: &TailEntry) -> Value {
        match self {
            Self::Dead => dead_letter(entry),
            Self::Late => late_row(entry),
        }
    }
}

fn id_of(text: &str) -> Result<Id, Problem> {
    text.split_once(':')
        .and_then(|(partition, offset)| Some((partition.parse().ok()?, offset.parse().ok()?)))
        .ok_or_else(|| Problem::bad(format!("`{text}` is no id here: it is `PARTITION:OFFSET`")))
}

fn id(entry: &TailEntry) -> Id {
    (entry.partition, entry.offset)
}

fn name(entry: &TailEntry) -> String {
    format!("{}:{}", entry.partition, entry.offset)
}

/// A late row: its place, then what the lane says of it.
fn late_row(entry: &TailEntry) -> Value {
    let value = entry.record.value.as_deref().unwrap_or_default();
    let mut row = json!({ "id": name(entry) });
    if let (Some(row), Ok(Value::Object(said))) =
        (row.as_object_mut(), serde_json::from_slice(value))
    {
        row.extend(said);
    }
    row
}

/// Dead letters by partition and offset.
pub(super) async fn dead(
    State(api): State<Api>,
    uri: Uri,
    Ask(wanted): Ask<Wanted>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    list(&api, Lane::Dead, &uri, &wanted).await
}

/// Late rows by partition and offset.
pub(super) async fn late(
    State(api): State<Api>,
    uri: Uri,
    Ask(wanted): Ask<Wanted>,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    list(&api, Lane::Late, &uri, &wanted).await
}

async fn list(
    api: &Api,
    lane: Lane,
    uri: &Uri,
    wanted: &Wanted,
) -> Result<(HeaderMap, Json<Value>), Problem> {
    let size = wanted.size(api.limits().page)?;
    let after = wanted.after.as_deref().map(id_of).transpose()?;
    let mut found: Vec<TailEntry> = Vec::new();
    let start = Start::At(TailFrom::Earliest);
    let mut entries = std::pin::pin!(follow(api, lane.topic(), start, true)?);
    while let Some(followed) = entries.next().await {
        let entry = followed?.entry;
        if after.is_none_or(|after| id(&entry) > after) {
            found.push(entry);
            // Partitions come interleaved, so the first ones are known only at the end; but never hold more than twice
            // a page.
            if found.len() > 2 * (size + 1) {
                found.sort_by_key(id);
                found.truncate(size + 1);
            }
        }
    }
    found.sort_by_key(id);
    found.truncate(size + 1);
    Ok(page(found, size, uri, name, |entry| lane.view(entry)))
}

async fn find(api: &Api, lane: Lane, place: &str) -> Result<TailEntry, Problem> {
    let wanted = id_of(place)?;
    let start = Start::At(TailFrom::Earliest);
    let mut entries = std::pin::pin!(follow(api, lane.topic(), start, true)?);
    while let Some(followed) = entries.next().await {
        let entry = followed?.entry;
        if id(&entry) == wanted {
            return Ok(entry);
        }
    }
    Err(Problem::missing(&format!("{}/{place}", lane.word())))
}

/// One dead letter.
pub(super) async fn get_dead(
    State(api): State<Api>,
    Place(place): Place,
) -> Result<Json<Value>, Problem> {
    Ok(Json(dead_letter(&find(&api, Lane::Dead, &place).await?)))
}

/// One late row.
pub(super) async fn get_late(
    State(api): State<Api>,
    Place(place): Place,
) -> Result<Json<Value>, Problem> {
    Ok(Json(late_row(&find(&api, Lane::Late, &place).await?)))
}

/// Sends a dead letter once more: an event goes to the log as a new one, an action to its handler again.
pub(super) async fn send_dead(
    State(api): State<Api>,
    Place(place): Place,
) -> Result<Json<Value>, Problem> {
    let entry = find(&api, Lane::Dead, &place).await?;
    let again = match ActionRecord::decode(&entry.record) {
        Ok(action) => action_again(&entry, action)?,
        Err(_) => letter_again(&api, &entry)?,
    };
    sent(&api, &place, again).await
}

/// Sends a late row once more: to the rule that missed it alone, or as a new event when it lay in the future.
pub(super) async fn send_late(
    State(api): State<Api>,
    Place(place): Place,
) -> Result<Json<Value>, Problem> {
    /// What of a late row is sent again.
    #[derive(Deserialize)]
    struct Row {
        resource: String,
        rule: Option<String>,
        record: String,
    }
    let entry = find(&api, Lane::Late, &place).await?;
    let value = entry.record.value.as_deref().unwrap_or_default();
    let row: Row = serde_json::from_slice(value)
        .map_err(|error| Problem::bad(format!("this is no late row: {error}")))?;
    let again = Again::Event {
        event: IngestEvent {
            key: row.resource,
            body: Bytes::from(row.record),
        },
        once: format!("late-{place}"),
        only: row.rule,
    };
    sent(&api, &place, again).await
}

async fn sent(api: &Api, place: &str, again: Again) -> Result<Json<Value>, Problem> {
    api.backend().again(again).await?;
    Ok(Json(json!({ "id": place, "accepted": 1 })))
}

/// An action under an id of its own, derived from the letter's place: the id before is done with, for us and for the
/// receiver.
fn action_again(entry: &TailEntry, mut action: ActionRecord) -> Result<Again, Problem> {
    let first = action.id.split('/').next().unwrap_or_default();
    action.id = format!("{first}/again-{}-{}", entry.partition, entry.offset);
    let body = serde_json::to_vec(&action)
        .map_err(|error| Problem::bad(format!("this action cannot be written: {error}")))?;
    let mut record = Record {
        value: Some(body.into()),
        timestamp: 0,
        ..entry.record.clone()
    };
    record
        .headers
        .retain(|(name, _)| !name.starts_with("dlq.") && &**name != ID_HEADER);
    Ok(Again::Action {
        partition: entry.partition,
        record: record.with_header(ID_HEADER, action.id),
    })
}

fn letter_again(api: &Api, entry: &TailEntry) -> Result<Again, Problem> {
    let body = entry.record.value.clone().unwrap_or_default();
    let event = match event(body.clone(), api.limits().event_bytes) {
        Ok(event) => event,
        Err(problem) => {
            // The key says whose it is when the body does not; what is no object at all would come back at once.
            let key = entry.record.key.as_ref();
            match key.and_then(|key| String::from_utf8(key.to_vec()).ok()) {
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
    let rule = entry.record.header("dlq.rule");
    Ok(Again::Event {
        event,
        // The same letter sent twice by mistake is taken once.
        once: format!("dlq-{}", name(entry)),
        only: rule.map(|rule| String::from_utf8_lossy(rule).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_goes_again_under_an_id_of_its_own() {
        let text = r#"{"id":"7-1042-3","handler":"mail","rule":"hot","task":"hot/b1","resource":"b1","time":1767225600000,"kind":"raised"}"#;
        let entry = |text: &str| TailEntry {
            partition: 2,
            offset: 9,
            record: Record::new("b1", text.to_owned())
                .with_header(ID_HEADER, "7-1042-3")
                .with_header("dlq.reason", "refused"),
        };
        let again = |text: &str| {
            let entry = entry(text);
            let action = ActionRecord::decode(&entry.record).unwrap();
            action_again(&entry, action).unwrap()
        };
        let Again::Action { partition, record } = again(text) else {
            panic!("an action")
        };
        assert_eq!(partition, 2);
        assert_eq!(record.header("dlq.reason"), None);
        assert_eq!(record.header(ID_HEADER).unwrap(), "7-1042-3/again-2-9");
        let action = ActionRecord::decode(&record).unwrap();
        assert_eq!(action.id, "7-1042-3/again-2-9");
        // Given up once more, and sent once more: the id does not grow.
        let body = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        let Again::Action { record, .. } = again(&body) else {
            panic!("an action")
        };
        assert_eq!(record.header(ID_HEADER).unwrap(), "7-1042-3/again-2-9");
    }
}
