//! [`SlotTable`]: everything that the formulas of a rule ask for, each once, in an order that equal sets share.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_proto::{Span, Value};
use tidegate_scripts::{
    Formula, Over, Slot, StateFunction, StreamCall, StreamFunction, ThresholdOperator,
};

/// What a place of the table holds.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Latest value of a metric.
    Metric(Arc<str>),
    /// A text of the resource's traits.
    Trait(Arc<str>),
    /// Id of the resource.
    Resource,
    /// Event time of the row.
    Time,
    /// Bound of a window; `()` outside of windows.
    Bound,
    /// What a metric, by its place, said so many ms before the row.
    Past(usize, i64),
    /// A function that looks at more than one row.
    Stream(Box<StreamPlan>),
}

/// A stream call with its formulas bound to the table.
#[derive(Clone, Debug)]
pub(crate) struct StreamPlan {
    /// The call.
    pub(crate) call: StreamCall,
    /// Its argument, if it has one.
    pub(crate) argument: Option<Bound>,
    /// Its second argument, if it has one.
    pub(crate) second: Option<Bound>,
    /// Its filter, if it has one.
    pub(crate) filter: Option<Bound>,
    /// Place of the metric, when the argument is a bare metric.
    pub(crate) bare: Option<usize>,
    /// Places of the metrics of the argument.
    pub(crate) metrics: Vec<usize>,
    /// Limits of a state function that are no literals, behind its argument.
    pub(crate) limits: Vec<Bound>,
    /// `since` is compared with durations: how long after it turned true the comparisons change, in ms.
    pub(crate) offsets: Vec<i64>,
}

impl StreamPlan {
    /// Whether the condition is judged again when a row leaves or time passes.
    pub(crate) const fn wakes(&self) -> bool {
        use StreamFunction::{Count, CountIf, Held, Silent, Stale, State};
        matches!(
            self.call.function,
            Count | CountIf | Held | Silent | Stale | State(StateFunction::Debounce)
        ) || !self.offsets.is_empty()
    }

    /// Whether the argument is a condition, read with the latest values, and not a number of the row itself.
    pub(crate) const fn is_condition(&self) -> bool {
        use StreamFunction::{CountIf, Duration, Held, Since, State};
        match self.call.function {
            CountIf | Duration | Held | Since => true,
            State(function) => function.of_condition(),
            _ => false,
        }
    }

    /// Whether a row counts that says of a metric that it has no value.
    pub(crate) const fn counts_nulls(&self) -> bool {
        let rows = matches!(self.call.function, StreamFunction::Count) && self.argument.is_none();
        rows || self.call.nulls
    }

    /// Whether every row of the resource counts, whatever it carries.
    pub(crate) const fn every_row(&self) -> bool {
        matches!(self.call.function, StreamFunction::Silent)
    }
}

/// A formula and where its slots stand in the table.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    /// The formula.
    pub(crate) formula: Formula,
    /// Place of each slot.
    pub(crate) places: Vec<usize>,
    /// The place, when the formula is nothing but one slot.
    pub(crate) bare: Option<usize>,
}

/// One thing that formulas ask for.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// Unique text, ordered so that streams come after what they read.
    pub(crate) key: String,
    /// The name under which its value is shown.
    pub(crate) label: Arc<str>,
    /// What it is.
    pub(crate) form: Form,
    /// Whether a condition asks for it: rows that carry it are judged.
    pub(crate) judged: bool,
    /// A value older than this is none, in ms.
    pub(crate) max_age: i64,
}

/// All places in the order of their keys.
#[derive(Clone, Debug, Default)]
pub(crate) struct SlotTable {
    /// The places.
    pub(crate) places: Vec<Place>,
    /// Metrics that are calls over the members of a group.
    pub(crate) groups: Vec<(Arc<str>, StreamCall)>,
}

fn key_of(slot: &Slot) -> String {
    match slot {
        // Whoever gives the rows computes it: to the formulas it is a metric.
        Slot::Stream(call) if call.is_of_group() => format!("0 {}", label_of(slot)),
        Slot::Metric(name) => format!("0 {name}"),
        Slot::Trait(path) => format!("1 {path}"),
        Slot::Resource => "2".to_owned(),
        Slot::Time => "3".to_owned(),
        Slot::WindowStart => "4".to_owned(),
        Slot::WindowEnd => "5".to_owned(),
        Slot::Stream(call) => format!("9 {}", call.text),
        // Never in a table: the pattern answers.
        Slot::Alias(slot) => format!("8 {slot}"),
    }
}

/// How long before a row a call reads its second argument, in ms.
#[allow(
    clippy::cast_possible_truncation,
    reason = "it was written as a duration"
)]
pub(crate) fn lag_of(call: &StreamCall) -> Option<i64> {
    let lag = call.constant.map(|lag| lag as i64);
    lag.filter(|_| call.function == StreamFunction::CorrLag)
}

fn key_of_past(metric: &str, lag: i64) -> String {
    format!("7 {lag} {metric}")
}

