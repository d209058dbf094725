//! Reading fields: [`Report`] gathers what is wrong, [`Section`] is a map whose fields are known by name.

use crate::document::tree::{Node, NodeKind};
use crate::issue::{Issue, Issues, Mark, nearest};
use crate::rule::FormulaText;

/// Most issues that are told of one text.
const ISSUES: usize = 1000;

/// Everything that is wrong with a text.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) issues: Issues,
    /// The document in hand: `rule boiler-overheats`.
    pub(super) document: String,
    /// Formulas and templates of the document in hand, whatever became of the part that they stand in.
    pub(super) texts: Vec<FormulaText>,
}

impl Report {
    /// Notes a problem of a field.
    pub(super) fn add(&mut self, path: &str, mark: Mark, problem: impl Into<String>) {
        self.hint(path, mark, problem, "");
    }

    /// Notes a problem and how to mend it.
    pub(super) fn hint(
        &mut self,
        path: &str,
        mark: Mark,
        problem: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let path = match (self.document.as_str(), path) {
            ("", path) => path.to_owned(),
            (document, "") => document.to_owned(),
            (document, path) => format!("{document}: {path}"),
        };
        self.push(Issue::new(path, mark, problem).hint(hint));
    }

    pub(super) fn push(&mut self, issue: Issue) {
        match self.issues.len() {
            ..ISSUES => self.issues.push(issue),
            ISSUES => self.issues.push(Issue::new(
                "",
                issue.mark,
                "there are more problems than are told here",
            )),
            _ => {}
        }
    }
}

/// One field of a document.
#[derive(Clone, Debug)]
pub(super) struct Field<'n> {
    /// Its name in its map; empty for an item of a list.
    pub(super) name: &'n str,
    /// Its path in the document.
    pub(super) path: String,
    /// Where its name stands.
    pub(super) mark: Mark,
    pub(super) node: &'n Node,
}

impl<'n> Field<'n> {
    /// The whole of a document.
    pub(super) fn root(node: &'n Node) -> Self {
        Self {
            name: "",
            path: String::new(),
            mark: node.mark,
            node,
        }
    }

    /// Notes that the value is something else than it has to be.
    pub(super) fn not(&self, what: &str, report: &mut Report) {
        let problem = match self.node.scalar() {
            Some(text) => format!(
                "`{}` is not {what}",
                text.chars().take(64).collect::<String>()
            ),
            None => format!("{} is not {what}", self.node.what()),
        };
        report.add(&self.path, self.node.mark, problem);
    }

    /// The entries of a map with their paths; names that stand twice are told and left out.
    pub(super) fn entries(&self, report: &mut Report) -> Vec<Field<'n>> {
        let NodeKind::Map(entries) = &self.node.kind else {
            self.not("a map", report);
            return Vec::new();
        };
        let mut seen = hashbrown::HashSet::with_hasher(foldhash::fast::FixedState::default());
        let mut out = Vec::with_capacity(entries.len());
        for (key, node) in entries {
            let Some(name) = key.scalar() else {
                let problem = format!("the name of a field is a text, not {}", key.what());
                report.add(&self.path, key.mark, problem);
                continue;
            };
            let path = if self.path.is_empty() {
                name.to_owned()
            } else {
                format!("{}.{name}", self.path)
            };
            if !seen.insert(name) {
                report.add(&path, key.mark, format!("`{name}` is there twice"));
                continue;
            }
            out.push(Field {
                name,
                path,
                mark: key.mark,
                node,
            });
        }
        out
    }

    /// The items of a list with their paths.
    pub(super) fn items(&self, report: &mut Report) -> Vec<Field<'n>> {
        let NodeKind::Seq(items) = &self.node.kind else {
            self.not("a list", report);
            return Vec::new();
        };
        items
            .iter()
            .enumerate()
            .map(|(index, node)| Field {
                name: "",
                path: format!("{}[{index}]", self.path),
                mark: node.mark,
                node,
            })
            .collect()
    }
}

/// The fields that a map may have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowed {
    /// Fields that are read.
    pub(super) known: &'static [&'static str],
    /// Fields of the language that this version does not read.
    pub(super) later: &'static [&'static str],
}

/// A map whose fields are known by name.
#[derive(Debug)]
pub(super) struct Section<'n> {
    path: String,
    mark: Mark,
    fields: Vec<Field<'n>>,
    /// It is a map; if not, that is all there is to tell.
    is_map: bool,
}

impl<'n> Section<'n> {
    /// Opens a map; fields that it may not have are told.
    pub(super) fn open(field: &Field<'n>, allowed: Allowed, report: &mut Report) -> Self {
        let mut fields = field.entries(report);
        fields.retain(|field| {
            if !allowed.known.contains(&field.name) {
                refuse(field, allowed, report);
                return false;
            }
            if matches!(field.node.kind, NodeKind::Null) {
                let hint = "write a value or leave the field out";
                report.hint(&field.path, field.mark, "there is no value", hint);
                return false;
            }
            true
        });
        Self {
            path: field.path.clone(),
            mark: field.node.mark,
            fields,
            is_map: matches!(field.node.kind, NodeKind::Map(_)),
        }
    }

    /// A field by its name.
    pub(super) fn get(&self, name: &str) -> Option<&Field<'n>> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// A field that has to be there.
    pub(super) fn need(&self, name: &str, report: &mut Report) -> Option<&Field<'n>> {
        let field = self.get(name);
        if field.is_none() && self.is_map {
            report.add(&self.path, self.mark, format!("`{name}` is missing"));
        }
        field
    }

    /// Where the map stands.
    pub(super) const fn mark(&self) -> Mark {
        self.mark
    }

    /// The path of the map.
    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

/// Tells why a field is not taken.
fn refuse(field: &Field<'_>, allowed: Allowed, report: &mut Report) {
    let name: String = field.name.chars().take(64).collect();
    if allowed.later.contains(&field.name) {
        report.add(&field.path, field.mark, later(&name));
        return;
    }
    let all = allowed.known.iter().chain(allowed.later).copied();
    let hint = match nearest(&name, all) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here: {}", allowed.known.join(", ")),
    };
    report.hint(
        &field.path,
        field.mark,
        format!("unknown field `{name}`"),
        hint,
    );
}

/// The words for a form of the language that this version does not have.
pub(super) fn later(what: &str) -> String {
    format!("`{what}` is not available yet in this version")
}
