//! What a pattern says: matches with their values, alarms, late rows, errors.

use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_proto::{EventBatch, EventRef, Outcome, OutcomeKind, Timestamp, Value};
use tidegate_scripts::{AliasField, AliasPick, Column};

use super::pick::aggregate;
use super::seen::PatternWatch;
use super::{Event, PatternScratch, PatternState, PatternUnit, Step, value_at};
use crate::pattern::{Attempt, AttemptEnd, Fit, Found, Machine, Scene, Taken, TakenRow, Test};
use crate::pipeline::excess::Limit;
use crate::pipeline::steps::{Blame, Cause};
use crate::pipeline::unit::{Tale, line};
use crate::pipeline::{TaskCounters, View};
use crate::plan::Plan;
use crate::plan::pattern::{Asked, PatternPlan, Source, Sourced};
use crate::plan::texts::Rendered;
use crate::watermark::cell;

/// Values by name.
type Named = Vec<(Arc<str>, Value)>;

/// What all steps of a call look at.
pub(super) struct Book<'a> {
    pub(super) batch: Option<&'a EventBatch>,
    pub(super) view: &'a dyn View,
    pub(super) columns: &'a [Column],
    pub(super) fits: &'a [Vec<Fit>],
    pub(super) events: &'a [EventRef],
}

/// One step, as the machine sees it.
pub(super) struct Theatre<'a> {
    pub(super) plan: Arc<Plan>,
    pub(super) pattern: Arc<PatternPlan>,
    pub(super) state: &'a mut PatternState,
    pub(super) step: &'a Step,
    pub(super) book: &'a Book<'a>,
    pub(super) out: &'a mut Vec<Outcome>,
    /// A timer is at work, not the row.
    pub(super) between: bool,
    /// A match was told at the row at hand.
    pub(super) matched: bool,
    /// What tests over bound rows said, for one attempt.
    known: Vec<(Test, Fit)>,
    /// Somebody watches this task.
    pub(super) seen: Option<&'a mut PatternWatch>,
}

fn event(step: &Step, book: &Book<'_>) -> EventRef {
    match step.event {
        Event::Row(row) => book.batch.map(|batch| batch.event_ref(row as usize)),
        Event::Kept(kept) => book.events.get(kept as usize).cloned(),
        Event::None => None,
    }
    .unwrap_or_default()
}

#[allow(
    clippy::cast_precision_loss,
    reason = "times are exact in a float for 285,000 years"
)]
fn time(at: i64) -> Value {
    Value::Number(at as f64)
}

impl<'a> Theatre<'a> {
    pub(super) fn new(
        unit: &'a mut PatternUnit,
        step: &'a Step,
        book: &'a Book<'a>,
        out: &'a mut Vec<Outcome>,
    ) -> Self {
        Self {
            plan: Arc::clone(&unit.plan),
            pattern: Arc::clone(&unit.pattern),
            state: &mut unit.state,
            step,
            book,
            out,
            between: false,
            matched: false,
            known: Vec::new(),
            seen: unit
                .seen
                .as_deref_mut()
                .filter(|seen| seen.resource == step.resource),
        }
    }

    /// Whether no first element takes the row; tests over bound rows are unknown without any.
    pub(super) fn passes_over(&mut self, machine: &Machine) -> bool {
        let Some(tests) = &machine.begins else {
            return false;
        };
        let mut takes = false;
        for test in tests {
            takes |= self.fit(*test, &[]) == Fit::Yes;
        }
        !takes
    }

    /// Keeps the values of the row for matches that come without one.
    pub(super) fn keep_values(&mut self) {
        if self.pattern.looks_back {
            let places = 0..self.pattern.table.places.len();
            let values = places.map(|place| value_at(self.book.columns, place, self.step.point));
            let values = values.collect();
            *cell(&mut self.state.kept, self.step.resource, Vec::new()) = values;
        }
    }

