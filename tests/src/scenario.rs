//! Scenarios as data: a `.case` file holds rules, event lines and the one golden answer.
//!
//! ```text
//! What it shows, in a sentence or two.
//! === options
//! until 1970-01-01T00:10:00Z
//! === rules
//! kind: Rule …
//! === events
//! {"resource":"b1", …}
//! === expect
//! {"rule": …}
//! line 3 topic hot: …
//! unusable line 4: …
//! ```
//!
//! The answer is the result lines, then what goes elsewhere (actions, topics, the future lane), then what is unusable.
//!
//! Every case runs straight, and thrown away and restored after every epoch, at 1, 2, 3 and 8 shards, in epochs of 1, 7
//! and 1000 records: always the same answer, to the byte. `UPDATE_GOLDEN=1` writes the straight answer into the file; `CASES=across` runs
//! those whose path holds a text.

use std::path::{Path, PathBuf};

use tidegate::replay::{ReplayOptions, replay_text};

/// A scenario as read.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// Where it stands.
    pub path: PathBuf,
    /// What it shows.
    pub about: String,
    /// Options by name.
    pub options: Vec<(String, String)>,
    /// Documents.
    pub rules: String,
    /// Event lines.
    pub events: String,
    /// Result lines.
    pub expect: String,
}

/// All cases below a folder, by path.
pub fn cases(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("the folder of cases can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "case")
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

impl Case {
    /// Reads a case.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a case can be read");
        let mut case = Self {
            path: path.to_path_buf(),
            ..Self::default()
        };
        let mut section = "about";
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("=== ") {
                section = match name {
                    "options" | "rules" | "events" | "expect" => name,
                    other => panic!("{}: unknown section `{other}`", path.display()),
                };
                continue;
            }
            let part = match section {
                "options" => {
                    if let Some((name, value)) = line.split_once(' ') {
                        case.options
                            .push((name.to_owned(), value.trim().to_owned()));
                    }
                    continue;
                }
                "rules" => &mut case.rules,
                "events" => &mut case.events,
                "expect" => &mut case.expect,
                _ => &mut case.about,
            };
            part.push_str(line);
            part.push('\n');
        }
        case
    }

    fn option<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let found = self.options.iter().find(|(known, _)| known == name)?;
        Some(
            found
                .1
                .parse()
                .ok()
                .unwrap_or_else(|| panic!("{}: bad option {name}", self.path.display())),
        )
    }

    fn run(&self, (batch, shards, restore): (usize, u32, bool), gather_all: bool) -> String {
        let options = ReplayOptions {
            batch,
            shards,
            ticks: self.option("ticks"),
            until: self.option("until"),
            restore_every_epoch: restore,
            keep_effects: true,
            gather_all,
        };
        let (lines, summary) = replay_text(&self.rules, &self.events, options)
            .unwrap_or_else(|error| panic!("{}: {error}", self.path.display()));
        let mut answer: String = lines.iter().map(|line| format!("{line}\n")).collect();
        for (line, effect) in summary.effects {
            answer.push_str(&format!("line {line} {effect}\n"));
        }
        for (line, reason) in summary.unusable {
            answer.push_str(&format!("unusable line {line}: {reason}\n"));
        }
        answer
    }

    /// Runs the case in every way; `Err` says which way differs and where.
    pub fn check(&self) -> Result<(), String> {
        let straight = self.run((1000, 1, false), false);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            self.write(&straight);
        } else {
            same(&self.expect, &straight)
                .map_err(|why| format!("{}: straight: {why}", self.path.display()))?;
        }
        for shards in shards() {
            for batch in [1, 7, 1000] {
                for restore in [false, true] {
                    let answer = self.run((batch, shards, restore), false);
                    let way = format!("{shards} shards, epochs of {batch}, restored {restore}");
                    same(&straight, &answer)
                        .map_err(|why| format!("{}: {way}: {why}", self.path.display()))?;
                }
            }
        }
        self.check_gathered(&straight)
    }

    /// With every rule at its home, as one over several resources: the same, but that the late lane names other places.
    fn check_gathered(&self, straight: &str) -> Result<(), String> {
        let kept = |answer: &str| {
            let lines = answer.lines().filter(|line| !line.contains(" late "));
            lines.map(|line| format!("{line}\n")).collect::<String>()
        };
        for way in [(1000, 1, false), (7, 3, true), (1, 8, true)] {
            let answer = self.run(way, true);
            same(&kept(straight), &kept(&answer))
                .map_err(|why| format!("{}: gathered {way:?}: {why}", self.path.display()))?;
        }
        Ok(())
    }

    fn write(&self, answer: &str) {
        let mut text = self.about.clone();
        if !self.options.is_empty() {
            text.push_str("=== options\n");
            self.options
                .iter()
                .for_each(|(name, value)| text.push_str(&format!("{name} {value}\n")));
        }
        text.push_str(&format!(
            "=== rules\n{}=== events\n{}=== expect\n{answer}",
            self.rules, self.events
        ));
        std::fs::write(&self.path, text).expect("a case can be written");
    }
}

/// Numbers of shards to run with: `CASE_SHARDS=1` leaves the others out.
fn shards() -> Vec<u32> {
    let wanted = std::env::var("CASE_SHARDS").ok();
    let wanted = wanted.map(|list| list.split(',').filter_map(|n| n.parse().ok()).collect());
    wanted.unwrap_or_else(|| vec![1, 2, 3, 8])
}

fn same(expected: &str, got: &str) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let (mut a, mut b) = (expected.lines(), got.lines());
    for number in 1.. {
        match (a.next(), b.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => {
                return Err(format!(
                    "line {number}\n  expected {}\n  got      {}",
                    a.unwrap_or("nothing"),
                    b.unwrap_or("nothing")
                ));
            }
        }
    }
    Err("the answers differ in line ends".into())
}
