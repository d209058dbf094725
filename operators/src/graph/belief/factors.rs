//! [`Factor`]s of a net: weights over variables, and the hidden variables of gates over many parents.

use tidegate_proto::graph::GateForm;

use super::MOST_JOINT;
use crate::graph::net::{GateNode, Hits};

/// Weights over some variables, the last one fastest.
#[derive(Clone, Debug)]
pub(super) struct Factor {
    pub(super) of: Vec<usize>,
    pub(super) weights: Vec<u64>,
}

/// All assignments of variables within ranges, the last one fastest.
pub(super) struct Odometer {
    pub(super) at: Vec<usize>,
    ranges: Vec<(usize, usize)>,
    pub(super) done: bool,
}

impl Odometer {
    pub(super) fn new(ranges: Vec<(usize, usize)>) -> Self {
        Self {
            at: ranges.iter().map(|(from, _)| *from).collect(),
            done: ranges.iter().any(|(from, to)| from >= to),
            ranges,
        }
    }

    pub(super) fn step(&mut self) {
        for (at, (from, to)) in self.at.iter_mut().zip(&self.ranges).rev() {
            *at += 1;
            if *at < *to {
                return;
            }
            *at = *from;
        }
        self.done = true;
    }
}

/// Places of variables among others.
pub(super) fn places(of: &[usize], among: &[usize]) -> Vec<usize> {
    let place = |variable: &usize| among.iter().position(|known| known == variable);
    of.iter().map(|v| place(v).unwrap_or_default()).collect()
}

/// The index of an assignment in a table over some of its variables.
pub(super) fn index(at: &[usize], places: &[usize], sizes: &[usize]) -> usize {
    let mut index = 0;
    for (place, size) in places.iter().zip(sizes) {
        index = index * size + at.get(*place).copied().unwrap_or_default();
    }
    index
}

/// Takes the greatest common divisor out of weights, which keeps the numbers small.
pub(super) fn reduced(mut weights: Vec<u64>) -> Vec<u64> {
    let mut divisor = 0_u64;
    for weight in &weights {
        let (mut a, mut b) = (divisor, *weight);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        divisor = a;
    }
    if divisor > 1 {
        weights.iter_mut().for_each(|weight| *weight /= divisor);
    }
    weights
}

/// Factors of a net, with hidden variables for gates over many parents.
pub(super) struct Builder {
    pub(super) sizes: Vec<usize>,
    pub(super) factors: Vec<Factor>,
}

impl Builder {
    fn table(&mut self, of: Vec<usize>, weight: impl Fn(&[usize]) -> u64) {
        let ranges = of.iter().map(|v| (0, self.size(*v))).collect();
        let mut odometer = Odometer::new(ranges);
        let mut weights = Vec::new();
        while !odometer.done {
            weights.push(weight(&odometer.at));
            odometer.step();
        }
        self.factors.push(Factor { of, weights });
    }

    fn size(&self, variable: usize) -> usize {
        self.sizes.get(variable).copied().unwrap_or(1)
    }

    pub(super) fn gate(&mut self, node: usize, gate: &GateNode) -> Result<(), usize> {
        let single = gate.combinations.first();
        let Some(hits) = single.filter(|_| gate.combinations.len() == 1) else {
            let states = gate.of.iter().map(|parent| self.size(*parent));
            let states = states.fold(2, usize::saturating_mul);
            if states > MOST_JOINT {
                return Err(states);
            }
            let mut of = gate.of.clone();
            of.push(node);
            let looked = gate.clone();
            self.table(of, move |at| {
                let (own, parents) = at.split_last().unwrap_or((&0, &[]));
                let parents: Vec<Option<u16>> = parents
                    .iter()
                    .map(|state| u16::try_from(*state).ok())
                    .collect();
                u64::from(looked.state(&parents).map(usize::from) == Some(*own))
            });
            return Ok(());
        };
        self.chain(node, gate, hits);
        Ok(())
    }

    /// A gate with one combination: hits are counted along a chain, as far as the gate can tell counts apart.
    fn chain(&mut self, node: usize, gate: &GateNode, hits: &[Hits]) {
        let looked = gate.of.iter().zip(hits);
        let looked: Vec<(usize, Vec<bool>)> = looked
            .filter_map(|(parent, hits)| Some((*parent, hits.clone()?)))
            .collect();
        let count = looked.len();
        // What counts: for all, whether none has missed; for odd, the parity; else the hits so far, up to a limit.
        let (size, form) = match gate.form {
            GateForm::All | GateForm::Any | GateForm::Odd => (2, gate.form),
            GateForm::AtLeast(k) => (k as usize + 1, gate.form),
            GateForm::Exactly(k) => (k as usize + 2, gate.form),
        };
        let begin = usize::from(form == GateForm::All);
        let next = move |so_far: usize, hit: bool| match form {
            GateForm::All => usize::from(so_far == 1 && hit),
            GateForm::Any => usize::from(so_far == 1 || hit),
            GateForm::Odd => (so_far + usize::from(hit)) % 2,
            GateForm::AtLeast(_) | GateForm::Exactly(_) => {
                (so_far + usize::from(hit)).min(size - 1)
            }
        };
        let flipped = gate.hits_are_false;
        let last = move |so_far: usize| {
            let hit = match form {
                GateForm::All | GateForm::Any | GateForm::Odd => so_far == 1,
                GateForm::AtLeast(k) | GateForm::Exactly(k) => so_far == k as usize,
            };
            usize::from(hit == flipped)
        };
        let mut before: Option<usize> = None;
        for (place, (parent, hits)) in looked.into_iter().enumerate() {
            let ends = place + 1 == count;
            let own = if ends {
                node
            } else {
                self.sizes.push(size);
                self.sizes.len() - 1
            };
            let mut of: Vec<usize> = before.into_iter().collect();
            of.extend([parent, own]);
            let counts = before.is_some();
            self.table(of, move |at| {
                let (so_far, rest) = if counts {
                    at.split_first()
                        .map_or((begin, at), |(first, rest)| (*first, rest))
                } else {
                    (begin, at)
                };
                let [state, own] = rest else { return 0 };
                let now = next(so_far, hits.get(*state) == Some(&true));
                let now = if ends { last(now) } else { now };
                u64::from(now == *own)
            });
            before = Some(own);
        }
    }
}
