//! [`rekey`]: records of any topic to records of `inbox`, keyed by resource, each with where it comes from. Pure.

use std::sync::Arc;

use tidegate_actors::source::{ORIGIN_HEADER, Origin};
use tidegate_proto::batch::{Attributes, EventBatch, MetricColumn};
use tidegate_proto::decode::{
    DecodeLimits, Decoder, SourceFormat, SourceProfile, SourceRecord, Undecodable,
};
use tidegate_proto::id::Names;
use tidegate_proto::json::write_text;
use tidegate_proto::record::{ID_HEADER, Offset, Partition, Record, partition_of};

/// Where records come from and how they are read.
#[derive(Clone, Debug)]
pub(super) struct From {
    /// Name of the source.
    pub(super) source: Arc<str>,
    /// Generation of its reading.
    pub(super) generation: u64,
    /// Its topic.
    pub(super) topic: Arc<str>,
    /// Partition of the topic.
    pub(super) partition: Partition,
    /// How records are read once they have a form that a decoder reads.
    pub(super) profile: SourceProfile,
}

/// A record of the source, as it came and as the decoder reads it.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) offset: Offset,
    pub(super) record: Record,
    /// The body that the decoder reads, if it is not the record's own; or why there is none.
    pub(super) body: Option<Result<bytes::Bytes, String>>,
}

/// What becomes of records: events by partition of `inbox`, in order, and dead letters.
#[derive(Debug, Default)]
pub(super) struct Rekeyed {
    pub(super) events: Vec<(Partition, Record)>,
    pub(super) dead: Vec<Record>,
}

/// Makes events of records.
pub(super) fn rekey(from: &From, reads: &[Read], partitions: u32) -> Rekeyed {
    let mut profile = from.profile.clone();
    if !profile.format.is_self_contained() {
        profile.format = SourceFormat::Json;
    }
    let mut decoder = Decoder::new(DecodeLimits::default(), profile);
    let (mut resources, mut metrics) = (Names::default(), Names::default());
    let (mut batch, mut bad) = (EventBatch::default(), Vec::new());
    for (index, read) in (0_u32..).zip(reads) {
        let made;
        let record = match &read.body {
            None => &read.record,
            Some(Ok(body)) => {
                made = Record {
                    value: Some(body.clone()),
                    ..read.record.clone()
                };
                &made
            }
            Some(Err(reason)) => {
                bad.push(Undecodable {
                    index,
                    element: None,
                    reason: reason.clone(),
                });
                continue;
            }
        };
        let place = SourceRecord {
            source: 0,
            offset: read.offset,
            record,
            index,
        };
        decoder.decode(place, &mut resources, &mut metrics, &mut batch, &mut bad);
    }
    let mut rekeyed = Rekeyed {
        events: events(from, &batch, &resources, &metrics, partitions),
        dead: Vec::new(),
    };
    for (number, bad) in bad.iter().enumerate() {
        if let Some(read) = reads.get(bad.index as usize) {
            rekeyed.dead.push(dead(from, read, bad, number));
        }
    }
    rekeyed
}

fn events(
    from: &From,
    batch: &EventBatch,
    resources: &Names,
    metrics: &Names,
    partitions: u32,
) -> Vec<(Partition, Record)> {
    let mut cursors = vec![0_usize; batch.metrics.len()];
    let mut attributes = batch.attributes.iter().peekable();
    let mut ids = batch.ids.iter().peekable();
    let mut last = None;
    let mut element = 0;
    let mut out = Vec::with_capacity(batch.len());
    for (row, resource) in (0_u32..).zip(&batch.resource) {
        let at = row as usize;
        let offset = batch.offset.get(at).copied().unwrap_or_default();
        element = if last == Some(offset) { element + 1 } else { 0 };
        last = Some(offset);
        let resource = resources.text(*resource).map_or("", AsRef::as_ref);
        let mut body = String::with_capacity(160);
        body.push_str("{\"resource\":");
        write_text(resource, &mut body);
        let time = batch.time.get(at).copied().unwrap_or_default();
        body.push_str(&format!(",\"time\":{time},\"id\":"));
        match ids.next_if(|(of, _)| *of == row) {
            Some((_, id)) => write_text(id, &mut body),
            None => write_text(&cause(from, offset, element), &mut body),
        }
        if let Some((_, said)) = attributes.next_if(|(of, _)| *of == row) {
            write_attributes(said, &mut body);
        }
        body.push_str(",\"values\":{");
        write_values(&batch.metrics, &mut cursors, row, metrics, &mut body);
        body.push_str("}}");
        let origin = Origin {
            source: Arc::clone(&from.source),
            generation: from.generation,
            partition: from.partition,
            offset,
            element,
        };
        let record = Record::new(resource.as_bytes().to_vec(), body)
            .with_header(ORIGIN_HEADER, origin.to_header());
        out.push((partition_of(resource.as_bytes(), partitions), record));
    }
    out
}

/// What a result names as its cause when the event has no id of its own: its place in the user's topic.
fn cause(from: &From, offset: Offset, element: u32) -> String {
    let place = format!("{}/{}/{offset}", from.topic, from.partition);
    if element > 0 {
        format!("{place}#{element}")
    } else {
        place
    }
}

fn write_values(
    columns: &[MetricColumn],
    cursors: &mut [usize],
    row: u32,
    metrics: &Names,
    out: &mut String,
) {
    let mut first = true;
    for (column, cursor) in columns.iter().zip(cursors) {
        if column.rows.get(*cursor) != Some(&row) {
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        write_text(metrics.text(column.metric).map_or("", AsRef::as_ref), out);
        out.push(':');
        column.value(*cursor).write_json(out);
        *cursor += 1;
    }
}

fn write_attributes(said: &Attributes, out: &mut String) {
    for (name, value) in [("type", &said.kind), ("parent", &said.parent)] {
        if let Some(value) = value {
            out.push_str(&format!(",\"{name}\":"));
            write_text(value, out);
        }
    }
    let labels = said.labels.iter().map(|(name, value)| (name, Some(value)));
    write_object("labels", labels, out);
    let meta = said.meta.iter().map(|(name, value)| (name, value.as_ref()));
    write_object("meta", meta, out);
}

fn write_object<'a>(
    name: &str,
    entries: impl Iterator<Item = (&'a Arc<str>, Option<&'a Arc<str>>)>,
    out: &mut String,
) {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return;
    }
    out.push_str(&format!(",\"{name}\":{{"));
    for (place, (name, value)) in entries.enumerate() {
        if place > 0 {
            out.push(',');
        }
        write_text(name, out);
        out.push(':');
        match value {
            Some(value) => write_text(value, out),
            None => out.push_str("null"),
        }
    }
    out.push('}');
}

/// A record that cannot be used: as it came, with the reason and its place.
fn dead(from: &From, read: &Read, bad: &Undecodable, number: usize) -> Record {
    let reason = match bad.element {
        Some(element) => format!("element {element}: {}", bad.reason),
        None => bad.reason.clone(),
    };
    let mut dead = read.record.clone();
    dead.timestamp = 0;
    let id = format!(
        "{}-{}-{number}",
        cause(from, read.offset, 0),
        from.generation
    );
    dead.with_header("dlq.reason", reason)
        .with_header("dlq.source-topic", from.topic.as_bytes().to_vec())
        .with_header("dlq.partition", from.partition.to_string())
        .with_header("dlq.offset", read.offset.to_string())
        .with_header(ID_HEADER, id)
}
