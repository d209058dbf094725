//! [`Awaiting`]: what a rule and its `where` know of each resource, and the rows that wait for their time. A waiting row holds the
//! values of the rule, then those of its `where`.

use smallvec::smallvec;
use tidegate_proto::{EventRef, Value};

use super::View;
use super::sight::{Beyond, Sight};
use crate::order::{Role, Waiting, WaitingRow};

/// What a unit knows, and what waits to be known.
#[derive(Debug)]
pub(crate) struct Awaiting<'a> {
    pub(crate) sight: &'a mut Sight,
    /// Of its `where`.
    pub(crate) filter: Option<&'a mut Sight>,
    pub(crate) waiting: &'a mut Waiting,
}

impl Awaiting<'_> {
    /// With the first row that is read of a resource its task takes what the twin knew before; what the task has not come to
    /// yet waits for it like rows.
    pub(crate) fn seed(&mut self, resource: u32, limit: i64, view: &dyn View) {
        let own = self.sight.seed(resource, limit, view);
        let filter = self.filter.as_mut();
        let filter = filter.map(|filter| filter.seed(resource, limit, view));
        let filter = filter.unwrap_or_default();
        if own.is_empty() && filter.is_empty() {
            return;
        }
        let metrics = self.sight.metrics.len();
        let asked = self.filter.as_ref();
        let all = metrics + asked.map_or(0, |filter| filter.metrics.len());
        let filter = filter.into_iter().map(|beyond| Beyond {
            place: beyond.place + metrics,
            ..beyond
        });
        for beyond in own.into_iter().chain(filter) {
            let mut values = smallvec![Value::Missing; all];
            if let Some(value) = values.get_mut(beyond.place) {
                *value = beyond.value;
            }
            let row = WaitingRow {
                time: beyond.time,
                sequence: 0,
                cause: EventRef::default(),
                values,
                role: Role::Values,
            };
            self.waiting.insert(resource, row);
        }
    }

    /// Takes values that come without a row to be judged.
    pub(crate) fn bring(&mut self, resource: u32, time: i64, values: &[Value]) {
        let metrics = self.sight.metrics.len().min(values.len());
        let (own, of_filter) = values.split_at(metrics);
        self.sight.bring(resource, time, own);
        if let Some(filter) = &mut self.filter {
            filter.bring(resource, time, of_filter);
        }
    }
}
