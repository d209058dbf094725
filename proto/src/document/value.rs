//! Typed values of fields: texts, names, durations, flags, choices, formulas, labels and metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::section::{Field, Report, later};
use crate::document::tree::NodeKind;
use crate::id::{Name, is_resource_id};
use crate::issue::nearest;
use crate::rule::FormulaText;
use crate::time::{Span, TimeError};

/// Longest that rows may be late or out of order: seven days.
pub(super) const WEEK: Span = Span::seconds(7 * 86_400);

/// A text that is not empty. Numbers and flags have to be put in quotes.
pub(super) fn text<'n>(field: &Field<'n>, report: &mut Report) -> Option<&'n str> {
    match &field.node.kind {
        NodeKind::Text(text) if text.trim().is_empty() => {
            report.add(&field.path, field.node.mark, "the text is empty");
            None
        }
        NodeKind::Text(text) => Some(text),
        NodeKind::Number(_) | NodeKind::Bool(_) => {
            let written = field.node.scalar().unwrap_or_default();
            let problem = format!("`{written}` is not a text");
            report.hint(
                &field.path,
                field.node.mark,
                problem,
                format!("write \"{written}\""),
            );
            None
        }
        _ => {
            field.not("a text", report);
            None
        }
    }
}

/// A name of a rule or handler.
pub(super) fn name(field: &Field<'_>, report: &mut Report) -> Option<Name> {
    match Name::new(text(field, report)?) {
        Ok(name) => Some(name),
        Err(error) => {
            report.add(&field.path, field.node.mark, error.to_string());
            None
        }
    }
}

/// A resource id, type or other text that has the form of one.
pub(super) fn id(field: &Field<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = text(field, report)?;
    is_id(text, "an id", field, report).then(|| Arc::from(text))
}

fn is_id(text: &str, what: &str, field: &Field<'_>, report: &mut Report) -> bool {
    let good = is_resource_id(text);
    if !good {
        let brief: String = text.chars().take(64).collect();
        let problem = format!("`{brief}` is not {what}: 1 to 256 bytes without control characters");
        report.add(&field.path, field.mark, problem);
    }
    good
}

/// A topic name, as Kafka takes them.
pub(super) fn topic(field: &Field<'_>, report: &mut Report) -> Option<Arc<str>> {
    let text = text(field, report)?;
    let good = text.len() <= 249
        && !matches!(text, "." | "..")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if !good {
        field.not("a topic name: 1 to 249 of `A-Z a-z 0-9 . _ -`", report);
    }
    good.then(|| Arc::from(text))
}

/// A duration; a bare number is none. `0s` is one where nothing is a sensible length.
pub(super) fn span(field: &Field<'_>, zero: bool, report: &mut Report) -> Option<Span> {
    let written = match &field.node.kind {
        NodeKind::Text(text) => text.trim(),
        NodeKind::Number(number) => number,
        _ => {
            field.not("a duration: write `90s`, `5m` or `1h30m`", report);
            return None;
        }
    };
    let parsed = match &field.node.kind {
        NodeKind::Number(_) => Err(TimeError::Span(written.chars().take(64).collect())),
        _ if zero && is_zero(written) => Ok(Span::ZERO),
        _ => written.parse::<Span>(),
    };
    parsed
        .map_err(|error| report.add(&field.path, field.node.mark, error.to_string()))
        .ok()
}

/// `0s`, `0m`, `PT0S`: no time at all, with its unit.
fn is_zero(text: &str) -> bool {
    let unit = text.trim_start_matches('0');
    (unit.len() < text.len() && matches!(unit, "ms" | "s" | "m" | "h" | "d" | "w"))
        || text.eq_ignore_ascii_case("pt0s")
}

/// A duration of at most a week.
pub(super) fn week(field: &Field<'_>, report: &mut Report) -> Option<Span> {
    let span = span(field, true, report)?;
    if span > WEEK {
        let problem = format!("`{span}` is too long: at most 7d");
        report.add(&field.path, field.node.mark, problem);
        return None;
    }
    Some(span)
}

/// A duration that may have a minus sign, in milliseconds.
pub(super) fn offset(field: &Field<'_>, report: &mut Report) -> Option<i64> {
    if let NodeKind::Text(text) = &field.node.kind
        && let Some(positive) = text.trim().strip_prefix('-')
    {
        return match positive.parse::<Span>() {
            Ok(span) => Some(-span.0),
            Err(error) => {
                report.add(&field.path, field.node.mark, error.to_string());
                None
            }
        };
    }
    span(field, true, report).map(|span| span.0)
}

