//! Several groupings of one rule: `by: { sets: [ [line], [line, kind], [] ] }`.

use std::sync::Arc;

use crate::document::section::{Field, Report};
use crate::document::tree::NodeKind;
use crate::document::value::{formula, text};
use crate::issue::Mark;
use crate::rule::FormulaText;

use super::Columns;

/// Most groupings of one rule.
const SETS: usize = 32;
/// The column that tells which grouping a row is of.
pub(super) const GROUPING: &str = "grouping";

/// The list of groupings, if `by` is one: a map with `sets` alone, which is a list of lists.
pub(super) fn written<'n>(by: &Field<'n>) -> Option<Field<'n>> {
    let NodeKind::Map(entries) = &by.node.kind else {
        return None;
    };
    let [(key, node)] = entries.as_slice() else {
        return None;
    };
    let is_list = matches!(&node.kind, NodeKind::Seq(_));
    (key.scalar() == Some("sets") && is_list).then(|| Field {
        name: "sets",
        path: format!("{}.sets", by.path),
        mark: key.mark,
        node,
    })
}

/// The keys of all groupings, behind the column that tells them apart, and which of them each grouping has.
pub(super) fn read(field: &Field<'_>, mark: Mark, report: &mut Report) -> (Columns, Vec<Vec<u32>>) {
    let number = FormulaText {
        source: Arc::from("0"),
        path: Arc::from(field.path.as_str()),
        mark,
    };
    let mut by: Columns = vec![(Arc::from(GROUPING), number)];
    let mut sets: Vec<Vec<u32>> = Vec::new();
    let items = field.items(report);
    if items.is_empty() || items.len() > SETS {
        let problem = format!("{} groupings: there are 1 to {SETS}", items.len());
        report.add(&field.path, field.mark, problem);
    }
    for item in items.iter().take(SETS) {
        let mut set = Vec::new();
        for key in item.items(report) {
            let Some(path) = text(&key, report) else {
                continue;
            };
            let known = by.iter().position(|(name, _)| name.as_ref() == path);
            let place = match known {
                Some(0) => {
                    let problem =
                        format!("`{GROUPING}` is the column that tells the groupings apart");
                    report.add(&key.path, key.mark, problem);
                    continue;
                }
                Some(place) => place,
                None => {
                    let Some(formula) = formula(&key, report) else {
                        continue;
                    };
                    by.push((Arc::from(path), formula));
                    by.len() - 1
                }
            };
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            if set.contains(&place) {
                report.add(&key.path, key.mark, format!("`{path}` is there twice"));
            } else {
                set.push(place);
            }
        }
        let mut same = set.clone();
        same.sort_unstable();
        let twice = sets.iter().any(|other| {
            let mut other = other.clone();
            other.sort_unstable();
            other == same
        });
        if twice {
            report.add(&item.path, item.mark, "this grouping is there twice");
        }
        sets.push(set);
    }
    (by, sets)
}
