//! Keyed windows from decoded batches: tumbling at three numbers of keys, hopping at two steps with what a row costs and
//! what a result costs apart.

use std::time::{Duration, Instant};

use criterion::{BatchSize, Criterion, Throughput};
use tidegate_benches::fleet::{START, mix};
use tidegate_operators::aggregate::AggregateKind;
use tidegate_operators::window::{
    Argument, NumberRows, WindowMode, WindowOutput, WindowSpec, Windows,
};
use tidegate_proto::EventBatch;
use tidegate_proto::rule::WindowForm;
use tidegate_proto::time::Span;

const ROWS: usize = 4096;
/// How far rows may be out of order: the default of the engine, in ms.
const DISORDER: i64 = 5000;
/// So many rows are timed at least, so that a sample is no single batch.
const TIMED: u64 = 500_000;

fn windows(form: WindowForm) -> Windows {
    Windows::new(WindowSpec {
        form,
        lateness: Span(0),
        aggregates: vec![AggregateKind::Count, AggregateKind::Sum, AggregateKind::Avg],
        arguments: vec![Argument::Value(0); 3],
        mode: WindowMode::default(),
    })
}

/// Decoded rows as the pipeline hands them to windows; all times are from the start of the feed.
#[derive(Clone, Default)]
struct Rows {
    batch: EventBatch,
    rows: Vec<u32>,
    keys: Vec<u32>,
    sequences: Vec<u64>,
    watermarks: Vec<i64>,
    numbers: Vec<f64>,
}

impl Rows {
    fn push(&mut self, windows: &mut Windows, out: &mut WindowOutput) {
        let columns = [self.numbers.as_slice(); 3];
        let rows = NumberRows {
            events: &self.batch,
            rows: &self.rows,
            keys: &self.keys,
            sequences: &self.sequences,
            watermarks: &self.watermarks,
            columns: &columns,
        };
        windows.push_numbers(&rows, out);
    }
}

/// Makes rows of keys in no order among themselves.
struct Feed {
    keys: u64,
    /// Rows of all keys in a second of event time.
    rate: u64,
    sent: u64,
}

impl Feed {
    const fn now(&self) -> i64 {
        START + (self.sent * 1000 / self.rate) as i64
    }

    fn rows(&mut self, count: usize) -> Rows {
        let mut made = Rows::default();
        for index in 0..count as u32 {
            let bits = mix(self.sent);
            let now = self.now();
            let key = (bits % self.keys) as u32;
            made.batch.resource.push(key);
            made.batch.time.push(now);
            made.batch.arrival.push(now);
            made.batch.source.push(0);
            made.batch.offset.push(self.sent as i64);
            made.batch.record.push(index);
            made.rows.push(index);
            made.keys.push(key);
            made.sequences.push(self.sent);
            made.watermarks.push(now - DISORDER);
            made.numbers.push((bits >> 20) as f64 % 100_000.0 / 1000.0);
            self.sent += 1;
        }
        made
    }
}

/// Every key has about 60 rows in a window, so that one row in 60 brings a result.
fn tumbling(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window/tumbling");
    group.throughput(Throughput::Elements(ROWS as u64));
    for keys in [1_000_u64, 10_000, 100_000] {
        group.bench_function(keys.to_string(), |bencher| {
            let mut windows = windows(WindowForm::Tumbling {
                size: Span::seconds(60),
                offset: 0,
            });
            let mut out = WindowOutput::default();
            let mut feed = Feed {
                keys,
                rate: keys,
                sent: 0,
            };
            // Every key has its state before anything is measured.
            let first = (keys as usize * 12).max(ROWS);
            feed.rows(first).push(&mut windows, &mut out);
            bencher.iter_batched_ref(
                || feed.rows(ROWS),
                |rows| {
                    out.clear();
                    rows.push(&mut windows, &mut out);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Time for rows and time for results of a hopping window of 60 s; 10 rows a second from each of 1,000 keys.
fn hop(every: i64, iterations: u64, results: bool) -> Duration {
    let mut windows = windows(WindowForm::Hopping {
        size: Span::seconds(60),
        every: Span::seconds(every),
        offset: 0,
    });
    let keys = 1_000_u64;
    let mut feed = Feed {
        keys,
        rate: keys * 10,
        sent: 0,
    };
    let mut out = WindowOutput::default();
    let (mut spent, mut emitted, mut rows_done) = (Duration::ZERO, 0_u64, 0_u64);
    let mut water = START - DISORDER;
    let wanted = if results {
        iterations
    } else {
        iterations.max(TIMED)
    };
    while (if results { emitted } else { rows_done }) < wanted {
        // Windows are closed by `advance` alone, so that one costs rows and the other results.
        let warm = feed.now() > START + 70_000;
        let mut rows = feed.rows(10_000);
        rows.watermarks.fill(water);
        let start = Instant::now();
        rows.push(&mut windows, &mut out);
        if warm && !results {
            spent += start.elapsed();
            rows_done += rows.rows.len() as u64;
        }
        assert!(out.rows.is_empty(), "rows alone close nothing");
        water = feed.now() - DISORDER;
        let start = Instant::now();
        for key in 0..keys as u32 {
            windows.advance(key, water, &mut out);
        }
        if warm && results {
            spent += start.elapsed();
            emitted += out.rows.len() as u64;
        }
        out.clear();
    }
    let done = if results { emitted } else { rows_done };
    spent.mul_f64(iterations as f64 / done as f64)
}

fn hopping(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window/hopping");
    group.sample_size(10);
    group.throughput(Throughput::Elements(1));
    for every in [30, 1] {
        for (what, results) in [("row", false), ("result", true)] {
            group.bench_function(format!("60s-{every}s/{what}"), |bencher| {
                bencher.iter_custom(|iterations| hop(every, iterations, results));
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    tumbling(&mut criterion);
    hopping(&mut criterion);
    criterion.final_summary();
}
