//! Sources as definitions: a source at its home shard, where its reading began, and [`Reading`], what a shard reads.
//!
//! All sources have one home shard, so that no two of them read one topic. Where a source begins is resolved by the door and
//! stands in the command: once the command is in the log, every replay begins there.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::document::{self, Document, SourceDefinition};
use tidegate_proto::issue::{Issue, Issues, Mark};
use tidegate_proto::record::{Offset, Partition, Record, Topic};

use crate::command::{Refusal, Request, Signal};
use crate::rule::DefinitionActor;

/// Key whose partition is the home shard of all sources.
pub const SOURCES_HOME: &str = "sources";

/// Header of a record that a gateway wrote to the inbox: where it came from ([`Origin`]).
pub const ORIGIN_HEADER: &str = "tg-from";

/// One source topic of a shard, by its number; numbers are never given to another topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The topic.
    pub topic: Topic,
    /// Whether it is read now; a topic whose source is gone keeps its number.
    pub reading: bool,
}

/// Where the reading of a source began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// Revision at which it began: what a gateway read for an earlier one is told apart by it.
    pub(crate) generation: u64,
    /// First offset by partition of the topic.
    pub(crate) starts: Vec<Offset>,
}

/// Where a record of the inbox that a gateway wrote stood in its source. Gateways write in order, so a record at or below
/// the newest one seen is a repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Name of the source.
    pub source: Arc<str>,
    /// Generation of its reading.
    pub generation: u64,
    /// Partition of its topic.
    pub partition: Partition,
    /// Offset in the partition.
    pub offset: Offset,
    /// Which event of the record.
    pub element: u32,
}

impl Origin {
    /// As a header of the record.
    #[must_use]
    pub fn to_header(&self) -> String {
        let Self {
            source,
            generation,
            partition,
            offset,
            element,
        } = self;
        format!("{source}/{generation}/{partition}/{offset}/{element}")
    }

    /// The origin in a record's header, if a gateway wrote it.
    #[must_use]
    pub fn of(record: &Record) -> Option<Self> {
        let text = std::str::from_utf8(record.header(ORIGIN_HEADER)?).ok()?;
        let mut parts = text.split('/');
        let origin = Self {
            source: Arc::from(parts.next()?),
            generation: parts.next()?.parse().ok()?,
            partition: parts.next()?.parse().ok()?,
            offset: parts.next()?.parse().ok()?,
            element: parts.next()?.parse().ok()?,
        };
        parts.next().is_none().then_some(origin)
    }
}

/// Reads one source.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_source(text: &str) -> Result<SourceDefinition, Issues> {
    match document::parse(text)?.as_slice() {
        [Document::Source(source)] => Ok(source.clone()),
        _ => Err(vec![Issue::new(
            "",
            Mark::default(),
            "exactly one document of `kind: Source` is wanted here",
        )]),
    }
}

/// A refusal for one thing that is wrong with a source.
pub(crate) fn refused(path: &str, problem: String, hint: &str) -> Refusal {
    Refusal::Invalid {
        issues: vec![Issue::new(path, Mark::default(), problem).hint(hint)],
    }
}

impl DefinitionActor {
    /// Takes a source; its reading begins anew when it reads another topic, or in another way.
    pub(crate) fn put_source(
        &mut self,
        document: &str,
        starts: &[Offset],
        request: &Request,
    ) -> Result<Option<Signal>, Refusal> {
        let source = parse_source(document).map_err(|issues| Refusal::Invalid { issues })?;
        let known = self
            .document
            .as_deref()
            .and_then(|known| parse_source(known).ok());
        if known.as_ref() == Some(&source) {
            return Ok(None);
        }
        self.document = Some(Arc::from(document));
        self.revision += 1;
        let goes_on = known.is_some_and(|known| {
            known.topic == source.topic && known.is_in_place() == source.is_in_place()
        });
        if !goes_on {
            self.begun = Begun {
                generation: self.revision,
                starts: starts.to_vec(),
            };
        }
        Ok(Some(self.source_signal(request, source.name.as_str())))
    }

    /// Forgets a source.
    pub(crate) fn delete_source(
        &mut self,
        name: &str,
        expected: Option<u64>,
        request: &Request,
    ) -> Result<Option<Signal>, Refusal> {
        self.exists(&format!("source/{name}"))?;
        self.expect(expected)?;
        self.document = None;
        self.revision += 1;
        Ok(Some(self.source_signal(request, name)))
    }

    /// What every shard must know of a source.
    fn source_signal(&self, request: &Request, name: &str) -> Signal {
        Signal::Source {
            request: request.request.clone(),
            name: name.to_owned(),
            revision: self.revision,
            generation: self.begun.generation,
            document: self.document.as_deref().map(str::to_owned),
            starts: self.begun.starts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_survive_their_header() {
        let origin = Origin {
            source: "plant".into(),
            generation: 3,
            partition: 7,
            offset: 1042,
            element: 2,
        };
        let record = Record::new("k", "{}").with_header(ORIGIN_HEADER, origin.to_header());
        assert_eq!(Origin::of(&record), Some(origin));
        for bad in ["", "plant/3/7/1042", "plant/3/7/1042/2/1", "plant/a/7/1/2"] {
            let record = Record::new("k", "{}").with_header(ORIGIN_HEADER, bad.to_owned());
            assert_eq!(Origin::of(&record), None, "{bad}");
        }
    }
}
