//! Forms of windows: their fields, and which options do not go with them.

use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, flag, formula, offset, span, text};
use crate::document::window::mode::whole;
use crate::rule::WindowForm;
use crate::time::Span;
use crate::window::{
    Calendar, CalendarUnit, Emission, Fill, StateTexts, StateWindow, WindowOptions,
};
use crate::zone::Zone;

/// Most windows of one hopping form that a row may be in.
const HOPS: i64 = 10_000;
/// Most rows of a count window.
const ROWS: i64 = 100_000;

const HOPPING: Allowed = Allowed {
    known: &["size", "every", "offset"],
    later: &[],
};

const SLIDING: Allowed = Allowed {
    known: &["size", "edges", "per"],
    later: &[],
};

const SESSION: Allowed = Allowed {
    known: &["gap", "max", "at_gap"],
    later: &[],
};

const COUNT: Allowed = Allowed {
    known: &["size", "every", "partial", "timeout"],
    later: &[],
};

const CUMULATE: Allowed = Allowed {
    known: &["size", "step", "offset"],
    later: &[],
};

const CALENDAR: Allowed = Allowed {
    known: &["unit", "every", "zone", "week_start", "offset"],
    later: &[],
};

const STATE: Allowed = Allowed {
    known: &[
        "start",
        "end",
        "of",
        "true_for",
        "min",
        "max",
        "include_end",
    ],
    later: &[],
};

const GLOBAL: Allowed = Allowed {
    known: &["reset"],
    later: &[],
};

const FORMS: [&str; 9] = [
    "tumbling", "hopping", "sliding", "session", "count", "cumulate", "calendar", "state", "global",
];

/// Reads the form of a window; its zone and formulas go to the options.
pub(super) fn read(
    field: &Field<'_>,
    window: &Section<'_>,
    options: &mut WindowOptions,
    report: &mut Report,
) -> Option<WindowForm> {
    let entries = match &field.node.kind {
        NodeKind::Map(entries) => entries.as_slice(),
        _ => return None,
    };
    let named: Vec<&str> = FORMS
        .into_iter()
        .filter(|form| entries.iter().any(|(key, _)| key.scalar() == Some(*form)))
        .collect();
    let shift = options.offset;
    match named.as_slice() {
        ["tumbling"] => tumbling(window, shift, report),
        ["hopping"] => hopping(window, shift, report),
        ["sliding"] => sliding(window, report),
        ["session"] => session(window.get("session")?, report),
        ["count"] => count(window.get("count")?, report),
        ["cumulate"] => cumulate(window.get("cumulate")?, shift, report),
        ["calendar"] => calendar(window.get("calendar")?, options, report),
        ["state"] => state(window.get("state")?, options, report),
        ["global"] => global(window.get("global")?, report),
        [] | [_] => {
            let hint = format!("one of `{}`", FORMS.join("`, `"));
            report.hint(window.path(), window.mark(), "the window has no form", hint);
            None
        }
        several => {
            let problem = format!(
                "a window has one form, this one has `{}`",
                several.join("`, `")
            );
            report.add(window.path(), window.mark(), problem);
            None
        }
    }
}

/// Tells options that do not go with a form.
pub(super) fn refuse(
    form: WindowForm,
    window: &Section<'_>,
    (options, lateness): (&WindowOptions, Span),
    report: &mut Report,
) {
    let (name, aligned, in_row_order) = match form {
        WindowForm::Tumbling { .. } => ("tumbling", true, false),
        WindowForm::Hopping { .. } => ("hopping", true, false),
        WindowForm::Cumulate { .. } => ("cumulate", true, false),
        WindowForm::Calendar(_) => ("calendar", true, false),
        WindowForm::Sliding { .. } => ("sliding", false, false),
        WindowForm::Session { .. } => ("session", false, false),
        WindowForm::Count { .. } => ("count", false, true),
        WindowForm::State(_) => ("state", false, true),
        WindowForm::Global { .. } => ("global", false, true),
    };
    let mut no = |field: &str, hint: &str| {
        if let Some(field) = window.get(field) {
            let problem = format!("a {name} window takes no `{}`", field.name);
            report.hint(&field.path, field.mark, problem, hint);
        }
    };
    let every = matches!(options.emission, Emission::Every(_));
    if !aligned && !every {
        no("offset", "");
    }
    if !aligned && options.fill != Fill::None {
        no(
            "fill",
            "only windows that follow each other in time are filled",
        );
    }
    if name == "sliding" && options.repeat_equal {
        no("repeat_equal", "an equal row makes no revision there");
    }
    if in_row_order && lateness > Span::ZERO {
        no(
            "lateness",
            "its rows are taken in row order once they are over",
        );
    }
    let emits = match (&form, &options.emission) {
        (_, Emission::OnClose) => !matches!(form, WindowForm::Global { .. }),
        (WindowForm::Global { .. }, Emission::Every(_) | Emission::When { .. }) => true,
        (WindowForm::Session { .. }, Emission::Final | Emission::OnChange) => true,
        _ => aligned,
    };
    if emits {
        return;
    }
    let (problem, hint) = if matches!(form, WindowForm::Global { .. }) {
        let hint = "write `emit: { when: n > 3 }` or `emit: { every: 10s }`";
        ("a global window never closes".to_owned(), hint)
    } else {
        let problem = format!("this `emit` is not available yet for a {name} window");
        (problem, "leave it out: windows emit on close")
    };
    match window.get("emit") {
        Some(field) => report.hint(&field.path, field.mark, problem, hint),
        None => report.hint(window.path(), window.mark(), problem, hint),
    }
}

