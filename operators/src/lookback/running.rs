//! [`Running`]: an aggregate whose rows enter in any order and leave oldest first, in amortised constant time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::sorted::SortedNumbers;
use crate::aggregate::{
    Accumulator, AggregateKind, COLLECTED, Ends, Frame, Moments, RowOrder, Standing, Total, Wide,
    change, counted, percent, unwrapped, whole,
};

/// What one sliding aggregate remembers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Running {
    Count(u64),
    Total(Total),
    Moments(Box<Moments>),
    Extremes(Box<RunningExtremes>),
    /// `First`, `Last`, `Delta` and `Rate`: all values by row order.
    Ends(BTreeMap<RowOrder, Value>),
    /// `Latest`: the last value that ever entered.
    Latest(Ends),
    Middle(SortedNumbers),
    Standing(Box<Standing>),
    Wide(Box<Wide>),
    /// Nothing: the rows themselves answer.
    Nothing,
}

/// Candidates for the extremes: of the rows still inside, those that no later row outdoes. Text is counted apart.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RunningExtremes {
    /// Rising by row and by value.
    least: VecDeque<(RowOrder, f64)>,
    /// Rising by row, falling by value.
    largest: VecDeque<(RowOrder, f64)>,
    texts: BTreeMap<Arc<str>, u32>,
}

/// Enters a row into candidates; `beats(a, b)`: a row with `a` outdoes an older one with `b`.
fn enter_candidate(
    candidates: &mut VecDeque<(RowOrder, f64)>,
    order: RowOrder,
    number: f64,
    beats: impl Fn(f64, f64) -> bool,
) {
    let place = candidates.partition_point(|(known, _)| *known < order);
    if candidates
        .get(place)
        .is_some_and(|(_, later)| beats(*later, number))
    {
        return;
    }
    let kept = candidates
        .range(..place)
        .rev()
        .take_while(|(_, older)| beats(number, *older))
        .count();
    let from = place - kept;
    candidates.drain(from..place);
    candidates.insert(from, (order, number));
}

fn leave_candidate(candidates: &mut VecDeque<(RowOrder, f64)>, order: RowOrder) {
    while candidates.front().is_some_and(|(known, _)| *known <= order) {
        candidates.pop_front();
    }
}

impl RunningExtremes {
    fn enter(&mut self, kind: AggregateKind, order: RowOrder, value: &Value) {
        if let Value::Text(text) = value {
            *self.texts.entry(Arc::clone(text)).or_default() += 1;
        }
        let Some(number) = value.as_number().map(|number| number + 0.0) else {
            return;
        };
        if kind != AggregateKind::Max {
            enter_candidate(&mut self.least, order, number, |a, b| a <= b);
        }
        if kind != AggregateKind::Min {
            enter_candidate(&mut self.largest, order, number, |a, b| a >= b);
        }
    }

    fn leave(&mut self, order: RowOrder, value: &Value) {
        if let Value::Text(text) = value
            && let Some(count) = self.texts.get_mut(text)
        {
            *count -= 1;
            if *count == 0 {
                self.texts.remove(text);
            }
        }
        leave_candidate(&mut self.least, order);
        leave_candidate(&mut self.largest, order);
    }

    fn result(&self, kind: AggregateKind) -> Value {
        let least = self.least.front().map(|(_, number)| *number);
        let largest = self.largest.front().map(|(_, number)| *number);
        let mut texts = self.texts.keys();
        let text =
            |text: Option<&Arc<str>>| text.map_or(Value::Missing, |t| Value::Text(t.clone()));
        match (kind, least, largest) {
            (AggregateKind::Min, Some(least), _) => Value::Number(least),
            (AggregateKind::Max, _, Some(largest)) => Value::Number(largest),
            (AggregateKind::Spread, Some(least), Some(largest)) => Value::number(largest - least),
            (AggregateKind::Min, ..) => text(texts.next()),
            (AggregateKind::Max, ..) => text(texts.next_back()),
            _ => Value::Missing,
        }
    }
}

impl Running {
    pub(crate) fn new(kind: AggregateKind) -> Self {
        if let Some(wide) = Wide::running(kind) {
            return Self::Wide(Box::new(wide));
        }
        match kind {
            AggregateKind::Count | AggregateKind::CountIf => Self::Count(0),
            AggregateKind::Sum | AggregateKind::Avg => Self::Total(Total::default()),
            AggregateKind::Std | AggregateKind::Var => Self::Moments(Box::default()),
            AggregateKind::Min | AggregateKind::Max | AggregateKind::Spread => {
                Self::Extremes(Box::default())
            }
            AggregateKind::First
            | AggregateKind::Last
            | AggregateKind::Delta
            | AggregateKind::Rate => Self::Ends(BTreeMap::new()),
            AggregateKind::Latest => Self::Latest(Ends::default()),
            AggregateKind::Median | AggregateKind::Percentile(_) => {
                Self::Middle(SortedNumbers::default())
            }
            AggregateKind::Zscore => Self::Standing(Box::default()),
            // Collected, largest and the ends with `()`: the rows themselves.
            _ => Self::Ends(BTreeMap::new()),
        }
    }

    /// Says which value was in force before the first row.
    pub(crate) fn carry(&mut self, order: RowOrder, value: &Value) {
        if let Self::Wide(wide) = self {
            wide.carry(order, value);
        }
    }

