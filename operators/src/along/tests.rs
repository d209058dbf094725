//! Laws of the functions along rows, each against its definition over the whole list of rows; examples from the text.

use proptest::prelude::*;
use tidegate_proto::Value;

use super::{Along, Function};

/// Runs rows `(time, value)` through a function, thrown away and restored after each; answers its values at the rows.
fn run(function: Function, limits: Option<[f64; 2]>, rows: &[(i64, Value)]) -> Vec<Value> {
    let mut along = Along::new(function, limits);
    let values = rows.iter().map(|(time, value)| {
        along.insert(4, *time, value);
        along = postcard::from_bytes(&postcard::to_allocvec(&along).unwrap()).unwrap();
        along.value(4, *time)
    });
    values.collect()
}

fn truths(rows: &[Option<bool>]) -> Vec<(i64, Value)> {
    let value = |truth: &Option<bool>| truth.map_or(Value::Missing, Value::Bool);
    (0..).zip(rows.iter().map(value)).collect()
}

fn numbers(rows: &[(i64, f64)]) -> Vec<(i64, Value)> {
    let row = |(time, number): &(i64, f64)| (*time, Value::Number(*number));
    rows.iter().map(row).collect()
}

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);

fn first_true(function: Function, rows: &[Option<bool>]) -> Option<usize> {
    let values = run(function, Some([0.0; 2]), &truths(rows));
    values.iter().position(|value| *value == Value::Bool(true))
}

#[test]
fn dampening_of_the_specification() {
    let of = |needed, of| Function::Dampened { needed, of };
    assert_eq!(first_true(of(3, 3), &[T, T, F, T, T, T]), Some(5));
    assert_eq!(first_true(of(2, 3), &[T, F, T]), Some(2));
    assert_eq!(first_true(of(2, 3), &[T, F, F, T]), None);
    // An unknown condition enters no history.
    assert_eq!(first_true(of(2, 3), &[T, None, None, F, T]), Some(4));
}

#[test]
fn a_value_is_taken_once_it_stayed_unchanged() {
    let mut debounce = Along::new(Function::Debounce { span: 5000 }, None);
    let mut told = Vec::new();
    for (time, text) in [
        (0, "a"),
        (3000, "b"),
        (4000, "a"),
        (9000, "b"),
        (20_000, "b"),
    ] {
        debounce.insert(0, time, &Value::text(text));
        told.push((debounce.value(0, time), debounce.next_change(0, time)));
    }
    let a = || Value::text("a");
    assert_eq!(
        told,
        [
            (Value::Missing, Some(5000)),
            (Value::Missing, Some(8000)),
            (Value::Missing, Some(9000)),
            (a(), Some(14_000)),
            (Value::text("b"), None),
        ]
    );
    assert!(!debounce.insert(0, 19_999, &a()));
    assert_eq!(debounce.out_of_order(0), 1);
}

