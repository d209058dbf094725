//! Documents to messages and back: nothing is lost, whatever stands in them.

use proptest::prelude::*;
use prost::Message as _;

use super::{from_message, to_message};
use crate::document::{Document, parse};
use crate::wire::rule::v1::Definition;

/// A scalar of a field: mostly a text, as people write it, sometimes what does not belong there.
fn scalar(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(texts).prop_map(|text| format!("{text:?}")),
        1 => Just("17".to_owned()),
        1 => Just("null".to_owned()),
        1 => Just("{\"deep\":[1.50,true,\"x\",{}]}".to_owned()),
    ]
}

fn field(
    name: &'static str,
    value: impl Strategy<Value = String>,
) -> impl Strategy<Value = Option<String>> {
    prop::option::of(value.prop_map(move |value| format!("{name:?}:{value}")))
}

fn fixed(values: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(values).prop_map(str::to_owned)
}

/// Fields of rules in any order, good, bad and unknown ones.
fn document() -> impl Strategy<Value = String> {
    (condition(), rest())
        .prop_map(|(a, b)| a.into_iter().chain(b).flatten().collect::<Vec<_>>())
        .prop_shuffle()
        .prop_map(|fields| format!("{{\"kind\":\"Rule\",{}}}", fields.join(",")).replace(",}", "}"))
}

fn formulas() -> impl Strategy<Value = String> {
    scalar(&["t > 1.0", "avg(t, \"5m\") > 90.0", ""])
}

fn condition() -> impl Strategy<Value = Vec<Option<String>>> {
    let spans = || scalar(&["5m", "90s", "1h30m", "PT5M"]);
    (
        field("name", scalar(&["a", "boiler-overheats", ""])),
        field("description", scalar(&["what for", ""])),
        field(
            "for",
            fixed(&[
                "\"all\"",
                "\"b1\"",
                "[\"b1\",\"b2\"]",
                "{\"type\":\"boiler\",\"labels\":{\"z\":\"1\",\"a\":\"2\"}}",
                "{}",
                "[]",
                "{\"ids\":[\"x\"]}",
            ]),
        ),
        field("where", formulas()),
        field("disorder", spans()),
        field("order", scalar(&["time", "arrival"])),
        field("when", formulas()),
        field("hold", spans()),
        field("clear", formulas()),
        field("clear_hold", spans()),
    )
        .prop_map(|a| vec![a.0, a.1, a.2, a.3, a.4, a.5, a.6, a.7, a.8, a.9])
}

fn rest() -> impl Strategy<Value = Vec<Option<String>>> {
    (
        field(
            "window",
            fixed(&[
                "{\"tumbling\":\"5m\",\"lateness\":\"30s\"}",
                "{\"hopping\":{\"size\":\"1m\",\"every\":\"10s\",\"offset\":5}}",
                "{\"session\":{\"gap\":\"5m\"}}",
                "\"5m\"",
                "{\"sliding\":\"5m\",\"tumbling\":\"1m\"}",
            ]),
        ),
        field(
            "by",
            fixed(&["{\"line\":\"meta.line\"}", "[\"line\"]", "{}"]),
        ),
        field(
            "emit",
            fixed(&["{\"mean\":\"avg(t)\",\"a\":\"count(t)\"}", "{\"n\":1}"]),
        ),
        field("having", formulas()),
        field(
            "then",
            fixed(&[
                "[{\"alarm\":{\"severity\":\"MAJOR\",\"text\":\"${t}\"},\"on\":[\"raised\"]},{\"log\":\"x\",\"once\":true}]",
                "[{\"handler\":{\"use\":\"ops\",\"with\":{\"b\":\"1\",\"a\":\"2\"}},\"at_most_every\":\"60s\"}]",
                "[{\"topic\":{\"name\":\"hot\",\"value\":\"t\"},\"log\":\"y\"}]",
                "[\"mail\"]",
                "[]",
            ]),
        ),
        field(
            "to",
            fixed(&[
                "[\"results\",{\"topic\":{\"name\":\"means\"}}]",
                "\"results\"",
                "[{\"topic\":{\"name\":\"m\"},\"x\":1}]",
            ]),
        ),
        field(
            "pattern",
            fixed(&["{\"within\":\"10m\",\"steps\":[{\"opened\":\"door == 1\"}]}"]),
        ),
        field("unknown", formulas()),
    )
        .prop_map(|b| vec![b.0, b.1, b.2, b.3, b.4, b.5, b.6, b.7])
}

