//! [`JoinedState`]: a join inside of a rule: rows to sides and keys, pairs to lines.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::{EventRef, Names, Outcome, OutcomeKind, Timestamp, Traits, Value};
use tidegate_scripts::Column;

use super::Taken;
use super::intake::trigger;
use super::picked::{causes, of_pair, of_row, task, time, window};
use super::seen::JoinWatch;
use crate::join::{Coming, Findings, JoinKey, JoinRow, JoinRules, Joined, Pair};
use crate::pipeline::keys::{escaped, identity};
use crate::pipeline::members::{Members, matches};
use crate::pipeline::sight::{Sight, evaluate};
use crate::pipeline::unit::{Tale, line};
use crate::pipeline::{TaskCounters, View};
use crate::plan::join::{JoinFormula, JoinPlan, SidePlan};
use crate::plan::slots::Form;
use crate::plan::texts::Rendered;
use crate::plan::{FilterPlan, Plan};

/// Left, then right.
const SIDES: [bool; 2] = [true, false];

/// All of a join that a snapshot keeps.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct JoinedSaved {
    members: [Members; 2],
    pub(super) joined: Joined,
    /// Rows so far.
    number: u64,
    counters: TaskCounters,
    /// Hour of the last error line.
    hour: Option<i64>,
}

/// A join at work.
#[derive(Debug)]
pub(crate) struct JoinedState {
    pub(super) plan: Arc<JoinPlan>,
    pub(super) rules: JoinRules,
    pub(super) saved: JoinedSaved,
    pub(super) found: Findings,
    /// A task that somebody watches.
    pub(super) seen: Option<Box<JoinWatch>>,
    faults: Vec<Fault>,
}

/// What failed, of which task, at which time, by which record.
#[derive(Debug)]
struct Fault {
    message: String,
    task: (u32, Arc<str>),
    time: i64,
    cause: SmallVec<[EventRef; 2]>,
    record: u32,
}

impl Fault {
    /// Of a row whose key is not known: its resource is.
    fn of_row(
        message: String,
        (time, resource): (i64, u32),
        event: &EventRef,
        record: u32,
    ) -> Self {
        Self {
            message,
            task: (resource, Arc::from("")),
            time,
            cause: std::iter::once(event.clone()).collect(),
            record,
        }
    }

    fn of_pair(message: String, pair: &Pair) -> Self {
        Self {
            message,
            task: task(&pair.key),
            time: pair.time,
            cause: causes(pair),
            record: pair.record,
        }
    }
}

fn rules(plan: &JoinPlan, ordered: bool, most: usize) -> JoinRules {
    let join = &plan.join;
    JoinRules {
        kind: join.kind,
        within: join.within,
        eager: join.eager,
        own_pairs: join.own_pairs,
        lateness: join.lateness.0,
        ordered,
        most,
    }
}

/// Names of everything that is read of a row: metrics of the sides, then what their filters ask for.
pub(super) fn reads(plan: &JoinPlan, metrics: &mut Names) -> Vec<u32> {
    let mut reads: Vec<u32> = Vec::new();
    for side in &plan.sides {
        reads.extend(side.metrics.iter().map(|name| metrics.intern(name)));
    }
    for filter in plan.sides.iter().filter_map(|side| side.filter.as_ref()) {
        let sight = Sight::new(&filter.table, metrics);
        reads.extend(sight.metrics.iter().map(|cells| cells.metric));
    }
    reads
}

impl JoinedState {
    pub(super) fn new(
        plan: &Arc<JoinPlan>,
        (ordered, most): (bool, usize),
        view: &dyn View,
    ) -> Self {
        let members = |side: &SidePlan| Members::of(&side.from, view);
        let [left, right] = &plan.sides;
        let saved = JoinedSaved {
            members: [members(left), members(right)],
            joined: Joined::default(),
            number: 0,
            counters: TaskCounters::default(),
            hour: None,
        };
        Self::resume(plan, (ordered, most), saved)
    }

    /// Goes on from what was saved.
    pub(super) fn resume(
        plan: &Arc<JoinPlan>,
        (ordered, most): (bool, usize),
        saved: JoinedSaved,
    ) -> Self {
        Self {
            rules: rules(plan, ordered, most),
            plan: Arc::clone(plan),
            saved,
            found: Findings::default(),
            seen: None,
            faults: Vec::new(),
        }
    }

    /// Whether any stream has the rows of a resource.
    pub(super) fn reads(&self, resource: u32) -> bool {
        self.saved
            .members
            .iter()
            .any(|members| members.has(resource))
    }

    /// A resource comes, changes or goes; answers whether any stream has its rows.
    pub(super) fn describe(&mut self, resource: u32, exists: bool, view: &dyn View) -> bool {
        let (id, traits) = (view.resource(resource), view.traits(resource));
        let mut fits = false;
        for (side, members) in self.plan.sides.iter().zip(&mut self.saved.members) {
            let member = exists && matches(&side.from, id, traits);
            members.set(resource, member);
            fits |= member;
        }
        fits
    }

