//! What a graph asks and says: formulas of nodes, firings with their texts, alarms, states, errors.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_proto::{
    EventBatch, EventRef, Outcome, OutcomeKind, SaidNode, Severity, Trigger, Value,
};

use super::seen::GraphWatch;
use super::{GraphState, GraphUnit};
use crate::graph::machine::{Count, Run, Scene, Verdict};
use crate::graph::sheet::Sheet;
use crate::pipeline::View;
use crate::pipeline::sight::{Gaze, Row};
use crate::pipeline::steps::{Blame, Cause};
use crate::pipeline::unit::{Tale, line};
use crate::plan::Plan;
use crate::plan::graph::{Doing, GraphPlan, Source, Sourced, StateRule, What};
use crate::plan::texts::Rendered;

/// What a turn of one task knows of its moment.
pub(super) struct Moment<'a> {
    pub(super) resource: u32,
    pub(super) view: &'a dyn View,
    pub(super) trigger: Trigger,
    /// The row at hand.
    pub(super) event: Option<EventRef>,
}

/// One turn of one task, as the machine sees it.
pub(super) struct Theatre<'a> {
    plan: Arc<Plan>,
    pub(super) graph: Arc<GraphPlan>,
    state: &'a mut GraphState,
    pub(super) moment: &'a Moment<'a>,
    pub(super) gaze: &'a mut Gaze,
    out: &'a mut Vec<Outcome>,
    /// The time as of which the gaze is.
    looked: Option<i64>,
    /// Somebody watches this task.
    seen: Option<&'a mut GraphWatch>,
}

/// Where a formula of a node stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The node itself.
    own: usize,
    /// What its formula has just given.
    value: Option<&'a Value>,
    /// The element that it runs for.
    item: Option<&'a Value>,
}

#[allow(
    clippy::cast_precision_loss,
    reason = "times are exact in a float for 285,000 years"
)]
fn time(at: i64) -> Value {
    Value::Number(at as f64)
}

/// What lies on a path in a value.
fn inside(value: &Value, path: &[Arc<str>]) -> Value {
    let mut value = value;
    for name in path {
        let Value::Map(entries) = value else {
            return Value::Missing;
        };
        match entries.iter().find(|(known, _)| known == name) {
            Some((_, found)) => value = found,
            None => return Value::Missing,
        }
    }
    value.clone()
}

impl<'a> Theatre<'a> {
    pub(super) fn new(
        unit: &'a mut GraphUnit,
        moment: &'a Moment<'a>,
        gaze: &'a mut Gaze,
        out: &'a mut Vec<Outcome>,
    ) -> Self {
        Self {
            plan: Arc::clone(&unit.plan),
            graph: Arc::clone(&unit.graph),
            state: &mut unit.state,
            moment,
            gaze,
            out,
            looked: None,
            seen: unit
                .seen
                .as_deref_mut()
                .filter(|seen| seen.resource == moment.resource),
        }
    }

    /// Takes the values of a row.
    pub(super) fn see(&mut self, row: &Row) {
        let graph = Arc::clone(&self.graph);
        let view = self.moment.view;
        self.state.sight.take(&graph.table, row, view, self.gaze);
        self.looked = None;
        for message in std::mem::take(&mut self.gaze.faults) {
            self.fail(row.at, &message);
        }
    }

    fn look(&mut self, at: i64) {
        if self.looked == Some(at) {
            return;
        }
        let graph = Arc::clone(&self.graph);
        let (resource, view) = (self.moment.resource, self.moment.view);
        let now = &mut self.gaze.now;
        self.state.sight.look(&graph.table, resource, at, view, now);
        self.looked = Some(at);
    }

    fn value(&self, source: &Source, sheet: &Sheet, place: Option<Place<'_>>) -> Value {
        match source {
            Source::Place(place) => self.gaze.now.get(*place).cloned().unwrap_or_default(),
            Source::Value => place
                .and_then(|place| place.value)
                .cloned()
                .unwrap_or_default(),
            Source::Item(path) => {
                let item = place.and_then(|place| place.item);
                item.map_or(Value::Missing, |item| inside(item, path))
            }
            Source::Node { node, back, what } => {
                let own = place.is_some_and(|place| place.own == *node);
                if *what == What::State && *back == 0 && !own {
                    let doing = self.graph.nodes.get(*node).map(|node| &node.doing);
                    let state = match doing {
                        Some(Doing::Still) => sheet.certain.get(*node).copied().flatten(),
                        _ => sheet.observed(*node),
                    };
                    return self.state_name(*node, state);
                }
                let past = sheet.past(*node, *back, own);
                past.map_or(Value::Missing, |past| match what {
                    What::Value => past.value.clone(),
                    What::State => self.state_name(*node, Some(past.state)),
                    What::Time => time(past.time),
                })
            }
        }
    }

