//! `inputs`, `clock` and `max_skew` of a rule: what it asks of several resources.

use std::sync::Arc;

use crate::across::{Across, Input, TaskClock};
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::value::{choice, flag, formula, id, span};
use crate::rule::Selector;

const INPUT: Allowed = Allowed {
    known: &["resource", "metric", "max_age", "passive"],
    later: &["of", "rule", "node"],
};

/// Most inputs of a rule.
const MOST_INPUTS: usize = 100;

/// Words of `clock`.
const CLOCKS: [(&str, TaskClock); 3] = [
    ("least", TaskClock::Least),
    ("newest", TaskClock::Newest),
    ("own", TaskClock::Own),
];

/// Fields that this reads.
pub(super) const FIELDS: [&str; 3] = ["inputs", "clock", "max_skew"];

/// Reads what a rule says about several resources.
pub(super) fn read(rule: &Section<'_>, selector: Option<&Selector>, report: &mut Report) -> Across {
    let inputs = rule.get("inputs");
    let clock = rule
        .get("clock")
        .and_then(|field| choice(field, &CLOCKS, &[], report));
    let max_skew = rule
        .get("max_skew")
        .and_then(|field| span(field, false, report));
    let across = Across {
        inputs: inputs.map_or_else(Vec::new, |field| self::inputs(field, report)),
        clock,
        max_skew,
    };
    let everything = selector == Some(&Selector::Everything);
    if let Some(field) = inputs.filter(|_| everything) {
        let problem = "`inputs` belong to the task of a resource, and the rule has no `for`";
        let hint = "write `for: all`, or leave `inputs` out: the one task sees every resource";
        report.hint(&field.path, field.mark, problem, hint);
    }
    if let Some(field) = rule.get("clock")
        && everything
        && clock == Some(TaskClock::Own)
    {
        let problem = "without `for` there is no resource whose own time could count";
        report.hint(
            &field.path,
            field.mark,
            problem,
            "write `least` or `newest`",
        );
    }
    if let Some(field) = rule.get("max_skew")
        && matches!(clock, Some(TaskClock::Newest | TaskClock::Own))
    {
        let problem = "`max_skew` is for `clock: least`: here no member is waited for";
        report.hint(&field.path, field.mark, problem, "leave one of the two out");
    }
    let alone = selector.is_some() && !everything && inputs.is_none();
    for field in ["clock", "max_skew"].iter().filter_map(|f| rule.get(f)) {
        if alone {
            let problem = format!(
                "`{}` is for tasks that read several resources, these read one each",
                field.name
            );
            let hint = "leave it out, or name `inputs`";
            report.hint(&field.path, field.mark, problem, hint);
        }
    }
    across
}

fn inputs(field: &Field<'_>, report: &mut Report) -> Vec<Input> {
    let before = report.issues.len();
    let entries = field.entries(report);
    if entries.is_empty() && report.issues.len() == before {
        report.add(&field.path, field.mark, "no input is named");
    }
    if entries.len() > MOST_INPUTS {
        let problem = format!("{} inputs: at most {MOST_INPUTS}", entries.len());
        report.add(&field.path, field.mark, problem);
    }
    let inputs = entries.iter().filter_map(|entry| input(entry, report));
    inputs.collect()
}

fn input(field: &Field<'_>, report: &mut Report) -> Option<Input> {
    let section = Section::open(field, INPUT, report);
    let of = matches!(&field.node.kind, crate::document::tree::NodeKind::Map(entries)
        if entries.iter().any(|(key, _)| matches!(key.scalar(), Some("of" | "rule"))));
    let resource = if of {
        None
    } else {
        section.need("resource", report)
    };
    let resource = resource.and_then(|field| formula(field, report));
    let metric = section
        .need("metric", report)
        .and_then(|field| id(field, report));
    let max_age = section
        .get("max_age")
        .and_then(|field| span(field, false, report));
    let passive = section
        .get("passive")
        .and_then(|field| flag(field, report))
        .unwrap_or(false);
    Some(Input {
        name: Arc::from(field.name),
        resource: resource?,
        metric: metric?,
        max_age,
        passive,
    })
}
