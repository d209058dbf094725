//! [`Subject`]: who is measured, started on a topic and waited for.

use std::io::Read as _;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::arguments::Arguments;
use crate::broker::Broker;
use crate::engine::Crew;
use crate::process::{cpu_seconds, on_cores, peak_memory};
use crate::report::Measured;
use crate::scenario::Scenario;

/// How often the engine is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Longest time without progress.
const PATIENCE: Duration = Duration::from_secs(120);
/// The lines are all there when none came for so long: more than the engine needs to believe in a silence of 8 s.
const SETTLED: Duration = Duration::from_secs(26);

/// Who is measured.
#[derive(Debug)]
pub(crate) enum Subject {
    /// The engine.
    Engine(Crew),
    /// A yardstick.
    Yardstick(Child),
}

/// Where a subject reads and writes.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// A name that no other run has.
    pub(crate) name: String,
    /// The events.
    pub(crate) events: String,
    /// The results.
    pub(crate) results: String,
    /// How many events will come.
    pub(crate) count: u64,
}

impl Place {
    /// A place of its own.
    pub(crate) fn new(
        scenario: Scenario,
        subject: &str,
        run: usize,
        events: &str,
        count: u64,
    ) -> Self {
        let name = format!("bench-{}-{subject}-{run}", scenario.name());
        let results = format!("{name}.results");
        Self {
            name,
            events: events.to_owned(),
            results,
            count,
        }
    }
}

impl Subject {
    /// Starts a subject on a topic, which it reads from the beginning.
    pub(crate) fn start(
        subject: &str,
        scenario: Scenario,
        place: &Place,
        broker: &Broker,
        arguments: &Arguments,
    ) -> Result<Self, Failure> {
        if subject == "engine" {
            let program = crate::engine::program(arguments)?;
            let engine = Crew::start(&program, &broker.address, &place.name, arguments)?;
            engine.apply(scenario.rule())?;
            let topic = &place.events;
            engine.apply(&format!(
                "kind: Source\nname: bench\ntopic: {topic}\nformat: json\nkeyed: true\nfrom: earliest"
            ))?;
            return Ok(Self::Engine(engine));
        }
        broker.create(&place.results, arguments.partitions)?;
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = on_cores(&me, arguments.cores.as_deref());
        let words = [
            ("take", subject.to_owned()),
            ("broker", broker.address.clone()),
            ("topic", place.events.clone()),
            ("out", place.results.clone()),
            ("scenarios", scenario.name().to_owned()),
            ("events", place.count.to_string()),
            ("metrics", arguments.metrics.to_string()),
            ("warm-up", arguments.warm_up.to_string()),
        ];
        command.arg("yardstick");
        for (name, value) in words {
            command.arg(format!("--{name}")).arg(value);
        }
        let child = command.stdout(Stdio::piped()).spawn();
        child
            .map(Self::Yardstick)
            .map_err(|error| format!("the yardstick: {error}"))
    }

    /// Waits until it has taken everything; answers with what that took.
    pub(crate) fn finish(&mut self, count: u64, warm_up: u64) -> Result<Measured, Failure> {
        match self {
            Self::Engine(engine) => watch(engine, count, count * warm_up / 100),
            Self::Yardstick(child) => {
                let mut said = String::new();
                if let Some(output) = &mut child.stdout {
                    output
                        .read_to_string(&mut said)
                        .map_err(|error| error.to_string())?;
                }
                let failed = |why: String| format!("the yardstick: {why}");
                let status = child.wait().map_err(|error| failed(error.to_string()))?;
                if !status.success() {
                    return Err(failed(status.to_string()));
                }
                serde_json::from_str(&said).map_err(|error| failed(error.to_string()))
            }
        }
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        if let Self::Yardstick(child) = self {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Looks at the engine until it has taken all events, and made all of their lines.
fn watch(engine: &Crew, count: u64, warm: u64) -> Result<Measured, Failure> {
    let pids = engine.pids();
    let spent = || {
        pids.iter()
            .map(|pid| cpu_seconds(*pid))
            .sum::<Option<f64>>()
    };
    let cpu = || spent().ok_or("an engine has ended");
    let mut began: Option<(u64, f64, Instant)> = None;
    let mut moved = (0, Instant::now());
    let (events, ended) = loop {
        let (events, _) = engine.counts()?;
        let now = (cpu()?, Instant::now());
        if events >= warm && began.is_none() {
            began = Some((events, now.0, now.1));
        }
        if events >= count {
            break (events, now);
        }
        if events > moved.0 {
            moved = (events, now.1);
        }
        if moved.1.elapsed() > PATIENCE {
            return Err(format!(
                "the engine took {events} of {count} events and stopped"
            ));
        }
        std::thread::sleep(LOOK);
    };
    let (warm, before, at) = began.unwrap_or((0, 0.0, ended.1));
    if warm >= events {
        return Err("the run was over within its warm-up: take more events".into());
    }
    let mut results = (engine.counts()?.1, Instant::now());
    while results.1.elapsed() < SETTLED {
        std::thread::sleep(LOOK);
        let now = engine.counts()?.1;
        if now > results.0 {
            results = (now, Instant::now());
        }
    }
    Ok(Measured {
        events: events - warm,
        cpu: ended.0 - before,
        wall: (ended.1 - at).as_secs_f64(),
        peak: pids.iter().filter_map(|pid| peak_memory(*pid)).sum(),
        results: results.0,
    })
}
