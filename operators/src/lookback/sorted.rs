//! [`SortedNumbers`]: numbers in order with cheap insertion, removal and rank, for medians that slide.

use serde::{Deserialize, Serialize};

/// A chunk is split in two when it grows beyond this.
const CHUNK: usize = 512;

/// A multiset of numbers: chunks of rising numbers, none empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SortedNumbers {
    chunks: Vec<Vec<f64>>,
    len: usize,
}

impl SortedNumbers {
    fn chunk_of(&self, number: f64) -> usize {
        self.chunks
            .partition_point(|chunk| chunk.last().is_some_and(|last| *last < number))
    }

    pub(crate) fn insert(&mut self, number: f64) {
        let at = self
            .chunk_of(number)
            .min(self.chunks.len().saturating_sub(1));
        let Some(chunk) = self.chunks.get_mut(at) else {
            self.chunks.push(vec![number]);
            self.len = 1;
            return;
        };
        let place = chunk.partition_point(|known| *known < number);
        chunk.insert(place, number);
        self.len += 1;
        if chunk.len() > CHUNK {
            let upper = chunk.split_off(CHUNK / 2);
            self.chunks.insert(at + 1, upper);
        }
    }

    /// Removes one occurrence of a number, if there is one.
    pub(crate) fn remove(&mut self, number: f64) {
        let at = self.chunk_of(number);
        let Some(chunk) = self.chunks.get_mut(at) else {
            return;
        };
        let place = chunk.partition_point(|known| *known < number);
        if chunk.get(place) == Some(&number) {
            chunk.remove(place);
            self.len -= 1;
            if chunk.is_empty() {
                self.chunks.remove(at);
            }
        }
    }

    fn at(&self, mut rank: usize) -> Option<f64> {
        for chunk in &self.chunks {
            if rank < chunk.len() {
                return chunk.get(rank).copied();
            }
            rank -= chunk.len();
        }
        None
    }

    /// The middle number, the mean of two for an even count.
    pub(crate) fn median(&self) -> Option<f64> {
        let upper = self.at(self.len / 2)?;
        if self.len % 2 == 1 {
            return Some(upper);
        }
        let lower = self.at((self.len / 2).checked_sub(1)?)?;
        Some(crate::aggregate::middle_of(lower, upper))
    }

    /// The number below which so many percent lie.
    pub(crate) fn percentile(&self, percent: f64) -> Option<f64> {
        if percent == 50.0 {
            return self.median();
        }
        crate::aggregate::percentile_of(percent, self.len, |rank| self.at(rank))
    }

    /// How many numbers there are.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The middle of the distances of all numbers from one, the mean of two for an even count.
    pub(crate) fn median_distance(&self, from: f64) -> Option<f64> {
        let below = self.rank(from);
        let upper = self.nearest(from, below, self.len / 2)?;
        if self.len % 2 == 1 {
            return Some(upper);
        }
        let lower = self.nearest(from, below, (self.len / 2).checked_sub(1)?)?;
        Some(crate::aggregate::middle_of(lower, upper))
    }

    /// How many numbers are less.
    fn rank(&self, number: f64) -> usize {
        let at = self.chunk_of(number);
        let before: usize = self.chunks.iter().take(at).map(Vec::len).sum();
        let inside = self.chunks.get(at);
        before + inside.map_or(0, |chunk| chunk.partition_point(|known| *known < number))
    }

    /// The distance with a rank: distances rise to both sides of the place `below`, so the answer is where so many of the
    /// left side and the rest of the right side are the least.
    fn nearest(&self, from: f64, below: usize, rank: usize) -> Option<f64> {
        let left = |count: usize| self.at(below - count).map(|number| from - number);
        let right = |count: usize| self.at(below + count - 1).map(|number| number - from);
        let wanted = rank + 1;
        // How many of the left side are among the wanted ones: the least count whose next is no nearer than what it saves.
        let (mut least, mut most) = (wanted.saturating_sub(self.len - below), wanted.min(below));
        while least < most {
            let middle = usize::midpoint(least, most);
            if left(middle + 1)? < right(wanted - middle)? {
                least = middle + 1;
            } else {
                most = middle;
            }
        }
        let left = if least > 0 { left(least) } else { None };
        let right = if wanted > least {
            right(wanted - least)
        } else {
            None
        };
        match (left, right) {
            (Some(left), Some(right)) => Some(left.max(right)),
            (left, right) => left.or(right),
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Vec::capacity).sum::<usize>() * size_of::<f64>();
        chunks + self.chunks.capacity() * size_of::<Vec<f64>>()
    }
}
