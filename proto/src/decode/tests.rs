//! Examples: every form of a record, every reason to refuse one.

mod refused;

use std::sync::Arc;

use super::*;
use crate::value::Value;

const NEW_YEAR: i64 = 1_767_225_600_000;

struct Bench {
    decoder: Decoder,
    resources: Names,
    metrics: Names,
    batch: EventBatch,
    bad: Vec<Undecodable>,
    records: u32,
}

impl Bench {
    fn new(profile: SourceProfile) -> Self {
        Self {
            decoder: Decoder::new(DecodeLimits::default(), profile),
            resources: Names::default(),
            metrics: Names::default(),
            batch: EventBatch::default(),
            bad: Vec::new(),
            records: 0,
        }
    }

    fn take(&mut self, record: &Record) -> &mut Self {
        let source = SourceRecord {
            source: 3,
            offset: 70 + i64::from(self.records),
            record,
            index: self.records,
        };
        self.records += 1;
        self.decoder.decode(
            source,
            &mut self.resources,
            &mut self.metrics,
            &mut self.batch,
            &mut self.bad,
        );
        self
    }

    fn read(&mut self, value: &str) -> &mut Self {
        let mut record = Record::new("key-1", value.to_owned());
        record.timestamp = 42;
        self.take(&record)
    }

    /// Rows as text: `resource@time name=value …`, metrics in column order.
    fn rows(&self) -> Vec<String> {
        (0..self.batch.len())
            .map(|row| {
                let mut line = format!(
                    "{}@{}",
                    self.resources.text(self.batch.resource[row]).unwrap(),
                    self.batch.time[row]
                );
                for column in &self.batch.metrics {
                    if let Ok(at) = column.rows.binary_search(&(row as u32)) {
                        line.push_str(&format!(" {}=", self.metrics.text(column.metric).unwrap()));
                        column.value(at).write_json(&mut line);
                    }
                }
                line
            })
            .collect()
    }

    fn reasons(&self) -> Vec<String> {
        self.bad
            .iter()
            .map(|bad| match bad.element {
                Some(element) => format!("{}.{element}: {}", bad.index, bad.reason),
                None => format!("{}: {}", bad.index, bad.reason),
            })
            .collect()
    }
}

fn lines() -> Bench {
    Bench::new(SourceProfile::default())
}

fn profile(resource: &str, time: &str, values: Option<&str>) -> SourceProfile {
    SourceProfile {
        resource: resource.parse().unwrap(),
        time: time.parse().unwrap(),
        values: values.map(Arc::from),
        ..SourceProfile::default()
    }
}

#[track_caller]
fn accepted(value: &str, row: &str) {
    let mut bench = lines();
    bench.read(value);
    assert_eq!(bench.reasons(), Vec::<String>::new(), "{value}");
    assert_eq!(bench.rows(), [row], "{value}");
}

