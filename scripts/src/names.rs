//! What names mean: [`FormulaContext`], metrics, traits and the fixed words.

use crate::stream::Slot;

/// Where a formula stands, which decides what it may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FormulaContext {
    /// `when`, `clear`, texts and values of actions: stream functions look back (`avg(x, "5m")`).
    Condition,
    /// `emit`, `having` and texts of window rules: stream functions work over the rule's window; `win_start`, `win_end`.
    WindowEmit,
    /// `where`, `by` and arguments of stream functions: one row, no stream functions.
    RowFilter,
}

/// Fixed words of every context.
const WORDS: [&str; 7] = [
    "meta", "labels", "type", "parent", "resource", "time", "metric",
];
/// Fixed words of window results.
const WINDOW_WORDS: [&str; 2] = ["win_start", "win_end"];

/// Whether a name is a fixed word or reserved, so that nothing else can have it.
pub(crate) fn is_word(name: &str) -> bool {
    WORDS.contains(&name) || WINDOW_WORDS.contains(&name) || !is_identifier(name)
}

/// What a path of names stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A value from outside.
    Slot(Slot),
    /// Nothing: what is wrong and how to mend it.
    Wrong(String, String),
}

/// The meaning of a dotted path such as `motor.speed`, `meta.line` or `time`.
pub(crate) fn meaning(path: &[&str], context: FormulaContext) -> Meaning {
    let joined = path.join(".");
    let wrong = |problem: String, hint: &str| Meaning::Wrong(problem, hint.to_owned());
    let Some(head) = path.first().copied() else {
        return wrong("an empty name".into(), "");
    };
    match (head, path.len()) {
        ("meta" | "labels", 1) => wrong(
            format!("`{head}` alone is no value"),
            &format!("write `{head}.name`"),
        ),
        ("meta" | "labels", _) | ("type" | "parent", 1) => {
            Meaning::Slot(Slot::Trait(joined.into()))
        }
        ("resource", 1) => Meaning::Slot(Slot::Resource),
        ("time", 1) => Meaning::Slot(Slot::Time),
        ("win_start" | "win_end", 1) if context != FormulaContext::WindowEmit => wrong(
            format!("`{head}` exists only in the results of a window"),
            "use it in `emit`, `having` or the texts of a window rule",
        ),
        ("win_start", 1) => Meaning::Slot(Slot::WindowStart),
        ("win_end", 1) => Meaning::Slot(Slot::WindowEnd),
        ("type" | "parent" | "resource" | "time" | "win_start" | "win_end", _) => {
            wrong(format!("`{head}` has no parts"), "")
        }
        _ => Meaning::Slot(Slot::Metric(joined.into())),
    }
}

/// Whether a metric's name can stand in a formula as it is: identifiers joined by dots, no fixed word in front.
pub(crate) fn is_plain_metric(name: &str) -> bool {
    let head = name.split('.').next().unwrap_or_default();
    !WORDS.contains(&head) && !WINDOW_WORDS.contains(&head) && is_plain_path(name)
}

/// Whether a path is identifiers joined by dots.
pub(crate) fn is_plain_path(name: &str) -> bool {
    name.split('.').all(is_identifier)
}

fn is_identifier(part: &str) -> bool {
    rhai::is_valid_identifier(part) && !is_reserved(part)
}

/// Words that no name can be: Rhai's keywords, and those that would read as something else.
fn is_reserved(word: &str) -> bool {
    rhai::Token::lookup_symbol_from_syntax(word).is_some() || KEPT.contains(&word)
}

/// Reserved identifiers of Rhai that stay reserved. The others (`var`, `default`, `new` …) mean nothing in Rhai and are
/// names here: `var(x)` is an aggregate, and devices have metrics called `new`.
pub(crate) const KEPT: [&str; 18] = [
    "this",
    "eval",
    "Fn",
    "call",
    "curry",
    "is_shared",
    "is_def_var",
    "is_def_fn",
    "type_of",
    "print",
    "debug",
    "import",
    "export",
    "as",
    "private",
    "null",
    "nil",
    "void",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_mean_what_the_language_says() {
        let slot = |path: &[&str]| match meaning(path, FormulaContext::Condition) {
            Meaning::Slot(slot) => slot.to_string(),
            Meaning::Wrong(problem, _) => problem,
        };
        assert_eq!(slot(&["motor", "speed"]), "motor.speed");
        assert_eq!(slot(&["meta", "line"]), "meta.line");
        assert_eq!(slot(&["meta", "serial-no"]), "meta[\"serial-no\"]");
        assert_eq!(slot(&["type"]), "type");
        assert_eq!(slot(&["meta"]), "`meta` alone is no value");
        assert_eq!(
            slot(&["win_end"]),
            "`win_end` exists only in the results of a window"
        );
        assert_eq!(Slot::Metric("null".into()).to_string(), "metric(\"null\")");
        assert_eq!(Slot::Metric("type".into()).to_string(), "metric(\"type\")");
        assert_eq!(Slot::Metric("a b".into()).to_string(), "metric(\"a b\")");
    }
}
