//! What a person types: the tour of `README.md`, command by command as it is pasted, and what is told of mistakes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tidegate_tests::process::{Process, client, program};

/// Longest wait for something that must be printed.
const PATIENCE: Duration = Duration::from_secs(20);

/// What each command of the tour prints; a command that is not listed here fails the test.
const PRINTS: &[(&str, &[&str])] = &[
    ("cat > hot.yaml", &[]),
    (
        "tidegate apply -f hot.yaml --dry-run",
        &["rule/too-hot created (dry run)"],
    ),
    (
        "tidegate apply -f hot.yaml",
        &["rule/too-hot created (revision 1)"],
    ),
    ("curl", &[r#"{"accepted":1}"#]),
    (
        "tidegate tail alarms --from earliest --stop-at-end",
        &[
            r#""rule":"too-hot""#,
            r#""resource":"boiler-1""#,
            r#""kind":"raised""#,
            r#""severity":"MAJOR""#,
            "mean 95.5 °C",
        ],
    ),
    ("tidegate get resources", &["boiler-1", "boiler", "yes"]),
    (
        "tidegate describe rule too-hot",
        &[
            "Name:        too-hot",
            "Enabled:     yes",
            "Tasks:       1, 1 raised",
            "Plan:",
            "rows of resources of type `boiler`",
        ],
    ),
    (
        "tidegate describe task too-hot/boiler-1",
        &[
            "Id:          too-hot/boiler-1",
            "Status:      raised",
            "Health:      ok",
            "raised  MAJOR",
        ],
    ),
    ("cat > events.ndjson", &[]),
    (
        "tidegate replay -f hot.yaml --events events.ndjson",
        &[
            r#""kind":"raised""#,
            "mean 95.0 °C",
            r#""kind":"cleared""#,
            "mean 82.5 °C",
            r#""cause":["line:2"]"#,
        ],
    ),
    (
        "tidegate why",
        &[
            r#"{"answer":"fired","rule":"too-hot""#,
            r#""operands":[95.5,90"#,
        ],
    ),
    ("alias", &[]),
];

/// Commands of the section `Five minutes`, each with the document that follows it.
fn commands() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(readme).unwrap();
    let tour = text.split("\n## Five minutes\n").nth(1).unwrap();
    let tour = tour.split("\n## ").next().unwrap();
    let mut commands = Vec::new();
    // Between fences lie text and code by turns.
    for block in tour.split("```").skip(1).step_by(2) {
        let mut lines = block.strip_prefix("sh\n").unwrap().lines();
        while let Some(line) = lines.next() {
            let mut command = line.to_owned();
            if let Some((_, word)) = line.split_once("<<") {
                let word = word.trim_matches('\'');
                for line in lines.by_ref() {
                    command = format!("{command}\n{line}");
                    if line == word {
                        break;
                    }
                }
            }
            commands.push(command);
        }
    }
    commands
}

/// A terminal in a folder of its own.
struct Terminal {
    folder: PathBuf,
    /// What was aliased.
    aliases: String,
    server: String,
}

impl Terminal {
    fn paste(&self, command: &str) -> String {
        let address = self.server.strip_prefix("http://").unwrap();
        let command = command.replace("localhost:7878", address);
        let output = Command::new("bash")
            .arg("-c")
            .arg(format!(
                "shopt -s expand_aliases\n{}\n{command}\n",
                self.aliases
            ))
            .current_dir(&self.folder)
            .env("TIDEGATE_SERVER", &self.server)
            .output()
            .expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "`{command}` failed: {}: {said}",
            output.status
        );
        String::from_utf8(output.stdout).unwrap()
    }

    /// Pastes until everything is printed: an event is answered when it is on the disk, its alarm comes a moment later.
    fn paste_until(&self, command: &str, words: &[&str]) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let printed = self.paste(command);
            match words.iter().find(|word| !printed.contains(**word)) {
                None => return printed,
                Some(word) => assert!(
                    Instant::now() < deadline,
                    "`{command}` does not print `{word}`:\n{printed}"
                ),
            }
        }
    }
}

