//! What is wrong with rules over several resources.

/// Fields of a rule with `for`, and what is told.
pub(super) const ACROSS: &[(&str, &[&str])] = &[
    (
        "when: x > y\ninputs: { y: { resource: r2, max_age: never } }",
        &[],
    ),
    (
        "when: x > y\ninputs: { y: { of: { parent: p }, metric: m } }",
        &[],
    ),
    ("when: x > 1.0\nclock: least\nmax_skew: 5s", &[]),
    (
        "when: x > y\ninputs: { y: { resource: r2, metric: y } }\nclock: newest\nmax_skew: 5s",
        &[],
    ),
    (
        "join: { streams: { a: { from: all }, b: { from: all } }, within: {} }\nemit: { a: a.x }",
        &[],
    ),
];

/// Whole rules without `for`, and what is told.
pub(super) const JOINS: &[(&str, &[&str])] = &[
    (
        "when: x > y\ninputs: { y: { resource: r2, metric: y } }\nclock: own",
        &[],
    ),
    (
        "join: { streams: { a: { from: all } }, within: {} }\nemit: { a: a.x }",
        &[],
    ),
    (
        "join: { kind: outer, streams: { a: { from: all }, b: { from: { rule: r } } }, on: [ a.x ], within: { before: 1s, after: -2s } }\nemit: { a: a.x }",
        &[],
    ),
    (
        "join: { unmatched: eager, streams: { a: { from: all }, b: { from: all } }, within: { window: same, asof: {} } }\nwhere: x > 1.0",
        &[],
    ),
    (
        "join: { kind: full, lateness: 1s, streams: { a: { from: all }, b: { from: all } }, within: { asof: { direction: forward } } }\nemit: { a: a.x }",
        &[],
    ),
    (
        "join: { kind: right, streams: { a: { from: all }, b: { from: all } }, within: { asof: { direction: nearest, tolerance: 1s } } }\nemit: { a: a.x }",
        &[],
    ),
    (
        "join: { streams: { a: { from: all }, b: { from: all } }, lateness: 1s, within: { window: { hopping: 5s } } }\nemit: { a: a.x }",
        &[],
    ),
];
