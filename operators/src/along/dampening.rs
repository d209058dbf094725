//! [`Dampening`]: n of the last m evaluations; [`Times`]: how often a condition turned true.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;

/// Moments that one key keeps; beyond it the oldest leaves.
const MOMENTS: usize = 100_000;

/// Whether a condition is true and was in at least `needed` of the last `of` evaluations. Unknown ones never come here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dampening {
    needed: u32,
    of: u32,
    /// Evaluations so far.
    count: u64,
    /// Numbers of the newest evaluations that were true, at most `needed`.
    trues: VecDeque<u64>,
    current: bool,
}

impl Dampening {
    pub(crate) const fn new(needed: u32, of: u32) -> Self {
        Self {
            needed,
            of,
            count: 0,
            trues: VecDeque::new(),
            current: false,
        }
    }

    /// Takes an evaluation.
    pub(crate) fn take(&mut self, truth: bool) {
        self.count += 1;
        self.current = truth;
        if truth {
            if self.trues.len() >= self.needed as usize {
                self.trues.pop_front();
            }
            self.trues.push_back(self.count);
        } else if self.needed == self.of {
            self.trues.clear();
        }
    }

    /// Whether enough of the last evaluations were true, and the last one is.
    pub(crate) fn is_true(&self) -> bool {
        let reach = self.count.saturating_sub(u64::from(self.of));
        self.current
            && self.trues.len() >= self.needed as usize
            && self.trues.front().is_some_and(|first| *first > reach)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.trues.capacity() * size_of::<u64>()
    }
}

/// The moments at which a condition turned true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Times {
    span: i64,
    was: bool,
    moments: VecDeque<i64>,
}

impl Times {
    pub(crate) const fn new(span: i64) -> Self {
        Self {
            span,
            was: false,
            moments: VecDeque::new(),
        }
    }

    pub(crate) fn take(&mut self, time: i64, truth: bool) {
        if truth && !self.was {
            if self.moments.len() >= MOMENTS {
                self.moments.pop_front();
            }
            self.moments.push_back(time);
        }
        self.was = truth;
    }

    /// How many of them lie in `(at − span, at]`; those before leave for good.
    pub(crate) fn value(&mut self, at: i64) -> Value {
        let edge = at.saturating_sub(self.span);
        while self
            .moments
            .pop_front_if(|moment| *moment <= edge)
            .is_some()
        {}
        Value::Int(i64::try_from(self.moments.len()).unwrap_or(i64::MAX))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.moments.capacity() * size_of::<i64>()
    }
}
