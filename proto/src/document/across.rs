//! `inputs`, `clock` and `max_skew` of a rule: what it asks of several resources.

use std::sync::Arc;

use crate::across::{Across, GroupOf, Input, InputSource, TaskClock};
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, flag, formula, id, name, span};
use crate::pattern::RowsOf;
use crate::rule::{FormulaText, Selector};

const INPUT: Allowed = Allowed {
    known: &["resource", "of", "rule", "metric", "max_age", "passive"],
    later: &["node"],
};

const GROUP: Allowed = Allowed {
    known: &["parent", "under", "type", "labels", "ids"],
    later: &["rule", "source"],
};

/// Most ids of a group.
const MOST_IDS: usize = 10_000;

/// Most inputs of a rule.
const MOST_INPUTS: usize = 100;

/// Words of `clock`.
const CLOCKS: [(&str, TaskClock); 3] = [
    ("least", TaskClock::Least),
    ("newest", TaskClock::Newest),
    ("own", TaskClock::Own),
];

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
    let single = across.inputs.iter().any(|input| !input.is_group());
    if let Some(field) = inputs.filter(|_| everything && single) {
        let problem =
            "an input of one resource belongs to the task of a resource, and the rule has no `for`";
        let hint = "write `for: all`, or make it a group: `of: { ids: [ … ] }`";
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
    let asked = section.get("rule");
    let rule = asked.and_then(|field| name(field, report));
    let source = match (section.get("of"), section.get("resource")) {
        (Some(of), None) => group(of, report).map(InputSource::Group),
        (None, None) if asked.is_some() => Some(InputSource::Resource(FormulaText {
            path: Arc::from(field.path.as_str()),
            source: Arc::from("${resource}"),
            mark: field.mark,
        })),
        (None, _) => {
            let resource = section.need("resource", report);
            let resource = resource.and_then(|field| formula(field, report));
            resource.map(InputSource::Resource)
        }
        (Some(of), Some(_)) => {
            let problem = "an input is of one `resource` or `of` a group, not both";
            report.add(&of.path, of.mark, problem);
            None
        }
    };
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
    let metric = metric.map(|metric| match &rule {
        Some(rule) => Input::said(rule.as_str(), &metric),
        None => metric,
    });
    Some(Input {
        name: Arc::from(field.name),
        source: source?,
        rule: rule.map(|rule| rule.shared()),
        metric: metric?,
        max_age,
        passive,
    })
}

/// `of` of a pattern's element: an input or a resource by its name, or which resources.
pub(super) fn rows_of(field: &Field<'_>, report: &mut Report) -> Option<RowsOf> {
    if !matches!(field.node.kind, NodeKind::Map(_)) {
        let text = formula(field, report)?;
        return Some(RowsOf {
            name: Arc::clone(&text.source),
            source: InputSource::Resource(text),
        });
    }
    let of = match field.entries(report).as_slice() {
        [only] if only.name == "resource" => {
            let text = formula(only, report)?;
            return Some(RowsOf {
                name: Arc::clone(&text.source),
                source: InputSource::Resource(text),
            });
        }
        _ => group(field, report)?,
    };
    let texts = of.texts();
    let name: Vec<String> = texts
        .map(|(name, text)| format!("{name} {}", text.source))
        .collect();
    Some(RowsOf {
        name: Arc::from(name.join(",")),
        source: InputSource::Group(of),
    })
}

/// `of`: which resources are members.
fn group(field: &Field<'_>, report: &mut Report) -> Option<GroupOf> {
    let before = report.issues.len();
    let section = Section::open(field, GROUP, report);
    let mut text = |name: &str| {
        let field = section.get(name)?;
        formula(field, report)
    };
    let (parent, under, kind) = (text("parent"), text("under"), text("type"));
    let labels = section.get("labels");
    let labels = labels.map_or_else(Vec::new, |field| {
        let entries = field.entries(report);
        let labels = entries
            .iter()
            .filter_map(|entry| Some((Arc::from(entry.name), formula(entry, report)?)));
        labels.collect()
    });
    let ids = section.get("ids");
    let ids: Vec<_> = ids.map_or_else(Vec::new, |field| {
        let items = field.items(report);
        if items.len() > MOST_IDS {
            let problem = format!("{} ids: at most {MOST_IDS}", items.len());
            report.add(&field.path, field.mark, problem);
        }
        let ids = items.iter().filter_map(|item| formula(item, report));
        ids.collect()
    });
    let of = GroupOf {
        parent,
        under,
        kind,
        labels,
        ids,
    };
    if of.texts().next().is_none() {
        if report.issues.len() == before {
            let problem = "nothing says which resources are members";
            let hint = "write `parent`, `under`, `type`, `labels` or `ids`";
            report.hint(&field.path, field.node.mark, problem, hint);
        }
        return None;
    }
    Some(of)
}
