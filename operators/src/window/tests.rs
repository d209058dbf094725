//! Laws of windows against a model that keeps every row and computes from the definition, and examples from the text.

mod forms;
mod model;

use proptest::prelude::*;
use tidegate_proto::{EventBatch, EventRef, MetricColumn, Span, Value, WindowForm};

use super::{
    Argument, Excess, LateRow, NumberRows, RowKey, WindowLimits, WindowMode, WindowOutput,
    WindowRow, WindowSpec, Windows,
};
use crate::aggregate::AggregateKind;
use crate::aggregate::tests::wide::WIDE;
use crate::aggregate::tests::{KINDS, value};
use model::Model;

#[derive(Clone, Debug)]
enum Step {
    Push {
        key: u32,
        time: i64,
        values: Vec<Value>,
        disorder: i64,
    },
    Advance {
        key: u32,
        by: i64,
    },
    Snapshot,
}

fn form() -> impl Strategy<Value = WindowForm> {
    prop_oneof![
        (1_i64..12, -5_i64..5).prop_map(|(size, offset)| WindowForm::Tumbling {
            size: Span(size),
            offset
        }),
        (1_i64..12, 1_i64..15, -5_i64..5).prop_map(|(size, every, offset)| WindowForm::Hopping {
            size: Span(size),
            every: Span(every),
            offset,
        }),
        (1_i64..12, any::<bool>(), any::<bool>()).prop_map(|(size, closed, per_row)| {
            WindowForm::Sliding {
                size: Span(size),
                closed,
                per_row,
            }
        }),
    ]
}

const fn sliding(size: i64) -> WindowForm {
    WindowForm::Sliding {
        size: Span(size),
        closed: false,
        per_row: false,
    }
}

fn spec() -> impl Strategy<Value = WindowSpec> {
    let weighed = [AggregateKind::Integral, AggregateKind::Duration];
    let kinds = [KINDS.as_slice(), WIDE.as_slice(), weighed.as_slice()].concat();
    let kinds = prop::collection::vec(prop::sample::select(kinds), 1..4);
    let lateness = prop_oneof![Just(0_i64), 1_i64..15];
    let spec = |(form, lateness, aggregates, shares): (_, _, Vec<_>, _)| WindowSpec {
        form,
        lateness: Span(lateness),
        arguments: vec![Argument::Value(0); if shares { aggregates.len() } else { 0 }],
        aggregates,
        mode: WindowMode::default(),
    };
    (form(), lateness, kinds, any::<bool>()).prop_map(spec)
}

