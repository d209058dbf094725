//! Aggregates against their definitions, and the t-digest against ranks.

pub(crate) mod wide;

use proptest::prelude::*;
use tidegate_proto::Value;

use super::{Accumulator, AggregateKind, Column, Digest, RowOrder};
use crate::exact::ExactSum;

pub(crate) const KINDS: [AggregateKind; 16] = [
    AggregateKind::Count,
    AggregateKind::CountIf,
    AggregateKind::Sum,
    AggregateKind::Avg,
    AggregateKind::Min,
    AggregateKind::Max,
    AggregateKind::Spread,
    AggregateKind::Std,
    AggregateKind::Var,
    AggregateKind::First,
    AggregateKind::Last,
    AggregateKind::Median,
    AggregateKind::Latest,
    AggregateKind::Delta,
    AggregateKind::Rate,
    AggregateKind::Zscore,
];

/// The aggregate from its definition, over rows in any order.
pub(crate) fn naive(kind: AggregateKind, rows: &[(RowOrder, Value)]) -> Value {
    if wide::WIDE.contains(&kind) {
        return wide::naive(kind, rows);
    }
    let mut rows: Vec<&(RowOrder, Value)> = rows.iter().filter(|row| !row.1.is_missing()).collect();
    rows.sort_by_key(|row| row.0);
    let mut numbers: Vec<f64> = rows.iter().filter_map(|row| row.1.as_number()).collect();
    let sum = numbers.iter().fold(ExactSum::new(), |mut sum, number| {
        sum.add(*number);
        sum
    });
    let count = numbers.len();
    let value = |row: Option<&&(RowOrder, Value)>| row.map_or(Value::Missing, |row| row.1.clone());
    match kind {
        AggregateKind::Count => return Value::Int(rows.len() as i64),
        AggregateKind::CountIf => {
            let hits = rows.iter().filter(|row| row.1.as_number() == Some(1.0));
            return Value::Int(hits.count() as i64);
        }
        AggregateKind::First => return value(rows.first()),
        AggregateKind::Last | AggregateKind::Latest => return value(rows.last()),
        AggregateKind::Min | AggregateKind::Max if count == 0 => {
            let mut texts: Vec<String> = rows.iter().map(|row| row.1.to_string()).collect();
            texts.sort_unstable();
            let text = if kind == AggregateKind::Min {
                texts.first()
            } else {
                texts.last()
            };
            return text.map_or(Value::Missing, |text| Value::text(text));
        }
        _ if count == 0 => return Value::Missing,
        AggregateKind::Std | AggregateKind::Var | AggregateKind::Zscore if count < 2 => {
            return Value::Missing;
        }
        AggregateKind::Delta | AggregateKind::Rate => {
            rows.retain(|row| row.1.as_number().is_some());
            return naive_change(kind, rows[0], rows[count - 1]);
        }
        _ => {}
    }
    let newest = numbers[count - 1];
    numbers.sort_by(f64::total_cmp);
    let (least, largest) = (numbers[0], numbers[count - 1]);
    let n = count as f64;
    let variance = || naive_variance(&numbers, &sum);
    Value::number(match kind {
        AggregateKind::Sum => sum.round(),
        AggregateKind::Avg => sum.round() / n,
        AggregateKind::Min => least,
        AggregateKind::Max => largest,
        AggregateKind::Spread => largest - least,
        AggregateKind::Var => variance(),
        AggregateKind::Std => variance().sqrt(),
        AggregateKind::Zscore if variance() == 0.0 => 0.0,
        AggregateKind::Zscore => (newest - sum.round() / n) / variance().sqrt(),
        AggregateKind::Median if count % 2 == 1 => numbers[count / 2],
        AggregateKind::Median => (numbers[count / 2 - 1] + numbers[count / 2]) / 2.0,
        _ => unreachable!(),
    })
}

/// n·Q − S² is exact here: where double-double arithmetic does not cancel, it gives the same.
fn naive_variance(numbers: &[f64], sum: &ExactSum) -> f64 {
    let mut squares = ExactSum::new();
    numbers
        .iter()
        .for_each(|number| squares.add_square(*number));
    let n = numbers.len() as f64;
    squares.determinant(numbers.len() as u64, sum, sum) / (n * (n - 1.0))
}

fn naive_change(kind: AggregateKind, first: &(RowOrder, Value), last: &(RowOrder, Value)) -> Value {
    let delta = last.1.as_number().unwrap() - first.1.as_number().unwrap();
    let seconds = (last.0.time - first.0.time) as f64 / 1000.0;
    match kind {
        AggregateKind::Delta if first.0 != last.0 => Value::number(delta),
        AggregateKind::Rate if seconds > 0.0 => Value::number(delta / seconds),
        _ => Value::Missing,
    }
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => (-50_i32..50).prop_map(|tenths| Value::Number(f64::from(tenths) / 10.0)),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => "[a-c]{0,2}".prop_map(|text| Value::text(&text)),
        1 => Just(Value::Missing),
    ]
}

