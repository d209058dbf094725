//! `demo`: the whole engine on the embedded log, a simulated plant in front of it, eight rules over it, and what rises and
//! why on the terminal. Nothing to configure, nothing else to start.

mod plant;
mod screen;

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write};
use std::path::PathBuf;
use std::time::Duration;

use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tidegate_actors::command::{Command, Request};
use tidegate_proto::document::{self, Document};
use tidegate_proto::time::Timestamp;
use tokio::time::Instant;

use crate::config::Config;
use crate::engine::{Engine, TailFrom, TailTopic};
use crate::error::EngineError;
use plant::Plant;
use screen::Screen;

/// The rules of the demo, as a person would write them.
pub const RULES: &str = include_str!("demo/rules.yaml");
/// How often every machine reports.
const EVERY: Duration = Duration::from_millis(250);
/// How often the screen is drawn.
const DRAWN: Duration = Duration::from_millis(250);

/// How the demo runs.
#[derive(Clone, Debug, Default)]
pub struct DemoOptions {
    /// Data folder; none: a temporary one that is removed at the end.
    pub data: Option<PathBuf>,
    /// Ends by itself after so long; none: at Ctrl-C.
    pub lasts: Option<Duration>,
    /// A plain log even on a terminal.
    pub plain: bool,
}

/// A result line as far as the demo shows it.
#[derive(Clone, Debug, Deserialize)]
struct Said {
    rule: String,
    resource: String,
    time: String,
    kind: String,
    values: Option<serde_json::Map<String, Value>>,
}

impl Said {
    /// Why: severity and text first, as the rule gives them.
    fn why(&self) -> String {
        let empty = serde_json::Map::new();
        let values = self.values.as_ref().unwrap_or(&empty);
        if let Some(text) = values.get("text").and_then(Value::as_str) {
            return text.to_owned();
        }
        let shown = |value: &Value| match value {
            Value::Number(number) => number
                .as_f64()
                .map_or_else(|| number.to_string(), |n| format!("{n:.2}")),
            other => other.to_string(),
        };
        let parts: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("{name} = {}", shown(value)))
            .collect();
        parts.join(", ")
    }

    fn severity(&self) -> String {
        let values = self.values.as_ref();
        values
            .and_then(|values| values.get("severity"))
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    }
}

/// What the screen shows.
#[derive(Debug, Default)]
struct Shown {
    events: u64,
    results: u64,
    raised: BTreeMap<(String, String), Said>,
    newest: Vec<Said>,
}

/// Runs the demo until Ctrl-C, or for as long as asked.
///
/// # Errors
/// When the engine cannot start, or a rule of the demo is refused.
pub async fn run(mut config: Config, options: DemoOptions) -> Result<(), EngineError> {
    let temporary = options.data.is_none();
    config.data = options.data.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("tidegate-demo-{}", std::process::id()))
    });
    let data = config.data.clone();
    let running = Engine::start(config).await?;
    let engine = running.engine.clone();
    apply(&engine).await?;
    let outcome = show(&engine, &options).await;
    running.stop().await?;
    if temporary {
        // Left behind is at worst a folder in the place for such folders.
        let _ = std::fs::remove_dir_all(data);
    }
    outcome
}

/// Submits the demo's rules and resource types.
async fn apply(engine: &Engine) -> Result<(), EngineError> {
    for document in document::parse(RULES).map_err(EngineError::issues)? {
        let command = match document {
            Document::Rule(rule) => Command::PutRule {
                document: rule.document.as_ref().to_owned(),
                expected: None,
            },
            _ => continue,
        };
        let request = format!("demo-{}", command.key());
        engine.request(Request { request, command }).await?;
    }
    Ok(())
}

async fn show(engine: &Engine, options: &DemoOptions) -> Result<(), EngineError> {
    let mut results = engine.tail(TailTopic::Results, TailFrom::Latest, false);
    let mut plant = Plant::new(0x7469_6465);
    let mut screen = Screen::new(!options.plain && std::io::stdout().is_terminal());
    let mut shown = Shown::default();
    let began = Instant::now();
    let mut sends = tokio::time::interval(EVERY);
    let mut draws = tokio::time::interval(DRAWN);
    let lasts = options.lasts.unwrap_or(Duration::from_secs(365 * 86_400));
    let end = tokio::time::sleep(lasts);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            stopped = tokio::signal::ctrl_c() => {
                stopped.map_err(|error| EngineError::Internal(error.to_string()))?;
                break;
            }
            _ = sends.tick() => {
                let now = crate::engine::now();
                let events = plant.events(now, began.elapsed());
                shown.events += events.len() as u64;
                engine.ingest(events, None).await?;
            }
            Some(entry) = results.next() => {
                let entry = entry?;
                if let Ok(said) = serde_json::from_slice::<Said>(entry.record.value.as_deref().unwrap_or_default()) {
                    screen.say(&said).map_err(|error| EngineError::Internal(error.to_string()))?;
                    shown.take(said);
                }
            }
            _ = draws.tick() => {
                screen.draw(&shown, began.elapsed()).map_err(|error| EngineError::Internal(error.to_string()))?;
            }
        }
    }
    screen
        .close()
        .map_err(|error| EngineError::Internal(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    let text = format!(
        "demo: {} events, {} results, {} raised at the end",
        shown.events,
        shown.results,
        shown.raised.len()
    );
    // A closed terminal at the very end harms nobody.
    let _ = writeln!(out, "{text}");
    Ok(())
}

impl Shown {
    /// Result lines that the screen keeps.
    const KEPT: usize = 12;

    fn take(&mut self, said: Said) {
        self.results += 1;
        let key = (said.rule.clone(), said.resource.clone());
        match said.kind.as_str() {
            "raised" => {
                self.raised.insert(key, said.clone());
            }
            "cleared" => {
                self.raised.remove(&key);
            }
            _ => {}
        }
        if self.newest.len() >= Self::KEPT {
            self.newest.remove(0);
        }
        self.newest.push(said);
    }
}

/// Time of day of a line, for people.
fn clock_of(time: &str) -> String {
    let parsed: Option<Timestamp> = time.parse().ok();
    parsed.map_or_else(
        || time.to_owned(),
        |time| time.to_string().chars().skip(11).take(10).collect(),
    )
}
