//! Real input: labelled sensor series through rules, with golden answers. `UPDATE_GOLDEN=1` writes them.

use std::path::Path;

use tidegate::replay::{ReplayOptions, replay_text};
use tidegate_proto::time::Span;
use tidegate_tests::nab::{SERIES, event_lines};

#[test]
fn every_series_gives_its_golden_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nab");
    let rules = std::fs::read_to_string(folder.join("rules.yaml")).unwrap();
    for (resource, file) in SERIES {
        let options = ReplayOptions {
            ticks: Some(Span::seconds(300)),
            ..ReplayOptions::default()
        };
        let (lines, summary) = replay_text(&rules, &event_lines(resource, file), options).unwrap();
        assert_eq!(summary.unusable, [], "{file}");
        let answer: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let golden = folder.join("golden").join(format!("{resource}.ndjson"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &answer).unwrap();
        }
        let expected = std::fs::read_to_string(&golden).unwrap();
        assert!(
            expected == answer,
            "{file}: the answer differs from {}",
            golden.display()
        );
    }
}

#[test]
fn the_cut_does_not_matter() {
    let rules =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("data/nab/rules.yaml"))
            .unwrap();
    let events: String = SERIES
        .iter()
        .map(|(resource, file)| event_lines(resource, file))
        .collect();
    let run = |batch, shards| {
        let options = ReplayOptions {
            batch,
            shards,
            ..ReplayOptions::default()
        };
        replay_text(&rules, &events, options).unwrap().0
    };
    let straight = run(1000, 1);
    assert!(straight.len() > 100);
    assert!(straight == run(77, 3), "another cut gives another answer");
}
