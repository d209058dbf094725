//! What was measured, as a table and as JSON.

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::arguments::Arguments;

/// What one run took, after its warm-up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Events that were measured.
    pub(crate) events: u64,
    /// CPU seconds of the process, all threads, that they took.
    pub(crate) cpu: f64,
    /// Seconds that they took.
    pub(crate) wall: f64,
    /// Most memory, bytes.
    pub(crate) peak: u64,
    /// Lines of all events, the warm-up included.
    pub(crate) results: u64,
}

/// Time from produce to result, ms.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Delays {
    pub(crate) count: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) most: f64,
}

impl Delays {
    /// Of delays in µs; `None`: there are none.
    pub(crate) fn of(mut delays: Vec<i64>) -> Option<Self> {
        delays.sort_unstable();
        let last = delays.last().copied()?;
        let at = |share: f64| {
            let place = ((delays.len() as f64 * share).ceil() as usize).clamp(1, delays.len());
            delays[place - 1] as f64 / 1_000.0
        };
        Some(Self {
            count: delays.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            most: last as f64 / 1_000.0,
        })
    }
}

/// One row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figures {
    pub(crate) scenario: &'static str,
    pub(crate) subject: String,
    /// Events per CPU second of the process.
    pub(crate) per_cpu: f64,
    /// Events per second.
    pub(crate) per_second: f64,
    #[serde(flatten)]
    pub(crate) measured: Measured,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) delays: Option<Delays>,
}

impl Figures {
    pub(crate) fn new(scenario: &'static str, subject: &str, measured: Measured) -> Self {
        let events = measured.events as f64;
        Self {
            scenario,
            subject: subject.to_owned(),
            per_cpu: events / measured.cpu.max(0.01),
            per_second: events / measured.wall.max(0.001),
            measured,
            delays: None,
        }
    }

    /// What runs are ordered by to find the median.
    fn rank(&self) -> f64 {
        self.delays.map_or(self.per_cpu, |delays| -delays.p99)
    }
}

/// The run in the middle.
pub(crate) fn median(mut runs: Vec<Figures>) -> Option<Figures> {
    runs.sort_by(|a, b| a.rank().total_cmp(&b.rank()));
    let middle = runs.len() / 2;
    (!runs.is_empty()).then(|| runs.swap_remove(middle))
}

/// Prints the table, and the JSON where it is wanted.
pub(crate) fn print(rows: &[Figures], arguments: &Arguments) -> Result<(), Failure> {
    let Arguments {
        resources,
        metrics,
        partitions,
        warm_up,
        runs,
        ..
    } = arguments;
    println!(
        "\n{resources} resources, {metrics} metrics, {partitions} partitions, warm-up {warm_up} %, median of {runs}\n"
    );
    println!(
        "{:<10} {:<8} {:>14} {:>8} {:>11} {:>8} {:>9} {:>9} {:>8} {:>8} {:>8} {:>8}",
        "scenario",
        "subject",
        "events/CPU s",
        "of batch",
        "events/s",
        "CPU s",
        "peak MiB",
        "results",
        "p50 ms",
        "p99 ms",
        "p99.9",
        "max"
    );
    for row in rows {
        print_row(row, rows);
    }
    let Some(file) = &arguments.json else {
        return Ok(());
    };
    let json = serde_json::to_string_pretty(rows).map_err(|error| error.to_string())?;
    if file == "-" {
        println!("\n{json}");
        return Ok(());
    }
    std::fs::write(file, json).map_err(|error| format!("{file}: {error}"))
}

fn print_row(row: &Figures, rows: &[Figures]) {
    let batch = rows
        .iter()
        .find(|other| other.scenario == row.scenario && other.subject == "batch");
    let share = batch.map_or("-".to_owned(), |batch| {
        format!("{:.0} %", row.per_cpu / batch.per_cpu * 100.0)
    });
    let delay = |of: fn(&Delays) -> f64| {
        row.delays
            .as_ref()
            .map_or("-".to_owned(), |delays| format!("{:.1}", of(delays)))
    };
    println!(
        "{:<10} {:<8} {:>14.0} {share:>8} {:>11.0} {:>8.2} {:>9.0} {:>9} {:>8} {:>8} {:>8} {:>8}",
        row.scenario,
        row.subject,
        row.per_cpu,
        row.per_second,
        row.measured.cpu,
        row.measured.peak as f64 / f64::from(1 << 20),
        row.measured.results,
        delay(|delays| delays.p50),
        delay(|delays| delays.p99),
        delay(|delays| delays.p999),
        delay(|delays| delays.most),
    );
}
