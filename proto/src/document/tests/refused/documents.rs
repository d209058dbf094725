//! What is wrong with documents that are no rules, and with several at once.

/// Whole documents, and what is told about them.
pub(super) const DOCUMENTS: &[(&str, &[&str])] = &[
    (
        "- a\n- b",
        &[
            "1:1: document 1: a list is not a document (a document is a map that begins with `kind: Rule`, or another kind)",
        ],
    ),
    (
        "just text",
        &[
            "1:1: document 1: a text is not a document (a document is a map that begins with `kind: Rule`, or another kind)",
        ],
    ),
    (
        "name: r\nwhen: x",
        &["1:1: document 1: `kind` is missing (one of Rule, Resource, ResourceType, Source)"],
    ),
    (
        "kind: rule\nname: r",
        &["1:7: document 1: kind: unknown kind `rule` (did you mean `Rule`?)"],
    ),
    (
        "kind: [Rule]",
        &[
            "1:1: document 1: kind: a list is not a kind (one of Rule, Resource, ResourceType, Source)",
        ],
    ),
    (
        "kind: Handler\nname: h",
        &["1:7: document 1: kind: `Handler` is not available yet in this version"],
    ),
    (
        "kind: Rule\nname: a b\nwhen: x",
        &[
            "2:7: rule a b: name: `a b` is not a name: 1 to 128 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit",
        ],
    ),
    (
        "kind: Rule\nwhen: x\nfor: { tpye: a }",
        &[
            "1:1: document 1: `name` is missing",
            "3:8: document 1: for.tpye: unknown field `tpye` (did you mean `type`?)",
        ],
    ),
    (
        "kind: Rule\nname: r\nfor: {}\nwhen: x",
        &[
            "3:6: rule r: for: nothing is selected: `type`, `labels` or `ids` is missing (or write `for: all`)",
        ],
    ),
    (
        "kind: Rule\nname: r\nfor: { ids: [], type: a }\nwhen: x",
        &[
            "3:8: rule r: for.ids: `ids` stands alone, without `type` and `labels`",
            "3:13: rule r: for.ids: no resource is named",
        ],
    ),
    (
        "kind: Rule\nname: r\nfor: [1, 'a\tb', '']\nwhen: x",
        &[
            "3:7: rule r: for[0]: `1` is not a text (write \"1\")",
            "3:11: rule r: for[1]: `a\tb` is not an id: 1 to 256 bytes without control characters",
            "3:18: rule r: for[2]: the text is empty",
        ],
    ),
    (
        "kind: Rule\nname: r\nfor: 5\nwhen: x",
        &["3:6: rule r: for: `5` is not a text (write \"5\")"],
    ),
    (
        "kind: Rule\nname: r\nfor: { type: [a], labels: { a: [1], b: {}, c: '' }, under: x }\nwhen: x",
        &[
            "3:14: rule r: for.type: a list is not a text",
            "3:32: rule r: for.labels.a: a list is not a text",
            "3:40: rule r: for.labels.b: a map is not a text",
            "3:48: rule r: for.labels.c: the text is empty",
            "3:53: rule r: for.under: `under` is not available yet in this version",
        ],
    ),
    (
        "kind: Resource\nname: r\nlabels: [a]\nmeta: { a: { b: ~ }, a.c: 1, a: 2 }\nparent: ''",
        &[
            "1:1: document 1: `id` is missing",
            "2:1: document 1: name: unknown field `name` (known here: kind, id, type, labels, meta, parent, disorder, idle)",
            "3:9: document 1: labels: a list is not a map",
            "4:14: document 1: meta.a.b: there is no value",
            "4:30: document 1: meta.a: `a` is there twice",
            "5:10: document 1: parent: the text is empty",
        ],
    ),
    (
        "kind: Resource\nid: r\nparent: r\nmeta: { a: { b: 1 }, a.b: 2 }",
        &[
            "3:9: resource r: parent: a resource is not its own parent",
            "4:14: resource r: meta.a.b: `a.b` is there twice",
        ],
    ),
    // A ring of three, closed by the last of them, and one of two; who only stands below a ring is not in it.
    (
        "kind: Resource\nid: a\nparent: b\n---\nkind: Resource\nid: x\nparent: a\n---\nkind: Resource\nid: b\nparent: c\n---\nkind: Resource\nid: c\nparent: a\n---\n{kind: Resource, id: d, parent: e}\n---\n{kind: Resource, id: e, parent: d}",
        &[
            "15:9: resource c: parent: c would stand below itself: c below a below b below c (leave `parent` out of one of them)",
            "19:33: resource e: parent: e would stand below itself: e below d below e (leave `parent` out of one of them)",
        ],
    ),
    (
        "kind: ResourceType\nname: [x]\nidle: -5m",
        &[
            "2:7: document 1: name: a list is not a text",
            "3:7: document 1: idle: `-5m` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
        ],
    ),
    (
        "kind: Source\nname: s\ntopic: a/b\nformat: csv\nresource: 'header:'\ntime: a..b\nvalues: .x\nkeyed: 1\nfrom: 5",
        &[
            "3:8: source s: topic: `a/b` is not a topic name: 1 to 249 of `A-Z a-z 0-9 . _ -`",
            "4:9: source s: format: `csv` is not available yet in this version",
            "5:12: source s: resource: `header:` is not a place in a record: a field path such as `device.id`, `header:NAME` or `key`",
            "6:7: source s: time: `a..b` is not a place in a record: a field path such as `device.id`, `header:NAME` or `key`",
            "7:9: source s: values: `.x` is not a field path such as `data.readings`",
            "8:8: source s: keyed: `1` is not true or false",
            "9:7: source s: from: `5` is not one of earliest, latest",
        ],
    ),
    (
        "kind: Source\nname: s\ntopic: t\nformat: raw\nprecision: ns",
        &[
            "1:1: source s: `format: raw` needs `transform` (a script whose value is an event, or a list of them: `#{ resource: key, values: #{ x: 1.0 } }`)",
            "5:1: source s: precision: `precision` goes with `format: influx`",
        ],
    ),
    (
        "kind: Source\nname: s\ntopic: t\nformat: influx\nvalues: a\ntransform: x\nprecision: ms",
        &[
            "5:1: source s: values: `values` does not go with `format: influx`",
            "6:1: source s: transform: `transform` goes with `format: raw`",
        ],
    ),
    (
        "kind: Source\nname: s\nfrmat: json",
        &[
            "1:1: source s: `topic` is missing",
            "3:1: source s: frmat: unknown field `frmat` (did you mean `format`?)",
        ],
    ),
    (
        "kind: Rule\nname: r\nfor: all\n? [a]\n: b\nwhen: x",
        &["4:3: rule r: the name of a field is a text, not a list"],
    ),
    (
        "kind: Rule\nname: r\n\tfor: all\nwhen: x",
        &["2:7: document 1: not YAML: while scanning a plain scalar, found a tab"],
    ),
    (
        "kind: Rule\nname: r\nfor:\n\ttype: x\nwhen: x",
        &["4:2: document 1: not YAML: tabs disallowed within this context (block indentation)"],
    ),
    (
        "kind: Rule\nname: r\nfor: all\nwhen: \"x",
        &[
            "4:7: document 1: not YAML: while scanning a quoted scalar, found unexpected end of stream",
        ],
    ),
    (
        "kind: Rule\nname: r\nfor: all\nwhen: x > 1: y",
        &["4:12: document 1: not YAML: mapping values are not allowed in this context"],
    ),
    (
        "{\"kind\": \"Rule\", \"name\": \"r\", \"for\": \"all\", \"when\": \"x\", \"hold\": 5}\n{\"kind\": \"Rule\"",
        &[
            "1:66: rule r: hold: `5` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
            "2:16: document 2: not JSON: the text ends where `,` or `}` is expected",
        ],
    ),
];
