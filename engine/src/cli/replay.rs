//! `replay`: rules over event lines of a file, without an engine.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use tidegate_proto::issue::Issue;

use super::apply::{Source, read};
use super::arguments::ReplayArguments;
use super::client::ToldItem;
use super::failure::{Exit, Failure};
use crate::replay::{Replay, ReplayError, ReplayOptions, Stored, replay_stored};

/// Bytes that are read and written at once.
const BUFFER: usize = 256 << 10;
/// Lines that cannot be used and are told one by one; the rest is only counted.
const TOLD: usize = 20;

/// Runs `replay`.
pub(super) fn run(arguments: &ReplayArguments, out: &mut dyn Write) -> Result<(), Failure> {
    if let Some(data) = &arguments.data {
        return stored(arguments, data, out);
    }
    let options = ReplayOptions {
        batch: usize::try_from(arguments.batch).unwrap_or(usize::MAX),
        shards: arguments.shards,
        ticks: arguments.ticks,
        until: arguments.until,
        restore_every_epoch: false,
        keep_effects: false,
        gather_all: false,
    };
    let events = arguments.events.as_deref().unwrap_or(Path::new("-"));
    if events == Path::new("-") && arguments.files.iter().any(|file| file == Path::new("-")) {
        return Err(Failure::usage(
            "standard input can be the rules or the events, not both: give --events FILE",
        ));
    }
    let sources = read(&arguments.files)?;
    let replay =
        Replay::new(&joined(&sources), options).map_err(|error| failed(error, &sources, events))?;
    let mut out = BufWriter::with_capacity(BUFFER, out);
    if events == Path::new("-") {
        drive(
            replay,
            &mut std::io::stdin().lock(),
            (&sources, events),
            &mut out,
        )?;
    } else {
        let file = File::open(events).map_err(|error| {
            Failure::usage(format!("cannot read `{}`: {error}", events.display()))
        })?;
        drive(
            replay,
            &mut BufReader::with_capacity(BUFFER, file),
            (&sources, events),
            &mut out,
        )?;
    }
    out.flush()?;
    Ok(())
}

/// The backtest of a draft on what an engine has stored; the engine must not run meanwhile.
fn stored(arguments: &ReplayArguments, data: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let sources = read(&arguments.files)?;
    let wanted = Stored {
        data: data.to_owned(),
        batch: usize::try_from(arguments.batch).unwrap_or(usize::MAX),
        from: arguments.from,
        to: arguments.to,
        until: arguments.until,
    };
    let mut out = BufWriter::with_capacity(BUFFER, out);
    let mut written: std::io::Result<()> = Ok(());
    let mut print = |text: &str| {
        if written.is_ok() {
            written = writeln!(out, "{text}");
        }
    };
    let runtime = super::calm()?;
    let summary = runtime
        .block_on(replay_stored(&joined(&sources), wanted, &mut print))
        .map_err(|error| failed(error, &sources, data))?;
    written?;
    out.flush()?;
    let (taken, unusable) = (summary.lines, summary.unusable.len());
    writeln!(
        std::io::stderr(),
        "{taken} records taken, {unusable} not used"
    )?;
    Ok(())
}

fn drive(
    mut replay: Replay,
    input: &mut dyn BufRead,
    (sources, events): (&[Source], &Path),
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    let mut written: std::io::Result<()> = Ok(());
    let mut print = |text: &str| {
        if written.is_ok() {
            written = out
                .write_all(text.as_bytes())
                .and_then(|()| out.write_all(b"\n"));
        }
    };
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        replay
            .line(text, &mut print)
            .map_err(|error| failed(error, sources, events))?;
    }
    let summary = replay
        .end(&mut print)
        .map_err(|error| failed(error, sources, events))?;
    written?;
    let name = events.display();
    for (line, reason) in summary.unusable.iter().take(TOLD) {
        writeln!(std::io::stderr(), "{name}:{line}: not used: {reason}")?;
    }
    if summary.unusable.len() > TOLD {
        writeln!(
            std::io::stderr(),
            "{name}: {} lines were not used",
            summary.unusable.len()
        )?;
    }
    Ok(())
}

/// All documents as one text; the marker stands on a line of its own.
fn joined(sources: &[Source]) -> String {
    let mut text = String::new();
    for source in sources {
        if !text.is_empty() {
            text.push_str("---\n");
        }
        text.push_str(&source.text);
        if !text.ends_with('\n') {
            text.push('\n');
        }
    }
    text
}

/// The file and line of a line of the joined text.
fn place(sources: &[Source], line: u32) -> (&str, u32) {
    let mut left = line;
    for source in sources {
        let lines = u32::try_from(source.text.lines().count()).unwrap_or(u32::MAX);
        if left <= lines {
            return (&source.name, left);
        }
        left = left.saturating_sub(lines.saturating_add(1));
    }
    (sources.last().map_or("-", |source| &source.name), left)
}

