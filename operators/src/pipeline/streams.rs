//! [`Stream`]: the state behind one stream call, whichever leaf operator it needs.

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;
use tidegate_scripts::{Over, StreamCall, StreamFunction};

use super::sight::Row;
use crate::along::{Against, Along, Function};
use crate::lookback::{
    Held, Lookback, LookbackFunction, LookbackOver, Previous, PreviousFunction, Stale,
};
use crate::plan::slots::StreamPlan;

/// The leaf operator of a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Leaf {
    Lookback(Lookback),
    Previous(Previous),
    Held(Held),
    Since(Held),
    Stale(Stale),
    Along(Along),
}

/// State behind one stream call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Stream {
    /// Place in the table.
    pub(crate) place: usize,
    /// Whether its leaving rows make timer points.
    pub(crate) wakes: bool,
    /// When comparisons of `since` change.
    offsets: Vec<i64>,
    leaf: Leaf,
}

/// The function of a lookback; `None` for calls that are no lookbacks.
fn lookback(call: &StreamCall) -> Option<LookbackFunction> {
    use LookbackFunction as Looks;
    use StreamFunction as F;
    let wide = || crate::plan::aggregates::kind(call).map(Looks::Wide);
    match call.function {
        F::Count => Some(Looks::Count),
        F::CountIf => Some(Looks::CountIf),
        F::Sum => Some(Looks::Sum),
        F::Avg => Some(Looks::Avg),
        F::Min => Some(Looks::Min),
        F::Max => Some(Looks::Max),
        F::Std => Some(Looks::Std),
        F::Var => Some(Looks::Var),
        F::First | F::Last if call.nulls => wide(),
        F::First => Some(Looks::First),
        F::Last => Some(Looks::Last),
        F::Median => Some(Looks::Median),
        F::Spread => Some(Looks::Spread),
        F::Zscore => Some(Looks::Zscore),
        F::Delta => Some(Looks::Delta),
        F::Rate => Some(Looks::Rate),
        F::Changed
        | F::Prev
        | F::Held
        | F::Since
        | F::Stale
        | F::Silent
        | F::Members
        | F::StaleCount
        | F::State(_) => None,
        F::CountDistinct
        | F::ApproxDistinct
        | F::Percentile
        | F::Mode
        | F::Entropy
        | F::Increase
        | F::Integral
        | F::Twa
        | F::Duration
        | F::Slope
        | F::Skew
        | F::Cov
        | F::Corr
        | F::CorrLag
        | F::Collect
        | F::Top
        | F::AngleMean => wide(),
    }
}

fn leaf(call: &StreamCall) -> Leaf {
    let span = match call.over {
        Over::Span(span) => span.0,
        _ => 0,
    };
    let rows = match call.over {
        Over::Rows(rows) => rows,
        _ => 1,
    };
    match (call.function, call.over) {
        (StreamFunction::State(function), _) => Leaf::Along(Along::of_call(function, call)),
        (StreamFunction::Zscore, _) => {
            let against = Against::All;
            Leaf::Along(Along::new(
                Function::Baseline { span, against },
                Some([f64::NAN; 2]),
            ))
        }
        (StreamFunction::Held, _) => Leaf::Held(Held::new(span)),
        (StreamFunction::Since, _) => Leaf::Since(Held::new(span)),
        (StreamFunction::Stale | StreamFunction::Silent, _) => Leaf::Stale(Stale::new(span)),
        (StreamFunction::Prev, _) => Leaf::Previous(Previous::new(PreviousFunction::Prev(rows))),
        (StreamFunction::Changed, _) => Leaf::Previous(Previous::new(PreviousFunction::Changed)),
        (StreamFunction::Delta, Over::Previous) => {
            Leaf::Previous(Previous::new(PreviousFunction::Delta))
        }
        (StreamFunction::Rate, Over::Previous) => {
            Leaf::Previous(Previous::new(PreviousFunction::Rate))
        }
        (_, over) => {
            let over = match over {
                Over::Span(span) => LookbackOver::Span(span.0),
                Over::Rows(rows) => LookbackOver::Rows(rows),
                Over::Window | Over::All | Over::Previous => LookbackOver::All,
            };
            // The calls above are all those that are no lookbacks.
            let function = lookback(call).unwrap_or(LookbackFunction::Count);
            Leaf::Lookback(Lookback::new(function, over))
        }
    }
}

impl Stream {
    /// Empty state for a call at a place.
    pub(crate) fn new(place: usize, wakes: bool, plan: &StreamPlan) -> Self {
        Self {
            place,
            wakes,
            offsets: plan.offsets.clone(),
            leaf: leaf(&plan.call),
        }
    }

