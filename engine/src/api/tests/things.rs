//! Resources, documents, tasks.

use super::*;
use tidegate_actors::observe::TypeView;

#[tokio::test]
async fn resources_with_any_id_are_reached() {
    let fake = Fake::default();
    fake.with_resource("plant/line 1", "boiler");
    fake.with_resource("x", "pump");
    let (status, body) = call(&fake, "GET", "/v1/resources/plant%2Fline%201", &[], "").await;
    assert_eq!(
        (status, &body["id"], &body["type"]),
        (StatusCode::OK, &json!("plant/line 1"), &json!("boiler"))
    );
    let (_, body) = call(&fake, "GET", "/v1/resources?type=pump", &[], "").await;
    assert_eq!(body["items"].as_array().unwrap().len(), 1);
    assert_eq!(
        call(&fake, "GET", "/v1/resources/y", &[], "").await.0,
        StatusCode::NOT_FOUND
    );

    let (status, body) = call(
        &fake,
        "PUT",
        "/v1/resources/b%2F1",
        &[],
        r#"{"type":"boiler","meta":{"line":"l1"}}"#,
    )
    .await;
    assert_eq!(
        (status, &body["outcome"]),
        (StatusCode::CREATED, &json!("created")),
        "{body}"
    );
    let Command::PutResource { definition, .. } =
        fake.told(|told| told.requests[0].command.clone())
    else {
        panic!()
    };
    assert_eq!(
        (
            definition.id.as_ref(),
            definition.traits.path("meta.line").as_deref()
        ),
        ("b/1", Some("l1"))
    );
    for wrong in [r#"{"id":"other"}"#, r#"{"tpye":"boiler"}"#, "[]", "x"] {
        assert_eq!(
            call(&fake, "PUT", "/v1/resources/b", &[], wrong).await.0,
            StatusCode::BAD_REQUEST,
            "{wrong}"
        );
    }
    assert_eq!(
        call(&fake, "DELETE", "/v1/resources/b", &[], "").await.0,
        StatusCode::OK
    );
}

#[tokio::test]
async fn many_documents_are_applied_in_order_or_not_at_all() {
    let fake = Fake::default();
    fake.with_rule("hot", 4, RULE.trim());
    let text = format!(
        "kind: ResourceType\nname: boiler\n---\nkind: Resource\nid: b1\ntype: boiler\n---\n{RULE}---\n# nothing\n"
    );
    let (status, body) = call(&fake, "POST", "/v1/apply?dryRun=true", &[], &text).await;
    assert_eq!(status, StatusCode::OK, "{body:#}");
    assert!(fake.told(|told| told.requests.is_empty()));
    assert_eq!(body["items"][2]["outcome"], "unchanged");
    let (status, body) = call(
        &fake,
        "POST",
        "/v1/apply",
        &[("idempotency-key", "k")],
        &text,
    )
    .await;
    assert_eq!(status, StatusCode::OK, "{body:#}");
    let outcomes: Vec<String> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            format!(
                "{}/{} {}",
                item["kind"].as_str().unwrap(),
                item["name"].as_str().unwrap(),
                item["outcome"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        outcomes,
        [
            "type/boiler created",
            "resource/b1 created",
            "rule/hot unchanged"
        ]
    );
    assert_eq!(
        fake.told(|told| told
            .requests
            .iter()
            .map(|r| r.request.clone())
            .collect::<Vec<_>>()),
        ["k-0", "k-1", "k-2"]
    );

    let wrong = format!("{text}---\nkind: Rule\nname: cold\nfor: all\nwhn: x\n");
    let (status, body) = call(&fake, "POST", "/v1/apply", &[], &wrong).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(
        body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|error| error["line"].as_u64() > Some(14)),
        "{body:#}"
    );
    assert_eq!(fake.told(|told| told.requests.len()), 3);
}