fn need_span(section: &Section<'_>, name: &str, report: &mut Report) -> Option<Span> {
    let field = section.need(name, report)?;
    span(field, false, report)
}

/// A duration that may be left out; `Err` after a problem.
fn maybe_span(section: &Section<'_>, name: &str, report: &mut Report) -> Result<Option<Span>, ()> {
    match section.get(name) {
        Some(field) => span(field, false, report).map(Some).ok_or(()),
        None => Ok(None),
    }
}

fn session(field: &Field<'_>, report: &mut Report) -> Option<WindowForm> {
    if !matches!(field.node.kind, NodeKind::Map(_)) {
        let gap = span(field, false, report)?;
        return Some(WindowForm::Session {
            gap,
            max: None,
            join: false,
        });
    }
    let section = Section::open(field, SESSION, report);
    let gap = need_span(&section, "gap", report);
    let max = maybe_span(&section, "max", report).ok()?;
    let words = [("split", false), ("join", true)];
    let join = section
        .get("at_gap")
        .map_or(Some(false), |field| choice(field, &words, &[], report))?;
    Some(WindowForm::Session {
        gap: gap?,
        max,
        join,
    })
}

fn count(field: &Field<'_>, report: &mut Report) -> Option<WindowForm> {
    if !matches!(field.node.kind, NodeKind::Map(_)) {
        let size = whole(field, ROWS, report)?;
        return Some(WindowForm::Count {
            size,
            every: size,
            partial: false,
            timeout: None,
        });
    }
    let section = Section::open(field, COUNT, report);
    let size = section
        .need("size", report)
        .and_then(|field| whole(field, ROWS, report));
    let every = section
        .get("every")
        .map_or(Some(size), |field| whole(field, ROWS, report).map(Some))?;
    let partial = section
        .get("partial")
        .map_or(Some(false), |field| flag(field, report))?;
    let timeout = maybe_span(&section, "timeout", report).ok()?;
    let (size, every) = (size?, every?);
    if let (Some(field), true) = (section.get("timeout"), every != size) {
        let problem = "a count window that slides has no `timeout`";
        report.hint(&field.path, field.mark, problem, "leave `every` out");
        return None;
    }
    Some(WindowForm::Count {
        size,
        every,
        partial,
        timeout,
    })
}

fn cumulate(field: &Field<'_>, shift: i64, report: &mut Report) -> Option<WindowForm> {
    let section = Section::open(field, CUMULATE, report);
    let size = need_span(&section, "size", report);
    let step = need_span(&section, "step", report);
    let own = section.get("offset").map(|field| offset(field, report));
    let (size, step) = (size?, step?);
    if size.0 % step.0.max(1) != 0 {
        let problem = format!("`{size}` is no multiple of the step `{step}`");
        report.add(&field.path, field.mark, problem);
        return None;
    }
    if size.0 / step.0.max(1) > HOPS {
        let problem = format!(
            "a window would have {} steps: at most {HOPS}",
            size.0 / step.0
        );
        report.hint(&field.path, field.mark, problem, "make `step` longer");
        return None;
    }
    Some(WindowForm::Cumulate {
        size,
        step,
        offset: own.unwrap_or(Some(shift))?,
    })
}

fn unit(field: &Field<'_>, report: &mut Report) -> Option<CalendarUnit> {
    let words = [
        ("minute", CalendarUnit::Minute),
        ("hour", CalendarUnit::Hour),
        ("day", CalendarUnit::Day),
        ("week", CalendarUnit::Week),
        ("month", CalendarUnit::Month),
        ("quarter", CalendarUnit::Quarter),
        ("year", CalendarUnit::Year),
    ];
    choice(field, &words, &[], report)
}