    fn state_name(&self, node: usize, state: Option<u16>) -> Value {
        let name = self.graph.state(node, state);
        name.map_or(Value::Missing, |name| Value::Text(Arc::clone(name)))
    }

    /// The value of a formula; `None`: it failed.
    fn evaluate(
        &mut self,
        sourced: &Sourced,
        sheet: &Sheet,
        place: Place<'_>,
        at: i64,
    ) -> Option<Value> {
        let sources = sourced.sources.iter();
        let values: Vec<Value> = sources.map(|s| self.value(s, sheet, Some(place))).collect();
        match sourced.formula.evaluate_row(&values) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(at, &error.to_string());
                None
            }
        }
    }

    fn tale(&self, kind: OutcomeKind, time: i64) -> Tale {
        Tale {
            kind,
            resource: self.moment.resource,
            time,
            cause: None,
            trigger: self.moment.trigger,
        }
    }

    fn fail(&mut self, at: i64, message: &str) {
        let mut tale = self.tale(OutcomeKind::Error, at);
        tale.cause.clone_from(&self.moment.event);
        fail(self.state, &self.plan.name, &tale, message, self.out);
    }

    /// The state of a node that has a value; `None`: a formula failed.
    fn state_of(
        &mut self,
        rule: &StateRule,
        sheet: &Sheet,
        place: Place<'_>,
        at: i64,
    ) -> Option<Option<u16>> {
        let value = place.value.unwrap_or(&Value::Missing);
        Some(match (rule, value) {
            (_, Value::Missing) => None,
            (StateRule::Conditions(conditions), _) => {
                for (state, condition) in (0_u16..).zip(conditions) {
                    if self.evaluate(condition, sheet, place, at)? == Value::Bool(true) {
                        return Some(Some(state));
                    }
                }
                None
            }
            (StateRule::Named, value) => {
                let name = match value {
                    Value::Bool(true) => "TRUE".to_owned(),
                    Value::Bool(false) => "FALSE".to_owned(),
                    value => value.to_string(),
                };
                let states = self.graph.net.nodes.get(place.own);
                let mut names = (0_u16..).zip(states.iter().flat_map(|node| &node.states));
                names
                    .find(|(_, own)| own.as_ref() == name)
                    .map(|(state, _)| state)
            }
            (StateRule::Flag, Value::Bool(flag)) => Some(u16::from(!flag)),
            (StateRule::Flag, _) => None,
            (StateRule::Data, _) => Some(0),
        })
    }

    /// Texts of an actuator and of the targets; the others stay empty.
    fn texts(&mut self, sheet: &Sheet, actuator: usize, at: i64) -> Vec<Arc<str>> {
        self.look(at);
        let graph = Arc::clone(&self.graph);
        let own = graph.actuators.get(actuator).map_or(&[][..], |a| &a.texts);
        let mut rendered = Rendered::default();
        for (index, text) in graph.texts.iter().enumerate() {
            if own.contains(&index) || graph.target_texts.contains(&index) {
                rendered.push(text, |s| self.value(s, sheet, None));
            } else {
                rendered.texts.push(Arc::from(""));
            }
        }
        if let Some(message) = &rendered.failed {
            self.fail(at, message);
        }
        rendered.texts
    }

    /// The alarm of a task: raised by the first firing, updated by one of another severity, counted up by the others.
    fn raise(&mut self, fired: &Outcome, severity: Severity, text: Option<usize>, at: i64) {
        let resource = self.moment.resource;
        let kind = match self.state.raised.get_mut(&resource) {
            Some((_, own)) if *own == severity => return,
            Some((_, own)) => {
                *own = severity;
                OutcomeKind::Updated
            }
            None => {
                self.state.raised.insert(resource, (at, severity));
                OutcomeKind::Raised
            }
        };
        let mut values = vec![(Arc::from("severity"), Value::text(severity.word()))];
        if let Some(text) = text.and_then(|index| fired.texts.get(index)) {
            values.push((Arc::from("text"), Value::Text(Arc::clone(text))));
        }
        let mut outcome = line(&self.plan.name, &self.tale(kind, at), values);
        outcome.cause.clone_from(&fired.cause);
        outcome.texts.clone_from(&fired.texts);
        self.out.push(outcome);
    }
}

