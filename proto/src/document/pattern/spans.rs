//! Whether absences leave enough time: an element whose `within` is over before the absences in it can end, or the pattern's
//! own, would never match.

use crate::document::section::Report;
use crate::pattern::{Element, ElementKind, Pattern};
use crate::time::Span;

/// In the place of the least time since the last row where there may be none: no `within` of an element counts.
const NO_ROW: i64 = i64::MIN / 4;

/// Least times, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Least {
    /// From the row taken before an element until it is done.
    done: i64,
    /// From the last row taken until it is done.
    rest: i64,
}

/// Tells every `within` that can never be met.
pub(super) fn check(pattern: &Pattern, report: &mut Report) {
    let before = report.issues.len();
    let mut rest = NO_ROW;
    let mut whole = 0_i64;
    let mut begun = false;
    for element in &pattern.steps {
        let least = least(element, rest, report);
        if element.min == 0 {
            rest = rest.min(least.rest);
            continue;
        }
        // `within` of the pattern runs from the first row, after a leading absence from its end.
        if std::mem::replace(&mut begun, true) {
            whole = whole.saturating_add(least.done.saturating_sub(rest));
        }
        rest = least.rest;
    }
    let Some(within) = pattern.within else { return };
    let over = whole > within.max.0 || (within.exclusive && whole == within.max.0);
    let last = pattern.steps.iter().rev().find(|step| step.holds_absence());
    if let (true, Some(element)) = (over && report.issues.len() == before, last) {
        let problem = format!(
            "the absences behind the first element take {}, and `within` of the pattern is {}: nothing can match",
            Span(whole),
            within.max,
        );
        let hint = "make `within` longer, or `for` shorter";
        report.hint(&element.path, element.mark, problem, hint);
    }
}

/// `rest`: least time since the last row when the element is reached.
fn least(element: &Element, rest: i64, report: &mut Report) -> Least {
    let least = match &element.kind {
        ElementKind::Step(_) | ElementKind::Absence { lasts: None, .. } => Least {
            done: rest,
            rest: if element.is_between() { rest } else { 0 },
        },
        ElementKind::Absence {
            lasts: Some(lasts), ..
        } => Least {
            done: rest.saturating_add(lasts.0),
            rest: rest.saturating_add(lasts.0),
        },
        ElementKind::And { sides, .. } => {
            let sides = sides.iter().map(|side| least(side, rest, report));
            sides.fold(
                Least {
                    done: rest,
                    rest: i64::MAX,
                },
                |all, side| Least {
                    done: all.done.max(side.done),
                    rest: all.rest.min(side.rest),
                },
            )
        }
        ElementKind::Or(sides) => {
            let sides = sides.iter().map(|side| least(side, rest, report));
            let none = Least {
                done: i64::MAX,
                rest: i64::MAX,
            };
            sides.fold(none, |all, side| Least {
                done: all.done.min(side.done),
                rest: all.rest.min(side.rest),
            })
        }
        ElementKind::Group(steps) => group(element, steps, rest, report),
    };
    let within = element.within.map_or(i64::MAX, |within| within.0);
    if least.done > within {
        let problem = format!(
            "absences take {} from the row taken before to its end, and its `within` is {}: nothing can match",
            Span(least.done),
            Span(within),
        );
        let hint = "make `within` longer, or `for` shorter";
        report.hint(&element.path, element.mark, problem, hint);
    }
    least
}

fn group(element: &Element, steps: &[Element], rest: i64, report: &mut Report) -> Least {
    let mut now = rest;
    let mut round = 0_i64;
    for step in steps {
        let least = least(step, now, report);
        if step.min == 0 {
            now = now.min(least.rest);
            continue;
        }
        round = round.saturating_add(least.done.saturating_sub(now));
        now = least.rest;
    }
    let rounds = i64::from(element.min.max(1));
    Least {
        done: rest.saturating_add(round.saturating_mul(rounds)),
        rest: now,
    }
}
