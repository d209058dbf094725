//! Time per JSON event of about 90 bytes from its bytes into the columns of a batch.

use criterion::{Criterion, Throughput};
use tidegate_benches::fleet::{Fleet, Reader};

fn decode(criterion: &mut Criterion) {
    let records = Fleet::new(10_000).records(4096);
    let mut reader = Reader::default();
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(records.len() as u64));
    group.bench_function("event", |bencher| {
        bencher.iter(|| reader.decode(&records));
    });
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    decode(&mut criterion);
    criterion.final_summary();
}