/// true or false.
pub(super) fn flag(field: &Field<'_>, report: &mut Report) -> Option<bool> {
    if let NodeKind::Bool(flag) = field.node.kind {
        return Some(flag);
    }
    field.not("true or false", report);
    None
}

/// One of some words; `later` are words of the language that this version does not have.
pub(super) fn choice<T: Copy>(
    field: &Field<'_>,
    words: &[(&str, T)],
    not_yet: &[&str],
    report: &mut Report,
) -> Option<T> {
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let Some(written) = field.node.scalar() else {
        field.not(&format!("one of {}", known.join(", ")), report);
        return None;
    };
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == written) {
        return Some(*value);
    }
    if not_yet.contains(&written) {
        report.add(&field.path, field.node.mark, later(written));
        return None;
    }
    let upper = written.to_uppercase();
    let lower = written.to_lowercase();
    let meant = nearest(written, known.iter().copied())
        .or_else(|| nearest(&upper, known.iter().copied()))
        .or_else(|| nearest(&lower, known.iter().copied()));
    let brief: String = written.chars().take(64).collect();
    let problem = format!("`{brief}` is not one of {}", known.join(", "));
    let hint = meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`?"));
    report.hint(&field.path, field.node.mark, problem, hint);
    None
}

/// A formula or template. Numbers and flags may stand without quotes.
pub(super) fn formula(field: &Field<'_>, report: &mut Report) -> Option<FormulaText> {
    let Some(source) = field.node.scalar() else {
        field.not("a formula", report);
        return None;
    };
    let source = source.trim_end();
    if source.trim_start().is_empty() {
        report.add(&field.path, field.node.mark, "the formula is empty");
        return None;
    }
    let text = FormulaText {
        source: Arc::from(source),
        path: Arc::from(field.path.as_str()),
        mark: field.node.mark,
    };
    report.texts.push(text.clone());
    Some(text)
}

/// Formulas by name in the order written.
pub(super) fn formulas(field: &Field<'_>, report: &mut Report) -> Vec<(Arc<str>, FormulaText)> {
    let mut out = Vec::new();
    for entry in field.entries(report) {
        let named = is_id(entry.name, "a column name", &entry, report);
        let formula = formula(&entry, report);
        if named && let Some(formula) = formula {
            out.push((Arc::from(entry.name), formula));
        }
    }
    out
}

/// Labels: texts by name. Numbers and flags are taken as their text.
pub(super) fn labels(field: &Field<'_>, report: &mut Report) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut out = BTreeMap::new();
    for entry in field.entries(report) {
        let named = is_id(entry.name, "a label", &entry, report);
        match entry.node.scalar() {
            Some("") => report.add(&entry.path, entry.node.mark, "the text is empty"),
            Some(value) if named => {
                out.insert(Arc::from(entry.name), Arc::from(value));
            }
            Some(_) => {}
            None => entry.not("a text", report),
        }
    }
    out
}

/// Metadata as text, nested maps flattened to dotted names, lists as their JSON text.
pub(super) fn meta(field: &Field<'_>, report: &mut Report) -> BTreeMap<Arc<str>, Arc<str>> {
    let mut out = BTreeMap::new();
    let mut waiting = field.entries(report);
    let skip = field.path.len() + 1;
    while let Some(entry) = waiting.pop() {
        let name = entry.path.get(skip..).unwrap_or_default();
        let value = match &entry.node.kind {
            NodeKind::Map(_) => {
                waiting.extend(entry.entries(report));
                continue;
            }
            NodeKind::Seq(_) => {
                let mut text = String::new();
                crate::document::canonical::write(entry.node, &mut text);
                text
            }
            _ => match entry.node.scalar() {
                Some(text) => text.to_owned(),
                None => {
                    report.add(&entry.path, entry.mark, "there is no value");
                    continue;
                }
            },
        };
        if !is_id(name, "a metadata field", &entry, report) {
            continue;
        }
        if out.insert(Arc::from(name), Arc::from(value)).is_some() {
            report.add(&entry.path, entry.mark, format!("`{name}` is there twice"));
        }
    }
    out
}