    /// Takes the value of a row; what the aggregate does not take is skipped.
    pub(crate) fn enter(&mut self, kind: AggregateKind, order: RowOrder, value: &Value) {
        if !kind.takes(value) {
            return;
        }
        match self {
            Self::Count(count) => *count += counted(kind, value),
            Self::Extremes(extremes) => extremes.enter(kind, order, value),
            Self::Ends(rows) => {
                rows.insert(order, value.clone());
            }
            Self::Latest(ends) => ends.keep_last(order, value),
            Self::Wide(wide) => wide.enter(kind, order, value),
            Self::Total(_)
            | Self::Moments(_)
            | Self::Middle(_)
            | Self::Standing(_)
            | Self::Nothing => match (self, value.as_number()) {
                (Self::Total(total), Some(number)) => total.add(number),
                (Self::Moments(moments), Some(number)) => moments.add(number),
                (Self::Middle(sorted), Some(number)) => sorted.insert(number + 0.0),
                (Self::Standing(standing), Some(number)) => standing.add(order, number),
                _ => {}
            },
        }
    }

    /// Gives back the value of the oldest row inside.
    pub(crate) fn leave(&mut self, kind: AggregateKind, order: RowOrder, value: &Value) {
        if !kind.takes(value) {
            return;
        }
        match self {
            Self::Count(count) => *count = count.saturating_sub(counted(kind, value)),
            Self::Extremes(extremes) => extremes.leave(order, value),
            Self::Ends(rows) => {
                rows.remove(&order);
            }
            Self::Wide(wide) => wide.leave(kind, order, value),
            Self::Total(_) | Self::Moments(_) | Self::Middle(_) | Self::Standing(_) => {
                match (self, value.as_number()) {
                    (Self::Total(total), Some(number)) => total.remove(number),
                    (Self::Moments(moments), Some(number)) => moments.remove(number),
                    (Self::Middle(sorted), Some(number)) => sorted.remove(number + 0.0),
                    (Self::Standing(standing), Some(number)) => standing.remove_oldest(number),
                    _ => {}
                }
            }
            // The latest value stays, whatever its age.
            Self::Latest(_) | Self::Nothing => {}
        }
    }

    /// The aggregate over the rows inside, in a window from `start` to `end`.
    pub(crate) fn result(&self, kind: AggregateKind, (start, end): (i64, i64)) -> Value {
        match self {
            Self::Count(count) => whole(*count),
            Self::Total(total) => total.result(kind),
            Self::Moments(moments) => moments.result(kind),
            Self::Extremes(extremes) => extremes.result(kind),
            Self::Ends(rows) if matches!(kind, AggregateKind::Delta | AggregateKind::Rate) => {
                change_over(kind, rows)
            }
            Self::Ends(rows) if !matches!(kind, AggregateKind::First | AggregateKind::Last) => {
                of_rows(kind, rows)
            }
            Self::Ends(rows) => {
                let row = if kind == AggregateKind::First {
                    rows.first_key_value()
                } else {
                    rows.last_key_value()
                };
                row.map_or(Value::Missing, |(_, value)| value.clone())
            }
            Self::Latest(ends) => ends.value(),
            Self::Middle(sorted) => sorted
                .percentile(percent(kind))
                .map_or(Value::Missing, Value::number),
            Self::Standing(standing) => standing.result(),
            Self::Wide(wide) => {
                let carried = None;
                let frame = Frame {
                    start,
                    end,
                    carried,
                };
                wide.result(kind, &frame)
            }
            Self::Nothing => Value::Missing,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Count(_) | Self::Nothing => 0,
            Self::Total(total) => total.heap_bytes(),
            Self::Moments(moments) => size_of::<Moments>() + moments.heap_bytes(),
            Self::Extremes(extremes) => {
                let candidates = extremes.least.capacity() + extremes.largest.capacity();
                size_of::<RunningExtremes>()
                    + candidates * size_of::<(RowOrder, f64)>()
                    + extremes
                        .texts
                        .keys()
                        .map(|text| text.len() + 64)
                        .sum::<usize>()
            }
            Self::Ends(rows) => rows.len() * 2 * size_of::<(RowOrder, Value)>(),
            Self::Latest(ends) => ends.heap_bytes(),
            Self::Middle(sorted) => sorted.heap_bytes(),
            Self::Standing(standing) => size_of::<Standing>() + standing.heap_bytes(),
            Self::Wide(wide) => size_of::<Wide>() + wide.heap_bytes(),
        }
    }
}

/// What is made of all rows when it is read.
fn of_rows(kind: AggregateKind, rows: &BTreeMap<RowOrder, Value>) -> Value {
    match kind {
        AggregateKind::FirstNulls => rows.values().next().map(unwrapped).unwrap_or_default(),
        AggregateKind::LastNulls => rows.values().next_back().map(unwrapped).unwrap_or_default(),
        _ => {
            let mut all = Accumulator::new(kind);
            let most = if matches!(kind, AggregateKind::Top(_)) {
                rows.len()
            } else {
                COLLECTED
            };
            for (order, value) in rows.iter().take(most) {
                all.add(kind, *order, value);
            }
            all.result(kind)
        }
    }
}

/// `delta` or `rate` from the first of these rows to the last.
fn change_over(kind: AggregateKind, rows: &BTreeMap<RowOrder, Value>) -> Value {
    let point = |row: Option<(&RowOrder, &Value)>| {
        let (order, value) = row?;
        Some((*order, value.as_number()?))
    };
    match (point(rows.first_key_value()), point(rows.last_key_value())) {
        (Some(first), Some(last)) => change(kind, first, last),
        _ => Value::Missing,
    }
}
