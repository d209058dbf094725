//! When windows emit, and what fills empty ones.

use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, flag, formula, span};
use crate::window::{Emission, Fill, WindowOptions};

const EMIT: Allowed = Allowed {
    known: &["every", "when", "also"],
    later: &[],
};

/// Most empty windows in a row that may be told.
const FILLED: i64 = 1_000_000;

/// Reads `emit`, `fill`, `fill_limit`, `retract` and `repeat_equal`.
pub(super) fn read(window: &Section<'_>, offset: i64, report: &mut Report) -> WindowOptions {
    let defaults = WindowOptions::default();
    let mut on = |name: &str| {
        let field = window.get(name);
        field.and_then(|field| flag(field, report)).unwrap_or(false)
    };
    let (retract, repeat_equal) = (on("retract"), on("repeat_equal"));
    let emission = window.get("emit").and_then(|field| emission(field, report));
    let fill = window.get("fill").and_then(|field| fill(field, report));
    let limit = window.get("fill_limit");
    let limit = limit.and_then(|field| whole(field, FILLED, report));
    if let (Some(field), None | Some(Fill::None)) = (window.get("fill_limit"), fill) {
        let hint = "write `fill: previous` or leave it out";
        report.hint(&field.path, field.mark, "nothing is filled", hint);
    }
    WindowOptions {
        emission: emission.unwrap_or_default(),
        fill: fill.unwrap_or_default(),
        fill_limit: limit.unwrap_or(defaults.fill_limit),
        repeat_equal,
        retract,
        offset,
        ..defaults
    }
}

fn fill(field: &Field<'_>, report: &mut Report) -> Option<Fill> {
    let words = [
        ("none", Fill::None),
        ("null", Fill::Null),
        ("zero", Fill::Zero),
        ("previous", Fill::Previous),
        ("linear", Fill::Linear),
    ];
    choice(field, &words, &[], report)
}

fn emission(field: &Field<'_>, report: &mut Report) -> Option<Emission> {
    if !matches!(field.node.kind, NodeKind::Map(_)) {
        // A formula is too large to be copied: words first, then what they mean.
        let words = [("on_close", 0), ("final", 1), ("on_change", 2)];
        return Some(match choice(field, &words, &[], report)? {
            0 => Emission::OnClose,
            1 => Emission::Final,
            _ => Emission::OnChange,
        });
    }
    let section = Section::open(field, EMIT, report);
    let also = section
        .get("also")
        .and_then(|field| choice(field, &[("on_close", true)], &[], report));
    match (section.get("every"), section.get("when")) {
        (Some(every), None) => {
            if let (Some(_), Some(field)) = (also, section.get("also")) {
                report.add(&field.path, field.mark, "`also` belongs to `when`");
            }
            span(every, false, report).map(Emission::Every)
        }
        (None, Some(when)) => {
            let when = formula(when, report)?;
            Some(Emission::When {
                when,
                also_close: also.unwrap_or(false),
            })
        }
        (Some(_), Some(_)) => {
            let problem = "a window emits `every` so often or `when` something is true, not both";
            report.add(section.path(), section.mark(), problem);
            None
        }
        (None, None) => {
            let hint = "`on_close`, `final`, `on_change`, `{ every: 10s }` or `{ when: n > 3 }`";
            report.hint(section.path(), section.mark(), "it says nothing", hint);
            None
        }
    }
}

/// A whole number from 1 to a greatest one.
pub(super) fn whole(field: &Field<'_>, most: i64, report: &mut Report) -> Option<u32> {
    let written = match &field.node.kind {
        NodeKind::Number(number) => number.parse::<i64>().ok(),
        _ => None,
    };
    let found = written.filter(|number| (1..=most).contains(number));
    if found.is_none() {
        field.not(&format!("a whole number from 1 to {most}"), report);
    }
    found.and_then(|number| u32::try_from(number).ok())
}
