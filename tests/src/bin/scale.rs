//! `cargo run --release -p tidegate-tests --bin scale -- [--partitions 1024] [--events 2000] [--workers 1,2,4,8,16,32,64]
//! [--brokers 3] [--storms N] [--slow N] [--seed N]`: the cluster by hand, one line for each number of workers. `--slow` makes the
//! cores so many times slower, so that storms come while there is work (with storms 3000 unless it is said).

use tidegate_tests::cluster::{ClusterOutcome, ClusterPlan, run};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let text = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)).cloned()
    };
    let number = |name: &str, default: u32| {
        let given = text(name).and_then(|text| text.parse().ok());
        given.unwrap_or(default)
    };
    let (partitions, events) = (number("--partitions", 1_024), number("--events", 2_000));
    let storms = number("--storms", 0);
    let slow = u64::from(number("--slow", if storms > 0 { 3_000 } else { 1 }));
    let workers = text("--workers").unwrap_or_else(|| "1,2,4,8,16,32,64".to_owned());
    println!(
        "{:>7} {:>12} {:>14} {:>8} {:>9} {:>10} {:>9} {:>12} {:>9}",
        "workers",
        "events/s",
        "per core s",
        "of one",
        "real ns",
        "takeovers",
        "most/s",
        "pause s",
        "broker"
    );
    let mut one = 0.0;
    for count in workers.split(',').filter_map(|text| text.parse().ok()) {
        let mut plan = ClusterPlan::new(count, partitions, events);
        plan.storms = storms;
        plan.brokers = number("--brokers", 3) as usize;
        plan.costs.epoch_ns *= slow;
        plan.costs.record_ns *= slow;
        plan.seed = u64::from(number("--seed", 1));
        match run(plan) {
            Ok(outcome) => line(count, &outcome, &mut one),
            Err(why) => {
                eprintln!("{count} workers: {why}");
                std::process::exit(1);
            }
        }
    }
}

fn line(workers: usize, outcome: &ClusterOutcome, one: &mut f64) {
    let events = outcome.events as f64;
    let per_core = events / outcome.cores.as_secs_f64();
    if *one == 0.0 {
        *one = per_core;
    }
    println!(
        "{workers:>7} {:>12.0} {:>14.0} {:>7.0}% {:>9.0} {:>10} {:>9} {:>12.2} {:>8.0}%",
        events / outcome.took.as_secs_f64(),
        per_core,
        100.0 * per_core / *one,
        outcome.real.as_nanos() as f64 / events,
        outcome.takeovers,
        outcome.storm,
        outcome.longest_pause.as_secs_f64(),
        100.0 * outcome.busiest_broker.as_secs_f64() / outcome.took.as_secs_f64(),
    );
}
