//! [`Issue`]: one thing that is wrong with what somebody wrote. Every validation answers with all of them at once.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where in a text something stands; both from 1, 0 when the text has no lines (a message that came over the wire).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Mark {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// One problem of a document: where it is, what is wrong, how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Path of the field inside its document: `rule boiler-overheats: then[0].alarm.severity`.
    pub path: String,
    /// Position in the text, if there is one.
    pub mark: Mark,
    /// What is wrong, lowercase, without a full stop, names in backticks.
    pub problem: String,
    /// How to mend it; empty when the problem says it all.
    pub hint: String,
}

/// All problems of a document, in its order.
pub type Issues = Vec<Issue>;

impl Issue {
    /// A problem at a path and a position.
    pub fn new(path: impl Into<String>, mark: Mark, problem: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            mark,
            problem: problem.into(),
            hint: String::new(),
        }
    }

    /// The same with a way to mend it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.mark.line > 0 {
            write!(f, "{}:{}: ", self.mark.line, self.mark.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.problem)?;
        if !self.hint.is_empty() {
            write!(f, " ({})", self.hint)?;
        }
        Ok(())
    }
}

/// The candidate nearest to `word` by edit distance, if it is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + word.chars().count() / 3;
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance with insertions, deletions, substitutions and neighbours changed over (Wagner and Fischer 1974, with the
/// transpositions of Damerau 1964), over characters.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().take(64).collect();
    let b: Vec<char> = b.chars().take(64).collect();
    let at = |row: &[usize], place: usize| row.get(place).copied().unwrap_or(128);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let substituted = at(&row, j) + usize::from(x != y);
            let other = at(&row, j + 1).min(at(&next, j)) + 1;
            let turned = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            let turned = if turned {
                at(&before, j - 1) + 1
            } else {
                other
            };
            next.push(substituted.min(other).min(turned));
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_what_was_meant() {
        assert_eq!(nearest("windw", ["when", "window", "hold"]), Some("window"));
        assert_eq!(nearest("averge", ["avg", "average"]), Some("average"));
        assert_eq!(nearest("completely_else", ["avg", "sum"]), None);
        assert_eq!(nearest("mni", ["max", "min"]), Some("min"));
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
