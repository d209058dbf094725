//! What one supervised turn costs, and what it costs to bring a passive actor back. Bytes are in the `memory` bench.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use tidegate_actors::actor::{Turn, take_turn};
use tidegate_actors::registry::Registry;
use tidegate_actors::resource::{ResourceActor, ResourceMessage};
use tidegate_benches::fleet::{Fleet, Reader, START};
use tidegate_proto::outcome::Trigger;
use tidegate_proto::time::Timestamp;

const ACTORS: u32 = 10_000;

/// A turn that answers with one change: the copy for the rollback, the message, the effect.
fn turn(criterion: &mut Criterion) {
    let mut actor = ResourceActor::default();
    let id: Arc<str> = "machine-000001".into();
    criterion.bench_function("actor/turn", |bencher| {
        bencher.iter(|| {
            let message = ResourceMessage::Back {
                id: &id,
                at: Timestamp(START),
            };
            take_turn(&mut actor, message, Turn::new(Trigger::Clock, 1)).ok()
        });
    });
}

/// Twins of two metrics, all passive.
fn registry() -> Registry {
    let mut reader = Reader::default();
    let mut registry = Registry::default();
    let records = Fleet::new(u64::from(ACTORS)).records(ACTORS as usize * 12);
    let batch = reader.decode(&records);
    for number in 0..ACTORS {
        let index = registry.names().intern(&format!("machine-{number:06}"));
        registry.discover(index, Timestamp(START));
    }
    registry.take_rows(&batch, 0, batch.len(), Timestamp(START));
    passivate(&mut registry);
    registry
}

fn passivate(registry: &mut Registry) {
    registry.sweep(Timestamp(i64::MAX), 1, 0);
    assert_eq!(registry.numbers().1, 0, "every actor is passive");
}

fn activation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("actor");
    group.throughput(Throughput::Elements(u64::from(ACTORS)));
    let activate = |registry: &mut Registry| {
        for index in 0..ACTORS {
            registry.activate(index, Timestamp(START));
        }
    };
    group.bench_function("activation", |bencher| {
        let registry = std::cell::RefCell::new(registry());
        bencher.iter_batched(
            || passivate(&mut registry.borrow_mut()),
            |()| activate(&mut registry.borrow_mut()),
            BatchSize::PerIteration,
        );
    });
    group.bench_function("passivation", |bencher| {
        let registry = std::cell::RefCell::new(registry());
        bencher.iter_batched(
            || activate(&mut registry.borrow_mut()),
            |()| passivate(&mut registry.borrow_mut()),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    turn(&mut criterion);
    activation(&mut criterion);
    criterion.final_summary();
}
