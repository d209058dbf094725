//! Streams and dead letters.

use super::*;
use tidegate_actors::task::ALARM_HEADER;

fn entry(partition: u32, offset: i64, line: &str) -> TailEntry {
    TailEntry {
        partition,
        offset,
        record: Record::new("k", line.to_owned()),
    }
}

#[tokio::test]
async fn results_stream_as_events_and_resume_after_the_last_one() {
    let fake = Fake::default();
    let line = r#"{"rule":"hot","resource":"a","kind":"raised"}"#;
    let other = r#"{"rule":"cold","resource":"a","kind":"window"}"#;
    fake.told(|told| told.entries = vec![entry(0, 4, line), entry(1, 0, other), entry(1, 1, line)]);
    let response = send(
        &fake,
        request(
            "GET",
            "/v1/results?from=earliest&stop_at_end=true&rule=hot",
            &[],
            "",
        ),
    )
    .await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text_of = text(response).await;
    assert_eq!(text_of.matches("event: raised\n").count(), 2, "{text_of}");
    assert!(
        text_of.contains("id: 0:4@0\n") && text_of.contains("id: 0:4,1:1@0\n"),
        "{text_of}"
    );
    assert!(text_of.contains(&format!("data: {line}\n")), "{text_of}");

    let response = send(
        &fake,
        request(
            "GET",
            "/v1/results?stop_at_end=true",
            &[("last-event-id", "0:4,1:0@0")],
            "",
        ),
    )
    .await;
    let text_of = text(response).await;
    assert_eq!(text_of.matches("data: ").count(), 1, "{text_of}");
    assert_eq!(
        fake.told(|told| told.tailed.last().cloned()),
        Some((TailTopic::Results, TailFrom::Offsets(vec![5, 1]), true))
    );
    assert_eq!(
        call(&fake, "GET", "/v1/results?from=soon", &[], "").await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn tails_are_lines_and_alarms_are_a_part_of_the_results() {
    let fake = Fake::default();
    let raised = r#"{"rule":"hot","kind":"raised"}"#;
    fake.told(|told| {
        let mut alarm = entry(0, 0, raised);
        alarm.record = alarm.record.with_header(ALARM_HEADER, "MAJOR");
        told.entries = vec![alarm, entry(0, 1, r#"{"rule":"quiet","kind":"raised"}"#)];
    });
    let response = send(
        &fake,
        request(
            "GET",
            "/v1/tail/alarms?from=earliest&stop_at_end=true",
            &[],
            "",
        ),
    )
    .await;
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    assert_eq!(text(response).await, format!("{raised}\n"));
    let (_, all) = call(
        &fake,
        "GET",
        "/v1/tail/results?from=earliest&stopAtEnd=true",
        &[],
        "",
    )
    .await;
    assert_eq!(all.as_str().unwrap().lines().count(), 2);
    assert_eq!(
        call(&fake, "GET", "/v1/tail/journal", &[], "").await.0,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn streams_are_bounded_and_end_when_the_process_stops() {
    let fake = Fake::default();
    let (router, tell) = doors(&fake);
    let open = || {
        router
            .clone()
            .oneshot(request("GET", "/v1/tail/results", &[], ""))
    };
    let (first, second) = (open().await.unwrap(), open().await.unwrap());
    assert_eq!(
        open().await.unwrap().status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    drop(first);
    let third = open().await.unwrap();
    assert_eq!(third.status(), StatusCode::OK);
    tell.send(true).unwrap();
    for response in [second, third] {
        assert!(
            response
                .into_body()
                .into_data_stream()
                .next()
                .await
                .is_none()
        );
    }
}

#[tokio::test]
async fn dead_letters_are_listed_shown_and_sent_once_more() {
    let fake = Fake::default();
    fake.told(|told| {
        told.entries = vec![
            entry(1, 0, r#"{"resource":"r1","time":"soon"}"#),
            entry(0, 3, r#"{"a":1}"#),
            entry(0, 7, "x"),
        ];
    });
    let (_, body) = call(&fake, "GET", "/v1/dlq?limit=2", &[], "").await;
    assert_eq!(
        (
            &body["items"][0]["id"],
            &body["items"][1]["id"],
            &body["next"]
        ),
        (&json!("0:3"), &json!("0:7"), &json!("0:7"))
    );
    let (_, body) = call(&fake, "GET", "/v1/dlq?after=0:7", &[], "").await;
    assert_eq!(body["items"][0]["id"], "1:0");
    assert_eq!(
        call(&fake, "GET", "/v1/dlq/1:0", &[], "").await.1["value"],
        r#"{"resource":"r1","time":"soon"}"#
    );
    assert_eq!(
        call(&fake, "POST", "/v1/dlq/1:0/send", &[], "").await.0,
        StatusCode::OK
    );
    assert_eq!(
        call(&fake, "POST", "/v1/dlq/0:3/send", &[], "").await.0,
        StatusCode::OK
    );
    assert_eq!(
        call(&fake, "POST", "/v1/dlq/0:7/send", &[], "").await.0,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        call(&fake, "GET", "/v1/dlq/9:9", &[], "").await.0,
        StatusCode::NOT_FOUND
    );
    let again = |again: &Again| match again {
        Again::Event { event, once, only } => (event.key.clone(), once.clone(), only.clone()),
        Again::Action { .. } => panic!("an action was sent"),
    };
    let sent: Vec<_> = fake.told(|told| told.again.iter().map(again).collect());
    let one = |key: &str, once: &str| (key.to_owned(), once.to_owned(), None);
    assert_eq!(sent, [one("r1", "dlq-1:0"), one("k", "dlq-0:3")]);
}
