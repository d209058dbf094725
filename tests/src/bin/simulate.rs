//! `cargo run --release -p tidegate-tests --bin simulate -- --seeds 10000 [--from N]`: the simulation by hand.

use tidegate_tests::simulation::{Plan, run};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1))
            .and_then(|text| text.parse().ok())
            .unwrap_or(default)
    };
    let (from, seeds) = (number("--from", 0), number("--seeds", 500));
    let mut failed = 0;
    for seed in from..from + seeds {
        if let Err(why) = run(Plan::new(seed)) {
            eprintln!("{why}");
            failed += 1;
        }
    }
    println!("{} seeds from {from}: {failed} failed", seeds);
    std::process::exit(i32::from(failed > 0));
}
