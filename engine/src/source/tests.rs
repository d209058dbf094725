//! Formats of a registry: values written by hand as their specifications write them, and bytes of any kind.

use proptest::prelude::*;
use tidegate_proto::decode::{SourceFormat, SourceProfile};
use tidegate_proto::record::{Record, partition_of};

use super::avro::{self, AvroSchema};
use super::protobuf::{self, ProtobufSchema};
use super::rekey::{From, Read, rekey};

fn zigzag(number: i64) -> Vec<u8> {
    let mut bits = ((number << 1) ^ (number >> 63)) as u64;
    let mut bytes = Vec::new();
    while bits >= 0x80 {
        bytes.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    bytes.push(bits as u8);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    [zigzag(text.len() as i64), text.as_bytes().to_vec()].concat()
}

const MACHINE: &str = r#"{"type": "record", "name": "Machine", "namespace": "plant", "fields": [
    {"name": "resource", "type": "string"},
    {"name": "time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["OFF", "ON"]}},
    {"name": "again", "type": ["null", "State"]},
    {"name": "values", "type": {"type": "map", "values": ["null", "double", "float", "boolean"]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "mac", "type": {"type": "fixed", "name": "Mac", "size": 3}},
    {"name": "parts", "type": {"type": "array", "items": ["null", "plant.Machine"]}}
]}"#;

fn machine() -> Vec<u8> {
    [
        text("m1"),
        zigzag(1_500_999),
        zigzag(1),
        [zigzag(1), zigzag(0)].concat(),
        // A block with its size in bytes in front, then the end.
        zigzag(-2),
        zigzag(99),
        [text("t"), zigzag(1), 21.5_f64.to_le_bytes().to_vec()].concat(),
        [text("f"), zigzag(2), 21.4_f32.to_le_bytes().to_vec()].concat(),
        zigzag(1),
        [text("n"), zigzag(1), f64::NAN.to_le_bytes().to_vec()].concat(),
        zigzag(0),
        [zigzag(2), vec![0xff, 0x38]].concat(),
        vec![1, 2, 0xab],
        [zigzag(1), zigzag(0), zigzag(0)].concat(),
    ]
    .concat()
}

#[test]
fn avro_values_become_json() {
    let schema = AvroSchema::parse(&[], MACHINE).unwrap();
    assert_eq!(
        avro::to_json(&schema, &machine()).unwrap(),
        r#"{"resource":"m1","time":1500,"state":"ON","again":"OFF","values":{"t":21.5,"f":21.4,"n":null},"price":-2.00,"mac":"0102ab","parts":[null]}"#
    );
    let mut torn = machine();
    torn.pop();
    let error = avro::to_json(&schema, &torn).unwrap_err();
    assert!(error.starts_with("byte "), "{error}");
    let error = avro::to_json(&schema, &[machine(), vec![1]].concat()).unwrap_err();
    assert!(error.contains("1 bytes are left"), "{error}");
    // A list of nothing takes no bytes, so its length must not be believed.
    let nothings = AvroSchema::parse(&[], r#"{"type":"array","items":"null"}"#).unwrap();
    let block = zigzag(90_000);
    let endless = [block.clone(), block, zigzag(0)].concat();
    assert!(avro::to_json(&nothings, &endless).is_err());
    assert!(avro::to_json(&nothings, &zigzag(i64::MAX)).is_err());
    // A type that holds itself ends at the limit of depth.
    let chain = AvroSchema::parse(
        &[],
        r#"{"type":"record","name":"N","fields":[{"name":"n","type":["null","N"]}]}"#,
    )
    .unwrap();
    assert!(avro::to_json(&chain, &zigzag(1).repeat(100_000)).is_err());
    assert_eq!(
        avro::to_json(&chain, &[2, 0]).unwrap(),
        r#"{"n":{"n":null}}"#
    );
}

#[test]
fn avro_schemas_refer_and_are_refused() {
    let state = r#"{"type":"enum","name":"p.State","symbols":["A"]}"#.to_owned();
    let schema = AvroSchema::parse(
        &[state],
        r#"{"type":"record","name":"p.M","fields":[{"name":"s","type":"State"}]}"#,
    );
    assert_eq!(
        avro::to_json(&schema.unwrap(), &[0]).unwrap(),
        r#"{"s":"A"}"#
    );
    assert_eq!(
        avro::to_json(&AvroSchema::parse(&[], "long").unwrap(), &zigzag(-3)).unwrap(),
        "-3"
    );
    for (wrong, told) in [
        ("{", "not JSON"),
        (r#""p.Unknown""#, "nothing is called `p.Unknown`"),
        (r#"{"type":"array"}"#, "no `items`"),
        (r#"{"type":"record","name":"r"}"#, "no `fields`"),
        (r#"{"type":"fixed","name":"r"}"#, "no `size`"),
        ("7", "a type is"),
    ] {
        let error = AvroSchema::parse(&[], wrong).unwrap_err();
        assert!(error.contains(told), "{error}");
    }
}

const FILE: &str = r#"
syntax = "proto3";
package plant;
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
import "state.proto";
message First { int32 x = 1; }
message Machine {
  message Part { string name = 1; }
  string resource = 1;
  google.protobuf.Timestamp time = 2;
  map<string, double> values = 3;
  State state = 4;
  double t = 5;
  optional double u = 6;
  repeated Part parts = 7;
  google.protobuf.DoubleValue w = 8;
  bytes raw = 9;
}
"#;
const STATE: &str = "syntax = \"proto3\"; package plant; enum State { OFF = 0; ON = 1; }";

fn plant() -> ProtobufSchema {
    ProtobufSchema::parse(&[("state.proto".to_owned(), STATE.to_owned())], FILE).unwrap()
}

/// A field with a length.
fn field(number: u8, body: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, body.len() as u8], body].concat()
}

#[test]
fn protobuf_messages_become_json() {
    let schema = plant();
    let entry = [field(1, b"a"), vec![0x11], 1.5_f64.to_le_bytes().to_vec()].concat();
    let message = [
        field(1, b"m1"),
        // 1.25 s
        field(2, &[0x08, 1, 0x10, 0x80, 0xe5, 0x9a, 0x77]),
        field(3, &entry),
        vec![0x20, 1],
        field(7, &field(1, b"p")),
        field(8, &[&[0x09], 2.5_f64.to_le_bytes().as_slice()].concat()),
        field(9, &[0xca, 0xfe]),
    ]
    .concat();
    assert_eq!(
        protobuf::to_json(&schema, &[1], &message).unwrap(),
        r#"{"resource":"m1","time":1250,"values":{"a":1.5},"state":"ON","t":0.0,"parts":[{"name":"p"}],"w":2.5,"raw":"cafe"}"#
    );
    assert_eq!(protobuf::to_json(&schema, &[0], &[]).unwrap(), r#"{"x":0}"#);
    assert_eq!(
        protobuf::to_json(&schema, &[1, 0], &field(1, b"q")).unwrap(),
        r#"{"name":"q"}"#
    );
    assert!(protobuf::to_json(&schema, &[7], &[]).is_err());
    assert!(protobuf::to_json(&schema, &[1, 3], &[]).is_err());
    assert!(protobuf::to_json(&schema, &[1], &[0x0a, 9]).is_err());
    assert!(ProtobufSchema::parse(&[], FILE).is_err());
    assert!(ProtobufSchema::parse(&[], "message {").is_err());
}

fn from(format: SourceFormat) -> From {
    From {
        source: "plant".into(),
        generation: 2,
        topic: "t".into(),
        partition: 3,
        profile: SourceProfile {
            format,
            ..SourceProfile::default()
        },
    }
}

fn read(offset: i64, value: Option<&str>) -> Read {
    Read {
        offset,
        record: Record {
            key: None,
            value: value.map(|value| value.as_bytes().to_vec().into()),
            headers: Vec::new(),
            timestamp: 1000,
        },
        body: None,
    }
}

#[test]
fn records_are_keyed_anew_with_where_they_come_from() {
    let reads = [
        read(
            7,
            Some(
                r#"[{"resource":"a","type":"pump","labels":{"site":"x","old":""},"meta":{"l":{"n":1},"gone":null},"t":1.5,"on":true,"m":{"x":2}},{"resource":"b","id":"own","time":5,"t":null}]"#,
            ),
        ),
        read(8, None),
        read(9, Some(r#"{"t":1}"#)),
        read(11, Some(r#"{"resource":"b","u":"text"}"#)),
    ];
    let made = rekey(&from(SourceFormat::Json), &reads, 4);
    let bodies: Vec<&str> = made
        .events
        .iter()
        .map(|(_, record)| std::str::from_utf8(record.value.as_deref().unwrap()).unwrap())
        .collect();
    assert_eq!(
        bodies,
        [
            r#"{"resource":"a","time":1000,"id":"t/3/7","type":"pump","labels":{"site":"x","old":""},"meta":{"l.n":"1","gone":null},"values":{"t":1.5,"on":true,"m.x":2.0}}"#,
            r#"{"resource":"b","time":5,"id":"own","values":{"t":null}}"#,
            r#"{"resource":"b","time":1000,"id":"t/3/11","values":{"u":"text"}}"#,
        ]
    );
    let origins: Vec<&[u8]> = made
        .events
        .iter()
        .map(|(_, record)| record.header("tg-from").unwrap().as_ref())
        .collect();
    assert_eq!(
        origins,
        [
            b"plant/2/3/7/0".as_slice(),
            b"plant/2/3/7/1",
            b"plant/2/3/11/0"
        ]
    );
    for (partition, record) in &made.events {
        assert_eq!(*partition, partition_of(record.key.as_deref().unwrap(), 4));
    }
    let reasons: Vec<(&[u8], &[u8])> = made
        .dead
        .iter()
        .map(|record| {
            (
                record.header("dlq.offset").unwrap().as_ref(),
                record.header("dlq.reason").unwrap().get(..10).unwrap(),
            )
        })
        .collect();
    assert_eq!(
        reasons,
        [
            (b"8".as_slice(), b"a tombston".as_slice()),
            (b"9", b"element 0:")
        ]
    );
}

proptest! {
    #[test]
    fn any_avro_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..80), keep in 0..60_usize) {
        let schema = AvroSchema::parse(&[], MACHINE).unwrap();
        let mut mutated = machine();
        mutated.truncate(keep);
        mutated.extend(&bytes);
        for bytes in [bytes, mutated] {
            if let Ok(json) = avro::to_json(&schema, &bytes) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
            }
        }
    }

    #[test]
    fn any_schema_text_is_survived(text in "[\\[\\]{}:,\"a-f]{0,40}", word in "type|record|array|map|items|fields|name") {
        let _ = AvroSchema::parse(&[], &text);
        let _ = AvroSchema::parse(&[], &format!("{{\"type\":\"{word}\",\"{word}\":{text}}}"));
    }

    #[test]
    fn doubles_survive_avro(numbers in proptest::collection::vec(any::<f64>().prop_filter("finite", |n| n.is_finite()), 0..20)) {
        let schema = AvroSchema::parse(&[], r#"{"type":"array","items":"double"}"#).unwrap();
        let mut bytes = Vec::new();
        if !numbers.is_empty() { bytes.extend(zigzag(numbers.len() as i64)); }
        for number in &numbers { bytes.extend(number.to_le_bytes()); }
        bytes.push(0);
        let json = avro::to_json(&schema, &bytes).unwrap();
        let read: Vec<f64> = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(read, numbers);
    }

    #[test]
    fn any_protobuf_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(json) = protobuf::to_json(&plant(), &[1], &bytes) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        }
    }

    /// What a gateway writes reads back as what the source said, whatever it said.
    #[test]
    fn keyed_anew_means_the_same(values in proptest::collection::btree_map("[a-z\"\\\\.]{1,6}", prop_oneof![
        any::<f64>().prop_filter("finite", |n| n.is_finite()).prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        ".{0,8}".prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
    ], 0..6), id in "[a-zä \"]{1,8}") {
        let event = serde_json::json!({ "resource": id, "time": 5, "id": "e", "values": values }).to_string();
        let once = rekey(&from(SourceFormat::Json), &[read(1, Some(&event))], 4);
        prop_assert_eq!(once.events.len() + once.dead.len(), 1);
        if let Some((_, record)) = once.events.first() {
            let text = String::from_utf8(record.value.as_deref().unwrap().to_vec()).unwrap();
            let again = rekey(&from(SourceFormat::Json), &[read(1, Some(&text))], 4);
            prop_assert_eq!(&again.events, &once.events);
            let said: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(said["values"].as_object().unwrap().len(), values.len());
        }
    }
}
