//! Walking one record: its elements, and the fields of each, iteratively.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use crate::batch::{Attributes, EventBatch};
use crate::decode::columns::{Columns, Savepoint};
use crate::decode::profile::{SourceFormat, SourceProfile};
use crate::decode::{DecodeLimits, Home, SourceRecord, Undecodable};
use crate::id::Names;
use crate::json::{JsonError, JsonProblem, Reader};
use crate::record::Record;

/// Where decoded events go.
pub(super) struct Sink<'w> {
    pub(super) resources: &'w mut Names,
    pub(super) metrics: &'w mut Names,
    pub(super) batch: &'w mut EventBatch,
    pub(super) bad: &'w mut Vec<Undecodable>,
}

/// What the headers of a CloudEvent say about it.
#[derive(Clone, Copy, Default)]
pub(super) struct Outer<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) time: Option<&'a str>,
    pub(super) subject: Option<&'a str>,
    structured: bool,
}

impl<'a> Outer<'a> {
    pub(super) fn new(record: &'a Record, format: SourceFormat) -> Self {
        let cloud = format == SourceFormat::CloudEvents;
        if record.headers.is_empty() {
            return Self {
                structured: cloud,
                ..Self::default()
            };
        }
        let text = |name: &str| {
            let bytes = record.header(name)?;
            std::str::from_utf8(bytes)
                .ok()
                .filter(|text| !text.is_empty())
        };
        let content =
            record.headers.iter().rev().find_map(|(name, value)| {
                name.eq_ignore_ascii_case("content-type").then_some(value)
            });
        let says_so = content.is_some_and(|content| {
            content
                .get(..23)
                .is_some_and(|head| head.eq_ignore_ascii_case(b"application/cloudevents"))
        });
        let binary = record.header("ce_specversion").is_some() || record.header("ce_id").is_some();
        Self {
            id: text("ce_id"),
            time: text("ce_time"),
            subject: text("ce_subject"),
            structured: says_so || (cloud && !binary),
        }
    }
}

/// What few events say.
#[derive(Default)]
pub(super) struct Said<'a> {
    /// `id`, `time` and `subject` of the structured envelope around the event.
    pub(super) id: Option<Cow<'a, str>>,
    pub(super) time: Option<i64>,
    pub(super) subject: Option<Cow<'a, str>>,
    pub(super) attributes: Attributes,
    /// Labels and metadata fields so far.
    pub(super) count: usize,
}

/// What the fields of one event said so far.
#[derive(Default)]
pub(super) struct Event<'a> {
    pub(super) resource: Option<Cow<'a, str>>,
    pub(super) time: Option<i64>,
    pub(super) id: Option<Arc<str>>,
    /// What few events say; a plain one says nothing of it.
    pub(super) said: Option<Box<Said<'a>>>,
    /// One bit per [`Role`] and envelope field that was there.
    seen: u32,
    pub(super) metrics: usize,
    /// The first thing that makes it no event; the rest of it is only checked for being JSON.
    pub(super) fault: Option<String>,
}

impl<'a> Event<'a> {
    pub(super) fn said(&mut self) -> &mut Said<'a> {
        self.said.get_or_insert_default()
    }
}

/// What the fields of an open object are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Fields of the event: its own, or metrics.
    Event,
    Labels,
    Meta,
    Envelope,
}

/// One open object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) kind: Kind,
    /// The event itself, not an object in it.
    pub(super) top: bool,
    /// Fields without a meaning of their own are metrics.
    pub(super) take: bool,
    /// Bytes of `Scratch::path` that lead here, the last dot included.
    pub(super) path: usize,
    /// Bytes at the start of the path that are no part of metric names.
    pub(super) strip: usize,
}

/// Buffers that live from event to event.
#[derive(Clone, Debug, Default)]
pub(super) struct Scratch {
    pub(super) path: String,
    frames: Vec<Frame>,
    /// Nested objects of the event: kind, hash and place of their names in `names`.
    opened: Vec<(Kind, u64, usize, usize)>,
    names: String,
}

impl Scratch {
    fn clear(&mut self) {
        self.frames.clear();
        self.opened.clear();
        self.names.clear();
    }

    pub(super) fn is_open(&self, kind: Kind, name: &str) -> bool {
        if self.opened.is_empty() {
            return false;
        }
        let hash = hash(name);
        self.opened.iter().any(|(other, known, from, to)| {
            *other == kind && *known == hash && self.names.get(*from..*to) == Some(name)
        })
    }

    /// Extends the path of a frame by a key.
    pub(super) fn extend(&mut self, frame: Frame, key: &str) {
        self.path.truncate(frame.path);
        self.path.push_str(key);
    }

