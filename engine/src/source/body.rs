//! [`Form`]: what has to be done with a record before a decoder can read it.

use std::sync::Arc;

use bytes::Bytes;
use tidegate_proto::document::SourceDefinition;
use tidegate_proto::issue::Issues;
use tidegate_proto::record::Record;
use tidegate_scripts::Transform;

use super::framing::framed;
use super::registry::{Registry, Schema};
use super::{Unread, avro, protobuf};

/// What a record needs.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// Nothing.
    Plain,
    /// The schema that its writer used.
    Schema(Arc<Registry>),
    /// A script.
    Script(Transform),
}

impl Form {
    /// What the records of a source need.
    ///
    /// # Errors
    /// When its script does not compile, or no registry is set.
    pub(super) fn of(
        source: &SourceDefinition,
        registry: Option<&Arc<Registry>>,
    ) -> Result<Self, Issues> {
        let format = source.profile.format;
        if format.needs_registry() {
            return match registry {
                Some(registry) => Ok(Self::Schema(Arc::clone(registry))),
                None => Err(super::gateway::no_registry(format)),
            };
        }
        match &source.transform {
            Some(script) => Transform::compile(script).map(Self::Script),
            None => Ok(Self::Plain),
        }
    }

    /// The body that a decoder reads; `None`: the record's own.
    pub(super) async fn body(
        &self,
        source: &SourceDefinition,
        record: &Record,
    ) -> Result<Option<Bytes>, Unread> {
        let Some(value) = &record.value else {
            // A tombstone; the decoder tells so.
            return Ok(None);
        };
        match self {
            Self::Plain => Ok(None),
            Self::Script(script) => {
                let headers: Vec<(&str, &[u8])> = record
                    .headers
                    .iter()
                    .map(|(name, value)| (name.as_ref(), value.as_ref()))
                    .collect();
                let made = script.run(value, record.key.as_deref(), &headers, record.timestamp);
                let made = made.map_err(|error| Unread::Bad(format!("transform: {error}")))?;
                Ok(Some(Bytes::from(made)))
            }
            Self::Schema(registry) => {
                let framed = framed(record, value, source.profile.format).map_err(Unread::Bad)?;
                let schema = registry.schema(&framed.schema).await?;
                let made = match schema.as_ref() {
                    Schema::Avro(schema) => avro::to_json(schema, framed.payload),
                    Schema::Protobuf(schema) => {
                        protobuf::to_json(schema, &framed.message, framed.payload)
                    }
                    Schema::Json => Ok(String::from_utf8_lossy(framed.payload).into_owned()),
                };
                let made = made.map_err(|reason| {
                    let (schema, kind) = (&framed.schema, schema.word());
                    Unread::Bad(format!("not {kind} of schema {schema}: {reason}"))
                })?;
                Ok(Some(Bytes::from(made)))
            }
        }
    }
}
