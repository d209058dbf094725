//! What a connection to the real program may not do, on real sockets: say nothing, say it slowly, say too much, open too many
//! requests or take them back as fast as it opens them. Whoever does is told so or cut off, and others are served on.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use tidegate_tests::doors::{Answer, Calls, Door, grpc_message};
use tidegate_tests::frames::{
    CALM, END_HEADERS, END_STREAM, Frames, REFUSED, frame, headers, kind, request,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SUBMIT: &str = "/tidegate.rule.v1.RuleService/Submit";
const HEALTHZ: &str = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n";
/// Time for headers and for requests; everything slower is cut off.
const SLOW: [(&str, &str); 2] = [
    ("TIDEGATE_SERVER__HEADER_TIMEOUT", "300ms"),
    ("TIDEGATE_SERVER__REQUEST_TIMEOUT", "300ms"),
];

/// What the other side says until it hangs up; an error is a close too.
async fn heard(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let reading = stream.read_to_end(&mut heard);
    let read = tokio::time::timeout(Duration::from_secs(30), reading).await;
    let _ = read.expect("the connection is closed");
    String::from_utf8_lossy(&heard).into_owned()
}

async fn say(address: SocketAddr, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// One answer without a body's end being the connection's.
async fn answer(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    while !heard.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = stream.read_buf(&mut heard).await.unwrap();
        assert_ne!(read, 0, "{}", String::from_utf8_lossy(&heard));
    }
    String::from_utf8_lossy(&heard).into_owned()
}

#[tokio::test]
async fn whoever_is_silent_or_slow_is_cut_off() {
    let door = Door::open(&SLOW).await;
    for said in [
        "",
        "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: ",
        // What HTTP/2 begins with, but not all of it.
        "PRI * HTTP/2.0\r\n\r\nSM",
    ] {
        let mut slow = say(door.address, said.as_bytes()).await;
        let heard = heard(&mut slow).await;
        let told = heard.starts_with("HTTP/1.1 408");
        assert!(heard.is_empty() || told, "{said:?}: {heard}");
    }
    let mut idle = say(door.address, format!("{HEALTHZ}\r\n").as_bytes()).await;
    let heard_idle = heard(&mut idle).await;
    assert!(heard_idle.starts_with("HTTP/1.1 200"), "{heard_idle}");
    door.close().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let door = Door::open(&SLOW).await;
    let post = "POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n";
    for body in [
        "content-length: 100\r\n\r\n{\"resource\"",
        "transfer-encoding: chunked\r\n\r\n20\r\n{\"resource\"",
    ] {
        let mut slow = say(door.address, format!("{post}{body}").as_bytes()).await;
        let heard = heard(&mut slow).await;
        assert!(heard.starts_with("HTTP/1.1 408"), "{body}: {heard}");
    }
    let mut calls = Calls::connect(door.address).await;
    let (response, mut body) = calls.begin(SUBMIT, &[]).await;
    body.send_data(Bytes::from_static(&[0, 0, 0]), false)
        .unwrap();
    let answer = Answer::of(response).await;
    // DEADLINE_EXCEEDED
    assert_eq!(answer.grpc_status.as_deref(), Some("4"), "{answer:?}");
    door.close().await;
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let door = Door::open(&[
        ("TIDEGATE_LIMITS__BODY_BYTES", "4KiB"),
        ("TIDEGATE_LIMITS__EVENT_BYTES", "1KiB"),
        ("TIDEGATE_LIMITS__HEADER_BYTES", "4KiB"),
        ("TIDEGATE_LIMITS__MESSAGE_BYTES", "64KiB"),
        ("TIDEGATE_SERVER__HTTP1_BUFFER_BYTES", "16KiB"),
        ("TIDEGATE_SERVER__HTTP2_HEADER_BYTES", "4KiB"),
    ])
    .await;
    let post = "POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1\r\n";
    let large = "x".repeat(6_000);
    for (said, status) in [
        (format!("{post}content-length: 5000\r\n\r\n"), 413),
        // Without a length it shows only as it comes; the end never does.
        (
            format!("{post}transfer-encoding: chunked\r\n\r\n1770\r\n{large}\r\n"),
            413,
        ),
        (format!("{HEALTHZ}x-large: {large}\r\n\r\n"), 431),
        (format!("{HEALTHZ}x-larger: {}", large.repeat(5)), 431),
        (format!("{HEALTHZ}{}\r\n", "x-many: 1\r\n".repeat(101)), 431),
    ] {
        let mut stream = say(door.address, said.as_bytes()).await;
        let answer = answer(&mut stream).await;
        let line = format!("HTTP/1.1 {status}");
        assert!(answer.starts_with(&line), "{:.80}: {answer}", said);
    }
    let mut calls = Calls::connect(door.address).await;
    let (response, mut body) = calls.begin(SUBMIT, &[("x-large", &large)]).await;
    let _ = body.send_data(grpc_message(b""), true);
    let answer = Answer::of(response).await;
    assert_eq!(answer.status, Some(431), "{answer:?}");
    // Only the length is said.
    let (response, mut body) = calls.begin(SUBMIT, &[]).await;
    body.send_data(Bytes::from_static(&[0, 0, 2, 0, 0]), true)
        .unwrap();
    let answer = Answer::of(response).await;
    // OUT_OF_RANGE
    assert_eq!(answer.grpc_status.as_deref(), Some("11"), "{answer:?}");
    door.close().await;
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let door = Door::open(&[("TIDEGATE_SERVER__CONNECTIONS", "1")]).await;
    let ask = format!("{HEALTHZ}content-length: 0\r\n\r\n");
    let mut first = say(door.address, ask.as_bytes()).await;
    assert!(answer(&mut first).await.contains("200 OK"));
    let mut second = say(door.address, ask.as_bytes()).await;
    for _ in 0..20 {
        first.write_all(ask.as_bytes()).await.unwrap();
        assert!(answer(&mut first).await.contains("200 OK"));
    }
    let early = second.try_read(&mut [0; 64]);
    assert!(
        early.is_err(),
        "answered although there was no place: {early:?}"
    );
    drop(first);
    assert!(answer(&mut second).await.contains("200 OK"));
    drop(second);
    door.close().await;
}

#[tokio::test]
async fn a_connection_has_so_many_requests_at_once() {
    let door = Door::open(&[("TIDEGATE_SERVER__HTTP2_STREAMS", "2")]).await;
    let mut frames = Frames::connect(door.address).await;
    let settings = frames.find(|frame| frame.kind == kind::SETTINGS).await;
    let settings = settings.unwrap();
    // MAX_CONCURRENT_STREAMS
    let said = settings
        .payload
        .chunks(6)
        .any(|one| *one == [0, 3, 0, 0, 0, 2]);
    assert!(said, "{settings:?}");
    frames.say(&frame(kind::SETTINGS, 1, 0, &[])).await;
    let open = headers(&request("POST", "/v1/events"));
    for stream in [1, 3, 5] {
        frames
            .say(&frame(kind::HEADERS, END_HEADERS, stream, &open))
            .await;
    }
    let refused = frames
        .find(|frame| frame.kind == kind::RESET)
        .await
        .unwrap();
    assert_eq!((refused.stream, refused.number(0)), (5, Some(REFUSED)));
    // One that ends makes room.
    let body = br#"{"resource":"a","values":{"t":1}}"#;
    frames.say(&frame(kind::DATA, END_STREAM, 1, body)).await;
    let ended = |frame: &_| {
        matches!(
            frame,
            tidegate_tests::frames::Frame {
                kind: kind::HEADERS,
                stream: 1,
                ..
            }
        )
    };
    assert!(frames.find(ended).await.is_some());
    let get = headers(&request("GET", "/healthz"));
    let all = END_HEADERS | END_STREAM;
    frames.say(&frame(kind::HEADERS, all, 7, &get)).await;
    let answered = frames.find(|frame| frame.stream == 7).await.unwrap();
    assert_eq!(answered.kind, kind::HEADERS, "{answered:?}");
    // An open request would be waited for.
    drop(frames);
    door.close().await;
}

#[tokio::test]
async fn requests_taken_back_at_once_end_the_connection() {
    let door = Door::open(&[("TIDEGATE_SERVER__HTTP2_RESETS", "20")]).await;
    let mut others = Calls::connect(door.address).await;
    let mut frames = Frames::connect(door.address).await;
    let get = headers(&request("GET", "/v1/resources"));
    let mut flood = Vec::new();
    for stream in (1..20_000).step_by(2) {
        flood.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &get));
        // CANCEL
        flood.extend(frame(kind::RESET, 0, stream, &[0, 0, 0, 8]));
    }
    frames.say(&flood).await;
    let end = frames.find(|frame| frame.kind == kind::GOAWAY).await;
    // Who writes on into a closed connection may be cut off before the word of it arrives.
    if let Some(end) = end {
        assert_eq!(end.number(4), Some(CALM), "{end:?}");
        assert!(frames.find(|_| false).await.is_none());
    }
    assert_eq!(others.get("/healthz").await.status, Some(200));
    door.close().await;
}

