//! Documents: YAML or JSON text with positions, to rules and resources with all problems at once.
//!
//! A text holds any number of documents, separated by `---`. Each begins with its `kind`. Formulas are only cut out here,
//! with their positions; compiling them is the part of `scripts`.

mod across;
mod action;
mod canonical;
mod definition;
mod flow;
mod formula;
mod graph;
mod join;
mod json;
#[cfg(feature = "grpc")]
pub(crate) mod message;
mod pattern;
mod ring;
mod rule;
mod section;
mod source;
mod stream;
mod tree;
mod value;
mod when;
mod window;

#[cfg(test)]
mod tests;

pub use source::{SourceDefinition, StartAt};

use crate::issue::{Issues, Mark, nearest};
use crate::resource::{ResourceDefinition, ResourceTypeDefinition};
use crate::rule::{FormulaText, Rule};
use section::{Field, Report};
use tree::{Node, NodeKind};

/// One document.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(
    clippy::large_enum_variant,
    reason = "documents are read one by one by people's hands, never kept in masses"
)]
pub enum Document {
    /// `kind: Rule`.
    Rule(Rule),
    /// `kind: Resource`.
    Resource(ResourceDefinition),
    /// `kind: ResourceType`.
    ResourceType(ResourceTypeDefinition),
    /// `kind: Source`.
    Source(SourceDefinition),
}

/// Kinds as they are written, and the field that names a document of the kind.
const KINDS: [(&str, &str); 4] = [
    ("Rule", "name"),
    ("Resource", "id"),
    ("ResourceType", "name"),
    ("Source", "name"),
];

/// Kinds of the language that this version does not have.
const KINDS_LATER: [&str; 5] = ["Handler", "Library", "Scenario", "Script", "Schedule"];

impl Document {
    /// The kind as it is written.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Rule(_) => "Rule",
            Self::Resource(_) => "Resource",
            Self::ResourceType(_) => "ResourceType",
            Self::Source(_) => "Source",
        }
    }

    /// The name, or the id of a resource.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Rule(rule) => rule.name.as_str(),
            Self::Resource(resource) => &resource.id,
            Self::ResourceType(kind) => &kind.name,
            Self::Source(source) => source.name.as_str(),
        }
    }
}

/// Reads all documents of a text.
///
/// # Errors
/// Everything that is wrong with any of them, in the order of the text.
pub fn parse(text: &str) -> Result<Vec<Document>, Issues> {
    let (documents, issues) = read(text);
    if issues.is_empty() {
        Ok(documents)
    } else {
        Err(issues)
    }
}

/// Reads as much of a text as can be read: the documents that make sense, and everything that is wrong, in the order of
/// the text. Who looks further into the documents can so tell of all problems at once.
#[must_use]
pub fn read(text: &str) -> (Vec<Document>, Issues) {
    let read = look(text);
    (read.documents, read.issues)
}

/// What a text holds, and what is wrong with it.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Documents that make sense. A rule with problems may be among them, with defaults for the parts that cannot be read:
    /// its other parts can be looked at, nobody may run it.
    pub documents: Vec<Document>,
    /// Everything that is wrong, in the order of the text.
    pub issues: Issues,
    /// Formulas of documents with problems, behind the name of the document (`rule boiler-overheats`).
    pub formulas: Vec<(String, FormulaText)>,
}

