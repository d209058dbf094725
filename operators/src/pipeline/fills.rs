//! [`Fills`]: columns of windows without rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_proto::{Fill, Value};

use crate::window::WindowRow;

/// Per key the last window with rows, and empty ones that wait for the next.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Fills {
    keys: BTreeMap<u32, Last>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Last {
    end: i64,
    columns: Vec<Value>,
    held: Vec<WindowRow>,
}

/// A row with its columns.
type Filled = (WindowRow, Vec<Value>);

impl Fills {
    /// What is to be told when a row comes: itself, with columns if it has no rows, after those that waited for it.
    pub(crate) fn take(&mut self, fill: Fill, row: &WindowRow, columns: Vec<Value>) -> Vec<Filled> {
        let last = self.keys.entry(row.key).or_default();
        if row.rows == 0 {
            return match fill {
                Fill::Linear if row.revision == 1 => {
                    last.held.push(row.clone());
                    Vec::new()
                }
                Fill::Zero => vec![(row.clone(), zeros(&last.columns, columns))],
                Fill::Previous | Fill::Linear => {
                    let columns = previous(&last.columns, &columns);
                    vec![(row.clone(), columns)]
                }
                Fill::Null | Fill::None => vec![(row.clone(), columns)],
            };
        }
        // A late row fills a window that waits: it does not wait any more.
        last.held.retain(|held| held.end != row.end);
        let mut out = Vec::new();
        if row.end >= last.end {
            let (from, to) = ((last.end, &last.columns), (row.end, &columns));
            let held = last.held.drain(..);
            out.extend(held.map(|held| {
                let between = between(from, to, held.end);
                (held, between)
            }));
            last.end = row.end;
            last.columns.clone_from(&columns);
        }
        out.push((row.clone(), columns));
        out
    }

    /// Lets a key go.
    pub(crate) fn forget(&mut self, key: u32) {
        self.keys.remove(&key);
    }
}

/// Every number 0, counts too, everything else `()`; what is a number the last window with rows says.
fn zeros(last: &[Value], empty: Vec<Value>) -> Vec<Value> {
    let kinds = last.iter().map(Some).chain(std::iter::repeat(None));
    let columns = empty.into_iter().zip(kinds);
    columns
        .map(|(empty, last)| match (empty, last) {
            (Value::Int(_), _) | (_, Some(Value::Int(_))) => Value::Int(0),
            (Value::Number(_), _) | (_, Some(Value::Number(_))) => Value::Number(0.0),
            _ => Value::Missing,
        })
        .collect()
}

fn previous(last: &[Value], empty: &[Value]) -> Vec<Value> {
    if last.is_empty() {
        vec![Value::Missing; empty.len()]
    } else {
        last.to_vec()
    }
}

/// Numbers between those of two windows, by end time; everything else is that of the first.
fn between(from: (i64, &Vec<Value>), to: (i64, &Vec<Value>), at: i64) -> Vec<Value> {
    let span = to.0.saturating_sub(from.0) as f64;
    let share = at.saturating_sub(from.0) as f64 / span;
    let columns = from.1.iter().zip(to.1);
    columns
        .map(|(left, right)| match (left, right) {
            (Value::Int(_) | Value::Number(_), Value::Int(_) | Value::Number(_)) => {
                match (left.as_number(), right.as_number()) {
                    (Some(left), Some(right)) => Value::number(left + (right - left) * share),
                    _ => Value::Missing,
                }
            }
            _ => left.clone(),
        })
        .collect()
}
