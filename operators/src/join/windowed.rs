//! Pairs within a window, a tumbling one or that of the lines: told when it closes, and within `lateness` as rows come.

use std::sync::Arc;

use tidegate_proto::JoinWithin;

use super::{Coming, Findings, Gathered, JoinKey, JoinRow, JoinRules, Joined, Pair, alone};

impl JoinRules {
    /// Whether two rows of a window are a pair.
    const fn partners(&self, a: &JoinRow, b: &JoinRow) -> bool {
        self.own_pairs || a.number != b.number
    }

    /// The time of what is told of rows of a window.
    const fn told_at(&self, window: (i64, i64), latest: i64) -> i64 {
        match self.within {
            JoinWithin::Window { latest: true, .. } => latest,
            _ => window.1,
        }
    }

    fn pair(
        &self,
        (key, window, record): (&JoinKey, (i64, i64), u32),
        (left, right): (&Arc<JoinRow>, &Arc<JoinRow>),
    ) -> Pair {
        Pair {
            key: key.clone(),
            left: Some(Arc::clone(left)),
            right: Some(Arc::clone(right)),
            time: self.told_at(window, left.time.max(right.time)),
            window: Some(window),
            back: false,
            record,
        }
    }

    fn lonely(
        &self,
        (key, window, record): (&JoinKey, (i64, i64), u32),
        (row, left): (&Arc<JoinRow>, bool),
    ) -> Pair {
        Pair {
            time: self.told_at(window, row.time),
            window: Some(window),
            ..alone(key, row, left, record)
        }
    }
}

/// Puts a row among those of its side; answers whether there was room.
fn put(rules: &JoinRules, gathered: &mut Gathered, (row, left): (&Arc<JoinRow>, bool)) -> bool {
    let [of_left, of_right] = gathered;
    let side = if left { of_left } else { of_right };
    if side.len() >= rules.most {
        return false;
    }
    let at = side.partition_point(|other| other.place() <= row.place());
    side.insert(at, Arc::clone(row));
    true
}

impl Joined {
    pub(super) fn take_window(
        &mut self,
        rules: &JoinRules,
        (start, end): (i64, i64),
        (key, row): (JoinKey, Arc<JoinRow>),
        coming: Coming,
        found: &mut Findings,
    ) {
        if end.saturating_add(rules.lateness) <= coming.water {
            found.late.push((key, row, coming.record));
            return;
        }
        let closed = end <= coming.water;
        let all = if closed {
            &mut self.told
        } else {
            &mut self.windows
        };
        let gathered = all.entry((end, key.clone(), start)).or_default();
        if !put(rules, gathered, (&row, coming.left)) {
            found.dropped += 1;
            return;
        }
        self.rows += 1;
        if closed {
            let place = (&key, (start, end), coming.record);
            join_late(rules, place, (&row, coming.left), gathered, found);
        }
    }

    pub(super) fn pass_window(
        &mut self,
        rules: &JoinRules,
        water: i64,
        record: u32,
        found: &mut Findings,
    ) {
        while let Some(entry) = self.windows.first_entry() {
            if entry.key().0 > water {
                break;
            }
            let ((end, key, start), gathered) = entry.remove_entry();
            close(rules, (&key, (start, end), record), &gathered, found);
            self.told.insert((end, key, start), gathered);
        }
        while let Some(entry) = self.told.first_entry() {
            if entry.key().0.saturating_add(rules.lateness) > water {
                break;
            }
            let (_, [left, right]) = entry.remove_entry();
            self.rows -= left.len() + right.len();
        }
    }
}

/// A window closes: its pairs, then rows without a partner.
fn close(
    rules: &JoinRules,
    place: (&JoinKey, (i64, i64), u32),
    [left, right]: &Gathered,
    found: &mut Findings,
) {
    for of_left in left {
        let partners = right.iter().filter(|other| rules.partners(of_left, other));
        let pairs = partners.map(|other| rules.pair(place, (of_left, other)));
        found.pairs.extend(pairs);
    }
    for (own, others, is_left) in [(left, right, true), (right, left, false)] {
        if !rules.kind.keeps(is_left) {
            continue;
        }
        let alone = |row: &&Arc<JoinRow>| !others.iter().any(|other| rules.partners(row, other));
        let lonely = own.iter().filter(alone);
        found
            .pairs
            .extend(lonely.map(|row| rules.lonely(place, (row, is_left))));
    }
}

/// A row comes to a window that was told: partners that were told without one are taken back, then come the new pairs.
fn join_late(
    rules: &JoinRules,
    place: (&JoinKey, (i64, i64), u32),
    (row, is_left): (&Arc<JoinRow>, bool),
    [left, right]: &Gathered,
    found: &mut Findings,
) {
    let (own, others) = if is_left {
        (left, right)
    } else {
        (right, left)
    };
    let partners = others.iter().filter(|other| rules.partners(row, other));
    let partners: Vec<&Arc<JoinRow>> = partners.collect();
    if partners.is_empty() && rules.kind.keeps(is_left) {
        found.pairs.push(rules.lonely(place, (row, is_left)));
    }
    for other in &partners {
        let before =
            |known: &&Arc<JoinRow>| known.number != row.number && rules.partners(known, other);
        if rules.kind.keeps(!is_left) && !own.iter().any(|known| before(&known)) {
            found.pairs.push(Pair {
                back: true,
                ..rules.lonely(place, (other, !is_left))
            });
        }
    }
    for other in partners {
        let pair = if is_left { (row, other) } else { (other, row) };
        found.pairs.push(rules.pair(place, pair));
    }
}