/// The text under which the value of a slot is shown: `avg(temperature,"5m")`.
pub(crate) fn label_of(slot: &Slot) -> Arc<str> {
    let Slot::Stream(call) = slot else {
        return Arc::from(slot.to_string());
    };
    if matches!(call.function, StreamFunction::State(_)) {
        return Arc::clone(&call.text);
    }
    let mut parts: Vec<String> = call
        .arguments
        .iter()
        .map(|argument| argument.normal_text().to_string())
        .collect();
    parts.extend(match lag_of(call) {
        Some(lag) => Some(format!("\"{}\"", Span(lag))),
        None => call.constant.map(|constant| constant.to_string()),
    });
    match call.over {
        Over::Span(span) => parts.push(format!("\"{span}\"")),
        Over::Rows(rows) if call.function != StreamFunction::Prev => {
            parts.push(format!("\"{rows} rows\""));
        }
        Over::Rows(rows) => parts.push(rows.to_string()),
        Over::All => parts.push("\"all\"".to_owned()),
        Over::Window | Over::Previous => {}
    }
    parts.extend(call.filter.iter().map(|f| f.normal_text().to_string()));
    if call.nulls {
        parts.push("\"nulls\"".to_owned());
    }
    Arc::from(format!("{}({})", call.function, parts.join(",")))
}

/// Gathers slots before their places are known.
#[derive(Debug, Default)]
pub(crate) struct Gatherer {
    slots: BTreeMap<String, (Slot, bool)>,
    /// Metrics that are read as of earlier, and how much earlier.
    pasts: BTreeMap<String, (Slot, i64)>,
}

impl Gatherer {
    /// Notes what a formula asks for.
    pub(crate) fn add(&mut self, slots: &[Slot], judged: bool) {
        for slot in slots.iter().filter(|slot| !matches!(slot, Slot::Alias(_))) {
            let entry = self
                .slots
                .entry(key_of(slot))
                .or_insert_with(|| (slot.clone(), false));
            entry.1 |= judged;
            if let Slot::Stream(call) = slot
                && !call.is_of_group()
            {
                for formula in call.arguments.iter().chain(&call.filter) {
                    // What only a filter reads is looked up, never a reason to judge.
                    self.add(formula.slots(), false);
                }
                for formula in &call.arguments {
                    self.add(formula.slots(), judged);
                }
                self.add_past(call);
            }
        }
    }

    /// Notes what a call reads as of earlier.
    pub(crate) fn add_past(&mut self, call: &StreamCall) {
        let Some(lag) = lag_of(call) else {
            return;
        };
        for slot in call.arguments.iter().skip(1).flat_map(Formula::slots) {
            if let Slot::Metric(name) = slot {
                let key = key_of_past(name, lag);
                self.pasts.insert(key, (slot.clone(), lag));
            }
        }
    }

    /// The table.
    pub(crate) fn finish(self) -> SlotTable {
        let mut table = SlotTable::default();
        let mut pasts = Some(self.pasts);
        for (key, (slot, judged)) in self.slots {
            // Streams come behind what they read.
            if matches!(&slot, Slot::Stream(call) if !call.is_of_group()) {
                table.add_pasts(pasts.take().unwrap_or_default());
            }
            let form = match &slot {
                Slot::Metric(name) => Form::Metric(Arc::clone(name)),
                Slot::Trait(path) => Form::Trait(Arc::clone(path)),
                Slot::Resource => Form::Resource,
                Slot::Time => Form::Time,
                Slot::WindowStart | Slot::WindowEnd | Slot::Alias(_) => Form::Bound,
                Slot::Stream(call) if call.is_of_group() => {
                    let label = label_of(&slot);
                    table.groups.push((Arc::clone(&label), call.clone()));
                    Form::Metric(label)
                }
                Slot::Stream(call) => Form::Stream(Box::new(table.stream(call))),
            };
            table.places.push(Place {
                key,
                label: label_of(&slot),
                form,
                judged,
                max_age: i64::MAX,
            });
        }
        table.add_pasts(pasts.take().unwrap_or_default());
        table
    }
}

impl SlotTable {
    fn add_pasts(&mut self, pasts: BTreeMap<String, (Slot, i64)>) {
        for (key, (slot, lag)) in pasts {
            let of = self.places_of(std::slice::from_ref(&slot));
            self.places.push(Place {
                key,
                label: Arc::from(format!("{slot} {} before", Span(lag))),
                form: Form::Past(of.first().copied().unwrap_or(usize::MAX), lag),
                judged: false,
                max_age: i64::MAX,
            });
        }
    }

    /// The second argument of a call: its metrics may be read as of earlier.
    pub(crate) fn bind_second(&self, call: &StreamCall) -> Option<Bound> {
        let mut bound = self.bind(call.arguments.get(1)?.clone());
        let Some(lag) = lag_of(call) else {
            return Some(bound);
        };
        for (slot, place) in bound.formula.slots().iter().zip(&mut bound.places) {
            if let Slot::Metric(name) = slot {
                let key = key_of_past(name, lag);
                let found = self.places.binary_search_by(|p| p.key.cmp(&key));
                *place = found.unwrap_or(usize::MAX);
            }
        }
        bound.bare = bound.bare.and(bound.places.first().copied());
        Some(bound)
    }

