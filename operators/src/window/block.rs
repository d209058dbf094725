//! [`Block`]: one pane in two cache lines: which rows it has, and what the plain aggregates of one argument remember of
//! them. What is rare (a sum that needs more room, texts, ids of events) lies beside it in a [`Rare`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, Value};

use crate::aggregate::{AggregateKind, Extremes, RowOrder, whole};
use crate::exact::{ExactSum, Narrow};

/// No slot: the block is no pane.
pub(super) const NOWHERE: u32 = u32::MAX;
/// The newest pane: no window that holds it is closed, so a row may enter without further question.
const OPEN: u16 = 1;
/// The sum does not fit here; it is in the [`Rare`].
const WIDE: u16 = 2;
/// There are ids of events in the [`Rare`].
const IDS: u16 = 4;

/// One pane. That of the newest rows of a key lies at the key's number, so that a row finds all it needs at one place.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(C, align(64))]
pub(super) struct Block {
    /// Of the key, not of the pane: the least watermark at which anything is due.
    pub(super) deadline: i64,
    pub(super) start: i64,
    pub(super) rows: u64,
    last: RowOrder,
    last_offset: i64,
    /// Number of the pane in columns and rare things.
    pub(super) slot: u32,
    base: i16,
    flags: u16,
    last_source: u16,
    first_source: u16,
    total: i128,
    numbers: u64,
    least: f64,
    largest: f64,
    first: RowOrder,
    first_offset: i64,
}

const _: () = assert!(size_of::<Block>() == 128);

/// A pane that begins as the newest of its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Newest {
    pub(super) start: i64,
    pub(super) slot: u32,
    /// Of the key.
    pub(super) deadline: i64,
}

/// What a pane notes of a row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    pub(super) order: RowOrder,
    pub(super) source: u16,
    pub(super) offset: i64,
}

impl Block {
    pub(super) const EMPTY: Self = Self {
        deadline: i64::MAX,
        start: 0,
        rows: 0,
        last: RowOrder::START,
        last_offset: 0,
        slot: NOWHERE,
        base: Narrow::EMPTY.base,
        flags: 0,
        last_source: 0,
        first_source: 0,
        total: 0,
        numbers: 0,
        least: f64::INFINITY,
        largest: f64::NEG_INFINITY,
        first: RowOrder::START,
        first_offset: 0,
    };

    /// The newest pane of a key, without rows.
    pub(super) const fn newest(newest: Newest) -> Self {
        Self {
            deadline: newest.deadline,
            start: newest.start,
            slot: newest.slot,
            flags: OPEN,
            ..Self::EMPTY
        }
    }

    /// No pane; the key still has its deadline.
    pub(super) const fn gone(deadline: i64) -> Self {
        Self {
            deadline,
            ..Self::EMPTY
        }
    }

    /// Says whether all windows that hold this pane are open.
    pub(super) const fn set_open(&mut self, open: bool) {
        self.flags = if open && self.slot != NOWHERE {
            self.flags | OPEN
        } else {
            self.flags & !OPEN
        };
    }

    pub(super) const fn is_open(&self) -> bool {
        self.flags & OPEN != 0
    }

    /// Whether a row of this time may enter: nothing is due, and it lies in this pane.
    #[inline]
    pub(super) const fn takes(&self, time: i64, watermark: i64, width: i64) -> bool {
        watermark < self.deadline
            && (time.wrapping_sub(self.start) as u64) < width as u64
            && self.is_open()
    }

    /// Becomes the newest pane of a key with its first row in it, all at once: what every row is asked would be guessed wrong for one
    /// that begins a pane. False if the sum of its number needs more room than this.
    #[inline]
    pub(super) fn begin(
        &mut self,
        newest: Newest,
        mark: Mark,
        number: Option<f64>,
        kept: Kept,
    ) -> bool {
        *self = Self {
            rows: 1,
            last: mark.order,
            last_offset: mark.offset,
            last_source: mark.source,
            first: mark.order,
            first_offset: mark.offset,
            first_source: mark.source,
            ..Self::newest(newest)
        };
        let Some(number) = number else {
            return true;
        };
        let Some(sum) = Narrow::of(number) else {
            return self.add(number, kept);
        };
        self.numbers = 1;
        if kept.extremes {
            (self.least, self.largest) = (number, number);
        }
        if kept.sums {
            (self.total, self.base) = (sum.total, sum.base);
        }
        true
    }

