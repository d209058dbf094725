//! Pairs within a tumbling window, told when it closes.

use std::sync::Arc;

use tidegate_proto::JoinWithin;

use super::{Coming, Findings, JoinKey, JoinRow, JoinRules, Joined, Pair, alone};

impl Joined {
    pub(super) fn take_window(
        &mut self,
        rules: &JoinRules,
        (key, row): (JoinKey, Arc<JoinRow>),
        coming: Coming,
        found: &mut Findings,
    ) {
        let JoinWithin::Window { size, offset, .. } = rules.within else {
            return;
        };
        let size = size.0.max(1);
        let since = row.time.saturating_sub(offset);
        let start = since
            .div_euclid(size)
            .saturating_mul(size)
            .saturating_add(offset);
        let end = start.saturating_add(size);
        if end <= coming.water {
            found.late.push((key, row, coming.record));
            return;
        }
        let place = (end, key, start);
        let gathered = self.windows.entry(place).or_default();
        let [left, right] = gathered;
        let side = if coming.left { left } else { right };
        if side.len() >= rules.most {
            found.dropped += 1;
            return;
        }
        let at = side.partition_point(|other| other.place() <= row.place());
        side.insert(at, row);
        self.rows += 1;
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
            let ((end, key, start), [left, right]) = entry.remove_entry();
            self.rows -= left.len() + right.len();
            let place = (&key, (start, end), record);
            close(rules, place, (&left, &right), found);
        }
    }
}

fn close(
    rules: &JoinRules,
    (key, window, record): (&JoinKey, (i64, i64), u32),
    (left, right): (&[Arc<JoinRow>], &[Arc<JoinRow>]),
    found: &mut Findings,
) {
    let latest = matches!(rules.within, JoinWithin::Window { latest: true, .. });
    let when = |time: i64| if latest { time } else { window.1 };
    let partners = |a: &JoinRow, b: &JoinRow| rules.own_pairs || a.number != b.number;
    for of_left in left {
        for of_right in right.iter().filter(|other| partners(of_left, other)) {
            found.pairs.push(Pair {
                key: key.clone(),
                left: Some(Arc::clone(of_left)),
                right: Some(Arc::clone(of_right)),
                time: when(of_left.time.max(of_right.time)),
                window: Some(window),
                record,
            });
        }
    }
    for (own, others, is_left) in [(left, right, true), (right, left, false)] {
        if !rules.kind.keeps(is_left) {
            continue;
        }
        let lonely = own
            .iter()
            .filter(|row| !others.iter().any(|other| partners(row, other)));
        found.pairs.extend(lonely.map(|row| Pair {
            time: when(row.time),
            window: Some(window),
            ..alone(key, row, is_left, record)
        }));
    }
}
