//! Where formulas of a graph get their values, and what their names mean as numbers.

use std::sync::Arc;

use tidegate_proto::graph::{Cue, Graph, GraphNode, GraphNodeKind, Sensor};
use tidegate_scripts::{AliasField, AliasPick, AliasSlot, Formula, Slot, StreamFunction};

use super::compile::{Formulas, names_of};
use super::{CuePlan, Source, Sourced, TriggerPlan, What};
use crate::graph::net::{Net, NetNode};
use crate::plan::pattern::metrics_of;
use crate::plan::slots::{Gatherer, SlotTable};
use crate::plan::texts::Script;

/// Names of a graph.
pub(super) struct Resolver<'a> {
    graph: &'a Graph,
}

/// The path behind `item` of a loop.
fn item_path(name: &str) -> Option<Vec<Arc<str>>> {
    let mut parts = name.split('.');
    (parts.next() == Some("item")).then(|| parts.map(Arc::from).collect())
}

/// How many runs ago a question is about.
fn back(slot: &AliasSlot) -> usize {
    match slot.pick {
        // The last run is −1.
        AliasPick::At(place) if place < 0 => place.unsigned_abs() as usize - 1,
        _ => 0,
    }
}

impl<'a> Resolver<'a> {
    pub(super) const fn new(graph: &'a Graph) -> Self {
        Self { graph }
    }

    /// What a name means that is no metric here: `value` in the conditions of states, `item` in a loop.
    pub(super) fn special(name: &str, own: Option<(&Sensor, bool)>) -> Option<Source> {
        let (sensor, condition) = own?;
        if condition && name == "value" {
            return Some(Source::Value);
        }
        sensor.each.as_ref()?;
        item_path(name).map(Source::Item)
    }

    fn source(&self, slot: &Slot, own: Option<(&Sensor, bool)>, table: &SlotTable) -> Source {
        if let Slot::Metric(name) = slot
            && let Some(source) = Self::special(name, own)
        {
            return source;
        }
        if let Slot::Alias(slot) = slot {
            let node = self.graph.nodes.iter().position(|n| n.name == slot.alias);
            let what = match &slot.field {
                AliasField::Metric(name) if name.as_ref() == "state" => What::State,
                AliasField::Metric(name) if name.as_ref() == "value" => What::Value,
                _ => What::Time,
            };
            return Source::Node {
                node: node.unwrap_or(usize::MAX),
                back: back(slot),
                what,
            };
        }
        let places = table.places_of(std::slice::from_ref(slot));
        Source::Place(places.first().copied().unwrap_or(usize::MAX))
    }

    pub(super) fn sources(
        &self,
        slots: &[Slot],
        own: Option<(&Sensor, bool)>,
        table: &SlotTable,
    ) -> Vec<Source> {
        let slots = slots.iter();
        slots.map(|slot| self.source(slot, own, table)).collect()
    }

    pub(super) fn sourced(
        &self,
        formula: &Formula,
        own: (&Sensor, bool),
        table: &SlotTable,
    ) -> Sourced {
        Sourced {
            sources: self.sources(formula.slots(), Some(own), table),
            formula: formula.clone(),
        }
    }

    /// Notes what a node's formulas ask of the table.
    pub(super) fn gather(&self, node: &GraphNode, formulas: &Formulas, gatherer: &mut Gatherer) {
        let GraphNodeKind::Sensor(sensor) = &node.kind else {
            return;
        };
        let mut add = |formula: &Formula, condition: bool| {
            for slot in formula.slots() {
                let special = match slot {
                    Slot::Metric(name) => Self::special(name, Some((sensor, condition))),
                    _ => None,
                };
                if special.is_none() {
                    gatherer.add(std::slice::from_ref(slot), !condition);
                }
            }
        };
        for formula in formulas.formula.iter().chain(&formulas.each) {
            add(formula, false);
        }
        for formula in &formulas.conditions {
            add(formula, true);
        }
    }