    /// Notes a row; `id` is noted by [`Rare::note`] where this says that it is the first or last one.
    #[inline]
    pub(super) fn note(&mut self, mark: Mark) -> (bool, bool) {
        let first = self.rows == 0 || mark.order < self.first;
        if first {
            self.first = mark.order;
            self.first_offset = mark.offset;
            self.first_source = mark.source;
        }
        let last = self.rows == 0 || mark.order >= self.last;
        if last {
            self.last = mark.order;
            self.last_offset = mark.offset;
            self.last_source = mark.source;
        }
        self.rows += 1;
        (first, last)
    }

    /// Takes a row; says whether it is the first or last one, and whether the sum of its number fits.
    #[inline]
    pub(super) fn take(
        &mut self,
        mark: Mark,
        number: Option<f64>,
        kept: Kept,
    ) -> ((bool, bool), bool) {
        let ends = self.note(mark);
        (ends, number.is_none_or(|number| self.add(number, kept)))
    }

    /// Something of both its cache lines.
    pub(super) const fn words(&self) -> u64 {
        self.rows ^ self.numbers
    }

    pub(super) const fn has_ids(&self) -> bool {
        self.flags & IDS != 0
    }

    /// Takes a number of the argument; false if its sum needs more room than this.
    #[inline]
    pub(super) fn add(&mut self, number: f64, kept: Kept) -> bool {
        if kept.extremes {
            // −0.0 equals 0.0: one of them, so that the order of rows does not show.
            let number = number + 0.0;
            self.least = if number < self.least {
                number
            } else {
                self.least
            };
            self.largest = if number > self.largest {
                number
            } else {
                self.largest
            };
        }
        self.numbers += 1;
        if !kept.sums {
            return true;
        }
        let mut sum = self.narrow();
        let fits = self.flags & WIDE == 0 && sum.add(number);
        (self.total, self.base) = (sum.total, sum.base);
        fits
    }

    const fn narrow(&self) -> Narrow {
        Narrow {
            total: self.total,
            base: self.base,
        }
    }
}

/// What of the block's argument is asked for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) sums: bool,
    pub(super) extremes: bool,
}

/// What few panes have.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Rare {
    ids: (Option<Arc<str>>, Option<Arc<str>>),
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct More {
    /// The whole sum, when the block has none.
    wide: ExactSum,
    /// Values that count and are no numbers.
    odd: u64,
    texts: Extremes,
}

impl Rare {
    const NONE: &Self = &Self {
        ids: (None, None),
        more: None,
    };

    /// Keeps the id of the first or last row.
    pub(super) fn note(&mut self, block: &mut Block, ends: (bool, bool), id: Option<&Arc<str>>) {
        if ends.0 {
            self.ids.0 = id.cloned();
        }
        if ends.1 {
            self.ids.1 = id.cloned();
        }
        if self.ids.0.is_some() || self.ids.1.is_some() {
            block.flags |= IDS;
        }
    }

    /// Takes a number into the sum that did not fit into the block.
    pub(super) fn add(&mut self, block: &mut Block, number: f64) {
        self.widen(block).add(number);
    }

    /// The wide sum, with all that the block has.
    fn widen<'a>(&'a mut self, block: &mut Block) -> &'a mut ExactSum {
        let wide = &mut self.more.get_or_insert_default().wide;
        if block.flags & WIDE == 0 {
            wide.merge(&block.narrow().widen());
            block.flags |= WIDE;
            (block.total, block.base) = (0, Narrow::EMPTY.base);
        }
        wide
    }

    /// Counts a value that is no number; keeps it if it is a text.
    pub(super) fn count(&mut self, value: &Value, counts: bool) {
        let more = self.more.get_or_insert_default();
        more.odd += u64::from(counts);
        if let Value::Text(_) = value {
            more.texts.add(value);
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ids.0.is_none() && self.ids.1.is_none() && self.more.is_none()
    }

    pub(super) fn heap_bytes(&self) -> usize {
        let ids = [&self.ids.0, &self.ids.1].into_iter().flatten();
        ids.map(|id| id.len() + 16).sum::<usize>()
            + self.more.as_ref().map_or(0, |more| {
                size_of::<More>() + more.wide.heap_bytes() + more.texts.heap_bytes()
            })
    }
}

