//! Scripts that want to harm: each is refused or stopped by a counted budget, with the same error at every run.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use tidegate_proto::{FormulaText, Mark, Value};
use tidegate_scripts::{Column, Fault, Formula, FormulaContext};

fn compile(source: &str) -> Result<Formula, String> {
    let text = FormulaText {
        source: source.into(),
        path: "when".into(),
        mark: Mark { line: 1, column: 1 },
    };
    Formula::compile(&text, FormulaContext::Condition)
        .map_err(|issues| issues.iter().map(|issue| issue.problem.clone()).collect())
}

/// What becomes of a script: `refused`, `stopped` by a budget, `failed` by its author's fault, `ended` with a value.
fn fate(source: &str) -> (&'static str, String) {
    let formula = match compile(source) {
        Ok(formula) => formula,
        Err(problems) => return ("refused", problems),
    };
    let text = Value::text(&"x".repeat(1000));
    let values: Vec<Value> = formula.slots().iter().map(|_| text.clone()).collect();
    match formula.evaluate_row(&values) {
        Ok(value) => ("ended", value.to_string()),
        Err(error) => match error.fault() {
            Fault::Budget => ("stopped", error.to_string()),
            Fault::Author => ("failed", error.to_string()),
            Fault::WallClock | Fault::Ours => ("broken", error.to_string()),
        },
    }
}

/// Scripts that run until a budget stops them.
const STOPPED: [&str; 51] = [
    // Endless loops.
    "loop { }",
    "while true { }",
    "loop { loop { } }",
    "do { } while true",
    "do { } until false",
    "let x = 0; loop { x += 1; }",
    "let x = 0; while x >= 0 { x += 1 }",
    "for i in 0..9223372036854775807 { }",
    "for i in 0..1000000 { for j in 0..1000000 { } }",
    "loop { continue; }",
    "loop { try { throw 1; } catch { } }",
    "try { loop { } } catch { 1 }",
    "let a = true; while a { a = !false }",
    "loop { if true { } else { break } }",
    "let x = 1; loop { let x = x; }",
    // Endless recursion.
    "fn f() { f() } f()",
    "fn f(n) { f(n + 1) } f(0)",
    "fn f(n) { g(n) } fn g(n) { f(n) } f(0)",
    "fn f(n) { f(n) + f(n) } f(0)",
    "fn f(n) { 1 + f(f(n)) } f(0)",
    "fn f(n) { if n > 0 { f(n) } else { f(n) } } f(1)",
    "fn f() { try { f() } catch { f() } } f()",
    "fn f(n) { if n == 0 { 0 } else { f(n - 1) + f(n - 1) } } f(14)",
    // Texts that grow.
    "let s = \"ab\"; loop { s += s; }",
    "let s = \"ab\"; loop { s = s + s; }",
    "let s = \"ab\"; loop { s = `${s}${s}`; }",
    "let s = \"ab\"; for i in 0..40 { s += s } s",
    "let s = name; loop { s = concat(s, s) }",
    "let s = \"é\"; loop { s = s + \"💥\" + s }",
    "let s = name; let t = s; loop { t = to_upper(t) + s }",
    // Lists and maps that grow.
    "let a = []; loop { a.push(1) }",
    "let a = [1]; loop { a += a }",
    "let a = [1, 2]; loop { a = [a, a] }",
    "let a = [0]; loop { a.insert(0, a) }",
    "let a = [name]; loop { a.append(a) }",
    "let m = #{}; let i = 0; loop { m[to_text(i)] = i; i += 1 }",
    "let m = #{}; let i = 0; loop { m[to_text(i)] = name; i += 1 }",
    "let m = #{}; let i = 0; let big = name + name; loop { m[to_text(i)] = big + i; i += 1 }",
    "let m = #{a: 1}; loop { m = #{a: m, b: m} }",
    "let a = [[1, 2, 3], [4, 5, 6]]; let m = #{}; let i = 0; loop { m[to_text(i)] = a; i += 1 }",
    // Work that is dear for its size.
    "let s = name; loop { len(s.replace(\"x\", \"yy\")) }",
    "let a = []; for i in 0..1000 { a.push(name) } loop { a; }",
    "let a = []; for i in 0..1000 { a.push(i) } loop { a == a; }",
    "let a = []; for i in 0..1000 { a.push(i) } loop { a.contains(-1) }",
    "let a = []; for i in 0..1000 { a.push(i) } loop { a.reverse() }",
    "let a = []; for i in 0..1000 { a.push(i) } loop { a.insert(0, a.pop()) }",
    "let a = []; for i in 0..1000 { a.push(i) } loop { for x in a { } }",
    "let a = []; for i in 0..1000 { a.push(i) } fn f(x) { 1 } loop { f(a) }",
    "let a = []; for i in 0..1000 { a.push(name) } loop { join(a, \"\") }",
    "let a = []; for i in 0..400 { a.push(i) } a.push(a); loop { a[400] == a[400]; }",
    "let m = #{}; for i in 0..2000 { m[to_text(i)] = i } loop { len(m) }",
];

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