    /// The value of a place as of now.
    pub(super) fn place(&self, place: usize) -> Value {
        if self.between {
            let kept = self.state.kept.get(self.step.resource as usize);
            return kept
                .and_then(|kept| kept.get(place))
                .cloned()
                .unwrap_or_default();
        }
        value_at(self.book.columns, place, self.step.point)
    }

    fn value(&self, source: &Source, rows: &[Taken], columns: &[Value]) -> Value {
        match source {
            Source::Place(place) => self.place(*place),
            Source::Column(column) => columns.get(*column).cloned().unwrap_or_default(),
            Source::Rows(asked) => self.rows(asked, rows),
        }
    }

    /// What is asked of bound rows.
    fn rows(&self, asked: &Asked, rows: &[Taken]) -> Value {
        let mut own = rows.iter().filter(|taken| taken.alias == asked.alias);
        let field = |taken: &Taken| self.field(asked, taken);
        match asked.pick {
            AliasPick::One => own.next_back().map(field).unwrap_or_default(),
            AliasPick::At(place) => {
                let found: Vec<&Taken> = own.collect();
                let place = usize::try_from(place)
                    .ok()
                    .or_else(|| found.len().checked_sub(place.unsigned_abs() as usize));
                place
                    .and_then(|place| found.get(place))
                    .map(|taken| field(taken))
                    .unwrap_or_default()
            }
            AliasPick::Len => Value::Int(i64::try_from(own.count()).unwrap_or(i64::MAX)),
            _ => {
                let values: Vec<Value> = own.map(field).filter(|v| !v.is_missing()).collect();
                aggregate(asked.pick, values)
            }
        }
    }

    fn field(&self, asked: &Asked, taken: &Taken) -> Value {
        let row = taken.row.as_ref();
        match &asked.field {
            AliasField::Time => time(row.map_or(taken.at, |row| row.time)),
            AliasField::Metric(_) => row
                .and_then(|row| row.values.get(asked.place))
                .cloned()
                .unwrap_or_default(),
            AliasField::Resource => Value::text(self.book.view.resource(self.step.resource)),
            AliasField::Id => {
                let id = row.and_then(|row| row.event.id.clone());
                id.map_or(Value::Missing, Value::Text)
            }
            AliasField::Row => row.map_or(Value::Missing, |row| self.whole(taken, row)),
        }
    }

    /// A row with the metrics that its element's `where` names.
    fn whole(&self, taken: &Taken, row: &TakenRow) -> Value {
        let alias = self.pattern.aliases.get(usize::from(taken.alias));
        let kept = alias.map_or(&[][..], |alias| {
            alias.kept.get(..alias.shown).unwrap_or_default()
        });
        let entries = kept.iter().zip(&row.values);
        Value::Map(
            entries
                .map(|((name, _), value)| (Arc::clone(name), value.clone()))
                .collect(),
        )
    }

    /// Values without `emit`: bound rows by alias.
    fn bound_rows(&self, found: &Found<'_>) -> Vec<(Arc<str>, Value)> {
        let aliases = self.pattern.aliases.iter().zip(0_u16..);
        let aliases = aliases.filter(|(alias, _)| alias.takes_rows);
        aliases
            .filter_map(|(alias, number)| {
                let rows = found.rows.iter().filter(|taken| taken.alias == number);
                let rows = rows.filter_map(|taken| Some(self.whole(taken, taken.row.as_ref()?)));
                let mut rows: Vec<Value> = rows.collect();
                let value = if rows.is_empty() {
                    return None;
                } else if alias.list {
                    Value::List(rows)
                } else {
                    rows.pop()?
                };
                Some((Arc::clone(&alias.name), value))
            })
            .collect()
    }

    fn evaluate(&mut self, sourced: &Sourced, rows: &[Taken], columns: &[Value]) -> Value {
        let sources = sourced.sources.iter();
        let values: Vec<Value> = sources.map(|s| self.value(s, rows, columns)).collect();
        match sourced.formula.evaluate_row(&values) {
            Ok(value) => value,
            Err(error) => {
                self.fail(&error.to_string());
                Value::Missing
            }
        }
    }

