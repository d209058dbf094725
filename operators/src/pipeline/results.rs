//! Results of windows: columns of `emit` over the values of closed windows, `having`, texts, late lines.

use std::borrow::Cow;
use std::sync::Arc;

use smallvec::SmallVec;
use tidegate_proto::{
    EventBatch, EventRef, Fill, Outcome, OutcomeKind, Timestamp, Trigger, Value, WindowForm,
};
use tidegate_scripts::{Column, ScriptError};

use super::View;
use super::keys::Key;
use super::seen::WindowSeen;
use super::steps::{Blame, Cause};
use super::told::{Book, Line as Told, Telling};
use super::unit::{Tale, line};
use super::windows::{CLOCK, WindowUnit};
use crate::plan::texts::Rendered;
use crate::plan::window::{ResultFormula, Source};
use crate::window::{EmitMode, Excess, LateRow, WindowOutput, WindowRow};

/// A result that becomes a line.
struct Result<'a> {
    row: Cow<'a, WindowRow>,
    key: Cow<'a, Key>,
    columns: Vec<Value>,
    /// Bare inputs as of its end.
    inputs: Vec<Value>,
}

fn trigger(batch: Option<&EventBatch>, origin: u32) -> Trigger {
    let record = batch.and_then(|batch| batch.record.get(origin as usize));
    match record {
        Some(record) if origin != CLOCK => Trigger::Record(*record),
        _ if origin != CLOCK => Trigger::Record(0),
        _ => Trigger::Clock,
    }
}

fn value_of(source: &Source, result: &Result<'_>, view: &dyn View) -> Value {
    let row = &result.row;
    let resource = result.key.resource;
    #[allow(
        clippy::cast_precision_loss,
        reason = "times are exact in a float for 285,000 years"
    )]
    let time = |time: i64| Value::Number(time as f64);
    match source {
        Source::Aggregate(index) => row.values.get(*index).cloned().unwrap_or_default(),
        Source::Input(index) => result.inputs.get(*index).cloned().unwrap_or_default(),
        Source::By(index) => result.key.values.get(*index).cloned().unwrap_or_default(),
        Source::Column(index) => result.columns.get(*index).cloned().unwrap_or_default(),
        Source::Trait(path) => {
            let text = view.traits(resource).path(path);
            text.map_or(Value::Missing, Value::Text)
        }
        Source::Resource => Value::text(view.resource(resource)),
        Source::Start => time(row.start),
        Source::End => time(row.end),
    }
}

