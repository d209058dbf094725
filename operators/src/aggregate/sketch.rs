//! [`Sketch`]: HyperLogLog with 2^14 registers over XXH3-64 and Ertl's improved raw estimator.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_proto::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::tally::Discrete;

/// Bits of the hash that choose a register.
const INDEX_BITS: u32 = 14;
const REGISTERS: usize = 1 << INDEX_BITS;
/// Greatest rank: the bits that are left, and one.
const MOST: usize = 64 - INDEX_BITS as usize + 1;
/// Registers in use beyond which they lie side by side.
const SPARSE: usize = 1_024;

/// Which hashes came, in at most 16 KiB.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Sketch {
    /// Few registers in use.
    Sparse(BTreeMap<u16, u8>),
    /// All registers.
    Dense(Vec<u8>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self::Sparse(BTreeMap::new())
    }
}

fn hash(value: &Discrete) -> u64 {
    let mut bytes: Vec<u8> = Vec::with_capacity(16);
    match value {
        Discrete::Bool(flag) => bytes.extend([b'b', u8::from(*flag)]),
        Discrete::Number(_) => {
            bytes.push(b'n');
            bytes.extend(value.number().to_le_bytes());
        }
        Discrete::Text(text) => {
            bytes.push(b't');
            bytes.extend(text.as_bytes());
        }
    }
    xxh3_64(&bytes)
}

impl Sketch {
    /// Takes a value.
    pub(crate) fn add(&mut self, value: &Discrete) {
        let hash = hash(value);
        let register = (hash >> (64 - INDEX_BITS)) as u16;
        let rank = ((hash << INDEX_BITS).leading_zeros() + 1).min(MOST as u32);
        self.raise(register, rank as u8);
    }

    /// Takes any value that can be told from others.
    pub fn add_value(&mut self, value: &Value) {
        if let Some(value) = Discrete::of(value) {
            self.add(&value);
        }
    }

    fn raise(&mut self, register: u16, rank: u8) {
        match self {
            Self::Dense(registers) => {
                if let Some(known) = registers.get_mut(usize::from(register)) {
                    *known = rank.max(*known);
                }
            }
            Self::Sparse(registers) => {
                let known = registers.entry(register).or_default();
                *known = rank.max(*known);
                if registers.len() > SPARSE {
                    let mut dense = vec![0; REGISTERS];
                    for (register, rank) in registers {
                        if let Some(cell) = dense.get_mut(usize::from(*register)) {
                            *cell = *rank;
                        }
                    }
                    *self = Self::Dense(dense);
                }
            }
        }
    }

    /// Takes what another took.
    pub fn merge(&mut self, other: &Self) {
        match other {
            Self::Sparse(registers) => {
                for (register, rank) in registers {
                    self.raise(*register, *rank);
                }
            }
            Self::Dense(registers) => {
                for (register, rank) in (0..).zip(registers).filter(|(_, rank)| **rank > 0) {
                    self.raise(register, *rank);
                }
            }
        }
    }

    /// How many different values, about.
    #[must_use]
    pub fn result(&self) -> Value {
        let mut ranks = [0_u32; MOST + 1];
        let mut note = |rank: u8, times: u32| {
            if let Some(count) = ranks.get_mut(usize::from(rank)) {
                *count += times;
            }
        };
        match self {
            Self::Dense(registers) => registers.iter().for_each(|rank| note(*rank, 1)),
            Self::Sparse(registers) => {
                registers.values().for_each(|rank| note(*rank, 1));
                note(0, (REGISTERS - registers.len()) as u32);
            }
        }
        Value::Int(estimate(&ranks).round() as i64)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Sparse(registers) => registers.len() * 16,
            Self::Dense(registers) => registers.capacity(),
        }
    }
}

/// Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6.
fn estimate(ranks: &[u32; MOST + 1]) -> f64 {
    let size = REGISTERS as f64;
    let [empty, inner @ .., full] = ranks;
    let mut total = size * tau(1.0 - f64::from(*full) / size);
    for count in inner.iter().rev() {
        total = 0.5 * (total + f64::from(*count));
    }
    total += size * sigma(f64::from(*empty) / size);
    size * size / (2.0 * std::f64::consts::LN_2 * total)
}

fn sigma(share: f64) -> f64 {
    if share == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

fn tau(share: f64) -> f64 {
    if share == 0.0 || share == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}