fn failed(error: ReplayError, sources: &[Source], events: &Path) -> Failure {
    let message = match error {
        ReplayError::Documents(issues) => issues
            .iter()
            .map(|issue| told(issue, sources))
            .collect::<Vec<_>>()
            .join("\n"),
        ReplayError::Line { line, problem } => format!("{}:{line}: {problem}", events.display()),
        ReplayError::Stored(problem) => problem,
        ReplayError::Step(problem) => format!("the engine failed: {problem}"),
    };
    Failure {
        exit: Exit::Failed,
        message,
    }
}

fn told(issue: &Issue, sources: &[Source]) -> String {
    let (file, line) = match issue.mark.line {
        0 => (
            sources.first().map_or("-", |source| source.name.as_str()),
            0,
        ),
        line => place(sources, line),
    };
    let item = ToldItem {
        path: issue.path.clone(),
        line,
        column: issue.mark.column,
        detail: issue.problem.clone(),
        hint: issue.hint.clone(),
    };
    item.at(file)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;
    use crate::cli::arguments::Command;

    const RULE: &str = "kind: Rule\nname: hot\nfor: all\nwhen: temperature > 90.0\nthen:\n  - alarm: { severity: MAJOR }\n";

    fn replay(folder: &Path, words: &[&str]) -> Result<String, Failure> {
        let paths: Vec<String> = words
            .iter()
            .map(|word| {
                if word.contains('.') {
                    folder.join(word).display().to_string()
                } else {
                    (*word).to_owned()
                }
            })
            .collect();
        let words = ["tidegate", "replay"]
            .into_iter()
            .map(str::to_owned)
            .chain(paths);
        let Command::Replay(arguments) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not replay")
        };
        let mut out = Vec::new();
        run(&arguments, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn write(folder: &Path, files: &[(&str, &str)]) {
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }

    #[test]
    fn events_of_a_file_give_the_same_bytes_at_every_cut() {
        let folder = tempfile::tempdir().unwrap();
        let line = |id: &str, second: u32, value: f64| {
            format!(
                "{{\"resource\":\"{id}\",\"time\":\"2026-01-01T00:00:{second:02}Z\",\"values\":{{\"temperature\":{value}}}}}\r\n"
            )
        };
        let events = [
            line("a", 0, 91.0),
            line("b", 1, 20.0),
            line("a", 2, 10.0),
            line("b", 3, 99.0),
        ]
        .concat();
        write(
            folder.path(),
            &[("rule.yaml", RULE), ("events.ndjson", &events)],
        );
        let words = ["-f", "rule.yaml", "--events", "events.ndjson"];
        let whole = replay(folder.path(), &words).unwrap();
        let kinds: Vec<String> = whole
            .lines()
            .map(|line| {
                serde_json::from_str::<serde_json::Value>(line).unwrap()["kind"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            })
            .collect();
        assert_eq!(kinds, ["raised", "cleared", "raised"], "{whole}");
        for more in [
            &["--batch", "1"][..],
            &["--batch", "3", "--shards", "3"],
            &["--shards", "2"],
        ] {
            let words: Vec<&str> = words.iter().chain(more).copied().collect();
            assert_eq!(replay(folder.path(), &words).unwrap(), whole, "{more:?}");
        }
    }

    #[test]
    fn problems_of_documents_name_their_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let wrong = format!("# second\n{}", RULE.replace("when:", "hold: soon\nwhen:"));
        write(
            folder.path(),
            &[
                ("one.yaml", RULE.trim_end()),
                ("two.yaml", &wrong),
                ("events.ndjson", ""),
            ],
        );
        let failure = replay(
            folder.path(),
            &[
                "-f",
                "one.yaml",
                "-f",
                "two.yaml",
                "--events",
                "events.ndjson",
            ],
        )
        .unwrap_err();
        assert_eq!(failure.exit, Exit::Failed);
        assert!(failure.message.contains("two.yaml:5:"), "{failure}");
        let failure = replay(folder.path(), &["-f", "-"]).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
    }

    #[test]
    fn lines_fall_back_to_their_files() {
        let source = |name: &str, text: &str| Source {
            name: name.into(),
            text: text.into(),
        };
        let sources = [source("a", "1\n2"), source("b", "1\n2\n3\n")];
        assert_eq!(joined(&sources), "1\n2\n---\n1\n2\n3\n");
        assert_eq!(place(&sources, 2), ("a", 2));
        assert_eq!(place(&sources, 4), ("b", 1));
        assert_eq!(place(&sources, 6), ("b", 3));
    }
}
