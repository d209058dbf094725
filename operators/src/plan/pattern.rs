//! [`PatternPlan`]: a compiled `pattern`: its machine, its tests, and what formulas ask of bound rows.

mod compile;
mod resolve;
mod scope;

use std::sync::Arc;

use tidegate_proto::pattern::{Element, Pattern};
use tidegate_proto::{Order, Rule, Span};
use tidegate_scripts::{AliasField, AliasPick, Formula};

use super::slots::{Bound, SlotTable};
use super::texts::{AlarmPlan, TextPlan};
use crate::pattern::{Alias, Machine, Test};
use crate::watermark::OwnTiming;

pub(crate) use compile::{Draft, metrics_of};
pub(crate) use scope::names;

/// Where a slot of a pattern's formula gets its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A place of the table.
    Place(usize),
    /// Rows that are bound.
    Rows(Asked),
    /// A column of `emit`.
    Column(usize),
}

/// A question about bound rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) alias: Alias,
    pub(crate) pick: AliasPick,
    pub(crate) field: AliasField,
    /// Place of the metric in the element's list.
    pub(crate) place: usize,
}

/// A formula and where its slots get their values.
#[derive(Clone, Debug)]
pub(crate) struct Sourced {
    pub(crate) formula: Formula,
    pub(crate) sources: Vec<Source>,
}

/// A formula that rows are judged by.
#[derive(Debug)]
pub(crate) struct TestPlan {
    /// Over the table alone, when it asks for no bound row.
    pub(crate) bound: Option<Bound>,
    pub(crate) sourced: Sourced,
    /// Places of the metrics that make a row be judged; empty: every row is.
    pub(crate) metrics: Vec<usize>,
}

/// What is known of an element by its number.
#[derive(Debug)]
pub(crate) struct AliasPlan {
    pub(crate) name: Arc<str>,
    /// Whether it is written in the rule, or takes rows: what the values of a match list.
    pub(crate) takes_rows: bool,
    pub(crate) list: bool,
    /// What is kept of its rows: names and places in the table.
    pub(crate) kept: Vec<(Arc<str>, usize)>,
    /// How many of those its own `where` names, which come first and are shown.
    pub(crate) shown: usize,
}

/// A pattern, compiled.
#[derive(Debug)]
pub(crate) struct PatternPlan {
    pub(crate) table: SlotTable,
    pub(crate) machine: Machine,
    pub(crate) tests: Vec<TestPlan>,
    pub(crate) aliases: Vec<AliasPlan>,
    pub(crate) emit: Vec<(Arc<str>, Sourced)>,
    pub(crate) having: Option<Sourced>,
    pub(crate) texts: Vec<TextPlan<Source>>,
    pub(crate) alarm: Option<AlarmPlan>,
    pub(crate) timing: OwnTiming,
    /// Whether a bare metric is only the row's own.
    pub(crate) own_values: bool,
    /// Whether every row of the key is looked at.
    pub(crate) every_row: bool,
    /// Whether every row of the key is one of the pattern.
    pub(crate) all_rows: bool,
    /// The test that ends the alarm; it is none of an element.
    pub(crate) clear: Option<Test>,
    /// Whether a match may have to tell values as of a time without a row.
    pub(crate) looks_back: bool,
    /// Equal for patterns that go on with each other's attempts.
    pub(crate) identity: String,
}

/// All elements in the order of the document: their numbers are their places.
pub(crate) fn flat(pattern: &Pattern) -> Vec<&Element> {
    fn add<'a>(elements: &'a [Element], out: &mut Vec<&'a Element>) {
        for element in elements {
            out.push(element);
            add(element.children(), out);
        }
    }
    let mut out = Vec::new();
    add(&pattern.steps, &mut out);
    out
}

/// In arrival order timers run with `disorder` 0.
fn timing(rule: &Rule) -> OwnTiming {
    match rule.timing.order {
        Some(Order::Arrival) => (Some(Span::ZERO), rule.timing.idle),
        _ => (rule.timing.disorder, rule.timing.idle),
    }
}
