//! Many rules of one shape: `when: t > LIMIT` with 10 and with 10,000 different limits over the same events of 1,000
//! resources. Memory is in the `memory` bench.

use criterion::{BatchSize, Criterion, Throughput};
use tidegate_benches::fleet::{START, mix};
use tidegate_benches::station::{EPOCH, Station};
use tidegate_proto::record::Record;

const DEVICES: u64 = 1_000;

/// Limits rise from 50 in steps of 0.01.
fn rules(count: u32) -> Vec<String> {
    (0..count)
        .map(|number| {
            let limit = 50.0 + f64::from(number) / 100.0;
            format!(r#"{{"for":"all","when":"t > {limit:.2}"}}"#)
        })
        .collect()
}

/// Events that swing over `crossed` limits and back, one in `rarely`; the others move below all limits. `rarely` 0: every
/// event of a device swings to the other side of the one before.
fn records(sent: &mut u64, crossed: u32, rarely: u64) -> Vec<Record> {
    (0..EPOCH)
        .map(|_| {
            let number = *sent;
            *sent += 1;
            let (round, device) = (number / DEVICES, number % DEVICES);
            let swings = match rarely {
                0 => round % 2 == 0,
                rarely => mix(number) % rarely < 1,
            };
            let high = 49.995 + f64::from(crossed) / 100.0;
            let low = 40.0 + (round % 900) as f64 / 100.0;
            let value = if swings { high } else { low };
            let time = START + (number * 1000 / DEVICES) as i64;
            let id = format!("machine-{device:06}");
            let text = format!(
                r#"{{"resource":"{id}","time":{time},"values":{{"t":{value:.3},"pressure":3.402}}}}"#
            );
            Record {
                timestamp: time,
                ..Record::new(id.into_bytes(), text.into_bytes())
            }
        })
        .collect()
}

/// Name, limits crossed at a swing, one event in how many swings: changes per event are twice their ratio.
const CASES: [(&str, u32, u64); 5] = [
    ("quiet", 0, 1),
    ("0.01-changes-per-event", 5, 1000),
    ("0.1-changes-per-event", 5, 100),
    ("1-change-per-event", 10, 20),
    ("10-changes-per-event", 10, 0),
];

fn many(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules");
    group.sample_size(10);
    group.throughput(Throughput::Elements(EPOCH as u64));
    for (name, crossed, rarely) in CASES {
        for count in [10, 10_000] {
            group.bench_function(format!("{name}/{count}"), |bencher| {
                let documents = rules(count);
                let mut station = Station::with_rules(documents.iter().map(String::as_str));
                let mut sent = 0;
                for _ in 0..4 {
                    let records = records(&mut sent, crossed, rarely);
                    let intake = station.intake(records, START);
                    station.step(&intake);
                }
                let station = std::cell::RefCell::new(station);
                bencher.iter_batched_ref(
                    || {
                        let records = records(&mut sent, crossed, rarely);
                        let clock = START + (sent * 1000 / DEVICES) as i64;
                        station.borrow_mut().intake(records, clock)
                    },
                    |intake| station.borrow_mut().step(intake),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    many(&mut criterion);
    criterion.final_summary();
}
