//! A row comes to sessions that are not final: they are joined, and parted again where they get too long.

use super::super::{EmitMode, WindowOutput, WindowSpec};
use super::{KeySessions, Row, Session, Shape, due};

impl KeySessions {
    /// Takes a row that touches the sessions `from..to`, or none of them; `row` comes with its key.
    pub(super) fn take(
        &mut self,
        spec: &WindowSpec,
        shape: Shape,
        (from, mut to): (usize, usize),
        (key, row): (u32, &Row),
        out: &mut WindowOutput,
    ) {
        if shape.max.is_some() {
            // Where one session is parted decides where the next begins.
            while let (Some(last), Some(next)) = (
                to.checked_sub(1).and_then(|at| self.list.get(at)),
                self.list.get(to),
            ) {
                if to <= from || !shape.near(last.last, next.first) {
                    break;
                }
                to += 1;
            }
        }
        let mut old: Vec<Session> = self.list.drain(from..to).collect();
        let mut fresh = match shape.max {
            Some(max) => recut(spec, shape, max, (&old, row)),
            None => vec![joined(spec, &old, row)],
        };
        for session in &mut fresh {
            let same = old.iter_mut().find(|known| known.first == session.first);
            session.told = same.and_then(|known| known.told.take());
        }
        for session in &old {
            // What still has its telling has lost its start.
            if let Some(told) = &session.told {
                let span = (session.first, told.end);
                let gone = (told.revision + 1, Vec::new());
                out.back.push(session.cell.row(key, span, gone));
            }
        }
        for session in &mut fresh {
            let end = shape.end(session.first, session.last);
            session.closed = due(spec, shape, end) <= self.watermark;
            let tells = match spec.mode.emit {
                EmitMode::OnChange => true,
                EmitMode::Final => false,
                _ => session.closed,
            };
            if tells {
                session.tell(spec, shape, (key, &self.past), out);
            }
        }
        self.list.splice(from..from, fresh);
    }
}

/// All sessions and a row as one.
fn joined(spec: &WindowSpec, old: &[Session], row: &Row) -> Session {
    let kinds = &spec.aggregates;
    let mut all = Session::new(kinds, row.0.time);
    for session in old {
        all.first = all.first.min(session.first);
        all.last = all.last.max(session.last);
        all.cell.merge(&session.cell);
    }
    all.add(kinds, &row.0, &row.1);
    all
}

/// The rows of all sessions and a row, parted in row order.
fn recut(
    spec: &WindowSpec,
    shape: Shape,
    max: i64,
    (old, row): (&[Session], &Row),
) -> Vec<Session> {
    let mut rows: Vec<Row> = old.iter().flat_map(|s| s.rows.iter().cloned()).collect();
    let place = rows.partition_point(|known| known.0.order() < row.0.order());
    rows.insert(place, row.clone());
    let mut out: Vec<Session> = Vec::new();
    for row in rows {
        let time = row.0.time;
        let goes_on = |session: &&mut Session| {
            shape.near(session.last, time) && time.saturating_sub(session.first) < max
        };
        let session = match out.last_mut().filter(goes_on) {
            Some(session) => session,
            None => {
                out.push(Session::new(&spec.aggregates, time));
                let Some(session) = out.last_mut() else {
                    continue;
                };
                session
            }
        };
        session.add(&spec.aggregates, &row.0, &row.1);
        session.rows.push(row);
    }
    out
}
