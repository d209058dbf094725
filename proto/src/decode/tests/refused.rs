//! Every reason to refuse a record or an event, and the limits.

use super::*;

/// Records that are no JSON, or none of the three forms.
const SYNTAX: &[(&str, &str)] = &[
    ("", "1: the record is empty"),
    (" \n", "1: the record is empty"),
    (
        "{",
        "1: not JSON: byte 1: the text ends where a text in `\"` is expected",
    ),
    (
        r#"{"x":1"#,
        "1: not JSON: byte 6: the text ends where `,` or `}` is expected",
    ),
    (r#"{"x" 1}"#, "1: not JSON: byte 5: `:` is expected"),
    (
        r#"{"x":1,}"#,
        "1: not JSON: byte 7: a text in `\"` is expected",
    ),
    (
        r#"{"x":1 "y":2}"#,
        "1: not JSON: byte 7: `,` or `}` is expected",
    ),
    (
        r#"{x:1}"#,
        "1: not JSON: byte 1: a text in `\"` is expected",
    ),
    (r#"{"x":NaN}"#, "1: not JSON: byte 5: a value is expected"),
    (r#"{"x":01}"#, "1: not JSON: byte 7: a number is expected"),
    (r#"{"x":tru}"#, "1: not JSON: byte 5: a value is expected"),
    (
        r#"{"x":"\ud800"}"#,
        "1: not JSON: byte 6: half of a surrogate pair",
    ),
    (r#"{"x":"\u12"#, "1: not JSON: byte 6: not an escape"),
    (
        r#"{"x":1}{"x":2}"#,
        "1: not JSON: byte 7: something stands behind the value",
    ),
    (
        r#"{"x":1}]"#,
        "1: not JSON: byte 7: something stands behind the value",
    ),
    (
        r#"[{"x":1}}"#,
        "1: not JSON: byte 8: `,` or `]` is expected",
    ),
    (
        r#"[{"x":1}] 2"#,
        "1: not JSON: byte 10: something stands behind the value",
    ),
    (
        "42",
        "1: not an object, an array of objects, or objects on lines of their own",
    ),
];

/// Elements that are JSON but no events.
const MEANINGS: &[(&str, &str)] = &[
    (
        r#"{"x":1e999}"#,
        "1.0: `x`: `1e999` is beyond the numbers of 64 bits",
    ),
    (
        r#"{"a":{"y":-1e999}}"#,
        "1.0: `a.y`: `-1e999` is beyond the numbers of 64 bits",
    ),
    (r#"{"x":1,"x":2}"#, "1.0: `x` is there twice"),
    (r#"{"x":1,"\u0078":2}"#, "1.0: `x` is there twice"),
    (r#"{"time":1,"time":2}"#, "1.0: `time` is there twice"),
    (r#"{"time":null,"time":2}"#, "1.0: `time` is there twice"),
    (r#"{"values":{"x":1},"x":2}"#, "1.0: `x` is there twice"),
    (r#"{"a":{"b":1},"a.b":2}"#, "1.0: `a.b` is there twice"),
    (r#"{"a":{},"a":{}}"#, "1.0: `a` is there twice"),
    (r#"{"a":{},"a":1}"#, "1.0: `a` is there twice"),
    (r#"{"a":1,"a":{}}"#, "1.0: `a` is there twice"),
    (
        r#"{"meta":{"a":{"b":1},"a":{"c":1}}}"#,
        "1.0: `a` is there twice",
    ),
    (r#"{"labels":{"a":"1","a":"2"}}"#, "1.0: `a` is there twice"),
    (r#"{"values":3}"#, "1.0: `values` is not an object"),
    (r#"{"labels":[]}"#, "1.0: `labels` is not an object"),
    (r#"{"labels":{"a":{}}}"#, "1.0: label `a` is not a text"),
    (r#"{"type":[1]}"#, "1.0: `type` is not a text"),
    (r#"{"resource":1.5}"#, "1.0: `resource` is not a text"),
    (r#"{"id":true}"#, "1.0: `id` is not a text"),
    (
        r#"{"id":""}"#,
        "1.0: `` is not an event id: 1 to 256 bytes without control characters",
    ),
    (
        r#"{"resource":"a\nb"}"#,
        "1.0: `a\nb` is not a resource id: 1 to 256 bytes without control characters",
    ),
    (
        r#"{"time":1e300}"#,
        "1.0: `time`: `1e300` is not a time: write RFC 3339 such as `2026-01-01T00:00:00Z` or epoch milliseconds",
    ),
    (
        r#"{"":1}"#,
        "1.0: `` is not a metric name: 1 to 256 bytes without control characters",
    ),
];

#[test]
fn syntax_errors() {
    for (value, reason) in SYNTAX {
        refused(value, reason);
    }
    refused(
        &format!("{{\"x\":{}", "[".repeat(10_000)),
        "1: not JSON: byte 36: more than 32 objects and arrays inside each other",
    );
    refused(
        &format!("{{\"x\":{}", "{\"a\":".repeat(10_000)),
        "1: not JSON: byte 160: more than 32 objects and arrays inside each other",
    );
    refused(
        &format!("{{\"x\":\"{}\"}}", "a".repeat(5 << 20)),
        "1: byte 1048576: more than 1048576 bytes",
    );
    refused(
        &format!("{{\"x\":\"{}\"}}", "a".repeat(70 << 10)),
        "1: not JSON: byte 5: a text of more than 65536 bytes",
    );
    let mut bench = lines();
    bench.take(&Record::new("k", b"{\"x\":\"\xc3\"}".to_vec()));
    bench.take(&Record {
        key: Some("k".into()),
        ..Record::default()
    });
    assert_eq!(
        bench.reasons(),
        [
            "0: byte 6: not UTF-8",
            "1: a tombstone: the record has no value"
        ]
    );
}

#[test]
fn meanings_refused() {
    let long = "n".repeat(257);
    for (value, reason) in MEANINGS {
        refused(value, reason);
    }
    refused(
        &format!("{{\"{long}\":1}}"),
        &format!(
            "1.0: `{}…` is not a metric name: 1 to 256 bytes without control characters",
            &long[..64]
        ),
    );
    let wide: Vec<String> = (0..1001).map(|i| format!("\"m{i}\":{i}")).collect();
    refused(
        &format!("{{{}}}", wide.join(",")),
        "1.0: more than 1000 metrics",
    );
    let mut bench = lines();
    bench.take(&Record {
        value: Some("{\"x\":1}".into()),
        timestamp: i64::MIN,
        ..Record::default()
    });
    bench.take(&Record {
        value: Some("{\"x\":1}".into()),
        ..Record::default()
    });
    assert_eq!(
        bench.reasons(),
        [
            "0.0: no time: `time` is not there",
            "1.0: no resource: neither `resource` nor a key is there"
        ]
    );
}

#[test]
fn shard_limits() {
    let limits = DecodeLimits {
        metrics: 2,
        resources: 2,
        ..DecodeLimits::default()
    };
    let mut bench = lines();
    bench.decoder = Decoder::new(limits, SourceProfile::default());
    bench.read(r#"{"resource":"a","x":1,"y":2}"#);
    bench.read(r#"{"resource":"b","y":1,"z":2}"#);
    bench.read(r#"{"resource":"b","y":1,"x":2}"#);
    bench.read(r#"{"resource":"c","x":1}"#);
    assert_eq!(bench.rows(), ["a@42 x=1.0 y=2.0", "b@42 x=2.0 y=1.0"]);
    assert_eq!(
        bench.reasons(),
        [
            "1.0: more than 2 different metrics in this shard",
            "3.0: more than 2 resources in this shard"
        ]
    );
}
