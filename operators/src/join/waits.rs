//! [`Wait`]: rows of a key that wait, and what keeps the nearest row of the other side from being the partner.

use std::sync::Arc;

use tidegate_proto::{Direction, JoinWithin};

use super::{JoinKey, JoinRow, JoinRules, Joined, Side};

/// What a waiting row lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// Nothing: it has a partner.
    Nothing,
    /// There is no row of the other side with its key, or in its window.
    NoRow,
    /// The nearest row of the other side lies before the time that counts, by so many ms.
    TooEarly(i64),
    /// It lies behind, by so many ms.
    TooLate(i64),
    /// It fits in time, but `where` is not true of the pair.
    Where,
}

/// A row that waits.
#[derive(Clone, Debug)]
pub(crate) struct Wait {
    pub(crate) row: Arc<JoinRow>,
    /// Until when a partner may come.
    pub(crate) until: Option<i64>,
    /// `None`: it looks for none, others look for it.
    pub(crate) lack: Option<Lack>,
    /// The nearest row of the other side that is no partner.
    pub(crate) nearest: Option<Arc<JoinRow>>,
}

/// Whether `where` is true of a left and a right row.
pub(crate) type Holds<'a> = &'a dyn Fn(&Arc<JoinRow>, &Arc<JoinRow>) -> bool;

/// Partners that are looked at for one row.
const LOOKED_AT: usize = 16;

impl JoinRules {
    /// Times that a partner of a row may have, both ends included, and until when it may come.
    fn reach(&self, row: &JoinRow, left: bool) -> Option<(i64, i64, i64)> {
        let at = |by: i64| row.time.saturating_add(by);
        match self.within {
            JoinWithin::Interval { before, after } => {
                let (back, ahead) = if left {
                    (before, after)
                } else {
                    (after, before)
                };
                let until = at(ahead).saturating_add(self.lateness);
                Some((row.time.saturating_sub(back), at(ahead), until))
            }
            JoinWithin::AsOf {
                tolerance,
                direction,
                strict,
            } if left => {
                let most = tolerance.map_or(i64::MAX, |tolerance| tolerance.0);
                let same = i64::from(strict);
                let back = row.time.saturating_sub(most);
                Some(match direction {
                    Direction::Backward => (back, at(-same), row.time),
                    Direction::Forward => (at(same), at(most), at(most)),
                    Direction::Nearest => (back, at(most), at(most)),
                })
            }
            JoinWithin::AsOf { .. } | JoinWithin::Window { .. } | JoinWithin::Same => None,
        }
    }
}

fn lacks(
    rules: &JoinRules,
    (row, left): (&Arc<JoinRow>, bool),
    others: &Side,
    holds: Holds<'_>,
) -> Wait {
    let wait = |until, lack, nearest| Wait {
        row: Arc::clone(row),
        until,
        lack,
        nearest,
    };
    let Some((earliest, latest, until)) = rules.reach(row, left) else {
        return wait(None, None, None);
    };
    let other = |other: &&Arc<JoinRow>| rules.own_pairs || other.number != row.number;
    let fits = |other: &Arc<JoinRow>| {
        if left {
            holds(row, other)
        } else {
            holds(other, row)
        }
    };
    let inside = others.range((earliest, 0)..=(latest.max(earliest), u64::MAX));
    let inside = inside.map(|(_, waits)| &waits.row).filter(other);
    let inside: Vec<_> = inside.take(LOOKED_AT).collect();
    if inside.iter().any(|other| fits(other)) {
        return wait(Some(until), Some(Lack::Nothing), None);
    }
    if let Some(first) = inside.first() {
        return wait(Some(until), Some(Lack::Where), Some(Arc::clone(first)));
    }
    let before = others.range(..(earliest, 0)).next_back();
    let behind = others.range((latest.saturating_add(1), 0)..).next();
    let before = before.map(|(_, waits)| (earliest.saturating_sub(waits.row.time), &waits.row));
    let behind = behind.map(|(_, waits)| (waits.row.time.saturating_sub(latest), &waits.row));
    let (lack, nearest) = match (before, behind) {
        (Some((early, row)), Some((late, _))) if early <= late => (Lack::TooEarly(early), row),
        (_, Some((late, row))) => (Lack::TooLate(late), row),
        (Some((early, row)), None) => (Lack::TooEarly(early), row),
        (None, None) => return wait(Some(until), Some(Lack::NoRow), None),
    };
    wait(Some(until), Some(lack), Some(Arc::clone(nearest)))
}