impl Scene for Theatre<'_> {
    fn run(&mut self, sheet: &Sheet, node: usize, item: Option<&Value>, at: i64) -> Run {
        let graph = Arc::clone(&self.graph);
        let Some(sensor) = graph.nodes.get(node).and_then(|node| node.sensor()) else {
            return Run::Failed;
        };
        self.look(at);
        let mut place = Place {
            own: node,
            value: None,
            item,
        };
        let Some(value) = self.evaluate(&sensor.formula, sheet, place, at) else {
            return Run::Failed;
        };
        if sensor.said.is_some() && value == Value::text(SaidNode::NOTHING) {
            return Run::Lost;
        }
        place.value = Some(&value);
        match self.state_of(&sensor.states, sheet, place, at) {
            None => Run::Failed,
            Some(None) => Run::Nothing,
            Some(Some(state)) => Run::Seen { state, value },
        }
    }

    fn items(&mut self, sheet: &Sheet, node: usize, at: i64) -> Option<Vec<Value>> {
        let graph = Arc::clone(&self.graph);
        let each = graph.nodes.get(node)?.sensor()?.each.as_ref()?;
        self.look(at);
        let place = Place {
            own: node,
            value: None,
            item: None,
        };
        match self.evaluate(each, sheet, place, at)? {
            Value::List(items) => Some(items),
            Value::Missing => {
                self.count(Count::Unknown);
                None
            }
            _ => {
                self.fail(at, "`loop` needs a list");
                None
            }
        }
    }

    fn fired(&mut self, sheet: &Sheet, actuator: usize, from: usize, at: i64) {
        let graph = Arc::clone(&self.graph);
        let (Some(own), Some(source)) = (graph.actuators.get(actuator), graph.nodes.get(from))
        else {
            return;
        };
        if let Some(seen) = &mut self.seen {
            seen.fired();
        }
        let state = sheet.certain.get(from).copied().flatten();
        let values = vec![
            (Arc::from("fired"), Value::Text(Arc::clone(&own.name))),
            (Arc::from("from"), Value::Text(Arc::clone(&source.name))),
            (Arc::from("state"), self.state_name(from, state)),
        ];
        let tale = self.tale(OutcomeKind::Result, at);
        let mut outcome = line(&self.plan.name, &tale, values);
        let rows = sheet.causes(&graph, from);
        outcome.cause = rows.into_iter().map(|row| row.event).collect();
        outcome.texts = self.texts(sheet, actuator, at);
        if let Some((severity, text)) = own.alarm {
            self.raise(&outcome, severity, text, at);
        }
        self.out.push(outcome);
    }

    fn told(&mut self, sheet: &Sheet, node: usize, at: i64, likely: Option<&[u64]>) {
        let graph = Arc::clone(&self.graph);
        let (Some(own), Some(net)) = (graph.nodes.get(node), graph.net.nodes.get(node)) else {
            return;
        };
        let state = sheet.certain.get(node).copied().flatten();
        let chances = likely.map_or(Value::Missing, |likely| {
            let pairs = net.states.iter().zip(likely);
            let pairs = pairs.map(|(state, p)| (Arc::clone(state), chance(*p)));
            Value::Map(pairs.collect())
        });
        let values = vec![
            (Arc::from("node"), Value::Text(Arc::clone(&own.name))),
            (Arc::from("state"), self.state_name(node, state)),
            (Arc::from("p"), chances),
        ];
        let mut outcome = line(&self.plan.name, &self.tale(OutcomeKind::State, at), values);
        let rows = sheet.causes(&graph, node);
        outcome.cause = rows.into_iter().map(|row| row.event).collect();
        self.out.push(outcome);
    }

    fn count(&mut self, count: Count) {
        let counters = self.state.counters.entry(self.moment.resource).or_default();
        match count {
            Count::Unknown => counters.unknown += 1,
            Count::Throttled => counters.throttled += 1,
            Count::Contradiction => counters.contradictions += 1,
            Count::Tick => counters.ticks_stopped += 1,
        }
    }

    fn endless(&mut self, what: &str, at: i64) {
        let counters = self.state.counters.entry(self.moment.resource).or_default();
        counters.loops += 1;
        let message = format!("loop: too many {what} at one time, the rest of the row is dropped");
        self.fail(at, &message);
    }

    fn looked(&mut self, trigger: usize, verdict: Verdict) {
        if let Some(seen) = &mut self.seen {
            seen.looked(trigger, verdict);
        }
    }

    fn evaluates(&mut self, sheet: &Sheet, parts: &BTreeSet<usize>) {
        if let Some(seen) = &mut self.seen {
            seen.evaluates(&self.graph, sheet, parts);
        }
    }

    fn rests(&mut self, sheet: &mut Sheet, at: i64, by_row: bool) {
        if let Some(seen) = &mut self.seen {
            let cause = self.moment.event.clone().filter(|_| by_row);
            seen.rests(&self.graph, sheet, (at, cause));
        }
    }
}

/// A probability in billionths: one and nothing are whole.
pub(super) fn chance(billionths: u64) -> Value {
    match billionths {
        0 => Value::Int(0),
        1_000_000_000 => Value::Int(1),
        #[allow(
            clippy::cast_precision_loss,
            reason = "a billion is exact in a float, and division rounds once"
        )]
        some => Value::Number(some as f64 / 1e9),
    }
}

/// Counts a failed formula; a line about it at most once per task and hour.
fn fail(
    state: &mut GraphState,
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

impl GraphUnit {
    /// Lines about rows whose `where` failed.
    pub(super) fn tell_blames(
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
            fail(&mut self.state, &self.plan.name, &tale, &blame.message, out);
        }
    }
}
