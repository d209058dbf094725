//! [`run`]: `tidegate replay` of all scenarios' rules over a file of events, several times and cut differently. The same
//! bytes must come out every time.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::fs::File;
use std::hash::Hasher as _;
use std::io::{BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use crate::Failure;
use crate::arguments::Arguments;
use crate::engine::program;
use crate::flow::Flow;
use crate::process::on_cores;
use crate::scenario::Scenario;

/// Lines per epoch and shards of each run; the first two are equal.
const CUTS: [(u64, u64); 7] = [
    (1_000, 1),
    (1_000, 1),
    (1, 1),
    (77, 3),
    (1_000, 2),
    (50_000, 8),
    (5_000, 1),
];

/// What a run printed.
#[derive(Debug, PartialEq, Eq)]
struct Printed {
    bytes: u64,
    lines: u64,
    /// Of all bytes.
    digest: u64,
}

/// Replays the same events in all [`CUTS`] and fails if one prints anything else than the first.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let program = program(arguments)?;
    let folder = Folder::new()?;
    let rules = folder.0.join("rules.yaml");
    std::fs::write(&rules, documents(&arguments.scenarios))
        .map_err(|error| told(&rules, &error))?;
    let events = folder.0.join("events.ndjson");
    write_events(&events, arguments)?;
    println!(
        "{} events, {} resources, rules: {}\n\n  batch  shards    events/s         lines         bytes  digest",
        arguments.events,
        arguments.resources,
        arguments
            .scenarios
            .iter()
            .map(|one| one.name())
            .collect::<Vec<_>>()
            .join(" ")
    );
    let mut first = None;
    for (batch, shards) in CUTS {
        let began = Instant::now();
        let printed = replay(&program, &rules, &events, (batch, shards), arguments)?;
        let rate = arguments.events as f64 / began.elapsed().as_secs_f64();
        println!(
            "{batch:>7} {shards:>7} {rate:>11.0} {:>13} {:>13}  {:016x}",
            printed.lines, printed.bytes, printed.digest
        );
        let first = first.get_or_insert(Printed { ..printed });
        if *first != printed {
            return Err(format!(
                "batches of {batch} on {shards} shards print something else"
            ));
        }
    }
    println!("\nthe same bytes every time");
    Ok(())
}

fn documents(scenarios: &[Scenario]) -> String {
    let mut all = String::new();
    for scenario in scenarios {
        let named = format!("name: {}", scenario.name());
        // Writing to a text cannot fail.
        let _ = writeln!(
            all,
            "---\n{}",
            scenario.rule().replace("name: bench", &named)
        );
    }
    all
}

fn write_events(path: &Path, arguments: &Arguments) -> Result<(), Failure> {
    let flow = Flow::past(arguments.resources, arguments.metrics, arguments.events);
    let file = File::create(path).map_err(|error| told(path, &error))?;
    let mut out = BufWriter::new(file);
    let (mut key, mut body) = (String::new(), String::new());
    for number in 0..flow.events {
        flow.write(number, &mut key, &mut body);
        writeln!(out, "{body}").map_err(|error| told(path, &error))?;
    }
    out.flush().map_err(|error| told(path, &error))
}

fn replay(
    program: &Path,
    rules: &Path,
    events: &Path,
    (batch, shards): (u64, u64),
    arguments: &Arguments,
) -> Result<Printed, Failure> {
    let mut command = on_cores(program, arguments.cores.as_deref());
    command
        .arg("replay")
        .arg("-f")
        .arg(rules)
        .arg("--events")
        .arg(events);
    command.args([
        "--batch",
        &batch.to_string(),
        "--shards",
        &shards.to_string(),
    ]);
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| told(program, &error))?;
    let mut out = child.stdout.take().ok_or("a replay has an output")?;
    let (mut hasher, mut bytes, mut lines) = (DefaultHasher::new(), 0, 0);
    let mut chunk = vec![0; 1 << 16];
    loop {
        let count = out
            .read(&mut chunk)
            .map_err(|error| told(program, &error))?;
        let Some(read) = chunk.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        // Byte by byte, or the digest would hang on how the pipe cuts them.
        read.iter().for_each(|byte| hasher.write_u8(*byte));
        lines += read.iter().filter(|byte| **byte == b'\n').count() as u64;
        bytes += count as u64;
    }
    match child.wait() {
        Ok(status) if status.success() => Ok(Printed {
            bytes,
            lines,
            digest: hasher.finish(),
        }),
        Ok(status) => Err(format!("the replay ended: {status}")),
        Err(error) => Err(told(program, &error)),
    }
}

fn told(path: &Path, error: &std::io::Error) -> Failure {
    format!("{}: {error}", path.display())
}

/// A folder of our own, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("tidegate-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| told(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the folder of temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
