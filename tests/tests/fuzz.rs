//! A few thousand mutated inputs; more with the program `fuzz`.

use tidegate_tests::fuzz::{Target, check};

#[test]
fn good_inputs_are_good() {
    for target in Target::ALL {
        assert!(target.corpus().len() > 1, "{target:?}");
        for input in target.corpus() {
            let held = target.holds(input);
            assert_eq!(
                held,
                Ok(()),
                "{target:?}: {}",
                String::from_utf8_lossy(input)
            );
        }
    }
}

#[test]
fn mutated_inputs_harm_nothing() {
    let failures: Vec<String> = (1_000_000..1_003_000)
        .filter_map(|seed| check(seed).err())
        .collect();
    assert!(
        failures.is_empty(),
        "{} failures:\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn a_seed_is_an_input() {
    use tidegate_tests::fuzz::mutated;
    use tidegate_tests::random::Random;
    let input = |seed| mutated(Target::Replay.corpus(), &mut Random::new(seed));
    assert_eq!(input(7), input(7));
    assert!((0..100).any(|seed| input(seed) != input(seed + 1)));
}
