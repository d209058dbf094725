//! The simulation of the shard core: 500 seeds hold, and every guard that is switched off is noticed within them.

use tidegate_actors::owner::Breaks;
use tidegate_tests::simulation::{Brittle, Plan, World, run};

const SEEDS: u64 = 500;

#[test]
fn every_seed_holds() {
    let failures: Vec<String> = (0..SEEDS)
        .filter_map(|seed| run(Plan::new(seed)).err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {SEEDS} seeds failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// A test that cannot fail proves nothing: without the guard some seed must fail.
fn is_noticed_with(name: &str, break_it: impl Fn(&mut Plan)) {
    let noticed = (0..SEEDS).find_map(|seed| {
        let mut plan = Plan::new(seed);
        break_it(&mut plan);
        run(plan).err()
    });
    assert!(
        noticed.is_some(),
        "nobody notices in {SEEDS} seeds that `{name}` is broken"
    );
}

fn is_noticed(name: &str, atomic: Option<bool>, breaks: Breaks) {
    is_noticed_with(name, |plan| {
        plan.atomic = atomic.unwrap_or(plan.atomic);
        plan.breaks = breaks;
    });
}

#[test]
fn a_watermark_per_batch_is_noticed() {
    is_noticed_with("watermark per batch", |plan| {
        plan.shard.pipeline.breaks.watermark_per_batch = true;
    });
}

#[test]
fn a_timer_after_the_row_of_its_own_time_is_noticed() {
    is_noticed_with("timer after the row of its own time", |plan| {
        plan.shard.pipeline.breaks.timer_after_row = true;
    });
}

#[test]
fn replay_before_takeover_is_noticed() {
    is_noticed(
        "replay-first",
        Some(false),
        Breaks {
            replay_first: true,
            ..Breaks::default()
        },
    );
}

#[test]
fn a_gap_that_is_not_read_is_noticed() {
    is_noticed(
        "no-gap-check",
        None,
        Breaks {
            no_gap_check: true,
            ..Breaks::default()
        },
    );
}

#[test]
fn counting_void_records_is_noticed() {
    is_noticed(
        "count-void",
        None,
        Breaks {
            count_void: true,
            ..Breaks::default()
        },
    );
}

#[test]
fn publishing_before_the_acknowledgement_is_noticed() {
    is_noticed(
        "publish-before-ack",
        Some(false),
        Breaks {
            publish_before_ack: true,
            ..Breaks::default()
        },
    );
}

#[test]
fn trusting_the_journal_about_commits_is_noticed() {
    is_noticed(
        "offsets-advisory",
        Some(true),
        Breaks {
            offsets_advisory: true,
            ..Breaks::default()
        },
    );
}

#[test]
fn reading_commits_before_fencing_is_noticed() {
    is_noticed(
        "init-after-read",
        Some(true),
        Breaks {
            committed_before_takeover: true,
            ..Breaks::default()
        },
    );
}

#[test]
fn a_snapshot_of_an_unacknowledged_epoch_is_noticed() {
    is_noticed(
        "snapshot-unacknowledged",
        None,
        Breaks {
            snapshot_unacknowledged: true,
            ..Breaks::default()
        },
    );
}

/// The worlds of some seeds in which something breaks on purpose; every one of them holds I1–I7.
fn worlds(brittle: Brittle) -> Vec<World> {
    (1_000..1_040)
        .map(|seed| run(Plan::with_brittle(seed, Some(brittle))).expect("the seed holds"))
        .collect()
}

fn letters(world: &World) -> Vec<&str> {
    let letters = world.outputs.iter();
    letters.filter_map(|o| o.reason.as_deref()).collect()
}

fn quarantines(world: &World) -> Vec<&str> {
    let changes = world.outputs.iter().filter(|o| o.to == "Changes");
    let told = changes.filter(|o| o.body.contains("\"quarantined\""));
    told.map(|o| o.body.as_str()).collect()
}

#[test]
fn a_rule_that_breaks_on_rows_goes_on_without_them_and_is_quarantined_the_third_time() {
    for brittle in [Brittle::Rows, Brittle::Clock, Brittle::Remove] {
        let worlds = worlds(brittle);
        let mut struck = 0;
        for world in &worlds {
            let letters = letters(world);
            let third = letters.iter().any(|why| why.contains("strike 3 of 3"));
            struck += usize::from(third);
            assert_eq!(third, !quarantines(world).is_empty(), "{letters:?}");
            assert!(letters.iter().all(|why| why.contains("broken on purpose")));
        }
        assert!(struck > worlds.len() / 2, "{brittle:?}: only {struck}");
    }
}

#[test]
fn a_rule_that_breaks_while_it_comes_is_quarantined_at_once() {
    for world in worlds(Brittle::Apply) {
        let told = quarantines(&world);
        assert!(
            told.iter().any(|t| t.contains("rule/brittle-means")),
            "{told:?}"
        );
        assert!(
            told.iter().any(|t| t.contains("rule/brittle-hot")),
            "{told:?}"
        );
    }
}

#[test]
fn a_twin_that_breaks_is_quarantined_the_third_time_and_its_rows_are_kept_as_dead_letters() {
    let worlds = worlds(Brittle::Twins);
    let kept = |world: &World| {
        let letters = letters(world);
        let shut = "the resource is quarantined";
        letters.iter().any(|why| why.contains("strike 3 of 3"))
            && letters.iter().any(|why| why.contains(shut))
            && quarantines(world)
                .iter()
                .all(|told| told.contains("resource/brittle-0"))
    };
    assert!(worlds.iter().filter(|world| kept(world)).count() > worlds.len() / 2);
}

#[test]
fn a_fault_that_belongs_to_nobody_stops_the_shard_instead_of_repeating_for_ever() {
    let mut plan = Plan::with_brittle(7, None);
    plan.shard.breaks.brittle_clock = 1_000_100;
    let why = run(plan).expect_err("nobody can be left out");
    assert!(why.contains("an owner is stuck"), "{why}");
    assert!(why.contains("broken on purpose"), "{why}");
}
