//! Topics that gateways read: what is not keyed, what a script reads, and schemas of a registry.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::{Desk, PATIENCE};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_keyed_is_keyed_anew_once_over_kills() {
    let data = tempfile::tempdir().unwrap();
    let mut desk = Desk::open(data.path()).await;
    desk.apply("kind: Source\nname: bulk\ntopic: bulk\nkeyed: false\n---\nkind: Source\nname: script\ntopic: script\nformat: raw\ntransform: '#{ resource: headers.device, values: #{ x: bytes[0] } }'\n---\nkind: Rule\nname: hot\nfor: all\nwhen: t > 90.0\n").await;
    for round in 0..5_i64 {
        // Without keys, arrays of several devices, all over the partitions, and something bad in each round.
        let records = (0..40_i64).map(|n| {
            let events = (0..3).map(|device| {
                json!({ "resource": format!("d{device}"), "time": (round * 40 + n + 1) * 1000, "t": n })
            });
            json!({ "value": events.collect::<Vec<_>>(), "partition": n % 4 })
        });
        let bad = json!({ "value": "{", "partition": 0 });
        desk.produce("bulk", records.chain([bad]).collect()).await;
        desk.engine.kill();
        desk = Desk::open(data.path()).await;
    }
    for device in 0..3 {
        let twin = desk.twin(&format!("d{device}"), 200).await;
        assert_eq!(twin["latest"], "1970-01-01T00:03:20.000Z");
    }
    let found = desk.caught_up("bulk").await;
    assert_eq!(found["read"], "by a gateway");
    let dead = desk.dead("bulk", 5).await;
    let mut places: Vec<_> = dead.iter().map(|(_, p, o)| (*p, *o)).collect();
    places.dedup();
    assert_eq!(places.len(), 5, "{dead:?}");

    desk.produce("script", json!([{ "valueHex": "2a", "headers": { "device": "s1" } }, { "valueHex": "", "headers": { "device": "s1" } }]))
        .await;
    let twin = desk.twin("s1", 1).await;
    assert_eq!(twin["metrics"]["x"]["value"], 42.0);
    desk.caught_up("script").await;
    let dead = desk.dead("script", 1).await;
    assert!(dead[0].0.starts_with("transform: "), "{dead:?}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A schema registry: schemas by path; answers 503 until it is opened.
async fn registry(schemas: Vec<(&'static str, Value)>) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let open = Arc::new(AtomicBool::new(false));
    let is_open = Arc::clone(&open);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (schemas, is_open) = (schemas.clone(), Arc::clone(&is_open));
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") && socket.read_buf(&mut head).await.unwrap() > 0
                {
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default();
                let found = schemas.iter().find(|(known, _)| *known == path);
                let (status, body) = match found {
                    _ if !is_open.load(Ordering::SeqCst) => ("503 Not Now", "{}".to_owned()),
                    Some((_, schema)) => ("200 OK", schema.to_string()),
                    None => ("404 Not Found", "{\"error_code\":40403}".to_owned()),
                };
                let answer = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = socket.write_all(answer.as_bytes()).await;
            });
        }
    });
    (url, open)
}

/// One of each format.
fn schemas() -> Vec<(&'static str, Value)> {
    let avro = r#"{"type":"record","name":"M","fields":[{"name":"resource","type":"string"},{"name":"t","type":"double"}]}"#;
    let proto = "syntax = \"proto3\"; import \"x.proto\"; message A {} message M { string resource = 1; X x = 2; double t = 3; }";
    vec![
        ("/schemas/ids/7", json!({ "schema": avro })),
        (
            "/schemas/guids/89791762-2336-4186-9674-299b90a802e2",
            json!({ "schema": avro }),
        ),
        (
            "/schemas/ids/8",
            json!({ "schema": proto, "schemaType": "PROTOBUF", "references": [{ "name": "x.proto", "subject": "x/y", "version": 3 }] }),
        ),
        (
            "/subjects/x%2Fy/versions/3",
            json!({ "schema": "syntax = \"proto3\"; message X { int32 y = 1; }" }),
        ),
        (
            "/schemas/ids/9",
            json!({ "schema": "{}", "schemaType": "JSON" }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemas_come_from_a_registry_in_both_framings() {
    const GUID: &str = "89791762-2336-4186-9674-299b90a802e2";
    let (url, open) = registry(schemas()).await;
    let data = tempfile::tempdir().unwrap();
    let source =
        |name: &str| format!("kind: Source\nname: {name}\ntopic: {name}\nformat: {name}\n");
    let bare = Desk::open(data.path()).await;
    let refused = bare.refused(&source("avro")).await;
    assert!(refused.contains("needs a schema registry"), "{refused}");
    assert!(bare.engine.stop().success());

    let desk = Desk::set(data.path(), &[("TIDEGATE_REGISTRY__URL", &url)]).await;
    let all = ["avro", "protobuf", "json-schema"]
        .map(source)
        .join("---\n");
    desk.apply(&all).await;
    // `resource: a1`, `t: 21.5`, as Avro writes them.
    let body = format!("046131{}", hex(&21.5_f64.to_le_bytes()));
    let guid = format!("01{}", GUID.replace('-', ""));
    desk.produce(
        "avro",
        json!([
            { "key": "x", "valueHex": format!("0000000007{body}") },
            { "key": "x", "valueHex": body, "headersHex": { "__value_schema_id": guid } },
            { "key": "x", "valueHex": "00000000ff00" },
            { "key": "x", "valueHex": "000000000746" },
            { "key": "x", "value": "{}" },
            { "key": "x" },
        ]),
    )
    .await;
    // As long as the registry does not answer, nothing is lost and everybody is told.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = desk.get("/v1/sources/avro").await.unwrap();
        if found["trouble"]
            .as_str()
            .is_some_and(|why| why.contains("503"))
        {
            break;
        }
        assert!(Instant::now() < deadline, "{found}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    open.store(true, Ordering::SeqCst);
    let twin = desk.twin("a1", 2).await;
    assert_eq!(twin["metrics"]["t"]["value"], 21.5);
    desk.caught_up("avro").await;
    let dead = desk.dead("avro", 4).await;
    let reasons: Vec<&str> = dead.iter().map(|(reason, ..)| reason.as_str()).collect();
    assert!(reasons[0].starts_with("a tombstone"), "{reasons:?}");
    assert!(
        reasons[1].starts_with("not Avro of schema 7: byte 1: 35 bytes are wanted"),
        "{reasons:?}"
    );
    assert_eq!(reasons[2], "the schema registry has no `/schemas/ids/255`");
    assert!(
        reasons[3].starts_with("the value begins with byte 123"),
        "{reasons:?}"
    );
    assert_eq!(reasons.len(), 4);
    other_formats(&desk).await;
}

/// Messages of a file that imports another, and JSON with a schema.
async fn other_formats(desk: &Desk) {
    let message = format!("0a027031120208 0519{}", hex(&1.5_f64.to_le_bytes())).replace(' ', "");
    desk.produce("protobuf", json!([{ "valueHex": format!("00000000080202{message}") }, { "valueHex": format!("0000000008{message}") }]))
        .await;
    let twin = desk.twin("p1", 1).await;
    assert_eq!(twin["metrics"]["x.y"]["value"], 5.0);
    assert_eq!(twin["metrics"]["t"]["value"], 1.5);
    let json = hex(br#"{"resource":"j1","t":3}"#);
    desk.produce(
        "json-schema",
        json!([{ "valueHex": format!("0000000009{json}") }]),
    )
    .await;
    desk.twin("j1", 1).await;
}