    pub(super) fn deadline(&self) -> i64 {
        self.saved.joined.deadline()
    }

    pub(super) const fn counters(&self) -> TaskCounters {
        self.saved.counters
    }

    pub(super) const fn bytes(&self) -> usize {
        self.saved.joined.rows() * (size_of::<JoinRow>() + 160)
    }

    /// Takes a row on every side that has it; `then` are the traits under which it was read, if they are others now.
    pub(super) fn take(
        &mut self,
        row: &Taken,
        (water, record): (i64, u32),
        then: Option<&Traits>,
        view: &dyn View,
    ) {
        self.saved.number += 1;
        let mut from = 0;
        let plan = Arc::clone(&self.plan);
        for (index, (side, left)) in plan.sides.iter().zip(SIDES).enumerate() {
            let values = row.values.get(from..from + side.metrics.len());
            from += side.metrics.len();
            let members = self.saved.members.get(index);
            let has = match then {
                // A line of a rule.
                _ if row.sides > 0 => row.sides >> index & 1 == 1,
                Some(traits) => matches(&side.from, view.resource(row.resource), traits),
                None => members.is_some_and(|members| members.has(row.resource)),
            };
            if !has || !self.passes(index, row, record, view) {
                continue;
            }
            let mut values = values.unwrap_or_default().to_vec();
            for place in &side.traits {
                if let (Some(path), Some(value)) =
                    (side.metrics.get(*place), values.get_mut(*place))
                {
                    let text = view.traits(row.resource).path(path);
                    *value = text.map_or(Value::Missing, Value::Text);
                }
            }
            let row = JoinRow {
                time: row.time,
                number: self.saved.number,
                resource: row.resource,
                event: row.event.clone(),
                values,
                all: row.all.clone(),
            };
            let key = self.key(side, &row, record, view);
            let coming = Coming {
                left,
                water,
                record,
                window: side.bounds.and_then(|bounds| window(bounds, &row)),
            };
            let seen = self
                .seen
                .is_some()
                .then(|| (key.clone(), row.event.clone()));
            let (at, found) = (row.time, self.found());
            let joined = &mut self.saved.joined;
            joined.take(&self.rules, (key, row), coming, &mut self.found);
            if let Some((key, event)) = seen {
                self.see((Some(&key), found), (at, Some(event)), view);
            }
        }
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, water: i64, record: u32, view: &dyn View) {
        let found = self.found();
        let joined = &mut self.saved.joined;
        joined.pass(&self.rules, water, record, &mut self.found);
        if self.seen.is_some() {
            self.see((None, found), (water, None), view);
        }
    }

    /// Whether a stream's `where` lets a row pass: it sees what the row itself carries, as the pair will.
    fn passes(&mut self, index: usize, row: &Taken, record: u32, view: &dyn View) -> bool {
        let plan = Arc::clone(&self.plan);
        let filter = plan.sides.get(index).and_then(|side| side.filter.as_ref());
        let Some(filter) = filter else {
            return true;
        };
        let metrics = |filter: &FilterPlan| {
            let places = filter.table.places.iter();
            places
                .filter(|place| matches!(place.form, Form::Metric(_)))
                .count()
        };
        let mut from: usize = plan.sides.iter().map(|side| side.metrics.len()).sum();
        if index > 0 {
            let first = plan.sides.first().and_then(|side| side.filter.as_ref());
            from += first.map_or(0, metrics);
        }
        let own = row.values.iter().skip(from).take(metrics(filter)).cloned();
        let mut now: Vec<Value> = own.collect();
        for place in filter.table.places.iter().skip(now.len()) {
            now.push(match &place.form {
                Form::Trait(path) => {
                    let text = view.traits(row.resource).path(path);
                    text.map_or(Value::Missing, Value::Text)
                }
                Form::Resource => Value::text(view.resource(row.resource)),
                Form::Time => time(row.time),
                Form::Metric(_) | Form::Bound | Form::Past(..) | Form::Stream(_) => Value::Missing,
            });
        }
        let (mut arguments, mut faults) = (Vec::new(), Vec::new());
        let said = evaluate(&filter.bound, &now, &mut arguments, &mut faults);
        let whose = (row.time, row.resource);
        let faults = faults.into_iter();
        let faults = faults.map(|fault| Fault::of_row(fault, whose, &row.event, record));
        self.faults.extend(faults);
        said == Value::Bool(true)
    }

