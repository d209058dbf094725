//! `kind: Rule`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::across;
use crate::document::action;
use crate::document::canonical;
use crate::document::graph;
use crate::document::join;
use crate::document::pattern;
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, formula, id, labels, name, span, text, week};
use crate::document::{stream, when, window};
use crate::rule::{Body, Order, Rule, Selector, Timing};
use crate::time::Span;

const RULE: Allowed = Allowed {
    known: &[
        "kind",
        "name",
        "description",
        "for",
        "where",
        "disorder",
        "idle",
        "order",
        "when",
        "levels",
        "hold",
        "clear",
        "clear_hold",
        "dampen",
        "again",
        "flapping",
        "active",
        "never_lower",
        "window",
        "by",
        "emit",
        "having",
        "null_keys",
        "pattern",
        "graph",
        "join",
        "from",
        "inputs",
        "clock",
        "max_skew",
        "then",
        "to",
    ],
    later: &["judge_on_apply", "warmup"],
};

const SELECTOR: Allowed = Allowed {
    known: &["type", "labels", "ids"],
    later: &["parent", "rule", "source", "under"],
};

/// Forms of a rule's body, the ones that are not read yet included.
const BODIES: [&str; 6] = ["when", "window", "pattern", "graph", "join", "levels"];
/// Fields that only a window rule has.
const OF_WINDOW: [&str; 4] = ["by", "emit", "having", "null_keys"];

/// Reads a rule; what is wrong is in the report.
pub(super) fn read(root: &Field<'_>, report: &mut Report) -> Option<Rule> {
    let section = Section::open(root, RULE, report);
    let rule_name = section
        .need("name", report)
        .and_then(|field| name(field, report));
    let description = section
        .get("description")
        .and_then(|field| text(field, report));
    let selector = selector(root, &section, report);
    let filter = section
        .get("where")
        .and_then(|field| formula(field, report));
    let from = stream::read(&section, report);
    let mut timing = timing(&section, report);
    if from.is_some() && timing.disorder.is_none() {
        // What a rule says of a task comes in its order.
        timing.disorder = Some(Span::ZERO);
    }
    let across = across::read(&section, selector.as_ref(), report);
    if let (Some(from), Some(input)) = (
        section.get("from"),
        across.inputs.iter().find(|input| input.rule.is_some()),
    ) {
        let problem = format!(
            "`from` makes lines of rules the only rows, and the input `{}` is of a rule, too",
            input.name
        );
        let hint = "name both rules in `from`, or make both inputs";
        report.hint(&from.path, from.mark, problem, hint);
    }
    let body = body(root, &section, report);
    if let (Some(from), Some(Body::Graph(graph))) = (section.get("from"), &body) {
        graph::not_beside_from(from, graph, report);
    }
    let then = match section.get("graph") {
        Some(field) => graph::actuators(field, report),
        None => section.get("then").map_or_else(Vec::new, |field| {
            action::actions(field, section.get("levels").is_some(), report)
        }),
    };
    let to = section
        .get("to")
        .map_or_else(Vec::new, |field| action::targets(field, report));
    if let (Some(body), Some(field)) = (&body, section.get("then")) {
        when::check_actions(field, body, &then, report);
    }
    let mut document = String::new();
    canonical::write(root.node, &mut document);
    Some(Rule {
        name: rule_name?,
        description: description.map(Arc::from),
        from,
        // A problem is told, and no rule with one is ever run: what else is wrong with it can be said all the same.
        selector: selector.unwrap_or(Selector::All),
        filter,
        timing,
        across,
        body: body?,
        then,
        to,
        document: Arc::from(document),
    })
}

/// Whether the document has a field, known or not.
fn has(root: &Field<'_>, name: &str) -> bool {
    match &root.node.kind {
        NodeKind::Map(entries) => entries.iter().any(|(key, _)| key.scalar() == Some(name)),
        _ => false,
    }
}

