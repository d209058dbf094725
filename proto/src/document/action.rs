//! `then` and `to` of a rule.

use crate::document::section::{Allowed, Field, Report, Section, later};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, flag, formula, formulas, name, span, topic};
use crate::document::when;
use crate::issue::nearest;
use crate::rule::{Action, ActionKind, On, Severity, Target};

/// Options that stand beside the kind of an action or inside its map.
const OPTIONS: [&str; 4] = ["on", "at_most_every", "once", "every_time"];
/// Kinds of actions that are read, and those that are not read yet.
const KINDS: [&str; 5] = ["alarm", "topic", "handler", "set", "log"];
const KINDS_LATER: [&str; 1] = ["command"];

const ALARM: Allowed = Allowed {
    known: &[
        "severity",
        "text",
        "on",
        "at_most_every",
        "once",
        "every_time",
    ],
    later: &["again", "escalate"],
};
const TOPIC: Allowed = Allowed {
    known: &["name", "value", "on", "at_most_every", "once", "every_time"],
    later: &["headers", "key"],
};
const HANDLER: Allowed = Allowed {
    known: &["use", "with", "on", "at_most_every", "once", "every_time"],
    later: &["timeout", "retry"],
};
const SET: Allowed = Allowed {
    known: &[
        "resource",
        "values",
        "on",
        "at_most_every",
        "once",
        "every_time",
    ],
    later: &["time"],
};
const LOG: Allowed = Allowed {
    known: &["text", "on", "at_most_every", "once", "every_time"],
    later: &["level"],
};
const TARGET_TOPIC: Allowed = Allowed {
    known: &["name", "value"],
    later: &["headers", "key"],
};

/// What an action says about when it runs.
#[derive(Default)]
struct Options<'n> {
    fields: Vec<Field<'n>>,
}

impl<'n> Options<'n> {
    fn add(&mut self, field: &Field<'n>, report: &mut Report) {
        if self.fields.iter().any(|other| other.name == field.name) {
            let problem = format!("`{}` is there twice", field.name);
            report.add(&field.path, field.mark, problem);
        } else {
            self.fields.push(field.clone());
        }
    }

    /// Takes the options out of the map of a kind.
    fn add_all(&mut self, section: &Section<'n>, report: &mut Report) {
        for field in OPTIONS.iter().filter_map(|option| section.get(option)) {
            self.add(field, report);
        }
    }

    fn get(&self, name: &str) -> Option<&Field<'n>> {
        self.fields.iter().find(|field| field.name == name)
    }

    fn action(&self, kind: ActionKind, report: &mut Report) -> Action {
        let on = match self.get("on") {
            Some(field) => moments(field, report),
            None if matches!(kind, ActionKind::Alarm { .. }) => {
                vec![On::Raised, On::Updated, On::Cleared, On::Again]
            }
            None => vec![On::Raised, On::Updated],
        };
        let at_most_every = self
            .get("at_most_every")
            .and_then(|field| span(field, false, report));
        let once = self.get("once").and_then(|field| flag(field, report));
        let every_time = self.every_time(&on, report);
        Action {
            on,
            at_most_every,
            once: once.unwrap_or(false),
            every_time,
            kind,
        }
    }
}

impl Options<'_> {
    fn every_time(&self, on: &[On], report: &mut Report) -> bool {
        let Some(field) = self.get("every_time") else {
            return false;
        };
        let every_time = flag(field, report) == Some(true);
        if every_time && !on.contains(&On::Raised) {
            let problem = "`every_time` needs `raised` in `on`";
            report.add(&field.path, field.mark, problem);
        }
        every_time
    }
}

/// `on`: one word or a list of them.
fn moments(field: &Field<'_>, report: &mut Report) -> Vec<On> {
    let words = [
        ("raised", On::Raised),
        ("updated", On::Updated),
        ("cleared", On::Cleared),
        ("again", On::Again),
    ];
    let items = match field.node.kind {
        NodeKind::Seq(_) => field.items(report),
        _ => vec![field.clone()],
    };
    if items.is_empty() {
        let problem = "the action would never run";
        report.add(&field.path, field.node.mark, problem);
    }
    let mut out = Vec::new();
    for item in &items {
        if let Some(on) = choice(item, &words, &[], report) {
            if out.contains(&on) {
                let word = item.node.scalar().unwrap_or_default();
                report.add(&item.path, item.mark, format!("`{word}` is there twice"));
            } else {
                out.push(on);
            }
        }
    }
    out
}

/// Reads `then`.
pub(super) fn actions(field: &Field<'_>, levels: bool, report: &mut Report) -> Vec<Action> {
    field
        .items(report)
        .iter()
        .filter_map(|item| action(item, levels, report))
        .collect()
}

pub(super) fn action(item: &Field<'_>, levels: bool, report: &mut Report) -> Option<Action> {
    if !matches!(item.node.kind, NodeKind::Map(_)) {
        item.not(
            "an action: a map such as `alarm: { severity: MAJOR }`",
            report,
        );
        return None;
    }
    let mut options = Options::default();
    let mut kinds = Vec::new();
    let mut refused = false;
    for field in item.entries(report) {
        if OPTIONS.contains(&field.name) {
            options.add(&field, report);
        } else if KINDS.contains(&field.name) {
            kinds.push(field);
        } else {
            refused = true;
            unknown(&field, report);
        }
    }
    let kind = match kinds.as_slice() {
        [] if refused => return None,
        [] => {
            let problem = format!("an action is one of `{}`", KINDS.join("`, `"));
            report.add(&item.path, item.mark, problem);
            return None;
        }
        [kind] => kind,
        several => {
            let names: Vec<&str> = several.iter().map(|field| field.name).collect();
            let problem = format!(
                "one action has one kind, this one has `{}`",
                names.join("`, `")
            );
            report.hint(&item.path, item.mark, problem, "make an item of each");
            return None;
        }
    };
    let read = read(kind, levels, &mut options, report);
    let action = read.map(|kind| options.action(kind, report));
    if action.is_none() {
        // Its options are looked at all the same, so that all problems come at once.
        let log = ActionKind::Topic {
            name: "".into(),
            value: None,
        };
        options.action(log, report);
    }
    action
}

