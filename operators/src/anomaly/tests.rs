//! Laws of anomalies and forecasts, each against its definition over the whole list of rows; examples worked by hand.

use proptest::prelude::*;
use tidegate_proto::{Value, Zone};

use super::Seasons;
use crate::along::{Against, Along, Function};

/// Numbers at times, through a function that is thrown away and restored after each row.
fn run(function: Function, limit: f64, rows: &[(i64, f64)]) -> Vec<Option<f64>> {
    let mut along = Along::new(function, Some([limit, 0.0]));
    let values = rows.iter().map(|(time, number)| {
        along.insert(2, *time, &Value::Number(*number));
        along = postcard::from_bytes(&postcard::to_allocvec(&along).unwrap()).unwrap();
        along.value(2, *time).as_number()
    });
    values.collect()
}

fn every_second(numbers: &[f64]) -> Vec<(i64, f64)> {
    (0..)
        .map(|at| at * 1000)
        .zip(numbers.iter().copied())
        .collect()
}

fn close(left: Option<f64>, right: Option<f64>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => (left - right).abs() <= 1e-9 * (1.0 + right.abs()),
        (left, right) => left == right,
    }
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len() as f64
}

fn deviation(numbers: &[f64]) -> f64 {
    let mean = mean(numbers);
    let squares: f64 = numbers.iter().map(|x| (x - mean) * (x - mean)).sum();
    (squares / (numbers.len() as f64 - 1.0)).sqrt()
}

fn middle(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    let half = numbers.len() / 2;
    if numbers.len() % 2 == 1 {
        numbers[half]
    } else {
        f64::midpoint(numbers[half - 1], numbers[half])
    }
}

fn baseline(against: Against, span: i64) -> Function {
    Function::Baseline { span, against }
}

