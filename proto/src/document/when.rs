//! A condition over time in a rule: `when` with its options, or `levels` of them.

use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, flag, formula, span};
use crate::rule::{
    Action, ActionKind, Active, ActiveTime, Body, Dampen, Flapping, Level, On, Outside, Severity,
    When,
};
use crate::time::Span;
use crate::zone::Zone;

/// Fields that a condition has besides `when`.
pub(super) const FIELDS: [&str; 8] = [
    "hold",
    "clear",
    "clear_hold",
    "dampen",
    "again",
    "flapping",
    "active",
    "never_lower",
];
/// Most evaluations that `dampen` looks back, and most transitions of `flapping`.
const MOST: u32 = 100_000;
const SEVERITIES: [(&str, Severity); 4] = [
    ("WARNING", Severity::Warning),
    ("MINOR", Severity::Minor),
    ("MAJOR", Severity::Major),
    ("CRITICAL", Severity::Critical),
];
const DAYS: [(&str, u8); 7] = [
    ("mon", 0),
    ("tue", 1),
    ("wed", 2),
    ("thu", 3),
    ("fri", 4),
    ("sat", 5),
    ("sun", 6),
];
const LEVEL: Allowed = Allowed {
    known: &["severity", "when", "hold", "clear", "clear_hold", "dampen"],
    later: &[],
};
const DAMPEN: Allowed = Allowed {
    known: &["of", "consecutive", "active"],
    later: &[],
};
const FLAPPING: Allowed = Allowed {
    known: &["changes", "within", "until"],
    later: &[],
};
const ACTIVE: Allowed = Allowed {
    known: &["zone", "times", "outside"],
    later: &[],
};
const TIME: Allowed = Allowed {
    known: &["days", "from", "to"],
    later: &[],
};

/// One of the severities.
pub(super) fn severity(field: &Field<'_>, report: &mut Report) -> Option<Severity> {
    choice(field, &SEVERITIES, &[], report)
}

/// Reads `when` with its options.
pub(super) fn read(section: &Section<'_>, report: &mut Report) -> Option<When> {
    if let Some(field) = section.get("never_lower") {
        let problem = "`never_lower` needs `levels`: one severity never changes";
        report.add(&field.path, field.mark, problem);
    }
    let level = level(section, None, report);
    let rest = rest(section, report);
    Some(When {
        levels: vec![level?],
        ..rest
    })
}

/// Reads `levels`.
pub(super) fn levels(section: &Section<'_>, report: &mut Report) -> Option<When> {
    let field = section.get("levels")?;
    for name in ["hold", "clear", "clear_hold", "dampen"] {
        if let Some(stray) = section.get(name) {
            let problem = format!("`{name}` belongs into each of `levels`");
            report.add(&stray.path, stray.mark, problem);
        }
    }
    let items = field.items(report);
    if items.is_empty() && matches!(field.node.kind, NodeKind::Seq(_)) {
        report.add(&field.path, field.node.mark, "there is no level");
    }
    let mut levels: Vec<Level> = Vec::new();
    let mut good = !items.is_empty();
    for item in &items {
        let section = Section::open(item, LEVEL, report);
        let severity = section.need("severity", report);
        let severity = severity.and_then(|field| self::severity(field, report));
        section.need("when", report);
        let Some(level) = level(&section, severity, report) else {
            good = false;
            continue;
        };
        if severity.is_some() && levels.iter().any(|other| other.severity == severity) {
            report.add(&item.path, item.mark, "this severity is there twice");
        }
        levels.push(level);
    }
    levels.sort_by_key(|level| std::cmp::Reverse(level.severity));
    let mut rest = rest(section, report);
    let never_lower = section.get("never_lower");
    rest.never_lower = never_lower.and_then(|field| flag(field, report)) == Some(true);
    good.then_some(When { levels, ..rest })
}

fn level(section: &Section<'_>, severity: Option<Severity>, report: &mut Report) -> Option<Level> {
    let when = section.get("when").and_then(|field| formula(field, report));
    let mut length = |name: &str| {
        section
            .get(name)
            .and_then(|field| span(field, true, report))
            .unwrap_or(Span::ZERO)
    };
    let (hold, clear_hold) = (length("hold"), length("clear_hold"));
    let clear = section
        .get("clear")
        .and_then(|field| formula(field, report));
    let (dampen, active) = match section.get("dampen") {
        Some(field) => dampen(field, report),
        None => (None, None),
    };
    if let (Some(_), Some(field)) = (active, section.get("hold")) {
        let problem = "`dampen: { active }` and `hold` say the same";
        report.hint(&field.path, field.mark, problem, "leave one of them out");
    }
    Some(Level {
        severity,
        when: when?,
        hold: active.unwrap_or(hold),
        clear,
        clear_hold,
        dampen,
    })
}

