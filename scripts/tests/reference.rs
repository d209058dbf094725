//! `FORMULAS.md` is made from the catalogue: it says what the code can do, and nothing else.

use std::fmt::Write;
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

fn reference() -> String {
    let mut text = HEAD.to_owned();
    let over_windows = |entry: &Entry| {
        entry.contexts.contains(&FormulaContext::WindowEmit) && entry.stream.is_some()
    };
    let sections: [(&str, &dyn Fn(&Entry) -> bool); 3] = [
        ("Over rows, looking back or over a window", &over_windows),
        ("Over rows, in conditions alone", &|entry| {
            entry.stream.is_some() && !over_windows(entry)
        }),
        ("Over the values of one row", &|entry| {
            entry.stream.is_none()
        }),
    ];
    for (title, belongs) in sections {
        write!(
            text,
            "\n## {title}\n\n| form | what it gives | what it costs | example |\n|---|---|---|---|\n"
        )
        .unwrap();
        let rows = catalogue().filter(|entry| belongs(entry));
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
