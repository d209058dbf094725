//! Positions of formulas, and formulas inside flow maps and lists.

use proptest::prelude::*;

use super::*;

/// The character at a position of a text.
fn at(text: &str, mark: Mark) -> Option<char> {
    let line = text.lines().nth(mark.line as usize - 1)?;
    line.chars().nth(mark.column as usize - 1)
}

#[test]
fn positions_inside_formulas() {
    for (fields, line) in [
        ("when: x > Y", 1),
        ("when:   'x > Y'", 1),
        ("when: \"x > Y\"", 1),
        ("when: |\n   x > Y", 1),
        ("when: |\n\n   x > Y", 2),
        ("when: |2\n   x > Y", 1),
        ("when: |-\n    a &&\n      Y", 2),
        ("when: >\n    x > Y", 1),
    ] {
        let text = format!(
            "\nkind: Rule\nname: r\nfor: all\n---\nkind: Rule\nname: s\nfor: all\n{fields}\n"
        );
        let text = text.replacen("---", "when: ä\n---", 1);
        let rule = rule(&text);
        let Body::When(when) = rule.body else {
            panic!("a condition");
        };
        let when = &when.levels[0].when;
        let source = when.source.as_ref();
        let written = source.lines().nth(line - 1).unwrap();
        let column = written.find('Y').unwrap() + 1;
        let mark = when.mark_at(line as u32, column as u32);
        assert_eq!(at(&text, mark), Some('Y'), "{fields}: {mark:?}");
    }
    let unplaced = FormulaText {
        source: "x".into(),
        path: "when".into(),
        mark: Mark::default(),
    };
    assert_eq!(unplaced.mark_at(3, 4), Mark::default());
}

/// Formulas of a window rule whose columns are written as a flow map.
fn columns(emit: &str) -> Vec<(String, Mark)> {
    let Body::Window(window) = rule_with(&format!("window: {{ tumbling: 5m }}\nemit: {emit}")).body
    else {
        panic!("a window");
    };
    let columns = window.emit.iter();
    columns
        .map(|(_, formula)| (formula.source.to_string(), formula.mark))
        .collect()
}

#[test]
fn formulas_in_flow_keep_their_commas_and_places() {
    let emit = r#"{ a: avg(temperature, "5m"), b: corr(a, b), c: it's, d: hot[-1].v, e: f(g(1, 2), "x)y, {"), f: 'q, (', g: x == "a, b", h: f('i', k)}"#;
    let found = columns(emit);
    let expected = [
        "avg(temperature, \"5m\")",
        "corr(a, b)",
        "it's",
        "hot[-1].v",
        "f(g(1, 2), \"x)y, {\")",
        "q, (",
        "x == \"a, b\"",
        "f('i', k)",
    ];
    let sources: Vec<&str> = found.iter().map(|(source, _)| source.as_str()).collect();
    assert_eq!(sources, expected);
    let text = format!("\n\n\n\nemit: {emit}");
    for (source, mark) in found {
        assert_eq!(at(&text, mark), source.chars().next(), "{source}");
    }
}

#[test]
fn a_text_that_falls_apart_into_balanced_parts_is_mended_too() {
    let found = columns(r#"{ a: a("),("), b: 1 }"#);
    let sources: Vec<&str> = found.iter().map(|(source, _)| source.as_str()).collect();
    assert_eq!(sources, ["a(\"),(\")", "1"]);
}

#[test]
fn flow_formulas_stand_anywhere() {
    let text = "kind: Rule # f(a, b)\nname: r\nfor: { ids: [a, b] }\nwhere: |\n  { a: f(a,\n  b) }\nwindow:\n  { tumbling: 5m }\nby: [f(a, b), 'c']\nemit:\n  { n: count(),\n    # a comment, (\n    m: g(a, \"5m\") }\nthen: [ { log: \"${f(a, b)}\", on: [raised, cleared] } ]\n";
    let rule = rule(text);
    assert_eq!(rule.filter.unwrap().source.as_ref(), "{ a: f(a,\nb) }");
    let Body::Window(window) = rule.body else {
        panic!("a window");
    };
    assert_eq!(sources(&window.by), ["f(a, b)=f(a, b)", "c=c"]);
    assert_eq!(sources(&window.emit), ["n=count()", "m=g(a, \"5m\")"]);
    assert_eq!(
        (window.emit[1].1.mark.line, window.emit[1].1.mark.column),
        (13, 8)
    );
    let torn =
        parse("kind: Rule\nname: r\nfor: all\nwindow: { tumbling: 5m }\nemit: { a: f(x, y }")
            .unwrap_err();
    assert_eq!(torn.len(), 1);
    assert_eq!(
        torn[0].to_string(),
        "5:19: rule r: emit.y: nothing is not a formula"
    );
}

proptest! {
    #[test]
    fn calls_in_flow_read_as_in_block(arguments in proptest::collection::vec("[a-z]{1,3}|\"[a-z ,)(\\]]{0,4}\"|g\\([a-z], [a-z]\\)", 1..4), name in "[a-z]{1,4}") {
        let call = format!("{name}({})", arguments.join(", "));
        let block = rule_with(&format!("window: {{ tumbling: 5m }}\nemit:\n  a: {call}\n  b: 1"));
        let flow = rule_with(&format!("window: {{ tumbling: 5m }}\nemit: {{ a: {call}, b: 1 }}"));
        prop_assert_eq!(flow.document, block.document);
    }

    #[test]
    fn any_flow_ends_in_an_answer(text in "[\\[\\]{}(),:\"'#a-c \n|-]{0,60}") {
        let _ = parse(&text);
        let _ = parse(&format!("kind: Rule\nemit: {{{text}"));
    }
}