/// A pane, or a sum of panes, with what is rare about it.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) block: &'a Block,
    pub(super) rare: &'a Rare,
}

impl<'a> Whole<'a> {
    pub(super) fn new(block: &'a Block, rare: Option<&'a Rare>) -> Self {
        Self {
            block,
            rare: rare.unwrap_or(Rare::NONE),
        }
    }

    pub(super) fn first(&self) -> EventRef {
        EventRef {
            source: self.block.first_source,
            offset: self.block.first_offset,
            id: self.rare.ids.0.clone(),
        }
    }

    pub(super) fn last(&self) -> EventRef {
        EventRef {
            source: self.block.last_source,
            offset: self.block.last_offset,
            id: self.rare.ids.1.clone(),
        }
    }

    fn odd(&self) -> u64 {
        self.rare.more.as_ref().map_or(0, |more| more.odd)
    }

    fn is_wide(&self) -> bool {
        self.block.flags & WIDE != 0
    }

    fn sum(&self) -> ExactSum {
        match &self.rare.more {
            Some(more) if self.is_wide() => more.wide.clone(),
            _ => self.block.narrow().widen(),
        }
    }

    /// The value of a plain aggregate.
    pub(super) fn result(&self, kind: AggregateKind) -> Value {
        let block = self.block;
        match kind {
            AggregateKind::Count => whole(block.numbers + self.odd()),
            AggregateKind::Sum | AggregateKind::Avg if block.numbers == 0 => Value::Missing,
            AggregateKind::Sum if self.is_wide() => Value::number(self.sum().round()),
            AggregateKind::Sum => Value::number(block.narrow().round()),
            AggregateKind::Avg if self.is_wide() => Value::number(self.sum().mean(block.numbers)),
            AggregateKind::Avg => Value::number(block.narrow().mean(block.numbers)),
            _ => {
                let mut extremes = match &self.rare.more {
                    Some(more) => more.texts.clone(),
                    None => Extremes::default(),
                };
                if block.least <= block.largest {
                    extremes.add_number(block.least);
                    extremes.add_number(block.largest);
                }
                extremes.result(kind)
            }
        }
    }
}

/// Several panes put together.
#[derive(Debug)]
pub(super) struct Merged<'a> {
    pub(super) block: &'a mut Block,
    pub(super) rare: &'a mut Rare,
}

impl Merged<'_> {
    /// Takes rows, counts and sum of a pane.
    pub(super) fn roll(&mut self, pane: Whole<'_>) {
        self.block.rows += pane.block.rows;
        self.block.numbers += pane.block.numbers;
        self.combine_sums(pane, 1);
        if pane.odd() > 0 {
            self.rare.more.get_or_insert_default().odd += pane.odd();
        }
    }

    /// Gives rows, counts and sum of a pane back.
    pub(super) fn unroll(&mut self, pane: Whole<'_>) {
        self.block.rows = self.block.rows.saturating_sub(pane.block.rows);
        self.block.numbers = self.block.numbers.saturating_sub(pane.block.numbers);
        self.combine_sums(pane, -1);
        if pane.odd() > 0 {
            let odd = &mut self.rare.more.get_or_insert_default().odd;
            *odd = odd.saturating_sub(pane.odd());
        }
    }

    /// Takes the extremes of a pane; they cannot be given back.
    pub(super) fn stretch(&mut self, pane: Whole<'_>) {
        self.block.least = self.block.least.min(pane.block.least);
        self.block.largest = self.block.largest.max(pane.block.largest);
        if let Some(more) = &pane.rare.more {
            let mine = self.rare.more.get_or_insert_default();
            mine.texts.merge(&more.texts);
        }
    }

    fn combine_sums(&mut self, pane: Whole<'_>, sign: i128) {
        if self.block.flags & WIDE == 0 && !pane.is_wide() {
            let mut sum = self.block.narrow();
            if sum.combine(pane.block.narrow(), sign) {
                (self.block.total, self.block.base) = (sum.total, sum.base);
                return;
            }
        }
        let theirs = pane.sum();
        let wide = self.rare.widen(self.block);
        if sign < 0 {
            wide.unmerge(&theirs);
        } else {
            wide.merge(&theirs);
        }
    }
}
