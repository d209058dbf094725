//! Mistakes that people make in rules, and every line that is told about them, as data: `mistakes/*.txt`.
//!
//! ```text
//! ### what it shows
//! when: x AND y
//! > 4:9: rule r: when: …
//! ```
//!
//! A text without `kind:` stands behind `kind: Rule`, `name: r` and `for: all` (three lines; without `for: all` if it has a
//! `for` or a `join` of its own). `UPDATE_GOLDEN=1` writes what is told into the files.

use std::fmt::Write as _;
use std::path::Path;

use tidegate_operators::check;

fn whole(text: &str) -> String {
    if text.starts_with("kind:") {
        return text.to_owned();
    }
    let own = text.starts_with("for:") || text.starts_with("join:");
    let selector = if own { "" } else { "for: all\n" };
    format!("kind: Rule\nname: r\n{selector}{text}")
}

fn told(text: &str) -> String {
    let issues = check(&whole(text)).err().unwrap_or_default();
    let mut out = String::new();
    for issue in issues {
        let _ = writeln!(out, "> {issue}");
    }
    out
}

#[test]
fn mistakes_are_told_all_at_once_with_their_places_and_how_to_mend_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes");
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let golden = std::fs::read_to_string(&path).unwrap();
        let mut now = String::new();
        for block in format!("\n{golden}").split("\n### ").skip(1) {
            let (title, rest) = block.split_once('\n').unwrap();
            let lines = rest.lines();
            let text = lines.filter(|line| !line.starts_with("> "));
            let text = text.collect::<Vec<_>>().join("\n");
            let told = told(text.trim_end());
            if told.is_empty() != title.ends_with("(right)") {
                wrong.push(format!("{title}: nothing or too much is told: {told}"));
            }
            let _ = write!(now, "### {title}\n{}\n{told}\n", text.trim_end());
            count += 1;
        }
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, now.trim_end().to_owned() + "\n").unwrap();
        } else if now.trim_end() != golden.trim_end() {
            for (now, before) in now.lines().zip(golden.lines()) {
                if now != before {
                    wrong.push(format!("{}:\n  {before}\n  {now}", path.display()));
                    break;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 10, "{count} mistakes are shown");
}

/// The rules of every scenario.
fn scenarios(folder: &Path, found: &mut Vec<(String, String)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            scenarios(&path, found)?;
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let rules = text.split("=== rules\n").nth(1).unwrap_or_default();
        let rules = rules.split("\n===").next().unwrap_or_default();
        found.push((path.display().to_string(), rules.to_owned()));
    }
    Ok(())
}

#[test]
fn nothing_is_told_of_what_is_right_also_beside_a_mistake() {
    let mut found = Vec::new();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/cases");
    scenarios(&cases, &mut found).unwrap();
    assert!(found.len() > 300, "{} scenarios", found.len());
    for (path, rules) in found {
        let right = check(&rules);
        assert!(right.is_ok(), "{path}: {:#?}", right.err());
        let broken = rules.replace("kind: Rule\n", "kind: Rule\nwibble: 1\n");
        let issues = check(&broken).err().unwrap_or_default();
        let other = issues
            .iter()
            .find(|issue| !issue.path.ends_with(": wibble"));
        assert!(other.is_none(), "{path}: {other:#?}");
    }
}
