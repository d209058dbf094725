//! Texts made to hurt: they end in issues, soon.

use proptest::prelude::*;

use super::*;

#[track_caller]
fn one(text: &str) -> String {
    let issues = parse(text).unwrap_err();
    assert_eq!(issues.len(), 1, "{issues:?}");
    issues[0].to_string()
}

#[test]
fn laughs_and_bombs() {
    let laughs = "a: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n";
    assert_eq!(
        one(laughs),
        "1:4: document 1: anchors and aliases are not allowed"
    );
    assert_eq!(
        one("kind: !!str Rule"),
        "1:7: document 1: tags (`!…`) are not allowed (put a formula that begins with `!` in quotes: `when: '!x'`)"
    );
    for open in ["[", "{\"a\": ", "- ", "? "] {
        let text = open.repeat(10_000);
        let issue = one(&text);
        assert!(
            issue.ends_with("document 1: more than 64 maps and lists inside each other")
                || issue.ends_with("more than 64 objects and arrays inside each other")
                || issue.ends_with("document 1: not YAML: recursion limit exceeded"),
            "{open} {issue}"
        );
    }
    let wide = format!("kind: Rule\nname: [{}]", "a,".repeat(200_000));
    assert_eq!(
        one(&wide),
        "2:199998: document 1: more than 100000 values in one document"
    );
    let long = format!("kind: Rule\nname: {}", "a".repeat(1 << 20));
    assert_eq!(
        one(&long),
        "1:1: document 1: a document of more than 1048576 bytes"
    );
}

#[test]
fn nothing_is_not_a_document() {
    for text in ["", " \n", "# only a comment\n", "---\n---\n", "null"] {
        assert_eq!(one(text), "there is no document in the text", "{text:?}");
    }
}

#[test]
fn a_broken_document_does_not_hide_the_others() {
    let text = "kind: Rule\nname: a\nfor: all\nwhen: [\n---\nkind: Rule\nname: b\nfor: all\nhold: 5\n--- # third\n\tkind: Rule\n---\nkind: Rule\nname: b\nfor: all\nwhen: x\n---\nkind: Rule\nname: b\nfor: all\nwhen: x\n";
    let lines: Vec<String> = parse(text)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(
        lines[0].starts_with("5:1: document 1: not YAML: "),
        "{lines:#?}"
    );
    assert_eq!(
        lines[1],
        "6:1: rule b: the rule has no body (one of `when` (a condition), `window` (aggregates), `pattern` (rows in order), `graph` (nodes and triggers) and `join` (rows in pairs))"
    );
    assert_eq!(
        lines[2],
        "9:7: rule b: hold: `5` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`"
    );
    assert!(
        lines[3].starts_with("11:2: document 3: `name` is missing"),
        "{lines:#?}"
    );
    assert_eq!(
        lines[5],
        "18:1: rule b: this document is there twice (leave one out, or give it another name)"
    );
}

#[test]
fn many_issues_are_cut() {
    let fields: String = (0..5000).map(|i| format!("field{i}: 1\n")).collect();
    let issues = parse(&format!("kind: Rule\n{fields}")).unwrap_err();
    assert_eq!(issues.len(), 1001);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_ends_in_an_answer(text in any::<String>(), shaped in "(kind|name|for|when|then|: |- |\\[|\\]|\\{|\\}|,|\"|'|\\||>|&a|\\*a|!|%|#|---|\\.\\.\\.|\n|  |\t|Rule|all|5m|1){0,40}") {
        let _ = parse(&text);
        let _ = parse(&shaped);
    }

    #[test]
    fn rules_survive_their_canonical_text(when in "[a-z \"'#:{}|>\\-ä]{1,20}", hold in 1..100_000_i64, labels in proptest::collection::btree_map("[a-z]{1,5}", "[a-zA-Z0-9 é\"\\\\#:]{1,5}", 0..3)) {
        prop_assume!(!when.trim().is_empty() );
        let selector = if labels.is_empty() { serde_json::json!("all") } else { serde_json::json!({ "labels": labels }) };
        let text = serde_json::json!({ "kind": "Rule", "name": "r", "for": selector, "when": when, "hold": format!("{hold}ms") }).to_string();
        let parsed = rule(&text);
        prop_assert_eq!(parsed.document.as_ref(), text.as_str());
        let Body::When(body) = parsed.body else { return Ok(()) };
        prop_assert_eq!(body.levels[0].when.source.as_ref(), when.trim_end());
        prop_assert_eq!(body.levels[0].hold, Span::millis(hold));
    }
}
