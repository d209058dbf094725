//! [`ConditionPlan`]: a compiled `when / hold / clear / clear_hold`.

use std::sync::Arc;

use tidegate_proto::{Issues, Order, Rule, Span, When};
use tidegate_scripts::{Formula, FormulaContext, Slot};

use super::slots::{Bound, Form, Gatherer, SlotTable};
use super::texts::{AlarmPlan, Script, TextPlan, alarm};
use crate::condition::Rules;
use crate::threshold::ThresholdPlan;
use crate::watermark::OwnTiming;

/// A condition, compiled.
#[derive(Debug)]
pub(crate) struct ConditionPlan {
    /// All that the rule asks for.
    pub(crate) table: SlotTable,
    /// The condition.
    pub(crate) when: Bound,
    /// What ends it.
    pub(crate) clear: Option<Bound>,
    /// Durations.
    pub(crate) rules: Rules,
    /// `when` as one comparison with a constant, if the rule is nothing more.
    pub(crate) threshold: Option<ThresholdPlan>,
    /// The alarm whose severity and text begin the values.
    pub(crate) alarm: Option<AlarmPlan>,
    /// Labels and places of the values that are told.
    pub(crate) shown: Vec<(Arc<str>, usize)>,
    /// Time settings of the watermark it runs on.
    pub(crate) timing: OwnTiming,
    /// Whether every row is judged: the condition asks for no metric, or counts rows of any kind.
    pub(crate) every_row: bool,
}

/// Formulas of a condition, compiled one by one.
#[derive(Debug)]
pub(crate) struct Draft {
    when: Formula,
    clear: Option<Formula>,
    rules: Rules,
}

impl Draft {
    pub(crate) fn compile(when: &When, issues: &mut Issues) -> Option<Self> {
        let condition = super::formula(&when.when, FormulaContext::Condition, issues);
        let clear = when.clear.as_ref();
        let clear = clear.map(|text| super::formula(text, FormulaContext::Condition, issues));
        Some(Self {
            when: condition?,
            clear: match clear {
                Some(clear) => Some(clear?),
                None => None,
            },
            rules: Rules {
                hold: when.hold.0,
                clear: when.clear.is_some(),
                clear_hold: when.clear_hold.0,
            },
        })
    }

    pub(crate) fn finish(self, rule: &Rule, texts: Vec<Script>) -> (ConditionPlan, Vec<TextPlan>) {
        let mut gatherer = Gatherer::default();
        gatherer.add(self.when.slots(), true);
        if let Some(clear) = &self.clear {
            gatherer.add(clear.slots(), true);
        }
        for text in &texts {
            gatherer.add(text.slots(), false);
        }
        let mut table = gatherer.finish();
        for formula in std::iter::once(&self.when).chain(&self.clear) {
            table.note_offsets(formula);
        }
        let texts = texts
            .into_iter()
            .map(|script| TextPlan {
                places: table.places_of(script.slots()),
                script,
            })
            .collect();
        let plan = ConditionPlan {
            shown: shown(&self, &table),
            threshold: threshold(&self, &table),
            every_row: every_row(&table),
            alarm: alarm(rule),
            timing: timing(rule),
            rules: self.rules,
            when: table.bind(self.when),
            clear: self.clear.map(|clear| table.bind(clear)),
            table,
        };
        (plan, texts)
    }
}

/// In arrival order holds and timers run with `disorder` 0.
fn timing(rule: &Rule) -> OwnTiming {
    match rule.timing.order.unwrap_or(Order::Arrival) {
        Order::Arrival => (Some(Span::ZERO), rule.timing.idle),
        Order::Time => (rule.timing.disorder, rule.timing.idle),
    }
}

fn shown(draft: &Draft, table: &SlotTable) -> Vec<(Arc<str>, usize)> {
    let mut shown: Vec<(Arc<str>, usize)> = Vec::new();
    let clear = draft.clear.iter().flat_map(Formula::slots);
    let told = |slot: &&Slot| matches!(slot, Slot::Metric(_) | Slot::Trait(_) | Slot::Stream(_));
    for slot in draft.when.slots().iter().chain(clear).filter(told) {
        for place in table.places_of(std::slice::from_ref(slot)) {
            if shown.iter().all(|(_, other)| *other != place) {
                shown.push((super::slots::label_of(slot), place));
            }
        }
    }
    shown
}

fn threshold(draft: &Draft, table: &SlotTable) -> Option<ThresholdPlan> {
    if draft.rules.waits() || draft.clear.is_some() {
        return None;
    }
    ThresholdPlan::of(&draft.when, table)
}

fn every_row(table: &SlotTable) -> bool {
    let judged = || table.places.iter().filter(|place| place.judged);
    let metrics = judged().any(|place| matches!(place.form, Form::Metric(_)));
    let counts =
        judged().any(|place| matches!(&place.form, Form::Stream(plan) if plan.every_row()));
    counts || !metrics
}
