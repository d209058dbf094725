//! Result lines: how an outcome prints, how its causes are named, and in which order lines stand.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::batch::EventRef;
use tidegate_proto::json::write_text;
use tidegate_proto::outcome::Outcome;

use crate::epoch::OutputOrder;

/// How an event without an own id is named as a cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CauseStyle {
    /// `line:N`: the events come from a file.
    Line,
    /// `TOPIC/PARTITION/OFFSET`; topics in the shard's order, and the partition.
    Log(Vec<Arc<str>>, u32),
}

impl CauseStyle {
    /// Name of an event.
    #[must_use]
    pub fn name(&self, event: &EventRef) -> String {
        match (&event.id, self) {
            (Some(id), _) => id.as_ref().to_owned(),
            (None, Self::Line) => format!("line:{}", event.offset),
            (None, Self::Log(topics, partition)) => {
                let topic = topics
                    .get(usize::from(event.source))
                    .map_or("?", AsRef::as_ref);
                format!("{topic}/{partition}/{}", event.offset)
            }
        }
    }
}

/// Where an outcome's line stands.
#[must_use]
pub fn order(outcome: &Outcome, resource: &str, causes: &CauseStyle) -> OutputOrder {
    OutputOrder {
        trigger: outcome.trigger,
        rule: Arc::clone(&outcome.rule),
        task: outcome.task(resource),
        window: outcome.window,
        kind: outcome.kind,
        revision: outcome.revision,
        cause: outcome
            .cause
            .iter()
            .map(|event| causes.name(event))
            .collect(),
    }
}

/// Appends the line of an outcome, without a line end: the fields of DESIGN section 5 in its order. Answers with where in it the
/// outcome's time stands.
pub fn line(
    outcome: &Outcome,
    resource: &str,
    order: &OutputOrder,
    out: &mut String,
) -> Range<usize> {
    let field = |name: &str, text: &str, out: &mut String| {
        out.push_str(name);
        write_text(text, out);
    };
    field("{\"rule\":", &outcome.rule, out);
    field(",\"task\":", &order.task, out);
    if outcome.resource == Outcome::NOWHERE {
        out.push_str(",\"resource\":null");
    } else {
        field(",\"resource\":", resource, out);
    }
    out.push_str(",\"time\":\"");
    let from = out.len();
    // Writing to a String cannot fail.
    let _ = write!(out, "{}", outcome.time);
    let time = from..out.len();
    field("\",\"kind\":", outcome.kind.word(), out);
    out.push_str(",\"values\":");
    match &outcome.values {
        None => out.push_str("null"),
        Some(values) => {
            out.push('{');
            for (index, (name, value)) in values.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_text(name, out);
                out.push(':');
                value.write_json(out);
            }
            out.push('}');
        }
    }
    match outcome.window {
        None => out.push_str(",\"window\":null"),
        Some((start, end)) => {
            let _ = write!(
                out,
                ",\"window\":{{\"start\":\"{start}\",\"end\":\"{end}\"}}"
            );
        }
    }
    let _ = write!(out, ",\"revision\":{},\"cause\":[", outcome.revision);
    for (index, cause) in order.cause.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(cause, out);
    }
    out.push_str("]}");
    time
}
