//! [`Slots`]: panes side by side. A pane is a slot number; its aggregates lie in columns, its extent in one place.

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::Value;

use super::RowKey;
use crate::aggregate::{Accumulator, AggregateKind, Column};

/// How many rows a pane or window has, and the first and last of them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Extent {
    pub(super) rows: u64,
    pub(super) first: RowKey,
    pub(super) last: RowKey,
}

impl Extent {
    #[inline]
    pub(super) fn add(&mut self, row: &RowKey) {
        if self.rows == 0 || row.order() < self.first.order() {
            self.first = row.clone();
        }
        if self.rows == 0 || row.order() >= self.last.order() {
            self.last = row.clone();
        }
        self.rows += 1;
    }
}

/// All panes of all keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Slots {
    extents: Vec<Extent>,
    columns: Vec<Column>,
    free: Vec<u32>,
}

impl Slots {
    pub(super) fn new(aggregates: &[AggregateKind]) -> Self {
        Self {
            extents: Vec::new(),
            columns: aggregates.iter().map(|kind| Column::new(*kind)).collect(),
            free: Vec::new(),
        }
    }

    /// Goes on with other aggregates; new ones are empty in every slot.
    pub(super) fn change(&mut self, change: &super::change::Change<'_>) {
        let places = change.aggregates.iter().zip(change.from);
        let columns = places.map(|(kind, from)| {
            let kept = from.and_then(|from| self.columns.get(from)).cloned();
            kept.unwrap_or_else(|| {
                let mut column = Column::new(*kind);
                self.extents.iter().for_each(|_| column.push());
                column
            })
        });
        self.columns = columns.collect();
    }

    /// An empty slot.
    pub(super) fn take(&mut self) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        self.extents.push(Extent::default());
        self.columns.iter_mut().for_each(Column::push);
        (self.extents.len() - 1) as u32
    }

    /// Empties a slot and gives it back.
    pub(super) fn release(&mut self, slot: u32) {
        if let Some(extent) = self.extents.get_mut(slot as usize) {
            *extent = Extent::default();
        }
        for column in &mut self.columns {
            column.clear(slot);
        }
        self.free.push(slot);
    }

    /// Notes a row in the extent of a slot; its values follow.
    #[inline]
    pub(super) fn note(&mut self, slot: u32, row: &RowKey) {
        if let Some(extent) = self.extents.get_mut(slot as usize) {
            extent.add(row);
        }
    }

    pub(super) fn add(&mut self, slot: u32, row: &RowKey, arguments: &[Value]) {
        self.note(slot, row);
        for (column, value) in self.columns.iter_mut().zip(arguments) {
            column.add(slot, row.order(), value);
        }
    }

    pub(super) fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    pub(super) fn column(&self, aggregate: usize) -> Option<&Column> {
        self.columns.get(aggregate)
    }

    /// Merges what can be taken back of one slot into another.
    pub(super) fn roll(&mut self, from: u32, into: u32) {
        let rows = self.extent(from).rows;
        if let Some(extent) = self.extents.get_mut(into as usize) {
            extent.rows += rows;
        }
        self.columns
            .iter_mut()
            .for_each(|column| column.roll(from, into));
    }

    /// Takes back what was merged from one slot into another.
    pub(super) fn unroll(&mut self, from: u32, into: u32) {
        let rows = self.extent(from).rows;
        if let Some(extent) = self.extents.get_mut(into as usize) {
            extent.rows = extent.rows.saturating_sub(rows);
        }
        self.columns
            .iter_mut()
            .for_each(|column| column.unroll(from, into));
    }

    /// Extent and aggregates over several slots, which rise in time; `rolled` holds the totals over them, if there is
    /// one.
    pub(super) fn read(
        &self,
        slots: &mut dyn Iterator<Item = u32>,
        rolled: Option<u32>,
    ) -> (Extent, Vec<Value>) {
        let slots: SmallVec<[u32; 8]> = slots.collect();
        let (Some(first), Some(last)) = (slots.first(), slots.last()) else {
            let empty = |column: &Column| Accumulator::new(column.kind()).result(column.kind());
            return (Extent::default(), self.columns.iter().map(empty).collect());
        };
        // Panes do not overlap: the ends are those of the outer panes.
        let extent = Extent {
            rows: match rolled {
                Some(rolled) => self.extent(rolled).rows,
                None => slots.iter().map(|slot| self.extent(*slot).rows).sum(),
            },
            first: self.extent(*first).first.clone(),
            last: self.extent(*last).last.clone(),
        };
        let values = self.columns.iter().map(|column| match rolled {
            Some(rolled) if column.can_roll() => column.result(rolled),
            _ if first == last => column.result(*first),
            _ => {
                let mut merged = Accumulator::new(column.kind());
                for slot in &slots {
                    column.merge_into(*slot, &mut merged);
                }
                merged.result(column.kind())
            }
        });
        (extent, values.collect())
    }

    fn extent(&self, slot: u32) -> &Extent {
        const NONE: &Extent = &Extent {
            rows: 0,
            first: RowKey::EMPTY,
            last: RowKey::EMPTY,
        };
        self.extents.get(slot as usize).unwrap_or(NONE)
    }

    pub(super) fn bytes(&self) -> usize {
        self.extents.capacity() * size_of::<Extent>()
            + self.free.capacity() * size_of::<u32>()
            + self.columns.iter().map(Column::bytes).sum::<usize>()
    }
}
