//! The REST door in front of a backend that remembers.

mod limits;
mod streams;
mod things;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tidegate_actors::command::Command;
use tidegate_actors::observe::TaskView;
use tidegate_proto::record::Record;
use tower::ServiceExt as _;

use super::fake::Fake;
use super::*;
use crate::config::Config;
use crate::error::EngineError;

const RULE: &str = "kind: Rule\nname: hot\nfor: all\nwhen: temperature > 90.0\nthen:\n  - alarm: { severity: MAJOR }\n";

fn doors(fake: &Fake) -> (Router, tokio::sync::watch::Sender<bool>) {
    let (tell, hear) = tokio::sync::watch::channel(false);
    let mut config = Config::for_data(std::path::Path::new("x")).unwrap();
    config.limits.streams = 2;
    let api = Api::new(Arc::new(fake.clone()), config.limits, config.server, hear);
    (router(&api), tell)
}

async fn send(fake: &Fake, request: Request<Body>) -> Response {
    doors(fake).0.oneshot(request).await.unwrap()
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "127.0.0.1:7878");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn text(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 24)
        .await
        .unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn call(
    fake: &Fake,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> (StatusCode, Value) {
    let response = send(fake, request(method, path, headers, body)).await;
    let status = response.status();
    let text = text(response).await;
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

#[tokio::test]
async fn events_are_taken_in_all_forms_and_once_by_key() {
    let fake = Fake::default();
    let path = "/v1/events";
    let (status, body) = call(
        &fake,
        "POST",
        path,
        &[("idempotency-key", "k1")],
        r#"{"resource":"a","t":1}"#,
    )
    .await;
    assert_eq!((status, body), (StatusCode::OK, json!({ "accepted": 1 })));
    let (_, body) = call(
        &fake,
        "POST",
        path,
        &[],
        r#"[{"resource":"b"},{"resource":"c"}]"#,
    )
    .await;
    assert_eq!(body, json!({ "accepted": 2 }));
    let (_, body) = call(
        &fake,
        "POST",
        path,
        &[("content-type", "application/x-ndjson")],
        "{\"resource\":\"d\"}\n{\"resource\":\"e\"}\n",
    )
    .await;
    assert_eq!(body, json!({ "accepted": 2 }));
    let keys: Vec<String> =
        fake.told(|told| told.events.iter().map(|event| event.key.clone()).collect());
    assert_eq!(keys, ["a", "b", "c", "d", "e"]);
    assert_eq!(
        fake.told(|told| told.once.clone()),
        [Some("k1".to_owned()), None, None]
    );
    assert_eq!(
        fake.told(|told| told.events[0].body.clone()),
        &br#"{"resource":"a","t":1}"#[..]
    );
}

#[tokio::test]
async fn a_batch_with_a_wrong_event_is_refused_whole_with_all_problems() {
    let fake = Fake::default();
    let response = send(
        &fake,
        request("POST", "/v1/events", &[], "{\"resource\":\"a\"}\n{}\n5\n"),
    )
    .await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(body["type"], "urn:tidegate:problem:invalid");
    assert_eq!(
        (body["status"].as_u64(), body["detail"].as_str()),
        (Some(400), Some("2 problems"))
    );
    assert_eq!(
        (&body["errors"][0]["line"], &body["errors"][1]["line"]),
        (&json!(2), &json!(3))
    );
    assert!(fake.told(|told| told.events.is_empty()));
}

#[tokio::test]
async fn bodies_headers_and_hosts_are_bounded() {
    let fake = Fake::default();
    let large = format!("{{\"resource\":\"a\",\"x\":\"{}\"}}", "y".repeat(1 << 20));
    let (status, body) = call(&fake, "POST", "/v1/events", &[], &large).await;
    assert_eq!(
        (status, &body["type"]),
        (
            StatusCode::PAYLOAD_TOO_LARGE,
            &json!("urn:tidegate:problem:too-large")
        )
    );
    // Without a length that tells it beforehand.
    let chunks = (0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 << 10]));
    let streamed = Request::post("/v1/events")
        .body(Body::from_stream(futures::stream::iter(chunks)))
        .unwrap();
    assert_eq!(
        send(&fake, streamed).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let (status, _) = call(
        &fake,
        "GET",
        "/v1/rules",
        &[("x", &"y".repeat(17 << 10))],
        "",
    )
    .await;
    assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);

    let (status, _) = call(
        &fake,
        "GET",
        "/v1/rules",
        &[("origin", "http://evil.example")],
        "",
    )
    .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = call(
        &fake,
        "GET",
        "/v1/rules",
        &[("origin", "http://localhost:5173")],
        "",
    )
    .await;
    assert_eq!(status, StatusCode::OK);
    let rebound = Request::get("/v1/rules")
        .header("host", "evil.example:7878")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&fake, rebound).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn rules_are_created_revised_and_left_alone() {
    let fake = Fake::default();
    let response = send(
        &fake,
        request("POST", "/v1/rules", &[("idempotency-key", "k")], RULE),
    )
    .await;
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(
        (&response.headers()["etag"], &response.headers()["location"]),
        (&"\"1\"".parse().unwrap(), &"/v1/rules/hot".parse().unwrap())
    );
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(
        body,
        json!({ "name": "hot", "revision": 1, "outcome": "created", "parts": ["when: kept"] })
    );
    assert_eq!(fake.told(|told| told.requests[0].request.clone()), "k");

    fake.with_rule("hot", 4, RULE);
    let (status, body) = call(&fake, "POST", "/v1/rules", &[], RULE).await;
    assert_eq!(
        (status, &body["outcome"], &body["revision"]),
        (StatusCode::OK, &json!("unchanged"), &json!(4))
    );
    let other = RULE.replace("90", "95");
    let (_, body) = call(&fake, "POST", "/v1/rules", &[("if-match", "\"4\"")], &other).await;
    assert_eq!(
        (&body["outcome"], &body["revision"]),
        (&json!("revised"), &json!(5))
    );
    let (status, body) = call(&fake, "POST", "/v1/rules", &[("if-match", "\"3\"")], &other).await;
    assert_eq!(
        (status, &body["detail"]),
        (
            StatusCode::PRECONDITION_FAILED,
            &json!("expected revision 3, but it has revision 4")
        )
    );
    let (status, _) = call(
        &fake,
        "POST",
        "/v1/rules",
        &[("if-none-match", "*")],
        &other,
    )
    .await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);

    let before = fake.told(|told| told.requests.len());
    let (status, body) = call(&fake, "POST", "/v1/rules?dryRun=true", &[], &other).await;
    assert_eq!(
        (status, &body["outcome"]),
        (StatusCode::OK, &json!("valid"))
    );
    assert_eq!(fake.told(|told| told.requests.len()), before);
}

