//! The program itself, as built beside the tests: it starts, says what it is, and refuses nonsense as a usage error.
//! Because of this file a `cargo test --workspace` builds the program, which the tests of real processes then use.

use std::process::Command;

#[test]
fn the_program_says_what_it_is() {
    let answer = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("--version")
        .output()
        .unwrap();
    assert!(answer.status.success());
    let text = String::from_utf8(answer.stdout).unwrap();
    assert!(text.contains(env!("CARGO_PKG_VERSION")), "{text}");
    let nonsense = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("dance")
        .output()
        .unwrap();
    assert_eq!(nonsense.status.code(), Some(2));
}
