//! `window`, `by`, `emit`, `having` of a rule.

mod form;
mod mode;
mod sets;

use std::sync::Arc;

use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, formula, formulas, offset, text, week};
use crate::rule::{FormulaText, WindowForm, WindowRule};
use crate::time::Span;

const WINDOW: Allowed = Allowed {
    known: &[
        "tumbling",
        "hopping",
        "sliding",
        "session",
        "count",
        "cumulate",
        "calendar",
        "state",
        "global",
        "lateness",
        "offset",
        "emit",
        "fill",
        "fill_limit",
        "retract",
        "repeat_equal",
    ],
    later: &["also", "reset"],
};

/// Reads a window body.
pub(super) fn read(rule: &Section<'_>, report: &mut Report) -> Option<WindowRule> {
    let field = rule.get("window")?;
    let window = Section::open(field, WINDOW, report);
    let lateness = window
        .get("lateness")
        .and_then(|field| week(field, report))
        .unwrap_or(Span::ZERO);
    let shift = window.get("offset").map(|field| offset(field, report));
    let shift = shift.unwrap_or(Some(0)).unwrap_or_default();
    let mut options = mode::read(&window, shift, report);
    let form = form::read(field, &window, &mut options, report);
    if let Some(form) = form {
        form::refuse(form, &window, (&options, lateness), report);
    }
    let drop_null_keys = rule
        .get("null_keys")
        .and_then(|field| choice(field, &[("group", false), ("drop", true)], &[], report))
        .unwrap_or(false);
    rule.need("emit", report);
    let sets = rule.get("by").and_then(sets::written);
    let (by, emit, having) = rest(rule, report);
    let (by, sets) = match (sets, rule.get("by")) {
        (Some(field), Some(outer)) => sets::read(&field, outer.mark, report),
        _ => (by, Vec::new()),
    };
    for (name, key) in &by {
        if emit.iter().any(|(column, _)| column == name) {
            let problem = format!("`{name}` is a column of `emit` too");
            report.add(&key.path, key.mark, problem);
        }
    }
    Some(WindowRule {
        // A problem is told, and no rule with one is ever run: its columns can be looked at all the same.
        form: form.unwrap_or(WindowForm::Tumbling {
            size: Span::seconds(60),
            offset: 0,
        }),
        lateness,
        by,
        sets,
        emit,
        having,
        drop_null_keys,
        options: Box::new(options),
    })
}

type Columns = Vec<(Arc<str>, FormulaText)>;

/// `by`, `emit` and `having`.
pub(super) fn rest(
    rule: &Section<'_>,
    report: &mut Report,
) -> (Columns, Columns, Option<FormulaText>) {
    let keys = rule
        .get("by")
        .filter(|field| sets::written(field).is_none());
    let by = keys.map_or_else(Vec::new, |field| by(field, report));
    let emit = rule
        .get("emit")
        .map_or_else(Vec::new, |field| columns(field, report));
    let having = rule.get("having").and_then(|field| formula(field, report));
    (by, emit, having)
}

/// Group keys: formulas by name, or a list of paths whose names are the paths.
fn by(field: &Field<'_>, report: &mut Report) -> Columns {
    match &field.node.kind {
        NodeKind::Map(_) => columns(field, report),
        NodeKind::Seq(_) => {
            let mut out: Columns = Vec::new();
            for item in field.items(report) {
                let Some(path) = text(&item, report) else {
                    continue;
                };
                if out.iter().any(|(name, _)| name.as_ref() == path) {
                    report.add(&item.path, item.mark, format!("`{path}` is there twice"));
                } else if let Some(formula) = formula(&item, report) {
                    out.push((Arc::from(path), formula));
                }
            }
            out
        }
        _ => {
            field.not("a map of formulas or a list of paths", report);
            Vec::new()
        }
    }
}

/// Columns: at least one, at most a thousand.
fn columns(field: &Field<'_>, report: &mut Report) -> Columns {
    let before = report.issues.len();
    let out = formulas(field, report);
    if out.is_empty() && report.issues.len() == before {
        report.add(&field.path, field.mark, "no column is named");
    }
    if out.len() > 1000 {
        let problem = format!("{} columns: at most 1000", out.len());
        report.add(&field.path, field.mark, problem);
    }
    out
}
