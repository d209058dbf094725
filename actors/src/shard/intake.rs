//! Records in: events to rows, rows through rules and twins; commands and signals to their actors.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_operators::Pipeline;
use tidegate_proto::batch::EventBatch;
use tidegate_proto::decode::SourceRecord;
use tidegate_proto::json::write_text;
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::{KIND_HEADER, Record, SET};
use tidegate_proto::resource::Traits;
use tidegate_proto::time::Timestamp;

use super::reached::Runner;
use super::{Shard, Work};
use crate::actor::{Body, take_turn};
use crate::command::{COMMAND, SIGNAL};
use crate::epoch::{Destination, IntakeRecord};
use crate::parcel::PARCEL;
use crate::resource::ResourceMessage;

/// Header of a record that came with an idempotency key: unique per record of the request.
pub const ONCE_HEADER: &str = "tg-once";
/// Header of an event that only one rule shall take: the others have had it already, and so has the twin.
pub const ONLY_HEADER: &str = "tg-only";

/// What a record of the inbox is.
enum Kind {
    Event,
    Command,
    Signal,
    Parcel,
    Set,
    Unknown,
}

fn kind(record: &Record) -> Kind {
    if record.headers.is_empty() {
        return Kind::Event;
    }
    match record.header(KIND_HEADER).map(Bytes::as_ref) {
        None => Kind::Event,
        Some(kind) if kind == COMMAND.as_bytes() => Kind::Command,
        Some(kind) if kind == SIGNAL.as_bytes() => Kind::Signal,
        Some(kind) if kind == PARCEL.as_bytes() => Kind::Parcel,
        Some(kind) if kind == SET.as_bytes() => Kind::Set,
        Some(_) => Kind::Unknown,
    }
}

impl Shard {
    /// Takes the records of an intake in their order.
    pub(super) fn take(&mut self, records: &[IntakeRecord]) {
        self.work.batch = EventBatch::default();
        for (index, record) in (0_u32..).zip(records) {
            // Only the inbox is written by doors and shards: what stands in headers elsewhere is the user's.
            let is_ours = record.source == 0;
            if is_ours && self.is_repeat(&record.record) {
                self.state.counters.repeats += 1;
                continue;
            }
            if self.bar(index, records) {
                continue;
            }
            let kind = if is_ours {
                kind(&record.record)
            } else {
                Kind::Event
            };
            match kind {
                Kind::Event => self.decode(index, record),
                Kind::Command => {
                    self.flush(records);
                    self.command(index, record);
                }
                Kind::Signal => {
                    self.flush(records);
                    self.signal(index, record);
                }
                Kind::Set => {
                    if self.is_old(record) {
                        self.state.counters.repeats += 1;
                    } else {
                        self.note_depth(index, &record.record);
                        self.decode(index, record);
                    }
                }
                Kind::Parcel => {
                    self.flush(records);
                    self.note_depth(index, &record.record);
                    self.gather(index, record);
                }
                Kind::Unknown => {
                    self.dead(
                        record,
                        Trigger::Record(index),
                        "the header `tg-kind` has a value that nobody knows",
                    );
                }
            }
            self.unbar(records);
        }
        self.flush(records);
    }

    fn is_repeat(&mut self, record: &Record) -> bool {
        if record.headers.is_empty() {
            return false;
        }
        let Some(id) = record
            .header(ONCE_HEADER)
            .and_then(|id| std::str::from_utf8(id).ok())
        else {
            return self.is_passed(record);
        };
        !self.state.once.is_first(id, self.settings.remembered)
    }

    fn decode(&mut self, index: u32, record: &IntakeRecord) {
        let source = SourceRecord {
            source: record.source,
            offset: record.offset,
            record: &record.record,
            index,
        };
        self.decoder.decode(
            source,
            self.state.registry.names(),
            &mut self.state.metrics,
            &mut self.work.batch,
            &mut self.work.bad,
        );
    }

