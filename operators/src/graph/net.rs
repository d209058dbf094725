//! [`Net`]: nodes of a graph with their states, and which of them is certain: gates by what hits and misses.

use std::sync::Arc;

use tidegate_proto::graph::GateForm;

/// What of one parent hits, by state; `None`: it is not looked at.
pub(crate) type Hits = Option<Vec<bool>>;

/// A gate, by numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GateNode {
    pub(crate) form: GateForm,
    pub(crate) of: Vec<usize>,
    /// Per combination, per parent.
    pub(crate) combinations: Vec<Vec<Hits>>,
    pub(crate) hits_are_false: bool,
}

/// State of a gate that is true.
pub(crate) const TRUE: u16 = 0;
/// State of a gate that is false.
pub(crate) const FALSE: u16 = 1;

/// How a node comes to its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is observed; before that these are its weights.
    Prior(Vec<u64>),
    /// By its parents.
    Gate(GateNode),
    /// By its parents and weights, own state slowest; it may be observed, too.
    Table { of: Vec<usize>, weights: Vec<u64> },
}

impl Source {
    /// The nodes that it depends on.
    pub(crate) fn parents(&self) -> &[usize] {
        match self {
            Self::Prior(_) => &[],
            Self::Gate(gate) => &gate.of,
            Self::Table { of, .. } => of,
        }
    }
}

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetNode {
    pub(crate) states: Vec<Arc<str>>,
    pub(crate) source: Source,
}

/// Nodes with their states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Net {
    pub(crate) nodes: Vec<NetNode>,
    /// Gates and tables, parents first.
    pub(crate) order: Vec<usize>,
    /// Whether a gate waits for all of its parents.
    pub(crate) full_observation: bool,
}

/// What is certain of a parent.
enum Status {
    Hit,
    Miss,
    Open,
}

fn status(hits: &Hits, state: Option<u16>) -> Option<Status> {
    let hits = hits.as_ref()?;
    Some(match state {
        None => Status::Open,
        Some(state) if hits.get(usize::from(state)) == Some(&true) => Status::Hit,
        Some(_) => Status::Miss,
    })
}

/// How many parents hit, miss, are open.
fn tally(combination: &[Hits], parents: &[Option<u16>]) -> (usize, usize, usize) {
    let mut found = (0, 0, 0);
    for (hits, state) in combination.iter().zip(parents) {
        match status(hits, *state) {
            Some(Status::Hit) => found.0 += 1,
            Some(Status::Miss) => found.1 += 1,
            Some(Status::Open) => found.2 += 1,
            None => {}
        }
    }
    found
}

impl GateNode {
    /// Whether hits are enough for certain, or misses; by the certain states of its parents.
    fn hit(&self, parents: &[Option<u16>]) -> Option<bool> {
        let each = || self.combinations.iter().map(|c| tally(c, parents));
        let (hit, missed, open) = each().next().unwrap_or_default();
        let of = hit + missed + open;
        let decided = |yes: bool, no: bool| match (yes, no) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        };
        match self.form {
            GateForm::All => decided(
                each().any(|(_, missed, open)| missed == 0 && open == 0),
                each().all(|(_, missed, _)| missed > 0),
            ),
            GateForm::Any => decided(hit > 0, missed == of),
            GateForm::Odd => (open == 0).then_some(hit % 2 == 1),
            GateForm::AtLeast(k) => {
                let k = k as usize;
                decided(hit >= k, missed + k > of)
            }
            GateForm::Exactly(k) => {
                let k = k as usize;
                decided(open == 0 && hit == k, hit > k || missed + k > of)
            }
        }
    }

    /// Its state by the states of its parents, as far as that is certain.
    pub(crate) fn state(&self, parents: &[Option<u16>]) -> Option<u16> {
        let hit = self.hit(parents)?;
        Some(if hit == self.hits_are_false {
            FALSE
        } else {
            TRUE
        })
    }
}

impl Net {
    /// Certain states of all nodes; `likely` says of a table that is not observed which of its states is sure.
    pub(crate) fn certain(
        &self,
        observed: impl Fn(usize) -> Option<u16>,
        mut likely: impl FnMut(usize) -> Option<u16>,
    ) -> Vec<Option<u16>> {
        let mut states: Vec<Option<u16>> = (0..self.nodes.len()).map(observed).collect();
        let mut parents = Vec::new();
        for index in &self.order {
            let Some(node) = self.nodes.get(*index) else {
                continue;
            };
            let state = match &node.source {
                Source::Gate(gate) => {
                    parents.clear();
                    let of = gate.of.iter();
                    parents.extend(of.map(|parent| states.get(*parent).copied().flatten()));
                    let waits = self.full_observation && parents.contains(&None);
                    if waits { None } else { gate.state(&parents) }
                }
                Source::Table { .. } => match states.get(*index).copied().flatten() {
                    Some(state) => Some(state),
                    None => likely(*index),
                },
                Source::Prior(_) => continue,
            };
            if let Some(place) = states.get_mut(*index) {
                *place = state;
            }
        }
        states
    }

    /// Whether all parents of a gate are certain, where it has to wait for that.
    pub(crate) fn is_complete(&self, node: usize, certain: &[Option<u16>]) -> bool {
        let source = self.nodes.get(node).map(|node| &node.source);
        let Some(Source::Gate(gate)) = source.filter(|_| self.full_observation) else {
            return true;
        };
        let mut of = gate.of.iter();
        of.all(|parent| certain.get(*parent).copied().flatten().is_some())
    }
}
