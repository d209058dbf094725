//! What is fuzzed: [`Target`], its corpus, and what must hold.

use std::fmt::Debug;
use std::sync::OnceLock;

use tidegate::replay::{ReplayOptions, replay_text};
use tidegate_actors::command::{Request, Signal};
use tidegate_actors::journal::JournalEntry;
use tidegate_proto::{
    DecodeLimits, Decoder, EventBatch, FormulaText, Mark, Names, Record, SourceProfile,
    SourceRecord, Value, document,
};
use tidegate_scripts::{Column, Formula, FormulaContext, Template};

/// One way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A record of a source, to rows.
    Events,
    /// A text of documents.
    Documents,
    /// A formula, and a text with formulas.
    Formulas,
    /// Event and control lines of a replay under rules of all kinds.
    Replay,
    /// A record of the journal.
    Journal,
    /// Commands and signals of the inbox.
    Commands,
}

const EVENTS: &str = include_str!("../../data/fuzz/events.txt");
const DOCUMENTS: &str = include_str!("../../data/fuzz/documents.txt");
const FORMULAS: &str = include_str!("../../data/fuzz/formulas.txt");
const REPLAY: &str = include_str!("../../data/fuzz/replay.txt");
const RULES: &str = include_str!("../../data/fuzz/rules.yaml");
const COMMANDS: &str = include_str!("../../data/fuzz/commands.txt");
/// What parts the inputs of a corpus.
const PARTING: &str = "\n%%\n";

impl Target {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Events,
        Self::Documents,
        Self::Formulas,
        Self::Replay,
        Self::Journal,
        Self::Commands,
    ];

    /// Good inputs.
    pub fn corpus(self) -> &'static [&'static [u8]] {
        static CORPORA: OnceLock<Vec<Vec<&'static [u8]>>> = OnceLock::new();
        let corpora =
            CORPORA.get_or_init(|| Self::ALL.iter().map(|target| target.read()).collect());
        &corpora[self as usize]
    }

    fn read(self) -> Vec<&'static [u8]> {
        let text = match self {
            Self::Events => EVENTS,
            Self::Documents => DOCUMENTS,
            Self::Formulas => FORMULAS,
            Self::Replay => REPLAY,
            Self::Journal => return journal(),
            Self::Commands => COMMANDS,
        };
        text.trim_end().split(PARTING).map(str::as_bytes).collect()
    }

    /// Checks one input.
    ///
    /// # Errors
    /// What does not hold.
    pub fn holds(self, input: &[u8]) -> Result<(), String> {
        match self {
            Self::Events => events(input),
            Self::Documents => documents(input),
            Self::Formulas => formulas(input),
            Self::Replay => replay(input),
            Self::Journal => journalled(input),
            Self::Commands => commands(input),
        }
    }
}

fn same<T: PartialEq + Debug>(what: &str, a: &T, b: &T) -> Result<(), String> {
    if a == b {
        return Ok(());
    }
    Err(format!("{what} differ:\n{a:?}\n{b:?}"))
}

/// Rows and refusals as one text, whatever the order of the names.
fn rows(input: &[u8], records: usize) -> String {
    let (mut resources, mut metrics) = (Names::default(), Names::default());
    let (mut batch, mut bad) = (EventBatch::default(), Vec::new());
    let mut decoder = Decoder::new(DecodeLimits::default(), SourceProfile::default());
    let record = Record::new("key", input.to_vec());
    for index in 0..records {
        let source = SourceRecord {
            source: 0,
            offset: 7,
            record: &record,
            index: index as u32,
        };
        batch = EventBatch::default();
        bad.clear();
        decoder.decode(source, &mut resources, &mut metrics, &mut batch, &mut bad);
        bad.iter_mut().for_each(|bad| bad.index = 0);
    }
    batch.record.fill(0);
    format!("{batch:?} {bad:?}")
}

/// A decoder remembers nothing that changes what it answers.
fn events(input: &[u8]) -> Result<(), String> {
    same(
        "a first and a second decoding",
        &rows(input, 1),
        &rows(input, 2),
    )
}

/// Documents that are read stay what they are when they are read again.
fn documents(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let (first, again) = (document::parse(&text), document::parse(&text));
    same("two readings", &format!("{first:?}"), &format!("{again:?}"))?;
    if let Err(issues) = &first {
        if issues.is_empty() {
            return Err("refused without a word".to_owned());
        }
        return Ok(());
    }
    // A rule that reads is compiled or refused with words, too.
    match replay_text(&text, "", ReplayOptions::default()) {
        Err(error) if error.to_string().is_empty() => Err("refused without a word".to_owned()),
        _ => Ok(()),
    }
}

