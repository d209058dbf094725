//! A small world for tests of whole pipelines: names, traits, twins, event batches made by hand.

mod catalogue;
mod conditions;
mod fields;
mod graphs;
mod laws;
mod moves;
mod naive;
mod order;
mod revisions;
mod traits;
mod wide;
mod windows;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use tidegate_proto::rule::{Action, ActionKind, Body, Level, When};
use tidegate_proto::{
    EventBatch, FormulaText, Mark, MetricColumn, Name, Names, Order, Outcome, Rule, Selector,
    Severity, Span, Timestamp, Timing, Traits, Trigger, Value, WindowForm, WindowRule,
};

use super::{Pipeline, PipelineSettings, View};
use crate::plan::Plan;

/// Milliseconds of a minute.
pub(super) const MINUTE: i64 = 60_000;

/// What the shard would know.
#[derive(Clone, Debug, Default)]
pub(super) struct House {
    resources: Names,
    traits: Vec<Traits>,
    twins: BTreeMap<(u32, u32), (Timestamp, Value)>,
}

impl View for House {
    fn resource(&self, resource: u32) -> &str {
        self.resources.text(resource).unwrap()
    }
    fn traits(&self, resource: u32) -> &Traits {
        &self.traits[resource as usize]
    }
    fn last(&self, resource: u32, metric: u32) -> Option<(Timestamp, Value)> {
        self.twins.get(&(resource, metric)).cloned()
    }
    fn resources(&self) -> u32 {
        u32::try_from(self.resources.len()).unwrap()
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) resource: String,
    pub(super) time: i64,
    pub(super) values: Vec<(String, Value)>,
}

pub(super) fn event(resource: &str, time: i64, values: &[(&str, f64)]) -> Event {
    let values = values.iter();
    Event {
        resource: resource.to_owned(),
        time,
        values: values
            .map(|(name, value)| ((*name).to_owned(), Value::number(*value)))
            .collect(),
    }
}

/// A pipeline and its surroundings.
#[derive(Debug)]
pub(super) struct World {
    pub(super) house: House,
    pub(super) metrics: Names,
    pub(super) pipeline: Pipeline,
    pub(super) plans: BTreeMap<String, Arc<Plan>>,
    pub(super) settings: PipelineSettings,
    pub(super) told: Vec<Outcome>,
    line: i64,
}

impl World {
    pub(super) fn new() -> Self {
        Self::with(PipelineSettings::default())
    }

    pub(super) fn with(settings: PipelineSettings) -> Self {
        Self {
            house: House::default(),
            metrics: Names::default(),
            pipeline: Pipeline::new(settings),
            plans: BTreeMap::new(),
            settings,
            told: Vec::new(),
            line: 0,
        }
    }

    pub(super) fn apply(&mut self, rule: &Rule) -> super::ApplyReport {
        let plan = Arc::new(Plan::compile(rule).expect("the rule compiles"));
        self.plans.insert(rule.name.to_string(), Arc::clone(&plan));
        let trigger = Trigger::Record(0);
        let (metrics, told) = (&mut self.metrics, &mut self.told);
        self.pipeline
            .apply(plan, &self.house, metrics, trigger, told)
    }

    pub(super) fn remove(&mut self, rule: &str) {
        self.plans.remove(rule);
        let trigger = Trigger::Record(0);
        self.pipeline
            .remove(rule, &self.house, trigger, &mut self.told);
    }

    pub(super) fn describe(&mut self, resource: &str, traits: Traits) {
        let resource = self.house.resources.intern(resource);
        let known = self.house.traits.len().max(resource as usize + 1);
        self.house.traits.resize(known, Traits::default());
        if self.house.traits[resource as usize] != traits {
            self.pipeline.part(resource, &self.house);
        }
        self.house.traits[resource as usize] = traits;
        let trigger = Trigger::Record(0);
        let timing = (None, None);
        self.pipeline
            .describe(resource, timing, &self.house, trigger, &mut self.told);
    }

    fn batch(&mut self, events: &[Event]) -> EventBatch {
        let mut batch = EventBatch::default();
        for (row, event) in (0..).zip(events) {
            if self.house.resources.get(&event.resource).is_none() {
                self.describe(&event.resource, Traits::default());
            }
            self.line += 1;
            batch
                .resource
                .push(self.house.resources.intern(&event.resource));
            batch.time.push(event.time);
            batch.arrival.push(i64::MIN);
            batch.source.push(0);
            batch.offset.push(self.line);
            batch.record.push(row);
            for (name, value) in &event.values {
                let metric = self.metrics.intern(name);
                let known = batch.metrics.iter().position(|c| c.metric == metric);
                let column = known.unwrap_or_else(|| {
                    batch.metrics.push(MetricColumn::new(metric));
                    batch.metrics.len() - 1
                });
                let column = &mut batch.metrics[column];
                let place = u32::try_from(column.rows.len()).unwrap();
                column.rows.push(row);
                column.numbers.push(match value {
                    Value::Number(number) => *number,
                    _ => f64::NAN,
                });
                if !matches!(value, Value::Number(_)) {
                    column.odd.push((place, value.clone()));
                }
            }
        }
        batch
    }