#[tokio::test]
async fn tasks_are_found_by_their_ids() {
    let fake = Fake::default();
    for resource in ["b/1", "b/2"] {
        let task = TaskView {
            id: format!("hot/{resource}"),
            rule: "hot".into(),
            resource: resource.into(),
            status: "raised".into(),
            since: None,
            health: "ok".into(),
            unknown: 0,
            late: 0,
            errors: 0,
            throttled: 0,
            watermark: None,
            outcomes: Vec::new(),
        };
        fake.told(|told| told.tasks.insert(task.id.clone(), task));
    }
    for path in ["/v1/tasks/hot/b/2", "/v1/tasks/hot%2Fb%2F2"] {
        let (status, body) = call(&fake, "GET", path, &[], "").await;
        assert_eq!(
            (status, &body["resource"]),
            (StatusCode::OK, &json!("b/2")),
            "{path}"
        );
    }
    assert_eq!(
        call(&fake, "GET", "/v1/tasks/hot/b3", &[], "").await.0,
        StatusCode::NOT_FOUND
    );
    let (_, body) = call(&fake, "GET", "/v1/tasks?rule=hot&resource=b%2F1", &[], "").await;
    assert_eq!(body["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn types_are_listed_and_what_is_the_same_is_unchanged() {
    let fake = Fake::default();
    let text = "kind: ResourceType\nname: boiler\nlabels: { site: north }\n";
    fake.told(|told| {
        let view = TypeView {
            name: "boiler".into(),
            revision: 3,
            document: text.into(),
        };
        told.types.insert("boiler".into(), view)
    });
    let (_, body) = call(&fake, "GET", "/v1/types", &[], "").await;
    assert_eq!(body["items"][0]["name"], "boiler");
    let (status, body) = call(&fake, "GET", "/v1/types/boiler", &[], "").await;
    assert_eq!((status, &body["revision"]), (StatusCode::OK, &json!(3)));
    let (status, _) = call(&fake, "GET", "/v1/types/none", &[], "").await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    fake.with_resource("b1", "boiler");
    fake.told(|told| {
        let known = told.resources.get_mut("b1").unwrap();
        known.revision = 2;
        known.labels.insert("site".into(), "north".into());
    });
    let both = format!("{text}---\nkind: Resource\nid: b1\ntype: boiler\n");
    let (_, body) = call(&fake, "POST", "/v1/apply?dryRun=true", &[], &both).await;
    assert_eq!(body["items"][0]["outcome"], "unchanged");
    assert_eq!(body["items"][1]["outcome"], "unchanged");
    let other = both.replace("id: b1", "id: b1\nmeta: { line: l1 }");
    let (_, body) = call(&fake, "POST", "/v1/apply?dryRun=true", &[], &other).await;
    assert_eq!(body["items"][1]["outcome"], "revised");
}

#[tokio::test]
async fn a_late_row_goes_to_the_rule_that_missed_it() {
    let fake = Fake::default();
    let row = r#"{"resource":"b1","time":"2026-01-01T00:00:00.000Z","reason":"late","rule":"means","missed":{},"source":{},"record":"{\"resource\":\"b1\"}"}"#;
    fake.told(|told| {
        told.entries.push(TailEntry {
            partition: 1,
            offset: 7,
            record: Record::new("b1", row),
        });
    });
    let (_, body) = call(&fake, "GET", "/v1/late", &[], "").await;
    assert_eq!(body["items"][0]["id"], "1:7");
    assert_eq!(body["items"][0]["rule"], "means");
    let (status, _) = call(&fake, "POST", "/v1/late/1:7/send", &[], "").await;
    assert_eq!(status, StatusCode::OK);
    let sent = fake.told(|told| told.again.clone());
    let event = IngestEvent {
        key: "b1".into(),
        body: r#"{"resource":"b1"}"#.into(),
    };
    let expected = Again::Event {
        event,
        once: "late-1:7".into(),
        only: Some("means".into()),
    };
    assert_eq!(sent, [expected]);
}

#[tokio::test]
async fn why_is_asked_of_a_rule_and_a_resource() {
    let fake = Fake::default();
    fake.with_rule("hot", 2, RULE);
    let ask = async |path: &str| call(&fake, "GET", path, &[], "").await;
    let (status, body) = ask("/v1/rules/hot/why?resource=plant%2Fb1").await;
    assert_eq!(
        (status, body),
        (StatusCode::OK, json!({ "answer": "hot plant/b1 0" }))
    );
    let (_, body) = ask("/v1/rules/hot/why?resource=b1&at=1970-01-01T00:00:05Z").await;
    assert_eq!(body, json!({ "answer": "hot b1 5000" }));
    // A rule that is gone can still be asked about a moment at which it was there.
    assert_eq!(
        ask("/v1/rules/cold/why?resource=b1").await.0,
        StatusCode::NOT_FOUND
    );
    let (_, body) = ask("/v1/rules/cold/why?resource=b1&at=5000").await;
    assert_eq!(body, json!({ "answer": "cold b1 5000" }));
    for wrong in ["", "?at=5000", "?resource=b1&at=noon", "?resource="] {
        let (status, body) = ask(&format!("/v1/rules/hot/why{wrong}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{wrong}: {body}");
    }
}

#[tokio::test]
async fn a_rule_shows_what_it_keeps_and_what_it_left_out() {
    let fake = Fake::default();
    fake.with_rule("hot", 2, RULE);
    let (_, body) = call(&fake, "GET", "/v1/rules/hot", &[], "").await;
    assert_eq!(
        (&body["nodes"], &body["excess"]),
        (
            &json!([{ "name": "when", "rows": 0, "bytes": 96, "shared_with": 2 }]),
            &json!({ "late": 3 })
        )
    );
}
