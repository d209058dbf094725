//! The law of columnar evaluation: over columns and row by row a formula gives the same values and the same errors.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test says what went wrong by panicking"
)]

use proptest::prelude::*;
use tidegate_proto::{FormulaText, Issue, Mark, Value};
use tidegate_scripts::{Column, Formula, FormulaContext, Slot};

/// Metrics of every type of column: floats, counts, flags, text, all missing, mixed.
const NAMES: [&str; 9] = ["f", "g", "n", "m", "b", "c", "s", "none", "mix"];

fn try_compile(source: &str) -> Result<Formula, Vec<Issue>> {
    let text = FormulaText {
        source: source.into(),
        path: "when".into(),
        mark: Mark { line: 1, column: 1 },
    };
    Formula::compile(&text, FormulaContext::Condition)
}

fn compile(source: &str) -> Formula {
    try_compile(source).unwrap_or_else(|issues| panic!("{source}: {issues:?}"))
}

/// The values of a row for the slots of a formula.
fn values_of(formula: &Formula, row: &[Value]) -> Vec<Value> {
    let at = |slot: &Slot| {
        NAMES
            .iter()
            .position(|name| *name == slot.to_string())
            .unwrap()
    };
    let slots = formula.slots().iter();
    slots.map(|slot| row[at(slot)].clone()).collect()
}

/// Floats that bring out the edges.
fn float() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => prop::sample::select(vec![
            0.0, -0.0, 1.0, -1.0, 2.5, 90.0, 1e308, -1e308, 5e-324, 9_007_199_254_740_993.0,
            f64::INFINITY, f64::NEG_INFINITY,
        ])
        .prop_map(Value::Number),
        2 => (-100.0..100.0).prop_map(Value::Number),
        1 => Just(Value::Missing),
    ]
}

fn whole() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (-3_i64..4).prop_map(Value::Int),
        1 => prop::sample::select(vec![i64::MAX, i64::MIN, 1 << 53]).prop_map(Value::Int),
        1 => Just(Value::Missing),
    ]
}

fn flag() -> impl Strategy<Value = Value> {
    prop_oneof![3 => any::<bool>().prop_map(Value::Bool), 1 => Just(Value::Missing)]
}

fn word() -> impl Strategy<Value = Value> {
    prop_oneof![
        3 => prop::sample::select(vec!["", "on", "off", "ä"]).prop_map(Value::text),
        1 => Just(Value::Missing),
    ]
}

fn row() -> impl Strategy<Value = Vec<Value>> {
    let mixed = prop_oneof![float(), whole(), flag(), word()];
    (
        float(),
        float(),
        whole(),
        whole(),
        flag(),
        flag(),
        word(),
        mixed,
    )
        .prop_map(|(f, g, n, m, b, c, s, mix)| vec![f, g, n, m, b, c, s, Value::Missing, mix])
}

/// In scripts whole literals stay whole, so what must mean the same there has floats.
const LITERALS: [&str; 10] = [
    "0.0",
    "-0.0",
    "1.0",
    "2.5",
    "-3.0",
    "90.0",
    "1e300",
    "1e999",
    "9007199254740993.0",
    "()",
];

fn number_source() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => prop::sample::select(vec!["f", "g", "n", "m", "none"]).prop_map(str::to_owned),
        2 => prop::sample::select(LITERALS.to_vec()).prop_map(str::to_owned),
        1 => prop::sample::select(vec!["s", "b", "mix"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        prop_oneof![
            6 => (prop::sample::select(vec!["+", "-", "*", "/", "%", "**"]), two.clone())
                .prop_map(|(op, (a, b))| format!("({a} {op} {b})")),
            2 => (
                prop::sample::select(vec![
                    "abs", "sqrt", "exp", "ln", "floor", "ceil", "round", "sign", "sin", "-",
                ]),
                inner.clone(),
            )
                .prop_map(|(name, x)| format!("{name}({x})")),
            2 => (prop::sample::select(vec!["min", "max", "pow", "atan2", "hypot", "or"]), two)
                .prop_map(|(name, (a, b))| format!("{name}({a}, {b})")),
            1 => (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("clamp({a}, {b}, {c})")),
            1 => (condition_of(inner.clone()), inner.clone(), inner)
                .prop_map(|(c, a, b)| format!("(if {c} {{ {a} }} else {{ {b} }})")),
        ]
    })
}

