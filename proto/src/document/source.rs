//! `kind: Source`: a topic of the user's that events are read from.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decode::{FieldSource, Precision, SourceFormat, SourceProfile, is_field_path};
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::value::{choice, flag, formula, name, text, topic};
use crate::id::Name;
use crate::rule::FormulaText;

const SOURCE: Allowed = Allowed {
    known: &[
        "kind",
        "name",
        "topic",
        "format",
        "resource",
        "time",
        "values",
        "precision",
        "transform",
        "keyed",
        "from",
    ],
    later: &["description", "zone"],
};

const FORMATS: [SourceFormat; 7] = [
    SourceFormat::Json,
    SourceFormat::CloudEvents,
    SourceFormat::Influx,
    SourceFormat::Avro,
    SourceFormat::Protobuf,
    SourceFormat::JsonSchema,
    SourceFormat::Raw,
];

const PRECISIONS: [(&str, Precision); 4] = [
    ("ns", Precision::Nanoseconds),
    ("us", Precision::Microseconds),
    ("ms", Precision::Milliseconds),
    ("s", Precision::Seconds),
];

/// Where a source begins when nothing of it was read yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StartAt {
    /// With the oldest record that the topic has.
    Earliest,
    /// With the records that come from now on.
    #[default]
    Latest,
}

/// `kind: Source`: a topic of the user's that events are read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceDefinition {
    /// Name of the source.
    pub name: Name,
    /// Topic that is read.
    pub topic: Arc<str>,
    /// How its records are written and where in them resource, time and values stand.
    pub profile: SourceProfile,
    /// Whether its records are keyed by resource; otherwise a gateway keys them anew.
    pub keyed: bool,
    /// Where it begins.
    pub from: StartAt,
    /// Script that makes events of a record of any form.
    pub transform: Option<Arc<str>>,
}

impl SourceDefinition {
    /// Whether shards read its topic themselves; otherwise a gateway does and writes events to the inbox.
    #[must_use]
    pub const fn is_in_place(&self) -> bool {
        self.keyed && self.profile.format.is_self_contained()
    }
}

pub(super) fn source(root: &Field<'_>, report: &mut Report) -> Option<SourceDefinition> {
    let section = Section::open(root, SOURCE, report);
    let own = section
        .need("name", report)
        .and_then(|field| name(field, report));
    let topic = section
        .need("topic", report)
        .and_then(|field| topic(field, report));
    let profile = profile(&section, report);
    let keyed = section.get("keyed").and_then(|field| flag(field, report));
    let starts = [("earliest", StartAt::Earliest), ("latest", StartAt::Latest)];
    let from = section
        .get("from")
        .and_then(|field| choice(field, &starts, &[], report));
    let transform = section
        .get("transform")
        .and_then(|field| formula(field, report))
        .map(|FormulaText { source, .. }| source);
    let profile = profile?;
    let is_raw = profile.format == SourceFormat::Raw;
    match section.get("transform") {
        None if is_raw => {
            let hint = "a script whose value is an event, or a list of them: `#{ resource: key, values: #{ x: 1.0 } }`";
            report.hint(
                section.path(),
                section.mark(),
                "`format: raw` needs `transform`",
                hint,
            );
        }
        Some(field) if !is_raw => report.add(
            &field.path,
            field.mark,
            "`transform` goes with `format: raw`",
        ),
        _ => {}
    }
    Some(SourceDefinition {
        name: own?,
        topic: topic?,
        profile,
        keyed: keyed.unwrap_or(true),
        from: from.unwrap_or_default(),
        transform,
    })
}

fn profile(section: &Section<'_>, report: &mut Report) -> Option<SourceProfile> {
    let formats = FORMATS.map(|format| (format.word(), format));
    let format = section
        .get("format")
        .map(|field| choice(field, &formats, &["csv"], report));
    let lines = SourceProfile::default();
    let resource = section.get("resource").map(|field| place(field, report));
    let time = section.get("time").map(|field| place(field, report));
    let values = section.get("values").map(|field| path(field, report));
    let precision = section
        .get("precision")
        .map(|field| choice(field, &PRECISIONS, &[], report));
    let profile = SourceProfile {
        format: format.unwrap_or(Some(lines.format))?,
        resource: resource.unwrap_or(Some(lines.resource))?,
        time: time.unwrap_or(Some(lines.time))?,
        values: values.map_or(Some(None), |path| path.map(Some))?,
        precision: precision.unwrap_or(Some(lines.precision))?,
    };
    let is_influx = profile.format == SourceFormat::Influx;
    for (name, wrong) in [("precision", !is_influx), ("values", is_influx)] {
        if let Some(field) = section.get(name).filter(|_| wrong) {
            let not = if is_influx { "does not go" } else { "goes" };
            let problem = format!("`{name}` {not} with `format: influx`");
            report.add(&field.path, field.mark, problem);
        }
    }
    Some(profile)
}

fn place(field: &Field<'_>, report: &mut Report) -> Option<FieldSource> {
    match text(field, report)?.parse() {
        Ok(place) => Some(place),
        Err(error) => {
            let problem = format!("{error}");
            report.add(&field.path, field.node.mark, problem);
            None
        }
    }
}

fn path(field: &Field<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = text(field, report)?;
    if is_field_path(text) {
        return Some(Arc::from(text));
    }
    field.not("a field path such as `data.readings`", report);
    None
}
