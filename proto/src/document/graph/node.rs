//! Nodes of a graph: sensors, tables, delays; gates are read in `gate`.

use std::sync::Arc;

use super::{Known, gate, one_or_more, said, ticks, word};
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{flag, formula, span};
use crate::graph::{
    FALSE, GraphNode, GraphNodeKind, MOST_STATES, ONE, Prior, Sensor, States, TRIGGERED, TRUE,
    table_problem,
};
use crate::rule::FormulaText;

const SENSOR: Allowed = Allowed {
    known: &[
        "formula",
        "of",
        "states",
        "threshold",
        "priors",
        "evict",
        "data",
        "tick",
        "every",
        "schedule",
        "sequence",
        "loop",
        "ui",
    ],
    later: &["call", "timeout", "timeout_state", "retry"],
};
const TABLE: Allowed = Allowed {
    known: &[
        "table", "of", "states", "formula", "evict", "data", "tick", "every", "schedule",
        "sequence", "ui",
    ],
    later: &["loop"],
};
const DELAY: Allowed = Allowed {
    known: &["delay", "restart", "ui"],
    later: &[],
};

/// States of `threshold`.
const CROSSING: [(&str, &str); 3] = [("Below", "<"), ("Equal", "=="), ("Above", ">")];

fn is_map(field: &Field<'_>, name: &str) -> bool {
    match &field.node.kind {
        NodeKind::Map(entries) => entries.iter().any(|(key, _)| key.scalar() == Some(name)),
        _ => false,
    }
}

/// Whether a node's states are said here: of another rule's only if they are written.
pub(super) fn says_states(entry: &Field<'_>) -> bool {
    !is_map(entry, "rule") || is_map(entry, "states")
}

/// Names of a node's states, as far as the document says them.
pub(super) fn state_names(entry: &Field<'_>, graph: &Field<'_>) -> Option<Vec<Arc<str>>> {
    let mut quiet = Report::default();
    if is_map(entry, "rule") {
        return Some(said::state_names(entry, graph));
    }
    if is_map(entry, "gate") {
        return Some(vec![Arc::from(TRUE), Arc::from(FALSE)]);
    }
    if is_map(entry, "delay") {
        return Some(vec![Arc::from(TRIGGERED)]);
    }
    let entries = entry.entries(&mut quiet);
    let section = |name: &str| entries.iter().find(|field| field.name == name);
    if section("threshold").is_some() {
        return Some(CROSSING.iter().map(|(name, _)| Arc::from(*name)).collect());
    }
    read_states(section("states")?, &mut quiet)?.names()
}

/// Reads a node.
pub(super) fn read(entry: &Field<'_>, known: &Known<'_>, report: &mut Report) -> Option<GraphNode> {
    if is_map(entry, "call") {
        Section::open(entry, SENSOR, report);
        return None;
    }
    let (section, kind) = if is_map(entry, "gate") {
        let section = Section::open(entry, gate::GATE, report);
        let kind = gate::read(&section, known, report).map(GraphNodeKind::Gate);
        (section, kind)
    } else if is_map(entry, "delay") {
        let section = Section::open(entry, DELAY, report);
        let kind = delay(&section, report);
        (section, kind)
    } else if is_map(entry, "rule") {
        let section = Section::open(entry, said::SAID, report);
        let kind = said::read(&section, known.states_of(entry.name), report);
        (section, kind.map(|s| GraphNodeKind::Sensor(Box::new(s))))
    } else if is_map(entry, "table") {
        let section = Section::open(entry, TABLE, report);
        let kind = table(&section, known, report).map(|s| GraphNodeKind::Sensor(Box::new(s)));
        (section, kind)
    } else {
        let section = Section::open(entry, SENSOR, report);
        let kind = sensor(&section, report).map(|s| GraphNodeKind::Sensor(Box::new(s)));
        (section, kind)
    };
    let sequence = section
        .get("sequence")
        .map_or(Some(1), |field| count(field, report));
    Some(GraphNode {
        name: Arc::from(entry.name),
        path: Arc::from(entry.path.as_str()),
        mark: entry.mark,
        sequence: sequence?,
        kind: kind?,
    })
}

/// A whole number from 1.
pub(super) fn count(field: &Field<'_>, report: &mut Report) -> Option<u32> {
    let number = match &field.node.kind {
        NodeKind::Number(text) => text.parse::<u32>().ok().filter(|number| *number > 0),
        _ => None,
    };
    if number.is_none() {
        field.not("a whole number from 1", report);
    }
    number
}

fn delay(section: &Section<'_>, report: &mut Report) -> Option<GraphNodeKind> {
    let lasts = section.need("delay", report)?;
    let lasts = span(lasts, false, report)?;
    let restart = section
        .get("restart")
        .map_or(Some(true), |field| flag(field, report))?;
    Some(GraphNodeKind::Delay { lasts, restart })
}

