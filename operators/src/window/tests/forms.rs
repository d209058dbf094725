//! Sessions, counts, states and windows fixed in time against what the specification says of all rows in order.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_proto::{Calendar, CalendarUnit, Span, StateWindow, Value, WindowForm};

use super::super::{EmitMode, RowKey, WindowMode, WindowOutput, WindowSpec, Windows};
use super::{key_of, restored};
use crate::aggregate::tests::naive;
use crate::aggregate::tests::wide::weighed;
use crate::aggregate::{AggregateKind, RowOrder};

const KINDS: [AggregateKind; 4] = [
    AggregateKind::Sum,
    AggregateKind::Last,
    AggregateKind::Latest,
    AggregateKind::Integral,
];
/// Nothing happens after this.
const HORIZON: i64 = 400;

type Row = (RowKey, Vec<Value>);
/// By start and, where windows differ by it, end: end and values.
type Standing = BTreeMap<(i64, i64), (i64, Vec<Value>)>;

fn rows() -> impl Strategy<Value = Vec<(i64, i64, i8)>> {
    prop::collection::vec((0_i64..9, 0_i64..6, -8_i8..9), 1..30)
}

/// Rows in the order in which they arrive: at most 6 ms after newer ones. Log order is part of a row here.
fn arrive(steps: &[(i64, i64, i8)]) -> Vec<Row> {
    let mut time = 0;
    let mut rows = Vec::new();
    for (sequence, (step, jitter, number)) in steps.iter().enumerate() {
        time += step;
        let value = Value::Number(f64::from(*number));
        // Even numbers say yes to `start`, multiples of three to `end`, five knows nothing.
        let says = |yes: bool| match *number {
            5 => Value::Missing,
            _ => Value::Bool(yes),
        };
        let mut values = vec![says(number % 2 == 0), says(number % 3 == 0)];
        values.extend(KINDS.map(|_| value.clone()));
        rows.push((time + jitter, (key_of(time, sequence), values)));
    }
    rows.sort_by_key(|row| row.0);
    rows.into_iter().map(|row| row.1).collect()
}

fn spec(form: WindowForm, lateness: i64, emit: EmitMode) -> WindowSpec {
    let mut aggregates = vec![AggregateKind::Last, AggregateKind::Last];
    aggregates.extend(KINDS);
    WindowSpec {
        form,
        lateness: Span(lateness),
        aggregates,
        arguments: Vec::new(),
        mode: WindowMode {
            emit,
            start: Some(0),
            end: Some(1),
            ..WindowMode::default()
        },
    }
}

/// What stands at the end, and how many rows were late. `disorder` is that of the watermark.
fn run(spec: &WindowSpec, rows: &[Row], disorder: i64, cut: usize) -> (Standing, usize) {
    let mut windows = Windows::new(spec.clone());
    let mut standing = Standing::new();
    let (mut latest, mut late) = (i64::MIN, 0);
    let by_end = !matches!(spec.form, WindowForm::Session { .. } | WindowForm::State(_));
    let mut keep = |out: &WindowOutput| {
        let place = |start: i64, end: i64| (start, if by_end { end } else { 0 });
        for row in &out.back {
            assert!(standing.remove(&place(row.start, row.end)).is_some());
        }
        for row in &out.rows {
            let told = (row.end, row.values[2..].to_vec());
            let before = standing.insert(place(row.start, row.end), told);
            // Of one instant there can be several state windows.
            if !matches!(spec.form, WindowForm::State(_)) {
                assert_eq!(before.is_some(), row.revision > 1, "{row:?}");
            }
        }
    };
    for (at, (row, values)) in rows.iter().enumerate() {
        latest = latest.max(row.time);
        let watermark = latest - disorder;
        let mut out = WindowOutput::default();
        if at % 3 == 0 {
            windows.advance(0, watermark, &mut out);
        }
        windows.push(0, row, values, watermark, &mut out);
        assert!(windows.deadline(0) > watermark);
        late += out.late.len();
        keep(&out);
        if at == cut {
            windows = restored(&windows);
        }
    }
    let mut out = WindowOutput::default();
    windows.advance(0, HORIZON, &mut out);
    keep(&out);
    (standing, late)
}