    fn fail(&mut self, message: &str) {
        let cause = (!self.between).then(|| event(self.step, self.book));
        let tale = self.tale(OutcomeKind::Error, self.step.at, cause);
        fail(self.state, &self.plan.name, &tale, message, self.out);
    }

    /// The event of the row at hand.
    pub(super) fn event(&self) -> EventRef {
        event(self.step, self.book)
    }

    pub(super) fn tale(&self, kind: OutcomeKind, time: i64, cause: Option<EventRef>) -> Tale {
        Tale {
            kind,
            resource: self.step.resource,
            time,
            cause,
            trigger: self.step.trigger,
        }
    }

    /// Values of a match; `None`: `having` hides it.
    fn values(&mut self, found: &Found<'_>) -> Option<(Named, Vec<Arc<str>>)> {
        let pattern = Arc::clone(&self.pattern);
        let mut columns = Vec::with_capacity(pattern.emit.len());
        for (_, sourced) in &pattern.emit {
            let value = self.evaluate(sourced, found.rows, &[]);
            columns.push(value);
        }
        if let Some(having) = &pattern.having
            && self.evaluate(having, found.rows, &columns) != Value::Bool(true)
        {
            return None;
        }
        let rendered = Rendered::of(&pattern.texts, |s| self.value(s, found.rows, &columns));
        if let Some(message) = &rendered.failed {
            self.fail(message);
        }
        let texts = rendered.texts;
        let names = pattern.emit.iter().map(|(name, _)| Arc::clone(name));
        let mut values: Named = if pattern.emit.is_empty() {
            self.bound_rows(found)
        } else {
            names.zip(columns).collect()
        };
        if found.timeout {
            values.insert(0, (Arc::from("timeout"), Value::Bool(true)));
        }
        Some((values, texts))
    }
}

impl Scene for Theatre<'_> {
    fn turn(&mut self) {
        self.known.clear();
    }

    fn fit(&mut self, test: Test, rows: &[Taken]) -> Fit {
        let fits = self.book.fits.get(usize::from(test));
        let fit = fits.and_then(|fits| fits.get(self.step.point as usize));
        let fit = fit.copied().unwrap_or(Fit::Unjudged);
        let pattern = Arc::clone(&self.pattern);
        let Some(plan) = pattern.tests.get(usize::from(test)) else {
            return Fit::Unjudged;
        };
        if plan.bound.is_some() || fit == Fit::Unjudged {
            if fit == Fit::Unknown {
                self.count_unknown();
            }
            return fit;
        }
        if let Some((_, fit)) = self.known.iter().find(|(known, _)| *known == test) {
            return *fit;
        }
        let fit = match self.evaluate(&plan.sourced, rows, &[]) {
            Value::Bool(true) => Fit::Yes,
            Value::Bool(false) => Fit::No,
            _ => Fit::Unknown,
        };
        if fit == Fit::Unknown {
            self.count_unknown();
        }
        self.known.push((test, fit));
        fit
    }

    fn keep(&self, alias: u16) -> TakenRow {
        let plan = self.pattern.aliases.get(usize::from(alias));
        let kept = plan.map_or(&[][..], |plan| &plan.kept);
        let values = kept
            .iter()
            .map(|(_, place)| value_at(self.book.columns, *place, self.step.point));
        TakenRow {
            time: self.step.time,
            event: event(self.step, self.book),
            values: values.collect(),
        }
    }

    fn matched(&mut self, found: &Found<'_>) -> bool {
        let Some((values, texts)) = self.values(found) else {
            return false;
        };
        let mut cause: SmallVec<[EventRef; 2]> = SmallVec::new();
        let mut last = None;
        for taken in found.rows {
            if let Some(row) = taken.row.as_ref().filter(|_| last != Some(taken.order)) {
                cause.push(row.event.clone());
                last = Some(taken.order);
            }
        }
        self.see_match(found.at);
        if !found.timeout {
            self.matched = true;
            self.raise(found, &cause, &texts);
        }
        let tale = self.tale(OutcomeKind::Match, found.at, None);
        let mut outcome = line(&self.plan.name, &tale, values);
        outcome.window = Some((Timestamp(found.start), Timestamp(found.at)));
        outcome.cause = cause;
        outcome.texts = texts;
        self.out.push(outcome);
        true
    }

    fn dropped(&mut self) {
        self.counters().attempts_dropped += 1;
        self.tell_limit(Limit::Attempts);
    }

    fn dropped_way(&mut self) {
        self.counters().ways_dropped += 1;
        self.tell_limit(Limit::Ways);
    }

    fn ended(&mut self, attempt: &Attempt, how: AttemptEnd, at: i64) {
        self.see_end(attempt, how, at);
    }

    fn rests(&mut self, attempts: &[Attempt], at: i64) {
        self.see(attempts, at);
    }
}

