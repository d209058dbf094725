//! Formulas as people write them: what they need, what they give, what is wrong with them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use std::sync::Arc;

use tidegate_proto::{FormulaText, Mark, Value};
use tidegate_scripts::{
    AliasScope, Fault, Formula, FormulaContext, Over, Slot, StreamFunction, Template,
    ThresholdOperator, catalogue,
};

fn text(source: &str) -> FormulaText {
    FormulaText {
        source: source.into(),
        path: "when".into(),
        mark: Mark { line: 7, column: 9 },
    }
}

fn formula(source: &str) -> Formula {
    Formula::compile(&text(source), FormulaContext::Condition)
        .unwrap_or_else(|issues| panic!("{source}: {issues:?}"))
}

fn issues(source: &str, context: FormulaContext) -> Vec<String> {
    match Formula::compile(&text(source), context) {
        Ok(formula) => panic!("{source} compiled to {formula:?}"),
        Err(issues) => issues.iter().map(ToString::to_string).collect(),
    }
}

/// The value of a formula whose slots all have the values of `given` by their names.
fn value(source: &str, given: &[(&str, Value)]) -> Result<Value, String> {
    let formula = formula(source);
    let values: Vec<Value> = formula
        .slots()
        .iter()
        .map(|slot| {
            let found = given.iter().find(|(name, _)| *name == slot.to_string());
            found.map_or(Value::Missing, |(_, value)| value.clone())
        })
        .collect();
    formula
        .evaluate_row(&values)
        .map_err(|error| error.to_string())
}

#[test]
fn three_valued_logic_is_kleenes() {
    let truths = [Value::Bool(true), Value::Bool(false), Value::Missing];
    let name = |value: &Value| match value {
        Value::Bool(true) => 'T',
        Value::Bool(false) => 'F',
        _ => 'U',
    };
    let mut and = String::new();
    let mut or = String::new();
    for a in &truths {
        for b in &truths {
            let given = [("a", a.clone()), ("b", b.clone())];
            and.push(name(&value("a && b", &given).unwrap()));
            or.push(name(&value("a || b", &given).unwrap()));
        }
    }
    assert_eq!(and, "TFUFFFUFU");
    assert_eq!(or, "TTTTFUTUU");
    let not: String = truths
        .iter()
        .map(|a| name(&value("!a", &[("a", a.clone())]).unwrap()))
        .collect();
    assert_eq!(not, "FTU");
}

/// Formulas and what they give.
const VALUES: &[(&str, &str)] = &[
    ("x + none", "null"),
    ("none == none", "null"),
    ("none != 3", "null"),
    ("has(none)", "false"),
    ("has(x)", "true"),
    ("or(none, x)", "6.0"),
    ("none ?? n", "7"),
    ("n / 2", "3.5"),
    ("n + n", "14"),
    ("n + x", "13.0"),
    ("n % n", "0"),
    ("x / zero", "Infinity"),
    ("zero / zero", "null"),
    ("zero == minus", "true"),
    ("x % zero", "null"),
    ("2 ** 10", "1024.0"),
    ("-x", "-6.0"),
    ("abs(-n)", "7"),
    ("min(x, n)", "6.0"),
    ("min(n, n)", "7"),
    ("clamp(x, 0, 5)", "5.0"),
    ("round(2.5)", "3.0"),
    ("sqrt(-1)", "null"),
    ("s == \"on\"", "true"),
    ("s < \"p\"", "true"),
    ("s in [\"on\", \"off\"]", "true"),
    ("n in [7, 8]", "true"),
    ("s + 1", "on1.0"),
    ("`${s}/${n}`", "on/7"),
    ("s.to_upper()", "ON"),
    ("s.len() + 1", "3.0"),
    ("flag == true", "true"),
    ("if x > 5 { \"hot\" } else { \"cold\" }", "hot"),
    ("let a = [1, 2]; a.push(3); a[2] + a.len()", "6"),
    ("let t = 0; for i in 0..4 { t += i } t", "6"),
    ("fn twice(v) { v * 2 } twice(x) + 1", "13.0"),
    ("fn f(v) { if v { return 1; } !v } f(0 > 1)", "true"),
    ("let m = #{a: 1}; m.b = 2; m.a + m.b", "3"),
    ("x > none || flag", "true"),
    ("false && s > 3", "false"),
];