/// Values of a window: printed start and end, and up to when rows count for a bare metric.
fn values(all: &[Row], inside: &[Row], span: (i64, i64), until: i64) -> Vec<Value> {
    let points = |rows: &[Row]| -> Vec<(RowOrder, Value)> {
        let points = rows.iter().map(|row| (row.0.order(), row.1[2].clone()));
        points.collect()
    };
    let first = inside.first().map_or(span.0, |row| row.0.time.min(span.0));
    let before: Vec<Row> = all
        .iter()
        .filter(|row| row.0.time < first)
        .cloned()
        .collect();
    let known: Vec<Row> = all
        .iter()
        .filter(|row| row.0.time < until)
        .cloned()
        .collect();
    vec![
        naive(AggregateKind::Sum, &points(inside)),
        naive(AggregateKind::Last, &points(inside)),
        naive(AggregateKind::Latest, &points(&known)),
        weighed(
            AggregateKind::Integral,
            span,
            &points(inside),
            &points(&before),
        ),
    ]
}

fn sorted(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| row.0.order());
    rows
}

fn sessions(rows: &[Row], gap: i64, max: Option<i64>, join: bool) -> Standing {
    let rows = sorted(rows);
    let mut groups: Vec<Vec<Row>> = Vec::new();
    for row in &rows {
        let goes_on = groups.last().is_some_and(|group: &Vec<Row>| {
            let (first, last) = (group[0].0.time, group[group.len() - 1].0.time);
            let apart = row.0.time - last;
            (apart < gap || (join && apart == gap))
                && max.is_none_or(|max| row.0.time - first < max)
        });
        if goes_on {
            groups.last_mut().unwrap().push(row.clone());
        } else {
            groups.push(vec![row.clone()]);
        }
    }
    let mut out = Standing::new();
    for group in groups {
        let (start, last) = (group[0].0.time, group[group.len() - 1].0.time);
        let end = max.map_or(last + gap, |max| (last + gap).min(start + max));
        let told = values(&rows, &group, (start, end), end);
        out.insert((start, 0), (end, told));
    }
    out
}

fn counts(rows: &[Row], size: usize, every: usize, partial: bool) -> Standing {
    let rows = sorted(rows);
    let mut out = Standing::new();
    for taken in 1..=rows.len() {
        if taken % every != size % every || (taken < size && !partial) {
            continue;
        }
        let inside = &rows[taken.saturating_sub(size)..taken];
        let (start, end) = (inside[0].0.time, inside[inside.len() - 1].0.time);
        let points = |rows: &[Row]| -> Vec<(RowOrder, Value)> {
            rows.iter()
                .map(|row| (row.0.order(), row.1[2].clone()))
                .collect()
        };
        let before = &rows[..taken.saturating_sub(size)];
        let told = vec![
            naive(AggregateKind::Sum, &points(inside)),
            naive(AggregateKind::Last, &points(inside)),
            naive(AggregateKind::Last, &points(inside)),
            weighed(
                AggregateKind::Integral,
                (start, end),
                &points(inside),
                &points(before),
            ),
        ];
        out.insert((start, end), (end, told));
    }
    out
}

/// Windows by a function from time to start and end, all ends of a time.
fn fixed(rows: &[Row], of: impl Fn(i64) -> Vec<(i64, i64)>) -> Standing {
    let rows = sorted(rows);
    let mut out = Standing::new();
    for (start, end) in rows.iter().flat_map(|row| of(row.0.time)) {
        let inside: Vec<Row> = rows
            .iter()
            .filter(|row| start <= row.0.time && row.0.time < end)
            .cloned()
            .collect();
        let told = values_of_fixed(&rows, &inside, (start, end));
        out.insert((start, end), (end, told));
    }
    out
}

fn values_of_fixed(all: &[Row], inside: &[Row], span: (i64, i64)) -> Vec<Value> {
    let mut told = values(all, inside, span, span.1);
    let points = |rows: Vec<&Row>| -> Vec<(RowOrder, Value)> {
        rows.iter()
            .map(|row| (row.0.order(), row.1[2].clone()))
            .collect()
    };
    let before = points(all.iter().filter(|row| row.0.time < span.0).collect());
    told[3] = weighed(
        AggregateKind::Integral,
        span,
        &points(inside.iter().collect()),
        &before,
    );
    told
}

/// Whether a row ends a state: `sure` says whether there is one, and whether it has held for long enough.
fn ends(form: &StateWindow, sure: Option<bool>, says: (Option<bool>, Option<bool>)) -> bool {
    match sure {
        Some(true) if form.ends => says.1 == Some(true),
        Some(true) => says.0 == Some(false),
        Some(false) => says.0 == Some(false) || (form.ends && says.1 == Some(true)),
        None => false,
    }
}

