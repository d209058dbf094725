//! [`Members`]: which resources a selector matches, as bits kept up as resources come and change.

use serde::{Deserialize, Serialize};
use tidegate_proto::{Selector, Traits};

use super::View;

/// Bits of the resources that have a task.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Members {
    /// Every resource, known or not.
    all: bool,
    bits: Vec<u64>,
}

/// Whether a selector matches a resource.
pub(crate) fn matches(selector: &Selector, id: &str, traits: &Traits) -> bool {
    match selector {
        Selector::All | Selector::Everything => true,
        Selector::Ids(ids) => ids.binary_search_by(|known| known.as_ref().cmp(id)).is_ok(),
        Selector::Match { kind, labels } => {
            let kind_fits = kind.is_none() || *kind == traits.kind;
            kind_fits
                && labels
                    .iter()
                    .all(|(name, value)| traits.labels.get(name) == Some(value))
        }
    }
}

impl Members {
    /// The members among the known resources.
    pub(crate) fn of(selector: &Selector, view: &dyn View) -> Self {
        let mut members = Self {
            all: matches!(selector, Selector::All | Selector::Everything),
            bits: Vec::new(),
        };
        if !members.all {
            for resource in 0..view.resources() {
                let fits = matches(selector, view.resource(resource), view.traits(resource));
                members.set(resource, fits);
            }
        }
        members
    }

    /// Whether a resource is a member.
    pub(crate) fn has(&self, resource: u32) -> bool {
        let word = self.bits.get(resource as usize / 64).copied().unwrap_or(0);
        self.all || word >> (resource % 64) & 1 == 1
    }

    /// Makes a resource a member or not; answers with what it was before.
    pub(crate) fn set(&mut self, resource: u32, member: bool) -> bool {
        let before = self.has(resource);
        if !self.all && before != member {
            *crate::watermark::cell(&mut self.bits, resource / 64, 0) ^= 1 << (resource % 64);
        }
        before
    }

    /// Whether every resource is a member, known or not.
    pub(crate) const fn is_all(&self) -> bool {
        self.all
    }

    /// The members, unless every resource is one.
    pub(crate) fn each(&self) -> impl Iterator<Item = u32> + use<'_> {
        let words = (0_u32..).zip(&self.bits).filter(|(_, word)| **word != 0);
        words.flat_map(|(index, word)| {
            (0..64_u32)
                .filter(move |bit| word >> bit & 1 == 1)
                .map(move |bit| index * 64 + bit)
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bits.capacity() * 8
    }
}
