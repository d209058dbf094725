//! How the lines of one causing record are ordered: causes stand in the order of the log, so numbers in their names count as numbers.

use std::cmp::Ordering;

use crate::epoch::OutputOrder;

impl OutputOrder {
    /// Which of two lines of one causing record comes first.
    #[must_use]
    pub fn within(&self, other: &Self) -> Ordering {
        let head = |order: &Self| (order.window, order.kind, order.revision);
        let rule = self.rule.cmp(&other.rule);
        rule.then_with(|| self.task.cmp(&other.task))
            .then_with(|| head(self).cmp(&head(other)))
            .then_with(|| by_place(&self.cause, &other.cause))
    }
}

impl Ord for OutputOrder {
    fn cmp(&self, other: &Self) -> Ordering {
        let trigger = self.trigger.cmp(&other.trigger);
        trigger.then_with(|| self.within(other))
    }
}

impl PartialOrd for OutputOrder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// One cause after the other, a list that ends first in front.
fn by_place(a: &[String], b: &[String]) -> Ordering {
    let mut pairs = a.iter().zip(b).map(|(a, b)| natural(a, b));
    let first = pairs.find(|order| order.is_ne());
    first.unwrap_or_else(|| a.len().cmp(&b.len()))
}

/// `line:9` before `line:10`; names that are numerically equal by their text.
fn natural(one: &str, other: &str) -> Ordering {
    let (mut a, mut b) = (one.as_bytes(), other.as_bytes());
    while let (Some((x, rest_of_a)), Some((y, rest_of_b))) = (a.split_first(), b.split_first()) {
        if x.is_ascii_digit() && y.is_ascii_digit() {
            let (own, after_a) = number(a);
            let (its, after_b) = number(b);
            let order = own.len().cmp(&its.len()).then_with(|| own.cmp(its));
            if order.is_ne() {
                return order;
            }
            (a, b) = (after_a, after_b);
        } else if x == y {
            (a, b) = (rest_of_a, rest_of_b);
        } else {
            return x.cmp(y);
        }
    }
    a.len().cmp(&b.len()).then_with(|| one.cmp(other))
}

/// The digits in front without leading zeros, and what follows.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    (digits.split_at(zeros).1, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_of_causes_count_as_numbers() {
        let sorted = [
            &["events/0/99", "events/0/100"][..],
            &["events/0/100"],
            &["events/1/7"],
            &["line:9"],
            &["line:9", "line:10"],
            &["line:9", "line:11"],
            &["line:10", "line:9"],
            &["x"],
            &["x0"],
            &["x00"],
            &["x1a"],
            &["x01b"],
            &["y"],
        ];
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let sorted: Vec<Vec<String>> = sorted.iter().map(|names| owned(names)).collect();
        for (place, a) in sorted.iter().enumerate() {
            for (other, b) in sorted.iter().enumerate() {
                assert_eq!(by_place(a, b), place.cmp(&other), "{a:?} {b:?}");
            }
        }
    }
}
