//! [`Baseline`]: how far a value is from the rows of a span: in standard deviations, from those before it, or from their
//! median.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::WINDOW_ROWS;
use crate::aggregate::Moments;
use crate::along::Against;
use crate::lookback::SortedNumbers;

/// Makes a median deviation that of a normal distribution: its third quartile.
const NORMAL: f64 = 0.674_489_750_196_081_7;

/// The rows of a span and what is known of them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Baseline {
    span: i64,
    rows: VecDeque<(i64, f64)>,
    /// How many of the rows, from the oldest on, are in what is known.
    entered: usize,
    known: Known,
    value: Option<f64>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Known {
    All(Box<Moments>),
    /// Rows of the newest time are not among them.
    Before(Box<Moments>),
    Median(SortedNumbers),
}

impl Known {
    fn enter(&mut self, number: f64) {
        match self {
            Self::All(moments) | Self::Before(moments) => moments.add(number),
            Self::Median(sorted) => sorted.insert(number + 0.0),
        }
    }

    fn leave(&mut self, number: f64) {
        match self {
            Self::All(moments) | Self::Before(moments) => moments.remove(number),
            Self::Median(sorted) => sorted.remove(number + 0.0),
        }
    }

    /// The distance of a number.
    fn distance(&self, number: f64) -> Option<f64> {
        match self {
            Self::All(moments) => moments.zscore(number).as_number(),
            Self::Before(moments) => {
                let deviation = moments.variance()?.sqrt();
                (deviation != 0.0).then_some((number - moments.mean()?) / deviation)
            }
            Self::Median(sorted) => robust(sorted, number),
        }
    }
}

fn robust(sorted: &SortedNumbers, number: f64) -> Option<f64> {
    if sorted.len() < 3 {
        return None;
    }
    let median = sorted.median()?;
    let deviation = sorted.median_distance(median)?;
    if deviation == 0.0 {
        return (number == median).then_some(0.0);
    }
    Some(NORMAL * (number - median) / deviation)
}

impl Baseline {
    pub(crate) fn new(span: i64, against: Against) -> Self {
        Self {
            span,
            rows: VecDeque::new(),
            entered: 0,
            known: match against {
                Against::All => Known::All(Box::default()),
                Against::Before => Known::Before(Box::default()),
                Against::Median => Known::Median(SortedNumbers::default()),
            },
            value: None,
        }
    }

    /// Takes a row and finds its distance.
    pub(crate) fn take(&mut self, time: i64, number: f64) {
        let edge = time.saturating_sub(self.span);
        while let Some((_, old)) = self.rows.pop_front_if(|(at, _)| *at <= edge) {
            self.drop_oldest(old);
        }
        self.rows.push_back((time, number));
        if self.rows.len() > WINDOW_ROWS
            && let Some((_, old)) = self.rows.pop_front()
        {
            self.drop_oldest(old);
        }
        let before = matches!(self.known, Known::Before(_));
        while let Some((at, entering)) = self.rows.get(self.entered) {
            if before && *at >= time {
                break;
            }
            self.known.enter(*entering);
            self.entered += 1;
        }
        self.value = self.known.distance(number);
    }

    fn drop_oldest(&mut self, number: f64) {
        if self.entered > 0 {
            self.known.leave(number);
            self.entered -= 1;
        }
    }

    pub(crate) const fn value(&self) -> Option<f64> {
        self.value
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let known = match &self.known {
            Known::All(moments) | Known::Before(moments) => {
                size_of::<Moments>() + moments.heap_bytes()
            }
            Known::Median(sorted) => sorted.heap_bytes(),
        };
        self.rows.capacity() * size_of::<(i64, f64)>() + known
    }
}
