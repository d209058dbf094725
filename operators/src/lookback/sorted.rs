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

    pub(crate) fn heap_bytes(&self) -> usize {
        let chunks = self.chunks.iter().map(Vec::capacity).sum::<usize>() * size_of::<f64>();
        chunks + self.chunks.capacity() * size_of::<Vec<f64>>()
    }
}