/// Pastes the whole tour; answers the alarms that it printed.
fn paste_the_tour(terminal: &mut Terminal) -> String {
    let built = program().display().to_string();
    let mut alarms = String::new();
    let mut pasted = 0;
    for command in commands() {
        // These two are what the test has done by itself.
        if command.starts_with("cargo build") || command.contains("tidegate serve") {
            continue;
        }
        if command.starts_with("alias ") {
            terminal.aliases = command.replace("./target/release/tidegate", &built);
        }
        let (_, words) = PRINTS
            .iter()
            .find(|(begin, _)| command.starts_with(begin))
            .unwrap_or_else(|| panic!("nobody says what `{command}` prints"));
        // What changes something is pasted once, what looks may look again.
        let looks = command.starts_with("tidegate") && !command.contains(" apply ");
        let printed = if looks {
            terminal.paste_until(&command, words)
        } else {
            terminal.paste(&command)
        };
        for word in *words {
            assert!(
                printed.contains(word),
                "`{command}` does not print `{word}`:\n{printed}"
            );
        }
        if command.contains("tail alarms") {
            alarms = printed;
        }
        pasted += 1;
    }
    assert_eq!(
        pasted,
        PRINTS.len(),
        "the tour has lost or gained a command"
    );
    alarms
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tour_of_the_readme_prints_what_it_promises() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("tidegate-data");
    let client = client();
    let mut engine = Process::start(&data, &[]);
    engine.ready(&client).await;
    let mut terminal = Terminal {
        folder: folder.path().to_owned(),
        aliases: String::new(),
        server: engine.url.clone(),
    };
    let alarms = paste_the_tour(&mut terminal);
    assert_eq!(alarms.lines().count(), 1, "{alarms}");

    // "Kill it and start it again: nothing is lost, nothing is said twice."
    engine.kill();
    let mut engine = Process::start(&data, &[]);
    engine.ready(&client).await;
    terminal.server.clone_from(&engine.url);
    let status = terminal.paste("tidegate describe task too-hot/boiler-1");
    assert!(status.contains("Status:      raised"), "{status}");
    // Whatever would be said twice stands before the answer to a new event.
    let event = r#"{"resource":"boiler-1","values":{"temperature":96}}"#;
    terminal.paste(&format!("curl -sf localhost:7878/v1/events -d '{event}'"));
    terminal.paste_until("tidegate get resource boiler-1 -o json", &["\"events\": 2"]);
    let again = terminal.paste("tidegate tail alarms --from earliest --stop-at-end");
    assert_eq!(again, alarms);

    let shards = terminal.paste("tidegate get shards");
    assert!(shards.starts_with("SHARD   EPOCH"), "{shards}");
    assert_eq!(shards.lines().count(), 5, "{shards}");
    let letters = terminal.paste("tidegate dlq list");
    assert_eq!(letters.lines().count(), 1, "{letters}");
    let late = terminal.paste("tidegate tail late --stop-at-end");
    assert_eq!(late, "");
    let settings = terminal.paste("tidegate config show --origin");
    assert!(settings.contains("partitions = 4"), "{settings}");
    assert!(engine.stop().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_wrong_is_told_at_once_and_nothing_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut engine = Process::start(&folder.path().join("data"), &[]);
    engine.ready(&client()).await;
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let documents = folder.path().join("rules");
    std::fs::create_dir(&documents).unwrap();
    let write = |name: &str, text: &str| std::fs::write(documents.join(name), text).unwrap();
    write(
        "a.yaml",
        "kind: Rule\nname: good\nfor: all\nwhen: t > 1.0\nthen: [ { log: { text: x } } ]\n",
    );
    write(
        "b.yaml",
        "kind: Rule\nname: bad\nfor: all\nwhne: t > 1.0\nthen:\n  - alarm: { severty: MAJOR }\n",
    );
    write(
        "c.yaml",
        "kind: Rule\nname: worse\nfor: all\nwhen: avgg(t, \"1m\") > 1.0\nthen: [ { log: { text: x } } ]\n",
    );
    let folder = documents.display().to_string();
    let output = engine.ask(&["apply", "-f", &folder]);
    assert_eq!(output.status.code(), Some(1));
    let problems = said(&output);
    for wanted in [
        "b.yaml:4:1: rule bad: whne: unknown field `whne` (did you mean `when`?)",
        "b.yaml:6:12: rule bad: then[0].alarm: `severity` is missing",
        "b.yaml:6:14: rule bad: then[0].alarm.severty: unknown field `severty` (did you mean `severity`?)",
        "c.yaml:4:",
        "did you mean `avg`?",
    ] {
        assert!(problems.contains(wanted), "{wanted} is not in\n{problems}");
    }
    assert!(!problems.contains("a.yaml"), "{problems}");
    let rules = engine.ask(&["get", "rules", "-o", "name"]);
    assert_eq!((rules.status.code(), rules.stdout.len()), (Some(0), 0));
    for command in [
        ["get", "resource", "nobody"],
        ["describe", "resource", "nobody"],
        ["get", "rule", "none"],
        ["describe", "task", "none/nobody"],
        ["delete", "resource", "nobody"],
    ] {
        let output = engine.ask(&command);
        assert_eq!(
            output.status.code(),
            Some(3),
            "{command:?}: {}",
            said(&output)
        );
        assert!(said(&output).contains(command[2]), "{}", said(&output));
    }
}
