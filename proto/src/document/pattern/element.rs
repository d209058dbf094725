//! One element of a pattern: step, absence, `and`, `or`, group, in their short and their full form.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::CONTIGUITY;
use crate::document::across::rows_of;
use crate::document::section::{Allowed, Field, Report, Section};
use crate::document::tree::NodeKind;
use crate::document::value::{choice, flag, formula, span, text};
use crate::issue::Mark;
use crate::pattern::{
    Contiguity, Element, ElementKind, MOST_ELEMENTS, MOST_STEPS, MOST_TIMES, OnBreak,
};

const STEP: Allowed = Allowed {
    known: &[
        "as",
        "where",
        "min",
        "max",
        "times",
        "optional",
        "greedy",
        "contiguity",
        "inner",
        "until",
        "within",
        "of",
    ],
    later: &[],
};
const ABSENCE: Allowed = Allowed {
    known: &["as", "not", "for", "contiguity", "on_break", "of"],
    later: &[],
};
const AND: Allowed = Allowed {
    known: &[
        "as",
        "and",
        "share",
        "optional",
        "contiguity",
        "inner",
        "within",
    ],
    later: &[],
};
const OR: Allowed = Allowed {
    known: &["as", "or", "optional", "contiguity", "within"],
    later: &[],
};
const GROUP: Allowed = Allowed {
    known: &[
        "as",
        "steps",
        "min",
        "max",
        "times",
        "optional",
        "greedy",
        "contiguity",
        "inner",
        "within",
    ],
    later: &[],
};

const ON_BREAK: [(&str, OnBreak); 4] = [
    ("restart", OnBreak::Restart),
    ("end", OnBreak::End),
    ("drop", OnBreak::Drop),
    ("spend", OnBreak::Spend),
];

/// Where an element stands, which decides what its absences do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    /// Levels that may still lie inside.
    depth: usize,
    /// It can be the first of the pattern.
    leads: bool,
    /// It is a side of an `and`.
    in_and: bool,
    /// It is a side of an `or`.
    in_or: bool,
}

/// Reads elements and keeps their names apart.
pub(super) struct Reader {
    contiguity: Contiguity,
    names: BTreeSet<String>,
    /// Elements without a name, which are called by their place: name, path and mark.
    unnamed: Vec<(Arc<str>, Arc<str>, Mark)>,
    count: usize,
}

