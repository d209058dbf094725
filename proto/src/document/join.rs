//! `join` of a rule: two streams, which of their rows are partners, and what becomes of the others.

use std::sync::Arc;

use crate::across::{Direction, Join, JoinKind, JoinStream, JoinWithin};
use crate::document::rule::selected;
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::stream;
use crate::document::tree::NodeKind;
use crate::document::value::{WEEK, choice, flag, formula, formulas, offset, span, week};
use crate::rule::{FormulaText, Selector};
use crate::time::Span;

const JOIN: Allowed = Allowed {
    known: &[
        "kind",
        "streams",
        "on",
        "within",
        "unmatched",
        "where",
        "self",
        "lateness",
    ],
    later: &[],
};

const STREAM: Allowed = Allowed {
    known: &["from", "where"],
    later: &[],
};

const WITHIN: Allowed = Allowed {
    known: &["before", "after", "window", "asof"],
    later: &[],
};

const WINDOW: Allowed = Allowed {
    known: &["tumbling", "offset", "time"],
    later: &[
        "hopping", "sliding", "session", "count", "cumulate", "calendar", "state", "global",
    ],
};

const ASOF: Allowed = Allowed {
    known: &["tolerance", "direction", "strict"],
    later: &[],
};

const KINDS: [(&str, JoinKind); 4] = [
    ("inner", JoinKind::Inner),
    ("left", JoinKind::Left),
    ("right", JoinKind::Right),
    ("full", JoinKind::Full),
];

const DIRECTIONS: [(&str, Direction); 3] = [
    ("backward", Direction::Backward),
    ("forward", Direction::Forward),
    ("nearest", Direction::Nearest),
];

/// Reads a join body.
pub(super) fn read(rule: &Section<'_>, report: &mut Report) -> Option<Join> {
    let field = rule.get("join")?;
    let section = Section::open(field, JOIN, report);
    let kind = section.get("kind").map_or(Some(JoinKind::Inner), |field| {
        choice(field, &KINDS, &[], report)
    });
    let streams = section.need("streams", report);
    let streams = streams.and_then(|field| self::streams(field, report));
    let on = section
        .get("on")
        .map_or_else(Vec::new, |field| pairs(field, report));
    let within = section.need("within", report);
    let within = within.and_then(|field| self::within(field, report));
    let words = [("final", false), ("eager", true)];
    let unmatched = section.get("unmatched");
    let eager = unmatched.and_then(|field| choice(field, &words, &[], report));
    let own_pairs = section.get("self").and_then(|field| flag(field, report));
    let lateness = section
        .get("lateness")
        .and_then(|field| week(field, report));
    let filter = section
        .get("where")
        .and_then(|field| formula(field, report));
    let emit = rule
        .get("emit")
        .map_or_else(Vec::new, |field| formulas(field, report));
    let (left, right) = streams?;
    let join = Join {
        kind: kind?,
        left,
        right,
        on,
        within: within?,
        eager: eager.unwrap_or(false),
        own_pairs: own_pairs.unwrap_or(false),
        lateness: lateness.unwrap_or(Span::ZERO),
        filter,
        emit,
    };
    check(&join, &section, report);
    let looks_ahead = matches!(
        join.within,
        JoinWithin::AsOf {
            direction: Direction::Forward | Direction::Nearest,
            ..
        }
    );
    let in_time = rule.get("order").and_then(|field| field.node.scalar()) == Some("time");
    if looks_ahead && !in_time {
        let problem = "in order of arrival only `direction: backward` is known";
        let hint = "write `order: time`";
        report.hint(section.path(), section.mark(), problem, hint);
    }
    Some(join)
}

/// What does not fit together.
fn check(join: &Join, section: &Section<'_>, report: &mut Report) {
    let mut refuse = |name: &str, problem: &str, hint: &str| {
        if let Some(field) = section.get(name) {
            report.hint(&field.path, field.mark, problem, hint);
        }
    };
    if join.kind == JoinKind::Inner {
        let problem = "an inner join tells no row without a partner";
        refuse(
            "unmatched",
            problem,
            "write `kind: left`, `right` or `full`",
        );
    }
    if let JoinWithin::AsOf { .. } = join.within {
        if matches!(join.kind, JoinKind::Right | JoinKind::Full) {
            let problem =
                "an as-of join looks for one partner of each left row: `kind` is `inner` or `left`";
            refuse("kind", problem, "exchange the streams");
        }
        let problem = "an as-of join tells a left row once, with or without its partner";
        refuse("unmatched", problem, "leave `unmatched` out");
        let problem = "an as-of join takes what is known when a row is told";
        refuse(
            "lateness",
            problem,
            "leave `lateness` out, or make `disorder` longer",
        );
    }
    if matches!(join.within, JoinWithin::Window { .. } | JoinWithin::Same) && join.eager {
        let problem = "windows of a join are told when they close";
        refuse("unmatched", problem, "leave `unmatched` out");
    }
    if join.within == JoinWithin::Same && join.has_events() {
        let problem = "`window: same` pairs lines of rules with windows, and a stream is of events";
        let hint = "name rules: `from: { rule: means }`, or write `window: { tumbling: 1m }`";
        refuse("within", problem, hint);
    }
}

