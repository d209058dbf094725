//! [`Slots`]: panes side by side. A pane is a slot number; its block lies at its key's number while it is the newest of
//! the key, at the slot's number after that, and other aggregates lie in columns.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::block::{Block, Mark, Merged, NOWHERE, Rare, Whole};
use super::layout::{Layout, Place};
use super::panes::Pane;
use super::{RowKey, WindowSpec};
use crate::aggregate::{Accumulator, AggregateKind, Column, whole};

/// All panes of all keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Slots {
    pub(super) layout: Layout,
    /// The newest pane by key, with the key's deadline.
    pub(super) homes: Vec<Block>,
    /// Panes by slot that are not the newest of their key. Invariant: those of free slots are empty.
    blocks: Vec<Block>,
    /// By slot, no longer than needed.
    pub(super) rare: Vec<Rare>,
    pub(super) columns: Vec<Column>,
    free: Vec<u32>,
}

impl Slots {
    pub(super) fn new(spec: &WindowSpec) -> Self {
        let layout = Layout::new(spec);
        Self {
            columns: layout
                .columns()
                .map(|(_, kind)| Column::new(kind))
                .collect(),
            layout,
            homes: Vec::new(),
            blocks: Vec::new(),
            rare: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Goes on with other aggregates; new ones are empty in every slot.
    pub(super) fn change(&mut self, change: &super::change::Change<'_>) {
        let mut columns = Vec::new();
        let places = change.aggregates.iter().zip(change.from);
        let places = places.map(|(kind, from)| {
            let kept = from.and_then(|from| self.layout.places.get(from).copied());
            let column = match kept {
                Some(Place::Column(column)) => self.columns.get(column as usize).cloned(),
                Some(place) => return place,
                None => None,
            };
            columns.push(column.unwrap_or_else(|| {
                let mut column = Column::new(*kind);
                self.blocks.iter().for_each(|_| column.push());
                column
            }));
            Place::Column(columns.len() as u32 - 1)
        });
        self.layout = Layout::of(change.aggregates.to_vec(), places.collect());
        self.columns = columns;
    }

    /// Makes room for a key.
    pub(super) fn reach(&mut self, key: u32) {
        let needed = key as usize + 1;
        if self.homes.len() < needed {
            self.homes.resize(needed, Block::EMPTY);
        }
    }

    /// An empty slot.
    pub(super) fn take(&mut self) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        self.blocks.push(Block::EMPTY);
        self.columns.iter_mut().for_each(Column::push);
        (self.blocks.len() - 1) as u32
    }

    /// Empties a slot and gives it back. `key`: whose pane it is.
    pub(super) fn release(&mut self, key: u32, slot: u32) {
        match self.homes.get_mut(key as usize) {
            Some(home) if home.slot == slot => {
                *home = Block::gone(home.deadline);
            }
            _ => {
                if let Some(block) = self.blocks.get_mut(slot as usize) {
                    *block = Block::EMPTY;
                }
            }
        }
        if let Some(rare) = self.rare.get_mut(slot as usize) {
            *rare = Rare::default();
        }
        for column in &mut self.columns {
            column.clear(slot);
        }
        self.free.push(slot);
    }

    /// The home of a key for another pane; the one that was there goes to its slot.
    #[inline]
    pub(super) fn turn(&mut self, key: u32) -> Option<&mut Block> {
        let home = self.homes.get_mut(key as usize)?;
        if let Some(block) = self.blocks.get_mut(home.slot as usize) {
            *block = *home;
        }
        Some(home)
    }

    /// Something of both cache lines of a slot.
    pub(super) fn words(&self, slot: u32) -> u64 {
        self.blocks.get(slot as usize).map_or(0, Block::words)
    }

    fn block(&self, key: u32, slot: u32) -> &Block {
        const NONE: &Block = &Block::EMPTY;
        match self.homes.get(key as usize) {
            Some(home) if home.slot == slot => home,
            _ => self.blocks.get(slot as usize).unwrap_or(NONE),
        }
    }

    fn whole(&self, key: u32, slot: u32) -> Whole<'_> {
        Whole::new(self.block(key, slot), self.rare.get(slot as usize))
    }

    /// Takes a row into a pane.
    pub(super) fn add(&mut self, key: u32, slot: u32, row: &RowKey, arguments: &[Value]) {
        self.note(key, slot, row);
        if let Some(number) = self.layout.number_of(arguments) {
            self.add_number(key, slot, number);
        } else if let Some((value, counts)) = self.layout.odd_of(arguments) {
            at(&mut self.rare, slot).count(value, counts);
        }
        for (column, (aggregate, _)) in self.columns.iter_mut().zip(self.layout.columns()) {
            if let Some(value) = arguments.get(aggregate) {
                column.add(slot, row.order(), value);
            }
        }
    }

    /// Notes a row in a pane; its values follow.
    pub(super) fn note(&mut self, key: u32, slot: u32, row: &RowKey) {
        let event = &row.event;
        let (homes, blocks, rare) = (&mut self.homes, &mut self.blocks, &mut self.rare);
        let Some(block) = block_mut(homes, blocks, key, slot) else {
            return;
        };
        let ends = block.note(Mark {
            order: row.order(),
            source: event.source,
            offset: event.offset,
        });
        note_id(rare, (slot, block), ends, event.id.as_ref());
    }