fn sensor(section: &Section<'_>, report: &mut Report) -> Option<Sensor> {
    let before = report.issues.len();
    let written = section.need("formula", report);
    let written = written.and_then(|field| formula(field, report));
    let mut sensor = common(section, report);
    sensor.formula = written;
    sensor.of = section.get("of").and_then(|field| formula(field, report));
    // The task's own resource, which it looks at anyway.
    sensor.of = sensor
        .of
        .filter(|of| !matches!(of.source.trim(), "$" | "${resource}"));
    if let Some(field) = section.get("threshold") {
        if let Some(both) = section.get("states") {
            let problem = "`states` and `threshold` do not go together";
            report.add(&both.path, both.mark, problem);
        }
        sensor.states = crossing(field, report).unwrap_or(States::Open);
    }
    if let Some(field) = section.get("priors") {
        let names = sensor.states.names();
        let names = names.unwrap_or_else(|| vec![Arc::from(TRUE), Arc::from(FALSE)]);
        sensor.prior = priors(field, &names, report).map_or(Prior::Uniform, Prior::Given);
    }
    sensor.each = section.get("loop").and_then(|field| formula(field, report));
    (report.issues.len() == before).then_some(sensor)
}

/// What sensors and tables have in common.
fn common(section: &Section<'_>, report: &mut Report) -> Sensor {
    let states = section.get("states");
    let states = states.and_then(|field| read_states(field, report));
    let evict = section.get("evict");
    let evict = evict.and_then(|field| span(field, false, report));
    let data = section.get("data").and_then(|field| flag(field, report));
    let tick = section.get("tick").and_then(|field| flag(field, report));
    let own = ticks(section, "every", report);
    if let (Some(_), Some(field)) = (&own, section.get("tick")) {
        let problem = "a node with `every` or `schedule` has its own ticks";
        report.hint(&field.path, field.mark, problem, "leave `tick` out");
    }
    Sensor {
        formula: None,
        of: None,
        said: None,
        states: states.unwrap_or(States::Open),
        prior: Prior::Uniform,
        evict,
        data,
        tick: tick.unwrap_or(own.is_none()),
        beat: own,
        each: None,
    }
}

/// `states`: conditions by name, or names.
fn read_states(field: &Field<'_>, report: &mut Report) -> Option<States> {
    let upper = |name: &str| match name {
        "true" => Arc::from(TRUE),
        "false" => Arc::from(FALSE),
        name => Arc::from(name),
    };
    let before = report.issues.len();
    let states = if matches!(field.node.kind, NodeKind::Map(_)) {
        let entries = field.entries(report);
        let conditions = entries.iter().filter_map(|entry| {
            let text = condition(formula(entry, report)?);
            report.texts.pop();
            report.texts.push(text.clone());
            Some((upper(entry.name), text))
        });
        States::Conditions(conditions.collect())
    } else {
        let mut names: Vec<Arc<str>> = Vec::new();
        for item in field.items(report) {
            let Some(name) = word(&item, "the name of a state", report) else {
                continue;
            };
            if names.contains(&name) {
                report.add(&item.path, item.mark, format!("`{name}` is there twice"));
            }
            names.push(name);
        }
        States::Named(names)
    };
    let count = states.names().map_or(0, |names| names.len());
    if report.issues.len() == before && count == 0 {
        report.add(&field.path, field.node.mark, "there is no state");
    }
    if count > MOST_STATES {
        let problem = format!("{count} states, at most {MOST_STATES}");
        report.add(&field.path, field.node.mark, problem);
    }
    (report.issues.len() == before).then_some(states)
}

/// `> 90` is short for `value > 90`.
fn condition(text: FormulaText) -> FormulaText {
    let source = text.source.trim_start();
    if !source.starts_with(['<', '>', '=', '!']) || source.starts_with("!value") {
        return text;
    }
    let mut mark = text.mark;
    mark.column = mark.column.saturating_sub(6);
    FormulaText {
        source: Arc::from(format!("value {source}")),
        path: text.path,
        mark,
    }
}

/// `threshold`: `Below`, `Equal`, `Above`.
fn crossing(field: &Field<'_>, report: &mut Report) -> Option<States> {
    let text = formula(field, report)?;
    let states = CROSSING.iter().map(|(name, operator)| {
        let source = format!("value {operator} ({})", text.source);
        let text = FormulaText {
            source: Arc::from(source),
            ..text.clone()
        };
        (Arc::from(*name), text)
    });
    Some(States::Conditions(states.collect()))
}

