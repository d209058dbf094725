//! Every scenario file gives its one golden answer in every way of running it.

use std::path::Path;

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