/// Fields that stand beside the levels.
fn rest(section: &Section<'_>, report: &mut Report) -> When {
    let again = section.get("again");
    let again = again.and_then(|field| span(field, false, report));
    let guard = section.get("flapping");
    let guard = guard.and_then(|field| flapping(field, report));
    let times = section.get("active");
    When {
        levels: Vec::new(),
        never_lower: false,
        again,
        flapping: guard,
        active: times.and_then(|field| active(field, report)),
    }
}

/// `{ of: [2, 3] }`, `{ consecutive: 3 }`, or `{ active: 2m }`, which is a hold.
fn dampen(field: &Field<'_>, report: &mut Report) -> (Option<Dampen>, Option<Span>) {
    let before = report.issues.len();
    let section = Section::open(field, DAMPEN, report);
    let ways = ["of", "consecutive", "active"];
    let given: Vec<&Field<'_>> = ways.iter().filter_map(|name| section.get(name)).collect();
    let [way] = given.as_slice() else {
        if report.issues.len() == before {
            let problem = "`dampen` takes one of `of`, `consecutive` and `active`";
            report.hint(&field.path, field.node.mark, problem, "write `of: [2, 3]`");
        }
        return (None, None);
    };
    match way.name {
        "active" => (None, span(way, false, report)),
        "consecutive" => {
            let count = whole(way, (1, MOST), report);
            let dampen = |count| Dampen {
                needed: count,
                of: count,
            };
            (count.map(dampen), None)
        }
        _ => (of(way, report), None),
    }
}

fn of(field: &Field<'_>, report: &mut Report) -> Option<Dampen> {
    let items = field.items(report);
    let [needed, of] = items.as_slice() else {
        if matches!(field.node.kind, NodeKind::Seq(_)) {
            let problem = "`of` is two numbers: how many, of how many";
            report.hint(&field.path, field.node.mark, problem, "write `of: [2, 3]`");
        }
        return None;
    };
    let (needed, of) = (
        whole(needed, (1, MOST), report),
        whole(of, (1, MOST), report),
    );
    let (needed, of) = (needed?, of?);
    if needed > of {
        let problem = format!("{needed} of {of} can never be true");
        let hint = format!("write `of: [{of}, {needed}]`");
        report.hint(&field.path, field.node.mark, problem, hint);
        return None;
    }
    Some(Dampen { needed, of })
}

/// A whole number between two.
fn whole(field: &Field<'_>, (least, most): (u32, u32), report: &mut Report) -> Option<u32> {
    let number = match &field.node.kind {
        NodeKind::Number(number) => number.parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| (least..=most).contains(number));
    if number.is_none() {
        field.not(&format!("a whole number from {least} to {most}"), report);
    }
    number
}

fn flapping(field: &Field<'_>, report: &mut Report) -> Option<Flapping> {
    let section = Section::open(field, FLAPPING, report);
    let changes = section.need("changes", report);
    let changes = changes.and_then(|field| whole(field, (2, MOST), report));
    let within = section.need("within", report);
    let within = within.and_then(|field| span(field, false, report));
    let until = section.get("until");
    let until = until.map(|field| (field, whole(field, (0, MOST), report)));
    let (changes, within) = (changes?, within?);
    let until = match until {
        None => changes / 2,
        Some((field, until)) => {
            let until = until?;
            if until >= changes {
                let problem =
                    format!("it ends with {until} changes left but begins with {changes}");
                report.add(&field.path, field.mark, problem);
            }
            until
        }
    };
    Some(Flapping {
        changes,
        within,
        until,
    })
}

fn active(field: &Field<'_>, report: &mut Report) -> Option<Active> {
    let section = Section::open(field, ACTIVE, report);
    let zone = match section.get("zone") {
        None => Some(Zone::utc()),
        Some(field) => zone(field, report),
    };
    let words = [("pause", Outside::Pause), ("clear", Outside::Clear)];
    let outside = section.get("outside");
    let outside = outside.map(|field| choice(field, &words, &[], report));
    let listed = section.need("times", report)?;
    let items = listed.items(report);
    if items.is_empty() && matches!(listed.node.kind, NodeKind::Seq(_)) {
        let problem = "the rule would never be active";
        report.add(&listed.path, listed.node.mark, problem);
    }
    let read: Vec<Option<ActiveTime>> = items.iter().map(|item| time(item, report)).collect();
    let times: Option<Vec<ActiveTime>> = read.into_iter().collect();
    Some(Active {
        zone: zone?,
        times: times.filter(|times| !times.is_empty())?,
        outside: outside.unwrap_or(Some(Outside::Pause))?,
    })
}

