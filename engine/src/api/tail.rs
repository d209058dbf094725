//! `GET /v1/results` (server-sent events) and `GET /v1/tail/TOPIC` (NDJSON): what leaves the engine, as it happens or
//! from a point in the past on.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tidegate_actors::task::ALARM_HEADER;
use tidegate_proto::record::Record;
use tidegate_proto::time::Timestamp;

use super::backend::{TailEntry, TailFrom, TailTopic};
use super::extract::{Ask, Place};
use super::follow::{Start, follow};
use super::problem::Problem;
use super::state::Api;

/// How soon a client of server-sent events comes back, in ms.
const RETRY: u64 = 1000;

/// Query of a stream.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    from: Option<String>,
    #[serde(default, alias = "stopAtEnd")]
    stop_at_end: bool,
    rule: Option<String>,
    resource: Option<String>,
    /// Kinds, parted by commas.
    kind: Option<String>,
}

impl Wanted {
    fn start(&self, otherwise: Start) -> Result<Start, Problem> {
        self.from
            .as_deref()
            .map_or(Ok(otherwise), |from| from.parse().map_err(Problem::bad))
    }

    fn filter(self, kinds: &[&str]) -> Filter {
        let said = self
            .kind
            .as_deref()
            .unwrap_or_default()
            .split(',')
            .filter(|kind| !kind.is_empty());
        let mut all: Vec<String> = said.map(str::to_owned).collect();
        if all.is_empty() {
            all = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        }
        Filter {
            rule: self.rule,
            resource: self.resource,
            kinds: all,
        }
    }
}

/// Which result lines are wanted.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    /// Only of this rule.
    pub(super) rule: Option<String>,
    /// Only of this resource.
    pub(super) resource: Option<String>,
    /// Only of these kinds; none: all.
    pub(super) kinds: Vec<String>,
}

/// What of a result line the doors look at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Head {
    rule: String,
    resource: String,
    kind: String,
}

impl Filter {
    /// The kind of the line, if it is wanted. A line that is not ours is wanted only by those who want everything.
    pub(super) fn kind_of(&self, line: &[u8]) -> Option<String> {
        let head: Head = serde_json::from_slice(line).unwrap_or_default();
        let is = |wanted: &Option<String>, have: &String| {
            wanted.as_ref().is_none_or(|wanted| wanted == have)
        };
        let is_kind = self.kinds.is_empty() || self.kinds.contains(&head.kind);
        (is_kind && is(&self.rule, &head.rule) && is(&self.resource, &head.resource))
            .then_some(head.kind)
    }
}

