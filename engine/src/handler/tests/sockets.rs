//! Webhooks over real sockets on loopback.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_proto::time::Span;

use super::super::settings::{HandlerSettings, HandlersSettings, Secret};
use super::receiver::{Receiver, Reply, status};
use super::{BEGIN, Bench, Handlers, header, quick};

/// A webhook to a receiver that may be reached.
fn hook(receiver: &Receiver) -> HandlerSettings {
    HandlerSettings {
        url: Secret::new(receiver.url("127.0.0.1")),
        allow_http: true,
        allow_private: true,
        ..quick()
    }
}

fn handlers(bench: &Bench, settings: HandlerSettings) -> Handlers {
    let table = HandlersSettings::from([("ops".to_owned(), settings)]);
    Handlers::build(&table, &bench.clock).unwrap()
}

/// Publishes one action, waits for its end, and answers with the error and the attempts.
async fn deliver(bench: &Bench, settings: HandlerSettings) -> (Option<String>, u32) {
    bench.publish("ops", 1);
    let dispatcher = bench.start(handlers(bench, settings));
    let settled = tokio::time::timeout(Duration::from_secs(30), bench.settled(1));
    settled.await.expect("an end in time");
    dispatcher.stop().await;
    assert_eq!(bench.committed(), Some(1));
    let (_, (_, error, attempts)) = bench.outcomes().remove(0);
    (error, attempts)
}

#[tokio::test]
async fn an_action_is_posted_once_under_its_id() {
    let bench = Bench::new();
    let receiver = Receiver::start(Vec::new()).await;
    let settings = HandlerSettings {
        headers: BTreeMap::from([("Authorization".to_owned(), Secret::new("Bearer x"))]),
        secret: Some(Secret::new("key")),
        ..hook(&receiver)
    };
    assert_eq!(deliver(&bench, settings).await, (None, 1));
    let [request] = &receiver.requests()[..] else {
        panic!("one request");
    };
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/hook?token=t0k3n")
    );
    assert_eq!(request.header("idempotency-key"), "0-1-1");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("authorization"), "Bearer x");
    let begin = format!("t={},v1=", BEGIN / 1000);
    assert!(request.header("tidegate-signature").starts_with(&begin));
    assert_eq!(
        request.body,
        r#"{"id":"0-1-1","rule":"hot","task":"hot/b1","resource":"b1","time":"2026-01-01T00:00:00.000Z","kind":"raised","with":{"text":"t1"},"result":{"mean":91.5}}"#
    );
}

#[tokio::test]
async fn failures_of_the_other_side_are_tried_again_under_the_same_id() {
    let bench = Bench::new();
    let later = Reply::Status(
        503,
        vec![("retry-after", "0".to_owned())],
        "busy".to_owned(),
    );
    let script = vec![status(500), status(429), status(408), later];
    let receiver = Receiver::start(script).await;
    assert_eq!(deliver(&bench, hook(&receiver)).await, (None, 5));
    let requests = receiver.requests();
    let keys: Vec<&str> = requests
        .iter()
        .map(|r| r.header("idempotency-key"))
        .collect();
    assert_eq!(keys, ["0-1-1"; 5]);
    assert!(
        requests
            .iter()
            .all(|request| request.body == requests[0].body)
    );
    assert!(bench.dead_letters().is_empty());
}