fn selector(root: &Field<'_>, section: &Section<'_>, report: &mut Report) -> Option<Selector> {
    let Some(field) = section.get("for") else {
        return (!has(root, "for")).then_some(Selector::Everything);
    };
    if let Some(join) = section.get("join") {
        let problem = "a join has no `for`: its streams say whose rows they take";
        let hint = format!("write `from` in `{}.streams`", join.path);
        report.hint(&field.path, field.mark, problem, hint);
    }
    selected(field, report)
}

/// Which resources a field names.
pub(super) fn selected(field: &Field<'_>, report: &mut Report) -> Option<Selector> {
    match &field.node.kind {
        NodeKind::Text(text) if text == "all" => Some(Selector::All),
        NodeKind::Seq(_) => ids(field, report),
        NodeKind::Map(_) => matching(field, report),
        _ => id(field, report).map(|id| Selector::Ids(vec![id])),
    }
}

fn ids(field: &Field<'_>, report: &mut Report) -> Option<Selector> {
    let items = field.items(report);
    if items.is_empty() {
        report.add(&field.path, field.node.mark, "no resource is named");
        return None;
    }
    let mut ids: Vec<Arc<str>> = Vec::with_capacity(items.len());
    for item in &items {
        ids.extend(id(item, report));
    }
    ids.sort();
    ids.dedup();
    Some(Selector::Ids(ids))
}

fn matching(field: &Field<'_>, report: &mut Report) -> Option<Selector> {
    let before = report.issues.len();
    let section = Section::open(field, SELECTOR, report);
    let kind = section.get("type").and_then(|field| id(field, report));
    let wanted = section
        .get("labels")
        .map_or_else(BTreeMap::new, |field| labels(field, report));
    if let Some(listed) = section.get("ids") {
        if section.get("type").is_some() || section.get("labels").is_some() {
            let problem = "`ids` stands alone, without `type` and `labels`";
            report.add(&listed.path, listed.mark, problem);
        }
        return match listed.node.kind {
            NodeKind::Seq(_) => ids(listed, report),
            _ => {
                listed.not("a list of resource ids", report);
                None
            }
        };
    }
    if kind.is_none() && wanted.is_empty() {
        if report.issues.len() == before {
            let problem = "nothing is selected: `type`, `labels` or `ids` is missing";
            report.hint(&field.path, field.node.mark, problem, "or write `for: all`");
        }
        return None;
    }
    Some(Selector::Match {
        kind,
        labels: wanted,
    })
}

/// `disorder` and `idle`; the first may not be longer than the second.
pub(super) fn lags(section: &Section<'_>, report: &mut Report) -> (Option<Span>, Option<Span>) {
    let disorder = section
        .get("disorder")
        .and_then(|field| week(field, report));
    let idle = section
        .get("idle")
        .and_then(|field| span(field, false, report));
    if let (Some(disorder), Some(idle), Some(field)) = (disorder, idle, section.get("disorder"))
        && disorder > idle
    {
        let problem = format!("`disorder` {disorder} is longer than `idle` {idle}");
        report.add(&field.path, field.node.mark, problem);
    }
    (disorder, idle)
}

fn timing(section: &Section<'_>, report: &mut Report) -> Timing {
    let (disorder, idle) = lags(section, report);
    let words = [("arrival", Order::Arrival), ("time", Order::Time)];
    let order = section
        .get("order")
        .and_then(|field| choice(field, &words, &[], report));
    if let (Some(Order::Time), Some(field), Some(_)) =
        (order, section.get("order"), section.get("graph"))
    {
        let problem = "`order: time` is not available yet for graphs";
        let hint = "leave `order` out: rows are judged as they arrive";
        report.hint(&field.path, field.mark, problem, hint);
    }
    Timing {
        disorder,
        idle,
        order,
    }
}