    /// Whether something is read as of earlier.
    pub(crate) fn has_past(&self) -> bool {
        self.places
            .iter()
            .any(|place| matches!(place.form, Form::Past(..)))
    }

    /// A formula with its places here; every slot was gathered before.
    pub(crate) fn bind(&self, formula: Formula) -> Bound {
        let places = self.places_of(formula.slots());
        let bare = match formula.slots() {
            [slot] if formula.normal_text().as_ref() == slot.to_string() => places.first().copied(),
            _ => None,
        };
        Bound {
            formula,
            places,
            bare,
        }
    }

    /// Places of slots.
    pub(crate) fn places_of(&self, slots: &[Slot]) -> Vec<usize> {
        slots
            .iter()
            .map(|slot| {
                let key = key_of(slot);
                self.places
                    .binary_search_by(|place| place.key.as_str().cmp(&key))
                    .unwrap_or(usize::MAX)
            })
            .collect()
    }

    fn stream(&self, call: &StreamCall) -> StreamPlan {
        let argument = call.arguments.first().cloned().map(|f| self.bind(f));
        let is_state = matches!(call.function, StreamFunction::State(_));
        let second = self.bind_second(call).filter(|_| !is_state);
        let filter = call.filter.clone().map(|f| self.bind(f));
        let bare = argument.as_ref().filter(|_| second.is_none());
        let bare = bare.and_then(bare_metric);
        // What is read as of earlier the row itself need not carry.
        let asked = second.iter().filter(|_| lag_of(call).is_none());
        let metrics = argument.iter().chain(asked).flat_map(|bound| {
            let slots = bound.formula.slots().iter().zip(&bound.places);
            slots.filter_map(|(slot, place)| matches!(slot, Slot::Metric(_)).then_some(*place))
        });
        let metrics = metrics.collect();
        let limits = call.arguments.iter().skip(1);
        let limits = limits.filter(|_| is_state);
        let literal = limits.clone().all(|limit| limit.constant().is_some());
        let limits = limits.filter(|_| !literal);
        StreamPlan {
            limits: limits.cloned().map(|limit| self.bind(limit)).collect(),
            offsets: Vec::new(),
            call: call.clone(),
            argument,
            second,
            filter,
            bare,
            metrics,
        }
    }

    /// Values by place of another table as values by place of this one; what is new here is `()`.
    pub(crate) fn translate(&self, other: &Self, values: &[Value]) -> Vec<Value> {
        let places = self.places.iter().map(|place| {
            let found = other.places.binary_search_by(|o| o.key.cmp(&place.key));
            found.ok().and_then(|found| values.get(found)).cloned()
        });
        places.map(Option::unwrap_or_default).collect()
    }

    /// Text that is equal for equal tables.
    pub(crate) fn identity(&self) -> String {
        let mut text = String::new();
        for place in &self.places {
            text.push(if place.judged { '+' } else { '-' });
            text.push_str(&place.key);
            if let Form::Stream(plan) = &place.form
                && !plan.offsets.is_empty()
            {
                text.push_str(&format!(" {:?}", plan.offsets));
            }
            text.push('\n');
        }
        text
    }

    /// Notes when comparisons of `since` in a formula change, so that the condition is judged then.
    pub(crate) fn note_offsets(&mut self, formula: &Formula) {
        let places = self.places_of(formula.slots());
        for (slot, operator, seconds) in formula.comparisons() {
            let place = places
                .get(slot)
                .and_then(|place| self.places.get_mut(*place));
            if let Some(Form::Stream(plan)) = place.map(|place| &mut place.form)
                && plan.call.function == StreamFunction::Since
            {
                plan.offsets.extend(offset(operator, seconds));
                plan.offsets.sort_unstable();
                plan.offsets.dedup();
            }
        }
    }

    /// Stream calls with their places.
    pub(crate) fn streams(&self) -> impl Iterator<Item = (usize, &StreamPlan)> {
        let places = self.places.iter().enumerate();
        places.filter_map(|(index, place)| match &place.form {
            Form::Stream(plan) => Some((index, plan.as_ref())),
            _ => None,
        })
    }
}

/// After how many ms a rising number of seconds changes its comparison with a constant.
fn offset(operator: ThresholdOperator, seconds: f64) -> Option<i64> {
    let ms = seconds * 1000.0;
    let first = match operator {
        ThresholdOperator::Greater | ThresholdOperator::LessEqual => ms.floor() + 1.0,
        ThresholdOperator::GreaterEqual | ThresholdOperator::Less => ms.ceil(),
    };
    // Longer than any duration of a rule is never.
    #[allow(clippy::cast_possible_truncation, reason = "it is in range")]
    (first > 0.0 && first < 1e12).then_some(first as i64)
}

/// The place of the only slot of a formula that is nothing but a metric.
pub(crate) fn bare_metric(bound: &Bound) -> Option<usize> {
    let metric = matches!(bound.formula.slots(), [Slot::Metric(_)]);
    bound.bare.filter(|_| metric)
}