    /// Takes the rows decoded so far: everything before the next command or signal, or the end of the intake.
    pub(super) fn flush(&mut self, records: &[IntakeRecord]) {
        for bad in std::mem::take(&mut self.work.bad) {
            let Some(record) = records.get(bad.index as usize) else {
                continue;
            };
            let reason = match bad.element {
                Some(element) => format!("element {element}: {}", bad.reason),
                None => bad.reason,
            };
            self.dead(record, Trigger::Record(bad.index), &reason);
        }
        if self.work.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.work.batch);
        self.state.counters.events += batch.len() as u64;
        self.work.rows += batch.len();
        self.rows(&batch, records);
        self.settle();
        self.late_records(records);
        self.work.batch = EventBatch::default();
    }

    /// Cuts the rows where a resource changes what it is, or where a row lies in the future, and takes the pieces.
    fn rows(&mut self, batch: &EventBatch, records: &[IntakeRecord]) {
        let fresh = self.discover(batch);
        let mut start = 0;
        let mut attributes = batch.attributes.iter().peekable();
        // A backlog is read with a clock from before it: what its rows may not be ahead of is their own arrival.
        let clock = self.now().0;
        let future = self.settings.future.0;
        let far = |time: i64, arrival: i64| {
            let known = clock.max(arrival);
            known != i64::MIN && time > known.saturating_add(future)
        };
        let mut places = batch.time.iter().zip(&batch.arrival);
        let any_far = places.any(|(time, arrival)| far(*time, *arrival));
        let mut cuts: Vec<usize> = batch
            .attributes
            .iter()
            .map(|(row, _)| *row as usize)
            .collect();
        if any_far {
            let places = batch.time.iter().zip(&batch.arrival).enumerate();
            cuts.extend(
                places
                    .filter(|(_, (time, arrival))| far(**time, **arrival))
                    .map(|(row, _)| row),
            );
            cuts.sort_unstable();
            cuts.dedup();
        }
        self.cut_shut(batch, &mut cuts);
        for row in cuts {
            let said = attributes
                .next_if(|(at, _)| *at as usize == row)
                .map(|(_, said)| said);
            let place = batch.time.get(row).zip(batch.arrival.get(row));
            let is_far = place.is_some_and(|(time, arrival)| far(*time, *arrival));
            let resource = batch.resource.get(row).copied().unwrap_or_default();
            if self.is_shut(resource).is_some() {
                self.rows_between(batch, start, row);
                self.refuse(batch, row, records);
                start = row + 1;
            } else if is_far {
                self.rows_between(batch, start, row);
                self.future(batch, row, records);
                start = row + 1;
            } else if let Some(said) = said
                && let Some(own) = self.state.registry.merged(resource, said)
            {
                // A resource whose first row this is has no rows before it: no cut is needed.
                if fresh.binary_search(&(resource, row)).is_err() {
                    self.rows_between(batch, start, row);
                    start = row;
                }
                let trigger = Trigger::Record(batch.record.get(row).copied().unwrap_or_default());
                self.describe(resource, own, trigger);
            }
        }
        self.rows_between(batch, start, batch.len());
    }

    /// Makes every resource of the batch exist; answers with the new ones and their first rows, sorted.
    fn discover(&mut self, batch: &EventBatch) -> Vec<(u32, usize)> {
        let mut fresh = Vec::new();
        for (row, resource) in batch.resource.iter().enumerate() {
            if !self.state.registry.is_known(*resource) {
                self.state.registry.discover(*resource, self.now());
                fresh.push((*resource, row));
                let trigger = Trigger::Record(batch.record.get(row).copied().unwrap_or_default());
                self.describe(*resource, Traits::default(), trigger);
            }
        }
        fresh.sort_unstable();
        fresh
    }

    fn rows_between(&mut self, batch: &EventBatch, start: usize, end: usize) {
        if start >= end {
            return;
        }
        if self.work.watch.careful && end - start > 1 {
            return (start..end).for_each(|row| self.rows_between(batch, row, row + 1));
        }
        let (
            Work {
                watch, outcomes, ..
            },
            registry,
        ) = (&mut self.work, &self.state.registry);
        if watch.barred.is_empty() {
            self.pipeline.push(batch, start..end, registry, outcomes);
        } else {
            let rows = |rules: &mut Pipeline| rules.push(batch, start..end, registry, outcomes);
            self.pipeline.without(&watch.barred, rows);
        }
        if watch.only {
            return;
        }
        self.share_rows(batch, &(start..end));
        self.reach_with_rows(Runner::Own, batch, start);
        let watch = &mut self.work.watch;
        watch.twin = batch.resource.get(start).copied();
        self.break_twin(batch, start..end);
        let heard = self.state.registry.take_rows(batch, start, end, self.now());
        self.work.watch.twin = None;
        for heard in heard {
            let trigger = Trigger::Record(batch.record.get(heard.row).copied().unwrap_or_default());
            let id = self.state.registry.id(heard.resource);
            let due = heard.arrival.saturating_add(self.settings.pipeline.idle.0);
            self.state.silence.insert((due, heard.resource));
            let message = if heard.first {
                ResourceMessage::Discovered { id: &id }
            } else {
                ResourceMessage::Back {
                    id: &id,
                    at: Timestamp(heard.arrival),
                }
            };
            self.resource_turn(heard.resource, message, trigger);
        }
    }

    /// One supervised turn of a resource.
    pub(super) fn resource_turn(
        &mut self,
        resource: u32,
        message: ResourceMessage<'_>,
        trigger: Trigger,
    ) {
        if self.is_shut(resource).is_some() {
            return;
        }
        let turn = self.turn(trigger);
        let clock = self.now();
        let Some(actor) = self.state.registry.activate(resource, clock) else {
            return;
        };
        match take_turn(actor, message, turn) {
            Ok(effects) => self.work.effects.extend(effects),
            Err(error) => self.strike_resource(resource, &error.to_string(), trigger, None),
        }
    }

    /// A row too far past the clock: kept on the late lane, its resource untouched.
    fn future(&mut self, batch: &EventBatch, row: usize, records: &[IntakeRecord]) {
        self.state.counters.future += 1;
        let index = batch.record.get(row).copied().unwrap_or_default();
        let Some(record) = records.get(index as usize) else {
            return;
        };
        let resource = batch.resource.get(row).copied().unwrap_or_default();
        let id = self.state.registry.id(resource);
        let time = Timestamp(batch.time.get(row).copied().unwrap_or_default());
        let body = self.late_body(&id, time, "future", None, record);
        let mut turn = self.turn(Trigger::Record(index));
        turn.plain(Destination::Late, &id, Body::Whole(body.into()));
        self.work.effects.extend(turn.into_effects());
    }

    /// The late lane's record of a row: who, when, why, which rule missed it, and the event as it came.
    pub(super) fn late_body(
        &self,
        id: &str,
        time: Timestamp,
        reason: &str,
        rule: Option<(&str, &str)>,
        record: &IntakeRecord,
    ) -> String {
        let mut out = String::with_capacity(256);
        out.push_str("{\"resource\":");
        write_text(id, &mut out);
        out.push_str(&format!(",\"time\":\"{time}\",\"reason\":\"{reason}\""));
        if let Some((rule, values)) = rule {
            out.push_str(",\"rule\":");
            write_text(rule, &mut out);
            out.push_str(",\"missed\":");
            out.push_str(values);
        }
        let source = self.topic(record.source);
        out.push_str(",\"source\":{\"topic\":");
        write_text(source, &mut out);
        out.push_str(&format!(
            ",\"partition\":{},\"offset\":{}}},\"record\":",
            self.settings.shard, record.offset
        ));
        let text = record
            .record
            .value
            .as_ref()
            .and_then(|value| std::str::from_utf8(value).ok());
        write_text(text.unwrap_or_default(), &mut out);
        out.push('}');
        out
    }

    /// A record that cannot be used: kept as it came, with the reason and its place.
    pub(super) fn dead(&mut self, record: &IntakeRecord, trigger: Trigger, reason: &str) {
        self.letter(Some(record), trigger, reason, &[]);
    }

    /// A record as its dead letter.
    pub(super) fn dead_record(&self, record: &IntakeRecord, reason: &str) -> Record {
        let source = self.topic(record.source);
        let mut dead = record.record.clone();
        dead.timestamp = 0;
        dead.with_header("dlq.reason", reason.to_owned())
            .with_header("dlq.source-topic", source.to_owned())
            .with_header("dlq.partition", self.settings.shard.to_string())
            .with_header("dlq.offset", record.offset.to_string())
    }

    /// The clock moved: who was not heard of for `idle` is silent now.
    pub(super) fn fall_silent(&mut self, clock: Timestamp) {
        let idle = self.settings.pipeline.idle.0;
        while let Some((due, resource)) = self
            .state
            .silence
            .first()
            .copied()
            .filter(|(due, _)| *due <= clock.0)
        {
            self.state.silence.remove(&(due, resource));
            let Some(actor) = self
                .state
                .registry
                .look(resource)
                .filter(|actor| actor.online)
            else {
                continue;
            };
            let silent_at = actor.last_seen.saturating_add(idle);
            if silent_at > clock.0 {
                self.state.silence.insert((silent_at, resource));
                continue;
            }
            let id: Arc<str> = self.state.registry.id(resource);
            let message = ResourceMessage::Silent {
                id: &id,
                at: Timestamp(silent_at),
            };
            self.resource_turn(resource, message, Trigger::Clock);
        }
    }
}