/// Formulas and how they fail.
const ERRORS: &[(&str, &str)] = &[
    ("s > 3", "`>` cannot work on text and a number at 1:3"),
    ("s == 3", "`==` cannot work on text and a number at 1:3"),
    ("big + n", "`+` of whole numbers overflows at 1:5"),
    (
        "flag + 1",
        "`+` cannot work on true or false and a number at 1:6",
    ),
    ("x && flag", "`&&` needs true or false, not a number at 1:3"),
    (
        "if none { 1 } else { 2 }",
        "needs true or false, not an unknown value `()` at 1:1",
    ),
    ("sqrt(s)", "`sqrt` needs a number, not text at 1:1"),
    ("throw \"no\"", "no"),
];

#[test]
fn values_mean_what_the_language_says() {
    let given = [
        ("x", Value::Number(6.0)),
        ("n", Value::Int(7)),
        ("big", Value::Int(i64::MAX)),
        ("s", Value::text("on")),
        ("flag", Value::Bool(true)),
        ("zero", Value::Number(0.0)),
        ("minus", Value::Number(-0.0)),
    ];
    for (source, wanted) in VALUES.iter().copied() {
        let got = value(source, &given).map_or("error".to_owned(), |v| match v {
            Value::Number(x) if x.is_infinite() => "Infinity".to_owned(),
            v => v.to_string(),
        });
        assert_eq!(got, wanted, "{source}");
    }
    for (source, wanted) in ERRORS.iter().copied() {
        let got = value(source, &given).unwrap_err();
        assert!(got.starts_with(wanted), "{source}: {got}");
    }
}

#[test]
fn slots_are_what_the_formula_asks_for() {
    let formula = formula(
        "avg(temperature, \"5m\", motor.speed > 3.0) > 90 && meta.line == \"a\" && time > 0 && resource != type \
         && avg( temperature ,\"300s\", 3 < motor.speed) > 1 && metric(\"a b\") > labels[\"x-y\"].len()",
    );
    let slots: Vec<String> = formula.slots().iter().map(ToString::to_string).collect();
    assert_eq!(
        slots,
        [
            "avg(temperature,300000ms,where motor.speed>3)",
            "meta.line",
            "time",
            "resource",
            "type",
            "metric(\"a b\")",
            "labels[\"x-y\"]",
        ]
    );
    let Slot::Stream(call) = &formula.slots()[0] else {
        panic!()
    };
    assert_eq!(call.function, StreamFunction::Avg);
    assert_eq!(call.over, Over::Span(tidegate_proto::Span(300_000)));
    assert_eq!(
        call.arguments[0].slots(),
        [Slot::Metric("temperature".into())]
    );
    assert_eq!(
        call.filter.as_ref().unwrap().slots(),
        [Slot::Metric("motor.speed".into())]
    );
}

#[test]
fn normal_text_is_one_for_one_meaning() {
    for (source, wanted) in [
        ("5 < x", "x>5"),
        ("x>5.0 // hot", "x>5"),
        ("((x) + (y * 2)) > 1e3", "x+y*2>1000"),
        ("(x + y) * 2", "(x+y)*2"),
        ("x - (y - z)", "x-(y-z)"),
        ("x - y - z", "x-y-z"),
        ("2 ** (3 ** x)", "2**(3**x)"),
        ("(x ** 2) ** 3", "(x**2)**3"),
        ("a && (b || c)", "a&&(b||c)"),
        ("!(a && b)", "!(a&&b)"),
        ("-(x)", "-x"),
        ("x ?? 3", "or(x,3)"),
        ("if a > 1 { b } else { c }", "if a>1{b}else{c}"),
        (
            "delta(x) > 1 || prev(x, 3) == prev(x,1)",
            "delta(x)>1||prev(x,3rows)==prev(x)",
        ),
        (
            "avg(x, \"5 rows\") > avg(x, \"all\")",
            "avg(x,5rows)>avg(x,all)",
        ),
        ("name == 'a'", "name==\"a\""),
        ("let a = 1; // one\n a + x", "let a=1;a+x"),
    ] {
        let compiled = formula(source);
        assert_eq!(compiled.normal_text().as_ref(), wanted);
    }
}

