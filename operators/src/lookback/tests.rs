//! Laws of lookbacks against a model that keeps every row, and examples from the text.

use proptest::prelude::*;
use tidegate_proto::Value;

use super::{
    Held, Lookback, LookbackCounters, LookbackFunction, LookbackOver, Previous, PreviousFunction,
    Stale,
};
use crate::aggregate::tests::wide::{WIDE, weighed as of_window};
use crate::aggregate::tests::{naive, value};
use crate::aggregate::{AggregateKind, RowOrder};

const FUNCTIONS: [LookbackFunction; 27] = [
    LookbackFunction::Count,
    LookbackFunction::CountIf,
    LookbackFunction::Sum,
    LookbackFunction::Avg,
    LookbackFunction::Min,
    LookbackFunction::Max,
    LookbackFunction::Spread,
    LookbackFunction::Std,
    LookbackFunction::Var,
    LookbackFunction::First,
    LookbackFunction::Last,
    LookbackFunction::Median,
    LookbackFunction::Zscore,
    LookbackFunction::Delta,
    LookbackFunction::Rate,
    LookbackFunction::Wide(WIDE[0]),
    LookbackFunction::Wide(WIDE[2]),
    LookbackFunction::Wide(AggregateKind::Mode),
    LookbackFunction::Wide(AggregateKind::Entropy),
    LookbackFunction::Wide(AggregateKind::CountDistinct),
    LookbackFunction::Wide(AggregateKind::Increase),
    LookbackFunction::Wide(AggregateKind::Collect),
    LookbackFunction::Wide(AggregateKind::Top(2)),
    LookbackFunction::Wide(AggregateKind::Slope),
    LookbackFunction::Wide(AggregateKind::Skew),
    LookbackFunction::Wide(AggregateKind::Twa),
    LookbackFunction::Wide(AggregateKind::Duration),
];

fn takes(function: LookbackFunction, value: &Value) -> bool {
    match function {
        LookbackFunction::Delta | LookbackFunction::Rate => value.as_number().is_some(),
        LookbackFunction::CountIf => !value.is_missing() && value.as_number().is_some(),
        _ => function.aggregate().takes(value),
    }
}

/// The function from its definition over all rows ever inserted, at a time.
fn model(
    function: LookbackFunction,
    over: LookbackOver,
    rows: &[(RowOrder, Value)],
    at: i64,
) -> Value {
    let mut rows: Vec<(RowOrder, Value)> = rows.to_vec();
    rows.retain(|row| takes(function, &row.1) && row.0.time <= at);
    rows.sort_by_key(|row| row.0);
    if function.aggregate().weighs_time() {
        return weighed(function.aggregate(), over, rows, at);
    }
    match over {
        LookbackOver::Span(span) => rows.retain(|row| row.0.time > at - span),
        LookbackOver::Rows(count) => {
            let gone = rows.len().saturating_sub(count as usize);
            rows.drain(..gone);
        }
        LookbackOver::All => {}
    }
    let number = |row: &(RowOrder, Value)| row.1.as_number().unwrap();
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return naive(function.aggregate(), &rows);
    };
    let seconds = (last.0.time - first.0.time) as f64 / 1000.0;
    match function {
        LookbackFunction::Delta if rows.len() == 1 => Value::Missing,
        LookbackFunction::Delta => Value::number(number(last) - number(first)),
        LookbackFunction::Rate if last.0.time == first.0.time => Value::Missing,
        LookbackFunction::Rate => Value::number((number(last) - number(first)) / seconds),
        LookbackFunction::Zscore => {
            let std = naive(AggregateKind::Std, &rows).as_number();
            let mean = naive(AggregateKind::Avg, &rows).as_number().unwrap();
            match std {
                None => Value::Missing,
                Some(0.0) => Value::Number(0.0),
                Some(std) => Value::number((number(last) - mean) / std),
            }
        }
        function => naive(function.aggregate(), &rows),
    }
}

/// Values weighed by time over rows in order.
fn weighed(
    kind: AggregateKind,
    over: LookbackOver,
    rows: Vec<(RowOrder, Value)>,
    at: i64,
) -> Value {
    let mut before = Vec::new();
    let mut inside = rows;
    let mut start = inside.first().map_or(at, |row| row.0.time);
    match over {
        LookbackOver::Span(span) => {
            start = at - span;
            before = inside.clone();
            before.retain(|row| row.0.time <= start);
            inside.retain(|row| row.0.time > start);
        }
        LookbackOver::Rows(count) => {
            let gone = inside.len().saturating_sub(count as usize);
            inside.drain(..gone);
            start = inside.first().map_or(at, |row| row.0.time);
        }
        LookbackOver::All => {}
    }
    of_window(kind, (start, at), &inside, &before)
}

