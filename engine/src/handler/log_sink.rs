//! [`LogSink`]: actions as lines of the engine's log.

use serde::Deserialize;
use serde_json::{Map, Value};
use tidegate_actors::port::{Delivery, PortFuture, Sink};

/// Writes one line at level info per action, target `tidegate::action`; the text is the argument `text`, or all
/// arguments as JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogSink;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    rule: String,
    task: String,
    resource: String,
    time: String,
    kind: String,
    with: Map<String, Value>,
}

impl Sink for LogSink {
    fn deliver(&self, delivery: Delivery) -> PortFuture<'_, ()> {
        Box::pin(async move {
            let line: Line = serde_json::from_str(&delivery.body).unwrap_or_default();
            let text = match line.with.get("text") {
                Some(Value::String(text)) => text.clone(),
                _ => Value::Object(line.with).to_string(),
            };
            // As fields, not as the message: values are quoted there, so no text can forge another line.
            tracing::info!(
                target: "tidegate::action",
                text,
                id = delivery.id,
                rule = line.rule,
                task = line.task,
                resource = line.resource,
                time = line.time,
                kind = line.kind,
                "action"
            );
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing::instrument::WithSubscriber;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn an_action_is_one_line_that_its_text_cannot_break() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let delivery = Delivery {
            id: "7-1042-3".to_owned(),
            body: r#"{"rule":"hot","task":"hot/b1","resource":"b1","kind":"raised","with":{"text":"hot\nINFO forged"}}"#.to_owned(),
        };
        let delivered = LogSink.deliver(delivery).with_subscriber(subscriber).await;
        assert_eq!(delivered, Ok(()));
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains(
                r#"INFO tidegate::action: action text="hot\nINFO forged" id="7-1042-3" rule="hot""#
            ),
            "{text}"
        );
    }
}
