//! [`Sequence`]: elements in order: the one in hand, and those that a row may go to instead.

pub(crate) mod ways;

use serde::{Deserialize, Serialize};
use tidegate_proto::pattern::Contiguity;

use super::live::{Live, Verdict};
use super::{Fit, Hand, Moment, Node, NodeKind, Taken};
use crate::timer::IDLE;

/// Elements that are in hand or in reach, in the order of the document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sequence {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    index: u16,
    /// It asked for the very next row, and that was another.
    closed: bool,
    /// When its own `within` has passed.
    limit: i64,
    live: Live,
}

impl Sequence {
    /// A sequence that begins at a moment.
    pub(crate) fn begin(nodes: &[Node], moment: Moment) -> Self {
        let mut sequence = Self {
            entries: Vec::new(),
        };
        sequence.reach(nodes, 0, moment);
        sequence
    }

    /// Adds the element at a place and those behind it that may be taken instead.
    fn reach(&mut self, nodes: &[Node], from: usize, moment: Moment) {
        for (index, node) in nodes.iter().enumerate().skip(from) {
            self.entries.push(Entry {
                index: u16::try_from(index).unwrap_or(u16::MAX),
                closed: false,
                limit: limit(node, moment),
                live: Live::fresh(node, moment),
            });
            if node.min > 0 && !matches!(node.kind, NodeKind::Between { .. }) {
                break;
            }
        }
    }

    /// Whether anything has been taken.
    pub(crate) fn started(&self) -> bool {
        let first = self.entries.first();
        first.is_some_and(|entry| entry.index > 0 || entry.live.started())
    }

    /// Place of the first element in reach.
    pub(crate) fn at(&self) -> usize {
        self.entries.first().map_or(0, |entry| entry.index.into())
    }

    /// Place of the element that has to take something before the pattern can go on.
    pub(crate) fn waits_for(&self, nodes: &[Node]) -> usize {
        let open = |entry: &&Entry| {
            let node = nodes.get(usize::from(entry.index));
            node.is_some_and(|node| !(entry.live.started() && entry.live.satisfied(node)))
        };
        let mut entries = self.entries.iter();
        let entry = entries.find(open).or(self.entries.last());
        entry.map_or(nodes.len(), |entry| entry.index.into())
    }

    /// Whether an element is in reach and nothing of it is taken.
    pub(crate) fn reaches(&self, index: usize) -> bool {
        let mut entries = self.entries.iter();
        entries.any(|entry| usize::from(entry.index) == index && !entry.live.started())
    }

    /// Whether an element is done: reached its fewest rows, or lies behind.
    pub(crate) fn is_done(&self, nodes: &[Node], index: usize) -> bool {
        match (self.entries.first(), nodes.get(index)) {
            (Some(entry), Some(node)) if usize::from(entry.index) == index => {
                entry.live.started() && entry.live.satisfied(node)
            }
            (Some(entry), _) => usize::from(entry.index) > index,
            (None, _) => true,
        }
    }

    /// Whether it could end now.
    pub(crate) fn can_end(&self, nodes: &[Node]) -> bool {
        let Some(last) = self.entries.last() else {
            return false;
        };
        let index = usize::from(last.index);
        index + 1 == nodes.len()
            && nodes
                .get(index)
                .is_some_and(|node| last.live.satisfied(node))
    }

    /// Whether any element may still take a row or end.
    pub(crate) fn any_open(&self, nodes: &[Node]) -> bool {
        self.entries.iter().any(|entry| {
            let node = nodes.get(usize::from(entry.index));
            !entry.closed && node.is_some_and(|node| entry.live.open(node))
        })
    }

    /// Negations and absences look at the row at hand; `true`: broken.
    pub(crate) fn forbid(&mut self, nodes: &[Node], hand: &mut Hand<'_>) -> bool {
        self.verdict(nodes, hand) != Verdict::Keep
    }

