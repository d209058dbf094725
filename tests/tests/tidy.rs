//! Rules of the house that a machine can keep: crate edges, sizes, module docs, no circles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// What each crate may depend on, complete. A new edge needs a paragraph in ARCHITECTURE.md.
const EDGES: [(&str, &[&str]); 7] = [
    ("tidegate-proto", &[]),
    ("tidegate-scripts", &["tidegate-proto"]),
    (
        "tidegate-operators",
        &["tidegate-proto", "tidegate-scripts"],
    ),
    ("tidegate-actors", &["tidegate-proto", "tidegate-operators"]),
    (
        "tidegate",
        &[
            "tidegate-proto",
            "tidegate-scripts",
            "tidegate-operators",
            "tidegate-actors",
        ],
    ),
    (
        "tidegate-tests",
        &[
            "tidegate-proto",
            "tidegate-scripts",
            "tidegate-operators",
            "tidegate-actors",
            "tidegate",
        ],
    ),
    (
        "tidegate-benches",
        &[
            "tidegate-proto",
            "tidegate-scripts",
            "tidegate-operators",
            "tidegate-actors",
            "tidegate",
        ],
    ),
];

/// Heavy crates and who alone may have them.
const HEAVY: [(&str, &[&str]); 8] = [
    ("rhai", &["tidegate-scripts"]),
    ("actix", &["tidegate-actors", "tidegate"]),
    ("fjall", &["tidegate"]),
    ("axum", &["tidegate", "tidegate-tests"]),
    ("tokio", &["tidegate", "tidegate-tests", "tidegate-benches"]),
    ("reqwest", &["tidegate", "tidegate-tests"]),
    ("clap", &["tidegate"]),
    (
        "rdkafka",
        &["tidegate", "tidegate-tests", "tidegate-benches"],
    ),
];

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 60;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a member of the workspace")
        .to_path_buf()
}

fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let members = [
        "proto",
        "scripts",
        "operators",
        "actors",
        "engine",
        "tests",
        "benches",
    ];
    let mut folders: Vec<PathBuf> = members.iter().map(|member| root().join(member)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a source folder can be read") {
            let path = entry.expect("an entry can be read").path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).expect("a source file can be read");
                found.push((path, text));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn crates_keep_to_their_edges() {
    let metadata = cargo_metadata::MetadataCommand::new()
        .manifest_path(root().join("Cargo.toml"))
        .no_deps()
        .other_options(["--offline".to_owned()])
        .exec()
        .expect("cargo metadata answers");
    let edges: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let name = package.name.as_str();
        let Some(allowed) = edges.get(name) else {
            wrong.push(format!("{name} is no member that ARCHITECTURE.md knows"));
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .map(|dependency| dependency.name.as_str())
        {
            if dependency.starts_with("tidegate") && !allowed.contains(&dependency) {
                wrong.push(format!("{name} must not depend on {dependency}"));
            }
            if let Some((_, owners)) = HEAVY.iter().find(|(heavy, _)| *heavy == dependency)
                && !owners.contains(&name)
            {
                wrong.push(format!("{name} must not bring in {dependency}"));
            }
        }
    }
    assert_eq!(metadata.packages.len(), EDGES.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The files that may hold `unsafe`, and nothing else: the batch call of librdkafka, in the program and in the yardstick.
const UNSAFE: [&str; 2] = [
    "benches/src/bin/tidegate-bench/consumer.rs",
    "engine/src/log/kafka/batch.rs",
];

#[test]
fn unsafe_stays_where_it_is() {
    let word = ["un", "safe_code"].concat();
    let holders: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| text.contains(&word))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(holders, UNSAFE.map(|path| root().join(path)));
}

#[test]
fn files_are_small_and_say_what_they_own() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            wrong.push(format!(
                "{}: {lines} lines, at most {FILE_LINES}",
                path.display()
            ));
        }
        if !text.starts_with("//!") {
            wrong.push(format!("{}: does not open with `//!`", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether a line begins a function, in formatted code.
fn begins_function(line: &str) -> bool {
    let heads = [
        "fn ",
        "pub fn ",
        "pub(crate) fn ",
        "pub(super) fn ",
        "async fn ",
        "pub async fn ",
        "pub(super) async fn ",
        "const fn ",
        "pub const fn ",
    ];
    heads.iter().any(|head| line.starts_with(head))
}

/// Lines of code in each function's body: no blank lines, no comments. Formatted code closes a body at its own depth.
fn bodies(text: &str) -> Vec<(usize, usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, usize, String, Option<usize>)> = None;
    for (number, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let depth = line.len() - code.len();
        match &mut open {
            None if begins_function(code) && !code.ends_with(';') && !code.ends_with('}') => {
                let body = code.ends_with('{').then_some(0);
                open = Some((number + 1, depth, code.to_owned(), body));
            }
            None => {}
            // Still the signature: of a trait's method it ends without a body.
            Some((_, _, _, body @ None)) if code.ends_with('{') => *body = Some(0),
            Some((_, _, _, None)) if code.ends_with(';') => open = None,
            Some((_, _, _, None)) => {}
            Some((from, of, name, Some(lines))) if depth == *of && code.starts_with('}') => {
                found.push((*from, *lines, name.clone()));
                open = None;
            }
            Some((_, _, _, Some(lines))) => {
                *lines += usize::from(!code.is_empty() && !code.starts_with("//"));
            }
        }
    }
    found
}

#[test]
fn functions_are_short() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let long = bodies(&text)
            .into_iter()
            .filter(|(_, lines, _)| *lines > FUNCTION_LINES);
        wrong.extend(long.map(|(line, lines, name)| {
            format!("{}:{line}: {lines} lines: {name}", path.display())
        }));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_no_drawers() {
    let drawers: BTreeSet<&str> = [
        "util", "utils", "common", "helper", "helpers", "misc", "shared",
    ]
    .into();
    for (path, _) in sources() {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let folder = path
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        assert!(
            !drawers.contains(stem) && !drawers.contains(folder),
            "{} is a drawer",
            path.display()
        );
    }
}

#[test]
fn actix_stays_in_its_files() {
    for (path, text) in sources() {
        let allowed = path.ends_with("actors/src/host.rs")
            || path.starts_with(root().join("engine/src/runtime"))
            || path.ends_with("engine/src/runtime.rs")
            || path.ends_with("tests/tests/tidy.rs");
        let uses =
            text.contains("use actix") || text.contains("actix::") || text.contains("actix_rt::");
        assert!(allowed || !uses, "{} uses actix", path.display());
    }
}
