//! Event lines through [`Replay`], as `tidegate replay` does it, one shard, one thread.
#![allow(
    clippy::expect_used,
    reason = "a bench that cannot be set up has nothing to measure"
)]

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use tidegate::replay::{Replay, ReplayOptions};
use tidegate_benches::fleet::Fleet;

const DEVICES: u64 = 10_000;
/// One minute of event time.
const LINES: usize = 600_000;

const CASES: [(&str, &str); 2] = [
    (
        "filter",
        "kind: Rule\nname: hot\nfor: all\nwhen: t > 99.9\n",
    ),
    (
        "mean",
        "kind: Rule\nname: means\nfor: all\nwindow: { tumbling: 1m }\nemit: { mean: avg(t) }\n",
    ),
];

fn run(mut replay: Replay, lines: &[Bytes]) -> u64 {
    let mut printed = 0;
    for line in lines {
        replay
            .line(line, &mut |result| printed += result.len() as u64)
            .expect("the fleet sends events alone");
    }
    let summary = replay
        .end(&mut |result| printed += result.len() as u64)
        .expect("the replay ends");
    assert!(summary.unusable.is_empty(), "every line is an event");
    printed
}

fn replay(criterion: &mut Criterion) {
    let mut lines = Vec::new();
    let mut group = criterion.benchmark_group("replay");
    group.sample_size(10);
    group.throughput(Throughput::Elements(LINES as u64));
    for (name, documents) in CASES {
        group.bench_function(name, |bencher| {
            if lines.is_empty() {
                lines = Fleet::new(DEVICES).lines(LINES);
            }
            bencher.iter_batched(
                || Replay::new(documents, ReplayOptions::default()).expect("the rule compiles"),
                |replay| run(replay, &lines),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    replay(&mut criterion);
    criterion.final_summary();
}
