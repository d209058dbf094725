//! [`Layout`]: where the aggregates of a rule lie. The plain ones of one argument share the block of a pane; all others
//! have a column of their own.

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

use super::block::Kept;
use super::{Argument, WindowSpec};
use crate::aggregate::AggregateKind;

/// Where one aggregate lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Place {
    /// It is the number of rows.
    Rows,
    /// In the block.
    Block,
    /// In a column of its own.
    Column(u32),
}

/// Where all aggregates lie.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Layout {
    kinds: Vec<AggregateKind>,
    pub(super) places: Vec<Place>,
    pub(super) kept: Kept,
    /// The aggregate whose value is the block's number.
    pub(super) number: Option<usize>,
    /// The aggregate that counts what is no number as well.
    counter: Option<usize>,
}

const fn is_plain(kind: AggregateKind) -> bool {
    use AggregateKind::{Avg, Count, Max, Min, Spread, Sum};
    matches!(kind, Count | Sum | Avg | Min | Max | Spread)
}

impl Layout {
    /// The block is for the first argument that is asked for more than its count.
    pub(super) fn new(spec: &WindowSpec) -> Self {
        let argument = |index: usize| spec.arguments.get(index).copied();
        let plain = |count: bool| {
            let kinds = spec.aggregates.iter().enumerate();
            let mut plain = kinds.filter(move |(index, kind)| {
                is_plain(**kind)
                    && (**kind == AggregateKind::Count) == count
                    && argument(*index) != Some(Argument::Row)
            });
            plain.next().map(|(index, _)| index)
        };
        let chosen = plain(false).or_else(|| plain(true));
        let mut columns = 0_u32..;
        let kinds = spec.aggregates.iter().enumerate();
        let places = kinds.map(|(index, kind)| {
            let shares = chosen.is_some_and(|chosen| {
                index == chosen || argument(index).is_some() && argument(index) == argument(chosen)
            });
            match argument(index) {
                Some(Argument::Row) if *kind == AggregateKind::Count => Place::Rows,
                _ if is_plain(*kind) && shares => Place::Block,
                _ => Place::Column(columns.next().unwrap_or_default()),
            }
        });
        Self::of(spec.aggregates.clone(), places.collect())
    }

    /// These aggregates at these places.
    pub(super) fn of(kinds: Vec<AggregateKind>, places: Vec<Place>) -> Self {
        let held = |wanted: &dyn Fn(AggregateKind) -> bool| {
            let mut all = kinds.iter().zip(&places);
            all.position(|(kind, place)| *place == Place::Block && wanted(*kind))
        };
        use AggregateKind::{Avg, Count, Max, Min, Spread, Sum};
        let sums = held(&|kind| matches!(kind, Sum | Avg));
        let extremes = held(&|kind| matches!(kind, Min | Max | Spread));
        let counter = held(&|kind| kind == Count);
        Self {
            kept: Kept {
                sums: sums.is_some(),
                extremes: extremes.is_some(),
            },
            number: extremes.or(sums).or(counter),
            counter,
            kinds,
            places,
        }
    }

    /// Aggregates with their places.
    pub(super) fn each(&self) -> impl Iterator<Item = (AggregateKind, Place)> {
        self.kinds.iter().copied().zip(self.places.iter().copied())
    }

    /// The aggregates that have columns, in the order of those.
    pub(super) fn columns(&self) -> impl Iterator<Item = (usize, AggregateKind)> {
        let each = self.each().enumerate();
        each.filter_map(|(index, (kind, place))| match place {
            Place::Column(_) => Some((index, kind)),
            _ => None,
        })
    }

    /// The block's number of a row.
    pub(super) fn number_of(&self, arguments: &[Value]) -> Option<f64> {
        let value = arguments.get(self.number?)?;
        let takes = AggregateKind::Sum.takes(value);
        value.as_number().filter(|_| takes)
    }

    /// A value of a row that is no number and yet concerns the block, and whether it counts.
    pub(super) fn odd_of<'a>(&self, arguments: &'a [Value]) -> Option<(&'a Value, bool)> {
        let counted = self.counter.and_then(|counter| arguments.get(counter));
        let counts = counted.is_some_and(|value| AggregateKind::Count.takes(value));
        let value = arguments.get(self.number?)?;
        let text = self.kept.extremes && matches!(value, Value::Text(_));
        (counts || text).then_some((value, counts))
    }
}
