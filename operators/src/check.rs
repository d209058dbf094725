//! [`check`]: everything that is wrong with a text of documents, formulas included, all at once.

use std::collections::BTreeMap;

use tidegate_proto::document::{self, Document};
use tidegate_proto::{Issue, Issues};

use crate::plan::Plan;

/// Reads documents and compiles all formulas of rules.
///
/// # Errors
/// All problems of all documents at once, in the order of the text, each behind the name of its document.
pub fn check(text: &str) -> Result<Vec<Document>, Issues> {
    let read = document::look(text);
    let mut issues = read.issues;
    let mut plans = BTreeMap::new();
    for document in &read.documents {
        if let Document::Rule(rule) = document {
            match Plan::compile(rule) {
                Ok(plan) => drop(plans.insert(rule.name.as_str(), plan)),
                Err(found) => issues.extend(found),
            }
        }
    }
    for (name, plan) in &plans {
        let found = plan.reading_issues(&|other| plans.get(other));
        issues.extend(found.into_iter().map(|issue| Issue {
            path: format!("rule {name}: {}", issue.path),
            ..issue
        }));
    }
    if issues.is_empty() {
        return Ok(read.documents);
    }
    for (document, text) in &read.formulas {
        let path = format!("{document}: {}", text.path);
        let told = |issue: &Issue| issue.path == path && issue.mark >= text.mark;
        if !issues.iter().any(told) {
            let found = tidegate_scripts::mistakes_anywhere(text);
            issues.extend(found.into_iter().map(|issue| Issue {
                path: path.clone(),
                ..issue
            }));
        }
    }
    issues.sort_by_key(|issue| issue.mark);
    issues.dedup();
    Err(issues)
}
