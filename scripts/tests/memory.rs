//! What each hostile script takes of memory, measured from outside: a process of its own per script, whose peak the
//! kernel counts. How long it takes is printed, not judged: that depends on the machine.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test says what went wrong by panicking, and what it measured by printing"
)]

mod hostile;

use std::process::Command;
use std::time::Instant;

use hostile::{STOPPED, compile, fate};

/// In a child: the number of the script that it runs.
const SCRIPT: &str = "TIDEGATE_HOSTILE_SCRIPT";
/// What the child says in front of its figures.
const FIGURES: &str = "figures: ";
const MOST_KIB: u64 = 16 << 10;

/// Peak resident memory of this process since it was last reset, in KiB.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let figure = line.unwrap().trim().strip_suffix(" kB").unwrap();
    figure.trim().parse().unwrap()
}

fn run_as_child(script: usize) {
    // What every formula needs once is there before the script.
    let simple = compile("1 + 1").unwrap();
    assert!(simple.evaluate_row(&[]).is_ok());
    // The peak begins anew where that is allowed; elsewhere the peak so far is as small as the process.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let before = peak_kib();
    let begun = Instant::now();
    let (fate, why) = fate(STOPPED.get(script).unwrap());
    let micros = begun.elapsed().as_micros();
    assert_eq!(fate, "stopped", "{why}");
    println!("{FIGURES}{} {micros}", peak_kib() - before);
}

#[test]
fn hostile_scripts_stay_within_16_mib() {
    if let Ok(script) = std::env::var(SCRIPT) {
        return run_as_child(script.parse().unwrap());
    }
    let mut all = Vec::new();
    for (number, source) in STOPPED.iter().enumerate() {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "hostile_scripts_stay_within_16_mib",
                "--exact",
                "--nocapture",
            ])
            .env(SCRIPT, number.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        let figures = said.lines().find_map(|line| line.split(FIGURES).nth(1));
        let figures = figures.unwrap_or_else(|| panic!("{source}: {said}"));
        let (kib, micros) = figures.split_once(' ').unwrap();
        let (kib, micros): (u64, u64) = (kib.parse().unwrap(), micros.parse().unwrap());
        assert!(kib <= MOST_KIB, "{source}: {kib} KiB");
        all.push((kib, micros, *source));
    }
    let largest = all.iter().max().unwrap();
    let slowest = all.iter().max_by_key(|(_, micros, _)| micros).unwrap();
    let beyond = all.iter().filter(|(_, micros, _)| *micros > 50_000).count();
    println!(
        "{} scripts; most memory: {} KiB for `{}`",
        all.len(),
        largest.0,
        largest.2
    );
    println!(
        "slowest: {} ms for `{}`; {beyond} beyond 50 ms",
        slowest.1 / 1_000,
        slowest.2
    );
}
