//! What is wrong with a formula wherever it stands: for formulas of documents that cannot be read as a whole, so that all
//! mistakes are told at once.

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};
use tidegate_proto::FormulaText;
use tidegate_proto::issue::{Issue, nearest};

use crate::formula::{Scope, compile_source, to_issue};
use crate::lower::{AuthorName, Problem};
use crate::names::FormulaContext;
use crate::template::Template;

/// Functions that only some places know.
const ELSEWHERE: [&str; 5] = ["or", "metric", "time", "resource", "id"];

/// Mistakes of a formula, or of the formulas in a template, that it has whatever stands around it: what cannot be read,
/// and functions that do not exist.
#[must_use]
pub fn mistakes_anywhere(text: &FormulaText) -> Vec<Issue> {
    let scope = Scope {
        anywhere: true,
        ..Scope::default()
    };
    if is_template(&text.path) {
        let found = Template::compile_in(text, FormulaContext::Condition, scope);
        return found.err().unwrap_or_default();
    }
    let found = compile_source(&text.source, FormulaContext::Condition, scope);
    let found = found.err().unwrap_or_default();
    found
        .iter()
        .map(|problem| to_issue(text, problem))
        .collect()
}

/// Whether what stands at a path is text with `${formula}` parts.
fn is_template(path: &str) -> bool {
    path.ends_with(".text") || path.ends_with(".log") || path.contains(".with.")
}

/// Calls of functions that neither the catalogue nor the text itself has.
pub(crate) fn unknown_functions(ast: &AST, authors: &[AuthorName]) -> Vec<Problem> {
    let mut found = Vec::new();
    ast.walk(&mut |path: &[ASTNode<'_>]| {
        if let Some(ASTNode::Expr(Expr::FnCall(call, at)) | ASTNode::Stmt(Stmt::FnCall(call, at))) =
            path.last()
        {
            found.extend(unknown(call, *at, authors));
        }
        true
    });
    found.sort_by_key(|problem| problem.at);
    found.dedup_by(|a, b| a.at == b.at && a.problem == b.problem);
    found
}

fn unknown(call: &FnCallExpr, at: Position, authors: &[AuthorName]) -> Option<Problem> {
    let name = call.name.as_str();
    let mut names: Vec<&str> = crate::catalogue::function_names().collect();
    names.extend(authors.iter().map(|author| author.name.as_str()));
    let elsewhere = [&ELSEWHERE[..], &crate::catalogue::PLANNED[..]].concat();
    if call.op_token.is_some() || names.contains(&name) || elsewhere.contains(&name) {
        return None;
    }
    let near = nearest(name, names);
    Some(Problem {
        at,
        problem: format!("unknown function `{name}`"),
        hint: near.map_or_else(String::new, |near| format!("did you mean `{near}`?")),
    })
}
