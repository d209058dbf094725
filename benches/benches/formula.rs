//! A formula over columns against the same formula row by row in the sandbox.
#![allow(
    clippy::expect_used,
    reason = "a bench that cannot be set up has nothing to measure"
)]

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use tidegate_benches::fleet::mix;
use tidegate_proto::Value;
use tidegate_proto::issue::Mark;
use tidegate_proto::rule::FormulaText;
use tidegate_scripts::{Column, Formula, FormulaContext, Slot};

const SOURCE: &str = "t > 90.0 && (t - base) / sd > 3.0";
const ROWS: usize = 4096;

fn compile() -> Formula {
    let text = FormulaText {
        source: SOURCE.into(),
        path: "when".into(),
        mark: Mark { line: 1, column: 1 },
    };
    Formula::compile(&text, FormulaContext::Condition).expect("the formula compiles")
}

/// One in ten rows is above 90, so that both sides of `&&` are asked for.
fn cell(slot: &Slot, row: usize) -> f64 {
    let drawn = mix(row as u64) % 100_000;
    match slot {
        Slot::Metric(name) if name.as_ref() == "t" => drawn as f64 / 1000.0,
        Slot::Metric(name) if name.as_ref() == "base" => 60.0 + (drawn % 7) as f64,
        _ => 1.0 + (drawn % 12) as f64,
    }
}

fn formula(criterion: &mut Criterion) {
    let formula = compile();
    assert!(formula.is_columnar(), "`{SOURCE}` runs over columns");
    let columns: Vec<Column> = formula
        .slots()
        .iter()
        .map(|slot| {
            Column::from_values(
                (0..ROWS)
                    .map(|row| Value::Number(cell(slot, row)))
                    .collect(),
            )
        })
        .collect();
    let rows: Vec<Vec<Value>> = (0..ROWS)
        .map(|row| columns.iter().map(|column| column.value(row)).collect())
        .collect();
    let mut group = criterion.benchmark_group("formula");
    group.throughput(Throughput::Elements(ROWS as u64));
    group.bench_function("columnar", |bencher| {
        bencher.iter(|| formula.evaluate(black_box(&columns), ROWS));
    });
    group.bench_function("interpreted", |bencher| {
        bencher.iter(|| {
            for row in &rows {
                black_box(formula.evaluate_row(black_box(row)).ok());
            }
        });
    });
    group.finish();
}

fn main() {
    let mut criterion = tidegate_benches::criterion();
    formula(&mut criterion);
    criterion.final_summary();
}