fn streams(field: &Field<'_>, report: &mut Report) -> Option<(JoinStream, JoinStream)> {
    let entries = field.entries(report);
    let [left, right] = entries.as_slice() else {
        if matches!(field.node.kind, NodeKind::Map(_)) {
            let problem = format!("a join has two streams, this one has {}", entries.len());
            let hint = "join the result of one with a third: make a rule of each";
            report.hint(&field.path, field.mark, problem, hint);
        }
        return None;
    };
    let (left, right) = (stream(left, report), stream(right, report));
    Some((left?, right?))
}

fn stream(field: &Field<'_>, report: &mut Report) -> Option<JoinStream> {
    let section = Section::open(field, STREAM, report);
    let from = section.need("from", report);
    let from = from.and_then(|field| {
        if stream::names_rules(field) {
            let of = stream::lines(field, report)?;
            return Some((Selector::Ids(Vec::new()), Some(of)));
        }
        Some((selected(field, report)?, None))
    });
    let filter = section
        .get("where")
        .and_then(|field| formula(field, report));
    let (from, of) = from?;
    Some(JoinStream {
        name: Arc::from(field.name),
        from,
        of,
        filter,
    })
}

/// `on`: a list of pairs.
fn pairs(field: &Field<'_>, report: &mut Report) -> Vec<(FormulaText, FormulaText)> {
    let mut out = Vec::new();
    let items = field.items(report);
    if items.is_empty() && matches!(field.node.kind, NodeKind::Seq(_)) {
        let hint = "leave `on` out to pair rows of the same resource";
        report.hint(&field.path, field.mark, "no pair is named", hint);
    }
    for item in items {
        let sides = match &item.node.kind {
            NodeKind::Seq(_) => item.items(report),
            _ => Vec::new(),
        };
        let [left, right] = sides.as_slice() else {
            item.not("a pair: `[o.order, p.order]`", report);
            continue;
        };
        let pair = (formula(left, report), formula(right, report));
        if let (Some(left), Some(right)) = pair {
            out.push((left, right));
        }
    }
    out
}

fn within(field: &Field<'_>, report: &mut Report) -> Option<JoinWithin> {
    let section = Section::open(field, WITHIN, report);
    let forms = ["window", "asof"]
        .into_iter()
        .filter_map(|f| section.get(f));
    let forms: Vec<&Field<'_>> = forms.collect();
    let bounds = section.get("before").or_else(|| section.get("after"));
    match (forms.as_slice(), bounds) {
        ([], _) => interval(&section, report),
        ([form], None) if form.name == "window" => window(form, report),
        ([form], None) => asof(form, report),
        _ => {
            let problem = "`within` is one of `before` and `after`, `window`, and `asof`";
            report.add(&field.path, field.mark, problem);
            None
        }
    }
}

fn interval(section: &Section<'_>, report: &mut Report) -> Option<JoinWithin> {
    let mut bound = |name: &str| match section.get(name) {
        None => Some(0),
        Some(field) => {
            let bound = offset(field, report)?;
            if bound.abs() > WEEK.0 {
                let problem = format!("`{name}` is too long: at most 7d");
                report.add(&field.path, field.mark, problem);
                return None;
            }
            Some(bound)
        }
    };
    let (before, after) = (bound("before"), bound("after"));
    let (before, after) = (before?, after?);
    if before + after < 0 {
        let problem = "no row can be a partner: `before` and `after` together are less than zero";
        let hint = "the right row lies between left − before and left + after";
        report.hint(section.path(), section.mark(), problem, hint);
        return None;
    }
    Some(JoinWithin::Interval { before, after })
}

fn window(field: &Field<'_>, report: &mut Report) -> Option<JoinWithin> {
    if field.node.scalar() == Some("same") {
        return Some(JoinWithin::Same);
    }
    let section = Section::open(field, WINDOW, report);
    let before = report.issues.len();
    let size = match section.get("tumbling") {
        Some(field) => span(field, false, report),
        None => {
            if before == report.issues.len() {
                section.need("tumbling", report);
            }
            None
        }
    };
    let shift = section
        .get("offset")
        .map_or(Some(0), |field| offset(field, report));
    let words = [("end", false), ("latest", true)];
    let latest = section
        .get("time")
        .and_then(|field| choice(field, &words, &[], report));
    Some(JoinWithin::Window {
        size: size?,
        offset: shift?,
        latest: latest.unwrap_or(false),
    })
}

fn asof(field: &Field<'_>, report: &mut Report) -> Option<JoinWithin> {
    let section = Section::open(field, ASOF, report);
    let tolerance = match section.get("tolerance") {
        Some(field) => Some(week(field, report)?),
        None => None,
    };
    let direction = section
        .get("direction")
        .map_or(Some(Direction::Backward), |field| {
            choice(field, &DIRECTIONS, &[], report)
        })?;
    let strict = section.get("strict").and_then(|field| flag(field, report));
    if tolerance.is_none() && direction != Direction::Backward {
        let problem = "looking ahead needs `tolerance`: otherwise no row is ever without a partner";
        report.hint(&field.path, field.mark, problem, "write `tolerance: 30s`");
        return None;
    }
    Some(JoinWithin::AsOf {
        tolerance,
        direction,
        strict: strict.unwrap_or(false),
    })
}
