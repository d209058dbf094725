//! `kind: Resource`, `kind: ResourceType`, `kind: Source`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::decode::{FieldSource, SourceFormat, SourceProfile, is_field_path};
use crate::document::rule::lags;
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::value::{choice, flag, id, labels, meta, name, text, topic};
use crate::id::Name;
use crate::resource::{ResourceDefinition, ResourceTypeDefinition, Traits};

const RESOURCE: Allowed = Allowed {
    known: &[
        "kind", "id", "type", "labels", "meta", "parent", "disorder", "idle",
    ],
    later: &["description", "values"],
};
const RESOURCE_TYPE: Allowed = Allowed {
    known: &["kind", "name", "labels", "meta", "disorder", "idle"],
    later: &["description", "metrics", "parent"],
};
const SOURCE: Allowed = Allowed {
    known: &[
        "kind", "name", "topic", "format", "resource", "time", "values", "keyed", "from",
    ],
    later: &["description", "transform", "zone"],
};

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
    /// Whether its records are keyed by resource, so that it is read in place; otherwise a gateway keys them anew.
    pub keyed: bool,
    /// Where it begins.
    pub from: StartAt,
}

type Pairs = BTreeMap<Arc<str>, Arc<str>>;

/// `labels` and `meta`.
fn pairs(section: &Section<'_>, report: &mut Report) -> (Pairs, Pairs) {
    let labels = section
        .get("labels")
        .map_or_else(BTreeMap::new, |field| labels(field, report));
    let meta = section
        .get("meta")
        .map_or_else(BTreeMap::new, |field| meta(field, report));
    (labels, meta)
}

pub(super) fn resource(root: &Field<'_>, report: &mut Report) -> Option<ResourceDefinition> {
    let section = Section::open(root, RESOURCE, report);
    let own = section
        .need("id", report)
        .and_then(|field| id(field, report));
    let kind = section.get("type").and_then(|field| id(field, report));
    let parent = section.get("parent").and_then(|field| id(field, report));
    if let (Some(own), Some(above), Some(field)) = (&own, &parent, section.get("parent"))
        && own == above
    {
        report.add(
            &field.path,
            field.node.mark,
            "a resource is not its own parent",
        );
    }
    let (labels, meta) = pairs(&section, report);
    let (disorder, idle) = lags(&section, report);
    Some(ResourceDefinition {
        id: own?,
        traits: Traits {
            kind,
            labels,
            meta,
            parent,
        },
        disorder,
        idle,
    })
}

pub(super) fn resource_type(
    root: &Field<'_>,
    report: &mut Report,
) -> Option<ResourceTypeDefinition> {
    let section = Section::open(root, RESOURCE_TYPE, report);
    let name = section
        .need("name", report)
        .and_then(|field| id(field, report));
    let (labels, meta) = pairs(&section, report);
    let (disorder, idle) = lags(&section, report);
    Some(ResourceTypeDefinition {
        name: name?,
        labels,
        meta,
        disorder,
        idle,
    })
}

pub(super) fn source(root: &Field<'_>, report: &mut Report) -> Option<SourceDefinition> {
    let section = Section::open(root, SOURCE, report);
    let own = section
        .need("name", report)
        .and_then(|field| name(field, report));
    let topic = section
        .need("topic", report)
        .and_then(|field| topic(field, report));
    let formats = [
        ("json", SourceFormat::Json),
        ("cloudevents", SourceFormat::CloudEvents),
    ];
    let not_yet = ["avro", "csv", "influx", "protobuf"];
    let format = section
        .get("format")
        .and_then(|field| choice(field, &formats, &not_yet, report));
    let lines = SourceProfile::default();
    let resource = section.get("resource").map(|field| place(field, report));
    let time = section.get("time").map(|field| place(field, report));
    let values = section.get("values").map(|field| path(field, report));
    let keyed = section.get("keyed").and_then(|field| flag(field, report));
    let starts = [("earliest", StartAt::Earliest), ("latest", StartAt::Latest)];
    let from = section
        .get("from")
        .and_then(|field| choice(field, &starts, &[], report));
    Some(SourceDefinition {
        name: own?,
        topic: topic?,
        profile: SourceProfile {
            format: format.unwrap_or_default(),
            resource: resource.unwrap_or(Some(lines.resource))?,
            time: time.unwrap_or(Some(lines.time))?,
            values: values.map_or(Some(None), |path| path.map(Some))?,
        },
        keyed: keyed.unwrap_or(true),
        from: from.unwrap_or_default(),
    })
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