    /// Takes the block's number of a row into a pane.
    pub(super) fn add_number(&mut self, key: u32, slot: u32, number: f64) {
        let kept = self.layout.kept;
        let (homes, blocks, rare) = (&mut self.homes, &mut self.blocks, &mut self.rare);
        if let Some(block) = block_mut(homes, blocks, key, slot)
            && !block.add(number, kept)
        {
            at(rare, slot).add(block, number);
        }
    }

    /// The column of an aggregate.
    pub(super) fn column(&self, aggregate: usize) -> Option<&Column> {
        match self.layout.places.get(aggregate) {
            Some(Place::Column(column)) => self.columns.get(*column as usize),
            _ => None,
        }
    }

    /// Merges what can be taken back of a pane into the totals of its key.
    pub(super) fn roll(&mut self, key: u32, from: u32, into: u32) {
        self.with_totals(key, from, into, |mut totals, pane| totals.roll(pane));
        for column in &mut self.columns {
            column.roll(from, into);
        }
    }

    /// Takes back what was merged.
    pub(super) fn unroll(&mut self, key: u32, from: u32, into: u32) {
        self.with_totals(key, from, into, |mut totals, pane| totals.unroll(pane));
        for column in &mut self.columns {
            column.unroll(from, into);
        }
    }

    fn with_totals(
        &mut self,
        key: u32,
        from: u32,
        into: u32,
        work: impl FnOnce(Merged<'_>, Whole<'_>),
    ) {
        let mut rare = self.rare.get_mut(into as usize).map(std::mem::take);
        let mut block = *self.block(NOWHERE, into);
        let mut beside = Rare::default();
        let totals = Merged {
            block: &mut block,
            rare: rare.as_mut().unwrap_or(&mut beside),
        };
        work(totals, self.whole(key, from));
        let rare = rare.unwrap_or(beside);
        if !rare.is_empty() {
            *at(&mut self.rare, into) = rare;
        }
        if let Some(totals) = self.blocks.get_mut(into as usize) {
            *totals = block;
        }
    }

    /// Rows of a pane.
    pub(super) fn read(&self, key: u32, panes: &[Pane], rolled: Option<u32>) -> Option<Reading> {
        let (first, last) = (panes.first()?, panes.last()?);
        let mut beside = (Block::EMPTY, Rare::default());
        let total = match rolled {
            Some(rolled) if !self.layout.kept.extremes => self.whole(NOWHERE, rolled),
            _ if first.slot == last.slot => self.whole(key, first.slot),
            _ => {
                let mut merged = Merged {
                    block: &mut beside.0,
                    rare: &mut beside.1,
                };
                for pane in panes {
                    let pane = self.whole(key, pane.slot);
                    merged.roll(pane);
                    merged.stretch(pane);
                }
                Whole::new(&beside.0, Some(&beside.1))
            }
        };
        let values = self.layout.each().map(|(kind, place)| match place {
            Place::Rows => whole(total.block.rows),
            Place::Block => total.result(kind),
            Place::Column(column) => self
                .columns
                .get(column as usize)
                .map_or(Value::Missing, |column| {
                    column_over(column, kind, panes, rolled)
                }),
        });
        Some(Reading {
            rows: total.block.rows,
            values: values.collect(),
            // Panes do not overlap: the ends are those of the outer panes.
            first: self.whole(key, first.slot).first(),
            last: self.whole(key, last.slot).last(),
        })
    }

    pub(super) fn bytes(&self) -> usize {
        (self.homes.capacity() + self.blocks.capacity()) * size_of::<Block>()
            + self.rare.capacity() * size_of::<Rare>()
            + self.rare.iter().map(Rare::heap_bytes).sum::<usize>()
            + self.free.capacity() * size_of::<u32>()
            + self.columns.iter().map(Column::bytes).sum::<usize>()
    }
}

/// What a window says.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) rows: u64,
    pub(super) values: Vec<Value>,
    pub(super) first: tidegate_proto::EventRef,
    pub(super) last: tidegate_proto::EventRef,
}

/// An aggregate with a column of its own, over several panes; `rolled` holds the totals over them, if there is one.
fn column_over(column: &Column, kind: AggregateKind, panes: &[Pane], rolled: Option<u32>) -> Value {
    match (rolled, panes) {
        (Some(rolled), _) if column.can_roll() => column.result(rolled),
        (_, [only]) => column.result(only.slot),
        _ => {
            let mut merged = Accumulator::new(kind);
            for pane in panes {
                column.merge_into(pane.slot, &mut merged);
            }
            merged.result(kind)
        }
    }
}

fn block_mut<'a>(
    homes: &'a mut [Block],
    blocks: &'a mut [Block],
    key: u32,
    slot: u32,
) -> Option<&'a mut Block> {
    match homes.get_mut(key as usize) {
        Some(home) if home.slot == slot => Some(home),
        _ => blocks.get_mut(slot as usize),
    }
}

/// Keeps the id of a pane's first or last row.
pub(super) fn note_id(
    rare: &mut Vec<Rare>,
    (slot, block): (u32, &mut Block),
    ends: (bool, bool),
    id: Option<&Arc<str>>,
) {
    if id.is_some() || block.has_ids() {
        at(rare, slot).note(block, ends, id);
    }
}

/// The rare things of a slot, made if need be.
pub(super) fn at(rare: &mut Vec<Rare>, slot: u32) -> &mut Rare {
    crate::watermark::cell(rare, slot, Rare::default())
}
