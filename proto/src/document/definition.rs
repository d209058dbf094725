//! `kind: Resource`, `kind: ResourceType`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::rule::lags;
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::value::{id, labels, meta};
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