/// One value for each aggregate; aggregates of one argument get the same.
fn fit(values: &mut Vec<Value>, spec: &WindowSpec) {
    values.truncate(spec.aggregates.len());
    if !spec.arguments.is_empty() {
        let first = values[0].clone();
        values.fill(first);
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let push = (
        0_u32..2,
        0_i64..14,
        prop::collection::vec(value(), 3),
        0_i64..8,
    );
    let step = prop_oneof![
        12 => push.prop_map(|(key, time, values, disorder)| Step::Push { key, time, values, disorder }),
        1 => (0_u32..2, 0_i64..30).prop_map(|(key, by)| Step::Advance { key, by }),
        1 => Just(Step::Snapshot),
    ];
    prop::collection::vec(step, 1..40)
}

fn key_of(time: i64, sequence: usize) -> RowKey {
    let event = EventRef {
        source: 0,
        offset: sequence as i64,
        id: None,
    };
    RowKey {
        time,
        sequence: sequence as u64,
        event,
    }
}

fn restored(windows: &Windows) -> Windows {
    postcard::from_bytes(&postcard::to_allocvec(windows).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn windows_follow_their_definition(spec in spec(), steps in steps(), start in -40_i64..40) {
        let mut windows = Windows::new(spec.clone());
        let mut models = [Model::default(), Model::default()];
        let mut latest = [start; 2];
        for (sequence, step) in steps.into_iter().enumerate() {
            let (mut out, mut expected) = (WindowOutput::default(), WindowOutput::default());
            match step {
                Step::Push { key, time, mut values, disorder } => {
                    let at = key as usize;
                    fit(&mut values, &spec);
                    let row = (key_of(latest[at] - 9 + time, sequence), values);
                    latest[at] = latest[at].max(row.0.time);
                    let watermark = (latest[at] - disorder).max(models[at].watermark.unwrap_or(i64::MIN));
                    models[at].push(&spec, key, &row, watermark, &mut expected);
                    windows.push(key, &row.0, &row.1, watermark, &mut out);
                    out.excess.clear();
                }
                Step::Advance { key, by } => {
                    let at = key as usize;
                    let watermark = models[at].watermark.unwrap_or(start) + by;
                    models[at].advance(&spec, key, watermark, &mut expected);
                    let due = windows.deadline(key) <= watermark;
                    windows.advance(key, watermark, &mut out);
                    prop_assert!(due || out.is_empty());
                    prop_assert!(windows.deadline(key) > watermark);
                }
                Step::Snapshot => windows = restored(&windows),
            }
            prop_assert_eq!(out, expected);
        }
        for key in 0..2 {
            let mut out = WindowOutput::default();
            windows.advance(key, 10_000, &mut out);
            prop_assert_eq!(windows.deadline(key), i64::MAX);
        }
    }

    #[test]
    fn arrival_order_within_disorder_does_not_show(
        spec in spec(),
        rows in prop::collection::vec((0_i64..4, 0_i64..8, prop::collection::vec(value(), 3)), 1..40),
        start in -40_i64..40,
    ) {
        let disorder = 8;
        let mut time = start;
        let mut sorted = Vec::new();
        for (sequence, (step, jitter, mut values)) in rows.into_iter().enumerate() {
            time += step;
            fit(&mut values, &spec);
            sorted.push((time + jitter, key_of(time, sequence), values));
        }
        // Log order is part of a row here: what differs is when it is pushed.
        let mut shuffled = sorted.clone();
        shuffled.sort_by_key(|row| row.0);
        let run = |rows: &[(i64, RowKey, Vec<Value>)]| {
            let mut windows = Windows::new(spec.clone());
            let mut out = WindowOutput::default();
            let mut latest = i64::MIN;
            for (_, row, values) in rows {
                latest = latest.max(row.time);
                windows.push(0, row, values, latest - disorder, &mut out);
            }
            windows.advance(0, 10_000, &mut out);
            out.excess.clear();
            out
        };
        let (first, second) = (run(&sorted), run(&shuffled));
        prop_assert!(first.late.is_empty());
        prop_assert_eq!(first, second);
    }

    #[test]
    fn columns_of_numbers_are_rows(
        spec in spec(),
        rows in prop::collection::vec((0_u32..3, 0_i64..12, -50_i32..50, 0_i64..6), 1..60),
        cuts in prop::collection::vec(0_usize..60, 0..5),
    ) {
        let mut by_row = Windows::new(spec.clone());
        let mut expected = WindowOutput::default();
        let mut watermarks = [i64::MIN; 3];
        let (mut events, mut marks, mut latest) = (EventBatch::default(), Vec::new(), 0);
        let mut numbers = MetricColumn::new(0);
        for (sequence, (key, time, tenths, disorder)) in rows.iter().enumerate() {
            let time = latest - 6 + time;
            latest = latest.max(time);
            let at = *key as usize;
            watermarks[at] = watermarks[at].max(latest - disorder);
            let number = match *tenths % 7 {
                0 => f64::NAN,
                1 if *tenths < 0 => 1e300,
                _ => f64::from(*tenths) / 10.0,
            };
            let arguments = vec![Value::number(number); spec.aggregates.len()];
            let mark = expected.mark();
            events.resource.push(*key);
            events.time.push(time);
            events.offset.push(sequence as i64);
            events.source.push(0);
            if *tenths % 3 == 0 {
                events.ids.push((sequence as u32, format!("e{sequence}").into()));
            }
            let row = RowKey {
                event: events.event_ref(sequence),
                ..key_of(time, sequence)
            };
            by_row.push(*key, &row, &arguments, watermarks[at], &mut expected);
            expected.trigger_since(mark, sequence);
            numbers.numbers.push(number);
            marks.push(watermarks[at]);
        }
        let indexes: Vec<u32> = (0..rows.len() as u32).collect();
        let sequences: Vec<u64> = (0..rows.len() as u64).collect();
        let mut places: Vec<usize> = cuts.into_iter().filter(|cut| *cut < rows.len()).collect();
        places.push(rows.len());
        places.sort_unstable();
        let mut windows = Windows::new(spec.clone());
        let mut out = WindowOutput::default();
        let mut from = 0;
        for to in places {
            let columns = vec![&numbers.numbers[from..to]; spec.aggregates.len()];
            let batch = NumberRows {
                events: &events,
                rows: &indexes[from..to],
                keys: &events.resource[from..to],
                sequences: &sequences[from..to],
                watermarks: &marks[from..to],
                columns: &columns,
            };
            let mark = out.mark();
            windows.push_numbers(&batch, &mut out);
            out.rows.iter_mut().skip(mark[0]).for_each(|row| row.trigger += from as u32);
            out.late.iter_mut().skip(mark[3]).for_each(|row| row.trigger += from as u32);
            windows = restored(&windows);
            from = to;
        }
        prop_assert_eq!(out, expected);
    }
}

fn run(
    spec: WindowSpec,
    limits: WindowLimits,
    rows: &[(i64, f64, i64)],
) -> (WindowOutput, Windows) {
    let mut windows = Windows::with_limits(spec, limits);
    let mut out = WindowOutput::default();
    for (sequence, (time, number, watermark)) in rows.iter().enumerate() {
        let row = key_of(*time, sequence);
        windows.push(0, &row, &[Value::Number(*number)], *watermark, &mut out);
    }
    (out, windows)
}

fn sums(form: WindowForm, lateness: i64) -> WindowSpec {
    WindowSpec {
        form,
        lateness: Span(lateness),
        aggregates: vec![AggregateKind::Sum],
        arguments: Vec::new(),
        mode: WindowMode::default(),
    }
}

fn told(out: &WindowOutput) -> Vec<(i64, i64, u32, f64)> {
    let number = |row: &WindowRow| row.values[0].as_number().unwrap();
    out.rows
        .iter()
        .map(|row| (row.start, row.end, row.revision, number(row)))
        .collect()
}

#[test]
fn a_hop_that_is_over_is_missed_and_the_others_are_entered() {
    let form = WindowForm::Hopping {
        size: Span(10),
        every: Span(5),
        offset: 0,
    };
    let rows = [
        (7, 1.0, 7),
        (12, 2.0, 12),
        (8, 4.0, 12),
        (3, 8.0, 12),
        (20, 0.0, 20),
    ];
    let (out, _) = run(sums(form, 0), WindowLimits::default(), &rows);
    assert_eq!(
        told(&out),
        [(0, 10, 1, 1.0), (5, 15, 1, 7.0), (10, 20, 1, 2.0)]
    );
    let late = |missed, of, start, time| LateRow {
        key: 0,
        missed,
        of,
        start,
        end: start + 10,
        time,
        trigger: 0,
    };
    assert_eq!(out.late, [late(1, 2, 0, 8), late(2, 2, -5, 3)]);
}

#[test]
fn corrections_come_within_lateness_and_equal_values_make_none() {
    let form = WindowForm::Tumbling {
        size: Span(10),
        offset: 0,
    };
    let rows = [
        (1, 0.1, 1),
        (12, 1.0, 12),
        (2, 0.2, 12),
        (3, 0.0, 12),
        (4, 0.3, 13),
        (15, 1.0, 15),
        (5, 9.0, 15),
    ];
    let (out, windows) = run(sums(form, 5), WindowLimits::default(), &rows);
    // 0.1 + 0.2 is 0.30000000000000004 as floats add, and so is the exact sum of the two, rounded; with 0.3 it is 0.6.
    let expected = [(0, 10, 1, 0.1), (0, 10, 2, 0.1 + 0.2), (0, 10, 3, 0.6)];
    assert_eq!(told(&out), expected);
    assert_eq!(out.late.len(), 1);
    assert_eq!(windows.deadline(0), 20);
}

#[test]
fn every_sliding_time_has_one_row() {
    let form = sliding(10);
    let rows = [
        (0, 1.0, 0),
        (0, 2.0, 0),
        (9, 4.0, 9),
        (10, 8.0, 10),
        (30, 0.5, 30),
    ];
    let (out, windows) = run(sums(form, 0), WindowLimits::default(), &rows);
    assert_eq!(
        told(&out),
        [(-10, 0, 1, 3.0), (-1, 9, 1, 7.0), (0, 10, 1, 12.0)]
    );
    assert_eq!(windows.deadline(0), 31);
}

#[test]
fn the_oldest_window_is_closed_when_there_are_too_many() {
    let limits = WindowLimits {
        open_windows: 3,
        window_rows: 100,
    };
    let rows: Vec<(i64, f64, i64)> = (0..6).map(|at| (at * 10, at as f64, -100)).collect();
    for form in [
        WindowForm::Tumbling {
            size: Span(10),
            offset: 0,
        },
        sliding(1),
    ] {
        let (out, _) = run(sums(form, 0), limits, &rows);
        let values: Vec<f64> = told(&out).iter().map(|row| row.3).collect();
        assert_eq!(values, [0.0, 1.0, 2.0]);
        assert_eq!(out.excess, [(0, Excess::WindowDropped); 3]);
        let mut again = rows.clone();
        again.push((0, 1.0, -100));
        let (out, _) = run(sums(form, 0), limits, &again);
        assert_eq!(out.late.len(), 1, "a window that was dropped is final");
    }
}

#[test]
fn the_oldest_rows_leave_when_there_are_too_many() {
    let limits = WindowLimits {
        open_windows: 100,
        window_rows: 3,
    };
    let rows: Vec<(i64, f64, i64)> = (0..6).map(|at| (at, 1.0, at)).collect();
    let (out, _) = run(sums(sliding(100), 0), limits, &rows);
    let values: Vec<f64> = told(&out).iter().map(|row| row.3).collect();
    assert_eq!(values, [1.0, 2.0, 3.0, 3.0, 3.0]);
    assert_eq!(out.excess, [(0, Excess::RowDropped); 3]);
}

#[test]
fn values_of_a_type_that_is_skipped_are_counted() {
    let form = WindowForm::Tumbling {
        size: Span(10),
        offset: 0,
    };
    let mut windows = Windows::new(sums(form, 0));
    let mut out = WindowOutput::default();
    windows.push(3, &key_of(1, 0), &[Value::text("x")], 1, &mut out);
    windows.push(3, &key_of(2, 1), &[Value::Missing], 2, &mut out);
    assert_eq!(out.excess, [(3, Excess::TypeSkipped)]);
    windows.advance(3, 10, &mut out);
    assert_eq!(
        (out.rows[0].rows, &out.rows[0].values[0]),
        (2, &Value::Missing)
    );
}

#[test]
fn a_key_that_is_forgotten_leaves_nothing() {
    let form = WindowForm::Hopping {
        size: Span(10),
        every: Span(1),
        offset: 0,
    };
    let rows = [(7, 1.0, 7), (12, 2.0, 12)];
    let (_, mut windows) = run(sums(form, 0), WindowLimits::default(), &rows);
    windows.forget(0);
    assert_eq!(windows.deadline(0), i64::MAX);
    let mut out = WindowOutput::default();
    windows.advance(0, 1000, &mut out);
    windows.push(0, &key_of(1000, 9), &[Value::Number(1.0)], 1000, &mut out);
    assert!(out.is_empty());
}