    /// Metrics that a sensor names.
    pub(super) fn metrics(
        &self,
        sensor: &Sensor,
        formulas: &Formulas,
        table: &SlotTable,
    ) -> Vec<usize> {
        let formulas = || formulas.formula.iter().chain(&formulas.each);
        let silent = formulas().flat_map(Formula::slots).any(|slot| match slot {
            Slot::Stream(call) => call.function == StreamFunction::Silent,
            _ => false,
        });
        let mut names = Vec::new();
        if !silent {
            for formula in formulas() {
                metrics_of(formula.slots(), &mut names);
            }
        }
        names.retain(|name| Self::special(name, Some((sensor, false))).is_none());
        let slots: Vec<Slot> = names.into_iter().map(Slot::Metric).collect();
        table.places_of(&slots)
    }

    /// How many runs of a node anything looks back.
    pub(super) fn history(&self, formulas: &[Formulas], texts: &[Script], name: &str) -> usize {
        let formulas = formulas.iter().flat_map(|own| {
            let all = own.formula.iter().chain(&own.each).chain(&own.conditions);
            all.flat_map(Formula::slots)
        });
        let slots = formulas.chain(texts.iter().flat_map(Script::slots));
        let asked = slots.filter_map(|slot| match slot {
            Slot::Alias(slot) if slot.alias.as_ref() == name => Some(back(slot)),
            _ => None,
        });
        asked.max().unwrap_or(0)
    }

    /// The connected parts: by `of` and by what formulas name.
    pub(super) fn parts(&self, formulas: &[Formulas]) -> Vec<usize> {
        let nodes = &self.graph.nodes;
        let mut part: Vec<usize> = (0..nodes.len()).collect();
        for (index, (node, own)) in nodes.iter().zip(formulas).enumerate() {
            let mut linked = names_of(index, own, self.graph);
            match &node.kind {
                GraphNodeKind::Gate(gate) => linked.extend(&gate.of),
                GraphNodeKind::Sensor(sensor) => {
                    if let tidegate_proto::graph::Prior::Table { of, .. } = &sensor.prior {
                        linked.extend(of);
                    }
                }
                GraphNodeKind::Delay { .. } => {}
            }
            for other in linked {
                let (a, b) = (part.get(index).copied(), part.get(other).copied());
                if let (Some(a), Some(b)) = (a, b) {
                    part.iter_mut()
                        .filter(|p| **p == a.max(b))
                        .for_each(|p| *p = a.min(b));
                }
            }
        }
        part
    }

    /// Triggers by numbers, and how many comparisons they remember.
    pub(super) fn triggers(&self, net: &Net) -> (Vec<TriggerPlan>, usize) {
        let mut bits = 0;
        let none = NetNode {
            states: Vec::new(),
            source: crate::graph::net::Source::Prior(Vec::new()),
        };
        let triggers = self.graph.triggers.iter().map(|trigger| {
            let states = &net.nodes.get(trigger.from).unwrap_or(&none).states;
            let number = |name: &Arc<str>| {
                let place = states.iter().position(|state| state == name);
                place
                    .and_then(|place| u16::try_from(place).ok())
                    .unwrap_or(u16::MAX)
            };
            let on = trigger.on.iter().map(|cue| match cue {
                Cue::State(names) => CuePlan::State(names.iter().map(number).collect()),
                Cue::Change { from, to } => CuePlan::Change {
                    from: from.as_ref().map(number),
                    to: to.as_ref().map(number),
                },
                Cue::Executed => CuePlan::Executed,
                Cue::Probability {
                    state,
                    than,
                    limit,
                    level,
                } => {
                    bits += 1;
                    CuePlan::Probability {
                        state: number(state),
                        than: *than,
                        limit: *limit,
                        level: *level,
                        bit: bits - 1,
                    }
                }
            });
            let on = on.collect();
            let name = self.graph.nodes.get(trigger.from).map(|node| &node.name);
            TriggerPlan {
                identity: format!("{name:?} {:?} {:?}", trigger.on, trigger.to),
                from: trigger.from,
                on,
                to: trigger.to.clone(),
                at_most_every: trigger.at_most_every.map_or(0, |span| span.0),
                once: trigger.once,
            }
        });
        let triggers = triggers.collect();
        (triggers, bits)
    }
}
