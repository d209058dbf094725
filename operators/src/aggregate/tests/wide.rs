//! The larger aggregates against their definitions, written apart from the code.

use proptest::prelude::*;
use tidegate_proto::Value;

use super::{order, value};
use crate::aggregate::{Accumulator, AggregateKind, Column, Frame, Percent, RowOrder, Sketch};
use crate::exact::ExactSum;

pub(crate) const WIDE: [AggregateKind; 13] = [
    AggregateKind::Percentile(Percent::new(0.0)),
    AggregateKind::Percentile(Percent::new(50.0)),
    AggregateKind::Percentile(Percent::new(90.0)),
    AggregateKind::Percentile(Percent::new(100.0)),
    AggregateKind::Mode,
    AggregateKind::Entropy,
    AggregateKind::CountDistinct,
    AggregateKind::Increase,
    AggregateKind::Collect,
    AggregateKind::Top(2),
    AggregateKind::Slope,
    AggregateKind::Skew,
    AggregateKind::AngleMean,
];

/// Values weighed by time, from all rows of the key: those before the window are carried in.
pub(crate) fn weighed(
    kind: AggregateKind,
    (start, end): (i64, i64),
    inside: &[(RowOrder, Value)],
    before: &[(RowOrder, Value)],
) -> Value {
    let last = before.iter().filter(|row| kind.takes(&row.1));
    let carried = last
        .max_by_key(|row| row.0)
        .and_then(|row| row.1.as_number());
    let mut all = Accumulator::new(kind);
    for (order, value) in inside {
        all.add(kind, *order, value);
    }
    all.result_in(
        kind,
        &Frame {
            start,
            end,
            carried,
        },
    )
}

/// Different values with how often they came, the most frequent first, equals from the least.
fn counted(rows: &[(RowOrder, Value)]) -> Vec<(Value, usize)> {
    let rank = |value: &Value| match value {
        Value::Bool(flag) => (0, f64::from(u8::from(*flag)), String::new()),
        Value::Text(text) => (2, 0.0, text.to_string()),
        other => (1, other.as_number().unwrap(), String::new()),
    };
    let mut values: Vec<&Value> = rows.iter().map(|row| &row.1).collect();
    values.sort_by(|left, right| rank(left).partial_cmp(&rank(right)).unwrap());
    let mut counts: Vec<(Value, usize)> = Vec::new();
    for value in values {
        match counts.last_mut() {
            Some(last) if rank(&last.0) == rank(value) => last.1 += 1,
            _ => counts.push((value.clone(), 1)),
        }
    }
    counts.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    counts
}

fn percentile(percent: f64, numbers: &[f64]) -> Value {
    let mut a = numbers.to_vec();
    a.sort_by(f64::total_cmp);
    if percent == 50.0 {
        let upper = a[a.len() / 2];
        let lower = a[(a.len() - 1) / 2];
        return Value::Number((lower + upper) / 2.0);
    }
    let h = (a.len() - 1) as f64 * percent / 100.0;
    let below = h.floor() as usize;
    let above = (below + 1).min(a.len() - 1);
    Value::Number(a[below] + (h - h.floor()) * (a[above] - a[below]))
}

/// Exact where the numbers are whole eighths.
fn whole(number: f64) -> i128 {
    (number * 8.0) as i128
}

fn determinant(left: &[i128], right: &[i128]) -> i128 {
    let n = left.len() as i128;
    let products: i128 = left.iter().zip(right).map(|(x, y)| x * y).sum();
    n * products - left.iter().sum::<i128>() * right.iter().sum::<i128>()
}

fn skew(x: &[i128]) -> Value {
    let n = x.len() as i128;
    let s: i128 = x.iter().sum();
    let q: i128 = x.iter().map(|x| x * x).sum();
    let t: i128 = x.iter().map(|x| x * x * x).sum();
    let d = (n * q - s * s) as f64 / 64.0;
    if n < 3 || d == 0.0 {
        return Value::Missing;
    }
    let third = (n * n * t - 3 * n * s * q + 2 * s * s * s) as f64 / 512.0;
    let n = n as f64;
    Value::Number(third / (d * d.sqrt()) * ((n * (n - 1.0)).sqrt() / (n - 2.0)))
}