/// A state, millisecond by millisecond.
fn states(rows: &[Row], form: &StateWindow) -> Standing {
    let rows = sorted(rows);
    let mut out = Standing::new();
    let mut open: Option<(i64, bool, Vec<Row>)> = None;
    let mut last: Option<bool> = None;
    let truth = |value: &Value| match value {
        Value::Bool(truth) => Some(*truth),
        _ => None,
    };
    let mut close = |open: &mut Option<(i64, bool, Vec<Row>)>, end: i64, until: i64| {
        if let Some((start, true, inside)) = open.take()
            && end - start >= form.min.0
        {
            let mut told = values_of_fixed(&rows, &inside, (start, until));
            if until > end {
                // Rows of that instant that come later are not known yet.
                told[2] = told[1].clone();
            }
            out.insert((start, 0), (end, told));
        }
    };
    for now in 0..=HORIZON {
        if let Some(window) = &mut open
            && now >= window.0 + form.true_for.0
        {
            window.1 = true;
        }
        let sure = open.as_ref().filter(|window| window.1);
        if let (Some(window), Some(max)) = (sure, form.max)
            && now == window.0 + max.0
        {
            close(&mut open, now, now);
            if last == Some(true) {
                open = Some((now, form.true_for.0 == 0, Vec::new()));
            }
        }
        for row in rows.iter().filter(|row| row.0.time == now) {
            let (start, end) = (truth(&row.1[0]), truth(&row.1[1]));
            last = start.or(last);
            let sure = open.as_ref().map(|window| window.1);
            let ends = ends(form, sure, (start, end));
            if ends && sure == Some(true) && form.include_end {
                open.as_mut().unwrap().2.push(row.clone());
                close(&mut open, now, now + 1);
                continue;
            }
            if ends {
                close(&mut open, now, now);
            }
            if open.is_none() && start == Some(true) {
                open = Some((now, form.true_for.0 == 0, Vec::new()));
            }
            if let Some(window) = &mut open {
                window.2.push(row.clone());
            }
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sessions_are_runs_of_rows(
        steps in rows(), gap in 1_i64..8, max in prop::option::of(1_i64..15), join in any::<bool>(), cut in 0_usize..30,
    ) {
        let rows = arrive(&steps);
        let form = WindowForm::Session { gap: Span(gap), max: max.map(Span), join };
        let expected = sessions(&rows, gap, max, join);
        let (told, late) = run(&spec(form, 0, EmitMode::OnClose), &rows, 6, cut);
        prop_assert_eq!((told, late), (expected.clone(), 0));
        for emit in [EmitMode::OnClose, EmitMode::OnChange, EmitMode::Final] {
            // Watermarks without disorder: the same rows are corrections.
            let (told, late) = run(&spec(form, 6, emit), &rows, 0, cut);
            prop_assert_eq!((told, late), (expected.clone(), 0), "{:?}", emit);
        }
    }

    #[test]
    fn counts_are_rows_in_order(
        steps in rows(), size in 1_u32..6, every in 1_u32..7, partial in any::<bool>(), cut in 0_usize..30,
    ) {
        // Windows of rows of one time have the same name.
        let steps: Vec<_> = steps.into_iter().map(|(step, jitter, n)| (step + 1, jitter, n)).collect();
        let rows = arrive(&steps);
        let form = WindowForm::Count { size, every, partial, timeout: None };
        let (told, late) = run(&spec(form, 0, EmitMode::OnClose), &rows, 6, cut);
        prop_assert_eq!((told, late), (counts(&rows, size as usize, every as usize, partial), 0));
    }

    #[test]
    fn states_last_while_they_are_told_to(
        steps in rows(), lengths in (0_i64..5, 0_i64..5, prop::option::of(5_i64..20)), ends in any::<bool>(),
        include_end in any::<bool>(), cut in 0_usize..30,
    ) {
        let rows = arrive(&steps);
        let state = StateWindow {
            true_for: Span(lengths.0),
            min: Span(lengths.1),
            max: lengths.2.map(Span),
            include_end,
            ends,
            of: false,
        };
        let mut spec = spec(WindowForm::State(state), 0, EmitMode::OnClose);
        spec.mode.end = ends.then_some(1);
        let (told, late) = run(&spec, &rows, 6, cut);
        prop_assert_eq!((told, late), (states(&rows, &state), 0));
    }

    #[test]
    fn windows_fixed_in_time_hold_their_rows(
        steps in rows(), (step, times) in (1_i64..5, 1_i64..5), offset in -9_i64..9, cut in 0_usize..30,
    ) {
        let rows = arrive(&steps);
        let size = step * times;
        let cumulate = WindowForm::Cumulate { size: Span(size), step: Span(step), offset };
        let k = |time: i64| time - (time - offset).rem_euclid(size);
        let reached = fixed(&rows, |time| {
            let ends = (1..=times).map(|j| (k(time), k(time) + j * step));
            ends.filter(|window| window.1 > time).collect()
        });
        let hop = WindowForm::Hopping { size: Span(size), every: Span(step), offset };
        let hops = fixed(&rows, |time| {
            let starts = (time - size + 1..=time).filter(|start| (start - offset).rem_euclid(step) == 0);
            starts.map(|start| (start, start + size)).collect()
        });
        for (form, expected) in [(cumulate, reached), (hop, hops)] {
            let (told, late) = run(&spec(form, 0, EmitMode::OnClose), &rows, 6, cut);
            prop_assert_eq!((told, late), (expected.clone(), 0));
            for emit in [EmitMode::OnClose, EmitMode::Final, EmitMode::Every(step)] {
                let (told, late) = run(&spec(form, 6, emit), &rows, 0, cut);
                prop_assert_eq!((told, late), (expected.clone(), 0), "{:?}", emit);
            }
        }
    }
}

#[test]
fn months_of_a_calendar_close_one_after_the_other() {
    let calendar = Calendar {
        unit: CalendarUnit::Month,
        every: 1,
        week_start: 0,
        offset: 0,
    };
    let mut spec = spec(WindowForm::Calendar(calendar), 0, EmitMode::OnClose);
    spec.mode.fill_limit = 10;
    let mut windows = Windows::new(spec);
    let mut out = WindowOutput::default();
    let day = 86_400_000;
    let values = vec![Value::Number(1.0); 6];
    for (sequence, at) in [0, 30 * day, 31 * day, 130 * day].into_iter().enumerate() {
        windows.push(0, &key_of(at, sequence), &values, at, &mut out);
    }
    let ends: Vec<(i64, u64)> = out
        .rows
        .iter()
        .map(|row| (row.end / day, row.rows))
        .collect();
    // January has 31 days, February 28: March and April are empty.
    assert_eq!(ends, [(31, 2), (59, 1), (90, 0), (120, 0)]);
    assert_eq!(windows.deadline(0), 151 * day);
}

#[test]
fn the_text_of_the_meanings_holds() {
    let told = |form: WindowForm, times: &[i64]| {
        let rows: Vec<Row> = times
            .iter()
            .enumerate()
            .map(|(at, time)| (key_of(*time, at), vec![Value::Number(1.0); 6]))
            .collect();
        let (standing, _) = run(&spec(form, 0, EmitMode::OnClose), &rows, 0, 99);
        let windows = standing.into_iter();
        windows
            .map(|((start, _), (end, _))| (start, end))
            .collect::<Vec<_>>()
    };
    let session = |join| WindowForm::Session {
        gap: Span(5),
        max: None,
        join,
    };
    let times = [0, 3, 8, 20];
    assert_eq!(told(session(false), &times), [(0, 8), (8, 13), (20, 25)]);
    assert_eq!(told(session(true), &times), [(0, 13), (20, 25)]);
    let max = WindowForm::Session {
        gap: Span(5),
        max: Some(Span(6)),
        join: false,
    };
    assert_eq!(told(max, &[0, 3, 6, 9]), [(0, 6), (6, 12)]);
}

#[test]
fn a_count_is_closed_by_time_when_it_does_not_fill() {
    let form = WindowForm::Count {
        size: 3,
        every: 3,
        partial: false,
        timeout: Some(Span(10)),
    };
    let mut windows = Windows::new(spec(form, 0, EmitMode::OnClose));
    let mut out = WindowOutput::default();
    let values = vec![Value::Number(1.0); 6];
    for (sequence, at) in [0, 1, 2, 5, 6, 15, 16].into_iter().enumerate() {
        windows.push(0, &key_of(at, sequence), &values, at, &mut out);
    }
    let rows = out.rows.iter();
    let told: Vec<(i64, i64, u64)> = rows.map(|row| (row.start, row.end, row.rows)).collect();
    assert_eq!(told, [(0, 2, 3), (5, 15, 2)]);
    assert_eq!(windows.deadline(0), 25);
}