    /// Goes on with the state of an equal call.
    pub(crate) fn inherit(&mut self, other: &Self) {
        self.leaf = other.leaf.clone();
    }

    /// The task of a resource begins.
    pub(crate) fn begin(&mut self, resource: u32, time: i64) {
        if let Leaf::Stale(stale) = &mut self.leaf {
            stale.start(resource, time);
        }
    }

    /// Takes the argument of a row.
    pub(crate) fn insert(&mut self, row: &Row, value: &Value) {
        match &mut self.leaf {
            Leaf::Lookback(leaf) => leaf.insert(row.resource, row.time, row.sequence, value),
            Leaf::Previous(leaf) => {
                leaf.insert(row.resource, row.time, row.sequence, value);
            }
            Leaf::Held(leaf) | Leaf::Since(leaf) => {
                let truth = match value {
                    Value::Bool(truth) => Some(*truth),
                    _ => None,
                };
                leaf.insert(row.resource, row.time, truth);
            }
            Leaf::Stale(leaf) => {
                leaf.insert(row.resource, row.time);
            }
            Leaf::Along(leaf) => {
                leaf.insert(row.resource, row.time, value);
            }
        }
    }

    /// The value as of a time.
    pub(crate) fn value(&mut self, resource: u32, at: i64) -> Value {
        match &mut self.leaf {
            Leaf::Lookback(leaf) => leaf.value(resource, at),
            Leaf::Previous(leaf) => leaf.value(resource),
            Leaf::Held(leaf) => Value::Bool(leaf.held(resource, at)),
            Leaf::Since(leaf) => leaf.since(resource, at),
            Leaf::Stale(leaf) => Value::Bool(leaf.stale(resource, at)),
            Leaf::Along(leaf) => leaf.value(resource, at),
        }
    }

    /// Rows behind the value that was asked for last, where rows are kept.
    pub(crate) fn rows(&self, resource: u32) -> Option<u64> {
        match &self.leaf {
            Leaf::Lookback(leaf) => leaf.rows(resource),
            _ => None,
        }
    }

    /// Rows that are kept of all resources.
    pub(crate) fn kept(&self) -> u64 {
        match &self.leaf {
            Leaf::Lookback(leaf) => leaf.kept(),
            _ => 0,
        }
    }

    /// The next time after `after` at which the value changes by itself.
    pub(crate) fn next_change(&self, resource: u32, after: i64) -> Option<i64> {
        match &self.leaf {
            Leaf::Lookback(leaf) => leaf.next_leave(resource).map(|at| at.max(after)),
            Leaf::Previous(_) => None,
            Leaf::Along(leaf) => leaf.next_change(resource, after),
            Leaf::Since(leaf) => {
                let since = leaf.began(resource)?;
                let changes = self
                    .offsets
                    .iter()
                    .map(|offset| since.saturating_add(*offset));
                changes.filter(|change| *change > after).min()
            }
            Leaf::Held(leaf) => leaf.next_change(resource, after),
            Leaf::Stale(leaf) => leaf.next_change(resource, after),
        }
    }

    /// Rows of a resource that were skipped because they were older than the last one.
    pub(crate) fn out_of_order(&self, resource: u32) -> u64 {
        match &self.leaf {
            Leaf::Lookback(_) | Leaf::Stale(_) => 0,
            Leaf::Previous(leaf) => leaf.out_of_order(resource),
            Leaf::Held(leaf) | Leaf::Since(leaf) => leaf.out_of_order(resource),
            Leaf::Along(leaf) => leaf.out_of_order(resource),
        }
    }

    /// Lets a resource go.
    pub(crate) fn forget(&mut self, resource: u32) {
        match &mut self.leaf {
            Leaf::Lookback(leaf) => leaf.forget(resource),
            Leaf::Previous(leaf) => leaf.forget(resource),
            Leaf::Held(leaf) | Leaf::Since(leaf) => leaf.forget(resource),
            Leaf::Stale(leaf) => leaf.forget(resource),
            Leaf::Along(leaf) => leaf.forget(resource),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match &self.leaf {
            Leaf::Lookback(leaf) => leaf.bytes(),
            Leaf::Previous(leaf) => leaf.bytes(),
            Leaf::Held(leaf) | Leaf::Since(leaf) => leaf.bytes(),
            Leaf::Stale(leaf) => leaf.bytes(),
            Leaf::Along(leaf) => leaf.bytes(),
        }
    }
}
