//! Many rows at once: nearly all of them enter the newest pane of their key, which is one place in memory.

use super::{Pane, Paned};
use crate::aggregate::RowOrder;
use crate::window::block::{Mark, Newest};
use crate::window::slots::{at, note_id};
use crate::window::{NumberRows, WindowOutput};

/// Rows whose homes are read together before they are taken.
const TOGETHER: usize = 128;

/// What is still to be done for rows that entered their panes.
#[derive(Debug, Default)]
struct Pending {
    /// First row whose numbers are not in the columns yet.
    first: usize,
    /// Slots of the rows from there on, if there are columns.
    slots: Vec<u32>,
    /// Panes that began and are not in the lists of their keys yet.
    begun: Vec<(u32, Pane)>,
}

/// One row without its values.
#[derive(Clone, Copy)]
struct Entry {
    index: usize,
    key: u32,
    time: i64,
    watermark: i64,
}

impl Paned {
    pub(in crate::window) fn push_numbers(
        &mut self,
        rows: &NumberRows<'_>,
        out: &mut WindowOutput,
    ) {
        let mut pending = Pending::default();
        for from in (0..rows.keys.len()).step_by(TOGETHER) {
            let to = rows.keys.len().min(from + TOGETHER);
            let keys = rows.keys.get(from..to).unwrap_or_default();
            let which = rows.rows.get(from..to).unwrap_or_default();
            std::hint::black_box(self.approach(keys, which, &rows.events.time));
            self.take(rows, (from, to), &mut pending, out);
        }
        self.flush(rows, &mut pending);
    }

    /// Reads a word of each cache line that the next rows need: reads that wait for nothing else wait together. A row of a
    /// new pane sends the one before to its slot; which rows those are nobody can guess, so for others some slot is read as well.
    fn approach(&self, keys: &[u32], rows: &[u32], times: &[i64]) -> u64 {
        let width = self.shape.width;
        let mut all = 0;
        for (key, row) in keys.iter().zip(rows) {
            let Some(home) = self.slots.homes.get(*key as usize) else {
                continue;
            };
            let time = times.get(*row as usize).copied().unwrap_or_default();
            all ^= home.words();
            let begins = time.wrapping_sub(home.start) >= width;
            all ^= self.slots.words(home.slot * u32::from(begins));
        }
        all
    }

    fn take(
        &mut self,
        rows: &NumberRows<'_>,
        (from, to): (usize, usize),
        pending: &mut Pending,
        out: &mut WindowOutput,
    ) {
        let (batch, kept) = (rows.events, self.slots.layout.kept);
        let number = self.slots.layout.number;
        let numbers = number.and_then(|number| rows.columns.get(number));
        let numbers = numbers.and_then(|column| column.get(from..to));
        let simple = self.slots.columns.is_empty();
        let keys = rows.keys.iter().zip(rows.rows).zip(rows.watermarks);
        let keys = keys.enumerate().take(to).skip(from);
        for (index, ((key, row), watermark)) in keys {
            let row = *row as usize;
            let (Some(time), Some(sequence)) = (batch.time.get(row), rows.sequences.get(index))
            else {
                continue;
            };
            let entry = Entry {
                index,
                key: *key,
                time: *time,
                watermark: *watermark,
            };
            let mark = Mark {
                order: RowOrder {
                    time: *time,
                    sequence: *sequence,
                },
                source: batch.source.get(row).copied().unwrap_or_default(),
                offset: batch.offset.get(row).copied().unwrap_or_default(),
            };
            let number = numbers.and_then(|numbers| numbers.get(index - from));
            let number = number.copied().filter(|number| !number.is_nan());
            let begun = if self.is_home(&entry) {
                None
            } else if let Some(newest) = self.begin_pane(&entry, pending) {
                let home = self.slots.turn(*key);
                home.map(|home| home.begin(newest, mark, number, kept))
            } else {
                self.any(rows, entry, pending, out);
                continue;
            };
            let Some(home) = self.slots.homes.get_mut(*key as usize) else {
                continue;
            };
            let (ends, fits) = match begun {
                Some(fits) => ((true, true), fits),
                None => home.take(mark, number, kept),
            };
            if !batch.ids.is_empty() || home.has_ids() {
                let id = batch.event_ref(row).id;
                let home = (home.slot, &mut *home);
                note_id(&mut self.slots.rare, home, ends, id.as_ref());
            }
            if let Some(number) = number.filter(|_| !fits) {
                at(&mut self.slots.rare, home.slot).add(home, number);
            }
            if !simple {
                pending.slots.push(home.slot);
            }
        }
    }