#[tokio::test]
async fn a_connection_without_a_sign_of_life_is_closed() {
    let door = Door::open(&[("TIDEGATE_SERVER__HTTP2_PING", "1s")]).await;
    let mut frames = Frames::connect(door.address).await;
    let asked = frames.find(|frame| frame.kind == kind::PING).await;
    assert!(asked.is_some(), "nobody asked");
    while let Some(frame) = frames.next().await {
        assert!(frame.kind != kind::PING || frame.flags == 0, "{frame:?}");
    }
    door.close().await;
}

/// Every call of our services, by its path.
fn methods() -> Vec<String> {
    let mut folders = vec![PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../proto/proto"
    ))];
    let mut all = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let word = |line: &str, of: &str| {
                let rest = line.trim().strip_prefix(of)?;
                let end = rest.find([';', ' ', '(']).unwrap_or(rest.len());
                Some(rest.get(..end)?.to_owned())
            };
            let (mut package, mut service) = (String::new(), String::new());
            for line in text.lines() {
                package = word(line, "package ").unwrap_or(package);
                service = word(line, "service ").unwrap_or(service);
                let rpc = word(line, "rpc ");
                all.extend(rpc.map(|rpc| format!("/{package}.{service}/{rpc}")));
            }
        }
    }
    all.sort();
    assert!(all.len() > 20, "{all:?}");
    all
}

