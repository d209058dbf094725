//! `from` of a rule: rows that are lines of other rules.

use std::sync::Arc;

use crate::across::StreamOf;
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::{Node, NodeKind};
use crate::document::value::{choice, name};
use crate::outcome::OutcomeKind;

const FROM: Allowed = Allowed {
    known: &["rule", "kinds"],
    later: &["node", "of", "source"],
};

/// Kinds of lines that can be rows.
const KINDS: [(&str, OutcomeKind); 7] = [
    ("result", OutcomeKind::Result),
    ("raised", OutcomeKind::Raised),
    ("updated", OutcomeKind::Updated),
    ("cleared", OutcomeKind::Cleared),
    ("window", OutcomeKind::Window),
    ("match", OutcomeKind::Match),
    ("state", OutcomeKind::State),
];

/// Most rules that one reads.
const MOST_RULES: usize = 100;

/// Reads `from` at the top of a rule.
pub(super) fn read(rule: &Section<'_>, report: &mut Report) -> Option<StreamOf> {
    lines(rule.get("from")?, report)
}

/// Whether a `from` that may also name resources names rules.
pub(super) fn names_rules(field: &Field<'_>) -> bool {
    let of_rules = |key: &Node| matches!(key.scalar(), Some("rule" | "kinds"));
    match &field.node.kind {
        NodeKind::Map(entries) => entries.iter().any(|(key, _)| of_rules(key)),
        _ => false,
    }
}

/// Reads whose lines a `from` names.
pub(super) fn lines(field: &Field<'_>, report: &mut Report) -> Option<StreamOf> {
    let section = Section::open(field, FROM, report);
    let rules = section.need("rule", report)?;
    let mut names: Vec<Arc<str>> = Vec::new();
    match &rules.node.kind {
        NodeKind::Seq(_) => {
            let items = rules.items(report);
            if !(1..=MOST_RULES).contains(&items.len()) {
                let problem = format!("{} rules: 1 to {MOST_RULES}", items.len());
                report.add(&rules.path, rules.mark, problem);
            }
            for item in &items {
                names.extend(name(item, report).map(|name| name.shared()));
            }
        }
        _ => names.extend(name(rules, report).map(|name| name.shared())),
    }
    names.sort();
    names.dedup();
    let mut kinds = match section.get("kinds") {
        Some(field) => kinds(field, report),
        None => {
            let all = KINDS.iter().map(|(_, kind)| *kind);
            all.filter(|kind| *kind != OutcomeKind::State).collect()
        }
    };
    kinds.sort();
    kinds.dedup();
    (!names.is_empty() && !kinds.is_empty()).then_some(StreamOf {
        rules: names,
        kinds,
        mark: field.mark,
    })
}

fn kinds(field: &Field<'_>, report: &mut Report) -> Vec<OutcomeKind> {
    let items = match &field.node.kind {
        NodeKind::Seq(_) => field.items(report),
        _ => vec![field.clone()],
    };
    if items.is_empty() {
        report.add(&field.path, field.mark, "no kind is named");
    }
    let kinds = items
        .iter()
        .filter_map(|item| choice(item, &KINDS, &[], report));
    kinds.collect()
}