/// The aggregate over rows that it takes, in any order; slope, skew and angles are held against the text below.
pub(crate) fn naive(kind: AggregateKind, rows: &[(RowOrder, Value)]) -> Value {
    let mut rows = rows.to_vec();
    rows.retain(|row| kind.takes(&row.1));
    rows.sort_by_key(|row| row.0);
    let numbers: Vec<f64> = rows.iter().filter_map(|row| row.1.as_number()).collect();
    match kind {
        AggregateKind::CountDistinct => return Value::Int(counted(&rows).len() as i64),
        AggregateKind::Collect => return Value::List(rows.into_iter().map(|row| row.1).collect()),
        AggregateKind::Top(most) => {
            let texts = numbers.is_empty();
            rows.retain(|row| matches!(row.1, Value::Text(_)) == texts);
            rows.sort_by(|left, right| match (&left.1, &right.1) {
                (Value::Text(left), Value::Text(right)) => right.as_bytes().cmp(left.as_bytes()),
                (left, right) => right.as_number().partial_cmp(&left.as_number()).unwrap(),
            });
            let values = rows.into_iter().map(|row| match row.1 {
                Value::Text(text) => Value::Text(text),
                other => Value::number(other.as_number().unwrap()),
            });
            return Value::List(values.take(most as usize).collect());
        }
        _ if rows.is_empty() => return Value::Missing,
        _ => {}
    }
    match kind {
        AggregateKind::Percentile(percent) => percentile(percent.value(), &numbers),
        AggregateKind::Mode => counted(&rows)[0].0.clone(),
        AggregateKind::Entropy => {
            let shares = counted(&rows).into_iter();
            let shares = shares.map(|(_, times)| times as f64 / rows.len() as f64);
            Value::Number(0.0 - shares.map(|p| p * libm::log2(p)).sum::<f64>())
        }
        AggregateKind::Increase => {
            let mut sum = ExactSum::new();
            for pair in numbers.windows(2) {
                sum.add(pair[1]);
                if pair[1] >= pair[0] {
                    sum.subtract(pair[0]);
                }
            }
            Value::Number(sum.round())
        }
        kind => {
            let mut all = Accumulator::new(kind);
            for (order, value) in &rows {
                all.add(kind, *order, value);
            }
            all.result(kind)
        }
    }
}