use FormulaContext::{Condition, RowFilter, WindowEmit};

/// Formulas, where they stand, and the first problem.
const PROBLEMS: &[(&str, FormulaContext, &str)] = &[
    (
        "avg(temperature) > 90",
        Condition,
        "7:9: when: `avg` needs to know over which time (write `avg(temperature, \"5m\")`)",
    ),
    (
        "count(x > 3.0, \"5m\")",
        Condition,
        "7:9: when: `count` counts rows or values, not conditions (write `count_if(x>3, …)`)",
    ),
    (
        "count(x > 3.0, \"5m\", y > 1.0)",
        Condition,
        "7:9: when: `count` counts rows or values, not conditions (write `count_if(x>3, …)`)",
    ),
    (
        "averge(x, \"5m\")",
        Condition,
        "7:9: when: unknown function `averge`",
    ),
    (
        "avgg(x, \"5m\")",
        Condition,
        "7:9: when: unknown function `avgg` (did you mean `avg`?)",
    ),
    (
        "avg(x, \"5x\")",
        Condition,
        "7:16: when: `5x` is not a duration",
    ),
    (
        "avg(x, \"5m\") > 1",
        WindowEmit,
        "7:9: when: `avg` here works over the rule's window and takes no duration",
    ),
    (
        "held(x > 1, \"5m\")",
        WindowEmit,
        "7:9: when: `held` has no meaning over a window",
    ),
    (
        "avg(x, \"5m\") > 1",
        RowFilter,
        "7:9: when: `avg` looks at more than one row",
    ),
    (
        "win_start > 3",
        Condition,
        "7:9: when: `win_start` exists only in the results of a window",
    ),
    (
        "atan2(x)",
        Condition,
        "7:9: when: `atan2` cannot take 1 argument (write `atan2(a, b)`)",
    ),
    (
        "corr_lag(x, y, \"5m\")",
        Condition,
        "7:9: when: `corr_lag` needs to know over which time (write `corr_lag(x, y, \"30s\", \"5m\", filter)`)",
    ),
    (
        "corr_lag(x, y, 30, \"5m\")",
        Condition,
        "7:24: when: `corr_lag` needs a duration to lag by here (write `corr_lag(x, y, \"30s\", \"5m\", filter)`)",
    ),
    (
        "distance(x, y)",
        Condition,
        "7:9: when: `distance` is part of the language but not built yet",
    ),
    (
        "x >",
        Condition,
        "7:12: when: the formula ends behind `>` (write what comes next, or leave the sign out)",
    ),
    (
        "1 +\n  foo(x)",
        Condition,
        "8:3: when: unknown function `foo`",
    ),
    (
        "x = 3",
        Condition,
        "7:9: when: only variables of the formula itself can be set",
    ),
    (
        "fn f() { x } f()",
        Condition,
        "7:18: when: a function sees only its arguments, not `x`",
    ),
    (
        "call > 3",
        Condition,
        "7:9: when: 'call' is a reserved keyword (a metric of this name is written `metric(\"call\")`)",
    ),
    ("", Condition, "7:9: when: the formula is empty"),
    ("eval(\"1\")", Condition, "7:9: when:"),
    (
        "avg(x, \"5m\", y)",
        Condition,
        "7:9: when: `y` is no condition",
    ),
    (
        "temperature.avg(\"5m\")",
        Condition,
        "7:21: when: `avg` is no method (write `avg(temperature, …)`)",
    ),
];

#[test]
fn problems_say_where_what_and_how() {
    for (source, context, wanted) in PROBLEMS.iter().copied() {
        let found = issues(source, context);
        assert!(found[0].starts_with(wanted), "{source}: {found:?}");
    }
    let all = issues("foo(x) + bar(y) + avg(z)", Condition);
    assert_eq!(all.len(), 3, "{all:?}");
}

#[test]
fn known_names_are_checked() {
    let known: Vec<Arc<str>> = vec!["mean".into(), "n".into()];
    let compiled = Formula::compile_known(
        &text("men > 3 && n > 1"),
        FormulaContext::WindowEmit,
        Some(&known),
    );
    let found = compiled.unwrap_err();
    assert_eq!(
        found[0].to_string(),
        "7:9: when: unknown name `men` (did you mean `mean`?)"
    );
}