fn zone(field: &Field<'_>, report: &mut Report) -> Option<Zone> {
    let Some(name) = field.node.scalar() else {
        field.not("a time zone", report);
        return None;
    };
    Zone::new(name)
        .map_err(|error| report.add(&field.path, field.node.mark, error.to_string()))
        .ok()
}

fn time(item: &Field<'_>, report: &mut Report) -> Option<ActiveTime> {
    let section = Section::open(item, TIME, report);
    let days = match section.get("days") {
        None => (0..7).collect(),
        Some(field) => days(field, report),
    };
    let mut clock = |name: &str, midnight: u32| match section.get(name) {
        None => Some(midnight),
        Some(field) => clock(field, report),
    };
    let (from, to) = (clock("from", 0), clock("to", DAY));
    Some(ActiveTime {
        days,
        from: from?,
        to: to?,
    })
}

fn days(field: &Field<'_>, report: &mut Report) -> Vec<u8> {
    let mut days: Vec<u8> = Vec::new();
    let items = field.items(report);
    if items.is_empty() && matches!(field.node.kind, NodeKind::Seq(_)) {
        report.add(&field.path, field.node.mark, "no day is named");
    }
    for item in &items {
        days.extend(choice(item, &DAYS, &[], report));
    }
    days.sort_unstable();
    days.dedup();
    days
}

/// Seconds of a day.
const DAY: u32 = 86_400;

/// `08:00`, `23:59:30`, `24:00`: seconds since midnight.
fn clock(field: &Field<'_>, report: &mut Report) -> Option<u32> {
    let text = match &field.node.kind {
        NodeKind::Text(text) => text.trim(),
        _ => "",
    };
    let parts: Vec<Option<u32>> = text
        .split(':')
        .map(|part| Some(part).filter(|part| part.len() == 2)?.parse().ok())
        .collect();
    let seconds = match parts.as_slice() {
        [Some(hour), Some(minute)] if *minute < 60 => Some(hour * 3600 + minute * 60),
        [Some(hour), Some(minute), Some(second)] if *minute < 60 && *second < 60 => {
            Some(hour * 3600 + minute * 60 + second)
        }
        _ => None,
    };
    let seconds = seconds.filter(|seconds| *seconds <= DAY);
    if seconds.is_none() {
        field.not("a time of day: write \"08:00\", at most \"24:00\"", report);
    }
    seconds
}

/// Actions that ask for what the condition does not have.
pub(super) fn check_actions(
    field: &Field<'_>,
    body: &Body,
    actions: &[Action],
    report: &mut Report,
) {
    let again = matches!(body, Body::When(when) if when.again.is_some());
    let condition = matches!(body, Body::When(_));
    for (index, action) in actions.iter().enumerate() {
        let alarm = matches!(action.kind, ActionKind::Alarm { .. });
        if !again && !alarm && action.on.contains(&On::Again) {
            let path = format!("{}[{index}].on", field.path);
            let problem = "without `again` the alarm is never told again";
            let hint = "write `again: 15m` beside `when`";
            report.hint(&path, field.mark, problem, hint);
        }
        if !condition && action.every_time {
            let path = format!("{}[{index}].every_time", field.path);
            let problem =
                "`every_time` needs a condition: here the action runs for every row anyway";
            report.hint(&path, field.mark, problem, "leave `every_time` out");
        }
    }
    check_alarms(field, body, actions, report);
}

/// An alarm begins and ends: what has no end cannot raise one, and none of its lines may be left out.
fn check_alarms(field: &Field<'_>, body: &Body, actions: &[Action], report: &mut Report) {
    let alarms = actions.iter().enumerate();
    let alarms = alarms.filter(|(_, action)| matches!(action.kind, ActionKind::Alarm { .. }));
    for (count, (index, action)) in alarms.enumerate() {
        let path = format!("{}[{index}].alarm", field.path);
        if matches!(body, Body::Window(_) | Body::Join(_)) {
            let problem = "windows and joins have results, which do not end as an alarm does";
            let hint = "ask for the same with a condition, such as `when: count(x, \"5m\") > 3.0`, or act by `handler`, `topic` or `log`";
            report.hint(&path, field.mark, problem, hint);
        }
        if count > 0 {
            let problem = "a rule raises one alarm";
            let hint = "write `levels` for several severities, or another rule";
            report.hint(&path, field.mark, problem, hint);
        }
        let limits = [
            ("at_most_every", action.at_most_every.is_some()),
            ("once", action.once),
        ];
        for (name, _) in limits.into_iter().filter(|(_, is_there)| *is_there) {
            let problem = format!("`{name}` would leave lines of the alarm out, also its end");
            let hint = "limit what is done beside it: a `handler`, `topic` or `log` of its own";
            report.hint(&path, field.mark, problem, hint);
        }
    }
}
