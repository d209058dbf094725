//! [`ActionRecord`]: what a shard writes to the actions topic for a handler, and what becomes of it on the way out.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidegate_actors::command::Signal;
use tidegate_actors::port::Delivery;
use tidegate_proto::outcome::OutcomeKind;
use tidegate_proto::record::Record;
use tidegate_proto::time::Timestamp;

/// Value of a record of the actions topic: one call of one handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionRecord {
    /// Id from cause, `shard-epoch-sequence`, also in the header `ce_id`: the idempotency key.
    pub id: String,
    /// Name of the handler.
    pub handler: String,
    /// Rule that asks for it.
    pub rule: String,
    /// Task id.
    pub task: String,
    /// Resource of the task.
    pub resource: String,
    /// Group of the task; empty without `by`.
    #[serde(default)]
    pub group: String,
    /// Event time, epoch ms.
    pub time: Timestamp,
    /// Kind of the line that caused it.
    pub kind: OutcomeKind,
    /// Rendered arguments by name, in the order written.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// The result line.
    #[serde(default)]
    pub result: Value,
}

/// Why a record of the actions topic is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// A tombstone.
    #[error("an action without a body")]
    Empty,
    /// The body has another form.
    #[error("not an action: {0}")]
    Form(String),
}

/// Body that a handler gets; times print as everywhere.
#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    rule: &'a str,
    task: &'a str,
    resource: &'a str,
    time: String,
    kind: OutcomeKind,
    with: &'a Map<String, Value>,
    result: &'a Value,
}

impl ActionRecord {
    /// Reads the value of a record.
    ///
    /// # Errors
    /// When it is empty or has another form.
    pub fn decode(record: &Record) -> Result<Self, ActionError> {
        let value = record.value.as_ref().ok_or(ActionError::Empty)?;
        serde_json::from_slice(value).map_err(|error| ActionError::Form(error.to_string()))
    }

    /// What is handed to the sink.
    #[must_use]
    pub fn delivery(&self) -> Delivery {
        let body = Body {
            id: &self.id,
            rule: &self.rule,
            task: &self.task,
            resource: &self.resource,
            time: self.time.to_string(),
            kind: self.kind,
            with: &self.with,
            result: &self.result,
        };
        Delivery {
            id: self.id.clone(),
            body: serde_json::to_string(&body).unwrap_or_default(),
        }
    }

    /// The same without what only the delivery needs: what is held until the end is known.
    #[must_use]
    pub fn without_content(mut self) -> Self {
        self.with = Map::new();
        self.result = Value::Null;
        self
    }

    /// What is told to the task that asked for it.
    #[must_use]
    pub fn outcome(&self, error: Option<String>, attempts: u32) -> Signal {
        Signal::Delivered {
            action: self.id.clone(),
            rule: self.rule.clone(),
            resource: self.resource.clone(),
            group: self.group.clone(),
            error,
            attempts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"id":"7-1042-3","handler":"ops-mail","rule":"hot","task":"hot/b1","resource":"b1",
        "group":"","time":1767225600000,"kind":"raised","with":{"subject":"Boiler b1","body":"91.5"},
        "result":{"rule":"hot","values":{"mean":91.5},"window":null}}"#;

    #[test]
    fn an_action_is_read_and_handed_on_in_its_order() {
        let action = ActionRecord::decode(&Record::new("b1", TEXT)).unwrap();
        assert_eq!(action.kind, OutcomeKind::Raised);
        let delivery = action.delivery();
        assert_eq!(delivery.id, "7-1042-3");
        assert_eq!(
            delivery.body,
            r#"{"id":"7-1042-3","rule":"hot","task":"hot/b1","resource":"b1","time":"2026-01-01T00:00:00.000Z","kind":"raised","with":{"subject":"Boiler b1","body":"91.5"},"result":{"rule":"hot","values":{"mean":91.5},"window":null}}"#
        );
    }

    #[test]
    fn what_is_no_action_is_said() {
        let tombstone = Record::default();
        assert_eq!(ActionRecord::decode(&tombstone), Err(ActionError::Empty));
        let other = ActionRecord::decode(&Record::new("b1", r#"{"id":"1-1-1"}"#)).unwrap_err();
        assert!(
            other
                .to_string()
                .starts_with("not an action: missing field `handler`")
        );
    }
}