/// Results as server-sent events; `id` is a resume token for `Last-Event-ID`, `event` is the kind, `data` the line.
pub(super) async fn results(
    State(api): State<Api>,
    Ask(wanted): Ask<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .filter(|id| !id.is_empty());
    let start = match last {
        Some(token) => token.parse().map(Start::After).map_err(Problem::bad)?,
        None => wanted.start(Start::At(TailFrom::Latest))?,
    };
    let stop_at_end = wanted.stop_at_end;
    let filter = wanted.filter(&[]);
    let followed = follow(&api, TailTopic::Results, start, stop_at_end)?;
    let events = followed.filter_map(move |followed| {
        let event = match followed {
            Err(error) => {
                let body = json!({ "detail": error.to_string() }).to_string();
                Some(Event::default().event("problem").data(body))
            }
            Ok(followed) => {
                let line = followed.entry.record.value.unwrap_or_default();
                filter.kind_of(&line).map(|kind| {
                    let retry = Duration::from_millis(RETRY);
                    let event = Event::default().id(followed.token).retry(retry);
                    let event = if kind.is_empty() {
                        event
                    } else {
                        event.event(one_line(&kind))
                    };
                    event.data(one_line(&String::from_utf8_lossy(&line)))
                })
            }
        };
        futures::future::ready(event.map(Ok::<_, Infallible>))
    });
    let heartbeat = u64::try_from(api.server().heartbeat.0).unwrap_or(15_000);
    let alive = KeepAlive::new()
        .interval(Duration::from_millis(heartbeat))
        .text("alive");
    let mut response = Sse::new(events).keep_alive(alive).into_response();
    // Some proxies hold a stream back until it is long enough, unless they are told not to.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Line breaks would end a field of an event early.
fn one_line(text: &str) -> String {
    text.replace(['\r', '\n', '\0'], " ")
}

/// A topic as NDJSON; the connection breaks when the log fails in the middle.
pub(super) async fn tail(
    State(api): State<Api>,
    Place(name): Place,
    Ask(wanted): Ask<Wanted>,
) -> Result<Response, Problem> {
    let alarms: &[&str] = &["raised", "updated", "cleared"];
    let (topic, kinds) = match name.as_str() {
        "results" => (TailTopic::Results, &[][..]),
        "alarms" => (TailTopic::Results, alarms),
        "changes" => (TailTopic::Changes, &[][..]),
        "late" => (TailTopic::Late, &[][..]),
        "dlq" => (TailTopic::DeadLetters, &[][..]),
        "actions" => (TailTopic::Actions, &[][..]),
        other => {
            let detail = format!(
                "there is no topic `{other}`: `results`, `alarms`, `changes`, `late`, `dlq`, `actions`"
            );
            return Err(Problem::new(super::problem::ProblemKind::NotFound, detail));
        }
    };
    let of_alarms = !kinds.is_empty();
    let start = wanted.start(Start::At(TailFrom::Latest))?;
    let stop_at_end = wanted.stop_at_end;
    let filter = wanted.filter(kinds);
    let filtered = filter.rule.is_some() || filter.resource.is_some() || !filter.kinds.is_empty();
    let lines = follow(&api, topic, start, stop_at_end)?.filter_map(move |followed| {
        let line = match followed {
            Err(error) => {
                tracing::warn!(%error, "a tail ended early");
                Some(Err(error))
            }
            Ok(followed) => {
                let value = followed.entry.record.value.clone().unwrap_or_default();
                let record = &followed.entry.record;
                let wanted = (!filtered || filter.kind_of(&value).is_some())
                    && (!of_alarms || record.header(ALARM_HEADER).is_some());
                wanted.then(|| Ok(line_of(topic, &followed.entry)))
            }
        };
        futures::future::ready(line)
    });
    let mut response = Body::from_stream(lines).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    );
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// A line of a tail, with its end: the body as it stands in the log where that is ours, otherwise the record around it.
fn line_of(topic: TailTopic, entry: &TailEntry) -> Bytes {
    let own = entry.record.value.as_ref().filter(|value| {
        topic != TailTopic::DeadLetters && value.first() == Some(&b'{') && !value.contains(&b'\n')
    });
    let mut line = match own {
        Some(value) => value.to_vec(),
        None => dead_letter(entry).to_string().into_bytes(),
    };
    line.push(b'\n');
    Bytes::from(line)
}

/// A record that could not be used, with the reason and its place.
pub(super) fn dead_letter(entry: &TailEntry) -> Value {
    let record = &entry.record;
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let header = |name: &str| record.header(name).map(text);
    let number = |name: &str| header(name).and_then(|text| text.parse::<i64>().ok());
    let headers: Map<String, Value> = record
        .headers
        .iter()
        .filter(|(name, _)| !name.starts_with("dlq."))
        .map(|(name, value)| (name.to_string(), Value::from(text(value))))
        .collect();
    let (value, hex) = value_of(record);
    let mut letter = json!({
        "id": format!("{}:{}", entry.partition, entry.offset),
        "time": Timestamp(record.timestamp).to_string(),
        "reason": header("dlq.reason"),
        "source": {
            "topic": header("dlq.source-topic"),
            "partition": number("dlq.partition"),
            "offset": number("dlq.offset"),
        },
        "key": record.key.as_ref().map(text),
        "headers": headers,
        "value": value,
    });
    if let (Some(hex), Some(letter)) = (hex, letter.as_object_mut()) {
        letter.insert("valueHex".to_owned(), Value::from(hex));
    }
    letter
}

/// A body as text; as hexadecimal when it is none.
fn value_of(record: &Record) -> (Option<String>, Option<String>) {
    match &record.value {
        None => (None, None),
        Some(value) => match std::str::from_utf8(value) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (
                None,
                Some(value.iter().map(|byte| format!("{byte:02x}")).collect()),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_letters_show_reason_place_and_body() {
        let record = Record::new("r1", &b"\xff{"[..])
            .with_header("content-type", "application/json")
            .with_header("dlq.reason", "not JSON")
            .with_header("dlq.source-topic", "tidegate.inbox")
            .with_header("dlq.offset", "17");
        let entry = TailEntry {
            partition: 3,
            offset: 9,
            record,
        };
        let letter = dead_letter(&entry);
        assert_eq!(letter["id"], "3:9");
        assert_eq!(letter["reason"], "not JSON");
        assert_eq!(letter["source"]["offset"], 17);
        assert_eq!(
            letter["headers"],
            json!({ "content-type": "application/json" })
        );
        assert_eq!(
            (&letter["value"], &letter["valueHex"]),
            (&Value::Null, &json!("ff7b"))
        );
    }

    #[test]
    fn lines_of_ours_stay_as_they_are() {
        let entry = |value: &'static [u8]| TailEntry {
            partition: 0,
            offset: 0,
            record: Record::new("k", value),
        };
        assert_eq!(
            line_of(TailTopic::Results, &entry(b"{\"a\": 1.0}")),
            &b"{\"a\": 1.0}\n"[..]
        );
        assert!(line_of(TailTopic::DeadLetters, &entry(b"{}")).starts_with(b"{\"id\":\"0:0\""));
        assert!(line_of(TailTopic::Late, &entry(b"a\nb")).starts_with(b"{\"id\":\"0:0\""));
    }

    #[test]
    fn filters_take_rule_resource_and_kind() {
        let line = br#"{"rule":"a","resource":"r","kind":"raised"}"#;
        let filter = |rule: &str, kinds: &[&str]| Filter {
            rule: (!rule.is_empty()).then(|| rule.to_owned()),
            resource: None,
            kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        };
        assert_eq!(filter("", &[]).kind_of(line).as_deref(), Some("raised"));
        assert_eq!(
            filter("a", &["raised", "cleared"]).kind_of(line).as_deref(),
            Some("raised")
        );
        assert_eq!(filter("b", &[]).kind_of(line), None);
        assert_eq!(filter("", &["window"]).kind_of(line), None);
        assert_eq!(filter("", &[]).kind_of(b"?").as_deref(), Some(""));
    }
}