fn eighths() -> impl Strategy<Value = f64> {
    (-400_i32..400).prop_map(|eighths| f64::from(eighths) / 8.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn larger_aggregates_follow_their_definitions_in_any_panes(
        rows in prop::collection::vec((0_i64..10, value(), 0_usize..3), 0..40),
    ) {
        let rows: Vec<_> = rows.into_iter().enumerate()
            .map(|(at, (time, value, pane))| (order(time, at), value, pane)).collect();
        let plain: Vec<(RowOrder, Value)> = rows.iter().map(|row| (row.0, row.1.clone())).collect();
        for kind in WIDE {
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
                let bytes = postcard::to_allocvec(&panes[slot]).unwrap();
                let pane: Accumulator = postcard::from_bytes(&bytes).unwrap();
                total.merge(&pane);
                column.merge_into(slot as u32, &mut from_column);
                prop_assert_eq!(column.result(slot as u32), panes[slot].result(kind));
            }
            prop_assert_eq!(total.result(kind), naive(kind, &plain), "{:?}", kind);
            prop_assert_eq!(from_column.result(kind), total.result(kind), "{:?}", kind);
        }
    }

    #[test]
    fn sums_of_products_follow_their_definitions(
        rows in prop::collection::vec((0_i64..1_000, eighths(), eighths(), 0_usize..2), 0..30),
        start in prop::sample::select(vec![0_i64, -7, 1_700_000_000_000]),
    ) {
        let kinds = [AggregateKind::Cov, AggregateKind::Corr, AggregateKind::Slope, AggregateKind::Skew];
        let x: Vec<i128> = rows.iter().map(|row| whole(row.1)).collect();
        let y: Vec<i128> = rows.iter().map(|row| whole(row.2)).collect();
        let t: Vec<i128> = rows.iter().map(|row| i128::from(row.0)).collect();
        let n = rows.len() as f64;
        let cross = determinant(&x, &y) as f64 / 64.0;
        let (dx, dy) = (determinant(&x, &x) as f64 / 64.0, determinant(&y, &y) as f64 / 64.0);
        for kind in kinds {
            let mut halves = [Accumulator::new(kind), Accumulator::new(kind)];
            for (at, (time, left, right, half)) in rows.iter().enumerate() {
                let single = matches!(kind, AggregateKind::Slope | AggregateKind::Skew);
                let value = if single {
                    Value::Number(*left)
                } else {
                    Value::List(vec![Value::Number(*left), Value::Number(*right)])
                };
                halves[*half].add(kind, order(start + time, at), &value);
            }
            let [mut total, other] = halves;
            total.merge(&other);
            let expected = match kind {
                AggregateKind::Skew => skew(&x),
                _ if n < 2.0 => Value::Missing,
                AggregateKind::Cov => Value::Number(cross / (n * (n - 1.0))),
                AggregateKind::Corr if dx == 0.0 || dy == 0.0 => Value::Missing,
                AggregateKind::Corr => Value::Number((cross / (dx.sqrt() * dy.sqrt())).clamp(-1.0, 1.0)),
                _ => match determinant(&t, &t) as f64 {
                    0.0 => Value::Missing,
                    spread => Value::Number(1000.0 * (determinant(&t, &x) as f64 / 8.0) / spread),
                },
            };
            prop_assert_eq!(total.result(kind), expected, "{:?}", kind);
        }
    }

    #[test]
    fn values_are_weighed_by_the_time_they_are_in_force(
        rows in prop::collection::vec((0_i64..40, eighths(), 0_usize..3), 0..20),
        carried in prop::option::of(eighths()),
    ) {
        let frame = Frame { start: 0, end: 40, carried };
        let mut sorted: Vec<_> = rows.iter().enumerate().map(|(at, row)| (row.0, at, row.1)).collect();
        sorted.sort_by_key(|row| (row.0, row.1));
        // Millisecond by millisecond.
        let (mut total, mut covered) = (0.0, 0);
        for ms in 0..40 {
            let row = sorted.iter().rev().find(|row| row.0 <= ms);
            if let Some(number) = row.map(|row| row.2).or(carried) {
                total += number;
                covered += 1;
            }
        }
        for kind in [AggregateKind::Integral, AggregateKind::Twa, AggregateKind::Duration] {
            let mut panes = [(); 3].map(|()| Accumulator::new(kind));
            for (at, (time, number, pane)) in rows.iter().enumerate() {
                panes[*pane].add(kind, order(*time, at), &Value::Number(*number));
            }
            let [mut first, second, third] = panes;
            first.merge(&third);
            first.merge(&second);
            let expected = match kind {
                AggregateKind::Duration if covered == 0 => Value::Number(0.0),
                _ if covered == 0 => Value::Missing,
                AggregateKind::Twa => Value::Number(total / 1000.0 / (f64::from(covered) / 1000.0)),
                _ => Value::Number(total / 1000.0),
            };
            prop_assert_eq!(first.result_in(kind, &frame), expected);
        }
    }

    #[test]
    fn sketches_count_within_four_sigma(seed in any::<u32>(), size in prop::sample::select(vec![1_u32, 100, 3_000, 60_000])) {
        let (mut left, mut right) = (Sketch::default(), Sketch::default());
        for number in 0..size {
            let value = Value::Number(f64::from(seed) + f64::from(number));
            if number % 3 > 0 {
                left.add_value(&value);
            }
            if number % 3 < 2 {
                right.add_value(&value);
            }
        }
        left.merge(&right);
        let count = left.result().as_number().unwrap();
        prop_assert!((count / f64::from(size) - 1.0).abs() < 0.033, "{count} of {size}");
    }
}

