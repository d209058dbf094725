//! Every scenario file gives its one golden answer in every way of running it.

#[path = "scenarios/mirror.rs"]
mod mirror;

use std::path::Path;

use tidegate::replay::{ReplayOptions, replay_text};
use tidegate_tests::scenario::{Case, cases};

#[test]
fn every_case_has_one_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let all = cases(&folder);
    assert!(all.len() >= 10, "only {} cases were found", all.len());
    // One folder while it is written: CASES=graph cargo test … --test scenarios
    let wanted = std::env::var("CASES").unwrap_or_default();
    let failures: Vec<String> = all
        .iter()
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .filter_map(|path| Case::read(path).check().err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases failed:\n{}",
        failures.len(),
        all.len(),
        failures.join("\n")
    );
}

/// Types that no row can make fit are told before a rule runs, each with its place; several of a text at once.
#[test]
fn types_that_never_fit_are_told_with_their_places() {
    for (fields, wanted) in [
        (
            "when: t * 2.0",
            "4:9: rule r: when: a condition is true or false, this is a number (compare it, as in `x > 3.0`)",
        ),
        (
            "when: t + 1",
            "4:9: rule r: when: a condition is true or false, this is a sum (compare it, as in `x + y > 3.0`)",
        ),
        (
            "when: 5",
            "4:7: rule r: when: a condition is true or false, this is a number (compare it, as in `x > 3.0`)",
        ),
        (
            "when: t > 1.0 && 3 > \"a\"",
            "4:20: rule r: when: `>` cannot work on a number and text (numbers stand without quotes)",
        ),
        (
            "when: t > 1.0 && !(3 + 4)",
            "4:18: rule r: when: `!` needs true or false, not a number (compare it, as in `x > 3.0`)",
        ),
        (
            "when: (t > 1.0) > true",
            "4:17: rule r: when: `>` cannot work on true or false and true or false (what is true or false stands alone: `x`, `!x`)",
        ),
        (
            "when: t > 1.0\nclear: '\"a\"'",
            "5:9: rule r: clear: a condition is true or false, this is text (compare it, as in `x > 3.0`)",
        ),
        (
            "where: 7\nwhen: t > 1.0",
            "4:8: rule r: where: a condition is true or false, this is a number (compare it, as in `x > 3.0`)",
        ),
        (
            "pattern: { within: 5s, steps: [ { a: 3 } ] }",
            "4:38: rule r: pattern.steps[0].a: a condition is true or false, this is a number (compare it, as in `x > 3.0`)",
        ),
        (
            "pattern: { within: 5s, steps: [ { a: t > 0 }, { not: 3 } ], having: \"'x'\" }",
            "4:54: rule r: pattern.steps[1].not: a condition is true or false, this is a number (compare it, as in `x > 3.0`)\n4:70: rule r: pattern.having: a condition is true or false, this is text (compare it, as in `x > 3.0`)",
        ),
        (
            "pattern: { within: 5s, steps: [ { a: { where: t > 0, max: 3, until: 3 } } ] }",
            "4:69: rule r: pattern.steps[0].a.until: a condition is true or false, this is a number (compare it, as in `x > 3.0`)",
        ),
        (
            "pattern: { within: 5s, steps: [ { a: { where: t > 0, max: 3 } } ], emit: { v: a.t.sum() } }",
            "4:83: rule r: pattern.emit.v: unknown method `sum` (it is a function: write `sum(…)`)",
        ),
    ] {
        let text = format!("kind: Rule\nname: r\nfor: all\n{fields}\n");
        let told = replay_text(&text, "", ReplayOptions::default()).unwrap_err();
        assert_eq!(told.to_string(), wanted, "{fields}");
    }
    let text = "kind: Rule\nname: r\nfor: all\nwhere: 7\nwindow: { tumbling: 5s }\nemit: { a: -true, b: sum(t) }\nhaving: \"'x' + b\"\n";
    let told = replay_text(text, "", ReplayOptions::default()).unwrap_err();
    assert_eq!(told.to_string().lines().count(), 3, "{told}");
}

#[test]
fn all_problems_of_a_text_are_told_at_once() {
    let text = "kind: Rule\nname: b1\nfor: all\nwhen: t > 1.0\nhold: 5\nwhne: 3\n---\nkind: Rule\nname: b2\nfor: all\nwhen: avgg(t, \"1m\") > 1.0\n";
    let error = replay_text(text, "", ReplayOptions::default()).unwrap_err();
    let told = error.to_string();
    let places: Vec<&str> = told
        .lines()
        .filter_map(|line| line.split(": ").next())
        .collect();
    assert_eq!(places, ["5:7", "6:1", "11:7"], "{told}");
    assert!(told.contains("did you mean `when`"), "{told}");
    assert!(told.contains("avg"), "{told}");
}
