//! A source in a replay: with one `kind: Source` among the documents, event lines are records of its topic.

use bytes::Bytes;
use tidegate_proto::batch::EventBatch;
use tidegate_proto::decode::{DecodeLimits, Decoder, SourceFormat, SourceProfile, SourceRecord};
use tidegate_proto::document::{self, Document, SourceDefinition};
use tidegate_proto::id::Names;
use tidegate_proto::issue::{Issue, Issues, Mark};
use tidegate_proto::record::Record;
use tidegate_proto::time::Timestamp;
use tidegate_scripts::Transform;

/// How the event lines of a replay are read.
#[derive(Debug)]
pub(super) struct LineSource {
    profile: SourceProfile,
    script: Option<Transform>,
    decoder: Decoder,
}

/// A line as a record, and what it says.
pub(super) struct ReadLine {
    pub(super) value: Bytes,
    /// Resource and time of its first event.
    pub(super) first: Option<(String, Timestamp)>,
}

impl LineSource {
    /// The source among documents, if there is one.
    ///
    /// # Errors
    /// When there are several, or it needs what a replay has not.
    pub(super) fn of(documents: &str) -> Result<Option<Self>, Issues> {
        let (documents, _) = document::read(documents);
        let mut sources = documents.into_iter().filter_map(|document| match document {
            Document::Source(source) => Some(source),
            _ => None,
        });
        let Some(source) = sources.next() else {
            return Ok(None);
        };
        if let Some(second) = sources.next() {
            let problem = "a replay has one source: its lines are records of one topic";
            return Err(wrong(&second, problem.to_owned()));
        }
        Self::new(&source).map(Some)
    }

    fn new(source: &SourceDefinition) -> Result<Self, Issues> {
        let mut profile = source.profile.clone();
        if profile.format.needs_registry() {
            let problem = format!(
                "`format: {}` needs a schema registry, which a replay has not",
                profile.format.word()
            );
            return Err(wrong(source, problem));
        }
        if profile.format == SourceFormat::Raw {
            profile.format = SourceFormat::Json;
        }
        let script = source.transform.as_deref().map(Transform::compile);
        Ok(Self {
            decoder: Decoder::new(DecodeLimits::default(), profile.clone()),
            profile,
            script: script.transpose()?,
        })
    }

    /// How shards read the lines.
    pub(super) const fn profile(&self) -> &SourceProfile {
        &self.profile
    }

    /// Reads a line. What a script cannot read stays as it is; the shard says so then.
    pub(super) fn read(&mut self, text: &[u8]) -> ReadLine {
        let value = match &self.script {
            None => Bytes::copy_from_slice(text),
            Some(script) => match script.run(text, None, &[], i64::MIN) {
                Ok(made) => Bytes::from(made),
                Err(error) => Bytes::from(format!("transform: {error}")),
            },
        };
        let record = Record {
            key: None,
            value: Some(value.clone()),
            headers: Vec::new(),
            timestamp: i64::MIN,
        };
        let place = SourceRecord {
            source: 0,
            offset: 0,
            record: &record,
            index: 0,
        };
        let (mut resources, mut metrics) = (Names::default(), Names::default());
        let (mut batch, mut bad) = (EventBatch::default(), Vec::new());
        self.decoder
            .decode(place, &mut resources, &mut metrics, &mut batch, &mut bad);
        let resource = batch.resource.first().and_then(|at| resources.text(*at));
        let first = resource
            .map(|id| id.as_ref().to_owned())
            .zip(batch.time.first().copied().map(Timestamp));
        ReadLine { value, first }
    }
}

fn wrong(source: &SourceDefinition, problem: String) -> Issues {
    let path = format!("source {}", source.name);
    vec![Issue::new(path, Mark::default(), problem)]
}
