//! Resources as people define them, and [`Traits`]: what rules may ask about a resource beside its metrics.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::batch::Attributes;
use crate::time::Span;

/// What is known of a resource beside its metrics: in force in log order, not by event time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// Type name.
    pub kind: Option<Arc<str>>,
    /// Labels.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Metadata as text, nested objects flattened to dotted names.
    pub meta: BTreeMap<Arc<str>, Arc<str>>,
    /// Parent resource id.
    pub parent: Option<Arc<str>>,
}

impl Traits {
    /// Merges what an event or a document says; answers whether anything changed.
    pub fn merge(&mut self, said: &Attributes) -> bool {
        let before = self.clone();
        if let Some(kind) = &said.kind {
            self.kind = Some(Arc::clone(kind));
        }
        if let Some(parent) = &said.parent {
            self.parent = Some(Arc::clone(parent));
        }
        for (name, value) in &said.labels {
            if value.is_empty() {
                self.labels.remove(name);
            } else {
                self.labels.insert(Arc::clone(name), Arc::clone(value));
            }
        }
        for (name, value) in &said.meta {
            match value {
                Some(value) => self.meta.insert(Arc::clone(name), Arc::clone(value)),
                None => self.meta.remove(name),
            };
        }
        *self != before
    }

    /// The text behind a dotted path such as `meta.line`, `labels.site`, `type` or `parent`.
    #[must_use]
    pub fn path(&self, path: &str) -> Option<Arc<str>> {
        match path.split_once('.') {
            Some(("meta", name)) => self.meta.get(name).cloned(),
            Some(("labels", name)) => self.labels.get(name).cloned(),
            None if path == "type" => self.kind.clone(),
            None if path == "parent" => self.parent.clone(),
            _ => None,
        }
    }
}

/// `kind: Resource`: one resource as a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDefinition {
    /// Resource id.
    pub id: Arc<str>,
    /// Type, labels, metadata, parent: replace what is there.
    pub traits: Traits,
    /// `disorder` of this resource, if it has its own.
    pub disorder: Option<Span>,
    /// `idle` of this resource, if it has its own.
    pub idle: Option<Span>,
}

/// `kind: ResourceType`: what resources of a type share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceTypeDefinition {
    /// Name of the type.
    pub name: Arc<str>,
    /// Labels that its resources have unless they say otherwise.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Metadata that its resources have unless they say otherwise.
    pub meta: BTreeMap<Arc<str>, Arc<str>>,
    /// `disorder` of its resources, if they have their own.
    pub disorder: Option<Span>,
    /// `idle` of its resources, if they have their own.
    pub idle: Option<Span>,
}

impl ResourceTypeDefinition {
    /// What a resource of this type is: what it says of itself, and what the type adds.
    #[must_use]
    pub fn over(&self, own: &Traits) -> Traits {
        let mut whole = own.clone();
        for (name, value) in &self.labels {
            let label = whole.labels.entry(Arc::clone(name));
            label.or_insert_with(|| Arc::clone(value));
        }
        for (name, value) in &self.meta {
            let meta = whole.meta.entry(Arc::clone(name));
            meta.or_insert_with(|| Arc::clone(value));
        }
        whole
    }
}