fn calendar(
    field: &Field<'_>,
    options: &mut WindowOptions,
    report: &mut Report,
) -> Option<WindowForm> {
    let mut calendar = Calendar {
        unit: CalendarUnit::Day,
        every: 1,
        week_start: 0,
        offset: options.offset,
    };
    options.zone = Some(Zone::utc());
    if !matches!(field.node.kind, NodeKind::Map(_)) {
        calendar.unit = unit(field, report)?;
        return Some(WindowForm::Calendar(calendar));
    }
    let section = Section::open(field, CALENDAR, report);
    let found = section
        .need("unit", report)
        .and_then(|field| unit(field, report));
    if let Some(field) = section.get("every") {
        calendar.every = whole(field, 10_000, report)?;
    }
    if let Some(field) = section.get("zone") {
        match Zone::new(text(field, report)?) {
            Ok(zone) => options.zone = Some(zone),
            Err(error) => {
                report.add(&field.path, field.node.mark, error.to_string());
                return None;
            }
        }
    }
    if let Some(field) = section.get("week_start") {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let words: Vec<(&str, u8)> = days.into_iter().zip(0..).collect();
        calendar.week_start = choice(field, &words, &[], report)?;
    }
    if let Some(field) = section.get("offset") {
        calendar.offset = offset(field, report)?;
    }
    calendar.unit = found?;
    Some(WindowForm::Calendar(calendar))
}

fn state(
    field: &Field<'_>,
    options: &mut WindowOptions,
    report: &mut Report,
) -> Option<WindowForm> {
    let section = Section::open(field, STATE, report);
    let of = section.get("of");
    if let (Some(of), Some(_)) = (of, section.get("start").or_else(|| section.get("end"))) {
        let problem = "`of` stands in place of `start` and `end`";
        report.add(&of.path, of.mark, problem);
        return None;
    }
    let first = match of {
        Some(of) => Some(of),
        None => section.need("start", report),
    };
    let start = first.and_then(|field| formula(field, report));
    let end = section.get("end").map(|field| formula(field, report));
    let max = maybe_span(&section, "max", report).ok()?;
    let min = maybe_span(&section, "min", report).ok()?;
    if let (Some(least), Some(most), Some(field)) = (min, max, section.get("min"))
        && least > most
    {
        let problem = "every window would be shorter than `min`: none could ever have a result";
        report.hint(&field.path, field.mark, problem, "make `min` at most `max`");
    }
    let true_for = maybe_span(&section, "true_for", report).ok()?;
    let include_end = section
        .get("include_end")
        .map_or(Some(false), |field| flag(field, report))?;
    let ends = end.is_some();
    let end = match end {
        Some(end) => Some(end?),
        None => None,
    };
    let start = start?;
    options.state = Some(StateTexts { start, end });
    Some(WindowForm::State(StateWindow {
        true_for: true_for.unwrap_or(Span::ZERO),
        min: min.unwrap_or(Span::ZERO),
        max,
        include_end,
        ends,
        of: of.is_some(),
    }))
}

fn global(field: &Field<'_>, report: &mut Report) -> Option<WindowForm> {
    if let NodeKind::Bool(true) = field.node.kind {
        return Some(WindowForm::Global { reset: true });
    }
    let section = Section::open(field, GLOBAL, report);
    let reset = section
        .get("reset")
        .map_or(Some(true), |field| flag(field, report))?;
    Some(WindowForm::Global { reset })
}

fn tumbling(window: &Section<'_>, shift: i64, report: &mut Report) -> Option<WindowForm> {
    let size = span(window.get("tumbling")?, false, report);
    Some(WindowForm::Tumbling {
        size: size?,
        offset: shift,
    })
}

fn hopping(window: &Section<'_>, shift: i64, report: &mut Report) -> Option<WindowForm> {
    let field = window.get("hopping")?;
    let section = Section::open(field, HOPPING, report);
    let size = section
        .need("size", report)
        .and_then(|field| span(field, false, report));
    let every = section
        .need("every", report)
        .and_then(|field| span(field, false, report));
    let shifts = [section.get("offset"), window.get("offset")];
    if let [Some(_), Some(outer)] = shifts {
        report.add(&outer.path, outer.mark, "`offset` is there twice");
    }
    let own = section.get("offset").map(|field| offset(field, report));
    let shift = own.unwrap_or(Some(shift));
    let (size, every) = (size?, every?);
    let hops = size.0 / every.0.max(1) + i64::from(size.0 % every.0.max(1) > 0);
    if hops > HOPS {
        let problem = format!("a row would be in {hops} windows: at most {HOPS}");
        let hint = "make `every` longer or `size` shorter";
        report.hint(&field.path, field.mark, problem, hint);
        return None;
    }
    Some(WindowForm::Hopping {
        size,
        every,
        offset: shift?,
    })
}

fn sliding(window: &Section<'_>, report: &mut Report) -> Option<WindowForm> {
    let field = window.get("sliding")?;
    let (mut closed, mut per_row) = (Some(false), Some(false));
    let size = if let NodeKind::Map(_) = field.node.kind {
        let section = Section::open(field, SLIDING, report);
        let mut word = |name: &str, words: &[(&str, bool)]| {
            let field = section.get(name);
            field.map_or(Some(false), |field| choice(field, words, &[], report))
        };
        closed = word("edges", &[("open", false), ("closed", true)]);
        per_row = word("per", &[("time", false), ("row", true)]);
        section
            .need("size", report)
            .and_then(|field| span(field, false, report))
    } else {
        span(field, false, report)
    };
    Some(WindowForm::Sliding {
        size: size?,
        closed: closed?,
        per_row: per_row?,
    })
}