fn condition_of(number: impl Strategy<Value = String> + Clone + 'static) -> BoxedStrategy<String> {
    let compare = (
        number.clone(),
        prop::sample::select(vec![">", ">=", "<", "<=", "==", "!="]),
        number.clone(),
    )
        .prop_map(|(a, op, b)| format!("({a} {op} {b})"));
    let word = (
        prop::sample::select(vec!["s", "mix", "\"on\""]),
        prop::sample::select(vec!["==", "!=", "<"]),
        prop::sample::select(vec!["\"on\"", "\"off\"", "s", "()"]),
    )
        .prop_map(|(a, op, b)| format!("({a} {op} {b})"));
    let has = number.prop_map(|x| format!("has({x})"));
    let flag = prop::sample::select(vec!["b", "c", "true", "false", "none", "mix", "b == c"]);
    prop_oneof![
        5 => compare,
        2 => word,
        1 => has,
        2 => flag.prop_map(|flag| format!("({flag})")),
    ]
    .boxed()
}

fn condition_source() -> impl Strategy<Value = String> {
    // Literals that Rhai's parser itself refuses as operands of `&&` stay inside a comparison.
    condition_of(number_source().boxed()).prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            3 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            1 => inner.clone().prop_map(|a| format!("!{a}")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("or({a}, {b})")),
            1 => (inner.clone(), inner.clone(), inner)
                .prop_map(|(c, a, b)| format!("(if {c} {{ {a} }} else {{ {b} }})")),
        ]
    })
}

/// Values as the law compares them: bits of floats, so that -0.0 is not 0.0.
fn exact(value: &Value) -> String {
    match value {
        Value::Number(number) => format!("Number({:016x})", number.to_bits()),
        other => format!("{other:?}"),
    }
}

fn check(source: &str, rows: &[Vec<Value>]) {
    let formula = compile(source);
    let column = |slot: &Slot| {
        let Slot::Metric(name) = slot else {
            panic!("{slot:?}");
        };
        let at = NAMES
            .iter()
            .position(|known| *known == name.as_ref())
            .unwrap();
        Column::from_values(rows.iter().map(|row| row[at].clone()).collect())
    };
    let columns: Vec<Column> = formula.slots().iter().map(column).collect();
    let evaluated = formula.evaluate(&columns, rows.len());
    assert_eq!(evaluated.column.len(), rows.len());
    let mut errors = evaluated.errors.iter();
    for row in 0..rows.len() {
        let values: Vec<Value> = columns.iter().map(|column| column.value(row)).collect();
        let reference = formula.evaluate_row(&values);
        let got = evaluated.column.value(row);
        match reference {
            Ok(wanted) => assert_eq!(exact(&got), exact(&wanted), "{source} of {values:?}"),
            Err(wanted) => {
                let (at, error) = errors
                    .next()
                    .unwrap_or_else(|| panic!("{source} of {values:?}"));
                assert_eq!((*at as usize, error), (row, &wanted), "{source}");
                assert_eq!(got, Value::Missing);
            }
        }
    }
    assert!(errors.next().is_none(), "{source}");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 600,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn numbers_over_columns_equal_numbers_row_by_row(
        source in number_source(),
        rows in prop::collection::vec(row(), 1..12),
    ) {
        check(&source, &rows);
    }

    #[test]
    fn conditions_over_columns_equal_conditions_row_by_row(
        source in condition_source(),
        rows in prop::collection::vec(row(), 1..12),
    ) {
        check(&source, &rows);
    }

    #[test]
    fn a_script_means_what_the_plain_expression_means(
        source in prop_oneof![number_source().boxed(), condition_source().boxed()],
        row in row(),
    ) {
        let plain = compile(&source);
        let names = NAMES.join(", ");
        for script in [
            format!("let result = {source}; result"),
            format!("let list = [1, 2]; list[1] = {source}; list[1]"),
            format!("let result = 1; for i in 0..2 {{ if i == 1 {{ result = {source}; }} }} result"),
            format!("fn run({names}) {{ {source} }} run({names})"),
            format!("fn run({names}) {{ return {source}; }} let a = run({names}); a"),
        ] {
            // A function may be half as deep as a formula.
            let Ok(script) = try_compile(&script) else {
                prop_assert!(script.starts_with("fn"), "{}", script);
                continue;
            };
            prop_assert!(!script.is_columnar());
            let of = |formula: &Formula| {
                let value = formula.evaluate_row(&values_of(formula, &row));
                value.map(|value| exact(&value)).map_err(|error| (error.message, error.kind))
            };
            prop_assert_eq!(of(&plain), of(&script), "{:?}", script);
        }
    }

    #[test]
    fn a_normal_text_compiles_to_itself_and_gives_the_same(
        source in condition_source(),
        row in row(),
    ) {
        let formula = compile(&source);
        let again = compile(formula.normal_text());
        prop_assert_eq!(formula.normal_text(), again.normal_text());
        let first = formula.evaluate_row(&values_of(&formula, &row)).map_err(|error| error.kind);
        let second = again.evaluate_row(&values_of(&again, &row)).map_err(|error| error.kind);
        prop_assert_eq!(first, second);
    }
}

