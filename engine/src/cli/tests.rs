//! What the command line prints and answers.

use clap::CommandFactory as _;

use super::*;

fn parse(words: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("tidegate").chain(words.iter().copied()))
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn what_the_design_names_is_taken() {
    for words in [
        "serve --data d --listen 127.0.0.1:1 --config f",
        "demo --data d",
        "apply -f a -f b --dry-run --server http://x",
        "apply -f -",
        "get rules -o json",
        "get resource b1 -o yaml",
        "get tasks --rule a -o name",
        "get shards -o table",
        "describe rule a",
        "delete rule a --revision 3",
        "enable rule a",
        "replay -f a --events - --batch 1 --shards 3 --ticks 1s --until 2026-01-01T00:00:00Z",
        "replay -f a --data d --from 2026-01-01T00:00:00Z --to 1767225600000",
        "tail alarms --from earliest --stop-at-end",
        "tail dlq --from 2026-01-01T00:00:00Z",
        "import waylay template.json",
        "dlq list",
        "dlq show 0:1",
        "dlq send 0:1 0:2",
        "config check --config f",
        "config show --origin",
    ] {
        let words: Vec<&str> = words.split(' ').collect();
        assert!(parse(&words).is_ok(), "{words:?}");
    }
}

#[test]
fn wrong_usage_is_told_with_exit_code_2() {
    for words in [
        &["serv"][..],
        &["get"],
        &["get", "windows"],
        &["apply"],
        &["tail", "everything"],
        &["replay", "-f", "a", "--batch", "0"],
        &["replay", "-f", "a", "--from", "2026-01-01T00:00:00Z"],
        &["replay", "-f", "a", "--ticks", "soon"],
    ] {
        assert_eq!(parse(words).unwrap_err().exit_code(), 2, "{words:?}");
    }
    let told = parse(&["serv"]).unwrap_err().to_string();
    assert!(told.contains("'serve'"), "{told}");
}

#[test]
fn settings_are_checked_and_shown() {
    let mut out = Vec::new();
    let cli = parse(&["config", "show", "--origin", "--data", "/x"]).unwrap();
    run(&cli.command, &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.lines()
            .any(|line| line.starts_with("data = \"/x\"") && line.ends_with("# --data")),
        "{text}"
    );

    let cli = parse(&["config", "check", "--listen", "0.0.0.0:1"]).unwrap();
    let failure = run(&cli.command, &mut Vec::new()).unwrap_err();
    assert_eq!(failure.exit, Exit::Usage);
    assert!(failure.message.contains("--listen: listen: "), "{failure}");
}

#[test]
fn a_server_that_is_not_there_is_told_with_a_way_out() {
    // A port that was just free: bound, told its number, closed.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = format!("http://127.0.0.1:{port}");
    let cli = parse(&["get", "rules", "--server", &server]).unwrap();
    let failure = run(&cli.command, &mut Vec::new()).unwrap_err();
    assert_eq!(failure.exit, Exit::Failed);
    assert!(failure.message.contains("tidegate serve"), "{failure}");

    let cli = parse(&["get", "rules", "--server", "localhost"]).unwrap();
    assert_eq!(
        run(&cli.command, &mut Vec::new()).unwrap_err().exit,
        Exit::Usage
    );
    let cli = parse(&["tail", "results", "--from", "soon", "--server", &server]).unwrap();
    assert_eq!(
        run(&cli.command, &mut Vec::new()).unwrap_err().exit,
        Exit::Usage
    );
}
