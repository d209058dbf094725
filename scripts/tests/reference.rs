//! `FORMULAS.md` is made from the catalogue: it says what the code can do, and nothing else.

use std::path::Path;

use tidegate_scripts::{Entry, FormulaContext, catalogue};

const HEAD: &str = "# Formula reference

Every function that a formula can call, made from the catalogue of the code (`scripts/src/catalogue`); a test keeps the two
equal. Every example is compiled by a test, those over rows are run. What rules are and how windows work: `operators/RULES.md`.

Functions over rows look back in a condition (`avg(x, \"5m\")` over `(t − 5m, t]`, `avg(x, \"5 rows\")`, `avg(x, \"all\")`) and work
over the rule's window in `emit` and `having` (`avg(x)`). `filter` is a condition on the row: `avg(x, y > 3.0)`. `n` is the
number of rows in the window or lookback.
";

fn row(entry: &Entry) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    format!(
        "| `{}` | {} | {} | `{}` |\n",
        cell(entry.signature),
        cell(entry.meaning),
        cell(entry.cost),
        cell(entry.example)
    )
}

/// Whether an entry looks at more than one row, and whether it does so over a window too.
fn place(entry: &Entry) -> (bool, bool) {
    let windows = entry.contexts.contains(&FormulaContext::WindowEmit);
    (entry.stream.is_some(), entry.stream.is_some() && windows)
}

fn reference() -> String {
    let mut text = HEAD.to_owned();
    for (title, wanted) in [
        ("Over rows, looking back or over a window", (true, true)),
        ("Over rows, in conditions alone", (true, false)),
        ("Over the values of one row", (false, false)),
    ] {
        text.push_str("\n## ");
        text.push_str(title);
        text.push_str(
            "\n\n| form | what it gives | what it costs | example |\n|---|---|---|---|\n",
        );
        let rows = catalogue().filter(|entry| place(entry) == wanted);
        rows.for_each(|entry| text.push_str(&row(&entry)));
    }
    text
}

#[test]
fn the_committed_reference_is_what_the_catalogue_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("FORMULAS.md");
    let wanted = reference();
    if std::env::var_os("TIDEGATE_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == wanted,
        "run `TIDEGATE_WRITE_REFERENCE=1 cargo test -p tidegate-scripts --test reference` and commit FORMULAS.md"
    );
}
