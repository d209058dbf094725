//! The end of an event: resource and time from wherever they stand, and the row in the batch.

use std::borrow::Cow;
use std::sync::Arc;

use crate::batch::Attributes;
use crate::decode::element::{Walk, brief};
use crate::decode::moment;
use crate::decode::profile::FieldSource;
use crate::id::{RESOURCE_ID_BYTES, is_resource_id};
use crate::record::partition_of;
use crate::time::TimeError;

/// A name that an event gives: 1 to 256 bytes without control characters, as resource ids are.
fn checked(what: &str, text: &str) -> Result<(), String> {
    if is_resource_id(text) {
        return Ok(());
    }
    let text = brief(text);
    Err(format!(
        "`{text}` is not {what}: 1 to {RESOURCE_ID_BYTES} bytes without control characters"
    ))
}

impl<'a> Walk<'_, 'a> {
    /// Makes the event a row; its metrics are in their columns already.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        if let Some(fault) = self.event.fault.take() {
            return Err(fault);
        }
        let time = self.time()?;
        let id = self.id()?;
        self.checked_attributes()?;
        let resource = self.resource()?;
        let batch = &mut *self.sink.batch;
        batch.resource.push(resource);
        batch.time.push(time);
        batch.arrival.push(self.source.record.timestamp);
        batch.source.push(self.source.source);
        batch.offset.push(self.source.offset);
        batch.record.push(self.source.index);
        if let Some(id) = id {
            batch.ids.push((self.row, id));
        }
        if let Some(said) = self.event.said.take()
            && !is_silent(&said.attributes)
        {
            batch.attributes.push((self.row, said.attributes));
        }
        self.row += 1;
        Ok(())
    }

    fn checked_attributes(&self) -> Result<(), String> {
        let Some(said) = &self.event.said else {
            return Ok(());
        };
        let attributes = &said.attributes;
        for name in attributes.kind.iter().chain(&attributes.parent) {
            checked("a type or a parent", name)?;
        }
        for (name, _) in &attributes.labels {
            checked("a label", name)?;
        }
        for (name, _) in &attributes.meta {
            checked("a metadata field", name)?;
        }
        Ok(())
    }

    fn header(&self, name: &str) -> Result<Option<&'a str>, String> {
        match self
            .source
            .record
            .header(name)
            .map(|value| std::str::from_utf8(value))
        {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(format!("header `{}` is not UTF-8", brief(name))),
        }
    }

    fn key(&self) -> Result<Option<&'a str>, String> {
        match self.source.record.key.as_deref().map(std::str::from_utf8) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err("the key of the record is not UTF-8".to_owned()),
        }
    }

    /// What the profile says, then the CloudEvents subject, then the key.
    fn resource(&mut self) -> Result<u32, String> {
        let said = match (&self.profile.resource, &self.event.resource) {
            (FieldSource::Path(_), Some(Cow::Borrowed(id))) => Some(Cow::Borrowed(*id)),
            (FieldSource::Path(_), _) => self.event.resource.take(),
            (FieldSource::Header(name), _) => self.header(name)?.map(Cow::Borrowed),
            (FieldSource::Key, _) => self.key()?.map(Cow::Borrowed),
        };
        let said = match said {
            Some(id) => Some(id),
            None => self.subject(),
        };
        let id = match said {
            Some(id) => id,
            None => match self.key()? {
                Some(key) => Cow::Borrowed(key),
                None => {
                    let place = &self.profile.resource;
                    return Err(format!("no resource: neither `{place}` nor a key is there"));
                }
            },
        };
        if let Some(known) = self.sink.resources.get(&id) {
            return Ok(known);
        }
        checked("a resource id", &id)?;
        if self.sink.resources.len() >= self.limits.resources {
            let most = self.limits.resources;
            return Err(format!("more than {most} resources in this shard"));
        }
        self.at_home(&id)?;
        Ok(self.sink.resources.intern(&id))
    }

    /// A resource lives in one shard: in a topic that is read in place, the partition of its records must be that one.
    fn at_home(&self, id: &str) -> Result<(), String> {
        let Some(home) = self.home else {
            return Ok(());
        };
        let wanted = partition_of(id.as_bytes(), home.partitions);
        if wanted == home.shard {
            return Ok(());
        }
        Err(format!(
            "resource `{}` belongs to partition {wanted} (murmur2 of its id, as Java's partitioner), its record is in partition {}: key the records by it, or write `keyed: false` in the source",
            brief(id),
            home.shard
        ))
    }

    /// The subject of a CloudEvent.
    fn subject(&mut self) -> Option<Cow<'a, str>> {
        let said = self.event.said.as_mut();
        said.and_then(|said| said.subject.take())
            .or(self.outer.subject.map(Cow::Borrowed))
    }

    /// What the profile says, then the CloudEvents time, then the record's timestamp.
    fn time(&self) -> Result<i64, String> {
        let parse = |place: &str, text: &str| {
            moment::from_text(text).ok_or_else(|| {
                let error = TimeError::Timestamp(text.chars().take(64).collect());
                format!("`{place}`: {error}")
            })
        };
        match &self.profile.time {
            FieldSource::Path(_) => {
                if let Some(time) = self.event.time {
                    return Ok(time);
                }
            }
            FieldSource::Header(name) => {
                if let Some(text) = self.header(name)? {
                    return parse(name, text);
                }
            }
            FieldSource::Key => {
                if let Some(text) = self.key()? {
                    return parse("key", text);
                }
            }
        }
        if let Some(time) = self.event.said.as_ref().and_then(|said| said.time) {
            return Ok(time);
        }
        if let Some(text) = self.outer.time {
            return parse("ce_time", text);
        }
        match self.source.record.timestamp {
            i64::MIN => Err(format!("no time: `{}` is not there", self.profile.time)),
            stamp => Ok(stamp),
        }
    }

    /// The event's own id, then that of its CloudEvents envelope.
    fn id(&mut self) -> Result<Option<Arc<str>>, String> {
        let envelope = self.event.said.as_ref().and_then(|said| said.id.as_deref());
        let id = match self.event.id.take() {
            Some(id) => Some(id),
            None => envelope.or(self.outer.id).map(Arc::from),
        };
        if let Some(id) = &id {
            checked("an event id", id)?;
        }
        Ok(id)
    }
}

/// Whether an event says nothing about its resource beside its metrics.
fn is_silent(attributes: &Attributes) -> bool {
    attributes.kind.is_none()
        && attributes.parent.is_none()
        && attributes.labels.is_empty()
        && attributes.meta.is_empty()
}
