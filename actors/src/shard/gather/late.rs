//! Rows that rules at a home missed: to the late lane they go as they were told, since nobody here has the records.

use tidegate_proto::batch::EventBatch;
use tidegate_proto::json::write_text;
use tidegate_proto::outcome::{Outcome, OutcomeKind};
use tidegate_proto::record::Record;

use crate::epoch::IntakeRecord;
use crate::shard::Shard;

impl Shard {
    /// Rows that rules missed go to the late lane as they were told.
    pub(in crate::shard) fn late_rows(&mut self, batch: &EventBatch, record: &IntakeRecord) {
        for outcome in std::mem::take(&mut self.work.late) {
            if outcome.kind != OutcomeKind::Late {
                continue;
            }
            let id = self.state.registry.id(outcome.resource);
            let text = self.event_text(&id, &outcome, batch);
            let told = IntakeRecord {
                source: record.source,
                offset: record.offset,
                record: Record::new(id.as_bytes().to_vec(), text.into_bytes()),
            };
            self.late_record(&outcome, &told);
        }
    }

    /// An event line of a row, as one would send it.
    fn event_text(&self, id: &str, outcome: &Outcome, batch: &EventBatch) -> String {
        let mut text = String::from("{\"resource\":");
        write_text(id, &mut text);
        text.push_str(&format!(",\"time\":{}", outcome.time.0));
        let number = self.state.gathered.find(id);
        let mut places = batch.time.iter().zip(&batch.resource);
        let row = places.position(|(time, of)| *time == outcome.time.0 && Some(*of) == number);
        let row = row.and_then(|row| u32::try_from(row).ok());
        for column in &batch.metrics {
            let Some(Ok(at)) = row.map(|row| column.rows.binary_search(&row)) else {
                continue;
            };
            let name = self.state.gathered.metrics.text(column.metric);
            text.push(',');
            write_text(name.map_or("", AsRef::as_ref), &mut text);
            text.push(':');
            column.value(at).write_json(&mut text);
        }
        text.push('}');
        text
    }
}
