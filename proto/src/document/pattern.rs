//! `pattern` of a rule: its options; elements are read in `element`, what they mean together is checked in `check`.

mod check;
mod element;
mod spans;

use std::sync::Arc;

use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, flag, formula, formulas, span, text};
use crate::issue::nearest;
use crate::pattern::{
    AfterMatch, Begin, Contiguity, Element, Every, MOST_DEPTH, Pattern, Reuse, Within,
};
use crate::rule::FormulaText;

const PATTERN: Allowed = Allowed {
    known: &[
        "steps",
        "within",
        "every",
        "begin",
        "after_match",
        "reuse",
        "after_break",
        "after_expiry",
        "report",
        "contiguity",
        "values",
        "rows",
        "emit",
        "having",
        "on_timeout",
        "matches",
        "waiting",
        "hold_for_older",
        "by",
    ],
    later: &[],
};

const WITHIN: Allowed = Allowed {
    known: &["max", "exclusive"],
    later: &[],
};

/// Words of `contiguity` and `inner`.
const CONTIGUITY: [(&str, Contiguity); 3] = [
    ("relaxed", Contiguity::Relaxed),
    ("strict", Contiguity::Strict),
    ("any", Contiguity::Any),
];

/// `within` as written.
enum Limit {
    /// Left out.
    Open,
    /// `none`.
    Nothing,
    /// So long.
    Max(Within),
}

/// Reads a pattern; what is wrong is in the report.
pub(super) fn read(field: &Field<'_>, report: &mut Report) -> Option<Pattern> {
    let before = report.issues.len();
    let section = Section::open(field, PATTERN, report);
    let contiguity = word(&section, "contiguity", &CONTIGUITY, report);
    let contiguity = contiguity.unwrap_or(Contiguity::Relaxed);
    let mut reader = element::Reader::new(contiguity);
    let steps = section.need("steps", report);
    let steps = steps.map(|field| reader.list(field, MOST_DEPTH, report));
    let steps = steps.unwrap_or_default();
    let limit = within(&section, report);
    let every = section.get("every");
    let every = every.map_or(Some(Every::First), |field| {
        self::every(field, &steps, report)
    });
    let after_match = after_match(&section, &steps, report);
    let begin = [
        ("each_row", Begin::EachRow),
        ("after_done", Begin::AfterDone),
    ];
    let begin = word(&section, "begin", &begin, report).unwrap_or(Begin::EachRow);
    let (emit, having) = told(&section, report);
    let replaced = every != Some(Every::Never);
    let holds = section.get("hold_for_older");
    let holds = holds.and_then(|field| flag(field, report));
    let mut flag = |name: &str, words: [(&str, bool); 2], default: bool| {
        word(&section, name, &words, report).unwrap_or(default)
    };
    let restart = [("restart", true), ("stop", false)];
    let mut pattern = Pattern {
        after_break: flag("after_break", restart, replaced),
        after_expiry: flag("after_expiry", restart, replaced),
        clear: None,
        longest: flag("report", [("early", false), ("longest", true)], false),
        own_values: flag("values", [("latest", false), ("row", true)], false),
        all_rows: flag("rows", [("used", false), ("all", true)], false),
        tell_timeout: flag("on_timeout", [("none", false), ("emit", true)], false),
        all_ways: flag("matches", [("first", false), ("all", true)], false),
        one_waits: flag("waiting", [("many", false), ("one", true)], false),
        holds: holds.unwrap_or(false),
        reuse: reuse(&section, report),
        steps,
        within: None,
        every: every.unwrap_or(Every::First),
        begin,
        after_match,
        contiguity,
        emit,
        having,
        by: section.get("by").and_then(|field| formula(field, report)),
    };
    if let Limit::Max(within) = &limit {
        pattern.within = Some(*within);
    }
    if report.issues.len() == before || !pattern.steps.is_empty() {
        check::check(&pattern, &section, matches!(limit, Limit::Open), report);
        spans::check(&pattern, report);
    }
    (report.issues.len() == before).then_some(pattern)
}

fn word<T: Copy>(
    section: &Section<'_>,
    name: &str,
    words: &[(&str, T)],
    report: &mut Report,
) -> Option<T> {
    let field = section.get(name)?;
    choice(field, words, &[], report)
}

fn reuse(section: &Section<'_>, report: &mut Report) -> Reuse {
    let both = |broken, matched| Reuse { broken, matched };
    let words = [
        ("broken", both(true, false)),
        ("matched", both(false, true)),
        ("both", both(true, true)),
        ("none", both(false, false)),
    ];
    word(section, "reuse", &words, report).unwrap_or(both(true, false))
}