    /// What negations and absences say of the row at hand.
    pub(crate) fn verdict(&mut self, nodes: &[Node], hand: &mut Hand<'_>) -> Verdict {
        let verdicts = self.entries.iter_mut().filter_map(|entry| {
            let node = nodes.get(usize::from(entry.index))?;
            if entry.closed && matches!(entry.live, Live::Absence { .. }) {
                return None;
            }
            Some(entry.live.forbid(node, hand))
        });
        let mut verdicts = verdicts.skip_while(|verdict| *verdict == Verdict::Keep);
        verdicts.next().unwrap_or(Verdict::Keep)
    }

    fn fits(&self, nodes: &[Node], hand: &mut Hand<'_>) -> Vec<Fit> {
        let entries = self.entries.iter().map(|entry| {
            let node = nodes.get(usize::from(entry.index));
            match node.filter(|_| !entry.closed) {
                Some(node) => entry.live.fit(node, hand),
                None => Fit::No,
            }
        });
        entries.collect()
    }

    /// Whether any element would take the row at hand.
    pub(crate) fn fit(&self, nodes: &[Node], hand: &mut Hand<'_>) -> Fit {
        let fits = self.fits(nodes, hand).into_iter();
        fits.fold(Fit::No, Fit::or)
    }

    /// Which entry takes the row at hand, and whether its element is greedy: the first greedy one that fits, otherwise
    /// the last that fits.
    pub(crate) fn choose(&self, nodes: &[Node], hand: &mut Hand<'_>) -> Option<(usize, bool)> {
        let fits = self.fits(nodes, hand);
        let mut found = None;
        for (place, entry) in self.entries.iter().enumerate() {
            if fits.get(place) != Some(&Fit::Yes) {
                continue;
            }
            let node = nodes.get(usize::from(entry.index));
            let greedy = node.is_some_and(|node| entry.live.greedy(node, hand));
            found = Some((place, greedy));
            if greedy {
                break;
            }
        }
        found
    }

    /// The entry at a place takes the row at hand; those before it are left behind.
    pub(crate) fn take(&mut self, nodes: &[Node], place: usize, hand: &mut Hand<'_>) {
        self.take_with(nodes, place, hand, Live::take);
    }

