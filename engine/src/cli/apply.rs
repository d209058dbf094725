//! `apply`: documents of files to the engine, all checked before the first is brought in force.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use super::arguments::{ApplyArguments, Output};
use super::client::Client;
use super::failure::{Exit, Failure};
use super::{print, yaml};

/// What a folder is searched for.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A file with documents.
pub(super) struct Source {
    /// As it is called in messages.
    pub(super) name: String,
    /// What stands in it.
    pub(super) text: String,
}

/// Runs `apply`.
pub(super) async fn run(arguments: &ApplyArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::new(&arguments.client.server)?;
    let sources = read(&arguments.files)?;
    let mut outcomes = send(&client, &sources, true).await?;
    if !arguments.dry_run {
        outcomes = send(&client, &sources, false).await?;
    }
    print(&outcomes, arguments, out)?;
    Ok(())
}

/// Sends all files; the problems of all of them are told together.
async fn send(client: &Client, sources: &[Source], dry_run: bool) -> Result<Vec<Value>, Failure> {
    let mut outcomes = Vec::new();
    let mut problems: Vec<String> = Vec::new();
    let mut exit = None;
    for source in sources {
        let request = client
            .request(
                Method::POST,
                if dry_run {
                    "/v1/apply?dryRun=true"
                } else {
                    "/v1/apply"
                },
            )
            .header("content-type", "application/yaml")
            .body(source.text.clone());
        match client.send(request).await? {
            Ok(response) => {
                let mut body: Value = response
                    .json()
                    .await
                    .map_err(|error| Failure::new(error.to_string()))?;
                if let Some(Value::Array(items)) = body.get_mut("items").map(Value::take) {
                    outcomes.extend(items);
                }
            }
            Err(refused) => {
                exit.get_or_insert(refused.exit);
                if refused.told.errors.is_empty() {
                    problems.push(format!("{}: {}", source.name, refused.told.detail));
                }
                problems.extend(
                    refused
                        .told
                        .errors
                        .iter()
                        .map(|error| error.at(&source.name)),
                );
                if !dry_run {
                    break;
                }
            }
        }
    }
    match exit {
        None => Ok(outcomes),
        Some(exit) => Err(Failure {
            exit,
            message: problems.join("\n"),
        }),
    }
}

fn print(
    outcomes: &[Value],
    arguments: &ApplyArguments,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    match arguments.client.output {
        Output::Json => writeln!(out, "{:#}", json!({ "items": outcomes })),
        Output::Yaml => out.write_all(yaml::text(&json!({ "items": outcomes })).as_bytes()),
        output => outcomes.iter().try_for_each(|outcome| {
            let name = format!(
                "{}/{}",
                print::field(outcome, "kind"),
                print::field(outcome, "name")
            );
            if output == Output::Name {
                return writeln!(out, "{name}");
            }
            let word = print::field(outcome, "outcome");
            if arguments.dry_run {
                writeln!(out, "{name} {word} (dry run)")
            } else {
                writeln!(
                    out,
                    "{name} {word} (revision {})",
                    print::field(outcome, "revision")
                )
            }
        }),
    }
}

/// Reads files, folders and standard input.
pub(super) fn read(files: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut sources = Vec::new();
    for file in files {
        if file.is_dir() {
            for file in files_of(file)? {
                sources.push(read_one(&file)?);
            }
        } else {
            sources.push(read_one(file)?);
        }
    }
    Ok(sources)
}

fn read_one(file: &Path) -> Result<Source, Failure> {
    let name = file.display().to_string();
    let failed = |error: std::io::Error| Failure {
        exit: Exit::Usage,
        message: format!("cannot read `{name}`: {error}"),
    };
    let text = if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .read_to_string(&mut text)
            .map_err(failed)?;
        text
    } else {
        std::fs::read_to_string(file).map_err(failed)?
    };
    let name = if name == "-" {
        "<stdin>".to_owned()
    } else {
        name
    };
    Ok(Source { name, text })
}

/// Files with documents of a folder, by name; folders in it are left out.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::usage(format!("cannot read `{}`: {error}", folder.display()))
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let ending = path
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        if path.is_file() && ENDINGS.contains(&ending) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::usage(format!(
            "`{}` has no .yaml, .yml or .json files",
            folder.display()
        )));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::ToldItem;

    #[test]
    fn problems_print_like_a_compilers() {
        let mut item = ToldItem {
            path: "rule a: when".into(),
            line: 3,
            column: 7,
            detail: "unknown".into(),
            hint: "did you mean `avg`?".into(),
        };
        assert_eq!(
            item.at("rules.yaml"),
            "rules.yaml:3:7: rule a: when: unknown (did you mean `avg`?)"
        );
        item = ToldItem {
            detail: "empty".into(),
            ..ToldItem::default()
        };
        assert_eq!(item.at("<stdin>"), "<stdin>: empty");
    }

    #[test]
    fn folders_are_read_in_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("b.yaml", "2"),
            ("a.json", "1"),
            ("notes.txt", "x"),
            ("c.yml", "3"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let texts: Vec<String> = read(&[folder.path().to_owned()])
            .unwrap()
            .into_iter()
            .map(|s| s.text)
            .collect();
        assert_eq!(texts, ["1", "2", "3"]);
        let missing = read(&[folder.path().join("none.yaml")]).err().unwrap();
        assert_eq!(missing.exit, Exit::Usage);
    }

    #[test]
    fn outcomes_print_one_per_line() {
        use clap::Parser as _;
        let outcomes = [
            json!({ "kind": "rule", "name": "a", "outcome": "created", "revision": 1, "parts": [] }),
            json!({ "kind": "resource", "name": "b1", "outcome": "unchanged", "revision": 4, "parts": [] }),
        ];
        let printed = |flags: &[&str]| {
            let words = ["tidegate", "apply", "-f", "x"].iter().chain(flags);
            let crate::cli::arguments::Command::Apply(arguments) =
                crate::cli::Cli::try_parse_from(words).unwrap().command
            else {
                panic!("not apply");
            };
            let mut out = Vec::new();
            print(&outcomes, &arguments, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            printed(&[]),
            "rule/a created (revision 1)\nresource/b1 unchanged (revision 4)\n"
        );
        assert_eq!(
            printed(&["--dry-run"]),
            "rule/a created (dry run)\nresource/b1 unchanged (dry run)\n"
        );
        assert_eq!(printed(&["-o", "name"]), "rule/a\nresource/b1\n");
    }
}
