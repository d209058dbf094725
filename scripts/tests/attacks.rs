//! Scripts that want to harm: each is refused or stopped by a counted budget, with the same error at every run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

mod hostile;

use hostile::{STOPPED, compile, fate};
use tidegate_proto::Value;
use tidegate_scripts::{Column, Fault};

/// Scripts that never run.
const REFUSED: [&str; 27] = [
    "eval(\"1 + 1\")",
    "let e = eval; e(\"1\")",
    "import \"os\" as os; os::exit()",
    "export let x = 1;",
    "print(\"x\")",
    "debug(\"x\")",
    "sleep(10)",
    "timestamp()",
    "let f = |x| x + 1; f.call(1)",
    "let f = Fn(\"f\"); f.call()",
    "let f = |f| f.call(f); f.call(f)",
    "call(1)",
    "curry(1)",
    "is_def_var(\"x\")",
    "this.x",
    "rand()",
    "open(\"/etc/passwd\")",
    "env(\"PATH\")",
    "fn avg(x) { x } avg(1)",
    "fn f(x) { temperature } f(1)",
    "x = 1; x",
    "meta.line = \"a\"",
    "switch x { 1 => 2, _ => 3 }",
    "let a = [1]; a.fill(1, 1000000000)",
    "let a = [1]; a.pad(1000000000, 1)",
    "a::b::c()",
    "let x = 1; { loop { x } } fn",
];

#[test]
fn what_runs_on_is_stopped_by_a_budget_at_the_same_place() {
    for source in STOPPED {
        let first = fate(source);
        assert_eq!(first.0, "stopped", "{source}: {first:?}");
        assert_eq!(fate(source), first, "{source}");
    }
}

#[test]
fn what_reaches_outside_is_refused() {
    for source in REFUSED {
        let first = fate(source);
        assert_eq!(first.0, "refused", "{source}: {first:?}");
        assert!(!first.1.is_empty(), "{source}");
        assert_eq!(fate(source), first, "{source}");
    }
}

#[test]
fn sources_that_are_too_large_or_too_deep_are_refused() {
    let nested = |open: &str, close: &str, times: usize| {
        format!("{}1{}", open.repeat(times), close.repeat(times))
    };
    for (name, source) in [
        ("long", format!("1{}", " + 1".repeat(20_000))),
        ("huge", "x".repeat(100_000)),
        ("chain", format!("1{}", " + 1".repeat(2000))),
        (
            "and",
            format!("a{}{}", " && (a".repeat(500), ")".repeat(500)),
        ),
        ("parentheses", nested("(", ")", 10_000)),
        ("lists", nested("[", "]", 10_000)),
        ("blocks", nested("{", "}", 10_000)),
        ("negations", format!("{}1", "-".repeat(10_000))),
        ("nots", format!("{}true", "!".repeat(10_000))),
        ("calls", nested("abs(", ")", 5000)),
        ("ifs", nested("if true {", "}", 2000)),
        ("dots", format!("a{}", ".b".repeat(20_000))),
        ("brackets", format!("a{}", "[0]".repeat(10_000))),
        ("text", format!("\"{}\"", "x".repeat(20_000))),
        ("list literal", format!("[{}]", "1,".repeat(5000))),
        (
            "functions",
            (0..100)
                .map(|n| format!("fn f{n}() {{ 1 }} "))
                .collect::<String>()
                + "f0()",
        ),
        ("interpolation", nested("`${", "}`", 1000)),
        ("unicode", "\u{202e}".repeat(1000)),
        (
            "variables",
            (0..100)
                .map(|n| format!("let v{n} = 1; "))
                .collect::<String>()
                + "1",
        ),
    ] {
        let first = fate(&source);
        assert!(
            matches!(first.0, "refused" | "stopped"),
            "{name}: {first:?}"
        );
        assert_eq!(fate(&source), first, "{name}");
    }
}

#[test]
fn the_deepest_that_is_allowed_fits_a_small_stack() {
    // Sixteen levels of functions, each as deep as a function may be, on the stack of a worker's thread.
    let deep = format!("{}f(n){}", "(1 + ".repeat(9), ")".repeat(9));
    let source = format!("fn f(n) {{ if true {{ if true {{ {deep} }} }} }} f(1)");
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let fate = thread.spawn(move || fate(&source)).unwrap().join().unwrap();
    assert_eq!(fate.0, "stopped", "{fate:?}");
    assert!(fate.1.contains("too deeply"), "{fate:?}");
}

#[test]
fn one_bad_row_does_not_harm_the_next() {
    let formula = compile("if n == 2 { loop { } } let a = []; a.push(n); a.len() + n").unwrap();
    let column = Column::from_values((0..4).map(|n| Value::Number(f64::from(n))).collect());
    let evaluated = formula.evaluate(&[column], 4);
    assert_eq!(evaluated.errors.len(), 1);
    assert_eq!(evaluated.errors[0].0, 2);
    assert_eq!(evaluated.errors[0].1.fault(), Fault::Budget);
    let values: Vec<Value> = (0..4).map(|row| evaluated.column.value(row)).collect();
    assert_eq!(
        values,
        [
            Value::Number(1.0),
            Value::Number(2.0),
            Value::Missing,
            Value::Number(4.0)
        ]
    );
}

#[test]
fn shadowing_and_odd_names_stay_inside() {
    for (source, wanted) in [
        ("let temperature = 1; temperature + 1", "2"),
        ("let avg = 3; avg", "3"),
        (
            "let time = 4; let y = { let time = 5; time }; y + time",
            "9",
        ),
        ("fn f(resource) { resource + 1 } f(1)", "2"),
        ("let x = 1; for x in 0..3 { } x", "1"),
    ] {
        let formula = compile(source).unwrap();
        assert!(formula.slots().is_empty(), "{source}");
        assert_eq!(
            formula.evaluate_row(&[]).unwrap().to_string(),
            wanted,
            "{source}"
        );
    }
}