    fn take_with(
        &mut self,
        nodes: &[Node],
        place: usize,
        hand: &mut Hand<'_>,
        take: impl FnOnce(&mut Live, &Node, &mut Hand<'_>),
    ) {
        self.entries.drain(..place.min(self.entries.len()));
        let Some(entry) = self.entries.first_mut() else {
            return;
        };
        let index = usize::from(entry.index);
        let Some(node) = nodes.get(index) else {
            return;
        };
        let stays = entry.live.started() && entry.live.satisfied(node);
        take(&mut entry.live, node, hand);
        let moment = Moment::after(hand.rows, hand.at);
        if !entry.live.started() {
            // It was spent and begins again.
            self.entries.truncate(1);
            return;
        }
        if !entry.live.satisfied(node) {
            self.entries.truncate(1);
        } else if stays && self.entries.len() > 1 {
            for entry in self.entries.iter_mut().skip(1) {
                entry.anew(nodes, moment);
            }
        } else {
            self.entries.truncate(1);
            self.reach(nodes, index + 1, moment);
        }
    }

    /// The row at hand was not taken: elements that asked for the very next row are closed.
    pub(crate) fn close(&mut self, nodes: &[Node], hand: &mut Hand<'_>) {
        let leads = !self.started();
        for entry in &mut self.entries {
            let Some(node) = nodes.get(usize::from(entry.index)) else {
                continue;
            };
            let way = if leads { node.lead } else { node.contiguity };
            if entry.live.started() || way != Contiguity::Strict {
                entry.live.close(node, hand);
            } else if entry.live.fit(node, hand) != Fit::Unknown {
                entry.live.shut(node);
            }
        }
    }

    /// No step takes any more; absences go on.
    pub(crate) fn shut(&mut self, nodes: &[Node]) {
        for entry in &mut self.entries {
            if let Some(node) = nodes.get(usize::from(entry.index)) {
                entry.live.shut(node);
            }
        }
    }

    /// The element before took another row.
    pub(crate) fn anew(&mut self, nodes: &[Node], moment: Moment) {
        for entry in &mut self.entries {
            entry.anew(nodes, moment);
        }
    }

    /// An element in reach waits anew from a time.
    pub(crate) fn restart(&mut self, nodes: &[Node], index: usize, moment: Moment) {
        for entry in &mut self.entries {
            if usize::from(entry.index) == index
                && let Some(node) = nodes.get(index)
            {
                entry.live = Live::fresh(node, moment);
            }
        }
    }

    /// A row went by that it was not to take: what asks for the very next row is closed, but for one element.
    pub(crate) fn pass(&mut self, nodes: &[Node], but: usize) {
        for entry in &mut self.entries {
            let index = usize::from(entry.index);
            let Some(node) = nodes.get(index).filter(|_| index != but) else {
                continue;
            };
            let way = if entry.live.started() {
                node.inner
            } else {
                node.contiguity
            };
            if way == Contiguity::Strict {
                entry.live.shut(node);
            }
        }
    }

    /// When the next absence ends.
    pub(crate) fn due(&self, nodes: &[Node]) -> i64 {
        let dues = self.entries.iter().filter_map(|entry| {
            let node = nodes.get(usize::from(entry.index))?;
            (!entry.closed).then(|| entry.live.due(node))
        });
        dues.min().unwrap_or(IDLE)
    }

    /// When an element's own `within` has passed.
    pub(crate) fn limit(&self, nodes: &[Node]) -> i64 {
        let limits = self.entries.iter().filter_map(|entry| {
            let node = nodes.get(usize::from(entry.index))?;
            let open = !entry.closed && entry.live.open(node);
            open.then(|| entry.limit.min(entry.live.limit(node)))
        });
        limits.min().unwrap_or(IDLE)
    }

    /// Elements whose own `within` has passed: one that has enough rows takes no more; `true`: one has not.
    pub(crate) fn expire(&mut self, nodes: &[Node], at: i64) -> bool {
        let mut expired = false;
        for entry in &mut self.entries {
            let Some(node) = nodes.get(usize::from(entry.index)) else {
                continue;
            };
            let inside = entry.live.expire(node, at);
            if inside || entry.limit <= at {
                entry.closed = true;
                expired |= !entry.live.satisfied(node);
            }
        }
        expired
    }

    /// Ends the first absence that is due at a time and goes on behind its element if that is done.
    pub(crate) fn end(&mut self, nodes: &[Node], at: i64, rows: &mut Vec<Taken>) {
        let found = self.entries.iter().position(|entry| {
            let node = nodes.get(usize::from(entry.index));
            !entry.closed && node.is_some_and(|node| entry.live.due(node) <= at)
        });
        let Some(place) = found else {
            return;
        };
        let Some(entry) = self.entries.get_mut(place) else {
            return;
        };
        let index = usize::from(entry.index);
        let Some(node) = nodes.get(index) else {
            return;
        };
        entry.live.end(node, at, rows);
        if entry.live.started() && entry.live.satisfied(node) {
            self.entries.drain(..place);
            self.entries.truncate(1);
            self.reach(nodes, index + 1, Moment::after(rows, at));
        }
    }
}

impl Entry {
    /// The element before it took another row.
    fn anew(&mut self, nodes: &[Node], moment: Moment) {
        let Some(node) = nodes.get(usize::from(self.index)) else {
            return;
        };
        // An absence that has ended on another way does not begin again.
        let over = self.closed && matches!(self.live, Live::Absence { .. });
        if !self.live.started() && !over {
            self.closed = false;
            self.limit = limit(node, moment);
        }
        self.live.anew(node, moment);
    }
}

fn limit(node: &Node, moment: Moment) -> i64 {
    match moment.last {
        Some((_, last)) if node.within > 0 => last.saturating_add(node.within).saturating_add(1),
        _ => IDLE,
    }
}
