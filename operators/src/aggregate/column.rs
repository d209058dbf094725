//! [`Column`]: the accumulators of one aggregate for many windows, side by side in slots.

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::{
    Accumulator, AggregateKind, Change, Ends, Extremes, Frame, Middle, Moments, RowOrder, Standing,
    Total, Wide, counted, counted_number,
};

/// Accumulators of one aggregate by slot: as small as the aggregate allows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Column {
    kind: AggregateKind,
    cells: Cells,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Cells {
    Count(Vec<u64>),
    Total(Vec<Total>),
    Moments(Vec<Moments>),
    Extremes(Vec<Extremes>),
    First(Vec<Ends>),
    Last(Vec<Ends>),
    Middle(Vec<Middle>),
    Change(Vec<Change>),
    Standing(Vec<Standing>),
    /// Everything else, made with the first row.
    Wide(Vec<Option<Box<Wide>>>),
}

/// The same work on whatever the cells are.
macro_rules! each {
    ($cells:expr, $list:ident => $work:expr) => {
        match $cells {
            Cells::Count($list) => $work,
            Cells::Total($list) => $work,
            Cells::Moments($list) => $work,
            Cells::Extremes($list) => $work,
            Cells::First($list) | Cells::Last($list) => $work,
            Cells::Middle($list) => $work,
            Cells::Change($list) => $work,
            Cells::Standing($list) => $work,
            Cells::Wide($list) => $work,
        }
    };
}

fn reset<T: Default>(list: &mut [T], slot: u32) {
    if let Some(cell) = list.get_mut(slot as usize) {
        *cell = T::default();
    }
}

/// Takes a value into a cell of a larger aggregate.
fn add_wide(
    list: &mut [Option<Box<Wide>>],
    at: usize,
    kind: AggregateKind,
    (order, value): (RowOrder, &Value),
) {
    if let Some(cell) = list.get_mut(at) {
        if cell.is_none() {
            *cell = Wide::new(kind).map(Box::new);
        }
        if let Some(wide) = cell {
            wide.add(kind, order, value);
        }
    }
}

/// Works on two different cells.
fn with_pair<T>(list: &mut [T], pair: [usize; 2], work: impl FnOnce(&T, &mut T)) {
    if let Ok([from, into]) = list.get_disjoint_mut(pair) {
        work(from, into);
    }
}

impl Column {
    /// No slots yet.
    #[must_use]
    pub fn new(kind: AggregateKind) -> Self {
        let cells = match Accumulator::new(kind) {
            Accumulator::Count(_) => Cells::Count(Vec::new()),
            Accumulator::Total(_) => Cells::Total(Vec::new()),
            Accumulator::Moments(_) => Cells::Moments(Vec::new()),
            Accumulator::Extremes(_) => Cells::Extremes(Vec::new()),
            Accumulator::First(_) => Cells::First(Vec::new()),
            Accumulator::Last(_) => Cells::Last(Vec::new()),
            Accumulator::Middle(_) => Cells::Middle(Vec::new()),
            Accumulator::Change(_) => Cells::Change(Vec::new()),
            Accumulator::Standing(_) => Cells::Standing(Vec::new()),
            Accumulator::Wide(..) => Cells::Wide(Vec::new()),
        };
        Self { kind, cells }
    }

    /// Which aggregate this is.
    #[must_use]
    pub const fn kind(&self) -> AggregateKind {
        self.kind
    }

    /// Adds an empty slot at the end.
    pub fn push(&mut self) {
        each!(&mut self.cells, list => list.push(Default::default()));
    }

    /// Empties a slot.
    pub fn clear(&mut self, slot: u32) {
        each!(&mut self.cells, list => reset(list, slot));
    }

