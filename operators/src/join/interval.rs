//! Pairs within an interval: `left − before ≤ right ≤ left + after`.

use std::sync::Arc;

use super::{Coming, Findings, JoinKey, JoinRow, JoinRules, Joined, Pair, alone};

/// Until when a row may get a partner that is on time.
fn over(rules: &JoinRules, (before, after): (i64, i64), row: &JoinRow, left: bool) -> i64 {
    let wait = if left { after } else { before };
    row.time.saturating_add(wait).saturating_add(rules.lateness)
}

impl Joined {
    pub(super) fn take_interval(
        &mut self,
        rules: &JoinRules,
        (before, after): (i64, i64),
        (key, row): (JoinKey, Arc<JoinRow>),
        coming: Coming,
        found: &mut Findings,
    ) {
        let left = coming.left;
        let until = over(rules, (before, after), &row, left);
        // In row order a row is taken when time has passed it; a wait that ended before it began must not make it late.
        let least = if rules.ordered {
            until.max(row.time)
        } else {
            until
        };
        if least < coming.water {
            found.late.push((key, row, coming.record));
            return;
        }
        let (earliest, latest) = if left {
            (before, after)
        } else {
            (after, before)
        };
        let range =
            (row.time.saturating_sub(earliest), 0)..=(row.time.saturating_add(latest), u64::MAX);
        let mut paired = false;
        if let Some(keyed) = self.keys.get_mut(&key) {
            for (_, other) in keyed.side(!left).range_mut(range) {
                if other.row.number == row.number && !rules.own_pairs {
                    continue;
                }
                paired = true;
                other.told = true;
                let (of_left, of_right) = if left {
                    (&row, &other.row)
                } else {
                    (&other.row, &row)
                };
                found.pairs.push(Pair {
                    key: key.clone(),
                    left: Some(Arc::clone(of_left)),
                    right: Some(Arc::clone(of_right)),
                    time: row.time.max(other.row.time),
                    window: None,
                    back: false,
                    record: coming.record,
                });
            }
        }
        if !paired && rules.eager && rules.kind.keeps(left) {
            found.pairs.push(alone(&key, &row, left, coming.record));
            paired = true;
        }
        let expiry = (until, left, key.clone(), row.place());
        self.expiries.insert(expiry);
        if let Some(oldest) = self.keep(rules, (&key, &row), (left, paired)) {
            let until = over(rules, (before, after), &oldest.row, left);
            let expiry = (until, left, key.clone(), oldest.row.place());
            self.expiries.remove(&expiry);
            found.dropped += 1;
            if !oldest.told && rules.kind.keeps(left) {
                found
                    .pairs
                    .push(alone(&key, &oldest.row, left, coming.record));
            }
        }
    }

    pub(super) fn pass_interval(
        &mut self,
        rules: &JoinRules,
        water: i64,
        record: u32,
        found: &mut Findings,
    ) {
        while self
            .expiries
            .first()
            .is_some_and(|(time, ..)| *time < water)
        {
            let Some((_, left, key, place)) = self.expiries.pop_first() else {
                break;
            };
            let Some(waits) = self.remove(&key, left, place) else {
                continue;
            };
            if !waits.told && rules.kind.keeps(left) {
                found.pairs.push(alone(&key, &waits.row, left, record));
            }
        }
    }
}