fn over(kind: AggregateKind, values: &[Value]) -> Value {
    let mut all = Accumulator::new(kind);
    for (at, value) in values.iter().enumerate() {
        all.add(kind, order(at as i64 * 1000, at), value);
    }
    all.result(kind)
}

#[test]
fn the_text_of_the_meanings_holds() {
    let rows = [(0, 2.0), (6_000, 4.0)];
    let (mut integral, mut twa) = (
        Accumulator::new(AggregateKind::Integral),
        Accumulator::new(AggregateKind::Twa),
    );
    for (at, (time, number)) in rows.into_iter().enumerate() {
        integral.add(
            AggregateKind::Integral,
            order(time, at),
            &Value::Number(number),
        );
        twa.add(AggregateKind::Twa, order(time, at), &Value::Number(number));
    }
    let frame = Frame {
        start: 0,
        end: 10_000,
        carried: None,
    };
    let integral = integral.result_in(AggregateKind::Integral, &frame);
    assert_eq!(integral, Value::Number(28.0));
    assert_eq!(
        twa.result_in(AggregateKind::Twa, &frame),
        Value::Number(2.8)
    );
    let counter = [5.0, 8.0, 2.0, 3.0].map(Value::Number);
    assert_eq!(over(AggregateKind::Increase, &counter), Value::Number(6.0));
    assert_eq!(
        over(AggregateKind::Increase, &[Value::Number(7.0)]),
        Value::Number(0.0)
    );
    let line = [1.0, 3.0, 5.0].map(Value::Number);
    assert_eq!(over(AggregateKind::Slope, &line), Value::Number(2.0));
    let north = [350.0, 10.0].map(Value::Number);
    let mean = over(AggregateKind::AngleMean, &north).as_number().unwrap();
    assert!(!(1e-9..=360.0 - 1e-9).contains(&mean), "{mean}");
    let against = [0.0, 180.0].map(Value::Number);
    assert_eq!(over(AggregateKind::AngleMean, &against), Value::Missing);
    let weighed = [(0.0, 3.0), (90.0, 3.0)];
    let weighed = weighed.map(|(deg, w)| Value::List(vec![Value::Number(deg), Value::Number(w)]));
    let mean = over(AggregateKind::AngleMean, &weighed)
        .as_number()
        .unwrap();
    assert!((mean - 45.0).abs() < 1e-9, "{mean}");
    let even = [Value::text("b"), Value::text("a")];
    assert_eq!(over(AggregateKind::Mode, &even), Value::text("a"));
    assert_eq!(over(AggregateKind::Entropy, &even), Value::Number(1.0));
    let wrapped = [Value::Missing, Value::Number(1.0)].map(|value| Value::List(vec![value]));
    assert_eq!(over(AggregateKind::FirstNulls, &wrapped), Value::Missing);
    assert_eq!(
        over(AggregateKind::CollectNulls, &wrapped),
        Value::List(vec![Value::Missing, Value::Number(1.0)])
    );
    for kind in [AggregateKind::Collect, AggregateKind::Top(3)] {
        assert_eq!(over(kind, &[]), Value::List(Vec::new()));
    }
    assert_eq!(over(AggregateKind::ApproxDistinct, &[]), Value::Int(0));
}

#[test]
fn many_different_values_are_counted_by_a_sketch() {
    let kind = AggregateKind::CountDistinct;
    let mut all = Accumulator::new(kind);
    let mut sketch = Accumulator::new(AggregateKind::ApproxDistinct);
    for number in 0..10_001 {
        let value = Value::Number(f64::from(number));
        if number == 10_000 {
            assert_eq!(all.result(kind), Value::Int(10_000));
        }
        all.add(kind, order(0, number as usize), &value);
        sketch.add(AggregateKind::ApproxDistinct, order(0, 0), &value);
    }
    assert_eq!(
        all.result(kind),
        sketch.result(AggregateKind::ApproxDistinct)
    );
}
