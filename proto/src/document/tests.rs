//! Documents that are right: every field, the examples of the specification, positions.

mod flow;
mod graphs;
mod hostile;
mod patterns;
mod refused;

use std::sync::Arc;

use super::*;
use crate::decode::{FieldSource, SourceFormat};
use crate::rule::{
    Action, ActionKind, Body, FormulaText, On, Order, Selector, Severity, Target, WindowForm,
};
use crate::time::Span;

#[track_caller]
fn good(text: &str) -> Vec<Document> {
    parse(text).unwrap_or_else(|issues| {
        let lines: Vec<String> = issues.iter().map(ToString::to_string).collect();
        panic!("{}\n{text}", lines.join("\n"))
    })
}

#[track_caller]
fn rule(text: &str) -> Rule {
    match good(text).pop() {
        Some(Document::Rule(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn rule_with(fields: &str) -> Rule {
    rule(&format!("kind: Rule\nname: r\nfor: all\n{fields}"))
}

fn sources(columns: &[(Arc<str>, FormulaText)]) -> Vec<String> {
    columns
        .iter()
        .map(|(name, formula)| format!("{name}={}", formula.source))
        .collect()
}

const OVERHEATS: &str = r#"# A comment.
kind: Rule
name: boiler-overheats
for: { type: boiler }                       # every match gets a task
when: avg(temperature, "5m") > 90.0
hold: 2m                                    # must stay true
clear: avg(temperature, "5m") < 85.0        # hysteresis
clear_hold: 30s
description: Watches boilers
where: quality == "good"
disorder: 10s
idle: 1m
order: time
then:
  - alarm: { severity: MAJOR, text: "mean ${avg(temperature, \"5m\")} °C" }
  - handler: { use: ops-mail, with: { subject: "Boiler ${resource}", level: 3 } }
    on: [raised, cleared]
    at_most_every: 10m
    once: true
  - topic: { name: hot }
  - topic: { name: hot.values, value: '#{ t: temperature }', on: cleared }
  - log: "hot: ${temperature}"
  - log: { text: cold, at_most_every: 1s }
to:
  - results
  - topic: { name: means }
"#;

#[test]
fn a_condition_with_every_field() {
    let rule = rule(OVERHEATS);
    assert_eq!(rule.name.as_str(), "boiler-overheats");
    assert_eq!(rule.description.as_deref(), Some("Watches boilers"));
    let kind = Some(Arc::from("boiler"));
    assert_eq!(
        rule.selector,
        Selector::Match {
            kind,
            labels: [].into()
        }
    );
    assert_eq!(rule.filter.unwrap().source.as_ref(), "quality == \"good\"");
    assert_eq!(rule.timing.disorder, Some(Span::seconds(10)));
    assert_eq!(rule.timing.idle, Some(Span::seconds(60)));
    assert_eq!(rule.timing.order, Some(Order::Time));
    let Body::When(when) = rule.body else {
        panic!("a condition");
    };
    let [level] = when.levels.as_slice() else {
        panic!("one level");
    };
    assert_eq!(
        level.when.source.as_ref(),
        "avg(temperature, \"5m\") > 90.0"
    );
    assert_eq!(level.when.path.as_ref(), "when");
    assert_eq!((level.when.mark.line, level.when.mark.column), (5, 7));
    assert_eq!(
        level.clear.as_ref().unwrap().source.as_ref(),
        "avg(temperature, \"5m\") < 85.0"
    );
    assert_eq!(
        (level.hold, level.clear_hold),
        (Span::seconds(120), Span::seconds(30))
    );
    assert_eq!(rule.to.len(), 2);
    assert_eq!(rule.to[0], Target::Results);
    assert!(matches!(&rule.to[1], Target::Topic { name, value: None } if name.as_ref() == "means"));
}

#[test]
fn actions_with_every_field() {
    let then = rule(OVERHEATS).then;
    let Action { on, kind, .. } = &then[0];
    assert_eq!(on, &[On::Raised, On::Updated, On::Cleared, On::Again]);
    let ActionKind::Alarm {
        severity: Some(Severity::Major),
        text: Some(text),
    } = kind
    else {
        panic!("{kind:?}");
    };
    assert_eq!(text.source.as_ref(), "mean ${avg(temperature, \"5m\")} °C");
    assert_eq!(text.path.as_ref(), "then[0].alarm.text");
    assert_eq!((text.mark.line, text.mark.column), (15, 38));
    assert_eq!(then[1].on, [On::Raised, On::Cleared]);
    assert_eq!(then[1].at_most_every, Some(Span::seconds(600)));
    assert!(then[1].once && !then[2].once);
    let ActionKind::Handler { name, with } = &then[1].kind else {
        panic!("a handler");
    };
    assert_eq!(name.as_str(), "ops-mail");
    assert_eq!(sources(with), ["subject=Boiler ${resource}", "level=3"]);
    assert_eq!(then[2].on, [On::Raised, On::Updated]);
    assert_eq!(then[3].on, [On::Cleared]);
    assert!(
        matches!(&then[3].kind, ActionKind::Topic { name, value: Some(value) } if name.as_ref() == "hot.values" && value.source.as_ref() == "#{ t: temperature }")
    );
    assert!(
        matches!(&then[4].kind, ActionKind::Log { text } if text.source.as_ref() == "hot: ${temperature}" && text.path.as_ref() == "then[4].log")
    );
    assert_eq!(then[5].at_most_every, Some(Span::seconds(1)));
}

#[test]
fn windows() {
    let means = rule(
        "kind: Rule\nname: means\nfor: { type: boiler }\nwindow: { tumbling: 5m, lateness: 30s }\nemit: { mean: avg(temperature), n: count(temperature), one: 1, yes: true }\nhaving: n > 3\nby: { line: meta.line }\nto: [ results ]\n",
    );
    let Body::Window(window) = means.body else {
        panic!("a window");
    };
    assert_eq!(
        window.form,
        WindowForm::Tumbling {
            size: Span::seconds(300),
            offset: 0
        }
    );
    assert_eq!(window.lateness, Span::seconds(30));
    assert_eq!(
        sources(&window.emit),
        [
            "mean=avg(temperature)",
            "n=count(temperature)",
            "one=1",
            "yes=true"
        ]
    );
    assert_eq!(sources(&window.by), ["line=meta.line"]);
    assert_eq!(window.having.unwrap().source.as_ref(), "n > 3");
}

#[test]
fn window_forms() {
    for (written, form) in [
        (
            "{ tumbling: 1d, offset: -2h, emit: on_close, fill: none }",
            WindowForm::Tumbling {
                size: Span::seconds(86_400),
                offset: -7_200_000,
            },
        ),
        (
            "{ hopping: { size: 10m, every: 1m, offset: 5s }, lateness: 0s }",
            WindowForm::Hopping {
                size: Span::seconds(600),
                every: Span::seconds(60),
                offset: 5000,
            },
        ),
        (
            "{ hopping: { size: 1m, every: 10m }, offset: 0s }",
            WindowForm::Hopping {
                size: Span::seconds(60),
                every: Span::seconds(600),
                offset: 0,
            },
        ),
        (
            "{ sliding: PT5M }",
            WindowForm::Sliding {
                size: Span::seconds(300),
                closed: false,
                per_row: false,
            },
        ),
        (
            "{ sliding: { size: 250ms, edges: closed, per: row } }",
            WindowForm::Sliding {
                size: Span::millis(250),
                closed: true,
                per_row: true,
            },
        ),
    ] {
        let rule = rule_with(&format!(
            "window: {written}\nemit: {{ n: count() }}\nby: [meta.line, type]"
        ));
        let Body::Window(window) = rule.body else {
            panic!("a window");
        };
        assert_eq!(window.form, form, "{written}");
        assert_eq!(sources(&window.by), ["meta.line=meta.line", "type=type"]);
    }
}

#[test]
fn selectors() {
    let ids = |ids: &[&str]| Selector::Ids(ids.iter().map(|id| Arc::from(*id)).collect());
    let labels = [
        (Arc::from("site"), Arc::from("gent")),
        (Arc::from("floor"), Arc::from("3")),
    ];
    for (written, selector) in [
        ("all", Selector::All),
        ("boiler-1", ids(&["boiler-1"])),
        ("[b, a, b]", ids(&["a", "b"])),
        ("{ ids: [all] }", ids(&["all"])),
        (
            "{ labels: { site: gent, floor: 3 } }",
            Selector::Match {
                kind: None,
                labels: labels.clone().into(),
            },
        ),
        (
            "{ type: boiler, labels: { site: gent, floor: '3' } }",
            Selector::Match {
                kind: Some(Arc::from("boiler")),
                labels: labels.into(),
            },
        ),
    ] {
        let rule = rule(&format!(
            "kind: Rule\nname: r\nfor: {written}\nwhen: true\n"
        ));
        assert_eq!(rule.selector, selector, "{written}");
    }
}

#[test]
fn a_ring_of_parents_of_any_length_is_told_in_short_and_a_long_line_of_them_is_none() {
    let line = |from: usize, to: usize| -> String {
        let one = |at: usize| format!("kind: Resource\nid: r{at}\nparent: r{}\n---\n", at + 1);
        (from..to).map(one).collect()
    };
    assert_eq!(good(&line(0, 2_000)).len(), 2_000);
    let ring = format!("{}kind: Resource\nid: r2000\nparent: r0\n", line(0, 2_000));
    let issues = parse(&ring).unwrap_err();
    let [issue] = issues.as_slice() else {
        panic!("{issues:?}");
    };
    assert_eq!(
        issue.problem,
        "r2000 would stand below itself: r2000 below r0 below r1 below r2 below r3 below … below r1999 below r2000"
    );
}

#[test]
fn resources_types_and_sources() {
    let documents = good(
        "kind: Resource\nid: b1\ntype: boiler\nlabels: {site: gent, floor: 3}\nmeta: {line: {name: l1, no: 4.50}, tags: [a, 1]}\nparent: hall\ndisorder: 0s\nidle: 1m\n---\nkind: ResourceType\nname: boiler\nlabels: {}\nmeta: {maker: x}\nidle: 30s\n---\n# only a comment\n---\nkind: Source\nname: plant\ntopic: plant.telemetry\nformat: json\nresource: device_id\ntime: header:ts\nvalues: data\nkeyed: true\nfrom: earliest\n---\n{\"kind\": \"Source\", \"name\": \"cloud\", \"topic\": \"c\", \"format\": \"cloudevents\", \"resource\": \"key\"}\n",
    );
    let [
        Document::Resource(resource),
        Document::ResourceType(kind),
        Document::Source(plant),
        Document::Source(cloud),
    ] = documents.as_slice()
    else {
        panic!("{documents:?}");
    };
    assert_eq!(resource.id.as_ref(), "b1");
    assert_eq!(
        resource.traits.path("meta.line.no").as_deref(),
        Some("4.50")
    );
    assert_eq!(
        resource.traits.path("meta.tags").as_deref(),
        Some("[\"a\",1]")
    );
    assert_eq!(resource.traits.path("labels.floor").as_deref(), Some("3"));
    assert_eq!(resource.traits.path("parent").as_deref(), Some("hall"));
    assert_eq!(resource.disorder, Some(Span::ZERO));
    assert_eq!(
        (kind.name.as_ref(), kind.idle),
        ("boiler", Some(Span::seconds(30)))
    );
    assert_eq!(plant.topic.as_ref(), "plant.telemetry");
    assert_eq!(
        plant.profile.resource,
        FieldSource::Path("device_id".into())
    );
    assert_eq!(plant.profile.time, FieldSource::Header("ts".into()));
    assert_eq!(plant.profile.values.as_deref(), Some("data"));
    assert_eq!(plant.from, StartAt::Earliest);
    assert_eq!(cloud.profile.format, SourceFormat::CloudEvents);
    assert_eq!(cloud.profile.resource, FieldSource::Key);
    assert_eq!(cloud.profile.time, FieldSource::Path("time".into()));
    assert!(cloud.keyed && cloud.from == StartAt::Latest);
    assert_eq!(
        (documents[0].kind(), documents[0].name()),
        ("Resource", "b1")
    );
}

#[test]
fn the_canonical_text_is_that_of_the_content() {
    let document = rule(OVERHEATS).document;
    assert!(document.starts_with(
        r#"{"kind":"Rule","name":"boiler-overheats","for":{"type":"boiler"},"when":"#
    ));
    let again = rule(&document);
    assert_eq!(again.document, document);
    assert_eq!(again.then.len(), rule(OVERHEATS).then.len());
    for (one, other) in [
        ("when: x > 1 # c", "when:   'x > 1'"),
        ("when: |\n  x > 1", "when: \"x > 1\\n\""),
        (
            "then: [{log: a}]\nwhen: \"true\"",
            "then:\n- log: 'a'\nwhen: 'true'",
        ),
        ("when: x == 0x10", "\"when\": x == 0x10"),
    ] {
        assert_eq!(rule_with(one).document, rule_with(other).document, "{one}");
    }
    assert_ne!(
        rule_with("when: a\nhold: 5m").document,
        rule_with("hold: 5m\nwhen: a").document
    );
    let smile = rule(
        "{\"kind\":\"Rule\",\"name\":\"r\",\"for\":\"all\",\"when\":\"x == \\\"\\ud83d\\ude00\\\"\"}",
    );
    let Body::When(when) = smile.body else {
        panic!("a condition");
    };
    let when = &when.levels[0].when;
    assert_eq!(when.source.as_ref(), "x == \"😀\"");
    assert_eq!((when.mark.line, when.mark.column), (1, 47));
}

#[test]
fn line_ends_and_marks_of_other_systems() {
    let dos = OVERHEATS.replace('\n', "\r\n");
    let both = format!(
        "\u{feff}%YAML 1.2\r\n---\r\n{dos}...\r\n---\r\n{{\"kind\": \"Resource\",\r\n\t\"id\": \"b\"}}\r\n"
    );
    let documents = good(&both);
    assert_eq!(documents.len(), 2);
    let Document::Rule(found) = &documents[0] else {
        panic!("a rule");
    };
    assert_eq!(found.document, rule(OVERHEATS).document);
    assert_eq!(documents[1].name(), "b");
}
