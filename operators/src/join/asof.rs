//! For each left row the right row that is nearest to it in a direction.

use std::ops::Bound;
use std::sync::Arc;

use tidegate_proto::{Direction, JoinWithin};

use super::{Coming, Findings, JoinKey, JoinRow, JoinRules, Joined, Pair, Side, alone};

/// `asof` as the rule has it.
#[derive(Clone, Copy, Debug)]
struct AsOf {
    tolerance: i64,
    direction: Direction,
    strict: bool,
}

impl AsOf {
    const fn of(rules: &JoinRules) -> Option<Self> {
        let JoinWithin::AsOf {
            tolerance,
            direction,
            strict,
        } = rules.within
        else {
            return None;
        };
        Some(Self {
            tolerance: match tolerance {
                Some(tolerance) => tolerance.0,
                None => i64::MAX,
            },
            direction,
            strict,
        })
    }

    /// The last time at which a partner may come.
    const fn until(self, row: &JoinRow) -> i64 {
        match self.direction {
            Direction::Backward => row.time,
            Direction::Forward | Direction::Nearest => row.time.saturating_add(self.tolerance),
        }
    }

    /// The last partner before a row.
    fn before(self, row: &JoinRow, right: &Side) -> Option<Arc<JoinRow>> {
        let end = if self.strict {
            Bound::Excluded((row.time, 0))
        } else {
            Bound::Included((row.time, u64::MAX))
        };
        let mut earlier = right.range((Bound::Unbounded, end)).rev();
        let (_, found) = earlier.find(|(_, other)| other.row.number != row.number)?;
        let near = row.time.saturating_sub(found.row.time) <= self.tolerance;
        near.then(|| Arc::clone(&found.row))
    }

    /// The first partner behind a row.
    fn behind(self, row: &JoinRow, right: &Side) -> Option<Arc<JoinRow>> {
        let start = if self.strict {
            Bound::Excluded((row.time, u64::MAX))
        } else {
            Bound::Included((row.time, 0))
        };
        let mut later = right.range((start, Bound::Unbounded));
        let (_, found) = later.find(|(_, other)| other.row.number != row.number)?;
        let near = found.row.time.saturating_sub(row.time) <= self.tolerance;
        near.then(|| Arc::clone(&found.row))
    }

    fn partner(self, row: &JoinRow, right: &Side) -> Option<Arc<JoinRow>> {
        match self.direction {
            Direction::Backward => self.before(row, right),
            Direction::Forward => self.behind(row, right),
            Direction::Nearest => match (self.before(row, right), self.behind(row, right)) {
                (Some(before), Some(behind)) => {
                    let back = row.time.saturating_sub(before.time);
                    let ahead = behind.time.saturating_sub(row.time);
                    Some(if back <= ahead { before } else { behind })
                }
                (before, behind) => before.or(behind),
            },
        }
    }
}

impl Joined {
    pub(super) fn take_asof(
        &mut self,
        rules: &JoinRules,
        (key, row): (JoinKey, Arc<JoinRow>),
        coming: Coming,
        found: &mut Findings,
    ) {
        let Some(asof) = AsOf::of(rules) else {
            return;
        };
        if coming.left && !rules.ordered {
            self.answer(rules, asof, (&key, &row), coming.record, found);
            return;
        }
        if coming.left {
            if row.time < coming.water {
                found.late.push((key, row, coming.record));
                return;
            }
            let expiry = (asof.until(&row), true, key.clone(), row.place());
            self.expiries.insert(expiry);
            if let Some(oldest) = self.keep(rules, (&key, &row), (true, false)) {
                let place = oldest.row.place();
                self.expiries
                    .remove(&(asof.until(&oldest.row), true, key.clone(), place));
                found.dropped += 1;
                self.answer(rules, asof, (&key, &oldest.row), coming.record, found);
            }
            return;
        }
        if self.keep(rules, (&key, &row), (false, false)).is_some() {
            found.dropped += 1;
        }
        if rules.ordered && asof.direction != Direction::Backward {
            self.meet(rules, asof, (&key, &row), coming.record, found);
        }
        self.prune(&key, asof, coming.water);
    }

    /// A right row has come, in row order: left rows that looked ahead have their partner.
    fn meet(
        &mut self,
        rules: &JoinRules,
        asof: AsOf,
        (key, row): (&JoinKey, &Arc<JoinRow>),
        record: u32,
        found: &mut Findings,
    ) {
        let Some(keyed) = self.keys.get(key) else {
            return;
        };
        // Of two equally near rows the one before counts, and more of them may come at this very time.
        let same = asof.direction == Direction::Forward && !asof.strict;
        let ahead = |left: &Arc<JoinRow>| {
            (left.time < row.time || same && left.time == row.time) && left.number != row.number
        };
        let waiting = keyed.left.values().map(|waits| &waits.row);
        let waiting: Vec<_> = waiting.filter(|left| ahead(left)).cloned().collect();
        for left in waiting {
            let expiry = (asof.until(&left), true, key.clone(), left.place());
            self.expiries.remove(&expiry);
            self.answer(rules, asof, (key, &left), record, found);
            self.remove(key, true, left.place());
        }
    }

    /// Tells a left row with the partner that is known, or without one.
    fn answer(
        &self,
        rules: &JoinRules,
        asof: AsOf,
        (key, row): (&JoinKey, &Arc<JoinRow>),
        record: u32,
        found: &mut Findings,
    ) {
        let keyed = self.keys.get(key);
        let partner = keyed.and_then(|keyed| asof.partner(row, &keyed.right));
        match partner {
            Some(partner) => found.pairs.push(Pair {
                right: Some(partner),
                ..alone(key, row, true, record)
            }),
            None if rules.kind.keeps(true) => found.pairs.push(alone(key, row, true, record)),
            None => {}
        }
    }

    /// Lets right rows go that no left row to come can ask for.
    fn prune(&mut self, key: &JoinKey, asof: AsOf, water: i64) {
        let Some(keyed) = self.keys.get_mut(key) else {
            return;
        };
        let oldest = keyed
            .left
            .first_key_value()
            .map_or(water, |(place, _)| place.0.min(water));
        let known = keyed.right.range(..(oldest, 0)).next_back();
        let newest = known.map(|(place, _)| *place);
        let reach = oldest.saturating_sub(asof.tolerance);
        while let Some((place, _)) = keyed.right.first_key_value() {
            let place = *place;
            let superseded = newest.is_some_and(|newest| place < newest);
            if !superseded && (place.0 >= reach || asof.tolerance == i64::MAX) {
                break;
            }
            keyed.right.pop_first();
            self.rows -= 1;
        }
        if keyed.is_empty() {
            self.keys.remove(key);
        }
    }

    pub(super) fn pass_asof(
        &mut self,
        rules: &JoinRules,
        water: i64,
        record: u32,
        found: &mut Findings,
    ) {
        let Some(asof) = AsOf::of(rules) else {
            return;
        };
        while self
            .expiries
            .first()
            .is_some_and(|(time, ..)| *time < water)
        {
            let Some((_, left, key, place)) = self.expiries.pop_first() else {
                break;
            };
            let keyed = self.keys.get(&key);
            let waits = keyed.and_then(|keyed| keyed.left.get(&place)).cloned();
            if let Some(waits) = waits {
                self.answer(rules, asof, (&key, &waits.row), record, found);
                self.remove(&key, left, place);
            }
            self.prune(&key, asof, water);
        }
    }
}