fn unknown(field: &Field<'_>, report: &mut Report) {
    if KINDS_LATER.contains(&field.name) || field.name == "again" {
        report.add(&field.path, field.mark, later(field.name));
        return;
    }
    let name: String = field.name.chars().take(64).collect();
    let all = KINDS.iter().chain(&OPTIONS).chain(&KINDS_LATER);
    let hint = match nearest(&name, all.copied()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known here: {}", KINDS.join(", ")),
    };
    report.hint(
        &field.path,
        field.mark,
        format!("unknown action `{name}`"),
        hint,
    );
}

fn read<'n>(
    field: &Field<'n>,
    levels: bool,
    options: &mut Options<'n>,
    report: &mut Report,
) -> Option<ActionKind> {
    match field.name {
        "alarm" => {
            let section = Section::open(field, ALARM, report);
            options.add_all(&section, report);
            let severity = severity(&section, levels, report);
            let text = section.get("text").and_then(|field| formula(field, report));
            Some(ActionKind::Alarm {
                severity: severity?,
                text,
            })
        }
        "topic" => {
            let section = Section::open(field, TOPIC, report);
            options.add_all(&section, report);
            let name = section
                .need("name", report)
                .and_then(|field| topic(field, report));
            let value = section
                .get("value")
                .and_then(|field| formula(field, report));
            Some(ActionKind::Topic { name: name?, value })
        }
        "handler" => {
            let section = Section::open(field, HANDLER, report);
            options.add_all(&section, report);
            let handler = section
                .need("use", report)
                .and_then(|field| name(field, report));
            let with = section
                .get("with")
                .map_or_else(Vec::new, |field| formulas(field, report));
            Some(ActionKind::Handler {
                name: handler?,
                with,
            })
        }
        "set" => {
            let section = Section::open(field, SET, report);
            options.add_all(&section, report);
            let resource = section
                .need("resource", report)
                .and_then(|field| formula(field, report));
            let values = section.need("values", report)?;
            let before = report.issues.len();
            let named = formulas(values, report);
            if named.is_empty() && report.issues.len() == before {
                report.add(&values.path, values.mark, "no value is named");
            }
            Some(ActionKind::Set {
                resource: resource?,
                values: named,
            })
        }
        _ => log(field, options, report),
    }
}

/// The severity of an alarm, which is that of the level where there are levels.
fn severity(section: &Section<'_>, levels: bool, report: &mut Report) -> Option<Option<Severity>> {
    if !levels {
        let field = section.need("severity", report)?;
        return when::severity(field, report).map(Some);
    }
    if let Some(field) = section.get("severity") {
        let problem = "the severity of an alarm comes from `levels`";
        report.hint(&field.path, field.mark, problem, "leave `severity` out");
    }
    Some(None)
}

/// `log: { text }`, or `log: "text"`.
fn log<'n>(
    field: &Field<'n>,
    options: &mut Options<'n>,
    report: &mut Report,
) -> Option<ActionKind> {
    if !matches!(field.node.kind, NodeKind::Map(_)) {
        return formula(field, report).map(|text| ActionKind::Log { text });
    }
    let section = Section::open(field, LOG, report);
    options.add_all(&section, report);
    let text = section
        .need("text", report)
        .and_then(|field| formula(field, report));
    Some(ActionKind::Log { text: text? })
}

/// Reads `to`.
pub(super) fn targets(field: &Field<'_>, report: &mut Report) -> Vec<Target> {
    let items = field.items(report);
    if items.is_empty() && matches!(field.node.kind, NodeKind::Seq(_)) {
        let problem = "the results would go nowhere";
        let hint = "leave `to` out: they go to `results`";
        report.hint(&field.path, field.node.mark, problem, hint);
    }
    items
        .iter()
        .filter_map(|item| target(item, report))
        .collect()
}

fn target(item: &Field<'_>, report: &mut Report) -> Option<Target> {
    match &item.node.kind {
        NodeKind::Text(_) => {
            choice(item, &[("results", ())], &["series"], report).map(|()| Target::Results)
        }
        NodeKind::Map(_) => {
            let whole = Allowed {
                known: &["topic"],
                later: &["handler", "series"],
            };
            let before = report.issues.len();
            let section = Section::open(item, whole, report);
            let Some(field) = section.get("topic") else {
                if report.issues.len() == before {
                    section.need("topic", report);
                }
                return None;
            };
            let section = Section::open(field, TARGET_TOPIC, report);
            let name = section
                .need("name", report)
                .and_then(|field| topic(field, report));
            let value = section
                .get("value")
                .and_then(|field| formula(field, report));
            Some(Target::Topic { name: name?, value })
        }
        _ => {
            item.not("`results` or `topic: { name: … }`", report);
            None
        }
    }
}
