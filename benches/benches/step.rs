//! [`Shard::step`](tidegate_actors::shard::Shard) from JSON bytes with twins kept, 10,000 resources, one thread.

use criterion::{BatchSize, Criterion, Throughput};
use tidegate_benches::fleet::Fleet;
use tidegate_benches::station::{EPOCH, Station};

const DEVICES: u64 = 10_000;

/// Name and rules of each case. `t` lies evenly in [0, 100): one event in a thousand raises.
const CASES: [(&str, &[&str]); 4] = [
    ("none", &[]),
    ("filter", &[r#"{"for":"all","when":"t > 99.9"}"#]),
    (
        "filter-formula",
        &[r#"{"for":"all","when":"t > 99.9 && pressure > 0.0"}"#],
    ),
    (
        "mean",
        &[r#"{"for":"all","window":{"tumbling":"1m"},"emit":{"mean":"avg(t)"}}"#],
    ),
];

fn step(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.throughput(Throughput::Elements(EPOCH as u64));
    for (name, rules) in CASES {
        group.bench_function(name, |bencher| {
            let mut station = Station::with_rules(rules.iter().copied());
            let mut fleet = Fleet::new(DEVICES);
            let mut next = |station: &mut Station| {
                let records = fleet.records(EPOCH);
                station.intake(records, fleet.now())
            };
            // Every resource is known before anything is measured.
            for _ in 0..30 {
                let intake = next(&mut station);
                station.step(&intake);
            }
            let station = std::cell::RefCell::new(station);
            bencher.iter_batched_ref(
                || next(&mut station.borrow_mut()),
                |intake| station.borrow_mut().step(intake),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    step(&mut criterion);
    criterion.final_summary();
}
