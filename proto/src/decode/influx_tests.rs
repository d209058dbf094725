//! Influx line protocol: examples of its specification, what is told about mistakes, and laws.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::value::Value;

/// Resource, time, values, labels.
type Row = (String, i64, BTreeMap<String, Value>, Vec<(String, String)>);

#[derive(Default)]
struct Read {
    rows: Vec<Row>,
    bad: Vec<(Option<u32>, String)>,
}

fn read(profile: SourceProfile, record: &Record) -> Read {
    let mut decoder = Decoder::new(DecodeLimits::default(), profile);
    let (mut resources, mut metrics) = (Names::default(), Names::default());
    let (mut batch, mut bad) = (EventBatch::default(), Vec::new());
    let place = SourceRecord {
        source: 0,
        offset: 0,
        record,
        index: 0,
    };
    decoder.decode(place, &mut resources, &mut metrics, &mut batch, &mut bad);
    let mut found = Read::default();
    for row in 0..batch.len() {
        let mut values = BTreeMap::new();
        for column in &batch.metrics {
            if let Ok(at) = column.rows.binary_search(&(row as u32)) {
                let name = metrics.text(column.metric).unwrap().to_string();
                values.insert(name, column.value(at));
            }
        }
        let labels = batch
            .attributes
            .iter()
            .find(|(of, _)| *of as usize == row)
            .map(|(_, said)| said.labels.clone())
            .unwrap_or_default();
        let labels = labels.iter().map(|(n, v)| (n.to_string(), v.to_string()));
        let resource = resources.text(batch.resource[row]).unwrap().to_string();
        found
            .rows
            .push((resource, batch.time[row], values, labels.collect()));
    }
    found.bad = bad.into_iter().map(|b| (b.element, b.reason)).collect();
    found
}

fn influx(resource: &str, precision: Precision) -> SourceProfile {
    SourceProfile {
        format: SourceFormat::Influx,
        resource: resource.parse().unwrap(),
        precision,
        ..SourceProfile::default()
    }
}

fn lines(text: &str) -> Read {
    let mut record = Record::new("keyed", text.to_owned());
    record.timestamp = 7_000;
    read(influx("room", Precision::Nanoseconds), &record)
}

fn number(value: f64) -> Value {
    Value::Number(value)
}

#[test]
fn a_line_is_an_event() {
    let found = lines(
        "climate,room=a1,site=gent temperature=21.5,humidity=40i,open=t,state=\"o\\\"k, = \" 1700000000123456789\n\n# a comment\ntemperature value=-1.5e3\n",
    );
    assert_eq!(found.bad, []);
    let [first, second] = found.rows.as_slice() else {
        panic!("{:?}", found.rows)
    };
    assert_eq!((first.0.as_str(), first.1), ("a1", 1_700_000_000_123));
    let expected = [
        ("climate.humidity", number(40.0)),
        ("climate.open", Value::Bool(true)),
        ("climate.state", Value::text("o\"k, = ")),
        ("climate.temperature", number(21.5)),
    ];
    let expected: BTreeMap<String, Value> = expected
        .map(|(n, v)| (n.to_owned(), v))
        .into_iter()
        .collect();
    assert_eq!(first.2, expected);
    assert_eq!(first.3, [("site".to_owned(), "gent".to_owned())]);
    // Without the tag the key says whose it is, without a time the record's timestamp when it was.
    assert_eq!((second.0.as_str(), second.1), ("keyed", 7_000));
    assert_eq!(second.2["temperature"], number(-1500.0));
}

#[test]
fn escapes_of_the_specification() {
    let found = lines("my\\ meas\\,1,room=a\\ b,k\\=ey=v\\,1 my\\ field=1u 1000000");
    assert_eq!(found.bad, []);
    assert_eq!(found.rows[0].0, "a b");
    assert_eq!(found.rows[0].1, 1);
    assert_eq!(found.rows[0].2["my meas,1.my field"], number(1.0));
    assert_eq!(found.rows[0].3, [("k=ey".to_owned(), "v,1".to_owned())]);
    // A line break inside a text is part of it.
    let found = lines("m,room=a s=\"x\ny\"\nm,room=b s=\"z\"");
    assert_eq!(found.rows[0].2["m.s"], Value::text("x\ny"));
    assert_eq!(found.rows[1].0, "b");
}