    /// Pushes events as one batch, then lets the twins have them.
    pub(super) fn push(&mut self, events: &[Event]) {
        let batch = self.batch(events);
        let rows = 0..batch.len();
        self.pipeline
            .push(&batch, rows, &self.house, &mut self.told);
        for column in &batch.metrics {
            for (index, row) in column.rows.iter().enumerate() {
                let time = Timestamp(batch.time[*row as usize]);
                let key = (batch.resource[*row as usize], column.metric);
                let twin = self.house.twins.get(&key);
                if twin.is_none_or(|(last, _)| *last <= time) {
                    self.house.twins.insert(key, (time, column.value(index)));
                }
            }
        }
    }

    pub(super) fn tick(&mut self, clock: i64) {
        self.pipeline
            .advance(Timestamp(clock), &self.house, &mut self.told);
    }

    pub(super) fn until(&mut self, time: i64) {
        self.pipeline
            .until(Timestamp(time), &self.house, &mut self.told);
    }

    /// Throws the pipeline away and goes on from its snapshot.
    pub(super) fn restore(&mut self) {
        let bytes = self.pipeline.snapshot();
        let plans = self.plans.values().cloned().collect();
        self.pipeline = Pipeline::restore(&bytes, plans, self.settings).expect("restores");
        assert_eq!(self.pipeline.snapshot(), bytes, "a snapshot is stable");
    }

    /// Every line told so far, in the order of the result lines.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.told.iter().map(|o| print(o, &self.house)).collect();
        lines.sort();
        lines
    }

    /// Kind and time in the order told, of one rule.
    pub(super) fn kinds(&self, rule: &str) -> Vec<(&'static str, i64)> {
        let told = self.told.iter().filter(|o| o.rule.as_ref() == rule);
        told.map(|o| (o.kind.word(), o.time.0)).collect()
    }
}

/// One line, without its trigger.
pub(super) fn print(outcome: &Outcome, house: &House) -> String {
    let mut text = format!(
        "{:012} {} {}",
        outcome.time.0,
        outcome.task(if outcome.resource == Outcome::NOWHERE {
            ""
        } else {
            house.resource(outcome.resource)
        }),
        outcome.kind
    );
    match &outcome.values {
        None => text.push_str(" null"),
        Some(values) => {
            for (name, value) in values {
                write!(text, " {name}={value}").unwrap();
            }
        }
    }
    if let Some((start, end)) = outcome.window {
        write!(text, " [{},{})", start.0, end.0).unwrap();
    }
    let cause: Vec<i64> = outcome.cause.iter().map(|cause| cause.offset).collect();
    write!(text, " r{} {cause:?}", outcome.revision).unwrap();
    for rendered in &outcome.texts {
        write!(text, " `{rendered}`").unwrap();
    }
    text
}

pub(super) fn formula(path: &str, source: &str) -> FormulaText {
    FormulaText {
        source: Arc::from(source),
        path: Arc::from(path),
        mark: Mark::default(),
    }
}

fn rule_of(name: &str, body: Body) -> Rule {
    Rule {
        name: Name::new(name).unwrap(),
        description: None,
        selector: Selector::All,
        filter: None,
        timing: Timing::default(),
        from: None,
        across: tidegate_proto::Across::default(),
        body,
        then: Vec::new(),
        to: Vec::new(),
        document: Arc::from("{}"),
    }
}

/// A rule with a condition and a hold in ms.
pub(super) fn when(name: &str, condition: &str, hold: i64) -> Rule {
    rule_of(
        name,
        Body::When(When {
            levels: vec![Level {
                hold: Span(hold),
                ..Level::plain(formula("when", condition))
            }],
            ..When::default()
        }),
    )
}

/// A pattern as written in YAML, the way a document has it.
pub(super) fn pattern(name: &str, body: &str) -> Rule {
    let body = body.lines().map(|line| format!("  {line}\n"));
    let text = format!(
        "kind: Rule\nname: {name}\nfor: all\npattern:\n{}",
        body.collect::<String>()
    );
    match tidegate_proto::document::parse(&text).unwrap().pop() {
        Some(tidegate_proto::Document::Rule(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

/// A rule with windows.
pub(super) fn window(name: &str, form: WindowForm, emit: &[(&str, &str)]) -> Rule {
    let emit = emit.iter();
    rule_of(
        name,
        Body::Window(WindowRule {
            sets: Vec::new(),
            form,
            lateness: Span::ZERO,
            by: Vec::new(),
            emit: emit
                .map(|(name, source)| (Arc::from(*name), formula("emit", source)))
                .collect(),
            having: None,
            drop_null_keys: false,
            options: Box::default(),
        }),
    )
}

pub(super) const fn tumbling(size: i64) -> WindowForm {
    WindowForm::Tumbling {
        size: Span(size),
        offset: 0,
    }
}

/// The same rule with an alarm.
pub(super) fn with_alarm(mut rule: Rule, severity: Severity, text: &str) -> Rule {
    rule.then.push(Action {
        on: Vec::new(),
        at_most_every: None,
        once: false,
        every_time: false,
        kind: ActionKind::Alarm {
            severity: Some(severity),
            text: Some(formula("then[0].alarm.text", text)),
        },
    });
    rule
}

/// The same rule in event-time order.
pub(super) fn in_time(mut rule: Rule) -> Rule {
    rule.timing.order = Some(Order::Time);
    rule
}
