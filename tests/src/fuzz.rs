//! Inputs made by mutating good ones, and what must hold for each: no panic, and the same answer however it is asked.
//!
//! An input is a function of its seed and of `data/fuzz`, so a failing seed fails again on every machine.

mod mutate;
mod target;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use mutate::mutated;
pub use target::Target;

use crate::random::Random;

/// Makes the input of a seed and checks it.
///
/// # Errors
/// The seed, its target, what does not hold, and the input.
pub fn check(seed: u64) -> Result<(), String> {
    let mut random = Random::new(seed);
    let target = Target::ALL[random.below(Target::ALL.len() as u64) as usize];
    let input = mutated(target.corpus(), &mut random);
    let held = catch_unwind(AssertUnwindSafe(|| target.holds(&input)));
    let wrong = match held {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(wrong)) => wrong,
        Err(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic".to_owned()),
    };
    let text = String::from_utf8_lossy(&input);
    Err(format!("seed {seed}: {target:?}: {wrong}\ninput: {text:?}"))
}