#[track_caller]
fn refused(value: &str, reason: &str) {
    let mut bench = lines();
    bench.read(r#"{"resource":"before","time":1,"a":1}"#);
    bench.read(value);
    assert_eq!(bench.reasons(), [reason], "{value}");
    assert_eq!(bench.rows(), ["before@1 a=1.0"], "{value}");
    bench.read(r#"{"resource":"after","time":2,"b":2,"a":3}"#);
    assert_eq!(bench.rows()[1], "after@2 a=3.0 b=2.0", "{value}");
    assert_eq!(bench.batch.metrics.len(), 2, "{value}");
    assert_eq!(bench.batch.arrival.len(), 2);
    assert!(bench.batch.ids.is_empty() && bench.batch.attributes.is_empty());
}

#[test]
fn event_lines() {
    accepted(
        r#"{"resource":"r1","time":"2026-01-01T00:00:00Z","values":{"temperature":21.5}}"#,
        &format!("r1@{NEW_YEAR} temperature=21.5"),
    );
    accepted(
        r#" { "temperature" : 21.5 , "time" : 1767225600000 , "resource" : "r1" } "#,
        &format!("r1@{NEW_YEAR} temperature=21.5"),
    );
    accepted(
        r#"{"resource":"r","time":1,"on":true,"door":"op\u0065n","gone":null,"list":[1, "a"],"e":{}}"#,
        r#"r@1 on=true door="open" gone=null list="[1, \"a\"]""#,
    );
    accepted(
        r#"{"resource":"r","time":1,"values":{"position":{"lat":50.8,"lon":4.3},"a":{"b":{"c":1}}}}"#,
        "r@1 position.lat=50.8 position.lon=4.3 a.b.c=1.0",
    );
    accepted(r#"{"x":1}"#, "key-1@42 x=1.0");
    accepted(r#"{"resource":null,"time":null,"x":1}"#, "key-1@42 x=1.0");
    accepted(r#"{"resource":17,"time":1}"#, "17@1");
    accepted(
        r#"{"time":"1767225600000","x":1e308}"#,
        &format!("key-1@{NEW_YEAR} x=1e+308"),
    );
    accepted(r#"{"time":1767225600000.0}"#, &format!("key-1@{NEW_YEAR}"));
    accepted(
        r#"{"time":1,"n":"NaN","i":"Infinity","m":"-Infinity"}"#,
        r#"key-1@1 n="NaN" i="Infinity" m="-Infinity""#,
    );
    accepted(
        r#"{"time":1,"x":9007199254740993}"#,
        "key-1@1 x=9007199254740992.0",
    );
    accepted("{\r\n\"x\":1\r\n}\r\n", "key-1@42 x=1.0");
}

#[test]
fn arrays_and_lines() {
    let mut bench = lines();
    bench.read(r#"[{"resource":"a","time":1,"x":1},{"resource":"b","time":2,"y":2,"x":3}]"#);
    bench.read(
        "{\"resource\":\"c\",\"time\":3,\"x\":4}\r\n{\"resource\":\"d\",\"time\":4,\"x\":5}\n",
    );
    bench.read("[]");
    assert_eq!(bench.reasons(), Vec::<String>::new());
    assert_eq!(
        bench.rows(),
        ["a@1 x=1.0", "b@2 x=3.0 y=2.0", "c@3 x=4.0", "d@4 x=5.0"]
    );
    assert_eq!(bench.batch.record, [0, 0, 1, 1]);
    assert_eq!(bench.batch.offset, [70, 70, 71, 71]);
    assert_eq!(bench.batch.source, [3; 4]);
    assert_eq!(bench.batch.arrival, [42; 4]);
}

#[test]
fn a_bad_element_leaves_the_others() {
    let mut bench = lines();
    bench.read(
        r#"[{"resource":"a","time":1,"x":1},{"resource":"","x":2,"new":"t"},7,{"time":"soon","x":true},{"resource":"b","time":2,"x":3}]"#,
    );
    assert_eq!(bench.rows(), ["a@1 x=1.0", "b@2 x=3.0"]);
    assert_eq!(bench.batch.metrics.len(), 1);
    assert_eq!(
        bench.reasons(),
        [
            "0.1: `` is not a resource id: 1 to 256 bytes without control characters",
            "0.2: not an object",
            "0.3: `time`: `soon` is not a time: write RFC 3339 such as `2026-01-01T00:00:00Z` or epoch milliseconds",
        ]
    );
    // A syntax error takes back the good and the bad of its record, and nothing else.
    let mut bench = lines();
    bench.read(r#"{"resource":"a","time":1,"x":1}"#);
    bench.read(
        "{\"time\":1,\"x\":2,\"id\":\"i\",\"type\":\"t\"}\n{\"time\":[]}\n{\"time\":1,\"y\":}",
    );
    assert_eq!(bench.rows(), ["a@1 x=1.0"]);
    assert_eq!(
        bench.reasons(),
        ["1: not JSON: byte 63: a value is expected"]
    );
    assert!(bench.batch.ids.is_empty() && bench.batch.attributes.is_empty());
    assert_eq!(bench.batch.metrics.len(), 1);
}

#[test]
fn many_bad_elements_are_told_as_a_number() {
    let mut bench = lines();
    bench.read(&format!("[{}1]", "1,".repeat(5000)));
    assert_eq!(bench.bad.len(), 101);
    assert_eq!(
        bench.reasons()[100],
        "0: 4901 further elements are undecodable"
    );
    bench.read(&format!("[{}1]", "1,".repeat(10_000)));
    assert_eq!(
        bench.reasons()[101],
        "1: more than 10000 events in one record"
    );
}

#[test]
fn attributes_and_ids() {
    let mut bench = lines();
    bench.read(r#"{"time":1,"x":1}"#);
    bench.read(
        r#"{"time":1,"id":"e-1","type":"boiler","parent":"hall","labels":{"site":"gent","floor":3,"old":null},"meta":{"line":{"name":"l1","no":4},"gone":null,"tags":["a"]}}"#,
    );
    assert_eq!(bench.reasons(), Vec::<String>::new());
    assert_eq!(bench.batch.ids, [(1, Arc::from("e-1"))]);
    let (row, said) = &bench.batch.attributes[0];
    assert_eq!(*row, 1);
    assert_eq!(said.kind.as_deref(), Some("boiler"));
    assert_eq!(said.parent.as_deref(), Some("hall"));
    let pairs: Vec<String> = said
        .labels
        .iter()
        .map(|(n, v)| format!("{n}={v}"))
        .collect();
    assert_eq!(pairs, ["site=gent", "floor=3", "old="]);
    let pairs: Vec<String> = said
        .meta
        .iter()
        .map(|(n, v)| format!("{n}={v:?}"))
        .collect();
    assert_eq!(
        pairs,
        [
            "line.name=Some(\"l1\")",
            "line.no=Some(\"4\")",
            "gone=None",
            "tags=Some(\"[\\\"a\\\"]\")"
        ]
    );
    assert_eq!(bench.batch.event_ref(1).id.as_deref(), Some("e-1"));
}

#[test]
fn profiles() {
    let mut bench = Bench::new(profile("device.id", "header:ts", Some("payload.data")));
    let record = Record::new(
        "k",
        r#"{"device":{"id":"d1","model":"m"},"x":1,"payload":{"n":2,"data":{"t":1,"a":{"b":2}}},"payloads":{"data":{}}}"#,
    );
    bench.take(&record.clone().with_header("ts", "2026-01-01T00:00:00Z"));
    bench.take(&record.with_header("ts", "x"));
    assert_eq!(bench.rows(), [format!("d1@{NEW_YEAR} t=1.0 a.b=2.0")]);
    assert!(bench.reasons()[0].starts_with("1.0: `ts`: `x` is not a time"));

    let mut bench = Bench::new(profile("key", "meta.ts", None));
    bench.read(r#"{"resource":"r","meta":{"a":1},"x":{"y":2}}"#);
    assert_eq!(bench.rows(), ["key-1@42 resource=\"r\" x.y=2.0"]);

    let mut bench = Bench::new(profile("device_id", "ts", Some("data")));
    bench.read(r#"{"device_id":"d","ts":5,"data":{"t":1},"noise":[1,{"a":2}]}"#);
    bench
        .decoder
        .set_source(3, Some((SourceProfile::default(), None)));
    bench.read(r#"{"device_id":"d","ts":5,"data":{"t":1}}"#);
    assert_eq!(
        bench.rows(),
        ["d@5 t=1.0", "key-1@42 device_id=\"d\" ts=5.0 data.t=1.0"]
    );
    for bad in ["", "a..b", ".a", "header:", "a\nb"] {
        assert!(bad.parse::<FieldSource>().is_err(), "{bad}");
    }
}

#[test]
fn cloud_events() {
    let mut bench = lines();
    let binary = Record::new("k", r#"{"temperature":21.5}"#)
        .with_header("ce_specversion", "1.0")
        .with_header("ce_id", "e-1")
        .with_header("ce_type", "telemetry")
        .with_header("ce_time", "2026-01-01T00:00:00Z")
        .with_header("ce_subject", "r9");
    bench.take(&binary);
    let own = Record {
        value: Some(r#"{"resource":"mine","time":7,"id":"own"}"#.into()),
        ..binary.clone()
    };
    bench.take(&own);
    let structured = Record::new(
        "k",
        r#"{"specversion":"1.0","id":"e-2","type":"t","source":"/s","subject":"r8","time":"2026-01-01T00:00:00Z","data":{"temperature":3}}"#,
    );
    bench.take(&structured.clone().with_header(
        "content-type",
        "application/cloudevents+json; charset=UTF-8",
    ));
    bench.take(
        &Record::new("k", r#"{"id":"e-3","data":5}"#)
            .with_header("Content-Type", "application/cloudevents+json"),
    );
    let cloud = SourceProfile {
        format: SourceFormat::CloudEvents,
        ..SourceProfile::default()
    };
    bench.decoder.set_source(3, Some((cloud, None)));
    bench.take(&structured);
    bench.take(&binary);
    assert_eq!(
        bench.rows(),
        [
            format!("r9@{NEW_YEAR} temperature=21.5"),
            "mine@7".to_owned(),
            format!("r8@{NEW_YEAR} temperature=3.0"),
            format!("r8@{NEW_YEAR} temperature=3.0"),
            format!("r9@{NEW_YEAR} temperature=21.5"),
        ]
    );
    let ids: Vec<&str> = bench.batch.ids.iter().map(|(_, id)| id.as_ref()).collect();
    assert_eq!(ids, ["e-1", "own", "e-2", "e-2", "e-1"]);
    assert_eq!(bench.reasons(), ["3.0: `data` is not an object"]);
}

#[test]
fn batches_of_one_decoder_are_independent() {
    let mut bench = lines();
    for (value, row) in [
        (r#"{"time":1,"x":1,"y":2}"#, "key-1@1 x=1.0 y=2.0"),
        (r#"{"time":1,"y":2,"z":3}"#, "key-1@1 y=2.0 z=3.0"),
        (r#"{"time":1,"z":2,"x":3}"#, "key-1@1 z=2.0 x=3.0"),
    ] {
        bench.batch = EventBatch::default();
        bench.read(value);
        assert_eq!(bench.rows(), [row]);
    }
    // Somebody else's rows in the batch do not disturb.
    let mut other = EventBatch::default();
    std::mem::swap(&mut other, &mut bench.batch);
    bench
        .read(r#"{"time":2,"x":1}"#)
        .read(r#"{"time":3,"z":1,"w":2}"#);
    bench.batch = other;
    bench.read(r#"{"time":4,"x":5,"y":6}"#);
    assert_eq!(bench.rows(), ["key-1@1 z=2.0 x=3.0", "key-1@4 x=5.0 y=6.0"]);
    assert_eq!(bench.batch.metrics[0].value(0), Value::Number(2.0));
}

#[test]
fn decoders_may_share_a_batch() {
    let mut bench = lines();
    let mut other = Decoder::new(DecodeLimits::default(), SourceProfile::default());
    for round in 0..3 {
        bench.batch = EventBatch::default();
        for (value, row) in [
            (r#"{"time":1,"a":1}"#, "key-1@1 a=1.0"),
            (r#"{"time":1,"b":2}"#, "key-1@1 b=2.0"),
            (r#"{"time":1,"b":3,"a":4}"#, "key-1@1 a=4.0 b=3.0"),
            (r#"{"time":1,"a":5,"b":6}"#, "key-1@1 a=5.0 b=6.0"),
        ] {
            bench.read(value);
            std::mem::swap(&mut bench.decoder, &mut other);
            assert_eq!(
                bench.rows().last().map(String::as_str),
                Some(row),
                "{round}"
            );
        }
        assert_eq!(bench.batch.metrics.len(), 2);
    }
}