/// Whether a text can be a name in a formula, by its letters.
fn is_identifier(text: &str) -> bool {
    let mut letters = text.trim_start_matches('_').chars();
    letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn has(field: &Field<'_>, name: &str) -> bool {
    match &field.node.kind {
        NodeKind::Map(entries) => entries.iter().any(|(key, _)| key.scalar() == Some(name)),
        _ => false,
    }
}

impl Reader {
    pub(super) fn new(contiguity: Contiguity) -> Self {
        Self {
            contiguity,
            names: BTreeSet::new(),
            unnamed: Vec::new(),
            count: 0,
        }
    }

    /// The elements of `steps` of the pattern.
    pub(super) fn list(
        &mut self,
        field: &Field<'_>,
        depth: usize,
        report: &mut Report,
    ) -> Vec<Element> {
        let place = Place {
            depth,
            leads: true,
            in_and: false,
            in_or: false,
        };
        let elements = self.elements(field, place, report);
        for (name, path, mark) in &self.unnamed {
            if self.names.contains(name.as_ref()) {
                let problem = format!(
                    "the name `{name}` is there twice: so is this element called by its place"
                );
                report.hint(path, *mark, problem, "give it a name of its own with `as`");
            }
        }
        elements
    }

    fn elements(&mut self, field: &Field<'_>, place: Place, report: &mut Report) -> Vec<Element> {
        let items = field.items(report);
        if !(1..=MOST_STEPS).contains(&items.len()) && matches!(field.node.kind, NodeKind::Seq(_)) {
            let problem = format!("{} elements: 1 to {MOST_STEPS}", items.len());
            report.add(&field.path, field.node.mark, problem);
        }
        let mut out: Vec<Element> = Vec::new();
        for item in items.iter().take(MOST_STEPS) {
            let side = place.in_and || place.in_or;
            let before = out.iter();
            let leads = place.leads && (side || before.clone().all(|element| element.min == 0));
            out.extend(self.element(item, Place { leads, ..place }, report));
        }
        out
    }

    fn element(&mut self, item: &Field<'_>, place: Place, report: &mut Report) -> Option<Element> {
        let NodeKind::Map(entries) = &item.node.kind else {
            item.not("an element such as `opened: door == \"open\"`", report);
            return None;
        };
        self.count += 1;
        if self.count == MOST_ELEMENTS + 1 {
            let problem = format!("a pattern has at most {MOST_ELEMENTS} elements");
            report.add(&item.path, item.node.mark, problem);
        }
        if self.count > MOST_ELEMENTS {
            return None;
        }
        let words = ["as", "where", "not", "and", "or", "steps"];
        if let ([(key, _)], false) = (entries.as_slice(), words.iter().any(|word| has(item, word)))
            && !STEP.known.contains(&key.scalar().unwrap_or_default())
        {
            let inner = item.entries(report).pop()?;
            let alias = self.alias(inner.name, &inner, report);
            if let NodeKind::Map(_) = inner.node.kind {
                return self.full(&inner, alias, place, report);
            }
            let test = formula(&inner, report);
            let mut element = self.blank(&inner, alias, ElementKind::Step(None));
            element.kind = ElementKind::Step(Some(test?));
            return Some(element);
        }
        self.full(item, None, place, report)
    }

    /// An element with its fields; `alias` is the name that stands in front of it.
    fn full(
        &mut self,
        item: &Field<'_>,
        alias: Option<Arc<str>>,
        place: Place,
        report: &mut Report,
    ) -> Option<Element> {
        let (allowed, kind) = [(ABSENCE, "not"), (AND, "and"), (OR, "or"), (GROUP, "steps")]
            .into_iter()
            .find(|(_, word)| has(item, word))
            .unwrap_or((STEP, "where"));
        let section = Section::open(item, allowed, report);
        let alias = match (alias, section.get("as")) {
            (Some(_), Some(field)) => {
                report.add(&field.path, field.mark, "the element has a name already");
                None
            }
            (None, Some(field)) => {
                text(field, report).and_then(|name| self.alias(name, field, report))
            }
            (alias, None) => alias,
        };
        let unnamed = alias.is_none();
        let mut element = self.blank(item, alias, ElementKind::Step(None));
        if unnamed {
            let name = Arc::clone(&element.alias);
            let path = Arc::clone(&element.path);
            self.unnamed.push((name, path, element.mark));
        }
        self.options(&section, &mut element, report);
        element.of = section.get("of").and_then(|field| rows_of(field, report));
        let deeper = Place {
            depth: place.depth.saturating_sub(1),
            in_and: kind == "and",
            in_or: kind == "or",
            ..place
        };
        if !matches!(kind, "where" | "not") && place.depth == 0 {
            report.add(
                &item.path,
                item.node.mark,
                "too many levels inside each other: at most 8",
            );
            return None;
        }
        element.kind = match kind {
            "not" => absence(&section, place, report)?,
            "and" => ElementKind::And {
                sides: self.elements(section.get("and")?, deeper, report),
                share: section
                    .get("share")
                    .and_then(|field| flag(field, report))
                    .unwrap_or(true),
            },
            "or" => ElementKind::Or(self.elements(section.get("or")?, deeper, report)),
            "steps" => ElementKind::Group(self.elements(section.get("steps")?, deeper, report)),
            _ => ElementKind::Step(section.get("where").and_then(|f| formula(f, report))),
        };
        Some(element)
    }

    fn blank(&self, item: &Field<'_>, alias: Option<Arc<str>>, kind: ElementKind) -> Element {
        Element {
            alias: alias.unwrap_or_else(|| Arc::from(format!("s{}", self.count))),
            path: Arc::from(item.path.as_str()),
            mark: item.node.mark,
            kind,
            of: None,
            min: 1,
            max: Some(1),
            greedy: false,
            contiguity: self.contiguity,
            lead: Contiguity::Relaxed,
            inner: self.contiguity,
            until: None,
            within: None,
        }
    }

    fn alias(&mut self, name: &str, field: &Field<'_>, report: &mut Report) -> Option<Arc<str>> {
        let brief: String = name.chars().take(64).collect();
        if !is_identifier(name) || name.len() > 64 {
            let problem = format!("`{brief}` is no name that a formula can use");
            let hint = "letters, digits and `_`, a letter first";
            report.hint(&field.path, field.mark, problem, hint);
            return None;
        }
        if !self.names.insert(name.to_owned()) {
            report.add(
                &field.path,
                field.mark,
                format!("the name `{brief}` is there twice"),
            );
            return None;
        }
        Some(Arc::from(name))
    }

    fn options(&self, section: &Section<'_>, element: &mut Element, report: &mut Report) {
        for (name, value) in [
            ("contiguity", &mut element.contiguity),
            ("inner", &mut element.inner),
        ] {
            if let Some(field) = section.get(name)
                && let Some(word) = choice(field, &CONTIGUITY, &[], report)
            {
                *value = word;
                if name == "contiguity" {
                    element.lead = word;
                }
            }
        }
        times(section, element, report);
        let mut is_set = |name: &str| section.get(name).and_then(|field| flag(field, report));
        element.greedy = is_set("greedy").unwrap_or(false);
        if is_set("optional") == Some(true) {
            element.min = 0;
        }
        let within = section.get("within");
        element.within = within.and_then(|field| span(field, false, report));
        let until = section.get("until");
        element.until = until.and_then(|field| formula(field, report));
        if let (Some(field), false) = (until, element.repeats()) {
            report.hint(
                &field.path,
                field.mark,
                "`until` closes a repetition, and this element is taken once",
                "give it `max`, or leave `until` out",
            );
        }
    }
}

fn absence(section: &Section<'_>, place: Place, report: &mut Report) -> Option<ElementKind> {
    let not = section.get("not").and_then(|field| formula(field, report));
    let lasts = section.get("for");
    let lasts_span = lasts.and_then(|field| span(field, false, report));
    let between = lasts.is_none();
    let default = match place {
        Place {
            in_and: true,
            leads: true,
            ..
        } if between => OnBreak::Spend,
        Place { leads: true, .. } => OnBreak::Restart,
        Place { in_or: true, .. } => OnBreak::Drop,
        _ => OnBreak::End,
    };
    let written = section.get("on_break");
    let on_break = written.and_then(|field| choice(field, &ON_BREAK, &[], report));
    if let (Some(field), Some(word)) = (written, on_break) {
        let wrong = match word {
            OnBreak::Spend if !between || !place.in_and => {
                Some("`spend` is for a `not` without `for` inside an `and`")
            }
            OnBreak::Drop if !place.in_or => Some("`drop` is for a side of an `or`"),
            OnBreak::Restart if between => Some("`restart` is for a `not` with `for`"),
            _ => None,
        };
        if let Some(problem) = wrong {
            report.add(&field.path, field.node.mark, problem);
        }
    }
    let on_break = on_break.unwrap_or(default);
    Some(ElementKind::Absence {
        not: not?,
        lasts: lasts_span,
        on_break,
    })
}

/// `min`, `max`, `times`.
fn times(section: &Section<'_>, element: &mut Element, report: &mut Report) {
    if let Some(field) = section.get("times") {
        for other in ["min", "max"].iter().filter_map(|name| section.get(name)) {
            let problem = format!("`times` says `{}` already", other.name);
            report.add(&other.path, other.mark, problem);
        }
        if let Some(times) = count(field, report) {
            element.min = times;
            element.max = Some(times);
        }
    }
    let min = section.get("min").and_then(|field| count(field, report));
    let max = section.get("max");
    element.min = min.unwrap_or(element.min);
    let unlimited = max.is_some_and(|field| field.node.scalar() == Some("none"));
    if unlimited {
        element.max = None;
    } else if let Some(max) = max.and_then(|field| count(field, report)) {
        element.max = Some(max);
    } else if max.is_none() && min.is_some_and(|min| min > 1) && section.get("times").is_none() {
        element.max = min;
    }
    if let Some(most) = element.max
        && (most == 0 || most < element.min)
    {
        let field = max
            .or_else(|| section.get("times"))
            .or_else(|| section.get("min"));
        if let Some(field) = field {
            let problem = format!("at most {most} and at least {}: nothing fits", element.min);
            report.add(&field.path, field.node.mark, problem);
        }
    }
}

fn count(field: &Field<'_>, report: &mut Report) -> Option<u32> {
    let written = field.node.scalar().unwrap_or_default();
    let number = match field.node.kind {
        NodeKind::Number(_) => written.parse().ok().filter(|count| *count <= MOST_TIMES),
        _ => None,
    };
    if number.is_none() {
        field.not(&format!("a whole number from 0 to {MOST_TIMES}"), report);
    }
    number
}
