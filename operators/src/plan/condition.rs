//! [`ConditionPlan`]: a compiled condition over time: its levels and their options.

use std::sync::Arc;

use tidegate_proto::{Issues, Level, Order, Rule, Severity, Span, When};
use tidegate_scripts::{AliasScope, Formula, Slot};

use super::slots::{Bound, Form, Gatherer, SlotTable};
use super::texts::{AlarmPlan, Script, TextPlan, alarm};
use crate::condition::{Flapping, Heir, LevelRules, Rules, Schedule};
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
    /// Whether rows are judged that say of a metric that it has no value: something counts them.
    pub(crate) nulls: bool,
}

/// One level of a condition, compiled.
#[derive(Debug)]
pub(crate) struct LevelPlan {
    /// The condition.
    pub(crate) when: Bound,
    /// What ends it.
    pub(crate) clear: Option<Bound>,
}

impl ConditionPlan {
    /// Whether two conditions judge the same way: durations apart, which are counted anew from the same start.
    pub(crate) fn judges_as(&self, other: &Self) -> bool {
        let same = |(at, heir): (usize, Option<Heir>)| {
            heir.is_some_and(|heir| heir.of == at && heir.judges && heir.ends)
        };
        let heirs = self.heirs(other);
        heirs.len() == other.levels.len() && heirs.into_iter().enumerate().all(same)
    }

    fn when(&self, level: usize) -> Option<&Arc<str>> {
        Some(self.levels.get(level)?.when.formula.normal_text())
    }

    fn dampen(&self, level: usize) -> Option<(u32, u32)> {
        self.rules.levels.get(level)?.dampen
    }

    fn clear(&self, level: usize) -> Option<&Arc<str>> {
        let clear = self.levels.get(level)?.clear.as_ref()?;
        Some(clear.formula.normal_text())
    }

    fn severity(&self, level: usize) -> Option<Severity> {
        self.rules.levels.get(level)?.severity
    }

    /// Which level of another revision each level goes on with: matched by content, equal twins by severity, then by place.
    pub(crate) fn heirs(&self, old: &Self) -> Vec<Option<Heir>> {
        let mut heirs = vec![None; self.levels.len()];
        let mut taken = vec![false; old.levels.len()];
        // How good a match is, the best first.
        let matches = |new: usize, was: usize| {
            let judges = self.when(new) == old.when(was) && self.dampen(new) == old.dampen(was);
            let severity = self.severity(new) == old.severity(was);
            let own = self.clear(new) == old.clear(was);
            // Without a `clear` of its own `when` ends it, too.
            let ends = own && (judges || self.clear(new).is_some());
            let rank = match (judges, ends, severity) {
                (true, true, true) => 0,
                (true, true, false) => 1,
                (true, false, true) => 2,
                (true, false, false) => 3,
                (false, _, true) => 4,
                (false, _, false) => return None,
            };
            Some((
                rank,
                Heir {
                    of: was,
                    judges,
                    ends,
                },
            ))
        };
        for rank in 0..=4 {
            for (new, heir) in heirs
                .iter_mut()
                .enumerate()
                .filter(|(_, heir)| heir.is_none())
            {
                let mut free = taken.iter_mut().enumerate().filter(|(_, taken)| !**taken);
                let found = free.find_map(|(was, taken)| {
                    let (_, heir) = matches(new, was).filter(|(found, _)| *found == rank)?;
                    *taken = true;
                    Some(heir)
                });
                *heir = found;
            }
        }
        heirs
    }

    /// Whether what is told of a level has another severity than what another revision told of one of its levels.
    pub(crate) fn is_other_severity(&self, level: usize, (old, was): (&Self, usize)) -> bool {
        let says = |plan: &Self, level: usize| {
            let own = plan.severity(level);
            let alarm = plan.alarm.map(|alarm| alarm.severity);
            own.map(Some).or(alarm)
        };
        match (says(self, level), says(old, was)) {
            (Some(now), Some(before)) => now != before,
            _ => false,
        }
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

fn level(level: &Level, scope: &AliasScope, issues: &mut Issues) -> Option<LevelDraft> {
    let when = super::condition_over(&level.when, scope, issues);
    let clear = level.clear.as_ref();
    let clear = clear.map(|text| super::condition_over(text, scope, issues));
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
        let scope = AliasScope::default().with_groups(&super::members::names(rule));
        let levels = when.levels.iter();
        let levels: Vec<_> = levels.map(|l| level(l, &scope, issues)).collect();
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
        let nulls = table.streams().any(|(_, stream)| stream.counts_nulls());
        table.note_inputs(&rule.across);
        let plan = ConditionPlan {
            nulls,
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
