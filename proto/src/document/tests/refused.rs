//! Documents with mistakes, and every line that is told about them.

mod across;
mod documents;
mod windows;

use super::*;
use documents::DOCUMENTS;

/// Fields behind `kind: Rule`, `name: r` and `for: all` (three lines), and what is told about them.
const RULES: &[(&str, &[&str])] = &[
    (
        "when: x > 1\nhold: 5",
        &[
            "5:7: rule r: hold: `5` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
        ],
    ),
    (
        "when: x\nhold: 5 minutes\nclear_hold: 1m\nidle: 0s\ndisorder: 8d",
        &[
            "5:7: rule r: hold: `5 minutes` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
            "7:7: rule r: idle: `0s` is out of range: a duration is 1 ms to 10 years",
            "8:11: rule r: disorder: `8d` is too long: at most 7d",
        ],
    ),
    (
        "when: x\nhodl: 2m\nwibble: 1",
        &[
            "5:1: rule r: hodl: unknown field `hodl` (did you mean `hold`?)",
            "6:1: rule r: wibble: unknown field `wibble` (did you mean `idle`?)",
        ],
    ),
    (
        "when: x\nwhen: y\nhold:\nclear: ''",
        &[
            "5:1: rule r: when: `when` is there twice",
            "6:1: rule r: hold: there is no value (write a value or leave the field out)",
            "7:9: rule r: clear: the formula is empty",
        ],
    ),
    (
        "when: x\nwindow: { tumbling: 5m }\nemit: { n: count() }",
        &["1:1: rule r: a rule has one body, this one has `when`, `window` (make a rule of each)"],
    ),
    (
        "hold: five",
        &[
            "1:1: rule r: the rule has no body (one of `when` (a condition), `window` (aggregates), `pattern` (rows in order), `graph` (nodes and triggers) and `join` (rows in pairs))",
            "4:7: rule r: hold: `five` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
        ],
    ),
    (
        "when: [x]\nwhere: {a: 1}\nclear: ~\norder: sideways",
        &[
            "4:7: rule r: when: a list is not a formula",
            "5:8: rule r: where: a map is not a formula",
            "6:1: rule r: clear: there is no value (write a value or leave the field out)",
            "7:8: rule r: order: `sideways` is not one of arrival, time",
        ],
    ),
    (
        "when: x\nemit: { n: 1 }\nhaving: n\nby: [a]",
        &[
            "5:1: rule r: emit: `emit` belongs to `window`, which is not there",
            "6:1: rule r: having: `having` belongs to `window`, which is not there",
            "7:1: rule r: by: `by` belongs to `window`, which is not there",
        ],
    ),
    (
        "window: { tumbling: 5m }\nhold: 1m",
        &[
            "1:1: rule r: `emit` is missing",
            "5:1: rule r: hold: `hold` belongs to `when`, which is not there",
        ],
    ),
    (
        "window: { tumbling: 5m, hopping: {size: 1m, every: 1s} }\nemit: {}",
        &[
            "4:9: rule r: window: a window has one form, this one has `tumbling`, `hopping`",
            "5:1: rule r: emit: no column is named",
        ],
    ),
    (
        "window: { lateness: 8d, offset: 1h }\nemit: [a]",
        &[
            "4:9: rule r: window: the window has no form (one of `tumbling`, `hopping`, `sliding`, `session`, `count`, `cumulate`, `calendar`, `state`, `global`)",
            "4:21: rule r: window.lateness: `8d` is too long: at most 7d",
            "5:7: rule r: emit: a list is not a map",
        ],
    ),
    (
        "window: { tumbling: 5, fill: zero, emit: final, retract: true }\nemit: { n: [] }",
        &[
            "4:21: rule r: window.tumbling: `5` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
            "5:12: rule r: emit.n: a list is not a formula",
        ],
    ),
    (
        "window: { hopping: { size: 1d, every: 1s } }\nemit: { n: count() }",
        &[
            "4:11: rule r: window.hopping: a row would be in 86400 windows: at most 10000 (make `every` longer or `size` shorter)",
        ],
    ),
    (
        "window: { hopping: 5m }\nemit: { n: count(), n: 2 }",
        &[
            "4:20: rule r: window.hopping: `5m` is not a map",
            "5:21: rule r: emit.n: `n` is there twice",
        ],
    ),
    (
        "window: { hopping: { size: 5m, evry: 1m, offset: 1s }, offset: 2s }\nemit: { n: 1 }\nby: { n: x }",
        &[
            "4:20: rule r: window.hopping: `every` is missing",
            "4:32: rule r: window.hopping.evry: unknown field `evry` (did you mean `every`?)",
            "4:56: rule r: window.offset: `offset` is there twice",
            "6:10: rule r: by.n: `n` is a column of `emit` too",
        ],
    ),
    (
        "window: { sliding: { size: 5m, edges: closed }, offset: 1s }\nemit: { n: 1 }\nby: { sets: [[a], [a]] }",
        &[
            "4:49: rule r: window.offset: a sliding window takes no `offset`",
            "6:19: rule r: by.sets[1]: this grouping is there twice",
        ],
    ),
    (
        "window: 5m\nemit: { n: 1 }\nby: 7",
        &[
            "4:9: rule r: window: `5m` is not a map",
            "6:5: rule r: by: `7` is not a map of formulas or a list of paths",
        ],
    ),
    (
        "pattern: { steps: [] }\nwithin: 5m",
        &[
            "4:19: rule r: pattern.steps: 0 elements: 1 to 64",
            "5:1: rule r: within: unknown field `within` (did you mean `then`?)",
        ],
    ),
    (
        "graph: {}\ninputs: {}\nclock: own",
        &[
            "4:8: rule r: graph: `nodes` is missing",
            "5:1: rule r: inputs: no input is named",
        ],
    ),
    (
        "when: x\ndampen: 3\nnever_lower: true\nflapping: { changes: 1, until: 9 }\nagain: 0s",
        &[
            "5:9: rule r: dampen: `3` is not a map",
            "6:1: rule r: never_lower: `never_lower` needs `levels`: one severity never changes",
            "7:11: rule r: flapping: `within` is missing",
            "7:22: rule r: flapping.changes: `1` is not a whole number from 2 to 100000",
            "8:8: rule r: again: `0s` is out of range: a duration is 1 ms to 10 years",
        ],
    ),
    (
        "when: x\nhold: 1m\ndampen: { active: 2m }\nflapping: { changes: 3, within: 1m, until: 3 }",
        &[
            "5:1: rule r: hold: `dampen: { active }` and `hold` say the same (leave one of them out)",
            "7:37: rule r: flapping.until: it ends with 3 changes left but begins with 3",
        ],
    ),
    (
        "when: x\ndampen: { of: [3, 2] }\nactive: { zone: Mars/Olympus, times: [ { days: [mon, fryday], from: 8 } ], outside: stop }",
        &[
            "5:15: rule r: dampen.of: 3 of 2 can never be true (write `of: [2, 3]`)",
            "6:17: rule r: active.zone: `Mars/Olympus` is not a time zone: write an IANA name such as `Europe/Brussels` or `UTC`",
            "6:54: rule r: active.times[0].days[1]: `fryday` is not one of mon, tue, wed, thu, fri, sat, sun",
            "6:69: rule r: active.times[0].from: `8` is not a time of day: write \"08:00\", at most \"24:00\"",
            "6:85: rule r: active.outside: `stop` is not one of pause, clear",
        ],
    ),
    (
        "levels:\n  - { severity: MAJOR, when: x }\n  - { severity: MAJOR, when: y, again: 1m }\n  - { when: z }\nhold: 1m\nthen: [ { alarm: { severity: MINOR } } ]",
        &[
            "6:5: rule r: levels[1]: this severity is there twice",
            "6:33: rule r: levels[1].again: unknown field `again` (known here: severity, when, hold, clear, clear_hold, dampen)",
            "7:5: rule r: levels[2]: `severity` is missing",
            "8:1: rule r: hold: `hold` belongs into each of `levels`",
            "9:20: rule r: then[0].alarm.severity: the severity of an alarm comes from `levels` (leave `severity` out)",
        ],
    ),
    (
        "when: x\nthen:\n  - { log: a, on: [again] }\n  - { log: b, every_time: true, on: cleared }",
        &[
            "5:1: rule r: then[0].on: without `again` the alarm is never told again (write `again: 15m` beside `when`)",
            "7:15: rule r: then[1].every_time: `every_time` needs `raised` in `on`",
        ],
    ),
    (
        "window: { tumbling: 5m }\nemit: { n: count() }\nthen: [ { alarm: { severity: MAJOR } } ]",
        &[
            "6:1: rule r: then[0].alarm: windows and joins have results, which do not end as an alarm does (ask for the same with a condition, such as `when: count(x, \"5m\") > 3.0`, or act by `handler`, `topic` or `log`)",
        ],
    ),
    (
        "when: x\nthen: [ { alarm: { severity: MAJOR }, at_most_every: 10s }, { alarm: { severity: MINOR, once: true } } ]",
        &[
            "5:1: rule r: then[0].alarm: `at_most_every` would leave lines of the alarm out, also its end (limit what is done beside it: a `handler`, `topic` or `log` of its own)",
            "5:1: rule r: then[1].alarm: a rule raises one alarm (write `levels` for several severities, or another rule)",
            "5:1: rule r: then[1].alarm: `once` would leave lines of the alarm out, also its end (limit what is done beside it: a `handler`, `topic` or `log` of its own)",
        ],
    ),
    (
        "when: x\nthen: { alarm: {} }\nto: results",
        &[
            "5:7: rule r: then: a map is not a list",
            "6:5: rule r: to: `results` is not a list",
        ],
    ),
    (
        "when: x\nthen:\n  - alarm: { severity: major, txt: a }\n  - alarm: { text: [] }\n  - alarm: MAJOR",
        &[
            "6:24: rule r: then[0].alarm.severity: `major` is not one of WARNING, MINOR, MAJOR, CRITICAL (did you mean `MAJOR`?)",
            "6:31: rule r: then[0].alarm.txt: unknown field `txt` (did you mean `text`?)",
            "7:12: rule r: then[1].alarm: `severity` is missing",
            "7:20: rule r: then[1].alarm.text: a list is not a formula",
            "8:12: rule r: then[2].alarm: `MAJOR` is not a map",
        ],
    ),
    (
        "when: x\nthen:\n  - set: { values: {} }\n  - alrm: {}\n  - {}\n  - log\n  - alarm: { severity: MAJOR }\n    log: x",
        &[
            "6:10: rule r: then[0].set: `resource` is missing",
            "6:12: rule r: then[0].set.values: no value is named",
            "7:5: rule r: then[1].alrm: unknown action `alrm` (did you mean `alarm`?)",
            "8:5: rule r: then[2]: an action is one of `alarm`, `topic`, `handler`, `set`, `log`",
            "9:5: rule r: then[3]: `log` is not an action: a map such as `alarm: { severity: MAJOR }`",
            "10:5: rule r: then[4]: one action has one kind, this one has `alarm`, `log` (make an item of each)",
        ],
    ),
    (
        "when: x\nthen:\n  - { log: a, on: [], once: yes }\n  - { log: a, on: [raised, raised, risen] }\n  - { log: { text: a, on: raised }, on: cleared, at_most_every: 60 }",
        &[
            "6:19: rule r: then[0].on: the action would never run",
            "6:29: rule r: then[0].once: `yes` is not true or false",
            "7:28: rule r: then[1].on[1]: `raised` is there twice",
            "7:36: rule r: then[1].on[2]: `risen` is not one of raised, updated, cleared, again (did you mean `raised`?)",
            "8:23: rule r: then[2].log.on: `on` is there twice",
            "8:65: rule r: then[2].at_most_every: `60` is not a duration: write `90s`, `5m`, `1h30m`, `250ms` or ISO 8601 such as `PT5M`",
        ],
    ),
    (
        "when: x\nthen:\n  - handler: { use: my mail, with: [a] }\n  - topic: { name: 'a b', value: '' }\n  - topic: {}\n  - handler: { with: { a: { b: 1 } } }",
        &[
            "6:21: rule r: then[0].handler.use: `my mail` is not a name: 1 to 128 of `A-Z a-z 0-9 . _ -`, starting with a letter or digit",
            "6:36: rule r: then[0].handler.with: a list is not a map",
            "7:21: rule r: then[1].topic.name: `a b` is not a topic name: 1 to 249 of `A-Z a-z 0-9 . _ -`",
            "7:35: rule r: then[1].topic.value: the formula is empty",
            "8:12: rule r: then[2].topic: `name` is missing",
            "9:14: rule r: then[3].handler: `use` is missing",
            "9:27: rule r: then[3].handler.with.a: a map is not a formula",
        ],
    ),
    (
        "when: x\nto: [ result, series, { topic: {} }, { file: a }, 5, { topic: { name: ok, key: x } } ]",
        &[
            "5:7: rule r: to[0]: `result` is not one of results (did you mean `results`?)",
            "5:15: rule r: to[1]: `series` is not available yet in this version",
            "5:32: rule r: to[2].topic: `name` is missing",
            "5:40: rule r: to[3].file: unknown field `file` (known here: topic)",
            "5:51: rule r: to[4]: `5` is not `results` or `topic: { name: … }`",
            "5:75: rule r: to[5].topic.key: `key` is not available yet in this version",
        ],
    ),
    (
        "when: x\nto: []\nthen: []",
        &["5:5: rule r: to: the results would go nowhere (leave `to` out: they go to `results`)"],
    ),
    (
        "when: x\ndisorder: 20s\nidle: 10s",
        &["5:11: rule r: disorder: `disorder` 20s is longer than `idle` 10s"],
    ),
    (
        "when: x\ndescription: 5\nenabled: true",
        &[
            "5:14: rule r: description: `5` is not a text (write \"5\")",
            "6:1: rule r: enabled: unknown field `enabled` (known here: kind, name, description, for, where, disorder, idle, order, when, levels, hold, clear, clear_hold, dampen, again, flapping, active, never_lower, window, by, emit, having, null_keys, pattern, graph, join, from, inputs, clock, max_skew, then, to)",
        ],
    ),
];

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> = match parse(text) {
        Ok(_) => Vec::new(),
        Err(issues) => issues.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(found, expected, "{text}");
}