#[test]
fn times_have_the_precision_of_the_source() {
    for (precision, written, millis) in [
        (Precision::Nanoseconds, "1500000", 1),
        (Precision::Microseconds, "1500", 1),
        (Precision::Milliseconds, "1500", 1500),
        (Precision::Seconds, "-2", -2000),
    ] {
        let record = Record::new("k", format!("m x=1 {written}"));
        assert_eq!(read(influx("room", precision), &record).rows[0].1, millis);
    }
    let record = Record::new("k", "m,room=a x=1 5");
    let by_measurement = read(influx("measurement", Precision::Seconds), &record);
    assert_eq!(by_measurement.rows[0].0, "m");
    assert_eq!(
        by_measurement.rows[0].3,
        [("room".to_owned(), "a".to_owned())]
    );
}

#[test]
fn a_bad_line_is_told_alone() {
    for (line, told) in [
        (",a=b x=1", "column 1: a line begins with a measurement"),
        ("m,a x=1", "column 3: a tag is `name=value`"),
        ("m,a= x=1", "column 5: the tag `a` has no value"),
        ("m,a=1,a=2 x=1", "column 7: the tag `a` is there twice"),
        ("m", "column 2: a field is `name=value`"),
        ("m x", "column 3: a field is `name=value`"),
        ("m x=1,x=2", "column 7: `m.x` is there twice"),
        (
            "m x=NaN",
            "column 5: `NaN` is not a value: a number, `1i`, `true` or `\"text\"`",
        ),
        (
            "m x=1e999",
            "column 5: `1e999` is not a value: a number, `1i`, `true` or `\"text\"`",
        ),
        (
            "m x=1.5i",
            "column 5: `1.5i` is not a value: a number, `1i`, `true` or `\"text\"`",
        ),
        ("mä x=\"open", "column 6: the text is not closed"),
        ("m x=1 soon", "column 7: `soon` is not a time"),
        ("m x=1 1 2", "column 7: `1 2` is not a time"),
    ] {
        // What has no end swallows what follows, so it stands last.
        let found = lines(&format!("m,room=a ok=1 1\n{line}"));
        assert_eq!(found.rows.len(), 1, "{line}");
        assert_eq!(found.bad, [(Some(1), format!("line 2, {told}"))], "{line}");
    }
    let empty = lines("# nothing\n");
    assert_eq!(empty.bad, [(None, "the record is empty".to_owned())]);
}

fn written(text: &str, special: &[char]) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if special.contains(&c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

fn word() -> impl Strategy<Value = String> {
    "[a-zä][a-z ,=ä]{0,6}[a-z]"
}

fn field() -> impl Strategy<Value = (String, Value)> {
    let finite = any::<f64>().prop_filter("finite", |n| n.is_finite());
    let value = prop_oneof![
        finite.prop_map(Value::Number),
        any::<bool>().prop_map(Value::Bool),
        "[a-z \"\\\\,=\n]{0,8}".prop_map(|text| Value::text(&text)),
    ];
    (word(), value)
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        lines in proptest::collection::vec((word(), word(), proptest::collection::vec(field(), 1..5), -1_000_000_000_i64..1_000_000_000), 1..6),
    ) {
        let (mut text, mut expected) = (String::new(), Vec::new());
        for (measurement, room, fields, seconds) in &lines {
            let fields: BTreeMap<&String, &Value> = fields.iter().map(|(name, value)| (name, value)).collect();
            let body: Vec<String> = fields.iter().map(|(name, value)| {
                let value = match value {
                    Value::Number(number) => format!("{number:?}"),
                    Value::Bool(flag) => flag.to_string(),
                    other => format!("\"{}\"", written(&other.to_string(), &['"', '\\'])),
                };
                format!("{}={value}", written(name, &[',', '=', ' ']))
            }).collect();
            text.push_str(&format!(
                "{},room={} {} {seconds}\n",
                written(measurement, &[',', ' ']), written(room, &[',', '=', ' ']), body.join(",")
            ));
            let metric = |name: &str| if name == "value" { measurement.clone() } else { format!("{measurement}.{name}") };
            let values: BTreeMap<String, Value> = fields.iter().map(|(name, value)| (metric(name), (*value).clone())).collect();
            expected.push((room.clone(), seconds * 1000, values));
        }
        let found = read(influx("room", Precision::Seconds), &Record::new("k", text));
        prop_assert_eq!(&found.bad, &[]);
        let rows: Vec<_> = found.rows.into_iter().map(|(room, time, values, _)| (room, time, values)).collect();
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn any_bytes_end_in_rows_or_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..80), text in "[a-c,=\" \\\\0-9.i\n#-]{0,80}") {
        for value in [bytes, text.into_bytes()] {
            let found = read(influx("room", Precision::Seconds), &Record::new("k", value));
            prop_assert!(!found.rows.is_empty() || !found.bad.is_empty());
        }
    }
}