    /// Takes a value into a slot; what the aggregate does not take is skipped.
    pub fn add(&mut self, slot: u32, order: RowOrder, value: &Value) {
        if let Value::Number(number) = value {
            return self.add_number(slot, order, *number);
        }
        let (kind, at) = (self.kind, slot as usize);
        if !kind.takes(value) {
            return;
        }
        match &mut self.cells {
            Cells::Count(list) => {
                if let Some(cell) = list.get_mut(at) {
                    *cell += counted(kind, value);
                }
            }
            Cells::First(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.keep_first(order, value);
                }
            }
            Cells::Last(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.keep_last(order, value);
                }
            }
            Cells::Extremes(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.add(value);
                }
            }
            Cells::Wide(list) => add_wide(list, at, kind, (order, value)),
            Cells::Total(_)
            | Cells::Moments(_)
            | Cells::Middle(_)
            | Cells::Change(_)
            | Cells::Standing(_) => {
                if let Some(number) = value.as_number() {
                    self.add_number(slot, order, number);
                }
            }
        }
    }

    /// Takes a number into a slot; NaN is none.
    #[inline]
    pub fn add_number(&mut self, slot: u32, order: RowOrder, number: f64) {
        if number.is_nan() {
            return;
        }
        let at = slot as usize;
        match &mut self.cells {
            Cells::Count(list) => {
                if let Some(cell) = list.get_mut(at) {
                    *cell += u64::from(counted_number(self.kind, number));
                }
            }
            Cells::Total(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.add(number);
                }
            }
            Cells::Moments(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.add(number);
                }
            }
            Cells::Extremes(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.add_number(number);
                }
            }
            Cells::First(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.keep_first(order, &Value::Number(number));
                }
            }
            Cells::Last(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.keep_last(order, &Value::Number(number));
                }
            }
            Cells::Middle(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.add(order, number);
                }
            }
            Cells::Change(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.add(order, number);
                }
            }
            Cells::Standing(list) => {
                if let Some(cell) = list.get_mut(at) {
                    cell.add(order, number);
                }
            }
            Cells::Wide(list) => {
                let value = Value::Number(number);
                if self.kind.takes(&value) {
                    add_wide(list, at, self.kind, (order, &value));
                }
            }
        }
    }

    /// Takes the numbers of many rows, each into its slot; NaN is none. `order` tells where a row stands, by its index.
    pub fn add_numbers(
        &mut self,
        slots: &[u32],
        numbers: &[f64],
        order: impl Fn(usize) -> RowOrder,
    ) {
        let rows = slots
            .iter()
            .zip(numbers)
            .filter(|(_, number)| !number.is_nan());
        match &mut self.cells {
            Cells::Count(list) if self.kind == AggregateKind::Count => {
                for (slot, _) in rows {
                    if let Some(cell) = list.get_mut(*slot as usize) {
                        *cell += 1;
                    }
                }
            }
            Cells::Total(list) => {
                for (slot, number) in rows {
                    if let Some(cell) = list.get_mut(*slot as usize) {
                        cell.add(*number);
                    }
                }
            }
            _ => {
                for (index, (slot, number)) in slots.iter().zip(numbers).enumerate() {
                    self.add_number(*slot, order(index), *number);
                }
            }
        }
    }

    /// The last value of a slot of an aggregate that looks back.
    #[must_use]
    pub fn last(&self, slot: u32) -> Option<Value> {
        match &self.cells {
            Cells::Last(list) => list.get(slot as usize).map(Ends::value),
            Cells::Wide(list) => {
                let (_, number) = list.get(slot as usize)?.as_deref()?.last()?;
                Some(Value::Number(number))
            }
            _ => None,
        }
        .filter(|value| !value.is_missing())
    }

    /// What a slot of `Last`, or of an aggregate that looks back, holds last, merged into an end.
    pub fn last_into(&self, slot: u32, ends: &mut Ends) {
        let at = slot as usize;
        match &self.cells {
            Cells::Last(list) => list.get(at).into_iter().for_each(|c| ends.merge_last(c)),
            Cells::Wide(list) => {
                let cell = list.get(at).and_then(Option::as_deref);
                if let Some((order, number)) = cell.and_then(Wide::last) {
                    ends.keep_last(order, &Value::Number(number));
                }
            }
            _ => {}
        }
    }

    /// What the slot holds, merged into an accumulator of the same kind.
    pub fn merge_into(&self, slot: u32, total: &mut Accumulator) {
        let at = slot as usize;
        match (&self.cells, total) {
            (Cells::Count(list), Accumulator::Count(total)) => {
                *total += list.get(at).copied().unwrap_or(0);
            }
            (Cells::Total(list), Accumulator::Total(total)) => {
                list.get(at).into_iter().for_each(|cell| total.merge(cell));
            }
            (Cells::Moments(list), Accumulator::Moments(total)) => {
                list.get(at).into_iter().for_each(|cell| total.merge(cell));
            }
            (Cells::Extremes(list), Accumulator::Extremes(total)) => {
                list.get(at).into_iter().for_each(|cell| total.merge(cell));
            }
            (Cells::First(list), Accumulator::First(total)) => {
                list.get(at)
                    .into_iter()
                    .for_each(|cell| total.merge_first(cell));
            }
            (Cells::Last(list), Accumulator::Last(total)) => {
                list.get(at)
                    .into_iter()
                    .for_each(|cell| total.merge_last(cell));
            }
            (Cells::Middle(list), Accumulator::Middle(total)) => {
                list.get(at).into_iter().for_each(|cell| total.merge(cell));
            }
            (Cells::Change(list), Accumulator::Change(total)) => {
                list.get(at).into_iter().for_each(|cell| total.merge(cell));
            }
            (Cells::Standing(list), Accumulator::Standing(total)) => {
                list.get(at).into_iter().for_each(|cell| total.merge(cell));
            }
            (Cells::Wide(list), Accumulator::Wide(kind, total)) => {
                let cell = list.get(at).and_then(Option::as_deref);
                cell.into_iter().for_each(|cell| total.merge(*kind, cell));
            }
            // A column and an accumulator of two kinds have nothing to say to each other.
            _ => {}
        }
    }

    /// Whether what was merged can be taken back exactly.
    #[must_use]
    pub const fn can_roll(&self) -> bool {
        matches!(
            self.cells,
            Cells::Count(_) | Cells::Total(_) | Cells::Moments(_)
        )
    }

    /// Merges one slot into another, if that can be taken back.
    pub fn roll(&mut self, from: u32, into: u32) {
        let pair = [from as usize, into as usize];
        match &mut self.cells {
            Cells::Count(list) => with_pair(list, pair, |from, into| *into += *from),
            Cells::Total(list) => with_pair(list, pair, |from, into| into.merge(from)),
            Cells::Moments(list) => with_pair(list, pair, |from, into| into.merge(from)),
            _ => {}
        }
    }

    /// Takes back what [`Column::roll`] merged.
    pub fn unroll(&mut self, from: u32, into: u32) {
        let pair = [from as usize, into as usize];
        match &mut self.cells {
            Cells::Count(list) => with_pair(list, pair, |from, into| {
                *into = into.saturating_sub(*from);
            }),
            Cells::Total(list) => with_pair(list, pair, |from, into| into.unmerge(from)),
            Cells::Moments(list) => with_pair(list, pair, |from, into| into.unmerge(from)),
            _ => {}
        }
    }

    /// The aggregate over one slot.
    #[must_use]
    pub fn result(&self, slot: u32) -> Value {
        let at = slot as usize;
        match &self.cells {
            Cells::Count(list) => super::whole(list.get(at).copied().unwrap_or(0)),
            Cells::Total(list) => list.get(at).map_or(Value::Missing, |c| c.result(self.kind)),
            Cells::Moments(list) => list.get(at).map_or(Value::Missing, |c| c.result(self.kind)),
            Cells::Extremes(list) => list.get(at).map_or(Value::Missing, |c| c.result(self.kind)),
            Cells::First(list) | Cells::Last(list) => {
                list.get(at).map_or(Value::Missing, Ends::value)
            }
            Cells::Middle(list) => list.get(at).map_or(Value::Missing, Middle::result),
            Cells::Change(list) => list.get(at).map_or(Value::Missing, |c| c.result(self.kind)),
            Cells::Standing(list) => list.get(at).map_or(Value::Missing, Standing::result),
            Cells::Wide(list) => {
                let cell = list.get(at).and_then(Option::as_deref);
                let empty = || Accumulator::new(self.kind).result(self.kind);
                cell.map_or_else(empty, |wide| wide.result(self.kind, &Frame::default()))
            }
        }
    }

    /// Bytes of all slots.
    #[must_use]
    pub fn bytes(&self) -> usize {
        fn all<T>(list: &Vec<T>, heap: impl Fn(&T) -> usize) -> usize {
            list.capacity() * size_of::<T>() + list.iter().map(heap).sum::<usize>()
        }
        match &self.cells {
            Cells::Count(list) => all(list, |_| 0),
            Cells::Total(list) => all(list, Total::heap_bytes),
            Cells::Moments(list) => all(list, Moments::heap_bytes),
            Cells::Extremes(list) => all(list, Extremes::heap_bytes),
            Cells::First(list) | Cells::Last(list) => all(list, Ends::heap_bytes),
            Cells::Middle(list) => all(list, Middle::heap_bytes),
            Cells::Change(list) => all(list, |_| 0),
            Cells::Standing(list) => all(list, Standing::heap_bytes),
            Cells::Wide(list) => all(list, |cell| {
                let cell = cell.as_deref();
                cell.map_or(0, |wide| size_of::<Wide>() + wide.heap_bytes())
            }),
        }
    }
}
