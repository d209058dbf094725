//! [`KeyPanes`]: the panes of one key of tumbling or hopping windows.

use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use super::Told;
use super::shape::Shape;

/// One cache line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub(super) struct KeyPanes {
    /// Rising by start; the last one is at home.
    pub(super) panes: PaneList,
    pub(super) closed_to: i64,
    pub(super) seldom: Option<Box<Seldom>>,
}

const _: () = assert!(size_of::<KeyPanes>() == 64);

/// What few keys have.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Seldom {
    /// Set by the limit on open windows; the watermark makes windows final as well.
    pub(super) forced: i64,
    /// Of windows that may still be corrected.
    pub(super) told: Vec<Told>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Pane {
    pub(super) start: i64,
    pub(super) slot: u32,
}

/// Panes in the order of their starts. Those that leave do so at the front, and what is behind them is moved only when there is no
/// room at the back: a window of many panes would else be moved for each of them.
#[derive(Clone, Debug, Default)]
pub(super) struct PaneList {
    /// The first `gone` of them have left.
    all: SmallVec<[Pane; 2]>,
    gone: u32,
}

impl Deref for PaneList {
    type Target = [Pane];

    #[inline]
    fn deref(&self) -> &[Pane] {
        self.all.get(self.gone as usize..).unwrap_or_default()
    }
}

impl PaneList {
    /// Of the room of the list so much has to be free at the front, or a list that is full grows.
    const WORTH_MOVING: usize = 8;

    fn make_room(&mut self) {
        let (gone, room) = (self.gone as usize, self.all.capacity());
        if self.all.len() == room && gone > 0 && gone >= room / Self::WORTH_MOVING {
            self.all.drain(..gone);
            self.gone = 0;
        }
    }

    pub(super) fn push(&mut self, pane: Pane) {
        self.make_room();
        self.all.push(pane);
    }

    /// `place` is at most the number of panes.
    pub(super) fn insert(&mut self, place: usize, pane: Pane) {
        self.make_room();
        let place = (self.gone as usize + place).min(self.all.len());
        self.all.insert(place, pane);
    }

    /// Lets the first panes go.
    pub(super) fn leave(&mut self, count: usize) {
        let gone = (self.gone as usize + count).min(self.all.len());
        if gone == self.all.len() {
            self.all.clear();
            self.gone = 0;
        } else {
            self.gone = gone as u32;
        }
    }

    /// The place of the first pane that starts at or after a time. Panes mostly lie side by side, so the place is reckoned
    /// first and searched for only where that is wrong: a search is as many reads far apart as the list has doublings.
    fn position(&self, start: i64) -> usize {
        let panes: &[Pane] = self;
        let (Some(first), Some(last)) = (panes.first(), panes.last()) else {
            return 0;
        };
        if start <= first.start {
            return 0;
        }
        if start > last.start {
            return panes.len();
        }
        let far =
            start.wrapping_sub(first.start) as f64 / last.start.wrapping_sub(first.start) as f64;
        let guess = (far * (panes.len() - 1) as f64).ceil() as usize;
        let starts = |place: usize| panes.get(place).map(|pane| pane.start);
        let before = guess.checked_sub(1).and_then(starts);
        if before.is_some_and(|before| before < start)
            && starts(guess).is_some_and(|at| at >= start)
        {
            return guess;
        }
        panes.partition_point(|pane| pane.start < start)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        if self.all.spilled() {
            self.all.capacity() * size_of::<Pane>()
        } else {
            0
        }
    }
}

impl Serialize for PaneList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for PaneList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let all = SmallVec::deserialize(deserializer)?;
        Ok(Self { all, gone: 0 })
    }
}

impl Default for KeyPanes {
    fn default() -> Self {
        Self {
            panes: PaneList::default(),
            closed_to: i64::MIN,
            seldom: None,
        }
    }
}

impl KeyPanes {
    pub(super) fn final_to(&self, lateness: i64) -> i64 {
        self.closed_to.saturating_sub(lateness).max(self.forced())
    }

    pub(super) fn forced(&self) -> i64 {
        self.seldom
            .as_ref()
            .map_or(i64::MIN, |seldom| seldom.forced)
    }

    pub(super) fn seldom(&mut self) -> &mut Seldom {
        self.seldom.get_or_insert_with(|| {
            Box::new(Seldom {
                forced: i64::MIN,
                told: Vec::new(),
            })
        })
    }

    /// Start of the earliest window that has rows and ends after a time.
    pub(super) fn next_window(&self, shape: &Shape, after: i64) -> Option<i64> {
        let open = shape.start_after(after.saturating_sub(shape.size));
        let over = |pane: &Pane| shape.last_start(pane.start) < open;
        let from = match self.panes.first() {
            Some(first) if over(first) => self.panes.partition_point(over),
            _ => 0,
        };
        self.panes.iter().skip(from).find_map(|pane| {
            let (first, last) = shape.starts(pane.start);
            let start = first.max(open);
            (start <= last).then_some(start)
        })
    }

    pub(super) fn position(&self, start: i64) -> usize {
        self.panes.position(start)
    }

    /// The panes that lie in `[start, end)`.
    pub(super) fn between(&self, start: i64, end: i64) -> &[Pane] {
        let panes = self.panes.get(self.position(start)..self.position(end));
        panes.unwrap_or_default()
    }

    /// How many windows that are not final have rows.
    pub(super) fn open_windows(&self, shape: &Shape, final_to: i64) -> usize {
        let mut next = shape.start_after(final_to.saturating_sub(shape.size));
        let mut count = 0;
        for pane in self.panes.iter() {
            let (first, last) = shape.starts(pane.start);
            let first = first.max(next);
            count += shape.count(first, last) as usize;
            next = next.max(last.saturating_add(1));
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Whatever comes and goes, the list says what a plain one says.
        #[test]
        fn a_list_is_a_plain_list(deeds in prop::collection::vec((0_u8..8, -40_i64..200, 1_usize..5), 0..200)) {
            let (mut list, mut plain) = (PaneList::default(), Vec::<i64>::new());
            for (deed, start, count) in deeds {
                let place = list.position(start);
                prop_assert_eq!(place, plain.partition_point(|known| *known < start));
                if deed == 0 {
                    list.leave(count);
                    plain.drain(..count.min(plain.len()));
                } else if plain.get(place) != Some(&start) {
                    let pane = Pane { start, slot: 0 };
                    if place == plain.len() {
                        list.push(pane);
                    } else {
                        list.insert(place, pane);
                    }
                    plain.insert(place, start);
                }
                let starts: Vec<i64> = list.iter().map(|pane| pane.start).collect();
                prop_assert_eq!(&starts, &plain);
            }
        }
    }
}
