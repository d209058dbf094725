//! What an attempt leaves behind, and which others its match drops.

use super::Work;
use crate::pattern::attempt::Fate;
use crate::pattern::{Attempt, Copies, Drops, Taken};

/// The copy that an attempt leaves behind, if this is the moment, and whether it may take the row at hand.
pub(super) fn copy_of(
    attempt: &mut Attempt,
    (number, order): (u64, u64),
    fate: Fate,
    work: &Work<'_>,
) -> Option<(Attempt, bool)> {
    let machine = work.machine;
    if attempt.left {
        return None;
    }
    let anew = || Attempt::new(machine, number, work.at);
    match (fate, machine.copies) {
        (Fate::Complete, Copies::Span { .. }) => {
            // A row may begin the next attempt, not take the same again; one that only ended a repetition is free.
            let completes = attempt.last().is_some_and(|(row, _)| row == order);
            let other = machine.reuse.matched && attempt.first() != order;
            let copy = attempt.copy(machine, number, work.at);
            let copy = copy.unwrap_or_else(anew);
            attempt.left = true;
            let may_take = !completes || (other && copy.begins_anew());
            Some((copy, may_take))
        }
        (Fate::Moved, Copies::Span { to, .. }) if attempt.passed(machine, to) => {
            let copy = attempt.copy(machine, number, work.at);
            attempt.left = true;
            Some((copy.unwrap_or_else(anew), false))
        }
        (Fate::Broken, Copies::Span { .. }) if machine.after_break => {
            let copy = attempt.copy(machine, number, work.at);
            let copy = copy.unwrap_or_else(anew);
            let may_take = machine.reuse.broken && copy.begins_anew();
            Some((copy, may_take))
        }
        (Fate::Expired, Copies::Span { .. }) if machine.after_expiry => {
            // With the rows from before it would expire again.
            let copy = attempt.copy(machine, number, work.at);
            let copy = copy.filter(Attempt::begins_anew);
            Some((copy.unwrap_or_else(anew), true))
        }
        (Fate::Broken, Copies::Never) if machine.after_break => {
            Some((anew(), machine.reuse.broken))
        }
        (Fate::Expired, Copies::Never) if machine.after_expiry => Some((anew(), true)),
        _ => None,
    }
}

/// Whether a match drops another attempt.
pub(super) fn dropped_by(drops: Drops, matched: &Attempt) -> impl Fn(&Attempt) -> bool {
    let first = matched.first();
    let row_of = move |alias, last: bool| {
        let of = |taken: &&Taken| taken.alias == alias && taken.row.is_some();
        let rows = &matched.rows;
        let found = if last {
            rows.iter().rev().find(of)
        } else {
            rows.iter().find(of)
        };
        found.map(|taken| taken.order)
    };
    let same = move |other: &Attempt| other.first() == first && first != u64::MAX;
    let before = move |bound: Option<u64>, other: &Attempt| match bound {
        Some(bound) => other.first() < bound,
        None => same(other),
    };
    let last = matched.last();
    move |other: &Attempt| match drops {
        Drops::Nothing => false,
        Drops::SameFirst => same(other),
        Drops::PastLast => last.is_some_and(|last| other.began_by(last)),
        Drops::BeforeFirst(alias) => before(row_of(alias, false), other),
        Drops::BeforeLast(alias) => before(row_of(alias, true), other),
    }
}