/// [`read`], with the formulas of what could not be read.
#[must_use]
pub fn look(text: &str) -> Reading {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut report = Report::default();
    let mut documents = Vec::new();
    let mut formulas = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    let mut parents = ring::Parents::default();
    let mut number = 0;
    for piece in tree::pieces(text) {
        let (nodes, broken) = tree::read(piece);
        for node in nodes {
            // Nothing between two markers, or only comments.
            if matches!(node.kind, NodeKind::Null) {
                continue;
            }
            number += 1;
            report.document = title(&node, number);
            let before = report.issues.len();
            report.texts.clear();
            if let Some(document) = document(&node, &mut report) {
                let (kind, name) = (document.kind(), document.name());
                let known = !names.insert((kind, name.to_owned()));
                if known {
                    let problem = "this document is there twice";
                    let hint = "leave one out, or give it another name";
                    report.hint("", node.mark, problem, hint);
                } else if let Document::Resource(resource) = &document {
                    parents.take(resource, &node);
                }
                if !known || kind == "Rule" {
                    documents.push(document);
                }
            }
            if report.issues.len() > before {
                let texts = report.texts.drain(..).filter(is_script);
                formulas.extend(texts.map(|text| (report.document.clone(), text)));
            }
        }
        report.document.clear();
        if let Some(issue) = broken {
            number += 1;
            report.document = format!("document {number}");
            report.hint("", issue.mark, issue.problem, issue.hint);
        }
    }
    parents.tell(&mut report);
    if number == 0 {
        report.document.clear();
        report.add("", Mark::default(), "there is no document in the text");
    }
    report.issues.sort_by_key(|issue| issue.mark);
    Reading {
        documents,
        issues: report.issues,
        formulas,
    }
}

/// Whether a text is a formula or template for sure: names of resources and of keys are written like them, too.
fn is_script(text: &FormulaText) -> bool {
    let path = text.path.as_ref();
    let last = path.rsplit('.').next().unwrap_or_default();
    let is_name = path.starts_with("inputs.") || path.contains(".on[") || path.contains(".of");
    !is_name && !matches!(last, "of" | "resource" | "from")
}

/// What a document is called in its problems: `rule boiler-overheats`, or `document 3`.
fn title(node: &Node, number: usize) -> String {
    let field = |wanted: &str| match &node.kind {
        NodeKind::Map(entries) => entries
            .iter()
            .find(|(key, _)| key.scalar() == Some(wanted))
            .and_then(|(_, value)| value.scalar()),
        _ => None,
    };
    let known = KINDS
        .iter()
        .find(|(kind, _)| field("kind") == Some(*kind))
        .and_then(|(kind, name)| Some((kind, field(name)?)));
    match known {
        Some((kind, name)) if !name.is_empty() => {
            let name: String = name.chars().take(128).collect();
            let mut words = String::new();
            for c in kind.chars() {
                if c.is_uppercase() && !words.is_empty() {
                    words.push(' ');
                }
                words.extend(c.to_lowercase());
            }
            format!("{words} {name}")
        }
        _ => format!("document {number}"),
    }
}

fn document(node: &Node, report: &mut Report) -> Option<Document> {
    let root = Field::root(node);
    let NodeKind::Map(entries) = &node.kind else {
        let hint = "a document is a map that begins with `kind: Rule`, or another kind";
        let problem = format!("{} is not a document", node.what());
        report.hint("", node.mark, problem, hint);
        return None;
    };
    let kind = entries.iter().find(|(key, _)| key.scalar() == Some("kind"));
    let Some((key, kind)) = kind else {
        let hint = format!("one of {}", KINDS.map(|(kind, _)| kind).join(", "));
        report.hint("", node.mark, "`kind` is missing", hint);
        return None;
    };
    let Some(word) = kind.scalar() else {
        let problem = format!("{} is not a kind", kind.what());
        let hint = format!("one of {}", KINDS.map(|(kind, _)| kind).join(", "));
        report.hint("kind", key.mark, problem, hint);
        return None;
    };
    match word {
        "Rule" => rule::read(&root, report).map(Document::Rule),
        "Resource" => definition::resource(&root, report).map(Document::Resource),
        "ResourceType" => definition::resource_type(&root, report).map(Document::ResourceType),
        "Source" => source::source(&root, report).map(Document::Source),
        later if KINDS_LATER.contains(&later) => {
            report.add("kind", kind.mark, section::later(later));
            None
        }
        other => {
            let other: String = other.chars().take(64).collect();
            let known = KINDS.map(|(kind, _)| kind);
            let hint = match nearest(&other, known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("one of {}", known.join(", ")),
            };
            report.hint("kind", kind.mark, format!("unknown kind `{other}`"), hint);
            None
        }
    }
}