#[test]
fn a_limit_may_come_with_the_row() {
    let row = |time, value: f64, limit: f64| {
        let limit = Value::number(limit);
        (time, Value::List(vec![Value::Number(value), limit]))
    };
    let rows = [
        row(0, 1.0, 2.0),
        row(1, 3.0, 2.0),
        row(2, 4.0, f64::NAN),
        row(3, 5.0, 4.0),
    ];
    let values = run(Function::Crossed { above: true }, None, &rows);
    let truth = Value::Bool;
    assert_eq!(
        values,
        [truth(false), truth(true), Value::Missing, truth(true)]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn n_of_m_follows_its_definition(
        rows in prop::collection::vec(prop::option::of(any::<bool>()), 1..40),
        needed in 1_u32..5, more in 0_u32..4,
    ) {
        let of = needed + more;
        let values = run(Function::Dampened { needed, of }, None, &truths(&rows));
        for (at, value) in values.iter().enumerate() {
            let known: Vec<bool> = rows[..=at].iter().flatten().copied().collect();
            let recent = known.iter().rev().take(of as usize);
            let count = recent.filter(|truth| **truth).count();
            let expected = known.last() == Some(&true) && count >= needed as usize;
            prop_assert_eq!(value, &Value::Bool(expected), "row {}", at);
        }
    }

    #[test]
    fn times_follow_their_definition(
        rows in prop::collection::vec((0_i64..4, prop::option::of(any::<bool>())), 1..40), span in 1_i64..12,
    ) {
        let mut time = 0;
        let rows: Vec<(i64, Option<bool>)> = rows.iter().map(|(step, truth)| { time += step; (time, *truth) }).collect();
        let given: Vec<(i64, Value)> = rows.iter()
            .map(|(time, truth)| (*time, truth.map_or(Value::Missing, Value::Bool))).collect();
        let values = run(Function::Times { span }, None, &given);
        for (at, value) in values.iter().enumerate() {
            let now = rows[at].0;
            let known: Vec<(i64, bool)> = rows[..=at].iter().filter_map(|(t, c)| Some((*t, (*c)?))).collect();
            let edges = known.iter().enumerate().filter(|(index, (time, truth))| {
                *truth && (*index == 0 || !known[index - 1].1) && *time > now - span
            });
            prop_assert_eq!(value, &Value::Int(edges.count() as i64));
        }
    }

    #[test]
    fn functions_of_a_value_follow_their_definition(
        rows in prop::collection::vec((-1_i64..4, -4_i8..5), 1..40), on in -3_i8..4, off in -3_i8..4, width in 0_i8..4,
    ) {
        let (on, off, width) = (f64::from(on), f64::from(off), f64::from(width));
        let mut time = 0;
        let rows: Vec<(i64, f64)> = rows.iter().map(|(step, x)| { time += step; (time, f64::from(*x)) }).collect();
        let above = run(Function::Crossed { above: true }, Some([on, 0.0]), &numbers(&rows));
        let below = run(Function::Crossed { above: false }, Some([on, 0.0]), &numbers(&rows));
        let hysteresis = run(Function::Hysteresis, Some([on, off]), &numbers(&rows));
        let deadband = run(Function::Deadband, Some([width, 0.0]), &numbers(&rows));
        let mut kept: Vec<(i64, f64)> = Vec::new();
        let mut passed: Option<f64> = None;
        for (at, row) in rows.iter().enumerate() {
            if kept.last().is_none_or(|last| row.0 >= last.0) {
                kept.push(*row);
                if passed.is_none_or(|passed| (row.1 - passed).abs() > width) {
                    passed = Some(row.1);
                }
            }
            let x = kept[kept.len() - 1].1;
            let before = kept.len().checked_sub(2).map(|index| kept[index].1);
            prop_assert_eq!(&above[at], &Value::Bool(before.is_some_and(|b| b <= on && on < x)));
            prop_assert_eq!(&below[at], &Value::Bool(before.is_some_and(|b| b >= on && on > x)));
            prop_assert_eq!(&deadband[at], &Value::Number(passed.unwrap()));
            // The last row that decides it: beyond `on` it is on, beyond `off` it is off.
            let decided = kept.iter().rev().find_map(|(_, x)| {
                let (begins, ends) = if on < off { (*x < on, *x > off) } else { (*x > on, *x < off) };
                if begins { Some(true) } else if ends { Some(false) } else { None }
            });
            prop_assert_eq!(&hysteresis[at], &Value::Bool(decided.unwrap_or(false)));
        }
    }

    #[test]
    fn debounce_follows_its_definition(
        rows in prop::collection::vec((0_i64..6, 0_i8..3), 1..30), span in 1_i64..8,
    ) {
        let mut time = 0;
        let rows: Vec<(i64, f64)> = rows.iter().map(|(step, x)| { time += step; (time, f64::from(*x)) }).collect();
        let mut debounce = Along::new(Function::Debounce { span }, None);
        for (at, (now, x)) in rows.iter().enumerate() {
            debounce.insert(0, *now, &Value::Number(*x));
            let until = rows.get(at + 1).map_or(now + 20, |next| next.0);
            for instant in *now..until.max(now + 1) {
                // The newest run of equal values that was there for the whole span.
                let mut expected = Value::Missing;
                let mut begins = 0;
                for index in 0..=at {
                    if index == 0 || rows[index].1 != rows[index - 1].1 {
                        begins = rows[index].0;
                    }
                    let ends = rows.get(index + 1).filter(|_| index < at).map_or(instant, |next| next.0);
                    if ends - begins >= span {
                        expected = Value::Number(rows[index].1);
                    }
                }
                prop_assert_eq!(debounce.value(0, instant), expected.clone());
                let next = debounce.next_change(0, instant);
                prop_assert!(next.is_none_or(|next| next > instant && next - span >= begins));
            }
        }
    }
}
