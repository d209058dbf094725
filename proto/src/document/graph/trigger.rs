//! Triggers of a graph.

use std::sync::Arc;

use super::node::probability;
use super::{Known, one_or_more, word};
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{flag, span};
use crate::graph::{Cue, GraphTarget, GraphTrigger, Than};
use crate::issue::nearest;

const TRIGGER: Allowed = Allowed {
    known: &["from", "on", "do", "at_most_every", "once"],
    later: &[],
};
const ON: Allowed = Allowed {
    known: &[
        "state",
        "becomes",
        "leaves",
        "changes",
        "executed",
        "probability",
    ],
    later: &[],
};
const CHANGES: Allowed = Allowed {
    known: &["from", "to"],
    later: &[],
};
const PROBABILITY: Allowed = Allowed {
    known: &["state", "above", "at_least", "below", "at_most", "level"],
    later: &[],
};
const THAN: [(&str, Than); 4] = [
    ("above", Than::Above),
    ("at_least", Than::AtLeast),
    ("below", Than::Below),
    ("at_most", Than::AtMost),
];

/// Reads the triggers.
pub(super) fn read(field: &Field<'_>, known: &Known<'_>, report: &mut Report) -> Vec<GraphTrigger> {
    let items = field.items(report);
    let items = items.iter();
    items
        .filter_map(|item| trigger(item, known, report))
        .collect()
}

fn trigger(item: &Field<'_>, known: &Known<'_>, report: &mut Report) -> Option<GraphTrigger> {
    let section = Section::open(item, TRIGGER, report);
    let from = section.need("from", report);
    let from = from.and_then(|field| known.node(field, report));
    let to = section.need("do", report);
    let to = to.map_or_else(Vec::new, |field| targets(field, known, report));
    let on = match section.get("on") {
        Some(field) => cues(field, from, known, report),
        None => vec![Cue::Executed],
    };
    let at_most_every = section.get("at_most_every");
    let at_most_every = at_most_every.and_then(|field| span(field, false, report));
    let once = section.get("once").and_then(|field| flag(field, report));
    Some(GraphTrigger {
        path: Arc::from(item.path.as_str()),
        mark: item.mark,
        from: from?,
        on,
        to,
        at_most_every,
        once: once.unwrap_or(false),
    })
}

fn targets(field: &Field<'_>, known: &Known<'_>, report: &mut Report) -> Vec<GraphTarget> {
    let mut out = Vec::new();
    for item in one_or_more(field, report) {
        let Some(name) = word(&item, "the name of an actuator or node", report) else {
            continue;
        };
        let place = |names: &[&str]| names.iter().position(|known| *known == name.as_ref());
        let found = place(&known.actuators)
            .map(GraphTarget::Actuator)
            .or_else(|| place(&known.names).map(GraphTarget::Node));
        match found {
            Some(target) if out.contains(&target) => {
                report.add(&item.path, item.mark, format!("`{name}` is there twice"));
            }
            Some(target) => out.push(target),
            None => {
                let all = known.actuators.iter().chain(&known.names).copied();
                let near = nearest(&name, all);
                let hint = near.map_or_else(
                    || "name an actuator of `actuators` or a node of `nodes`".to_owned(),
                    |near| format!("did you mean `{near}`?"),
                );
                let problem = format!("there is no actuator or node `{name}`");
                report.hint(&item.path, item.node.mark, problem, hint);
            }
        }
    }
    out
}

fn cues(
    field: &Field<'_>,
    from: Option<usize>,
    known: &Known<'_>,
    report: &mut Report,
) -> Vec<Cue> {
    let before = report.issues.len();
    let section = Section::open(field, ON, report);
    let mut out = Vec::new();
    let Some(from) = from else {
        return out;
    };
    if let Some(field) = section.get("state") {
        out.push(Cue::State(known.states(field, from, report)));
    }
    for state in section
        .get("becomes")
        .iter()
        .flat_map(|f| known.states(f, from, report))
    {
        out.push(Cue::Change {
            from: None,
            to: Some(state),
        });
    }
    for state in section
        .get("leaves")
        .iter()
        .flat_map(|f| known.states(f, from, report))
    {
        out.push(Cue::Change {
            from: Some(state),
            to: None,
        });
    }
    if let Some(field) = section.get("changes") {
        out.extend(changes(field, from, known, report));
    }
    if let Some(field) = section.get("executed") {
        match flag(field, report) {
            Some(true) => out.push(Cue::Executed),
            Some(false) => {
                let problem = "`executed: false` is never true";
                report.hint(&field.path, field.mark, problem, "leave it out");
            }
            None => {}
        }
    }
    if let Some(field) = section.get("probability") {
        out.extend(likelihood(field, from, known, report));
    }
    if out.is_empty() && report.issues.len() == before {
        report.add(&field.path, field.node.mark, "the trigger would never fire");
    }
    out
}

/// A state, or any: `"*"`.
fn side(
    field: Option<&Field<'_>>,
    from: usize,
    known: &Known<'_>,
    report: &mut Report,
) -> Option<Option<Arc<str>>> {
    let Some(field) = field else {
        return Some(None);
    };
    if matches!(&field.node.kind, NodeKind::Text(text) if text == "*") {
        return Some(None);
    }
    known.state(field, from, report).map(Some)
}

fn changes(field: &Field<'_>, from: usize, known: &Known<'_>, report: &mut Report) -> Option<Cue> {
    if !matches!(field.node.kind, NodeKind::Map(_)) {
        if !matches!(&field.node.kind, NodeKind::Text(text) if text == "*") {
            field.not("`\"*\"` or `{ from, to }`", report);
            return None;
        }
        return Some(Cue::Change {
            from: None,
            to: None,
        });
    }
    let section = Section::open(field, CHANGES, report);
    let before = side(section.get("from"), from, known, report);
    let now = side(section.get("to"), from, known, report);
    let (before, now) = (before?, now?);
    if let (Some(a), Some(b)) = (&before, &now)
        && a == b
    {
        let problem = format!("from `{a}` to `{b}` is no change");
        report.add(&field.path, field.node.mark, problem);
        return None;
    }
    Some(Cue::Change {
        from: before,
        to: now,
    })
}

fn likelihood(
    field: &Field<'_>,
    from: usize,
    known: &Known<'_>,
    report: &mut Report,
) -> Option<Cue> {
    let section = Section::open(field, PROBABILITY, report);
    let state = section.need("state", report);
    let state = state.and_then(|field| known.state(field, from, report));
    let level = section.get("level").and_then(|field| flag(field, report));
    let mut found = THAN
        .iter()
        .filter_map(|(name, than)| section.get(name).map(|field| (field, *than)));
    let first = found.next();
    if let Some((field, _)) = found.next() {
        let problem = "one comparison is enough: `above`, `at_least`, `below` or `at_most`";
        report.add(&field.path, field.mark, problem);
        return None;
    }
    let Some((field, than)) = first else {
        let problem = "one of `above`, `at_least`, `below` and `at_most` is missing";
        report.add(section.path(), section.mark(), problem);
        return None;
    };
    let limit = probability(field, report)?;
    Some(Cue::Probability {
        state: state?,
        than,
        limit,
        level: level.unwrap_or(false),
    })
}
