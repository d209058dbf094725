//! Joins from decoded batches: an order and its payment within five seconds, 10,000 keys; half of the rows are on each side.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use tidegate_benches::fleet::{START, mix};
use tidegate_operators::{Pipeline, PipelineSettings, Plan, View};
use tidegate_proto::{
    Document, EventBatch, MetricColumn, Names, Outcome, Timestamp, Traits, Trigger, Value,
};

const ROWS: usize = 4096;
const KEYS: u64 = 10_000;
/// Rows of one second.
const RATE: u64 = 10_000;

/// Two resources: the shop and the bank.
#[derive(Default)]
struct House {
    traits: Traits,
}

impl View for House {
    fn resource(&self, resource: u32) -> &str {
        if resource == 0 { "shop" } else { "bank" }
    }
    fn traits(&self, _: u32) -> &Traits {
        &self.traits
    }
    fn last(&self, _: u32, _: u32) -> Option<(Timestamp, Value)> {
        None
    }
    fn resources(&self) -> u32 {
        2
    }
}

/// Rows of both sides, in the order of their times.
#[derive(Default)]
struct Feed {
    sent: u64,
}

impl Feed {
    fn batch(&mut self, count: usize, metrics: &mut Names) -> EventBatch {
        let mut batch = EventBatch::default();
        let mut order = MetricColumn::new(metrics.intern("order"));
        let mut amount = MetricColumn::new(metrics.intern("amount"));
        for row in 0..count as u32 {
            let bits = mix(self.sent);
            let now = START + (self.sent * 1000 / RATE) as i64;
            let bank = self.sent % 2 == 1;
            batch.resource.push(u32::from(bank));
            batch.time.push(now);
            batch.arrival.push(now);
            batch.source.push(0);
            batch.offset.push(self.sent as i64);
            batch.record.push(row);
            order.rows.push(row);
            order.numbers.push((bits % KEYS) as f64);
            if bank {
                amount.rows.push(row);
                amount.numbers.push((bits >> 20) as f64 % 1000.0);
            }
            self.sent += 1;
        }
        batch.metrics = vec![order, amount];
        batch
    }
}

fn plan(text: &str) -> Option<Arc<Plan>> {
    let document = tidegate_proto::document::parse(text).ok()?.pop()?;
    let Document::Rule(rule) = document else {
        return None;
    };
    Plan::compile(&rule).ok().map(Arc::new)
}

/// Pairs within five seconds; a row without a partner is told when its wait is over, or never.
fn interval(criterion: &mut Criterion, kind: &str) {
    let mut group = criterion.benchmark_group("join/interval");
    group.throughput(Throughput::Elements(ROWS as u64));
    let text = format!(
        "kind: Rule\nname: paid\njoin: {{ kind: {kind}, streams: {{ o: {{ from: shop }}, p: {{ from: bank }} }}, on: [ [ o.order, p.order ] ], within: {{ after: 5s }} }}\nemit: {{ order: o.order, paid: p.amount }}\n"
    );
    let Some(plan) = plan(&text) else {
        return;
    };
    group.bench_function(format!("{kind}/{KEYS}"), |bencher| {
        let house = House::default();
        let mut metrics = Names::default();
        let mut pipeline = Pipeline::new(PipelineSettings::default());
        let mut out: Vec<Outcome> = Vec::new();
        let first = Trigger::Record(0);
        pipeline.apply(Arc::clone(&plan), &house, &mut metrics, first, &mut out);
        let mut feed = Feed::default();
        for _ in 0..32 {
            let batch = feed.batch(ROWS, &mut metrics);
            pipeline.push(&batch, 0..batch.len(), &house, &mut out);
        }
        bencher.iter_batched_ref(
            || feed.batch(ROWS, &mut metrics),
            |batch| {
                out.clear();
                pipeline.push(batch, 0..batch.len(), &house, &mut out);
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    interval(&mut criterion, "inner");
    interval(&mut criterion, "left");
    criterion.final_summary();
}