#[test]
fn chunks_do_not_show() {
    // More rows than a chunk, errors in some chunks only, columns shorter than the rows.
    let formula = compile("if n + n > 4 { f } else { -f }");
    assert!(formula.is_columnar());
    let rows = 4010;
    let floats = (0..rows).map(|row| Value::Number(f64::from(row))).collect();
    let wholes = (0..4000).map(|row| match row {
        1500 => Value::Int(i64::MAX),
        1600 => Value::Missing,
        row => Value::Int(i64::from(row) % 5),
    });
    let columns = [
        Column::from_values(wholes.collect()),
        Column::from_values(floats),
    ];
    let evaluated = formula.evaluate(&columns, rows as usize);
    let failed: Vec<u32> = evaluated.errors.iter().map(|(row, _)| *row).collect();
    let wanted: Vec<u32> = [1500, 1600].into_iter().chain(4000..4010).collect();
    assert_eq!(failed, wanted);
    for row in 0..4000_usize {
        let wanted = match row {
            1500 | 1600 => Value::Missing,
            row if row % 5 > 2 => Value::Number(row as f64),
            row => Value::Number(-(row as f64)),
        };
        assert_eq!(evaluated.column.value(row), wanted, "{row}");
    }
}

#[test]
fn what_runs_over_columns_is_known() {
    for source in [
        "t > 90.0 && (t - base) / sd > 3.0",
        "or(a, 3) > 2 || !has(b)",
        "if a > 1 { b } else { c }",
        "state == \"on\" && max(a, b) > 3",
        "avg(x, \"5m\") > 3",
        "round(clamp(a, 0, 1)) ** 2 % 3",
    ] {
        assert!(compile(source).is_columnar(), "{source}");
    }
    for source in [
        "state in [\"a\"]",
        "let a = 1; a + x",
        "to_upper(state) == \"A\"",
        "fn f(x) { x } f(a)",
    ] {
        assert!(!compile(source).is_columnar(), "{source}");
    }
}

#[test]
fn thresholds_are_recognised() {
    let threshold = compile("avg(temperature, \"5m\") * 2 - base > 90")
        .as_threshold()
        .unwrap();
    assert_eq!(
        threshold.left.normal_text().as_ref(),
        "avg(temperature,300000ms)*2-base"
    );
    assert_eq!(threshold.left.slots().len(), 2);
    assert_eq!(threshold.constant, 90.0);
    assert!(threshold.operator.holds(91.0, 90.0) && !threshold.operator.holds(90.0, 90.0));
    let mirrored = compile("85 >= x").as_threshold().unwrap();
    assert_eq!(mirrored.left.normal_text().as_ref(), "x");
    assert!(mirrored.operator.holds(85.0, 85.0) && !mirrored.operator.holds(86.0, 85.0));
    // The left side of `b < 3 && …` has slots of its own numbers.
    for source in [
        "x > y",
        "x == 3",
        "x > 3 && y > 2",
        "(a && b) > 3",
        "s > \"a\"",
        "to_number(s) > 3",
        "3 > 2",
    ] {
        assert!(compile(source).as_threshold().is_none(), "{source}");
    }
}