/// A probability as written, in billionths.
pub(super) fn probability(field: &Field<'_>, report: &mut Report) -> Option<u64> {
    let read = match &field.node.kind {
        NodeKind::Number(text) => billionths(text),
        _ => None,
    };
    if read.is_none() {
        field.not("a number from 0 to 1 with at most nine decimals", report);
    }
    read
}

fn billionths(text: &str) -> Option<u64> {
    let (number, exponent) = match text.split_once(['e', 'E']) {
        Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{decimals}");
    let places = i32::try_from(decimals.len()).ok()?.checked_sub(exponent)?;
    let value: u128 = digits.parse().ok()?;
    let shift = 9 - places;
    let value = if shift >= 0 {
        value.checked_mul(10_u128.checked_pow(shift.unsigned_abs())?)?
    } else {
        let over = 10_u128.checked_pow(shift.unsigned_abs())?;
        value.is_multiple_of(over).then_some(value / over)?
    };
    u64::try_from(value).ok().filter(|value| *value <= ONE)
}

/// `priors`: a number for each state, together one.
pub(super) fn priors(
    field: &Field<'_>,
    names: &[Arc<str>],
    report: &mut Report,
) -> Option<Vec<u64>> {
    let before = report.issues.len();
    let mut found: Vec<Option<u64>> = vec![None; names.len()];
    for entry in field.entries(report) {
        let wanted = match entry.name {
            "true" => TRUE,
            "false" => FALSE,
            name => name,
        };
        let number = probability(&entry, report);
        let place = names.iter().position(|name| name.as_ref() == wanted);
        match place.and_then(|place| found.get_mut(place)) {
            Some(place) => *place = number,
            None => {
                let problem = format!("there is no state `{wanted}`");
                let hint = format!("the states are {}", names.join(", "));
                report.hint(&entry.path, entry.mark, problem, hint);
            }
        }
    }
    let missing = names.iter().zip(&found).find(|(_, found)| found.is_none());
    if let (Some((name, _)), true) = (missing, report.issues.len() == before) {
        let problem = format!("the prior of `{name}` is missing");
        report.add(&field.path, field.node.mark, problem);
    }
    let found: Vec<u64> = found.into_iter().flatten().collect();
    if report.issues.len() > before {
        return None;
    }
    sums_to_one(&found, field, "the priors", report);
    (report.issues.len() == before).then_some(found)
}

fn sums_to_one(numbers: &[u64], field: &Field<'_>, what: &str, report: &mut Report) {
    let sum: u64 = numbers.iter().sum();
    if sum.abs_diff(ONE) > 1 {
        #[allow(
            clippy::cast_precision_loss,
            reason = "it is shown, not calculated with"
        )]
        let shown = sum as f64 / 1e9;
        let problem = format!("{what} sum to {shown}, not to 1");
        report.add(&field.path, field.node.mark, problem);
    }
}

fn table(section: &Section<'_>, known: &Known<'_>, report: &mut Report) -> Option<Sensor> {
    let before = report.issues.len();
    let mut sensor = common(section, report);
    let written = section.get("formula");
    sensor.formula = written.and_then(|field| formula(field, report));
    section.need("states", report);
    let own = sensor.states.names().map_or(0, |names| names.len());
    let of = section.get("of");
    let parents = of.map_or_else(Vec::new, |field| parents(field, known, report));
    // Where a parent's states are those of its formula, whoever knows the formula looks at the numbers.
    let columns = parents.iter().try_fold(1_usize, |columns, parent| {
        let states = known.states.get(*parent)?.as_ref()?;
        Some(columns.saturating_mul(states.len()))
    });
    let field = section.need("table", report)?;
    let items = field.items(report);
    let read = items.iter().map(|item| probability(item, report));
    let weights: Vec<Option<u64>> = read.collect();
    let weights: Vec<u64> = weights.into_iter().flatten().collect();
    if let (Some(columns), true) = (columns, report.issues.len() == before)
        && let Some(problem) = table_problem(&weights, own, columns)
    {
        let hint = "own state slowest, last parent fastest";
        report.hint(&field.path, field.node.mark, problem, hint);
    }
    sensor.prior = Prior::Table {
        of: parents,
        weights,
    };
    (report.issues.len() == before).then_some(sensor)
}

/// Names of parents, each once.
pub(super) fn parents(field: &Field<'_>, known: &Known<'_>, report: &mut Report) -> Vec<usize> {
    let mut out: Vec<usize> = Vec::new();
    for item in one_or_more(field, report) {
        let Some(place) = known.node(&item, report) else {
            continue;
        };
        if out.contains(&place) {
            let name = known.names.get(place).copied().unwrap_or_default();
            report.add(&item.path, item.mark, format!("`{name}` is there twice"));
        }
        out.push(place);
    }
    out
}