/// Bodies that are no request, whatever the call is; and some that hold what a message may have and nobody knows.
fn broken() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let nested = (0..60_u8).fold(Vec::new(), |inner: Vec<u8>, _| {
        let length = inner.len() as u8;
        [vec![0x0a, length], inner].concat()
    });
    let framed = |body: &[u8]| grpc_message(body).to_vec();
    let skipped = vec![framed(&[0x0a, 2, 0xff, 0xfe]), framed(&nested)];
    let broken = vec![
        // Cut in and behind its length.
        vec![0],
        vec![0, 0, 0, 1],
        vec![0, 0, 0, 3, 232, 1, 2, 3],
        // Compressed by nobody knows what, and a flag that is none.
        vec![1, 0, 0, 0, 2, 8, 1],
        vec![7, 0, 0, 0, 0],
        // Longer than anything is taken.
        vec![0, 255, 255, 255, 255, 0],
        // No message: a field longer than the rest, a number without an end, field zero, a group that ends nothing.
        framed(&[0x0a, 100, 1]),
        framed(&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]),
        framed(&[0x00, 0x00]),
        framed(&[0x0c]),
    ];
    (broken, skipped)
}

#[tokio::test]
async fn malformed_calls_end_in_errors_and_nobody_panics() {
    let door = Door::open(&[("TIDEGATE_SERVER__HEADER_TIMEOUT", "300ms")]).await;
    let mut calls = Calls::connect(door.address).await;
    let mut random = tidegate_tests::random::Random::new(7);
    let (mut refused, mut of_noise) = (0, 0);
    for method in methods() {
        let (broken, skipped) = broken();
        for body in &broken {
            let answer = Answer::of(calls.call(&method, &[], body).await).await;
            let status = answer.grpc_status.as_deref();
            let is_refused = status.map_or(answer.was_reset, |status| status != "0");
            assert!(is_refused, "{method} {body:?}: {answer:?}");
            refused += 1;
        }
        let mut noise = skipped;
        for _ in 0..20 {
            let bytes: Vec<u8> = (0..random.below(60)).map(|_| random.bits() as u8).collect();
            noise.push(grpc_message(&bytes).to_vec());
            noise.push(bytes);
        }
        for body in noise {
            let more = [
                ("grpc-timeout", "no"),
                ("grpc-encoding", "no"),
                ("x-bin", "!"),
            ];
            let more = &more[..random.below(4) as usize];
            let answer = Answer::beginning(calls.call(&method, more, &body).await).await;
            assert!(
                answer.status.is_some() || answer.was_reset,
                "{method} {body:?}: {answer:?}"
            );
            of_noise += 1;
        }
        // Whoever hangs up in the middle.
        let (response, mut body) = calls.begin(&method, &[]).await;
        body.send_data(Bytes::from_static(&[0, 0, 0, 0, 9, 1]), false)
            .unwrap();
        body.send_reset(h2::Reason::CANCEL);
        drop(response);
    }
    println!("{refused} broken calls, {of_noise} of noise");
    truncated(&door, &mut random).await;
    assert_eq!(
        calls.get("/healthz").await.status,
        Some(200),
        "the connection lives on"
    );
    door.close().await;
}

/// Requests of HTTP/1 and frames of HTTP/2 that are cut or wrong somewhere: every connection comes to its end.
async fn truncated(door: &Door, random: &mut tidegate_tests::random::Random) {
    let whole = "POST /v1/rules HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{\"kin\r\n0\r\n\r\n";
    let mut framed = tidegate_tests::frames::PREFACE.to_vec();
    framed.extend(frame(kind::SETTINGS, 0, 0, &[]));
    framed.extend(frame(
        kind::HEADERS,
        END_HEADERS,
        1,
        &headers(&request("POST", SUBMIT)),
    ));
    framed.extend(frame(kind::DATA, END_STREAM, 1, &grpc_message(b"x")));
    for bytes in [whole.as_bytes(), &framed] {
        for _ in 0..60 {
            let mut cut = bytes.to_vec();
            cut.truncate(1 + random.below(bytes.len() as u64) as usize);
            for _ in 0..random.below(4) {
                let at = random.below(cut.len() as u64) as usize;
                cut[at] = random.bits() as u8;
            }
            let mut stream = TcpStream::connect(door.address).await.unwrap();
            // Who is cut off early does not hear all of it.
            let _ = stream.write_all(&cut).await;
            let _ = stream.shutdown().await;
            heard(&mut stream).await;
        }
    }
}
