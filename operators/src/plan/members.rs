//! [`GroupPlan`] and [`GroupCall`]: inputs that are groups of resources: who is a member, and what formulas ask of all members.

use std::sync::Arc;

use tidegate_proto::{FormulaText, GroupOf, Input, Issue, Issues, Rule, Selector};
use tidegate_scripts::{Formula, FormulaContext, Over, Slot, StreamCall, StreamFunction, Template};

use super::slots::SlotTable;
use crate::aggregate::AggregateKind;

/// Who is a member of a group, over the traits of the task's own resource.
#[derive(Debug)]
pub(crate) struct GroupPlan {
    pub(crate) parent: Option<Template>,
    pub(crate) under: Option<Template>,
    pub(crate) kind: Option<Template>,
    pub(crate) labels: Vec<(Arc<str>, Template)>,
    pub(crate) ids: Vec<Template>,
    /// A value older than this is left out, in ms.
    pub(crate) max_age: i64,
}

/// What is asked of the members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberFunction {
    /// How many there are.
    Members,
    /// How many have had no value for so many ms.
    Stale(i64),
    /// An aggregate of their latest values.
    Aggregate(AggregateKind),
}

/// One call over the members of a group, which formulas see as a value.
#[derive(Debug)]
pub(crate) struct GroupCall {
    /// Number of the input.
    pub(crate) input: usize,
    /// Whether a condition asks for it: time alone makes it judge.
    pub(crate) wakes: bool,
    pub(crate) function: MemberFunction,
    /// What is taken of a member's value; `None`: the value itself.
    pub(crate) argument: Option<Formula>,
    /// Which members count.
    pub(crate) filter: Option<Formula>,
}

/// Inputs of a rule that are groups, by name.
pub(crate) fn names(rule: &Rule) -> Vec<Arc<str>> {
    let inputs = rule.across.inputs.iter();
    let groups = inputs.filter(|input| input.is_group());
    groups.map(|input| Arc::clone(&input.name)).collect()
}

/// A text over the traits of the task's own resource.
pub(crate) fn template(text: &FormulaText, rule: &Rule, issues: &mut Issues) -> Option<Template> {
    let template = match Template::compile(text, FormulaContext::RowFilter) {
        Ok(template) => template,
        Err(found) => {
            issues.extend(found);
            return None;
        }
    };
    let everything = rule.selector == Selector::Everything;
    let foreign = |slot: &&Slot| everything || !matches!(slot, Slot::Trait(_) | Slot::Resource);
    let Some(slot) = template.slots().iter().find(foreign) else {
        return Some(template);
    };
    let (problem, hint) = if everything {
        (
            format!("`{slot}` is of one resource, and this task is over everything"),
            "name the resource itself, or write `for`",
        )
    } else {
        (
            format!("`{slot}` is no trait of the task's resource"),
            "an input is found by `resource`, `type`, `parent`, `labels.NAME` and `meta.NAME`",
        )
    };
    issues.push(Issue::new(text.path.as_ref(), text.mark, problem).hint(hint));
    None
}

impl GroupPlan {
    pub(crate) fn compile(
        input: &Input,
        of: &GroupOf,
        rule: &Rule,
        issues: &mut Issues,
    ) -> Option<Self> {
        let before = issues.len();
        let mut one = |text: &FormulaText| template(text, rule, issues);
        let plan = Self {
            parent: of.parent.as_ref().and_then(&mut one),
            under: of.under.as_ref().and_then(&mut one),
            kind: of.kind.as_ref().and_then(&mut one),
            labels: of
                .labels
                .iter()
                .filter_map(|(name, text)| Some((Arc::clone(name), one(text)?)))
                .collect(),
            ids: of.ids.iter().filter_map(&mut one).collect(),
            max_age: input.max_age.map_or(i64::MAX, |age| age.0),
        };
        (issues.len() == before).then_some(plan)
    }
}

impl GroupCall {
    pub(crate) fn of(call: &StreamCall, inputs: &[Input], wakes: bool) -> Option<Self> {
        let argument = call.arguments.first()?;
        let named = argument.slots().iter().find_map(|slot| match slot {
            Slot::Metric(name) => inputs.iter().position(|input| input.name == *name),
            _ => None,
        });
        let function = match (call.function, call.over) {
            (StreamFunction::Members, _) => MemberFunction::Members,
            (StreamFunction::StaleCount, Over::Span(span)) => MemberFunction::Stale(span.0),
            _ => MemberFunction::Aggregate(super::aggregates::kind(call)?),
        };
        let bare = matches!(argument.slots(), [slot] if argument.normal_text().as_ref() == slot.to_string());
        Some(Self {
            input: named?,
            wakes,
            function,
            argument: (!bare).then(|| argument.clone()),
            filter: call.filter.clone(),
        })
    }
}

impl SlotTable {
    /// Calls over members of groups, with the number of each.
    pub(crate) fn group_call(&self, name: &str) -> Option<&StreamCall> {
        let mut groups = self.groups.iter();
        groups
            .find(|(label, _)| label.as_ref() == name)
            .map(|(_, call)| call)
    }
}
