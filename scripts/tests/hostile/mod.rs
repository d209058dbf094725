//! The scripts that run until a budget stops them, and how one is run.

use tidegate_proto::{FormulaText, Mark, Value};
use tidegate_scripts::{Fault, Formula, FormulaContext};

/// Compiles a script as a condition.
pub(crate) fn compile(source: &str) -> Result<Formula, String> {
    let text = FormulaText {
        source: source.into(),
        path: "when".into(),
        mark: Mark { line: 1, column: 1 },
    };
    Formula::compile(&text, FormulaContext::Condition)
        .map_err(|issues| issues.iter().map(|issue| issue.problem.clone()).collect())
}

/// What becomes of a script: `refused`, `stopped` by a budget, `failed` by its author's fault, `ended` with a value.
pub(crate) fn fate(source: &str) -> (&'static str, String) {
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
pub(crate) const STOPPED: [&str; 51] = [
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
