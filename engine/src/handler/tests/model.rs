//! Laws over random runs: every action ends, nothing is lost over crashes, nothing is repeated without one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tidegate_proto::time::Span;

use super::super::settings::HandlerSettings;
use super::scripted::{Answer, ScriptedSink};
use super::{Bench, Handlers};

/// What an action comes to: so many failures, then the answer.
#[derive(Clone, Copy, Debug)]
struct Fate {
    handler: usize,
    failures: usize,
    refused: bool,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = (0..3_usize, 0..4_usize, prop::bool::weighted(0.2)).prop_map(
        |(handler, failures, refused)| Fate {
            handler,
            failures,
            refused,
        },
    );
    prop::collection::vec(fate, 1..40)
}

fn sink(fates: &[Fate]) -> std::sync::Arc<ScriptedSink> {
    let fates = fates.to_vec();
    ScriptedSink::new(move |id, before, _| {
        let number: usize = id.strip_prefix("0-1-").unwrap().parse().unwrap();
        match fates[number] {
            fate if before < fate.failures => Answer::Fails,
            fate if fate.refused => Answer::Refuses,
            _ => Answer::Done,
        }
    })
}

fn settings(queue: usize) -> HandlerSettings {
    HandlerSettings {
        queue,
        concurrency: 2,
        backoff: Span::seconds(1),
        breaker_failures: 3,
        ..HandlerSettings::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_action_ends_as_it_should_over_any_crashes(
        fates in fates(),
        crashes in prop::collection::vec(0..30_usize, 0..4),
        window in 1..8_usize,
        queue in 1..4_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut bench = Bench::new();
            bench.settings.window = window;
            bench.settings.parked = 5;
            bench.settings.read_records = 3;
            for (number, fate) in (0..).zip(&fates) {
                bench.publish(NAMES[fate.handler], number);
            }
            // One sink over all runs: the world outside does not crash with us.
            let sink = sink(&fates);
            let start = || {
                let add = |all: Handlers, name: &&str| all.with(name, sink.clone(), settings(queue));
                bench.start(NAMES.iter().fold(Handlers::default(), add))
            };
            for after in &crashes {
                let dispatcher = start();
                let wanted = sink.ids().len() + after;
                let calls = sink.called(wanted);
                let bounded = tokio::time::timeout(std::time::Duration::from_secs(600), calls);
                drop(bounded.await);
                drop(dispatcher);
            }
            let end = i64::try_from(fates.len()).unwrap();
            let dispatcher = start();
            bench.log.expect(|| bench.committed() == Some(end)).await;
            dispatcher.stop().await;
            check(&bench, &fates, &sink, crashes.is_empty());
        });
    }
}

fn check(bench: &Bench, fates: &[Fate], sink: &ScriptedSink, without_crash: bool) {
    let mut errors: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    let outcomes = bench.outcomes();
    for (_, (id, error, _)) in &outcomes {
        errors
            .entry(id.clone())
            .or_default()
            .insert(error.is_some());
    }
    let dead: BTreeSet<String> = bench
        .dead_letters()
        .iter()
        .map(|letter| super::super::ActionRecord::decode(letter).unwrap().id)
        .collect();
    for (number, fate) in fates.iter().enumerate() {
        let id = format!("0-1-{number}");
        assert_eq!(
            errors.get(&id),
            Some(&BTreeSet::from([fate.refused])),
            "{id}"
        );
        assert_eq!(dead.contains(&id), fate.refused, "{id}");
    }
    if without_crash {
        assert_eq!(outcomes.len(), fates.len());
        let tries: usize = fates.iter().map(|fate| fate.failures + 1).sum();
        assert_eq!(sink.ids().len(), tries);
    }
}