impl Theatre<'_> {
    fn counters(&mut self) -> &mut TaskCounters {
        self.state.counters.entry(self.step.resource).or_default()
    }

    fn tell_limit(&mut self, limit: Limit) {
        let cause = Some(event(self.step, self.book));
        let tale = self.tale(OutcomeKind::Error, self.step.at, cause);
        let (name, excesses) = (&self.plan.name, &mut self.state.excesses);
        excesses.tell(name, limit, tale, self.out);
    }

    fn count_unknown(&mut self) {
        self.counters().unknown += 1;
    }
}

/// Counts a failed formula; a line about it at most once per task and hour.
fn fail(
    state: &mut PatternState,
    rule: &Arc<str>,
    tale: &Tale,
    message: &str,
    out: &mut Vec<Outcome>,
) {
    state.counters.entry(tale.resource).or_default().errors += 1;
    let hour = tale.time.div_euclid(3_600_000);
    let last = state.hours.get(&tale.resource).copied();
    if last.is_none_or(|last| last < hour) {
        state.hours.insert(tale.resource, hour);
        let values = vec![(Arc::from("message"), Value::text(message))];
        out.push(line(rule, tale, values));
    }
}

impl PatternUnit {
    /// Lines about rows that came too late or were taken too early.
    pub(super) fn tell_excess(
        &mut self,
        batch: Option<&EventBatch>,
        scratch: &PatternScratch,
        out: &mut Vec<Outcome>,
    ) {
        for late in &scratch.late {
            let counters = self.state.counters.entry(late.resource).or_default();
            let name = &self.plan.name;
            let tale = Tale {
                kind: OutcomeKind::Late,
                resource: late.resource,
                time: late.time,
                cause: batch.map(|batch| batch.event_ref(late.row as usize)),
                trigger: late.trigger,
            };
            if late.forced {
                counters.forced += 1;
                let excesses = &mut self.state.excesses;
                excesses.tell(name, Limit::WaitingRows, tale, out);
                continue;
            }
            counters.late += 1;
            out.push(line(name, &tale, Vec::new()));
        }
    }

    /// Lines about formulas of rows that failed.
    pub(super) fn tell_blames(
        &mut self,
        book: &Book<'_>,
        blames: &[Blame],
        out: &mut Vec<Outcome>,
    ) {
        for blame in blames {
            let tale = Tale {
                kind: OutcomeKind::Error,
                resource: blame.resource,
                time: blame.time,
                cause: match blame.cause {
                    Cause::Row(row) => book.batch.map(|batch| batch.event_ref(row as usize)),
                    Cause::Kept(kept) => book.events.get(kept as usize).cloned(),
                    Cause::None => None,
                },
                trigger: blame.trigger,
            };
            fail(&mut self.state, &self.plan.name, &tale, &blame.message, out);
        }
    }
}