    /// What a row must have in common with its partners.
    fn key(&mut self, side: &SidePlan, row: &JoinRow, record: u32, view: &dyn View) -> JoinKey {
        if side.keys.is_empty() {
            return JoinKey::Resource(row.resource);
        }
        let mut values: Vec<Value> = Vec::with_capacity(side.keys.len());
        for key in &side.keys {
            let asked = key.sources.iter();
            let asked: Vec<Value> = asked.map(|source| of_row(source, row, view)).collect();
            match key.formula.evaluate_row(&asked) {
                Ok(value) => values.push(value),
                Err(error) => {
                    let (message, whose) = (error.to_string(), (row.time, row.resource));
                    let fault = Fault::of_row(message, whose, &row.event, record);
                    self.faults.push(fault);
                    values.push(Value::Missing);
                }
            }
        }
        let text: Vec<String> = values.iter().map(escaped).collect();
        let text: Arc<str> = Arc::from(text.join(","));
        if values.iter().any(Value::is_missing) {
            return JoinKey::Nothing(row.number, text);
        }
        JoinKey::Values(Arc::from(identity(&values)), text)
    }

    /// Lines for everything that was found.
    pub(super) fn tell(&mut self, plan: &Plan, view: &dyn View, out: &mut Vec<Outcome>) {
        let found = std::mem::take(&mut self.found);
        self.saved.counters.rows_dropped += found.dropped;
        for (key, row, record) in &found.late {
            self.saved.counters.late += 1;
            let (resource, group) = task(key);
            let tale = Tale {
                kind: OutcomeKind::Late,
                resource,
                time: row.time,
                cause: Some(row.event.clone()),
                trigger: trigger(*record),
            };
            let mut late = line(&plan.name, &tale, Vec::new());
            late.group = group;
            out.push(late);
        }
        if !found.pairs.is_empty() {
            self.tell_pairs(plan, &found.pairs, view, out);
        }
        for fault in std::mem::take(&mut self.faults) {
            self.saved.counters.errors += 1;
            let hour = fault.time.div_euclid(3_600_000);
            if self.saved.hour.is_some_and(|last| last >= hour) {
                continue;
            }
            self.saved.hour = Some(hour);
            let tale = Tale {
                kind: OutcomeKind::Error,
                resource: fault.task.0,
                time: fault.time,
                cause: None,
                trigger: trigger(fault.record),
            };
            let values = vec![(Arc::from("message"), Value::text(&fault.message))];
            let mut error = line(&plan.name, &tale, values);
            (error.group, error.cause) = (fault.task.1, fault.cause);
            out.push(error);
        }
    }

    fn tell_pairs(&mut self, plan: &Plan, pairs: &[Pair], view: &dyn View, out: &mut Vec<Outcome>) {
        let join = Arc::clone(&self.plan);
        let holds = join.filter.as_ref();
        let holds = holds.map(|formula| self.column(formula, pairs, &[], view));
        let emit = join.emit.iter();
        let emit: Vec<Column> = emit
            .map(|(_, formula)| self.column(formula, pairs, &[], view))
            .collect();
        for (index, pair) in pairs.iter().enumerate() {
            if holds.as_ref().is_some_and(|holds| !holds.is_true(index)) {
                continue;
            }
            let columns: Vec<Value> = emit.iter().map(|column| column.value(index)).collect();
            let rendered =
                Rendered::of(&join.texts, |source| of_pair(source, pair, &columns, view));
            let failed = rendered.failed.map(|message| Fault::of_pair(message, pair));
            self.faults.extend(failed);
            let texts = rendered.texts;
            let names = join.emit.iter().map(|(name, _)| Arc::clone(name));
            let values = if join.emit.is_empty() {
                self.all_of(pair)
            } else {
                names.zip(columns).collect()
            };
            let (resource, group) = task(&pair.key);
            out.push(Outcome {
                rule: Arc::clone(&plan.name),
                resource,
                group,
                time: Timestamp(pair.time),
                kind: OutcomeKind::Result,
                values: (!pair.back).then_some(values),
                window: pair.window.map(|(a, b)| (Timestamp(a), Timestamp(b))),
                revision: 1 + u32::from(pair.back),
                cause: causes(pair),
                texts,
                trigger: trigger(pair.record),
            });
        }
    }

    /// A formula over all pairs.
    fn column(
        &mut self,
        formula: &JoinFormula,
        pairs: &[Pair],
        columns: &[Value],
        view: &dyn View,
    ) -> Column {
        let asked = formula.sources.iter().map(|source| {
            let values = pairs
                .iter()
                .map(|pair| of_pair(source, pair, columns, view));
            Column::from_values(values.collect())
        });
        let asked: Vec<Column> = asked.collect();
        let result = formula.formula.evaluate(&asked, pairs.len());
        for (row, error) in result.errors {
            if let Some(pair) = pairs.get(row as usize) {
                let fault = Fault::of_pair(error.to_string(), pair);
                self.faults.push(fault);
            }
        }
        result.column
    }

    /// Most rows per key and side.
    pub(super) const fn most(&self) -> usize {
        self.rules.most
    }
}
