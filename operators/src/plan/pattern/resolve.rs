//! Where formulas of a pattern get their values.

use std::sync::Arc;

use tidegate_scripts::{AliasField, Formula, Slot, StreamFunction};

use super::compile::{alias_slot, metrics_of, small};
use super::scope::Names;
use super::{AliasPlan, Asked, Source, Sourced, TestPlan};
use crate::pattern::Alias;
use crate::plan::elsewhere;
use crate::plan::slots::SlotTable;

/// Finds where slots get their values.
pub(super) struct Resolver<'a> {
    pub(super) table: &'a SlotTable,
    pub(super) aliases: &'a [AliasPlan],
    pub(super) names: &'a Names,
    pub(super) emit: &'a [(Arc<str>, Formula)],
    /// Rows are of several resources.
    pub(super) wide: bool,
}

impl Resolver<'_> {
    pub(super) fn sources(&self, slots: &[Slot], columns: bool) -> Vec<Source> {
        slots
            .iter()
            .map(|slot| self.source(slot, columns))
            .collect()
    }

    fn source(&self, slot: &Slot, columns: bool) -> Source {
        match slot {
            Slot::Alias(slot) => {
                let number = self.names.number(&slot.alias).unwrap_or_default();
                let kept = self.aliases.get(number).map(|alias| &alias.kept);
                let of_resource = self.wide && slot.field == AliasField::Resource;
                let field = if of_resource {
                    AliasField::Metric(Arc::from(elsewhere::OF_RESOURCE))
                } else {
                    slot.field.clone()
                };
                let place = kept.and_then(|kept| match &field {
                    AliasField::Metric(name) => kept.iter().position(|(known, _)| known == name),
                    _ => None,
                });
                Source::Rows(Asked {
                    alias: small(number) as Alias,
                    pick: slot.pick,
                    field,
                    place: place.unwrap_or(usize::MAX),
                })
            }
            Slot::Metric(name) if columns => {
                match self.emit.iter().position(|(column, _)| column == name) {
                    Some(column) => Source::Column(column),
                    None => self.place(slot),
                }
            }
            _ => self.place(slot),
        }
    }

    fn place(&self, slot: &Slot) -> Source {
        let places = self.table.places_of(std::slice::from_ref(slot));
        Source::Place(places.first().copied().unwrap_or(usize::MAX))
    }

    pub(super) fn sourced(&self, formula: &Formula, columns: bool) -> Sourced {
        Sourced {
            sources: self.sources(formula.slots(), columns),
            formula: formula.clone(),
        }
    }

    pub(super) fn test(&self, formula: &Formula) -> TestPlan {
        let slots = formula.slots();
        let plain = slots.iter().all(|slot| alias_slot(slot).is_none());
        let silent = slots.iter().any(|slot| match slot {
            Slot::Stream(call) => call.function == StreamFunction::Silent,
            _ => false,
        });
        let mut names = Vec::new();
        if !silent {
            metrics_of(slots, &mut names);
        }
        let slots: Vec<Slot> = names.into_iter().map(Slot::Metric).collect();
        TestPlan {
            bound: plain.then(|| self.table.bind(formula.clone())),
            sourced: self.sourced(formula, false),
            metrics: self.table.places_of(&slots),
        }
    }
}
