//! What the elements of a pattern mean together: where a negation may stand, what can wait for ever.

use crate::document::section::{Report, Section};
use crate::pattern::{Contiguity, Element, ElementKind, Every, Pattern};

/// Tells everything that is wrong; `open`: `within` was left out.
pub(super) fn check(pattern: &Pattern, section: &Section<'_>, open: bool, report: &mut Report) {
    let steps = &pattern.steps;
    if let Some(element) = steps.first().filter(|element| element.is_between()) {
        tell(
            element,
            "a `not` without `for` needs an element in front of it",
            "say for how long with `for`, or put it between two steps",
            report,
        );
    }
    for element in steps {
        inside(element, report);
    }
    if !steps.is_empty() && steps.iter().all(|element| element.min == 0) {
        let problem = "every element may be left out, so the pattern matches nothing";
        report.add(section.path(), section.mark(), problem);
    }
    let last = steps.last();
    if let Some(element) = last.filter(|element| ends_in_not(element) && !element.is_between()) {
        tell(
            element,
            "a `not` without `for` at the end of a group that ends the pattern",
            "make it the last element of `steps`, or say for how long with `for`",
            report,
        );
    }
    if !open || pattern.every == Every::Never {
        let last_not = last.filter(|element| element.is_between());
        if let (Some(element), None) = (last_not, pattern.within) {
            needs_end(element, report);
        }
        return;
    }
    let mut seen = false;
    for element in steps {
        if waits(element, element.contiguity, &mut seen) {
            needs_within(element, report);
            return;
        }
    }
    if let Some(element) = last.filter(|element| element.is_between()) {
        needs_end(element, report);
    }
}

fn tell(element: &Element, problem: &str, hint: &str, report: &mut Report) {
    report.hint(&element.path, element.mark, problem, hint);
}

fn needs_within(element: &Element, report: &mut Report) {
    let problem = "this element can wait for ever: the pattern needs `within`";
    let hint = "write `within: 10m` beside `steps`, or `within: none` to keep attempts for ever";
    report.hint(&element.path, element.mark, problem, hint);
}

/// A `not` at the end is done when the pattern's time is over.
fn needs_end(element: &Element, report: &mut Report) {
    let problem = "a `not` at the end can wait for ever: the pattern needs `within`";
    let hint =
        "write `within: 10m` beside `steps`, or say for how long with `for` beside the `not`";
    report.hint(&element.path, element.mark, problem, hint);
}

fn ends_in_not(element: &Element) -> bool {
    match &element.kind {
        ElementKind::Group(steps) => steps.last().is_some_and(ends_in_not),
        _ => element.is_between(),
    }
}

/// What can be told of one element alone.
fn inside(element: &Element, report: &mut Report) {
    match &element.kind {
        ElementKind::And { sides, .. } | ElementKind::Or(sides) if sides.len() == 1 => tell(
            element,
            "one side alone: it needs at least two",
            "write the side itself instead",
            report,
        ),
        ElementKind::And { sides, .. } if sides.iter().all(Element::is_between) => tell(
            element,
            "an `and` of nothing but negations takes no row",
            "give it a step, or say for how long with `for`",
            report,
        ),
        ElementKind::Or(sides) => {
            for side in sides.iter().filter(|side| side.is_between()) {
                tell(
                    side,
                    "a `not` without `for` cannot be a side of an `or`",
                    "say for how long with `for`",
                    report,
                );
            }
        }
        ElementKind::Group(steps) => {
            if let Some(first) = steps.first().filter(|first| first.is_between()) {
                let problem = "a group cannot begin with a `not` without `for`";
                tell(first, problem, "put it in front of the group", report);
            }
            if !steps.is_empty() && steps.iter().all(|step| step.min == 0) {
                let problem = "every element of the group may be left out";
                tell(element, problem, "let one be needed", report);
            }
        }
        _ => {}
    }
    if matches!(element.kind, ElementKind::And { .. } | ElementKind::Or(_)) {
        for side in element.children().iter().filter(|side| side.min == 0) {
            let problem = "a side of an `and` or `or` cannot be left out";
            tell(side, problem, "leave `optional` and `min: 0` out", report);
        }
    }
    for child in element.children() {
        inside(child, report);
    }
}

/// Whether an element can wait for ever; `seen`: a row was taken before it.
fn waits(element: &Element, contiguity: Contiguity, seen: &mut bool) -> bool {
    let loose = |contiguity| contiguity != Contiguity::Strict;
    let again = element.repeats() && (loose(element.inner) || element.max.is_none());
    match &element.kind {
        ElementKind::Absence { .. } => false,
        ElementKind::Step(_) => {
            let late = std::mem::replace(seen, true);
            (late && loose(contiguity)) || again
        }
        ElementKind::And { sides, .. } => {
            let mut rows = 0;
            for side in sides {
                if matches!(side.kind, ElementKind::Absence { .. }) {
                    continue;
                }
                let way = if rows == 0 { contiguity } else { element.inner };
                rows += 1;
                if waits(side, way, seen) {
                    return true;
                }
            }
            false
        }
        ElementKind::Or(sides) => {
            let before = *seen;
            let mut after = before;
            let found = sides.iter().any(|side| {
                let mut own = before;
                let waits = waits(side, contiguity, &mut own);
                after |= own;
                waits
            });
            *seen = after;
            found
        }
        ElementKind::Group(steps) => {
            let mut way = Some(contiguity);
            let found = steps
                .iter()
                .any(|step| waits(step, way.take().unwrap_or(step.contiguity), seen));
            found || again
        }
    }
}
