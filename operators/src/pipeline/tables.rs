//! Threshold tables of a group: one value judged for all rules that compare it, and how rules come and go.

use std::collections::BTreeSet;

use tidegate_proto::{Outcome, OutcomeKind, Value};

use super::group::Group;
use super::judge::{Scene, columns_of};
use super::steps::{NO_POINT, Step};
use super::unit::{Tale, Unit};
use crate::threshold::{Table, ThresholdPlan};

impl Group {
    /// The number of the table for a threshold; made if there is none.
    pub(crate) fn table(&mut self, plan: &ThresholdPlan) -> usize {
        let tables = &mut self.state.tables;
        let found = tables.iter().position(|t| t.identity == plan.identity);
        found.unwrap_or_else(|| {
            tables.push(Table::new(plan.identity.clone(), plan.compare));
            tables.len() - 1
        })
    }

    /// Resources on which a rule is raised.
    pub(crate) fn raised(&self, number: usize) -> BTreeSet<u32> {
        let Some(unit) = self.units.get(number).and_then(Option::as_ref) else {
            return BTreeSet::new();
        };
        let place = u32::try_from(number).unwrap_or(u32::MAX);
        match unit.state.table.and_then(|t| self.state.tables.get(t)) {
            Some(table) => table.raised(place),
            None => (0..)
                .zip(&unit.state.tasks)
                .filter(|(_, task)| task.raised())
                .map(|(resource, _)| resource)
                .collect(),
        }
    }

    /// Judges the points for all rules in tables.
    pub(crate) fn judge_tables(
        &mut self,
        scene: &Scene<'_>,
        told: &mut Vec<(u32, bool)>,
        out: &mut Vec<Outcome>,
    ) {
        for number in 0..self.state.tables.len() {
            self.judge_table(number, scene, told, out);
        }
    }

    pub(crate) fn threshold(&self, number: usize) -> Option<&ThresholdPlan> {
        let first = self.state.tables.get(number)?.units().next()?;
        let unit = self.units.get(first as usize)?.as_ref()?;
        unit.condition.threshold.as_ref()
    }

    fn judge_table(
        &mut self,
        number: usize,
        scene: &Scene<'_>,
        told: &mut Vec<(u32, bool)>,
        out: &mut Vec<Outcome>,
    ) {
        let Some(threshold) = self.threshold(number) else {
            return;
        };
        let columns = columns_of(&threshold.value, scene.columns);
        let values = threshold.value.formula.evaluate(&columns, scene.points);
        for step in scene.steps.iter().filter(|step| step.point != NO_POINT) {
            let failed = values
                .errors
                .binary_search_by_key(&step.point, |(row, _)| *row);
            let value = values.column.value(step.point as usize);
            if failed.is_ok() {
                self.fail_table(number, scene, step, out);
                continue;
            }
            match value {
                Value::Number(value) => self.cross(number, scene, (step, value), told, out),
                Value::Int(_) => {
                    let value = value.as_number().unwrap_or_default();
                    self.cross(number, scene, (step, value), told, out);
                }
                Value::Missing => {
                    if let Some(table) = self.state.tables.get_mut(number) {
                        *table.unknown.entry(step.resource).or_default() += 1;
                    }
                }
                Value::Bool(_) | Value::Text(_) | Value::List(_) | Value::Map(_) => {
                    self.fail_table(number, scene, step, out);
                }
            }
        }
    }

    fn cross(
        &mut self,
        number: usize,
        scene: &Scene<'_>,
        (step, value): (&Step, f64),
        told: &mut Vec<(u32, bool)>,
        out: &mut Vec<Outcome>,
    ) {
        let Some(table) = self.state.tables.get_mut(number) else {
            return;
        };
        told.clear();
        table.judge(step.resource, value, told);
        for told in told.iter() {
            self.tell_crossed(scene, step, *told, out);
        }
        self.at_work = None;
    }

    /// A value that cannot be compared: every rule says so in its own words.
    pub(crate) fn fail_table(
        &mut self,
        number: usize,
        scene: &Scene<'_>,
        step: &Step,
        out: &mut Vec<Outcome>,
    ) {
        let Some(table) = self.state.tables.get(number) else {
            return;
        };
        let tale = Tale {
            kind: OutcomeKind::Error,
            resource: step.resource,
            time: step.at,
            cause: scene.cause(step.cause),
            trigger: step.trigger,
        };
        let values = scene.values(step.point);
        for unit in table.units() {
            if let Some(unit) = self.units.get_mut(unit as usize).and_then(Option::as_mut) {
                let message = unit.message(&values);
                out.extend(unit.fail(&tale, &message));
            }
        }
    }
}

impl Unit {
    /// What is wrong with the condition over values by place.
    fn message(&self, values: &[Value]) -> String {
        let Some(level) = self.condition.levels.first() else {
            return String::new();
        };
        let when = &level.when;
        let places = when.places.iter();
        let given: Vec<Value> = places
            .map(|place| values.get(*place).cloned().unwrap_or_default())
            .collect();
        match when.formula.evaluate_row(&given) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }
}