#[test]
fn every_problem_of_a_rule_is_told_at_once() {
    let all = RULES.iter().chain(windows::WINDOWS).chain(across::ACROSS);
    for (fields, expected) in all {
        check(
            &format!("kind: Rule\nname: r\nfor: all\n{fields}"),
            expected,
        );
    }
}

#[test]
fn every_problem_of_a_rule_over_several_resources_is_told_at_once() {
    for (fields, expected) in across::JOINS {
        check(&format!("kind: Rule\nname: r\n{fields}"), expected);
    }
}

#[test]
fn every_problem_of_a_document_is_told_at_once() {
    for (text, expected) in DOCUMENTS {
        check(text, expected);
    }
    // Together they are told in the order of the text, each document by its number or name.
    let both = format!("{}\n---\n{}", DOCUMENTS[2].0, RULES[0].0);
    check(
        &both,
        &[
            "1:1: document 1: `kind` is missing (one of Rule, Resource, ResourceType, Source)",
            "4:1: document 2: `kind` is missing (one of Rule, Resource, ResourceType, Source)",
        ],
    );
}

/// The examples of the specification, as they stand there: what this version does not have is named, nothing else.
#[test]
fn the_specification_is_read_as_far_as_this_version_goes() {
    let text = r#"kind: Rule
name: boiler-overheats
for: { type: boiler }                       # every match gets a task; also `all`, ids, labels; left out: one task over everything
inputs:                                     # the resource's own metrics are in scope by name; others are named here
  load: { resource: "${meta.line}", metric: load }
when: avg(temperature, "5m") > 90.0 && corr(temperature, load, "10m") < 0.2
hold: 2m                                    # must stay true
clear: avg(temperature, "5m") < 85.0        # hysteresis; without it: when `when` turns false
then:
  - alarm: { severity: MAJOR, text: "mean ${avg(temperature, \"5m\")} °C" }
  - set: { resource: "${meta.valve}", values: { open: true } }
  - handler: { use: ops-mail, with: { subject: "Boiler ${resource}" } }
---
kind: Rule
name: means
for: { type: boiler }
window: { tumbling: 5m, lateness: 30s }     # hopping {size, every}, sliding, session {gap, max}, count, cumulate, calendar {unit, zone}, state {start, end, min, max}
emit: { mean: avg(temperature), n: count(temperature), r: corr(temperature, load) }
to: [ results, series ]
---
kind: Rule
name: door-left-open
for: { type: room }
pattern:
  within: 10m
  steps:
    - opened: door == "open"
    - not: motion > 0
      for: 2m
then: [ { alarm: { severity: WARNING } } ]
---
kind: Rule
name: both-hot                              # the full form: a graph of sensors, gates, triggers, actuators
graph:
  nodes:
    a: { formula: temperature, of: boiler1, states: { Above: "> 90", Below: "<= 90" }, evict: 5s }
    b: { formula: temperature, of: boiler2, states: { Above: "> 90", Below: "<= 90" }, evict: 5s }
    g: { gate: AND, of: [a, b], true_when: [[Above, Above]] }
  triggers:
    - { from: g, on: { becomes: TRUE }, do: mail, at_most_every: 60s }
  actuators:
    mail: { handler: { use: ops-mail } }
"#;
    check(
        text,
        &["19:16: rule means: to[1]: `series` is not available yet in this version"],
    );
}
