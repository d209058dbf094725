//! [`ConditionPlan`]: a compiled condition over time: its levels and their options.

use std::sync::Arc;

use tidegate_proto::{Issues, Level, Order, Rule, Span, When};
use tidegate_scripts::{Formula, FormulaContext, Slot};

use super::slots::{Bound, Form, Gatherer, SlotTable};
use super::texts::{AlarmPlan, Script, TextPlan, alarm};
use crate::condition::{Flapping, LevelRules, Rules, Schedule};
use crate::threshold::ThresholdPlan;
use crate::watermark::OwnTiming;

/// A condition, compiled.
#[derive(Debug)]
pub(crate) struct ConditionPlan {
    /// All that the rule asks for.
    pub(crate) table: SlotTable,
    /// Levels, the worst first; a plain condition is one.
    pub(crate) levels: Vec<LevelPlan>,
    /// Durations and options.
    pub(crate) rules: Rules,
    /// Times at which it judges, if not always.
    pub(crate) schedule: Option<Schedule>,
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

/// One level of a condition, compiled.
#[derive(Debug)]
pub(crate) struct LevelPlan {
    /// The condition.
    pub(crate) when: Bound,
    /// What ends it.
    pub(crate) clear: Option<Bound>,
}

impl LevelPlan {
    fn formulas(&self) -> (&Arc<str>, Option<&Arc<str>>) {
        let clear = self.clear.as_ref();
        (
            self.when.formula.normal_text(),
            clear.map(|clear| clear.formula.normal_text()),
        )
    }
}

impl ConditionPlan {
    /// Whether two conditions judge the same way: durations apart, which are counted anew from the same start.
    pub(crate) fn judges_as(&self, other: &Self) -> bool {
        let judging = |rules: &LevelRules| (rules.severity, rules.dampen);
        let rules = self.rules.levels.iter().map(judging);
        let formulas = self.levels.iter().map(LevelPlan::formulas);
        rules.eq(other.rules.levels.iter().map(judging))
            && formulas.eq(other.levels.iter().map(LevelPlan::formulas))
    }

    /// What a level is called in reports: `when` alone, `CRITICAL.when` among several.
    pub(crate) fn level_path(&self, level: usize, field: &str) -> String {
        let rules = self.rules.levels.get(level);
        match rules.and_then(|rules| rules.severity) {
            Some(severity) => format!("{}.{field}", severity.word()),
            None => field.to_owned(),
        }
    }
}

/// Formulas of a level, compiled one by one.
#[derive(Debug)]
struct LevelDraft {
    when: Formula,
    clear: Option<Formula>,
}

/// Formulas of a condition, compiled one by one.
#[derive(Debug)]
pub(crate) struct Draft {
    levels: Vec<LevelDraft>,
    rules: Rules,
}

fn level(level: &Level, issues: &mut Issues) -> Option<LevelDraft> {
    let when = super::condition(&level.when, FormulaContext::Condition, issues);
    let clear = level.clear.as_ref();
    let clear = clear.map(|text| super::condition(text, FormulaContext::Condition, issues));
    Some(LevelDraft {
        when: when?,
        clear: match clear {
            Some(clear) => Some(clear?),
            None => None,
        },
    })
}

fn rules(rule: &Rule, when: &When) -> Rules {
    let levels = when.levels.iter().map(|level| LevelRules {
        severity: level.severity,
        hold: level.hold.0,
        clear: level.clear.is_some(),
        clear_hold: level.clear_hold.0,
        dampen: level.dampen.map(|dampen| (dampen.needed, dampen.of)),
    });
    let flapping = when.flapping.map(|guard| Flapping {
        changes: guard.changes as usize,
        within: guard.within.0,
        until: guard.until as usize,
    });
    Rules {
        levels: levels.collect(),
        never_lower: when.never_lower,
        again: when.again.map_or(0, |again| again.0),
        flapping,
        every_time: rule.then.iter().any(|action| action.every_time),
        scheduled: when.active.is_some(),
    }
}

impl Draft {
    pub(crate) fn compile(rule: &Rule, when: &When, issues: &mut Issues) -> Option<Self> {
        let levels: Vec<_> = when.levels.iter().map(|l| level(l, issues)).collect();
        Some(Self {
            levels: levels.into_iter().collect::<Option<Vec<_>>>()?,
            rules: rules(rule, when),
        })
    }

    fn formulas(&self) -> impl Iterator<Item = &Formula> {
        let levels = self.levels.iter();
        levels.flat_map(|level| std::iter::once(&level.when).chain(&level.clear))
    }

    pub(crate) fn finish(
        self,
        (rule, when): (&Rule, &When),
        texts: Vec<Script>,
    ) -> (ConditionPlan, Vec<TextPlan>) {
        let mut gatherer = Gatherer::default();
        for formula in self.formulas() {
            gatherer.add(formula.slots(), true);
        }
        for text in &texts {
            gatherer.add(text.slots(), false);
        }
        let mut table = gatherer.finish();
        for formula in self.formulas() {
            table.note_offsets(formula);
        }
        let texts = texts
            .into_iter()
            .map(|script| TextPlan {
                places: table.places_of(script.slots()),
                script,
            })
            .collect();
        let every_row = every_row(&table);
        table.note_inputs(&rule.across);
        let plan = ConditionPlan {
            shown: shown(&self, &table),
            threshold: threshold(&self, &table),
            every_row,
            alarm: alarm(rule),
            timing: timing(rule),
            rules: self.rules,
            schedule: when.active.clone().map(Schedule::new),
            levels: self
                .levels
                .into_iter()
                .map(|level| LevelPlan {
                    when: table.bind(level.when),
                    clear: level.clear.map(|clear| table.bind(clear)),
                })
                .collect(),
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
    let told = |slot: &&Slot| matches!(slot, Slot::Metric(_) | Slot::Trait(_) | Slot::Stream(_));
    for slot in draft.formulas().flat_map(Formula::slots).filter(told) {
        for place in table.places_of(std::slice::from_ref(slot)) {
            if shown.iter().all(|(_, other)| *other != place) {
                shown.push((super::slots::label_of(slot), place));
            }
        }
    }
    shown
}

fn threshold(draft: &Draft, table: &SlotTable) -> Option<ThresholdPlan> {
    let [level] = draft.levels.as_slice() else {
        return None;
    };
    if !draft.rules.is_bare() {
        return None;
    }
    ThresholdPlan::of(&level.when, table)
}

fn every_row(table: &SlotTable) -> bool {
    let judged = || table.places.iter().filter(|place| place.judged);
    let metrics = judged().any(|place| matches!(place.form, Form::Metric(_)));
    let counts =
        judged().any(|place| matches!(&place.form, Form::Stream(plan) if plan.every_row()));
    counts || !metrics
}