/// What a text says: the rule, or everything that is wrong with it, without where it stands.
fn said(text: &str) -> Result<String, Vec<(String, String)>> {
    match parse(text) {
        Ok(documents) => {
            let mut json = match documents.as_slice() {
                [Document::Rule(rule)] => serde_json::to_value(rule).unwrap_or_default(),
                other => panic!("no rule: {other:?}"),
            };
            forget(&mut json);
            Ok(json.to_string())
        }
        Err(issues) => {
            let mut told: Vec<_> = issues
                .into_iter()
                .map(|issue| (issue.path, issue.problem))
                .collect();
            told.sort();
            Err(told)
        }
    }
}

/// Forgets places and the text as it was written.
fn forget(json: &mut serde_json::Value) {
    match json {
        serde_json::Value::Object(map) => {
            map.remove("mark");
            map.remove("document");
            map.values_mut().for_each(forget);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

proptest! {
    #[test]
    fn a_document_survives_the_message(text in document()) {
        let message = to_message(&text).expect("it is a map");
        let bytes = message.encode_to_vec();
        prop_assert_eq!(&Definition::decode(bytes.as_slice()).expect("own bytes"), &message);
        let back = from_message(&message);
        prop_assert_eq!(said(&back), said(&text));
        prop_assert_eq!(to_message(&back).expect("it is a map"), message);
    }
}

#[test]
fn the_fields_of_a_message_are_those_of_the_document() {
    let text = "kind: Rule\nname: hot\nfor: { type: boiler }\nwhen: t > 90.0\nhold: 2m\nthen:\n  - alarm: { severity: MAJOR }\n";
    let message = to_message(text).expect("it is a map");
    assert_eq!(message.name, "hot");
    assert_eq!(message.when.as_deref(), Some("t > 90.0"));
    assert_eq!(
        message.r#for.as_ref().and_then(|of| of.r#type.as_deref()),
        Some("boiler")
    );
    assert!(message.more.is_empty());
    assert_eq!(
        from_message(&message),
        r#"{"kind":"Rule","name":"hot","for":{"type":"boiler"},"when":"t > 90.0","hold":"2m","then":[{"alarm":{"severity":"MAJOR"}}]}"#
    );
}

#[test]
fn rules_over_several_resources_survive_the_message() {
    for text in [
        "kind: Rule\nname: beside\nfor: all\ninputs: { load: { resource: \"${meta.line}\", metric: load, max_age: 1m, passive: true } }\nmax_skew: 30s\nwhen: t > load\n",
        "kind: Rule\nname: all\nclock: newest\nby: [ meta.line ]\nwindow: { tumbling: 5m }\nemit: { n: count(t) }\n",
        "kind: Rule\nname: paid\njoin: { kind: left, streams: { o: { from: { type: order } }, p: { from: [ a, b ], where: x > 1.0 } }, on: [ [ o.k, p.k ] ], within: { before: -1s, after: 5m }, unmatched: eager }\nemit: { k: o.k }\n",
        "kind: Rule\nname: known\norder: time\njoin: { streams: { t: { from: all }, q: { from: q } }, within: { asof: { tolerance: 30s, direction: nearest } } }\nemit: { p: q.p }\n",
    ] {
        let message = to_message(text).expect("it is a map");
        let bytes = message.encode_to_vec();
        let message = Definition::decode(bytes.as_slice()).expect("own bytes");
        assert!(said(text).is_ok(), "{:?}", said(text));
        assert_eq!(said(&from_message(&message)), said(text));
    }
}

#[test]
fn what_stands_bare_must_be_a_number() {
    use crate::wire::rule::v1::{Member, Tree, tree::Kind};
    let sly = Member {
        name: "hold".into(),
        value: Some(Tree {
            kind: Some(Kind::Number("1},\"when\":\"true".into())),
        }),
    };
    let message = Definition {
        more: vec![sly],
        ..Definition::default()
    };
    assert_eq!(
        from_message(&message),
        r#"{"kind":"Rule","hold":"1},\"when\":\"true"}"#
    );
}
