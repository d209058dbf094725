//! Every scenario file gives its one golden answer in every way of running it.

use std::path::Path;

use tidegate::replay::{ReplayOptions, replay_text};
use tidegate_tests::scenario::{Case, cases};

#[test]
fn every_case_has_one_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let all = cases(&folder);
    assert!(all.len() >= 10, "only {} cases were found", all.len());
    let failures: Vec<String> = all
        .iter()
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
