//! Whole rules from decoded batches on one core: what a row costs in each form of rule, 10,000 resources that send once a second,
//! results made and thrown away; and how many bytes the rule keeps of a resource.

use std::sync::Arc;

use criterion::{BatchSize, Criterion, Throughput};
use tidegate_benches::fleet::{START, mix};
use tidegate_operators::{Pipeline, PipelineSettings, Plan, View};
use tidegate_proto::{
    Document, EventBatch, MetricColumn, Names, Outcome, Timestamp, Traits, Trigger, Value,
};

const ROWS: usize = 4096;
const RESOURCES: u64 = 10_000;

/// Name, goal in rows a second (0: none was set), and the rule.
const FORMS: [(&str, f64, &str); 8] = [
    ("when", 0.0, "when: t > 99.9"),
    (
        "tumbling",
        20e6,
        "window: { tumbling: 1m }\nemit: { mean: avg(t), sum: sum(t), n: count(t) }",
    ),
    (
        "hopping",
        5e6,
        "window: { hopping: { size: 60s, every: 1s } }\nemit: { mean: avg(t), n: count(t) }",
    ),
    ("sliding", 3e6, "when: 'avg(t, \"1m\") > 70.0'"),
    (
        "session",
        3e6,
        "window: { session: { gap: 3s } }\nemit: { mean: avg(t), n: count(t) }",
    ),
    (
        "corr",
        5e6,
        "window: { hopping: { size: 10m, every: 1m } }\nemit: { c: 'corr(t, pressure)' }",
    ),
    (
        "sequence",
        3e6,
        "pattern:\n  within: 10s\n  steps:\n    - high: t > 99.0\n    - low: pressure < 1.5",
    ),
    ("absence", 3e6, "when: 'stale(t, \"8s\")'"),
];

/// Resources without types or labels whose twins nobody keeps here.
#[derive(Default)]
struct House {
    traits: Traits,
}

impl View for House {
    fn resource(&self, _: u32) -> &'static str {
        "machine"
    }
    fn traits(&self, _: u32) -> &Traits {
        &self.traits
    }
    fn last(&self, _: u32, _: u32) -> Option<(Timestamp, Value)> {
        None
    }
    fn resources(&self) -> u32 {
        RESOURCES as u32
    }
}

/// Rows of all resources in no order among themselves.
#[derive(Default)]
struct Feed {
    sent: u64,
}

impl Feed {
    fn batch(&mut self, count: usize, metrics: &mut Names) -> EventBatch {
        let mut batch = EventBatch::default();
        let mut t = MetricColumn::new(metrics.intern("t"));
        let mut pressure = MetricColumn::new(metrics.intern("pressure"));
        for row in 0..count as u32 {
            let bits = mix(self.sent);
            let now = START + (self.sent * 1000 / RESOURCES) as i64;
            batch.resource.push((bits % RESOURCES) as u32);
            batch.time.push(now);
            batch.arrival.push(now);
            batch.source.push(0);
            batch.offset.push(self.sent as i64);
            batch.record.push(row);
            t.rows.push(row);
            t.numbers.push(((bits >> 20) % 100_000) as f64 / 1000.0);
            pressure.rows.push(row);
            pressure
                .numbers
                .push(((bits >> 40) % 9_000 + 1_000) as f64 / 1000.0);
            self.sent += 1;
        }
        batch.metrics = vec![t, pressure];
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

/// Every resource has its tasks and a full window before anything is measured.
fn form(criterion: &mut Criterion, (name, goal, rule): (&str, f64, &str)) {
    let text = format!("kind: Rule\nname: bench\nfor: all\n{rule}\n");
    let plan = plan(&text);
    assert!(plan.is_some(), "{name} is no rule");
    let Some(plan) = plan else {
        return;
    };
    let mut group = criterion.benchmark_group("forms");
    group.throughput(Throughput::Elements(ROWS as u64));
    let mut kept = 0;
    group.bench_function(name, |bencher| {
        let house = House::default();
        let mut metrics = Names::default();
        let mut pipeline = Pipeline::new(PipelineSettings::default());
        let mut out: Vec<Outcome> = Vec::new();
        let first = Trigger::Record(0);
        pipeline.apply(Arc::clone(&plan), &house, &mut metrics, first, &mut out);
        let mut feed = Feed::default();
        while feed.sent < RESOURCES * 75 {
            out.clear();
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
        let portrait = pipeline.portrait("bench", RESOURCES as u32);
        let nodes = portrait.iter().flat_map(|portrait| &portrait.nodes);
        kept = nodes.map(|node| node.bytes).sum::<u64>() / RESOURCES;
    });
    println!(
        "                        state: {kept} bytes a resource; goal: {} M rows/s",
        goal / 1e6
    );
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    for one in FORMS {
        form(&mut criterion, one);
    }
    criterion.final_summary();
}
