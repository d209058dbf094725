//! [`SourceProfile`]: where in a record of a source resource, time and values stand.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Where one thing of an event stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FieldSource {
    /// A field of the body: its name, or a dotted path through nested objects.
    Path(Arc<str>),
    /// A header of the record.
    Header(Arc<str>),
    /// The key of the record.
    Key,
}

/// Why a text names no place in a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a place in a record: a field path such as `device.id`, `header:NAME` or `key`"
)]
pub struct FieldSourceError(String);

/// Whether a text can be a dotted field path: names of at least one character between the dots.
#[must_use]
pub fn is_field_path(text: &str) -> bool {
    (1..=256).contains(&text.len())
        && text.split('.').all(|part| !part.is_empty())
        && !text.chars().any(char::is_control)
}

impl FromStr for FieldSource {
    type Err = FieldSourceError;

    fn from_str(text: &str) -> Result<Self, FieldSourceError> {
        let bad = || FieldSourceError(text.chars().take(160).collect());
        if text == "key" {
            return Ok(Self::Key);
        }
        match text.strip_prefix("header:") {
            Some(name) if name.is_empty() || name.chars().any(char::is_control) => Err(bad()),
            Some(name) => Ok(Self::Header(Arc::from(name))),
            None if is_field_path(text) => Ok(Self::Path(Arc::from(text))),
            None => Err(bad()),
        }
    }
}

impl fmt::Display for FieldSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => f.write_str(path),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Key => f.write_str("key"),
        }
    }
}

impl TryFrom<String> for FieldSource {
    type Error = FieldSourceError;
    fn try_from(text: String) -> Result<Self, FieldSourceError> {
        text.parse()
    }
}

impl From<FieldSource> for String {
    fn from(source: FieldSource) -> Self {
        source.to_string()
    }
}

/// How the records of a source are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceFormat {
    /// JSON; a record that says by its headers that it is a CloudEvent is read as one.
    #[default]
    Json,
    /// CloudEvents: a record without `ce_` headers is the structured form whatever its `content-type` says.
    CloudEvents,
    /// Influx line protocol.
    Influx,
    /// Avro, its schema in a registry.
    Avro,
    /// Protobuf, its schema in a registry.
    Protobuf,
    /// JSON with the framing of a schema registry.
    JsonSchema,
    /// Anything: a script makes events of it.
    Raw,
}

impl SourceFormat {
    /// Whether a record alone says what its events are. The others need a registry or a script, so a gateway reads them.
    #[must_use]
    pub const fn is_self_contained(self) -> bool {
        matches!(self, Self::Json | Self::CloudEvents | Self::Influx)
    }

    /// The word in a document.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::CloudEvents => "cloudevents",
            Self::Influx => "influx",
            Self::Avro => "avro",
            Self::Protobuf => "protobuf",
            Self::JsonSchema => "json-schema",
            Self::Raw => "raw",
        }
    }

    /// Whether schemas of a registry are needed.
    #[must_use]
    pub const fn needs_registry(self) -> bool {
        matches!(self, Self::Avro | Self::Protobuf | Self::JsonSchema)
    }
}

/// Unit of the times of Influx line protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Precision {
    /// Nanoseconds.
    #[default]
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
}

impl Precision {
    /// A time as epoch milliseconds, parts of one floored.
    #[must_use]
    pub const fn to_millis(self, written: i64) -> Option<i64> {
        match self {
            Self::Nanoseconds => Some(written.div_euclid(1_000_000)),
            Self::Microseconds => Some(written.div_euclid(1_000)),
            Self::Milliseconds => Some(written),
            Self::Seconds => written.checked_mul(1_000),
        }
    }
}

/// Where in a record of a source resource, time and values stand. The default is our own event lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProfile {
    /// How records are written.
    pub format: SourceFormat,
    /// Resource id; default field `resource`.
    pub resource: FieldSource,
    /// Event time; default field `time`.
    pub time: FieldSource,
    /// Dotted path of the object that holds the metrics; `None`: the object `values` if there is one, and all other
    /// top-level fields that have no meaning of their own.
    pub values: Option<Arc<str>>,
    /// Unit of the times of Influx line protocol.
    pub precision: Precision,
}

impl Default for SourceProfile {
    fn default() -> Self {
        Self {
            format: SourceFormat::Json,
            resource: FieldSource::Path(Arc::from("resource")),
            time: FieldSource::Path(Arc::from("time")),
            values: None,
            precision: Precision::default(),
        }
    }
}

/// What a field of an event means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Resource,
    Time,
    Values,
    Id,
    Kind,
    Labels,
    Meta,
    Parent,
    /// No meaning of its own: a metric, or nothing when `values` names where metrics are.
    Other,
}

impl SourceProfile {
    /// Whether a path goes through nested objects, so that fields below the top have to be compared too.
    pub(super) fn is_nested(&self) -> bool {
        let dotted =
            |source: &FieldSource| matches!(source, FieldSource::Path(p) if p.contains('.'));
        dotted(&self.resource)
            || dotted(&self.time)
            || self.values.as_ref().is_some_and(|p| p.contains('.'))
    }

    /// What the field with this full path means; `top`: it stands in the event itself.
    #[inline]
    pub(super) fn role(&self, path: &str, top: bool) -> Role {
        let is =
            |source: &FieldSource| matches!(source, FieldSource::Path(p) if p.as_ref() == path);
        if is(&self.resource) {
            return Role::Resource;
        }
        if is(&self.time) {
            return Role::Time;
        }
        match &self.values {
            Some(values) if values.as_ref() == path => return Role::Values,
            None if top && path == "values" => return Role::Values,
            _ => {}
        }
        if !top {
            return Role::Other;
        }
        match path {
            "id" => Role::Id,
            "type" => Role::Kind,
            // Where metrics have a place of their own, a mapping may lead through them.
            "labels" | "meta" if self.values.is_some() && self.is_inside(path) => Role::Other,
            "labels" => Role::Labels,
            "meta" => Role::Meta,
            "parent" => Role::Parent,
            _ => Role::Other,
        }
    }

    /// Whether something of the profile stands inside the object with this full path.
    pub(super) fn is_inside(&self, path: &str) -> bool {
        let below = |wanted: &str| {
            wanted
                .strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        let source = |source: &FieldSource| matches!(source, FieldSource::Path(p) if below(p));
        source(&self.resource) || source(&self.time) || self.values.as_deref().is_some_and(below)
    }
}