fn body(root: &Field<'_>, section: &Section<'_>, report: &mut Report) -> Option<Body> {
    let bodies: Vec<&str> = BODIES.into_iter().filter(|name| has(root, name)).collect();
    match bodies.as_slice() {
        [] => {
            let hint = "one of `when` (a condition), `window` (aggregates), `pattern` (rows in order), `graph` (nodes and triggers) and `join` (rows in pairs)";
            report.hint(section.path(), section.mark(), "the rule has no body", hint);
            // What belongs to a body is looked at all the same, so that all problems come at once.
            when::read(section, report);
            window::rest(section, report);
            None
        }
        ["when"] => {
            misplaced(section, &OF_WINDOW, "window", report);
            when::read(section, report).map(Body::When)
        }
        ["levels"] => {
            misplaced(section, &OF_WINDOW, "window", report);
            when::levels(section, report).map(Body::When)
        }
        ["window"] => {
            misplaced(section, &when::FIELDS, "when", report);
            window::read(section, report).map(Body::Window)
        }
        ["join"] => joined(section, report),
        ["pattern"] => patterned(root, section, report),
        ["graph"] => graphed(section, report),
        // The section has told that it is not available yet.
        [_] => None,
        several => {
            let problem = format!(
                "a rule has one body, this one has `{}`",
                several.join("`, `")
            );
            report.hint(
                section.path(),
                section.mark(),
                problem,
                "make a rule of each",
            );
            // Each is looked at all the same, so that all problems come at once.
            for body in several {
                match *body {
                    "when" => drop(when::read(section, report)),
                    "levels" => drop(when::levels(section, report)),
                    "window" => drop(window::read(section, report)),
                    "join" => drop(join::read(section, report)),
                    "pattern" => drop(patterned(root, section, report)),
                    _ => drop(graphed(section, report)),
                }
            }
            None
        }
    }
}

fn patterned(root: &Field<'_>, section: &Section<'_>, report: &mut Report) -> Option<Body> {
    let fields = when::FIELDS.into_iter().filter(|name| *name != "clear");
    misplaced(section, &fields.collect::<Vec<_>>(), "when", report);
    misplaced(section, &OF_WINDOW, "window", report);
    let clear = section.get("clear");
    let clear = clear.and_then(|field| formula(field, report));
    let mut pattern = pattern::read(section.get("pattern")?, report)?;
    if let (Some(by), true) = (&pattern.by, has(root, "for")) {
        let problem = "`by` is the key of a rule over everything, and this one has `for`";
        let hint = "leave `for` out, or leave `by` out: the key is the resource";
        report.hint(&by.path, by.mark, problem, hint);
    }
    pattern.clear = clear;
    Some(Body::Pattern(pattern))
}

fn joined(section: &Section<'_>, report: &mut Report) -> Option<Body> {
    misplaced(section, &when::FIELDS, "when", report);
    misplaced(section, &["by", "having", "null_keys"], "window", report);
    misplaced(section, &["inputs", "from"], "when", report);
    if let Some(field) = section.get("where") {
        let problem = "a join filters each stream, and its pairs";
        let hint = "write `where` in a stream, or in `join`";
        report.hint(&field.path, field.mark, problem, hint);
    }
    join::read(section, report).map(|join| Body::Join(Box::new(join)))
}

fn graphed(section: &Section<'_>, report: &mut Report) -> Option<Body> {
    misplaced(section, &when::FIELDS, "when", report);
    misplaced(section, &OF_WINDOW, "window", report);
    if let Some(field) = section.get("then") {
        let problem = "a graph acts by its triggers";
        let hint = "name what is done in `graph.actuators` and fire it with `do`";
        report.hint(&field.path, field.mark, problem, hint);
    }
    graph::read(section.get("graph")?, report).map(Body::Graph)
}

/// Tells fields that belong to the other body.
fn misplaced(section: &Section<'_>, fields: &[&str], body: &str, report: &mut Report) {
    for field in fields.iter().filter_map(|name| section.get(name)) {
        let problem = format!("`{}` belongs to `{body}`, which is not there", field.name);
        report.add(&field.path, field.mark, problem);
    }
}
