//! [`Waits`]: which rows of windows wait for their time, because they are asked for metrics that they may not carry.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_proto::{Across, Emission, MAX_SKEW, Rule, Selector, Span, WindowForm, WindowRule};

use super::FilterPlan;
use super::slots::{Bound, Form, Place, SlotTable};
use super::window::{AggregatePlan, is_metric};

/// Which rows of windows wait until the watermark has come to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// None: every row says itself what is asked of it, or rows come in their order already.
    None,
    /// Those that do not carry all that is read as of them.
    Partial,
    /// All: windows take them in row order.
    All,
}

/// Which metrics are read as of a row that may not carry them.
pub(super) fn reads(
    table: &SlotTable,
    aggregates: &[AggregatePlan],
    by: &[(Arc<str>, Bound)],
) -> Vec<bool> {
    let mut reads = vec![false; table.places.len()];
    let of = |a: &'_ AggregatePlan| {
        let whole = a.condition || a.always;
        let argument = a.argument.as_ref().filter(|_| whole);
        let bounds = argument.into_iter().chain(&a.filter);
        bounds
            .flat_map(|bound| bound.places.clone())
            .collect::<Vec<_>>()
    };
    let by = by.iter().flat_map(|(_, bound)| bound.places.clone());
    for place in aggregates.iter().flat_map(of).chain(by) {
        let metric = table.places.get(place).is_some_and(|p| is_metric(&p.form));
        if let Some(read) = reads.get_mut(place) {
            *read = metric;
        }
    }
    reads
}

/// Which rows wait for their time.
pub(super) fn waits(
    rule: &Rule,
    window: &WindowRule,
    (table, filter): (&SlotTable, Option<&FilterPlan>),
    reads: &[bool],
    every_row: bool,
) -> Waits {
    let emission = &window.options.emission;
    let wide = rule.selector == Selector::Everything || !rule.across.inputs.is_empty();
    if wide || matches!(emission, Emission::OnChange) {
        return Waits::None;
    }
    let form = window.form;
    let ordered = matches!(
        form,
        WindowForm::Count { .. } | WindowForm::State(_) | WindowForm::Global { .. }
    );
    if ordered || table.has_past() || matches!(emission, Emission::When { .. }) {
        return Waits::All;
    }
    let name = |place: &Place| match &place.form {
        Form::Metric(name) => Some(Arc::clone(name)),
        _ => None,
    };
    let filter = filter.into_iter().flat_map(|filter| &filter.table.places);
    let own = table.places.iter().zip(reads);
    let read = own
        .clone()
        .filter(|(_, read)| **read)
        .map(|(place, _)| place);
    let read: BTreeSet<Arc<str>> = read.chain(filter).filter_map(name).collect();
    let judged = own.filter(|(place, _)| place.judged);
    let judged: BTreeSet<Arc<str>> = judged.filter_map(|(place, _)| name(place)).collect();
    // A row that is used carries one of those that make it so.
    let alone = !every_row && judged.len() == 1 && read.is_subset(&judged);
    if read.is_empty() || alone {
        Waits::None
    } else {
        Waits::Partial
    }
}

/// Whether every row counts: no metric makes one count.
pub(super) fn every_row(table: &SlotTable) -> bool {
    let used = |place: &Place| place.judged && is_metric(&place.form);
    !table.places.iter().any(used)
}

/// Places of the inputs.
pub(super) fn foreign(table: &SlotTable, across: &Across) -> Vec<usize> {
    let places = table.places.iter().enumerate();
    let foreign = places.filter(|(_, place)| match &place.form {
        Form::Metric(name) => across.inputs.iter().any(|input| input.name == *name),
        _ => false,
    });
    foreign.map(|(index, _)| index).collect()
}

/// Whether keys, filters or inputs look at what a row may not carry.
pub(super) fn looks(table: &SlotTable, aggregates: &[AggregatePlan], by: bool) -> bool {
    // What an argument asks of the row itself, the row carries.
    let simple = |a: &AggregatePlan| {
        (a.argument.is_none() || a.bare.is_some() || !a.condition) && a.filter.is_none()
    };
    by || !aggregates.iter().all(simple) || !table.places.iter().all(|p| is_metric(&p.form))
}

/// How far back values are kept that results and late rows ask for.
pub(super) fn horizon(across: &Across, lateness: Span) -> i64 {
    let skew = across.max_skew.unwrap_or(MAX_SKEW);
    lateness.0.saturating_add(skew.0)
}
