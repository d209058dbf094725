//! [`Scenario`]: what is done with the events, as a rule of the engine. The same by hand: `work.rs`.

use crate::Failure;

/// What is done with the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A limit that 0.1 % of the events pass.
    When,
    /// Mean and count per resource and minute.
    Tumbling,
    /// The same over 60 s, every 5 s.
    Hopping,
    /// The same over 60 s, every second.
    HoppingFine,
    /// One event, later another, within 10 s.
    Sequence,
    /// Nothing for 8 s.
    Absence,
}

/// How long an event may be out of order, ms: the engine's default, also of the work by hand.
pub(crate) const DISORDER: i64 = 5_000;
/// Silence that [`Scenario::Absence`] tells, ms.
pub(crate) const SILENCE: i64 = 8_000;
/// Longest time from the first to the second event of [`Scenario::Sequence`], ms.
pub(crate) const WITHIN: i64 = 10_000;

impl Scenario {
    pub(crate) const ALL: [Self; 6] = [
        Self::When,
        Self::Tumbling,
        Self::Hopping,
        Self::HoppingFine,
        Self::Sequence,
        Self::Absence,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::When => "when",
            Self::Tumbling => "tumbling",
            Self::Hopping => "hopping",
            Self::HoppingFine => "hopping1",
            Self::Sequence => "sequence",
            Self::Absence => "absence",
        }
    }

    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        let found = Self::ALL.into_iter().find(|one| one.name() == name);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::name).join(" ");
            format!("`{name}` is no scenario: {known}")
        })
    }

    /// Its rule.
    pub(crate) const fn rule(self) -> &'static str {
        match self {
            Self::When => "kind: Rule\nname: bench\nfor: all\nwhen: t > 99.9",
            Self::Tumbling => {
                "kind: Rule\nname: bench\nfor: all\nwindow: { tumbling: 1m }\nemit: { mean: avg(t), n: count(t) }"
            }
            Self::Hopping => {
                "kind: Rule\nname: bench\nfor: all\nwindow: { hopping: { size: 60s, every: 5s } }\nemit: { mean: avg(t), n: count(t) }"
            }
            Self::HoppingFine => {
                "kind: Rule\nname: bench\nfor: all\nwindow: { hopping: { size: 60s, every: 1s } }\nemit: { mean: avg(t), n: count(t) }"
            }
            Self::Sequence => {
                "kind: Rule\nname: bench\nfor: all\npattern:\n  within: 10s\n  steps:\n    - high: t > 99.0\n    - low: pressure < 1.5"
            }
            Self::Absence => "kind: Rule\nname: bench\nfor: all\nwhen: stale(t, \"8s\")",
        }
    }

    /// Size of the windows and how often one begins, ms.
    pub(crate) const fn window(self) -> Option<(i64, i64)> {
        match self {
            Self::Tumbling => Some((60_000, 60_000)),
            Self::Hopping => Some((60_000, 5_000)),
            Self::HoppingFine => Some((60_000, 1_000)),
            Self::When | Self::Sequence | Self::Absence => None,
        }
    }
}