#[test]
fn min_and_max_mean_rows_or_numbers() {
    let window = |source: &str| {
        let compiled = Formula::compile(&text(source), FormulaContext::WindowEmit).unwrap();
        compiled
            .slots()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(window("min(x)"), ["min(x)"]);
    assert_eq!(window("min(x, y)"), ["x", "y"]);
    assert_eq!(window("min(x, y > 3)"), ["min(x,where y>3)"]);
    assert_eq!(window("max(min(x), 3)"), ["min(x)"]);
    assert_eq!(
        formula("min(x, \"5m\")").slots()[0].to_string(),
        "min(x,300000ms)"
    );
    assert_eq!(formula("min(x, 3)").slots()[0].to_string(), "x");
}

#[test]
fn every_entry_of_the_catalogue_has_an_example_that_compiles() {
    let mut names: Vec<&str> = Vec::new();
    for entry in catalogue() {
        for context in entry.contexts {
            let source = match (context, entry.stream) {
                // Over a window the same call without its duration.
                (FormulaContext::WindowEmit, Some(_)) => entry
                    .example
                    .replace(", \"5m\"", "")
                    .replace(", \"all\"", "")
                    .replace(", \"1h\"", "")
                    .replace("\"5m\"", ""),
                _ => entry.example.to_owned(),
            };
            let scope = AliasScope {
                groups: vec!["temps".into()],
                ..AliasScope::default()
            };
            if let Err(issues) = Formula::compile_aliased(&text(&source), *context, &scope) {
                panic!("{source} in {context:?}: {issues:?}");
            }
        }
        assert!(entry.signature.starts_with(entry.name) && !entry.meaning.is_empty());
        names.push(entry.name);
    }
    for function in StreamFunction::ALL {
        assert!(names.contains(&function.name()), "{function}");
        assert_eq!(StreamFunction::from_name(function.name()), Some(function));
    }
}

#[test]
fn templates_print_values() {
    let template = Template::compile(
        &text("mean ${avg(temperature, \"5m\")} °C of ${resource}, $${x} ${if a > 1 { \"}\" } else { `b` }}"),
        FormulaContext::Condition,
    )
    .unwrap();
    assert_eq!(template.slots().len(), 3);
    let values = [
        Value::Number(91.5),
        Value::text("boiler1"),
        Value::Number(2.0),
    ];
    assert_eq!(template.render(&values), "mean 91.5 °C of boiler1, ${x} }");
    assert_eq!(template.render(&[]), "mean null °C of null, ${x} null");
    let found = Template::compile(
        &text("ab ${foo(1)} ${bar(2)} ${x"),
        FormulaContext::Condition,
    )
    .unwrap_err();
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert!(
        found[0].starts_with("7:14: when: unknown function `foo`"),
        "{found:?}"
    );
    assert!(
        found[1].starts_with("7:24: when: unknown function `bar`"),
        "{found:?}"
    );
    assert!(
        found[2].starts_with("7:32: when: `${` is never closed"),
        "{found:?}"
    );
}

#[test]
fn one_formula_serves_many_threads() {
    let formula = formula("let t = 0; for i in 0..whole(x) { t += i } t");
    std::thread::scope(|scope| {
        for x in 0..4_u8 {
            let formula = formula.clone();
            scope.spawn(move || {
                let wanted = (0..i64::from(x)).sum();
                for _ in 0..50 {
                    let given = [Value::Number(f64::from(x))];
                    assert_eq!(formula.evaluate_row(&given), Ok(Value::Int(wanted)));
                }
            });
        }
    });
}

#[test]
fn errors_carry_whose_fault_they_are() {
    let error = formula("loop { }").evaluate_row(&[]).unwrap_err();
    assert_eq!(error.fault(), Fault::Budget);
    let flag = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let error =
        tidegate_scripts::with_guard(&flag, || formula("loop { }").evaluate_row(&[])).unwrap_err();
    assert_eq!(error.fault(), Fault::WallClock);
    let _ = ThresholdOperator::Less;
}
