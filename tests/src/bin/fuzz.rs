//! `cargo run --release -p tidegate-tests --bin fuzz -- [--seconds N | --inputs N] [--from SEED]`: mutated inputs, each a
//! function of its seed. The seed of a failure is printed; `--inputs 1 --from SEED` runs it again.
//!
//! The inputs run in a child, so that one that ends the process (a stack that is too small, memory) has a seed as well.

use std::io::{BufRead, BufReader, Write as _};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use tidegate_tests::fuzz::check;

/// Set in the child.
const CHILD: &str = "TIDEGATE_FUZZ_CHILD";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str| -> Option<u64> {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse().ok()
    };
    let from = number("--from").unwrap_or(1);
    let seconds = number("--seconds").map(Duration::from_secs);
    let inputs = number("--inputs").or(seconds.is_none().then_some(20_000));
    if std::env::var_os(CHILD).is_some() {
        return run(from, inputs, seconds);
    }
    let mut child = Command::new(std::env::current_exe().expect("a program knows where it is"))
        .args(&arguments[1..])
        .env(CHILD, "yes")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child can be started");
    let said = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut last = String::from("none");
    for line in said.lines().map_while(Result::ok) {
        match line.strip_prefix("at ") {
            Some(seed) => last = seed.to_owned(),
            None => println!("{line}"),
        }
    }
    let status = child.wait().expect("a child ends");
    if status.code().is_none_or(|code| code > 1) {
        println!("seed {last}: the process ended: {status}");
        return ExitCode::FAILURE;
    }
    ExitCode::from(u8::from(!status.success()))
}

/// Runs inputs; the seed of each is said before it runs.
fn run(from: u64, inputs: Option<u64>, seconds: Option<Duration>) -> ExitCode {
    std::panic::set_hook(Box::new(|_| {}));
    let begun = Instant::now();
    let mut out = std::io::stdout().lock();
    let (mut failed, mut count, mut longest) = (0_u32, 0_u64, (Duration::ZERO, from));
    while inputs.is_none_or(|inputs| count < inputs)
        && seconds.is_none_or(|seconds| begun.elapsed() < seconds)
        && failed < 20
    {
        let seed = from + count;
        writeln!(out, "at {seed}").expect("the parent listens");
        let before = Instant::now();
        if let Err(why) = check(seed) {
            writeln!(out, "{why}").expect("the parent listens");
            failed += 1;
        }
        longest = longest.max((before.elapsed(), seed));
        count += 1;
    }
    writeln!(
        out,
        "{count} inputs from {from} in {:?}: {failed} failed; the longest took {:?} (seed {})",
        begun.elapsed(),
        longest.0,
        longest.1
    )
    .expect("the parent listens");
    ExitCode::from(u8::from(failed > 0))
}
