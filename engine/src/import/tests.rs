//! Templates written from the description of the platform, and the rules that they become.

use serde_json::{Value, json};
use tidegate_operators::Plan;
use tidegate_proto::Document;

use super::waylay;

/// The rule of a template, and its plan's problems.
fn rule(template: &Value) -> Value {
    waylay(&template.to_string()).unwrap().rule
}

fn graph(template: &Value) -> Value {
    rule(template)["graph"].clone()
}

/// Reads and compiles what was imported.
fn compiles(rule: &Value) -> Result<Plan, Vec<String>> {
    let told = |issues: Vec<tidegate_proto::Issue>| {
        issues.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    match tidegate_proto::document::parse(&rule.to_string())
        .map_err(told)?
        .pop()
    {
        Some(Document::Rule(rule)) => Plan::compile(&rule).map_err(told),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_simplified_template_becomes_a_rule() {
    let template = json!({
        "sensors": [
            {"label": "t1", "name": "stream", "version": "1.0.1", "resource": "$", "dataTrigger": true, "tickTrigger": false, "evictionTime": 5000, "position": [1, 2]},
            {"label": "f 1", "name": "Function", "version": "1.0.1", "properties": {"formula": "<avg(5, samples, t1.temp)>", "threshold": 21}},
            {"label": "d", "name": "Delay", "properties": {"duration": 5}, "sequence": 2}
        ],
        "relations": [
            {"label": "g1", "type": "AND", "parentLabels": ["t1", "f 1"], "combinations": [["Data", "Above"]]},
            {"label": "o1", "type": "OR", "parentLabels": ["f 1", "d"], "combinations": [["Below", "Triggered"]]}
        ],
        "actuators": [
            {"label": "mail1", "name": "mail", "version": "2.0.0", "properties": {"to": "a@b.c", "subject": "{{RESOURCE}} at {{t1.temp}}, ${nodes.g1.state}", "tries": 3}}
        ],
        "triggers": [
            {"sourceLabel": "g1", "destinationLabel": "mail1", "statesTrigger": ["TRUE"], "invocationPolicy": 60},
            {"sourceLabel": "f 1", "destinationLabel": "d", "stateChangeTrigger": {"stateFrom": "*", "stateTo": "Above"}},
            {"sourceLabel": "d", "destinationLabel": "mail1"}
        ],
        "task": {"name": "demo rule", "type": "periodic", "frequency": 1500, "resource": "pump7", "resetObservations": false}
    });
    let imported = waylay(&template.to_string()).unwrap();
    assert_eq!(
        imported.rule,
        json!({
            "kind": "Rule",
            "name": "demo-rule",
            "for": "pump7",
            "graph": {
                "evaluate": "node",
                "reset": false,
                "tick": "1500ms",
                "nodes": {
                    "t1": {"formula": "time", "tick": false, "evict": "5s", "ui": {"position": [1, 2]}},
                    "f_1": {"formula": "avg(temp, \"5 rows\")", "threshold": "21"},
                    "d": {"delay": "5s"},
                    "g1": {"gate": "AND", "of": ["t1", "f_1"], "true_when": [["Data", "Above"]]},
                    "o1": {"gate": "OR", "of": ["f_1", "d"], "false_when": [["Below", "Triggered"]]}
                },
                "triggers": [
                    {"from": "g1", "on": {"state": ["TRUE"]}, "do": "mail1", "at_most_every": "60s"},
                    {"from": "f_1", "on": {"changes": {"from": "*", "to": "Above"}}, "do": "d"},
                    {"from": "d", "do": "mail1"}
                ],
                "actuators": {
                    "mail1": {"handler": {"use": "mail", "with": {"to": "a@b.c", "subject": "${resource} at ${temp}, ${g1.state}", "tries": "3"}}}
                }
            }
        })
    );
    assert_eq!(
        imported.warnings,
        [
            "sensors[0].version: has no equal here and is left out",
            "sensors[1].version: has no equal here and is left out",
            "actuators[0].version: has no equal here and is left out",
        ]
    );
    compiles(&imported.rule).unwrap();
}

#[test]
fn the_bayesian_form_becomes_tables_and_priors() {
    let template = json!({
        "name": "link",
        "posterior": [{"nodes": ["LINK", "p1", "p2"], "function": [0, 1, 1, 1, 1, 0, 0, 0]}],
        "nodes": [
            {"name": "LINK", "states": ["OK", "NOK"], "type": "discrete", "mode": "nature"},
            {"name": "p1", "states": ["Below", "Equal", "Above"], "priors": [0.25, 0.25, 0.5], "properties": {
                "cost": 1, "resource": "$", "evictionTime": 1500,
                "sensor": {"name": "streamingDataSensor", "version": "1.0.0", "properties": {"parameter": "volt", "threshold": 3}}}},
            {"name": "p2", "states": ["Dead", "Alive"], "priors": [0.5, 0.5]}
        ],
        "task": {"type": "reactive"}
    });
    let graph = graph(&template);
    assert_eq!(
        graph["nodes"]["p1"]["priors"],
        json!({"Below": 0.25, "Equal": 0.25, "Above": 0.5})
    );
    assert_eq!(graph["nodes"]["p1"]["evict"], "1500ms");
    assert_eq!(
        graph["nodes"]["p2"],
        json!({"states": ["Dead", "Alive"], "table": [0.5, 0.5]})
    );
    let link =
        json!({"states": ["OK", "NOK"], "table": [0, 1, 1, 1, 1, 0, 0, 0], "of": ["p1", "p2"]});
    assert_eq!(graph["nodes"]["LINK"], link);
    // The table is of two parents with two states each: that is told when it is applied.
    let told = compiles(&rule(&template)).unwrap_err();
    assert!(told[0].contains("8 numbers, the table has 12"), "{told:?}");
}

#[test]
fn references_of_formulas_become_ours() {
    let sensor = |formula: &str| {
        let template = json!({
            "sensors": [
                {"label": "s", "name": "streamingDataSensor", "properties": {"parameter": "temp", "threshold": 21}},
                {"label": "n", "name": "Function", "properties": {"formula": "1"}},
                {"label": "f", "name": "Function", "properties": {"formula": formula}}
            ],
            "variables": [{"name": "limit", "type": "double", "defaultValue": 4.5}]
        });
        match waylay(&template.to_string()) {
            Ok(imported) => {
                compiles(&imported.rule).unwrap();
                imported.rule["graph"]["nodes"]["f"]["formula"]
                    .as_str()
                    .unwrap()
                    .to_owned()
            }
            Err(problems) => problems.join("; "),
        }
    };
    assert_eq!(
        sensor("<n.formulaValue> - <n.formulaValue>[-2]"),
        "n.value - prev(n.value, 2)"
    );
    assert_eq!(sensor("<s.temp> + <s.other>"), "s.value + other");
    assert_eq!(
        sensor("abs(<n.v> - <n.v>[-1]) / dt"),
        "abs(n.value - prev(n.value)) / ((time - f.time) / 1000.0)"
    );
    assert_eq!(
        sensor("<max(3, minutes, s.temp)> - <min(s.temp)>"),
        "max(temp, \"3m\") - min(temp, \"all\")"
    );
    assert_eq!(
        sensor("<count(OK, 5, minutes, GLOBAL.mode)>"),
        "count_if(mode == \"OK\", \"5m\")"
    );
    assert_eq!(
        sensor("<sequence([Below,Above], s.state)>"),
        "(if or(prev(s.state) == \"Below\" && s.state == \"Above\", false) { 1.0 } else { 0.0 })"
    );
    assert_eq!(sensor("${variables.limit} + ${streamdata.x}"), "4.5 + x");
    assert_eq!(
        sensor("if ${nodes.s.state} == 'Above' { 1 } else { 0 }"),
        "if s.state == \"Above\" { 1 } else { 0 }"
    );
    assert_eq!(sensor("len('it\\'s \"so\"')"), "len(\"it's \\\"so\\\"\")");
    assert_eq!(
        sensor("<avg(n.v)>"),
        "sensors[2]: `Function`: `n.v` is a value of a node: windows are over metrics, write the function over them by hand"
    );
    assert_eq!(
        sensor("<x.v>"),
        "sensors[2]: `Function`: there is no node `x`"
    );
}

#[test]
fn everything_that_cannot_be_said_is_told_at_once_and_what_has_no_equal_is_warned_of() {
    let told = waylay(
        &json!({
            "sensors": [
                {"label": "a b", "name": "stream"},
                {"label": "a_b", "name": "stream", "pauseExecution": true},
                {"label": "c", "name": "stream", "evictionTme": 5, "xyz": 1}
            ],
            "relations": [
                {"label": "g", "type": "XOR", "parentLabels": ["c"]},
                {"label": "h", "type": "AND", "parentLabels": ["c", "zz"]}
            ],
            "triggers": [
                {"sourceLabel": "c"},
                {"sourceLabel": "gg", "destinationLabel": "mail", "invocationPolicy": "x"}
            ],
            "task": {"type": "sometimes"}
        })
        .to_string(),
    )
    .unwrap_err();
    assert_eq!(
        told,
        [
            "sensors[1].label: `a_b` and `a b` are both `a_b` here",
            "sensors[1].pauseExecution: has no equal here",
            "sensors[2].evictionTme: unknown key; did you mean evictionTime?",
            "sensors[2].xyz: unknown key",
            "relations[0].type: `XOR` is not one of AND, OR, NAND, GENERAL",
            "relations[1].parentLabels[1]: there is no `zz`",
            "triggers[0]: `destinationLabel` is missing",
            "triggers[1].sourceLabel: there is no `gg`",
            "triggers[1].destinationLabel: there is no `mail`",
            "triggers[1].invocationPolicy: a number of seconds is wanted",
            "task.type: `sometimes` is not one of periodic, scheduled, onetime, reactive",
        ]
    );
    let imported = waylay(&json!({"sensors": [{"label": "w", "name": "weather", "properties": {"city": "Ghent"}}], "task": {"type": "onetime"}}).to_string());
    let imported = imported.unwrap();
    assert_eq!(
        imported.rule["graph"]["nodes"]["w"]["call"],
        json!({"use": "weather", "with": {"city": "Ghent"}})
    );
    assert_eq!(imported.rule["graph"]["tick"], "once");
    assert_eq!(
        imported.warnings,
        ["sensors[0]: `weather` has no equal here: it becomes a call of a handler of that name"]
    );
    assert_eq!(waylay("{").unwrap_err().len(), 1);
    assert_eq!(
        waylay("{}").unwrap_err(),
        ["sensors: there is no sensor and no node"]
    );
}