#[tokio::test]
async fn other_answers_of_the_fourth_hundred_are_given_up_at_once() {
    let bench = Bench::new();
    let body = "{\"error\":\n \"no such hook\"}".to_owned();
    let receiver = Receiver::start(vec![Reply::Status(404, Vec::new(), body)]).await;
    let (error, attempts) = deliver(&bench, hook(&receiver)).await;
    let expected = r#"refused: answered 404 Not Found: {"error": "no such hook"}"#;
    assert_eq!((error.as_deref(), attempts), (Some(expected), 1));
    assert_eq!(receiver.requests().len(), 1);
    let letters = bench.dead_letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(header(&letters[0], "dlq.reason"), expected);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let bench = Bench::new();
    let elsewhere = Receiver::start(Vec::new()).await;
    let target = vec![("location", elsewhere.url("127.0.0.1"))];
    let receiver = Receiver::start(vec![Reply::Status(307, target, String::new())]).await;
    let (error, attempts) = deliver(&bench, hook(&receiver)).await;
    assert_eq!(
        error.as_deref(),
        Some("refused: answered 307 Temporary Redirect")
    );
    assert_eq!((attempts, elsewhere.requests().len()), (1, 0));
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_a_failure() {
    let bench = Bench::new();
    let receiver = Receiver::start(vec![Reply::Silence]).await;
    let settings = HandlerSettings {
        timeout: Span(100),
        ..hook(&receiver)
    };
    assert_eq!(deliver(&bench, settings).await, (None, 2));
}

#[tokio::test]
async fn a_closed_port_is_tried_until_the_time_is_over_and_the_url_is_never_told() {
    let bench = Bench::new();
    let settings = {
        let receiver = Receiver::start(Vec::new()).await;
        HandlerSettings {
            ttl: Span(200),
            ..hook(&receiver)
        }
    };
    let (error, attempts) = deliver(&bench, settings).await;
    let error = error.unwrap();
    assert!(attempts >= 2, "{attempts}");
    assert!(
        error.starts_with(&format!("given up after {attempts} tries: ")),
        "{error}"
    );
    assert!(error.to_lowercase().contains("refused"), "{error}");
    assert!(!error.contains("t0k3n"), "{error}");
}

#[tokio::test]
async fn a_long_answer_is_not_read_to_its_end() {
    let bench = Bench::new();
    let long = Reply::Status(200, Vec::new(), "x".repeat(8 << 20));
    let bad = Reply::Status(400, Vec::new(), "y".repeat(8 << 20));
    let receiver = Receiver::start(vec![long, bad]).await;
    assert_eq!(deliver(&bench, hook(&receiver)).await, (None, 1));

    let bench = Bench::new();
    let (error, _) = deliver(&bench, hook(&receiver)).await;
    let expected = format!("refused: answered 400 Bad Request: {}", "y".repeat(200));
    assert_eq!(error, Some(expected));
}

#[tokio::test]
async fn the_own_machine_is_out_of_reach_unless_allowed() {
    let bench = Bench::new();
    let receiver = Receiver::start(Vec::new()).await;
    let guarded = HandlerSettings {
        url: Secret::new(receiver.url("localhost")),
        allow_private: false,
        ..hook(&receiver)
    };
    let (error, attempts) = deliver(&bench, guarded.clone()).await;
    let expected =
        "refused: `localhost` is at a loopback address, which this handler may not reach";
    assert_eq!((error.as_deref(), attempts), (Some(expected), 1));
    assert_eq!(bench.dead_letters().len(), 1);
    assert_eq!(receiver.requests().len(), 0);

    let literal = HandlerSettings {
        url: Secret::new(receiver.url("127.0.0.1")),
        ..guarded
    };
    let table = HandlersSettings::from([("ops".to_owned(), literal)]);
    let issues = Handlers::build(&table, &bench.clock).unwrap_err();
    assert_eq!(issues.len(), 1);
    assert_eq!(issues[0].path, "handlers.ops.url");
    assert_eq!(issues[0].problem, "`127.0.0.1` is a loopback address");
    assert_eq!(receiver.requests().len(), 0);
}

#[tokio::test]
async fn tls_is_spoken_and_certificates_are_checked() {
    let bench = Bench::new();
    // Speaks plain HTTP: the handshake fails, which shows that one was begun.
    let receiver = Receiver::start(Vec::new()).await;
    let settings = HandlerSettings {
        url: Secret::new(format!("https://127.0.0.1:{}/", receiver.address.port())),
        allow_http: false,
        ttl: Span(50),
        ..hook(&receiver)
    };
    let (error, _) = deliver(&bench, settings).await;
    assert!(error.unwrap().contains("InvalidContentType"));
    assert_eq!(receiver.requests().len(), 0);
}