fn within(section: &Section<'_>, report: &mut Report) -> Limit {
    let Some(field) = section.get("within") else {
        return Limit::Open;
    };
    let (max, exclusive) = match &field.node.kind {
        NodeKind::Text(text) if text == "none" => return Limit::Nothing,
        NodeKind::Map(_) => {
            let map = Section::open(field, WITHIN, report);
            let max = map.need("max", report);
            let max = max.and_then(|field| span(field, false, report));
            let exclusive = map.get("exclusive");
            (max, exclusive.and_then(|field| flag(field, report)))
        }
        _ => (span(field, false, report), None),
    };
    max.map_or(Limit::Nothing, |max| {
        Limit::Max(Within {
            max,
            exclusive: exclusive.unwrap_or(false),
        })
    })
}

type Columns = Vec<(Arc<str>, FormulaText)>;

fn told(section: &Section<'_>, report: &mut Report) -> (Columns, Option<FormulaText>) {
    let emit = section.get("emit");
    let columns = emit.map_or_else(Vec::new, |field| {
        let before = report.issues.len();
        let columns = formulas(field, report);
        if columns.is_empty() && report.issues.len() == before {
            report.add(&field.path, field.mark, "no column is named");
        }
        columns
    });
    let having = section.get("having");
    (columns, having.and_then(|field| formula(field, report)))
}

/// The place of a named element of `steps` itself.
fn place(field: &Field<'_>, steps: &[Element], report: &mut Report) -> Option<usize> {
    let alias = text(field, report)?;
    let found = steps.iter().position(|step| step.alias.as_ref() == alias);
    if found.is_none() {
        let names = steps.iter().map(|step| step.alias.as_ref());
        unknown(field, alias, names, report);
    }
    found
}

fn unknown<'a>(
    field: &Field<'_>,
    alias: &str,
    names: impl Iterator<Item = &'a str>,
    report: &mut Report,
) {
    let hint = nearest(alias, names).map_or_else(
        || "name an element of `steps`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    let problem = format!("there is no element `{alias}`");
    report.hint(&field.path, field.node.mark, problem, hint);
}

fn every(field: &Field<'_>, steps: &[Element], report: &mut Report) -> Option<Every> {
    match &field.node.kind {
        NodeKind::Seq(_) => {
            let items = field.items(report);
            let [from, to] = items.as_slice() else {
                field.not("two names: `[first, last]`", report);
                return None;
            };
            let span = (place(from, steps, report), place(to, steps, report));
            let (Some(from), Some(to)) = span else {
                return None;
            };
            if to < from {
                let problem = "the second element stands before the first";
                report.add(&field.path, field.node.mark, problem);
                return None;
            }
            Some(Every::Span(from, to))
        }
        _ => match text(field, report)? {
            "first" => Some(Every::First),
            "all" => Some(Every::All),
            "none" => Some(Every::Never),
            _ => place(field, steps, report).map(|at| Every::Span(at, at)),
        },
    }
}

fn after_match(section: &Section<'_>, steps: &[Element], report: &mut Report) -> AfterMatch {
    let default = AfterMatch::PastLast;
    let Some(field) = section.get("after_match") else {
        return default;
    };
    if matches!(field.node.kind, NodeKind::Map(_)) {
        let known = Allowed {
            known: &["to_first", "to_last"],
            later: &[],
        };
        let map = Section::open(field, known, report);
        let mut found = Vec::new();
        for name in known.known {
            let Some(field) = map.get(name) else { continue };
            let Some(alias) = text(field, report) else {
                continue;
            };
            let mut names = Vec::new();
            steps_of(steps, &mut names);
            if names.contains(&alias) {
                found.push((*name, Arc::from(alias)));
            } else {
                unknown(field, alias, names.into_iter(), report);
            }
        }
        return match found.pop() {
            Some(("to_first", alias)) if found.is_empty() => AfterMatch::ToFirst(alias),
            Some((_, alias)) if found.is_empty() => AfterMatch::ToLast(alias),
            Some(_) => {
                field.not("one of `to_first` and `to_last`", report);
                default
            }
            None => default,
        };
    }
    let words = [("past_last", 0), ("to_next", 1), ("none", 2)];
    match choice(field, &words, &[], report) {
        Some(1) => AfterMatch::ToNext,
        Some(2) => AfterMatch::Nothing,
        _ => default,
    }
}

/// Names of all elements, those inside others too.
fn steps_of<'a>(elements: &'a [Element], names: &mut Vec<&'a str>) {
    for element in elements {
        names.push(&element.alias);
        steps_of(element.children(), names);
    }
}