#[tokio::test]
async fn a_wrong_rule_is_told_with_all_problems_and_places() {
    let fake = Fake::default();
    let wrong = "kind: Rule\nname: hot\nfor: all\nwhen: temperature > 90.0\nhold: soon\nthn: []\n";
    let (status, body) = call(&fake, "POST", "/v1/rules", &[], wrong).await;
    assert_eq!(
        (status, &body["type"]),
        (
            StatusCode::BAD_REQUEST,
            &json!("urn:tidegate:problem:invalid")
        )
    );
    let errors = body["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 2, "{body:#}");
    assert!(
        errors
            .iter()
            .all(|error| error["line"].as_u64() > Some(0) && error["column"].as_u64() > Some(0)),
        "{body:#}"
    );
    let (status, _) = call(&fake, "POST", "/v1/rules", &[], "kind: Resource\nid: b1\n").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn rules_are_looked_at_enabled_and_deleted() {
    let fake = Fake::default();
    fake.with_rule("a", 1, RULE);
    fake.with_rule("b", 2, RULE);
    fake.with_rule("c", 3, RULE);
    let response = send(&fake, request("GET", "/v1/rules?limit=2", &[], "")).await;
    assert_eq!(
        response.headers()["link"],
        "</v1/rules?limit=2&after=b>; rel=\"next\""
    );
    let body: Value = serde_json::from_str(&text(response).await).unwrap();
    assert_eq!(
        (body["items"].as_array().unwrap().len(), &body["next"]),
        (2, &json!("b"))
    );
    let (_, body) = call(&fake, "GET", "/v1/rules?limit=2&after=b", &[], "").await;
    assert_eq!(
        (&body["items"][0]["name"], &body["next"]),
        (&json!("c"), &Value::Null)
    );
    let response = send(&fake, request("GET", "/v1/rules/b", &[], "")).await;
    assert_eq!(response.headers()["etag"], "\"2\"");

    let (status, body) = call(
        &fake,
        "POST",
        "/v1/rules/b/disable",
        &[("if-match", "\"2\"")],
        "",
    )
    .await;
    assert_eq!(
        (status, body),
        (
            StatusCode::OK,
            json!({ "name": "b", "revision": 3, "outcome": "disabled" })
        )
    );
    assert!(matches!(
        fake.told(|told| told.requests[0].command.clone()),
        Command::EnableRule { enabled: false, .. }
    ));
    let (status, _) = call(&fake, "DELETE", "/v1/rules/a", &[("if-match", "\"7\"")], "").await;
    assert_eq!(status, StatusCode::PRECONDITION_FAILED);
    let (status, body) = call(&fake, "DELETE", "/v1/rules/x", &[], "").await;
    assert_eq!(
        (status, &body["detail"]),
        (StatusCode::NOT_FOUND, &json!("there is no `rule/x`"))
    );
    for (path, headers) in [
        ("/v1/rules?limit=0", &[][..]),
        ("/v1/rules?lmit=1", &[]),
        ("/v1/rules/a", &[("if-match", "new")]),
    ] {
        let method = if headers.is_empty() { "GET" } else { "DELETE" };
        assert_eq!(
            call(&fake, method, path, headers, "").await.0,
            StatusCode::BAD_REQUEST,
            "{path}"
        );
    }
}

#[tokio::test]
async fn machines_are_answered() {
    let fake = Fake::default();
    assert_eq!(
        call(&fake, "GET", "/healthz", &[], "").await.0,
        StatusCode::OK
    );
    assert_eq!(
        call(&fake, "GET", "/readyz", &[], "").await.0,
        StatusCode::OK
    );
    fake.told(|told| told.trouble = vec!["shard 1: Recovering: ".into()]);
    let response = send(&fake, request("GET", "/readyz", &[], "")).await;
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    let (_, metrics) = call(&fake, "GET", "/metrics", &[], "").await;
    assert!(metrics.as_str().unwrap().contains("tidegate_ready 0\n"));
    let (_, version) = call(&fake, "GET", "/version", &[], "").await;
    assert_eq!(version["partitions"], 2);
    assert_eq!(
        call(&fake, "GET", "/v2", &[], "").await.1["type"],
        "urn:tidegate:problem:not-found"
    );
    assert_eq!(
        call(&fake, "PATCH", "/v1/rules", &[], "").await.0,
        StatusCode::METHOD_NOT_ALLOWED
    );
    fake.told(|told| told.fails = Some(EngineError::Unavailable("the log is full".into())));
    let (status, body) = call(&fake, "POST", "/v1/events", &[], r#"{"resource":"a"}"#).await;
    assert_eq!(
        (status, &body["detail"]),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            &json!("not available now: the log is full")
        )
    );
}
