//! [`Keyed`]: tasks of a pattern over everything with a key of its own: a number for each value, as the engine inside knows it,
//! and when something of each is due.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{Outcome, Value};
use tidegate_scripts::Slot;

use super::{Engine, Taken, WideScratch, WideUnit};
use crate::pipeline::View;
use crate::pipeline::keys::{escaped, identity};
use crate::pipeline::steps::{Blame, Cause};
use crate::timer::IDLE;
use crate::watermark::cell;

use super::intake::trigger;

/// Keys by number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Keyed {
    numbers: BTreeMap<String, u32>,
    texts: Vec<Arc<str>>,
    due: BTreeSet<(i64, u32)>,
    /// When each is due, as it stands in `due`.
    at: Vec<i64>,
    /// Keys that took a row or time since their due time was found.
    touched: BTreeSet<u32>,
}

impl Keyed {
    /// The number of a key; `None` when it would be one too many.
    fn number(&mut self, value: &Value, most: usize) -> Option<u32> {
        let identity = identity(std::slice::from_ref(value));
        if let Some(number) = self.numbers.get(&identity) {
            return Some(*number);
        }
        if self.texts.len() >= most {
            return None;
        }
        let number = u32::try_from(self.texts.len()).ok()?;
        self.texts.push(Arc::from(escaped(value)));
        self.numbers.insert(identity, number);
        Some(number)
    }

    fn set(&mut self, key: u32, due: i64) {
        let at = cell(&mut self.at, key, IDLE);
        self.due.remove(&(*at, key));
        *at = due;
        if due != IDLE {
            self.due.insert((due, key));
        }
    }

    /// When the next key is due.
    pub(super) fn next(&self) -> i64 {
        self.due.first().map_or(IDLE, |(due, _)| *due)
    }

    /// The number of a key as it is printed.
    pub(super) fn find(&self, text: &str) -> Option<u32> {
        let found = self.texts.iter().position(|known| known.as_ref() == text);
        found.and_then(|number| u32::try_from(number).ok())
    }

    /// How many keys there are.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.texts.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn bytes(&self) -> usize {
        self.texts.len() * 192
    }
}

impl WideUnit {
    /// The task of a row by the rule's key; `None`: the row has none.
    pub(super) fn key_of(
        &mut self,
        row: &Taken,
        record: u32,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) -> Option<u32> {
        let plan = self.wide.by.as_ref()?;
        let from = row.values.len().saturating_sub(plan.metrics.len());
        let mut own = row.values.get(from..).unwrap_or_default().iter();
        let values = plan.formula.slots().iter().map(|slot| match slot {
            Slot::Metric(_) => own.next().cloned().unwrap_or_default(),
            Slot::Trait(path) => {
                let text = view.traits(row.resource).path(path);
                text.map_or(Value::Missing, Value::Text)
            }
            Slot::Resource => Value::text(view.resource(row.resource)),
            #[allow(
                clippy::cast_precision_loss,
                reason = "times are exact in a float for 285,000 years"
            )]
            Slot::Time => Value::Number(row.time as f64),
            _ => Value::Missing,
        });
        let values: Vec<Value> = values.collect();
        let value = plan.formula.evaluate_row(&values).unwrap_or_else(|error| {
            scratch.blames.push(Blame {
                resource: super::ONE,
                time: row.time,
                cause: Cause::None,
                trigger: trigger(record),
                message: error.to_string(),
            });
            Value::Missing
        });
        let key = if value.is_missing() {
            None
        } else {
            self.state.keyed.number(&value, self.most_keys)
        };
        match key {
            Some(key) => {
                self.watch_key(key);
                self.state.keyed.touched.insert(key);
            }
            None => {
                let counters = self.state.counters.entry(super::ONE).or_default();
                counters.null_keys += 1;
            }
        }
        key
    }

    /// Finds anew when the keys that were touched are due.
    pub(super) fn settle_keys(&mut self) {
        let Engine::Inner(inner) = &self.engine else {
            return;
        };
        for key in std::mem::take(&mut self.state.keyed.touched) {
            self.state.keyed.set(key, inner.deadline(key));
        }
    }

    /// Time passes for every key for which something is due.
    pub(super) fn pass_keys(
        &mut self,
        water: i64,
        record: u32,
        view: &dyn View,
        scratch: &mut WideScratch,
    ) {
        self.drain(view, scratch);
        self.settle_keys();
        let mut woken = Vec::new();
        while let Some((due, key)) = self.state.keyed.due.first().copied() {
            if due > water {
                break;
            }
            self.state.keyed.due.pop_first();
            *cell(&mut self.state.keyed.at, key, IDLE) = IDLE;
            woken.push(key);
        }
        for key in woken {
            scratch.delivery.time(key, water, record);
            self.state.keyed.touched.insert(key);
        }
        self.drain(view, scratch);
        self.settle_keys();
    }

    /// Names lines of the engine inside as those of the rule.
    pub(super) fn name_lines(&self, out: &mut [Outcome]) {
        if !self.wide.everything || self.is_join() {
            return;
        }
        for outcome in out {
            if self.wide.by.is_some() && outcome.resource != Outcome::NOWHERE {
                let text = self.state.keyed.texts.get(outcome.resource as usize);
                outcome.group = text.cloned().unwrap_or_else(|| Arc::from(""));
            }
            outcome.resource = Outcome::NOWHERE;
        }
    }
}
