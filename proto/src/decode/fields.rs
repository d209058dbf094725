//! The fields of an event: what has a meaning of its own, labels and metadata, the envelope of a CloudEvent.

use std::borrow::Cow;
use std::sync::Arc;

use crate::decode::element::{Frame, Kind, Walk, brief};
use crate::decode::moment;
use crate::decode::profile::Role;
use crate::json::JsonError;
use crate::time::TimeError;

impl<'a> Walk<'_, 'a> {
    pub(super) fn event_field(
        &mut self,
        frame: Frame,
        key: &str,
    ) -> Result<Option<Frame>, JsonError> {
        let role = if frame.path == 0 {
            self.profile.role(key, frame.top)
        } else {
            self.scratch.extend(frame, key);
            self.profile.role(&self.scratch.path, false)
        };
        if role == Role::Other {
            return if frame.take {
                self.metric(frame, key)
            } else {
                self.search(frame, key)
            };
        }
        if self.is_twice(role as u32, key) {
            self.reader.skip()?;
            return Ok(None);
        }
        match role {
            Role::Resource => self.event.resource = self.word(key)?,
            Role::Time => self.event.time = self.moment(key)?,
            Role::Id => self.event.id = self.word(key)?.map(|id| Arc::from(id.as_ref())),
            Role::Kind => {
                let kind = self.word(key)?.map(|kind| Arc::from(kind.as_ref()));
                self.event.said().attributes.kind = kind;
            }
            Role::Parent => {
                let parent = self.word(key)?.map(|parent| Arc::from(parent.as_ref()));
                self.event.said().attributes.parent = parent;
            }
            Role::Values => return self.values(frame, key),
            Role::Labels => return self.attributes(frame, key, Kind::Labels),
            Role::Meta => return self.attributes(frame, key, Kind::Meta),
            Role::Other => {}
        }
        Ok(None)
    }

    /// A text, or a whole number as its text; `null` is none.
    fn word(&mut self, key: &str) -> Result<Option<Cow<'a, str>>, JsonError> {
        match self.reader.peek() {
            Some(b'"') => {
                if let Some(text) = self.reader.simple_text() {
                    return Ok(Some(Cow::Borrowed(text)));
                }
                return self.reader.text().map(Some);
            }
            Some(b'n') => return self.reader.null().map(|()| None),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.reader.number()?;
                if number.whole.is_some() {
                    return Ok(Some(Cow::Borrowed(number.text)));
                }
            }
            _ => drop(self.reader.skip()?),
        }
        self.fault(format!("`{key}` is not a text"));
        Ok(None)
    }

    fn moment(&mut self, key: &str) -> Result<Option<i64>, JsonError> {
        let (written, time) = match self.reader.peek() {
            Some(b'"') => {
                if let Some(text) = self.reader.simple_text() {
                    if let Some(time) = moment::common(text) {
                        return Ok(Some(time));
                    }
                    let time = moment::from_text(text);
                    return Ok(self.known_moment(key, text, time));
                }
                let text = self.reader.text()?;
                let time = moment::from_text(&text);
                (text, time)
            }
            Some(b'n') => return self.reader.null().map(|()| None),
            Some(b'-' | b'0'..=b'9') => {
                let number = self.reader.number()?;
                (Cow::Borrowed(number.text), moment::from_number(&number))
            }
            _ => (Cow::Borrowed(self.reader.skip()?), None),
        };
        Ok(self.known_moment(key, &written, time))
    }

    /// A time, or a fault when there is none.
    fn known_moment(&mut self, key: &str, written: &str, time: Option<i64>) -> Option<i64> {
        if time.is_none() {
            let error = TimeError::Timestamp(written.chars().take(64).collect());
            self.fault(format!("`{key}`: {error}"));
        }
        time
    }

    fn values(&mut self, frame: Frame, key: &str) -> Result<Option<Frame>, JsonError> {
        if self.reader.peek() != Some(b'{') {
            self.reader.skip()?;
            self.fault(format!("`{key}` is not an object"));
            return Ok(None);
        }
        self.reader.open_object()?;
        self.scratch.extend(frame, key);
        self.scratch.path.push('.');
        let path = self.scratch.path.len();
        Ok(Some(Frame {
            kind: Kind::Event,
            top: false,
            take: true,
            path,
            strip: path,
        }))
    }

    /// A field that is no metric because metrics stand elsewhere: looked into only if something wanted is in it.
    fn search(&mut self, frame: Frame, key: &str) -> Result<Option<Frame>, JsonError> {
        self.scratch.extend(frame, key);
        if self.reader.peek() != Some(b'{') || !self.profile.is_inside(&self.scratch.path) {
            self.reader.skip()?;
            return Ok(None);
        }
        if self.scratch.is_open(Kind::Envelope, &self.scratch.path) {
            self.twice(key);
        }
        self.reader.open_object()?;
        let frame = Frame { strip: 0, ..frame };
        Ok(Some(Frame {
            kind: Kind::Event,
            ..self.scratch.enter(frame, Kind::Envelope)
        }))
    }

    /// Steps into `labels` or `meta`.
    fn attributes(
        &mut self,
        frame: Frame,
        key: &str,
        kind: Kind,
    ) -> Result<Option<Frame>, JsonError> {
        match self.reader.peek() {
            Some(b'{') => {
                self.reader.open_object()?;
                Ok(Some(Frame {
                    kind,
                    top: false,
                    take: false,
                    path: frame.path,
                    strip: frame.path,
                }))
            }
            Some(b'n') => self.reader.null().map(|()| None),
            _ => {
                self.reader.skip()?;
                self.fault(format!("`{key}` is not an object"));
                Ok(None)
            }
        }
    }

    /// Counts a label or metadata field; false (and a fault) when there are too many.
    fn is_counted(&mut self) -> bool {
        let most = self.limits.attributes_per_event;
        let said = self.event.said();
        said.count += 1;
        if said.count > most {
            self.fault(format!("more than {most} labels and metadata fields"));
        }
        self.event.fault.is_none()
    }

    /// A scalar as text: texts as they are, numbers and flags as written, `null` as none.
    fn scalar(&mut self, what: &str, key: &str) -> Result<Option<Arc<str>>, JsonError> {
        match self.reader.peek() {
            Some(b'"') => Ok(Some(Arc::from(self.reader.text()?.as_ref()))),
            Some(b'n') => self.reader.null().map(|()| None),
            Some(b'{' | b'[') => {
                self.reader.skip()?;
                self.fault(format!("{what} `{}` is not a text", brief(key)));
                Ok(None)
            }
            _ => Ok(Some(Arc::from(self.reader.skip()?))),
        }
    }

    pub(super) fn label(&mut self, key: &str) -> Result<(), JsonError> {
        let value = self.scalar("label", key)?;
        if !self.is_counted() {
            return Ok(());
        }
        if self
            .event
            .said()
            .attributes
            .labels
            .iter()
            .any(|(name, _)| name.as_ref() == key)
        {
            self.twice(key);
            return Ok(());
        }
        let value = value.unwrap_or_else(|| Arc::from(""));
        self.event
            .said()
            .attributes
            .labels
            .push((Arc::from(key), value));
        Ok(())
    }

    pub(super) fn meta(&mut self, frame: Frame, key: &str) -> Result<Option<Frame>, JsonError> {
        self.scratch.extend(frame, key);
        let name: Arc<str> = Arc::from(self.scratch.path.get(frame.strip..).unwrap_or_default());
        let known = self
            .event
            .said()
            .attributes
            .meta
            .iter()
            .any(|(other, _)| *other == name)
            || self.scratch.is_open(Kind::Meta, &name);
        if known {
            self.twice(&name);
        }
        let is_counted = self.is_counted();
        match self.reader.peek() {
            Some(b'{') => {
                self.reader.open_object()?;
                Ok(Some(self.scratch.enter(frame, Kind::Meta)))
            }
            byte => {
                let value = if byte == Some(b'[') {
                    Some(Arc::from(self.reader.skip()?))
                } else {
                    self.scalar("metadata", key)?
                };
                if is_counted {
                    self.event.said().attributes.meta.push((name, value));
                }
                Ok(None)
            }
        }
    }

    pub(super) fn envelope_field(
        &mut self,
        frame: Frame,
        key: &str,
    ) -> Result<Option<Frame>, JsonError> {
        // Bits above those of the roles.
        let bit = match key {
            "data" => 16,
            "id" => 17,
            "time" => 18,
            "subject" => 19,
            "data_base64" => 20,
            _ => return self.reader.skip().map(|_| None),
        };
        if self.is_twice(bit, key) {
            self.reader.skip()?;
            return Ok(None);
        }
        match key {
            "id" => {
                let id = self.word(key)?;
                self.event.said().id = id;
            }
            "time" => {
                let time = self.moment(key)?;
                self.event.said().time = time;
            }
            "subject" => {
                let subject = self.word(key)?;
                self.event.said().subject = subject;
            }
            "data" if self.reader.peek() == Some(b'{') => {
                self.reader.open_object()?;
                return Ok(Some(Frame {
                    kind: Kind::Event,
                    ..frame
                }));
            }
            _ => {
                self.reader.skip()?;
                self.fault(format!("`{key}` is not an object"));
            }
        }
        Ok(None)
    }
}