    /// Notes the nested object `path[strip..]` and steps into its path.
    pub(super) fn enter(&mut self, frame: Frame, kind: Kind) -> Frame {
        let name = self.path.get(frame.strip..).unwrap_or_default();
        let from = self.names.len();
        self.names.push_str(name);
        self.opened.push((kind, hash(name), from, self.names.len()));
        self.path.push('.');
        Frame {
            kind,
            top: false,
            path: self.path.len(),
            ..frame
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = foldhash::fast::FixedState::with_seed(0x6b65_7973).build_hasher();
    hasher.write(text.as_bytes());
    hasher.finish()
}

/// The walk through one record.
pub(super) struct Walk<'w, 'a> {
    pub(super) reader: Reader<'a>,
    pub(super) outer: Outer<'a>,
    pub(super) profile: &'w SourceProfile,
    /// The profile looks below the top of an event.
    pub(super) nested: bool,
    pub(super) home: Option<Home>,
    pub(super) limits: &'w DecodeLimits,
    pub(super) columns: &'w mut Columns,
    pub(super) scratch: &'w mut Scratch,
    pub(super) sink: Sink<'w>,
    pub(super) source: &'w SourceRecord<'a>,
    pub(super) event: Event<'a>,
    /// Row that the event in hand becomes.
    pub(super) row: u32,
}

impl<'a> Walk<'_, 'a> {
    /// Decodes all elements of the record.
    pub(super) fn record(&mut self) -> Result<(), String> {
        let told = self.sink.bad.len();
        let syntax = |error: JsonError| format!("not JSON: {error}");
        let many = format!("more than {} events in one record", self.limits.elements);
        let mut index = 0;
        match self.reader.peek() {
            Some(b'[') => {
                self.reader.open_array().map_err(syntax)?;
                while self.reader.next_item().map_err(syntax)? {
                    if index >= self.limits.elements {
                        return Err(many);
                    }
                    self.element(index, told).map_err(syntax)?;
                    index += 1;
                }
                self.reader.finish().map_err(syntax)
            }
            Some(b'{') => loop {
                if index >= self.limits.elements {
                    return Err(many);
                }
                self.element(index, told).map_err(syntax)?;
                index += 1;
                match self.reader.peek_line() {
                    (None, _) => return Ok(()),
                    (Some(_), true) => {}
                    (Some(_), false) => {
                        let at = self.reader.at();
                        let problem = JsonProblem::Trailing;
                        return Err(syntax(JsonError { at, problem }));
                    }
                }
            },
            None => Err("the record is empty".to_owned()),
            Some(_) => {
                self.reader.skip().map_err(syntax)?;
                Err(
                    "not an object, an array of objects, or objects on lines of their own"
                        .to_owned(),
                )
            }
        }
    }

    fn element(&mut self, index: u32, told: usize) -> Result<(), JsonError> {
        let start = self.begin();
        let outcome = if self.reader.peek() == Some(b'{') {
            self.object()?;
            self.finish()
        } else {
            self.reader.skip()?;
            Err("not an object".to_owned())
        };
        if let Err(reason) = outcome {
            self.reject(start, index, told, reason);
        }
        Ok(())
    }

    /// Makes ready for the next event.
    pub(super) fn begin(&mut self) -> Savepoint {
        let start = self.columns.savepoint(self.sink.batch);
        self.columns.begin_event();
        self.scratch.clear();
        self.event = Event::default();
        start
    }

    /// Takes an element back and tells why; behind many bad ones only how many more there are.
    pub(super) fn reject(&mut self, start: Savepoint, index: u32, told: usize, reason: String) {
        self.columns.restore(start, self.sink.batch);
        let said = self.sink.bad.len() - told;
        let (element, reason) = match said.cmp(&self.limits.told) {
            std::cmp::Ordering::Less => (Some(index), reason),
            std::cmp::Ordering::Equal => (None, "1 further element is undecodable".to_owned()),
            std::cmp::Ordering::Greater => {
                let last = self.sink.bad.pop().map(|last| last.reason);
                let before = last
                    .as_deref()
                    .and_then(|reason| reason.split(' ').next())
                    .and_then(|number| number.parse::<u32>().ok());
                let number = before.map_or(2, |number| number + 1);
                (None, format!("{number} further elements are undecodable"))
            }
        };
        self.sink.bad.push(Undecodable {
            index: self.source.index,
            element,
            reason,
        });
    }

    fn object(&mut self) -> Result<(), JsonError> {
        self.reader.open_object()?;
        let mut frame = Frame {
            kind: if self.outer.structured {
                Kind::Envelope
            } else {
                Kind::Event
            },
            top: true,
            take: self.profile.values.is_none(),
            path: 0,
            strip: 0,
        };
        loop {
            if let Some(key) = self.reader.simple_key() {
                frame = self.member(frame, key)?;
                continue;
            }
            match self.reader.next_key()? {
                Some(key) => frame = self.member(frame, &key)?,
                None => match self.scratch.frames.pop() {
                    Some(outside) => frame = outside,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Reads one member of the object in hand; answers with the frame of the next one.
    #[inline]
    fn member(&mut self, frame: Frame, key: &str) -> Result<Frame, JsonError> {
        if self.event.fault.is_some() {
            self.reader.skip()?;
            return Ok(frame);
        }
        Ok(match self.field(frame, key)? {
            Some(inner) => {
                self.scratch.frames.push(frame);
                inner
            }
            None => frame,
        })
    }

    /// Reads the value of a field; answers with a frame when it opened an object.
    #[inline]
    fn field(&mut self, frame: Frame, key: &str) -> Result<Option<Frame>, JsonError> {
        match frame.kind {
            Kind::Event if frame.top || self.nested => self.event_field(frame, key),
            Kind::Event => self.metric(frame, key),
            Kind::Labels => self.label(key).map(|()| None),
            Kind::Meta => self.meta(frame, key),
            Kind::Envelope => self.envelope_field(frame, key),
        }
    }

    /// Notes that a field is there; true (and a fault) when it was there before.
    pub(super) fn is_twice(&mut self, bit: u32, key: &str) -> bool {
        let bit = 1 << bit;
        let twice = self.event.seen & bit != 0;
        self.event.seen |= bit;
        if twice {
            self.twice(key);
        }
        twice
    }

    pub(super) fn twice(&mut self, name: &str) {
        self.fault(format!("`{}` is there twice", brief(name)));
    }

    pub(super) fn fault(&mut self, reason: String) {
        self.event.fault.get_or_insert(reason);
    }
}

/// A text cut to what a reason can carry.
pub(super) fn brief(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(64) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())),
    }
}
