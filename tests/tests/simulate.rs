//! The simulation of the shard core: 500 seeds hold, and every guard that is switched off is noticed within them.

use tidegate_actors::owner::Breaks;
use tidegate_tests::simulation::{Plan, run};

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