/// Values that a column may hold.
fn column(number: usize) -> Vec<Value> {
    let values = [
        Value::Number(0.1),
        Value::Missing,
        Value::Number(-3.0),
        Value::Number(1e308),
        Value::Bool(true),
        Value::text("a"),
        Value::Number(f64::INFINITY),
    ];
    let from = number % values.len();
    // The first columns have numbers alone, as most of the world's.
    if number.is_multiple_of(3) {
        return (0..values.len())
            .map(|row| Value::Number(row as f64 * 0.1 - 0.2))
            .collect();
    }
    values
        .iter()
        .cycle()
        .skip(from)
        .take(values.len())
        .cloned()
        .collect()
}

/// Over columns and row by row is the same, to the bit.
fn formulas(input: &[u8]) -> Result<(), String> {
    let text = FormulaText {
        source: String::from_utf8_lossy(input).into(),
        path: "when".into(),
        mark: Mark { line: 1, column: 1 },
    };
    if let Err(issues) = Template::compile(&text, FormulaContext::Condition)
        && issues.is_empty()
    {
        return Err("a text refused without a word".to_owned());
    }
    for context in [
        FormulaContext::Condition,
        FormulaContext::WindowEmit,
        FormulaContext::RowFilter,
    ] {
        let formula = match Formula::compile(&text, context) {
            Ok(formula) => formula,
            Err(issues) if issues.is_empty() => return Err("refused without a word".to_owned()),
            Err(_) => continue,
        };
        let slots = formula.slots().len();
        let values: Vec<Vec<Value>> = (0..slots).map(column).collect();
        let count = values.first().map_or(1, Vec::len);
        let columns: Vec<Column> = values.iter().cloned().map(Column::from_values).collect();
        let whole = formula.evaluate(&columns, count);
        for row in 0..count {
            let given: Vec<Value> = values.iter().map(|column| column[row].clone()).collect();
            let alone = formula.evaluate_row(&given);
            let error = whole.errors.iter().find(|(at, _)| *at as usize == row);
            match (alone, error) {
                (Ok(alone), None) => same(
                    "row and column",
                    &print(&alone),
                    &print(&whole.column.value(row)),
                )?,
                (Err(alone), Some((_, error))) => same("errors", &alone, error)?,
                (alone, error) => {
                    return Err(format!(
                        "row {row}: {alone:?} alone, {error:?} over columns"
                    ));
                }
            }
        }
    }
    Ok(())
}

fn print(value: &Value) -> String {
    let mut text = String::new();
    value.write_json(&mut text);
    text
}

/// One answer in every cut, restored or not.
fn replay(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let run = |batch: usize, shards: u32, restore: bool| {
        let options = ReplayOptions {
            batch,
            shards,
            restore_every_epoch: restore,
            keep_effects: true,
            ..ReplayOptions::default()
        };
        replay_text(RULES, &text, options).map_err(|error| error.to_string())
    };
    let straight = run(1000, 1, false);
    same("straight and in single epochs", &straight, &run(1, 1, true))?;
    same("one shard and three", &straight, &run(2, 3, false))
}

fn journal() -> Vec<&'static [u8]> {
    use tidegate_actors::journal::EpochEntry;
    use tidegate_proto::{OffsetRange, Timestamp};
    let entries = [
        JournalEntry::Takeover {
            owner: "process 77".to_owned(),
        },
        JournalEntry::Epoch(EpochEntry {
            epoch: 1042,
            generation: 17,
            ranges: vec![OffsetRange { from: 3, to: 977 }],
            records: 974,
            clock: Timestamp(1_767_225_600_123),
            published: 1040,
        }),
    ];
    let bytes = entries.iter().filter_map(|entry| entry.encode().value);
    bytes.map(|bytes| &*Vec::leak(bytes.to_vec())).collect()
}

/// What is read is what is written again.
fn journalled(input: &[u8]) -> Result<(), String> {
    let record = Record::new("journal", input.to_vec());
    let Ok(entry) = JournalEntry::decode(&record) else {
        return Ok(());
    };
    let again = JournalEntry::decode(&entry.encode()).map_err(|error| error.to_string());
    same("an entry and its copy", &Ok(entry), &again)
}

fn commands(input: &[u8]) -> Result<(), String> {
    if let Ok(request) = serde_json::from_slice::<Request>(input) {
        let again = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
        let again = serde_json::from_slice(&again).map_err(|error| error.to_string())?;
        same("a command and its copy", &request, &again)?;
    }
    if let Ok(signal) = serde_json::from_slice::<Signal>(input) {
        let again = serde_json::to_vec(&signal).map_err(|error| error.to_string())?;
        let again = serde_json::from_slice(&again).map_err(|error| error.to_string())?;
        same("a signal and its copy", &signal, &again)?;
    }
    Ok(())
}
