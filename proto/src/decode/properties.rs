//! Laws: random objects decode to what a naive model over `serde_json` says, and no bytes panic.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use super::*;
use crate::value::Value;

fn leaf() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>()
            .prop_filter("JSON has no such number", |n| n.is_finite())
            .prop_map(Json::from),
        (-1000..1000_i64).prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        ".{0,12}".prop_map(Json::from),
        Just(json!([1, "x", {"a": null}])),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof!["[a-d]", "[a-d]\\.[a-d]", "[a-zä\"\\\\]{1,9}"]
}

fn object() -> impl Strategy<Value = Map<String, Json>> {
    let value = leaf().prop_recursive(3, 24, 4, |inner| {
        proptest::collection::vec((key(), inner), 0..4)
            .prop_map(|fields| Json::Object(fields.into_iter().collect()))
    });
    proptest::collection::vec((key(), value), 0..8).prop_map(|fields| fields.into_iter().collect())
}

/// Flattens as the specification says; `None` when two fields get the same name.
fn flatten(prefix: &str, fields: &Map<String, Json>, out: &mut Vec<(String, Option<Value>)>) {
    for (key, value) in fields {
        let name = format!("{prefix}{key}");
        let flat = match value {
            Json::Object(inner) => {
                out.push((name.clone(), None));
                flatten(&format!("{name}."), inner, out);
                continue;
            }
            Json::Null => Value::Missing,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) => Value::Number(number.as_f64().unwrap()),
            Json::String(text) => Value::text(text),
            list @ Json::Array(_) => Value::text(&list.to_string()),
        };
        out.push((name, Some(flat)));
    }
}

fn model(fields: &Map<String, Json>) -> Option<BTreeMap<String, Value>> {
    let mut flat = Vec::new();
    flatten("", fields, &mut flat);
    let mut names: Vec<&String> = flat.iter().map(|(name, _)| name).collect();
    names.sort();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    Some(
        flat.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect(),
    )
}

fn decoded(batch: &EventBatch, row: usize, metrics: &Names) -> BTreeMap<String, Value> {
    let mut out = BTreeMap::new();
    for column in &batch.metrics {
        assert_eq!(column.rows.len(), column.numbers.len());
        assert!(column.rows.is_sorted_by(|a, b| a < b));
        if let Ok(at) = column.rows.binary_search(&(row as u32)) {
            let name = metrics.text(column.metric).unwrap().as_ref().to_owned();
            assert!(out.insert(name, column.value(at)).is_none());
        }
    }
    out
}

/// How one event is written.
fn written(fields: &Map<String, Json>, nested: bool, time: i64) -> String {
    let mut event = Map::new();
    event.insert("time".to_owned(), json!(time));
    if nested {
        event.insert("values".to_owned(), Json::Object(fields.clone()));
    } else {
        event.extend(fields.clone());
    }
    event.insert("resource".to_owned(), json!("r"));
    Json::Object(event).to_string()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(384))]

    #[test]
    fn objects_decode_to_the_model(
        records in proptest::collection::vec(proptest::collection::vec((object(), any::<bool>(), 0..3_u8), 1..4), 1..5),
        lines in any::<bool>(),
    ) {
        let reserved = ["id", "type", "labels", "meta", "parent", "time", "values", "resource"];
        prop_assume!(!records.iter().flatten().any(|(fields, ..)| fields.keys().any(|key| reserved.contains(&key.as_str()))));
        let mut decoder = Decoder::new(DecodeLimits::default(), SourceProfile::default());
        let (mut resources, mut metrics) = (Names::default(), Names::default());
        let (mut batch, mut bad) = (EventBatch::default(), Vec::new());
        let (mut expected, mut expected_bad) = (Vec::new(), Vec::new());
        for (index, elements) in records.iter().enumerate() {
            let index = index as u32;
            let mut events: Vec<String> = elements.iter().zip(0..).map(|((fields, nested, _), at)| written(fields, *nested, at)).collect();
            // Now and then a record ends in the middle: nothing of it may stay.
            let broken = elements.iter().all(|(_, _, dice)| *dice == 0);
            if broken {
                if let Some(last) = events.last_mut() { last.pop(); }
                expected_bad.push((index, None));
            } else {
                for ((fields, ..), at) in elements.iter().zip(0_u32..) {
                    match model(fields) {
                        Some(values) => expected.push((index, i64::from(at), values)),
                        None => expected_bad.push((index, Some(at))),
                    }
                }
            }
            let text = if lines { events.join("\n") } else { format!("[{}]", events.join(",")) };
            let record = Record::new("k", text);
            decoder.decode(SourceRecord { source: 0, offset: 0, record: &record, index }, &mut resources, &mut metrics, &mut batch, &mut bad);
        }
        let found: Vec<_> = (0..batch.len()).map(|row| (batch.record[row], batch.time[row], decoded(&batch, row, &metrics))).collect();
        prop_assert_eq!(found, expected);
        let found: Vec<_> = bad.iter().map(|bad| (bad.index, bad.element)).collect();
        prop_assert_eq!(found, expected_bad);
        prop_assert!(batch.metrics.iter().all(|column| !column.rows.is_empty()));
    }

    #[test]
    fn any_bytes_end_in_rows_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[\\[\\]{}:,\"a-f0-9.eE+ \\-\\\\\n]{0,60}") {
        let nested = SourceProfile {
            resource: "a.b".parse().unwrap(),
            time: "a.c".parse().unwrap(),
            values: Some("a.d".into()),
            ..SourceProfile::default()
        };
        let cloud = SourceProfile { format: SourceFormat::CloudEvents, ..SourceProfile::default() };
        for (value, profile) in [
            (bytes, SourceProfile::default()),
            (text.clone().into_bytes(), SourceProfile::default()),
            (text.clone().into_bytes(), nested),
            (text.into_bytes(), cloud),
        ] {
            let mut decoder = Decoder::new(DecodeLimits::default(), profile);
            let (mut batch, mut bad) = (EventBatch::default(), Vec::new());
            let record = Record::new("k", value.clone());
            decoder.decode(SourceRecord { source: 0, offset: 0, record: &record, index: 0 }, &mut Names::default(), &mut Names::default(), &mut batch, &mut bad);
            let silent = batch.is_empty() && bad.is_empty();
            prop_assert!(!silent || value.iter().all(|byte| b"[] \n".contains(byte)));
            for column in &batch.metrics {
                prop_assert!(column.rows.iter().all(|row| (*row as usize) < batch.len()));
            }
        }
    }
}