impl Joined {
    /// A key of which there is something, if it is the one that is looked for.
    pub(crate) fn find_key(&self, is_it: impl Fn(&JoinKey) -> bool) -> Option<JoinKey> {
        let windows = self.windows.keys().chain(self.told.keys());
        let windows = windows.map(|(_, key, _)| key);
        let mut all = self.keys.keys().chain(windows);
        all.find(|key| is_it(key)).cloned()
    }

    /// How many rows of a key are kept.
    pub(crate) fn kept(&self, key: &JoinKey) -> usize {
        let keyed = self.keys.get(key);
        let windows = self.windows.iter().chain(&self.told);
        let windows = windows.filter(|((_, of, _), _)| of == key);
        let gathered = windows.map(|(_, [left, right])| left.len() + right.len());
        keyed.map_or(0, |keyed| keyed.left.len() + keyed.right.len()) + gathered.sum::<usize>()
    }

    /// Rows of a key, left and right, the newest first.
    pub(crate) fn waits(
        &self,
        rules: &JoinRules,
        key: &JoinKey,
        most: usize,
        holds: Holds<'_>,
    ) -> [(usize, Vec<Wait>); 2] {
        if matches!(rules.within, JoinWithin::Window { .. } | JoinWithin::Same) {
            return self.waits_of_windows(rules, key, most, holds);
        }
        let Some(keyed) = self.keys.get(key) else {
            return Default::default();
        };
        let of = |own: &Side, others: &Side, left: bool| {
            let newest = own.values().rev().take(most);
            let waits = newest.map(|waits| lacks(rules, (&waits.row, left), others, holds));
            (own.len(), waits.collect())
        };
        [
            of(&keyed.left, &keyed.right, true),
            of(&keyed.right, &keyed.left, false),
        ]
    }

    fn waits_of_windows(
        &self,
        rules: &JoinRules,
        key: &JoinKey,
        most: usize,
        holds: Holds<'_>,
    ) -> [(usize, Vec<Wait>); 2] {
        let mut found: [(usize, Vec<Wait>); 2] = Default::default();
        let mine = self.windows.iter().rev().chain(self.told.iter().rev());
        for ((end, _, _), [left, right]) in mine.filter(|((_, of, _), _)| of == key) {
            let sides = [(left, right, true), (right, left, false)];
            for ((count, waits), (own, others, is_left)) in found.iter_mut().zip(sides) {
                *count += own.len();
                for row in own.iter().rev() {
                    if waits.len() >= most {
                        break;
                    }
                    let other =
                        |other: &&Arc<JoinRow>| rules.own_pairs || other.number != row.number;
                    let inside: Vec<_> = others.iter().filter(other).take(LOOKED_AT).collect();
                    let fits = |other: &&Arc<JoinRow>| {
                        if is_left {
                            holds(row, other)
                        } else {
                            holds(other, row)
                        }
                    };
                    let lack = match inside.first() {
                        None => Lack::NoRow,
                        Some(_) if inside.iter().any(fits) => Lack::Nothing,
                        Some(_) => Lack::Where,
                    };
                    let nearest = inside.first().filter(|_| lack == Lack::Where);
                    waits.push(Wait {
                        row: Arc::clone(row),
                        until: Some(end.saturating_add(rules.lateness)),
                        lack: Some(lack),
                        nearest: nearest.map(|row| Arc::clone(row)),
                    });
                }
            }
        }
        found
    }
}