fn order(time: i64, sequence: usize) -> RowOrder {
    RowOrder {
        time,
        sequence: sequence as u64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn accumulators_follow_their_definitions_in_any_panes(
        rows in prop::collection::vec((0_i64..10, value(), 0_usize..3), 0..40),
    ) {
        let rows: Vec<_> = rows.into_iter().enumerate()
            .map(|(at, (time, value, pane))| (order(time, at), value, pane)).collect();
        let plain: Vec<(RowOrder, Value)> = rows.iter().map(|row| (row.0, row.1.clone())).collect();
        for kind in KINDS {
            let mut panes = [(); 3].map(|()| Accumulator::new(kind));
            let mut column = Column::new(kind);
            (0..3).for_each(|_| column.push());
            for (order, value, pane) in &rows {
                panes[*pane].add(kind, *order, value);
                column.add(*pane as u32, *order, value);
            }
            let mut total = Accumulator::new(kind);
            let mut from_column = Accumulator::new(kind);
            for slot in [2, 0, 1] {
                total.merge(&panes[slot]);
                column.merge_into(slot as u32, &mut from_column);
                prop_assert_eq!(column.result(slot as u32), panes[slot].result(kind));
            }
            prop_assert_eq!(total.result(kind), naive(kind, &plain), "{:?}", kind);
            prop_assert_eq!(from_column.result(kind), naive(kind, &plain), "{:?}", kind);
        }
    }

    #[test]
    fn digests_stay_within_half_a_percent_of_rank(seed in any::<u64>(), bend in 1_i32..4) {
        let mut state = seed | 1;
        let mut numbers = Vec::new();
        let mut digest = Digest::default();
        for _ in 0..15_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = ((state >> 11) as f64 / f64::exp2(53.0)).powi(bend) * 100.0;
            numbers.push(number);
            digest.add(number);
        }
        numbers.sort_by(f64::total_cmp);
        for rank in [0.0, 0.01, 0.25, 0.5, 0.9, 0.99, 1.0] {
            let answer = digest.quantile(rank).unwrap();
            let found = numbers.partition_point(|number| *number <= answer) as f64 / 15_000.0;
            prop_assert!((found - rank).abs() <= 0.005, "{rank}: {found}");
        }
        prop_assert_eq!(digest.quantile(0.0), Some(numbers[0]));
        prop_assert_eq!(digest.quantile(1.0), Some(numbers[14_999]));
    }
}

fn over(kind: AggregateKind, values: &[Value]) -> Value {
    let mut accumulator = Accumulator::new(kind);
    for (at, value) in values.iter().enumerate() {
        accumulator.add(kind, order(0, at), value);
    }
    accumulator.result(kind)
}

#[test]
fn the_text_of_the_meanings_holds() {
    let one = [Value::Number(0.1)];
    assert_eq!(over(AggregateKind::Std, &one), Value::Missing);
    assert_eq!(
        over(
            AggregateKind::Var,
            &[Value::Number(0.1), Value::Number(0.1)]
        ),
        Value::Number(0.0)
    );
    assert_eq!(
        over(AggregateKind::Std, &vec![Value::Number(0.1); 1000]),
        Value::Number(0.0)
    );
    assert_eq!(
        over(AggregateKind::Sum, &vec![Value::Number(0.1); 10]),
        Value::Number(1.0)
    );
    let even = [1.0, 2.0, 10.0, 4.0].map(Value::Number);
    assert_eq!(over(AggregateKind::Median, &even), Value::Number(3.0));
    let flags = [Value::Bool(true), Value::Bool(false), Value::Bool(true)];
    assert_eq!(over(AggregateKind::Sum, &flags), Value::Number(2.0));
    assert_eq!(over(AggregateKind::CountIf, &flags), Value::Int(2));
    assert_eq!(over(AggregateKind::First, &flags), Value::Bool(true));
    let mixed = [Value::text("a"), Value::Number(3.0), Value::text("b")];
    assert_eq!(over(AggregateKind::Max, &mixed), Value::Number(3.0));
    assert_eq!(over(AggregateKind::Count, &mixed), Value::Int(3));
    assert_eq!(
        over(AggregateKind::Max, &[Value::text("ä"), Value::text("z")]),
        Value::text("ä")
    );
    assert_eq!(over(AggregateKind::Avg, &[]), Value::Missing);
    assert_eq!(
        over(AggregateKind::Avg, &vec![Value::Number(1e308); 4]),
        Value::Number(1e308)
    );
    let infinite = [
        Value::Number(f64::INFINITY),
        Value::Number(f64::NEG_INFINITY),
    ];
    assert_eq!(over(AggregateKind::Sum, &infinite), Value::Missing);
}

#[test]
fn a_median_beyond_the_exact_limit_does_not_depend_on_arrival() {
    let numbers: Vec<f64> = (0..12_000)
        .map(|at| f64::from(at * 7919 % 12_000))
        .collect();
    let mut forward = Accumulator::new(AggregateKind::Median);
    let mut backward = Accumulator::new(AggregateKind::Median);
    for (at, number) in numbers.iter().enumerate() {
        forward.add_number(AggregateKind::Median, order(at as i64, at), *number);
    }
    for (at, number) in numbers.iter().enumerate().rev() {
        backward.add_number(AggregateKind::Median, order(at as i64, at), *number);
    }
    let median = forward.result(AggregateKind::Median);
    assert_eq!(median, backward.result(AggregateKind::Median));
    assert!(
        (median.as_number().unwrap() - 5999.5).abs() < 60.0,
        "{median}"
    );
}

#[test]
fn a_count_is_small() {
    let mut column = Column::new(AggregateKind::Count);
    (0..1000).for_each(|_| column.push());
    assert!(column.bytes() <= 1024 * 8, "{}", column.bytes());
}
