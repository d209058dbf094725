//! `window`, `by`, `emit`, `having` of a rule.

use std::sync::Arc;

use crate::document::section::{Allowed, Field, Report, Section, later};
use crate::document::tree::NodeKind;
use crate::document::value::{formula, formulas, offset, span, text, week};
use crate::rule::{FormulaText, WindowForm, WindowRule};
use crate::time::Span;

/// Most windows of one hopping form that a row may be in.
const HOPS: i64 = 10_000;

const WINDOW: Allowed = Allowed {
    known: &[
        "tumbling",
        "hopping",
        "sliding",
        "lateness",
        "offset",
        "emit",
        "fill",
        "retract",
        "repeat_equal",
    ],
    later: &[
        "also",
        "calendar",
        "count",
        "cumulate",
        "fill_limit",
        "global",
        "reset",
        "session",
        "state",
    ],
};

const HOPPING: Allowed = Allowed {
    known: &["size", "every", "offset"],
    later: &[],
};

const SLIDING: Allowed = Allowed {
    known: &["size"],
    later: &["edges", "per"],
};

/// Forms that are read, and forms that are not read yet.
const FORMS: [&str; 9] = [
    "tumbling", "hopping", "sliding", "session", "count", "cumulate", "calendar", "state", "global",
];

/// Reads a window body.
pub(super) fn read(rule: &Section<'_>, report: &mut Report) -> Option<WindowRule> {
    let field = rule.get("window")?;
    let window = Section::open(field, WINDOW, report);
    let lateness = window
        .get("lateness")
        .and_then(|field| week(field, report))
        .unwrap_or(Span::ZERO);
    defaults(&window, report);
    let form = form(field, &window, report);
    rule.need("emit", report);
    let (by, emit, having) = rest(rule, report);
    for (name, key) in &by {
        if emit.iter().any(|(column, _)| column == name) {
            let problem = format!("`{name}` is a column of `emit` too");
            report.add(&key.path, key.mark, problem);
        }
    }
    Some(WindowRule {
        form: form?,
        lateness,
        by,
        emit,
        having,
    })
}

type Columns = Vec<(Arc<str>, FormulaText)>;

/// `by`, `emit` and `having`.
pub(super) fn rest(
    rule: &Section<'_>,
    report: &mut Report,
) -> (Columns, Columns, Option<FormulaText>) {
    let by = rule
        .get("by")
        .map_or_else(Vec::new, |field| by(field, report));
    let emit = rule
        .get("emit")
        .map_or_else(Vec::new, |field| columns(field, report));
    let having = rule.get("having").and_then(|field| formula(field, report));
    (by, emit, having)
}

/// Fields that are taken only with the value that they have anyway.
fn defaults(window: &Section<'_>, report: &mut Report) {
    for (name, value) in [
        ("emit", "on_close"),
        ("fill", "none"),
        ("retract", "false"),
        ("repeat_equal", "false"),
    ] {
        if let Some(field) = window.get(name)
            && field.node.scalar() != Some(value)
        {
            let problem = later(&format!("{name}` other than `{value}"));
            report.add(&field.path, field.node.mark, problem);
        }
    }
}

fn form(field: &Field<'_>, window: &Section<'_>, report: &mut Report) -> Option<WindowForm> {
    let entries = match &field.node.kind {
        NodeKind::Map(entries) => entries.as_slice(),
        _ => return None,
    };
    let named: Vec<&str> = FORMS
        .into_iter()
        .filter(|form| entries.iter().any(|(key, _)| key.scalar() == Some(*form)))
        .collect();
    match named.as_slice() {
        ["tumbling"] => tumbling(window, report),
        ["hopping"] => hopping(window, report),
        ["sliding"] => sliding(window, report),
        // The section has told that it is not available yet.
        [_] => None,
        [] => {
            let hint = "one of `tumbling`, `hopping`, `sliding`";
            report.hint(window.path(), window.mark(), "the window has no form", hint);
            None
        }
        several => {
            let problem = format!(
                "a window has one form, this one has `{}`",
                several.join("`, `")
            );
            report.add(window.path(), window.mark(), problem);
            None
        }
    }
}

fn tumbling(window: &Section<'_>, report: &mut Report) -> Option<WindowForm> {
    let shift = window.get("offset").map(|field| offset(field, report));
    let size = span(window.get("tumbling")?, false, report);
    Some(WindowForm::Tumbling {
        size: size?,
        offset: shift.unwrap_or(Some(0))?,
    })
}

fn hopping(window: &Section<'_>, report: &mut Report) -> Option<WindowForm> {
    let field = window.get("hopping")?;
    let section = Section::open(field, HOPPING, report);
    let size = section
        .need("size", report)
        .and_then(|field| span(field, false, report));
    let every = section
        .need("every", report)
        .and_then(|field| span(field, false, report));
    let shifts = [section.get("offset"), window.get("offset")];
    if let [Some(_), Some(outer)] = shifts {
        report.add(&outer.path, outer.mark, "`offset` is there twice");
    }
    let shift = shifts
        .into_iter()
        .flatten()
        .next()
        .map_or(Some(0), |field| offset(field, report));
    let (size, every) = (size?, every?);
    let hops = size.0 / every.0.max(1) + i64::from(size.0 % every.0.max(1) > 0);
    if hops > HOPS {
        let problem = format!("a row would be in {hops} windows: at most {HOPS}");
        let hint = "make `every` longer or `size` shorter";
        report.hint(&field.path, field.mark, problem, hint);
        return None;
    }
    Some(WindowForm::Hopping {
        size,
        every,
        offset: shift?,
    })
}

fn sliding(window: &Section<'_>, report: &mut Report) -> Option<WindowForm> {
    let field = window.get("sliding")?;
    if let Some(shift) = window.get("offset") {
        let problem = "a sliding window takes no `offset`";
        report.add(&shift.path, shift.mark, problem);
    }
    let size = if let NodeKind::Map(_) = field.node.kind {
        let section = Section::open(field, SLIDING, report);
        section
            .need("size", report)
            .and_then(|field| span(field, false, report))
    } else {
        span(field, false, report)
    };
    Some(WindowForm::Sliding { size: size? })
}

/// Group keys: formulas by name, or a list of paths whose names are the paths.
fn by(field: &Field<'_>, report: &mut Report) -> Columns {
    match &field.node.kind {
        NodeKind::Map(entries) if entries.iter().any(|(key, _)| key.scalar() == Some("sets")) => {
            report.add(&field.path, field.mark, later("sets"));
            Vec::new()
        }
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
