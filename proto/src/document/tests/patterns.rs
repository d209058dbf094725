//! Patterns as written: short and full forms, defaults, and every line that is told about mistakes.

use super::*;
use crate::document::Document;
use crate::pattern::{AfterMatch, Contiguity, ElementKind, Every, OnBreak, Pattern};
use crate::rule::Body;

fn read(body: &str) -> Result<Pattern, Vec<String>> {
    let body: String = body.lines().map(|line| format!("  {line}\n")).collect();
    let text = format!("kind: Rule\nname: r\nfor: all\npattern:\n{body}");
    match parse(&text) {
        Ok(mut documents) => match documents.pop() {
            Some(Document::Rule(rule)) => match rule.body {
                Body::Pattern(pattern) => Ok(pattern),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        },
        Err(issues) => Err(issues.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn short_and_full_forms_are_read() {
    let pattern = read(
        "within: 10m\nsteps:\n  - opened: door == \"open\"\n  - hot: { where: temperature > opened.temperature + 2, min: 2, max: 4 }\n  - not: motion > 0\n  - or: [ { smoke: smoke > 0 }, { and: [ { co: co > 9 }, { not: fan == 1, for: 1m, as: calm } ] } ]\nemit: { n: hot.len() }",
    )
    .unwrap();
    let names: Vec<&str> = pattern
        .steps
        .iter()
        .map(|step| step.alias.as_ref())
        .collect();
    assert_eq!(names, ["opened", "hot", "s3", "s4"]);
    assert_eq!((pattern.steps[1].min, pattern.steps[1].max), (2, Some(4)));
    assert_eq!(pattern.every, Every::First);
    assert_eq!(pattern.after_match, AfterMatch::PastLast);
    assert_eq!(pattern.contiguity, Contiguity::Relaxed);
    assert!(pattern.reuse.broken && !pattern.reuse.matched && pattern.after_break);
    let ElementKind::Or(sides) = &pattern.steps[3].kind else {
        panic!("{:?}", pattern.steps[3]);
    };
    let ElementKind::And { sides, share } = &sides[1].kind else {
        panic!("{:?}", sides[1]);
    };
    assert!(share);
    let ElementKind::Absence { on_break, .. } = &sides[1].kind else {
        panic!("{:?}", sides[1]);
    };
    assert_eq!(*on_break, OnBreak::End);
}

#[test]
fn a_strict_pattern_and_a_final_absence_need_no_within() {
    for body in [
        "steps: [ { a: x > 0 }, { not: y > 0, for: 2s } ]",
        "contiguity: strict\nsteps: [ { a: x > 0 }, { b: y > 0 } ]",
        "steps: [ { not: x > 0, for: 2s }, { b: y > 0 } ]",
        "every: none\nsteps: [ { a: x > 0 }, { b: y > 0 } ]",
        "within: none\nsteps: [ { a: x > 0 }, { b: y > 0 } ]",
    ] {
        assert!(read(body).is_ok(), "{body}: {:?}", read(body));
    }
}

/// Bodies of `pattern`, and what is told about them.
const REFUSED: &[(&str, &[&str])] = &[
    (
        "steps: [ { a: x > 0 }, { b: y > 0 } ]",
        &[
            "5:31: rule r: pattern.steps[1].b: this element can wait for ever: the pattern needs `within` (write `within: 10m` beside `steps`, or `within: none` to keep attempts for ever)",
        ],
    ),
    (
        "steps: [ { not: x > 0 }, { b: y > 0 } ]\nwithin: 1m",
        &[
            "5:12: rule r: pattern.steps[0]: a `not` without `for` needs an element in front of it (say for how long with `for`, or put it between two steps)",
        ],
    ),
    (
        "every: none\nsteps: [ { a: x > 0 }, { not: y > 0 } ]",
        &[
            "6:26: rule r: pattern.steps[1]: a `not` at the end can wait for ever: the pattern needs `within` (write `within: 10m` beside `steps`, or say for how long with `for` beside the `not`)",
        ],
    ),
    (
        "within: 1m\nsteps: [ { where: x > 0 }, { s1: y > 0 } ]",
        &[
            "6:12: rule r: pattern.steps[0]: the name `s1` is there twice: so is this element called by its place (give it a name of its own with `as`)",
        ],
    ),
    (
        "within: 1m\nsteps: [ { s2: x > 0 }, { where: y > 0 } ]",
        &[
            "6:27: rule r: pattern.steps[1]: the name `s2` is there twice: so is this element called by its place (give it a name of its own with `as`)",
        ],
    ),
    (
        "within: 5\nevry: all\nsteps: [ { a: x }, { a: y }, { if: z } ]",
        &[
            "5:11: rule r: pattern.within: `5` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
            "6:3: rule r: pattern.evry: unknown field `evry` (did you mean `every`?)",
            "7:24: rule r: pattern.steps[1].a: the name `a` is there twice",
        ],
    ),
    (
        "within: 1m\nsteps: [ { as: 2x, where: x }, { b: { where: y, min: 3, max: 2 } }, { c: { where: z, until: w } } ]\nafter_match: { to_first: d }\nevery: bb",
        &[
            "6:14: rule r: pattern.steps[0].as: `2x` is no name that a formula can use (letters, digits and `_`, a letter first)",
            "6:64: rule r: pattern.steps[1].b.max: at most 2 and at least 3: nothing fits",
            "6:88: rule r: pattern.steps[2].c.until: `until` closes a repetition, and this element is taken once (give it `max`, or leave `until` out)",
            "7:28: rule r: pattern.after_match.to_first: there is no element `d` (did you mean `b`?)",
            "8:10: rule r: pattern.every: there is no element `bb` (did you mean `b`?)",
        ],
    ),
    (
        "within: 1m\nsteps: [ { a: x }, { or: [ { b: y } ] }, { or: [ { c: z }, { not: w } ] } ]",
        &[
            "6:22: rule r: pattern.steps[1]: one side alone: it needs at least two (write the side itself instead)",
            "6:62: rule r: pattern.steps[2].or[1]: a `not` without `for` cannot be a side of an `or` (say for how long with `for`)",
        ],
    ),
    (
        "within: 1m\nsteps: [ { as: a, where: x, optional: true }, { b: { where: y, min: 0 } } ]\nmatches: every",
        &[
            "5:3: rule r: pattern: every element may be left out, so the pattern matches nothing",
            "7:12: rule r: pattern.matches: `every` is not one of first, all",
        ],
    ),
    (
        "steps: [ { a: x } ]\nby: line",
        &[
            "6:7: rule r: pattern.by: `by` is the key of a rule over everything, and this one has `for` (leave `for` out, or leave `by` out: the key is the resource)",
        ],
    ),
    (
        "steps: [ { a: x }, { as: n, not: y, for: 1m, on_break: spend } ]\nby: line",
        &[
            "5:58: rule r: pattern.steps[1].on_break: `spend` is for a `not` without `for` inside an `and`",
        ],
    ),
];

#[test]
fn every_problem_of_a_pattern_is_told_at_once() {
    for (body, expected) in REFUSED {
        let told = read(body).expect_err("the pattern is refused");
        assert_eq!(told, *expected, "{body}");
    }
}

#[test]
fn a_within_that_absences_use_up_is_refused() {
    let never = [
        "within: 20s\nsteps: [ { x: x }, { steps: [ { not: b, for: 3s } ], within: 2s } ]",
        "within: 20s\nsteps: [ { x: x }, { not: c, for: 2s }, { b: { where: b, within: 1s } } ]",
        "within: 20s\nsteps: [ { x: x }, { and: [ { a: a }, { not: b, for: 3s } ], within: 2s } ]",
        "within: 2s\nsteps: [ { x: x }, { not: c, for: 3s }, { b: b } ]",
        "within: { max: 3s, exclusive: true }\nsteps: [ { x: x }, { not: c, for: 3s }, { b: b } ]",
        "within: 20s\nsteps: [ { x: x }, { steps: [ { not: b, for: 3s }, { c: c } ], times: 3, within: 8s } ]",
    ];
    for body in never {
        let told = read(body).expect_err("the pattern is refused");
        assert!(
            told.len() == 1 && told[0].contains("nothing can match"),
            "{told:?}"
        );
    }
    let fine = [
        "within: 20s\nsteps: [ { x: x }, { not: c, for: 2s }, { b: { where: b, within: 2s } } ]",
        "within: 20s\nsteps: [ { x: x }, { or: [ { a: a }, { not: b, for: 3s } ], within: 2s } ]",
        "within: 3s\nsteps: [ { x: x }, { not: c, for: 3s }, { b: b } ]",
        "within: 2s\nsteps: [ { not: c, for: 3s }, { b: b }, { d: d } ]",
        "within: 2s\nsteps: [ { as: a, where: a, optional: true }, { not: c, for: 3s }, { b: b } ]",
        "within: 20s\nsteps: [ { x: x }, { steps: [ { not: b, for: 3s }, { c: c } ], times: 3, within: 9s } ]",
    ];
    for body in fine {
        read(body).unwrap_or_else(|told| panic!("{body}: {told:?}"));
    }
}
