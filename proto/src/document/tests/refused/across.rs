//! What is wrong with rules over several resources.

/// Fields of a rule with `for`, and what is told.
pub(super) const ACROSS: &[(&str, &[&str])] = &[
    (
        "when: x > y\ninputs: { y: { resource: r2, max_age: never } }",
        &[
            "5:14: rule r: inputs.y: `metric` is missing",
            "5:39: rule r: inputs.y.max_age: `never` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
        ],
    ),
    (
        "when: x > avg(y)\ninputs: { y: { of: {}, metric: m }, z: { of: { parnt: p }, metric: m }, v: { of: { type: t }, resource: r, metric: m } }",
        &[
            "5:20: rule r: inputs.y.of: nothing says which resources are members (write `parent`, `under`, `type`, `labels` or `ids`)",
            "5:48: rule r: inputs.z.of.parnt: unknown field `parnt` (did you mean `parent`?)",
            "5:78: rule r: inputs.v.of: an input is of one `resource` or `of` a group, not both",
        ],
    ),
    (
        "when: x > 1.0\nfrom: { rule: [ a, \"b c\" ], kinds: [ raised, late ] }",
        &[
            "5:21: rule r: from.rule[1]: `b c` is not a name: 1 to 128 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit",
            "5:46: rule r: from.kinds[1]: `late` is not one of result, raised, updated, cleared, window, match, state (did you mean `state`?)",
        ],
    ),
    (
        "when: x > 1.0\nclock: least\nmax_skew: 5s",
        &[
            "5:1: rule r: clock: `clock` is for tasks that read several resources, these read one each (leave it out, or name `inputs`)",
            "6:1: rule r: max_skew: `max_skew` is for tasks that read several resources, these read one each (leave it out, or name `inputs`)",
        ],
    ),
    (
        "when: x > y\ninputs: { y: { resource: r2, metric: y } }\nclock: newest\nmax_skew: 5s",
        &[
            "7:1: rule r: max_skew: `max_skew` is for `clock: least`: here no member is waited for (leave one of the two out)",
        ],
    ),
    (
        "join: { streams: { a: { from: all }, b: { from: all } }, within: {} }\nemit: { a: a.x }",
        &[
            "3:1: rule r: for: a join has no `for`: its streams say whose rows they take (write `from` in `join.streams`)",
        ],
    ),
];

/// Whole rules without `for`, and what is told.
pub(super) const JOINS: &[(&str, &[&str])] = &[
    (
        "when: x > y\ninputs: { y: { resource: r2, metric: y } }\nclock: own",
        &[
            "4:1: rule r: inputs: an input of one resource belongs to the task of a resource, and the rule has no `for` (write `for: all`, or make it a group: `of: { ids: [ … ] }`)",
            "5:1: rule r: clock: without `for` there is no resource whose own time could count (write `least` or `newest`)",
        ],
    ),
    (
        "join: { streams: { a: { from: all } }, within: {} }\nemit: { a: a.x }",
        &[
            "3:9: rule r: join.streams: a join has two streams, this one has 1 (join the result of one with a third: make a rule of each)",
        ],
    ),
    (
        "join: { kind: outer, streams: { a: { from: all }, b: { from: { rule: r r, kinds: late } } }, on: [ a.x ], within: { before: 1s, after: -2s } }\nemit: { a: a.x }",
        &[
            "3:15: rule r: join.kind: `outer` is not one of inner, left, right, full",
            "3:70: rule r: join.streams.b.from.rule: `r r` is not a name: 1 to 128 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit",
            "3:82: rule r: join.streams.b.from.kinds: `late` is not one of result, raised, updated, cleared, window, match, state (did you mean `state`?)",
            "3:100: rule r: join.on[0]: `a.x` is not a pair: `[o.order, p.order]`",
            "3:115: rule r: join.within: no row can be a partner: `before` and `after` together are less than zero (the right row lies between left − before and left + after)",
        ],
    ),
    (
        "join: { unmatched: eager, streams: { a: { from: all }, b: { from: all } }, within: { window: same, asof: {} } }\nwhere: x > 1.0",
        &[
            "3:76: rule r: join.within: `within` is one of `before` and `after`, `window`, and `asof`",
            "4:1: rule r: where: a join filters each stream, and its pairs (write `where` in a stream, or in `join`)",
        ],
    ),
    (
        "join: { kind: full, lateness: 1s, streams: { a: { from: all }, b: { from: all } }, within: { asof: { direction: forward } } }\nemit: { a: a.x }",
        &[
            "3:94: rule r: join.within.asof: looking ahead needs `tolerance`: otherwise no row is ever without a partner (write `tolerance: 30s`)",
        ],
    ),
    (
        "join: { kind: right, streams: { a: { from: all }, b: { from: all } }, within: { asof: { direction: nearest, tolerance: 1s } } }\nemit: { a: a.x }",
        &[
            "3:7: rule r: join: in order of arrival only `direction: backward` is known (write `order: time`)",
            "3:9: rule r: join.kind: an as-of join looks for one partner of each left row: `kind` is `inner` or `left` (exchange the streams)",
        ],
    ),
    (
        "join: { kind: full, unmatched: eager, streams: { a: { from: all }, b: { from: { rule: b } } }, within: { window: same } }",
        &[
            "3:21: rule r: join.unmatched: windows of a join are told when they close (leave `unmatched` out)",
            "3:96: rule r: join.within: `window: same` pairs lines of rules with windows, and a stream is of events (name rules: `from: { rule: means }`, or write `window: { tumbling: 1m }`)",
        ],
    ),
    (
        "join: { streams: { a: { from: all }, b: { from: all } }, lateness: 1s, within: { window: { hopping: 5s } } }\nemit: { a: a.x }",
        &[
            "3:90: rule r: join.within.window: `tumbling` is missing",
            "3:92: rule r: join.within.window.hopping: `hopping` is not available yet in this version",
        ],
    ),
];
