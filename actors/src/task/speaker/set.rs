//! `set`: an event of another resource that a rule makes, on its way to the inbox of that resource's shard.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_proto::json::write_text;
use tidegate_proto::record::{DEPTH_HEADER, KIND_HEADER, Record, SET, partition_of};
use tidegate_proto::rule::FormulaText;

use super::Speaker;
use crate::actor::{Body, Effect, Turn};
use crate::epoch::Destination;

impl Speaker<'_> {
    /// Makes the event; one with no values is none, and one too many in a row is a dead letter.
    pub(super) fn set(
        &self,
        values: &[(Arc<str>, FormulaText)],
        texts: std::ops::Range<usize>,
        turn: &mut Turn,
    ) {
        let rendered = self.outcome.texts.get(texts).unwrap_or_default();
        let Some((resource, rendered)) = rendered.split_first() else {
            return;
        };
        let named = values.iter().map(|(name, _)| name).zip(rendered);
        let named: Vec<_> = named
            .filter(|(_, text)| !matches!(text.as_ref(), "" | "null"))
            .collect();
        if named.is_empty() {
            return;
        }
        let body = self.event(resource, named.into_iter());
        let (depth, most) = self.depth;
        let mut record = Record::new(resource.as_bytes().to_vec(), body.into_bytes());
        let mut destination =
            Destination::Signal(partition_of(resource.as_bytes(), turn.partitions()));
        let rule = &self.outcome.rule;
        // What a template has no value for it writes as `null`.
        if matches!(resource.as_ref(), "" | "null") {
            let reason = format!("`set` of the rule `{rule}` names no resource");
            record = record.with_header("dlq.reason", reason);
            destination = Destination::DeadLetters;
        } else if depth >= most {
            let reason = format!(
                "`set` of the rule `{rule}` follows {depth} others in a row: a rule that causes itself would never end (`limits.set_depth`)"
            );
            record = record.with_header("dlq.reason", reason);
            destination = Destination::DeadLetters;
        } else {
            record = record
                .with_header(KIND_HEADER, SET)
                .with_header(DEPTH_HEADER, (depth + 1).to_string());
        }
        turn.emit(Effect {
            destination,
            key: Bytes::new(),
            body: Body::Whole(Bytes::new()),
            headers: Vec::new(),
            whole: Some(record),
            trigger: self.outcome.trigger,
            order: Some(Arc::clone(self.order)),
        });
    }

    /// The event as its line.
    fn event<'t>(
        &self,
        resource: &str,
        named: impl Iterator<Item = (&'t Arc<str>, &'t Arc<str>)>,
    ) -> String {
        let mut body = String::from("{\"resource\":");
        write_text(resource, &mut body);
        body.push_str(&format!(",\"time\":{},\"values\":{{", self.outcome.time.0));
        for (index, (name, text)) in named.enumerate() {
            if index > 0 {
                body.push(',');
            }
            write_text(name, &mut body);
            body.push(':');
            body.push_str(text);
        }
        body.push_str("}}");
        body
    }
}