    #[inline]
    fn is_home(&self, entry: &Entry) -> bool {
        let width = self.shape.width;
        let home = self.slots.homes.get(entry.key as usize);
        home.is_some_and(|home| home.takes(entry.time, entry.watermark, width))
    }

    /// The pane of a row that is newer than all panes of its key, if to begin it is all there is to do.
    fn begin_pane(&mut self, entry: &Entry, pending: &mut Pending) -> Option<Newest> {
        let (shape, lateness) = (self.shape, self.lateness());
        let home = self.slots.homes.get(entry.key as usize)?;
        let next = home.start.saturating_add(shape.width);
        if !home.is_open() || entry.time < next || entry.watermark >= home.deadline {
            return None;
        }
        let start = if entry.time.wrapping_sub(next) < shape.width {
            next
        } else {
            shape.floor(entry.time, shape.width)
        };
        // No pane is older than this: else it would be due for release.
        let oldest = home
            .deadline
            .saturating_sub(lateness.saturating_add(shape.size));
        let release = shape.last_end(start).saturating_add(lateness);
        let over = start.saturating_add(shape.width) <= entry.watermark;
        if over || start.saturating_sub(oldest) >= self.reach {
            return None;
        }
        let due = home.deadline.min(shape.first_end(start)).min(release);
        let pane = Pane {
            start,
            slot: self.slots.take(),
        };
        pending.begun.push((entry.key, pane));
        Some(Newest {
            start,
            slot: pane.slot,
            deadline: due,
        })
    }

    /// A row that does not enter the newest pane, or not at once.
    fn any(
        &mut self,
        rows: &NumberRows<'_>,
        entry: Entry,
        pending: &mut Pending,
        out: &mut WindowOutput,
    ) {
        let Entry { index, key, .. } = entry;
        self.list(pending);
        let row = rows.row_key(index);
        let mut arguments = Vec::new();
        if let Some(slot) = self.ordinary(key, &row, entry.watermark) {
            self.slots.note(key, slot, &row);
            let number = self.slots.layout.number;
            let column = number.and_then(|number| rows.columns.get(number));
            let number = column.and_then(|column| column.get(index)).copied();
            if let Some(number) = number.filter(|number| !number.is_nan()) {
                self.slots.add_number(key, slot, number);
            }
            if !self.slots.columns.is_empty() {
                pending.slots.push(slot);
            }
            return;
        }
        // What follows may read or release slots: the columns have to be up to date.
        self.flush(rows, pending);
        pending.first = index + 1;
        rows.arguments(index, &mut arguments);
        let mark = out.mark();
        self.push(key, &row, &arguments, entry.watermark, out);
        out.trigger_since(mark, index);
    }

    /// Brings everything up to date.
    fn flush(&mut self, rows: &NumberRows<'_>, pending: &mut Pending) {
        self.list(pending);
        let (first, slots) = (pending.first, &mut pending.slots);
        let end = first + slots.len();
        let columns = self.slots.columns.iter_mut();
        for (column, (aggregate, _)) in columns.zip(self.slots.layout.columns()) {
            let numbers = rows.columns.get(aggregate);
            let numbers = numbers.and_then(|numbers| numbers.get(first..end));
            column.add_numbers(slots, numbers.unwrap_or_default(), |index| {
                rows.row_key(first + index).order()
            });
        }
        slots.clear();
    }

    /// Puts the panes that began into the lists of their keys: many at once, so that they wait for memory together.
    fn list(&mut self, pending: &mut Pending) {
        for (key, pane) in pending.begun.drain(..) {
            if let Some(state) = self.keys.get_mut(key as usize) {
                state.panes.push(pane);
            }
        }
    }
}
