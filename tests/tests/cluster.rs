//! Many workers and many shards in virtual time. By hand and larger: `cargo run --release -p tidegate-tests --bin scale`.

use tidegate_actors::owner::Breaks;
use tidegate_tests::cluster::{ClusterOutcome, ClusterPlan, run};

#[test]
fn eight_workers_do_eight_times_the_work_of_one() {
    let one = run(ClusterPlan::new(1, 64, 300)).unwrap();
    let eight = run(ClusterPlan::new(8, 64, 300)).unwrap();
    assert_eq!(one.outputs, eight.outputs);
    assert_eq!(one.takeovers, 64);
    let per_core = |outcome: &ClusterOutcome| outcome.events as f64 / outcome.cores.as_secs_f64();
    assert!(per_core(&eight) >= 0.9 * per_core(&one));
}

/// Epochs are small and dear, so that the storms come while there is work.
fn stormy(seed: u64) -> ClusterPlan {
    let mut plan = ClusterPlan::new(8, 32, 200);
    plan.seed = seed;
    plan.storms = 6;
    plan.epoch_records = 4;
    plan.costs.epoch_ns = 20_000_000;
    plan
}

#[test]
fn storms_of_takeovers_lose_nothing_and_invent_nothing() {
    let storms = (0..12).map(|seed| run(stormy(seed)).unwrap().storm);
    let most = storms.max().unwrap_or(0);
    assert!(most >= 32, "{most} takeovers a second are no storm");
}

/// A test that cannot fail proves nothing.
#[test]
fn a_gap_that_is_not_read_is_noticed() {
    let noticed = (0..12).any(|seed| {
        let mut plan = stormy(seed);
        plan.breaks = Breaks {
            no_gap_check: true,
            ..Breaks::default()
        };
        run(plan).is_err()
    });
    assert!(
        noticed,
        "nobody notices that owners do not look for newer ones"
    );
}