fn over() -> impl Strategy<Value = LookbackOver> {
    prop_oneof![
        (1_i64..12).prop_map(LookbackOver::Span),
        (1_u32..5).prop_map(LookbackOver::Rows),
        Just(LookbackOver::All),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn lookbacks_follow_their_definition(
        function in prop::sample::select(FUNCTIONS.to_vec()),
        over in over(),
        rows in prop::collection::vec((0_i64..10, value(), 0_u8..10), 1..60),
        start in -20_i64..20,
    ) {
        let mut lookback = Lookback::new(function, over);
        let mut known = Vec::new();
        let (mut latest, mut at) = (start, i64::MIN);
        for (sequence, (step, value, what)) in rows.into_iter().enumerate() {
            let time = latest - 7 + step;
            latest = latest.max(time);
            let sequence = sequence as u64;
            // Rows over a number of rows that left do not come back: a row older than a read is a new one all the same.
            known.push((RowOrder { time, sequence }, value.clone()));
            match (what, &value) {
                (0..5, Value::Number(number)) => lookback.insert_number(3, time, sequence, *number),
                _ => lookback.insert(3, time, sequence, &value),
            }
            if what % 3 > 0 {
                at = latest;
                let told = lookback.value(3, at);
                prop_assert_eq!(told, model(function, over, &known, at));
            }
            if what == 9 {
                // Time passes without a row: rows leave one by one.
                while let Some(leave) = lookback.next_leave(3).filter(|leave| *leave <= at + 4) {
                    let expected = model(function, over, &known, leave);
                    let told = lookback.value(3, leave);
                    prop_assert_eq!(told, expected);
                    at = leave;
                }
                latest = latest.max(at);
                lookback = postcard::from_bytes(&postcard::to_allocvec(&lookback).unwrap()).unwrap();
            }
        }
        prop_assert_eq!(lookback.value(2, at), model(function, over, &[], at));
        lookback.forget(3);
        prop_assert_eq!(lookback.value(3, at), model(function, over, &[], at));
        prop_assert_eq!(lookback.next_leave(3), None);
    }

    #[test]
    fn functions_of_the_previous_row_follow_their_definition(
        rows in prop::collection::vec((-1_i64..3, value()), 1..40), back in 1_u32..4,
    ) {
        let functions = [
            PreviousFunction::Prev(back),
            PreviousFunction::Changed,
            PreviousFunction::Delta,
            PreviousFunction::Rate,
        ];
        for function in functions {
            let mut previous = Previous::new(function);
            let mut kept: Vec<(i64, Value)> = Vec::new();
            let (mut time, mut skipped) = (0, 0);
            for (sequence, (step, value)) in rows.iter().enumerate() {
                time += step;
                previous.insert(1, time, sequence as u64, value);
                let numeric = matches!(function, PreviousFunction::Delta | PreviousFunction::Rate);
                let taken = if numeric { value.as_number().is_some() } else { !value.is_missing() };
                if taken && kept.last().is_some_and(|last| time < last.0) {
                    skipped += 1;
                } else if taken {
                    kept.push((time, value.clone()));
                }
                previous = postcard::from_bytes(&postcard::to_allocvec(&previous).unwrap()).unwrap();
                let at = |back: usize| kept.len().checked_sub(back + 1).map(|index| &kept[index]);
                let expected = match (function, at(0), at(1)) {
                    (_, None, _) => Value::Missing,
                    (PreviousFunction::Prev(_), ..) => {
                        at(back as usize).map_or(Value::Missing, |row| row.1.clone())
                    }
                    (PreviousFunction::Changed, Some(new), old) => {
                        Value::Bool(old.is_some_and(|old| old.1 != new.1))
                    }
                    (_, _, None) => Value::Missing,
                    (function, Some(new), Some(old)) => {
                        let delta = new.1.as_number().unwrap() - old.1.as_number().unwrap();
                        match (function, new.0 - old.0) {
                            (PreviousFunction::Delta, _) => Value::number(delta),
                            (_, 0) => Value::Missing,
                            (_, ms) => Value::number(delta / (ms as f64 / 1000.0)),
                        }
                    }
                };
                prop_assert_eq!(previous.value(1), expected);
            }
            prop_assert_eq!(previous.out_of_order(1), skipped);
        }
    }

    #[test]
    fn held_follows_its_definition(
        rows in prop::collection::vec((0_i64..4, prop::option::of(any::<bool>())), 1..30), span in 1_i64..8,
    ) {
        let mut held = Held::new(span);
        let mut known: Vec<(i64, bool)> = Vec::new();
        let mut time = 0;
        for (step, condition) in rows {
            time += step;
            held.insert(5, time, condition);
            known.extend(condition.map(|condition| (time, condition)));
            let run: Vec<i64> = known.iter().rev().take_while(|row| row.1).map(|row| row.0).collect();
            let since = run.last().copied();
            for at in time..time + 10 {
                prop_assert_eq!(held.held(5, at), since.is_some_and(|since| at - since >= span));
                let seconds = since.map_or(Value::Missing, |since| Value::Number((at - since) as f64 / 1000.0));
                prop_assert_eq!(held.since(5, at), seconds);
                let next = (at + 1..at + 20).find(|later| held.held(5, *later) != held.held(5, at));
                prop_assert_eq!(held.next_change(5, at), next);
            }
        }
    }
}

#[test]
fn a_zscore_takes_the_current_row_and_knows_constants() {
    let mut lookback = Lookback::new(LookbackFunction::Zscore, LookbackOver::Span(60_000));
    for at in 0..7 {
        lookback.insert_number(0, at * 1000, at as u64, 0.1);
        let expected = if at == 0 {
            Value::Missing
        } else {
            Value::Number(0.0)
        };
        assert_eq!(lookback.value(0, at * 1000), expected);
    }
    let mut lookback = Lookback::new(LookbackFunction::Zscore, LookbackOver::Span(10));
    [1.0, 2.0, 3.0]
        .into_iter()
        .enumerate()
        .for_each(|(at, number)| {
            lookback.insert_number(0, at as i64, at as u64, number);
        });
    assert_eq!(lookback.value(0, 2), Value::Number(1.0));
    assert_eq!(lookback.value(0, 10), Value::Number(0.5 / f64::sqrt(0.5)));
    assert_eq!(lookback.value(0, 11), Value::Missing);
}

#[test]
fn a_row_leaves_exactly_a_span_after_its_time() {
    let mut lookback = Lookback::new(LookbackFunction::Count, LookbackOver::Span(300_000));
    lookback.insert_number(0, 1000, 0, 1.0);
    assert_eq!(lookback.next_leave(0), Some(301_000));
    assert_eq!(lookback.value(0, 300_999), Value::Int(1));
    assert_eq!(lookback.value(0, 301_000), Value::Int(0));
    lookback.insert_number(0, 1000, 1, 1.0);
    assert_eq!(lookback.value(0, 301_000), Value::Int(0));
    assert_eq!(lookback.next_leave(0), None);
}

#[test]
fn the_oldest_rows_leave_beyond_the_limit() {
    let over = LookbackOver::Span(1000);
    let mut lookback = Lookback::with_limit(LookbackFunction::Sum, over, 3);
    for at in 0..5_i64 {
        lookback.insert_number(0, at, at as u64, (at + 1) as f64);
        lookback.value(0, at);
    }
    lookback.insert(0, 5, 5, &Value::text("x"));
    assert_eq!(lookback.value(0, 5), Value::Number(12.0));
    let expected = LookbackCounters {
        type_skipped: 1,
        rows_dropped: 2,
    };
    assert_eq!(lookback.counters(0), expected);
}

#[test]
fn a_row_of_numbers_is_small() {
    let mut lookback = Lookback::new(LookbackFunction::Avg, LookbackOver::Rows(1024));
    (0..1024).for_each(|at| lookback.insert_number(0, at, at as u64, 21.5));
    lookback.value(0, 2000);
    assert!(lookback.bytes() < 1025 * 24 + 600, "{}", lookback.bytes());
}

#[test]
fn a_median_of_all_goes_on_beyond_the_exact_limit() {
    let mut lookback = Lookback::new(LookbackFunction::Median, LookbackOver::All);
    for at in 0..12_000_u32 {
        lookback.insert_number(
            0,
            i64::from(at),
            u64::from(at),
            f64::from(at * 7919 % 12_000),
        );
    }
    let median = lookback.value(0, 12_000).as_number().unwrap();
    assert!((median - 5999.5).abs() < 60.0, "{median}");
}

#[test]
fn silence_is_stale_at_its_span_exactly() {
    let mut stale = Stale::new(600_000);
    assert!(!stale.stale(0, 1_000_000));
    stale.start(0, 0);
    assert!(!stale.stale(0, 599_999) && stale.stale(0, 600_000));
    stale.insert(0, 1000);
    assert!(!stale.insert(0, 999));
    assert_eq!(stale.next_change(0, 600_000), Some(601_000));
    assert!(!stale.stale(0, 600_999) && stale.stale(0, 601_000));
    assert_eq!(stale.next_change(0, 601_000), None);
    stale.forget(0);
    assert!(!stale.stale(0, 9_000_000));
}