fn rows() -> impl Strategy<Value = Vec<(i64, f64)>> {
    prop::collection::vec((0_i64..4, -8_i16..9), 1..60).prop_map(|rows| {
        let mut time = 0;
        rows.iter()
            .map(|(step, x)| {
                time += step * 500;
                (time, f64::from(*x) / 2.0)
            })
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn distances_follow_their_definition(rows in rows(), span in 1_i64..20) {
        let span = span * 500;
        let all = run(baseline(Against::All, span), 0.0, &rows);
        let before = run(baseline(Against::Before, span), 0.0, &rows);
        let robust = run(baseline(Against::Median, span), 0.0, &rows);
        for (at, (now, x)) in rows.iter().enumerate() {
            let inside = |row: &&(i64, f64)| row.0 > now - span;
            let known: Vec<f64> = rows[..=at].iter().filter(inside).map(|row| row.1).collect();
            let older: Vec<f64> = rows[..at].iter().filter(inside).filter(|row| row.0 < *now).map(|row| row.1).collect();
            let expected = (known.len() > 1).then(|| {
                let deviation = deviation(&known);
                if deviation == 0.0 { 0.0 } else { (x - mean(&known)) / deviation }
            });
            prop_assert!(close(all[at], expected), "zscore {:?} {:?}", all[at], expected);
            let expected = Some(&older).filter(|older| older.len() > 1 && deviation(older) != 0.0)
                .map(|older| (x - mean(older)) / deviation(older));
            prop_assert!(close(before[at], expected), "before {:?} {:?}", before[at], expected);
            let expected = (known.len() > 2).then(|| {
                let median = middle(known.clone());
                let apart = middle(known.iter().map(|other| (other - median).abs()).collect());
                if apart == 0.0 { (*x == median).then_some(0.0) } else { Some(0.674_489_750_196_081_7 * (x - median) / apart) }
            }).flatten();
            prop_assert_eq!(robust[at], expected, "robust");
        }
    }

    #[test]
    fn lines_follow_their_definition(rows in rows(), span in 1_i64..20, ahead in 1_i64..9, limit in -6_i8..7) {
        let (span, ahead, limit) = (span * 500, ahead * 1000, f64::from(limit));
        let forecast = run(Function::Trend { span, ahead: Some(ahead) }, 0.0, &rows);
        let time_to = run(Function::Trend { span, ahead: None }, limit, &rows);
        for (at, (now, _)) in rows.iter().enumerate() {
            let known: Vec<(f64, f64)> = rows[..=at].iter().filter(|row| row.0 > now - span)
                .map(|row| (row.0 as f64 / 1000.0, row.1)).collect();
            let times: Vec<f64> = known.iter().map(|row| row.0).collect();
            let numbers: Vec<f64> = known.iter().map(|row| row.1).collect();
            let (middle, level) = (mean(&times), mean(&numbers));
            let spread: f64 = times.iter().map(|t| (t - middle) * (t - middle)).sum();
            if known.len() < 3 || spread == 0.0 {
                prop_assert_eq!((forecast[at], time_to[at]), (None, None));
                continue;
            }
            let slope = known.iter().map(|(t, x)| (t - middle) * (x - level)).sum::<f64>() / spread;
            let read = |t: f64| level + slope * (t - middle);
            let now = *now as f64 / 1000.0;
            prop_assert!(close(forecast[at], Some(read(now + ahead as f64 / 1000.0))));
            if slope.abs() > 1e-9 {
                let seconds = (limit - read(now)) / slope;
                let first = times[0];
                // A limit that the line met within its rows is reached; one it has left behind before is not ahead.
                if (seconds + (now - first)).abs() > 1e-9 {
                    let expected = (seconds >= first - now).then_some(seconds.max(0.0));
                    prop_assert!(close(time_to[at], expected), "{:?} {:?}", time_to[at], expected);
                }
            }
        }
    }

    #[test]
    fn weighted_means_follow_their_definition(rows in rows(), span in 1_i64..9) {
        let by_time = run(Function::EwmaSpan { span: span * 1000 }, 0.0, &rows);
        let by_row = run(Function::EwmaShare { share: 0.25 }, 0.0, &rows);
        let (mut slow, mut quick) = (rows[0].1, rows[0].1);
        for (at, (now, x)) in rows.iter().enumerate().skip(1) {
            let apart = (now - rows[at - 1].0) as f64 / (span * 1000) as f64;
            slow += (1.0 - libm::exp(-apart)) * (x - slow);
            quick += 0.25 * (x - quick);
            prop_assert!(close(by_time[at], Some(slow)) && close(by_row[at], Some(quick)));
        }
    }

    #[test]
    fn charts_follow_their_definition(rows in rows(), warmup in 2_usize..8) {
        let learn = warmup as u32;
        let shift = run(Function::EwmaShift { share: 0.2, limit: 1.5, warmup: learn }, 0.0, &rows);
        let cusum = run(Function::Cusum { slack: 0.5, limit: 2.0, warmup: learn }, 0.0, &rows);
        let x: Vec<f64> = rows.iter().map(|row| row.1).collect();
        let (mut z, mut k) = (0.0, 0);
        for (at, value) in shift.iter().enumerate() {
            if at < warmup || deviation(&x[..warmup]) == 0.0 {
                prop_assert_eq!(*value, None);
                continue;
            }
            k += 1;
            z += 0.2 * ((x[at] - mean(&x[..warmup])) / deviation(&x[..warmup]) - z);
            let limit = 1.5 * (0.2 / 1.8 * (1.0 - 0.8_f64.powi(2 * k))).sqrt();
            if (f64::abs(z) - limit).abs() > 1e-9 {
                prop_assert_eq!(*value, Some(if z > limit { 1.0 } else if z < -limit { -1.0 } else { 0.0 }));
            }
        }
        let (mut from, mut high, mut low) = (0, 0.0, 0.0);
        for (at, value) in cusum.iter().enumerate() {
            if at < from + warmup || deviation(&x[from..from + warmup]) == 0.0 {
                prop_assert_eq!(*value, None);
                continue;
            }
            let learnt = &x[from..from + warmup];
            let distance = (x[at] - mean(learnt)) / deviation(learnt);
            high = f64::max(0.0, high + distance - 0.5);
            low = f64::max(0.0, low - distance - 0.5);
            prop_assume!(f64::abs(high - 2.0) > 1e-9 && f64::abs(low - 2.0) > 1e-9);
            let expected = if high > 2.0 { 1.0 } else if low > 2.0 { -1.0 } else { 0.0 };
            prop_assert_eq!(*value, Some(expected), "row {}", at);
            if expected != 0.0 {
                (from, high, low) = (at + 1, 0.0, 0.0);
            }
        }
    }
}

#[test]
fn an_hour_of_the_week_knows_what_is_usual_before_the_row() {
    const HOUR: i64 = 3_600_000;
    let zone = Zone::utc();
    let mean = Function::Season {
        zone: zone.clone(),
        as_distance: false,
    };
    let distance = Function::Season {
        zone,
        as_distance: true,
    };
    // Four rows of one hour of the week, and one of the next hour.
    let week = 168 * HOUR;
    let rows = [
        (0, 2.0),
        (week, 4.0),
        (2 * week, 6.0),
        (2 * week + HOUR, 50.0),
        (3 * week, 10.0),
    ];
    assert_eq!(run(mean, 0.0, &rows), [None, None, None, None, Some(4.0)]);
    // μ 2, 3, 4; v 0, then ½·(0 + ½·4) = 1, then ⅔·(1 + ⅓·9) = 8/3.
    let z = run(distance, 0.0, &rows);
    assert!(close(z[4], Some(6.0 / (8.0_f64 / 3.0).sqrt())), "{z:?}");
    assert_eq!(z[..4], [None; 4]);
}

#[test]
fn a_season_with_a_trend_is_forecast() {
    let plan = |side| {
        Function::HoltWinters(Seasons {
            steps: 2,
            ahead: 1,
            alpha: 0.3,
            beta: 0.05,
            gamma: 0.2,
            side,
        })
    };
    // Seasons 10 20 and 12 22: means 15 and 17, b = (17 − 15)/2 = 1, s = −5, 5, l = 17.
    let rows = every_second(&[10.0, 20.0, 12.0, 22.0, 15.0]);
    let value = run(plan(0), 0.0, &rows);
    assert_eq!(value[..3], [None; 3]);
    assert_eq!(value[3], Some(17.0 + 1.0 - 5.0));
    // e = 15 − 13 = 2; l = 0.3·20 + 0.7·18 = 18.6; b = 0.05·1.6 + 0.95·1 = 1.03; forecast 18.6 + 1.03 + 5.
    assert!(close(value[4], Some(24.63)), "{value:?}");
    let (low, high) = (run(plan(-1), 0.0, &rows), run(plan(1), 0.0, &rows));
    assert_eq!((low[3], high[3]), (None, None));
    assert!(
        close(low[4], Some(24.63 - 3.92)) && close(high[4], Some(24.63 + 3.92)),
        "{low:?} {high:?}"
    );
}

#[test]
fn a_level_that_rises_meets_its_limit() {
    let span = 60_000;
    let rows = every_second(&[10.0, 20.0, 30.0]);
    assert_eq!(
        run(
            Function::Trend {
                span,
                ahead: Some(2000)
            },
            0.0,
            &rows
        )[2],
        Some(50.0)
    );
    let time_to =
        |limit, rows: &[(i64, f64)]| run(Function::Trend { span, ahead: None }, limit, rows)[2];
    assert_eq!(time_to(100.0, &rows), Some(7.0));
    assert_eq!(time_to(30.0, &rows), Some(0.0));
    assert_eq!(time_to(25.0, &rows), Some(0.0));
    assert_eq!(time_to(5.0, &rows), None);
    assert_eq!(time_to(100.0, &every_second(&[30.0, 20.0, 10.0])), None);
    assert_eq!(time_to(100.0, &every_second(&[5.0, 5.0, 5.0])), None);
}
