//! Windows beyond the plain ones, from decoded batches: sessions of 10,000 keys, correlation over 10 minutes each minute.

use criterion::{BatchSize, Criterion, Throughput};
use tidegate_benches::fleet::{START, mix};
use tidegate_operators::aggregate::AggregateKind;
use tidegate_operators::window::{
    NumberRows, RowKey, WindowMode, WindowOutput, WindowSpec, Windows,
};
use tidegate_proto::rule::WindowForm;
use tidegate_proto::time::Span;
use tidegate_proto::{EventBatch, EventRef, Value};

const ROWS: usize = 4096;
const KEYS: u64 = 10_000;
/// How far rows may be out of order: the default of the engine, in ms.
const DISORDER: i64 = 5000;

fn windows(form: WindowForm, aggregates: Vec<AggregateKind>) -> Windows {
    Windows::new(WindowSpec {
        form,
        arguments: Vec::new(),
        lateness: Span(0),
        aggregates,
        mode: WindowMode::default(),
    })
}

/// Rows of all keys, as many a second as there are keys.
#[derive(Default)]
struct Feed {
    sent: u64,
}

/// Decoded rows as the pipeline hands them to windows.
#[derive(Default)]
struct Rows {
    batch: EventBatch,
    rows: Vec<u32>,
    sequences: Vec<u64>,
    watermarks: Vec<i64>,
    numbers: Vec<f64>,
}

impl Feed {
    fn rows(&mut self, count: usize) -> Rows {
        let mut made = Rows::default();
        for index in 0..count as u32 {
            let bits = mix(self.sent);
            let now = START + (self.sent * 1000 / KEYS) as i64;
            made.batch.resource.push((bits % KEYS) as u32);
            made.batch.time.push(now);
            made.batch.arrival.push(now);
            made.batch.source.push(0);
            made.batch.offset.push(self.sent as i64);
            made.batch.record.push(index);
            made.rows.push(index);
            made.sequences.push(self.sent);
            made.watermarks.push(now - DISORDER);
            made.numbers.push((bits >> 20) as f64 % 100_000.0 / 1000.0);
            self.sent += 1;
        }
        made
    }
}

impl Rows {
    fn push(&self, windows: &mut Windows, out: &mut WindowOutput) {
        let columns = [self.numbers.as_slice(); 2];
        let rows = NumberRows {
            events: &self.batch,
            rows: &self.rows,
            keys: &self.batch.resource,
            sequences: &self.sequences,
            watermarks: &self.watermarks,
            columns: &columns,
        };
        windows.push_numbers(&rows, out);
    }

    fn push_pairs(&self, windows: &mut Windows, out: &mut WindowOutput) {
        for (index, key) in self.batch.resource.iter().enumerate() {
            let row = RowKey {
                time: self.batch.time.get(index).copied().unwrap_or_default(),
                sequence: self.sequences.get(index).copied().unwrap_or_default(),
                event: EventRef::default(),
            };
            let number = self.numbers.get(index).copied().unwrap_or_default();
            let pair = vec![Value::Number(number), Value::Number(100.0 - number)];
            let watermark = self.watermarks.get(index).copied().unwrap_or(i64::MIN);
            windows.push(*key, &row, &[Value::List(pair)], watermark, out);
        }
    }
}

/// Rows of a key come about every second: a session ends where one is missing for more than three.
fn session(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window2/session");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function(KEYS.to_string(), |bencher| {
        let form = WindowForm::Session {
            gap: Span::seconds(3),
            max: None,
            join: false,
        };
        let mut windows = windows(form, vec![AggregateKind::Count, AggregateKind::Avg]);
        let (mut feed, mut out) = (Feed::default(), WindowOutput::default());
        feed.rows(KEYS as usize * 12).push(&mut windows, &mut out);
        bencher.iter_batched_ref(
            || feed.rows(ROWS),
            |rows| {
                out.clear();
                rows.push(&mut windows, &mut out);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Correlation over ten minutes, told each minute.
fn corr(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("window2/corr");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function(KEYS.to_string(), |bencher| {
        let form = WindowForm::Hopping {
            size: Span::seconds(600),
            every: Span::seconds(60),
            offset: 0,
        };
        let mut windows = windows(form, vec![AggregateKind::Corr]);
        let (mut feed, mut out) = (Feed::default(), WindowOutput::default());
        feed.rows(KEYS as usize * 12)
            .push_pairs(&mut windows, &mut out);
        bencher.iter_batched_ref(
            || feed.rows(ROWS),
            |rows| {
                out.clear();
                rows.push_pairs(&mut windows, &mut out);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    session(&mut criterion);
    corr(&mut criterion);
    criterion.final_summary();
}