/// Evaluates a formula over all results at once.
fn column(
    formula: &ResultFormula,
    results: &[Result<'_>],
    view: &dyn View,
) -> (Column, Vec<(u32, ScriptError)>) {
    let columns: Vec<Column> = formula
        .sources
        .iter()
        .map(|source| {
            let values = results.iter().map(|result| value_of(source, result, view));
            Column::from_values(values.collect())
        })
        .collect();
    let evaluated = formula.formula.evaluate(&columns, results.len());
    (evaluated.column, evaluated.errors)
}

/// What an error of a result is told with.
fn tale_of(result: &Result<'_>, trigger: Trigger) -> Tale {
    Tale {
        kind: OutcomeKind::Error,
        resource: result.key.resource,
        time: result.row.end,
        cause: Some(result.row.last.clone()),
        trigger,
    }
}

impl WindowUnit {
    /// Lines for everything that windows had to say; whether a condition on emission was met.
    pub(crate) fn tell(
        &mut self,
        batch: Option<&EventBatch>,
        view: &dyn View,
        output: &mut WindowOutput,
        out: &mut Vec<Outcome>,
    ) -> bool {
        if output.is_empty() {
            return false;
        }
        let kinds = [Telling::Back, Telling::Probe, Telling::Row];
        let lists = [&output.back, &output.probes, &output.rows];
        let mut fired = false;
        for (kind, rows) in kinds.into_iter().zip(lists) {
            if !rows.is_empty() {
                fired |= self.tell_rows((batch, kind), view, rows, out);
            }
        }
        for late in &output.late {
            self.tell_late(batch, late, out);
        }
        for (key, excess) in &output.excess {
            let resource = self.state.keys.get(*key).map_or(0, |key| key.resource);
            let counters = self.state.counters.entry(resource).or_default();
            match excess {
                Excess::TypeSkipped => counters.type_skipped += 1,
                Excess::RowDropped => counters.rows_dropped += 1,
                Excess::WindowDropped => counters.windows_dropped += 1,
                Excess::WindowTooShort => counters.windows_too_short += 1,
            }
        }
        output.clear();
        fired
    }

    fn tell_rows(
        &mut self,
        (batch, kind): (Option<&EventBatch>, Telling),
        view: &dyn View,
        rows: &[WindowRow],
        out: &mut Vec<Outcome>,
    ) -> bool {
        let plan = Arc::clone(&self.window);
        let keys: Vec<Option<Key>> = rows
            .iter()
            .map(|row| self.state.keys.get(row.key).cloned())
            .collect();
        let pairs = rows.iter().zip(&keys);
        let mut results: Vec<Result<'_>> = pairs
            .filter_map(|(row, key)| {
                let key = key.as_ref()?;
                Some(Result {
                    row: Cow::Borrowed(row),
                    key: Cow::Borrowed(key),
                    columns: Vec::with_capacity(plan.emit.len()),
                    inputs: self.inputs_of(row, key.resource),
                })
            })
            .collect();
        for (_, formula) in &plan.emit {
            let (column, errors) = column(formula, &results, view);
            for (index, result) in results.iter_mut().enumerate() {
                result.columns.push(column.value(index));
            }
            if kind == Telling::Row {
                self.tell_errors(batch, &results, &errors, out);
            }
        }
        if kind == Telling::Row && plan.fill != Fill::None {
            results = self.filled(results);
        }
        self.tell_results((batch, kind), view, &results, out)
    }

    /// Lines for results whose columns are there.
    fn tell_results(
        &mut self,
        (batch, kind): (Option<&EventBatch>, Telling),
        view: &dyn View,
        results: &[Result<'_>],
        out: &mut Vec<Outcome>,
    ) -> bool {
        let plan = Arc::clone(&self.window);
        let judge = |formula: &Option<ResultFormula>| {
            let formula = formula.as_ref()?;
            Some(column(formula, results, view))
        };
        let (having, when) = (judge(&plan.having), judge(&plan.when));
        for (_, errors) in having.iter().chain(&when) {
            self.tell_errors(batch, results, errors, out);
        }
        let holds = |column: &Option<(Column, Vec<(u32, ScriptError)>)>, index: usize| {
            let column = column.as_ref();
            column.is_none_or(|(column, _)| column.is_true(index))
        };
        let mut fired = false;
        for (index, result) in results.iter().enumerate() {
            let shown = (holds(&having, index), holds(&when, index));
            if kind != Telling::Back {
                self.see(result, view);
            }
            let trigger = trigger(batch, result.row.trigger);
            for (revision, stands, end) in self.revise(kind, &result.row, shown) {
                let (mut line, failed) = self.result_line(result, (revision, trigger), view);
                let failed = failed.filter(|_| stands);
                if !stands {
                    line.values = None;
                    // What is taken back was told under its own end.
                    line.time = Timestamp(end);
                    line.window = Some((Timestamp(result.row.start), line.time));
                }
                fired |= stands && kind == Telling::Probe;
                out.push(line);
                if let Some(message) = failed {
                    self.fail(&tale_of(result, trigger), &message, out);
                }
            }
        }
        fired
    }

    /// The results with columns for windows without rows; some wait for what comes after them.
    fn filled<'a>(&mut self, results: Vec<Result<'a>>) -> Vec<Result<'a>> {
        let fill = self.window.fill;
        let mut out = Vec::with_capacity(results.len());
        for result in results {
            let filled = self.state.fills.take(fill, &result.row, result.columns);
            for (row, columns) in filled {
                // What was held back comes with the row that let it go.
                let trigger = result.row.trigger;
                let inputs = self.inputs_of(&row, result.key.resource);
                out.push(Result {
                    row: Cow::Owned(WindowRow { trigger, ..row }),
                    key: result.key.clone(),
                    columns,
                    inputs,
                });
            }
        }
        out
    }

    /// Whether what was told of each window is not for the windows to know.
    pub(super) fn keeps_book(&self) -> bool {
        let plan = &self.window;
        let moves = plan.lateness.0 > 0 || plan.mode.emit != EmitMode::OnClose;
        // A session's start that was taken back may come again: its revisions go on.
        let session = matches!(plan.form, WindowForm::Session { .. });
        ((plan.having.is_some() || session) && moves) || plan.when.is_some()
    }

    /// What to tell of a row: revisions, and whether each has values.
    fn revise(
        &mut self,
        kind: Telling,
        row: &WindowRow,
        shown: (bool, bool),
    ) -> SmallVec<[Told; 2]> {
        let plan = &self.window;
        if self.keeps_book() {
            let book = Book::of(plan);
            return self.state.told.revise(&book, kind, row, shown);
        }
        let mut lines = SmallVec::new();
        match (kind, plan.retract) {
            (Telling::Back, true) => lines.push((row.revision * 2 - 2, false, row.end)),
            (Telling::Back, false) => lines.push((row.revision, false, row.end)),
            _ if !shown.0 => {}
            (_, false) => lines.push((row.revision, true, row.end)),
            (_, true) => {
                if row.revision > 1 {
                    lines.push((row.revision * 2 - 2, false, row.was));
                }
                lines.push((row.revision * 2 - 1, true, row.end));
            }
        }
        lines
    }

    /// Notes a result of the task that somebody watches.
    fn see(&mut self, result: &Result<'_>, view: &dyn View) {
        let Some(seen) = &mut self.seen else { return };
        let row = &result.row;
        if seen.resource != result.key.resource {
            return;
        }
        let having = self.window.having.iter();
        let asked = having.flat_map(|having| &having.sources);
        let columns = result.key.values.iter().chain(&result.columns);
        seen.window(WindowSeen {
            bounds: (Timestamp(row.start), Timestamp(row.end)),
            group: Arc::clone(&result.key.text),
            columns: columns.cloned().collect(),
            asked: asked.map(|source| value_of(source, result, view)).collect(),
            rows: row.rows,
            cause: (row.rows > 0).then(|| row.last.clone()),
        });
    }

    fn result_line(
        &self,
        result: &Result<'_>,
        (revision, trigger): (u32, Trigger),
        view: &dyn View,
    ) -> (Outcome, Option<String>) {
        let plan = &self.window;
        let row = &result.row;
        let by = plan.by.iter().zip(&result.key.values);
        let by = by.map(|((name, _), value)| (Arc::clone(name), value.clone()));
        let columns = plan.emit.iter().zip(&result.columns);
        let columns = columns.map(|((name, _), value)| (Arc::clone(name), value.clone()));
        let mut cause: SmallVec<[EventRef; 2]> = SmallVec::new();
        if row.rows > 0 {
            cause.push(row.first.clone());
            if row.last != row.first {
                cause.push(row.last.clone());
            }
        }
        let rendered = Rendered::of(&plan.texts, |source| value_of(source, result, view));
        let outcome = Outcome {
            rule: Arc::clone(&self.plan.name),
            resource: result.key.resource,
            group: Arc::clone(&result.key.text),
            time: Timestamp(row.end),
            kind: OutcomeKind::Window,
            values: Some(by.chain(columns).collect()),
            window: Some((Timestamp(row.start), Timestamp(row.end))),
            revision,
            cause,
            texts: rendered.texts,
            trigger,
        };
        (outcome, rendered.failed)
    }

    fn tell_late(&mut self, batch: Option<&EventBatch>, late: &LateRow, out: &mut Vec<Outcome>) {
        let Some(key) = self.state.keys.get(late.key) else {
            return;
        };
        let tale = Tale {
            kind: OutcomeKind::Late,
            resource: key.resource,
            time: late.time,
            cause: batch.map(|batch| batch.event_ref(late.trigger as usize)),
            trigger: trigger(batch, late.trigger),
        };
        let values = vec![
            (Arc::from("missed"), Value::Int(i64::from(late.missed))),
            (Arc::from("of"), Value::Int(i64::from(late.of))),
        ];
        let mut outcome = line(&self.plan.name, &tale, values);
        outcome.group = Arc::clone(&key.text);
        outcome.window = Some((Timestamp(late.start), Timestamp(late.end)));
        self.state.counters.entry(tale.resource).or_default().late += 1;
        out.push(outcome);
    }

    fn tell_errors(
        &mut self,
        batch: Option<&EventBatch>,
        results: &[Result<'_>],
        errors: &[(u32, ScriptError)],
        out: &mut Vec<Outcome>,
    ) {
        for (index, error) in errors {
            let Some(result) = results.get(*index as usize) else {
                continue;
            };
            let tale = tale_of(result, trigger(batch, result.row.trigger));
            self.fail(&tale, &error.to_string(), out);
        }
    }

    /// Counts a failed formula; a line about it at most once per task and hour.
    fn fail(&mut self, tale: &Tale, message: &str, out: &mut Vec<Outcome>) {
        let counters = self.state.counters.entry(tale.resource).or_default();
        counters.errors += 1;
        let hour = tale.time.div_euclid(3_600_000);
        let last = self.state.hours.get(&tale.resource).copied();
        if last.is_none_or(|last| last < hour) {
            self.state.hours.insert(tale.resource, hour);
            let values = vec![(Arc::from("message"), Value::text(message))];
            out.push(line(&self.plan.name, tale, values));
        }
    }

    /// Lines about formulas of rows that failed.
    pub(crate) fn tell_blames(
        &mut self,
        batch: &EventBatch,
        blames: &[Blame],
        out: &mut Vec<Outcome>,
    ) {
        for blame in blames {
            let tale = Tale {
                kind: OutcomeKind::Error,
                resource: blame.resource,
                time: blame.time,
                cause: match blame.cause {
                    Cause::Row(row) => Some(batch.event_ref(row as usize)),
                    Cause::Kept(_) | Cause::None => None,
                },
                trigger: blame.trigger,
            };
            self.fail(&tale, &blame.message, out);
        }
    }
}
