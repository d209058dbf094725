//! The gRPC doors over a real port.

use std::sync::Arc;

use tidegate_actors::command::Command;
use tidegate_proto::record::Record;
use tidegate_proto::wire::ingest::v1 as ingest;
use tidegate_proto::wire::resource::v1 as resource;
use tidegate_proto::wire::rule::v1 as rule;
use tidegate_proto::wire::task::v1 as task;
use tidegate_proto::wire::value::v1::{StreamStart, stream_start::From};
use tonic::Code;
use tonic::transport::Channel;

use crate::api::backend::{TailEntry, TailFrom};
use crate::api::fake::Fake;
use crate::api::{Api, bind, serve};
use crate::config::Config;

const RULE: &str = "kind: Rule\nname: hot\nfor: all\nwhen: temperature > 90.0\n";

/// The doors on a port of their own, and a way to them; they close when the sender is dropped.
async fn doors(fake: &Fake) -> (Channel, tokio::sync::oneshot::Sender<()>) {
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_, hear) = tokio::sync::watch::channel(false);
    let config = Config::for_data(std::path::Path::new("x")).unwrap();
    let api = Api::new(Arc::new(fake.clone()), config.limits, config.server, hear);
    let (close, closed) = tokio::sync::oneshot::channel();
    tokio::spawn(serve(listener, api, async move {
        let _ = closed.await;
    }));
    let channel = Channel::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    (channel, close)
}

#[tokio::test]
async fn rules_are_submitted_and_checked() {
    let fake = Fake::default();
    let (channel, _close) = doors(&fake).await;
    let mut client = rule::rule_service_client::RuleServiceClient::new(channel);
    let submit = |document: &str, expected_revision| rule::SubmitRequest {
        rule: Some(rule::submit_request::Rule::Document(document.into())),
        expected_revision,
        request_id: "k".into(),
    };
    let answer = client
        .submit(submit(RULE, None))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (answer.name.as_str(), answer.revision, answer.parts),
        ("hot", 1, vec!["when: kept".to_owned()])
    );
    assert_eq!(fake.told(|told| told.requests[0].request.clone()), "k");

    let wrong = client
        .submit(submit("kind: Rule\nname: hot\nfor: all\nwhn: x\n", None))
        .await
        .unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    assert!(
        wrong.message().contains("4:1:") && !wrong.details().is_empty(),
        "{wrong:?}"
    );
    fake.with_rule("hot", 4, RULE);
    fake.with_rule("means", 1, RULE);
    let conflict = client
        .submit(submit(&RULE.replace("90", "91"), Some(2)))
        .await
        .unwrap_err();
    assert_eq!(
        (conflict.code(), conflict.message()),
        (Code::Aborted, "expected revision 2, but it has revision 4")
    );
    let told = client
        .validate(rule::ValidateRequest {
            rule: Some(rule::validate_request::Rule::Document(
                "kind: Rule\n".into(),
            )),
        })
        .await
        .unwrap()
        .into_inner();
    assert!(!told.issues.is_empty());
}

#[tokio::test]
async fn a_rule_goes_in_and_comes_out_as_a_message() {
    let fake = Fake::default();
    let (channel, _close) = doors(&fake).await;
    let mut client = rule::rule_service_client::RuleServiceClient::new(channel);
    let mut definition = rule::Definition {
        name: "hot".into(),
        r#for: Some(rule::Selector {
            all: true,
            ..Default::default()
        }),
        when: Some("temperature > 90.0".into()),
        hold: Some("2m".into()),
        ..Default::default()
    };
    let submit = |definition: &rule::Definition| rule::SubmitRequest {
        rule: Some(rule::submit_request::Rule::Definition(definition.clone())),
        ..Default::default()
    };
    let answer = client.submit(submit(&definition)).await.unwrap();
    assert_eq!(answer.into_inner().name, "hot");
    let Command::PutRule { document, .. } = fake.told(|told| told.requests[0].command.clone())
    else {
        panic!("no rule was put");
    };
    fake.with_rule("hot", 1, &document);
    let name = "hot".to_owned();
    let got = client.get(rule::GetRequest { name }).await.unwrap();
    let got = got.into_inner().rule.unwrap();
    assert_eq!(got.definition.as_ref(), Some(&definition));

    // Problems name the field of the message, which is that of the document; there is no line to point at.
    definition.hold = Some("soon".into());
    let asked = rule::ValidateRequest {
        rule: Some(rule::validate_request::Rule::Definition(definition)),
    };
    let told = client.validate(asked).await.unwrap().into_inner();
    let issue = &told.issues[0];
    assert_eq!(
        (issue.path.as_str(), issue.line),
        ("rule hot: hold", 0),
        "{issue:?}"
    );
}

#[tokio::test]
async fn rules_are_listed_page_by_page() {
    let fake = Fake::default();
    fake.with_rule("hot", 4, RULE);
    fake.with_rule("means", 1, RULE);
    let (channel, _close) = doors(&fake).await;
    let mut client = rule::rule_service_client::RuleServiceClient::new(channel);
    let first = client
        .list(rule::ListRequest {
            page_size: 1,
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (first.rules[0].name.as_str(), first.next_page_token.as_str()),
        ("hot", "hot")
    );
    let rest = rule::ListRequest {
        page_size: 1,
        page_token: first.next_page_token,
    };
    let second = client.list(rest).await.unwrap().into_inner();
    assert_eq!(
        (
            second.rules[0].name.as_str(),
            second.next_page_token.as_str()
        ),
        ("means", "")
    );
    let missing = client
        .get(rule::GetRequest { name: "x".into() })
        .await
        .unwrap_err();
    assert_eq!(
        (missing.code(), missing.message()),
        (Code::NotFound, "there is no `rule/x`")
    );
}

#[tokio::test]
async fn results_are_watched_after_a_token() {
    let fake = Fake::default();
    let (channel, _close) = doors(&fake).await;
    let mut client = rule::rule_service_client::RuleServiceClient::new(channel);
    let line = r#"{"rule":"hot","resource":"a","kind":"raised","time":"2026-01-01T00:00:00.000Z"}"#;
    fake.told(|told| {
        told.entries = vec![TailEntry {
            partition: 1,
            offset: 8,
            record: Record::new("a", line),
        }];
    });
    let watch = rule::WatchResultsRequest {
        start: Some(StreamStart {
            from: Some(From::After("1:7@0".into())),
        }),
        stop_at_end: true,
        ..Default::default()
    };
    let mut results = client.watch_results(watch).await.unwrap().into_inner();
    let result = results.message().await.unwrap().unwrap();
    assert_eq!(
        (
            result.resume_token.as_str(),
            result.result.unwrap().json.as_str()
        ),
        ("1:8@0", line)
    );
    assert!(results.message().await.unwrap().is_none());
    assert_eq!(
        fake.told(|told| told.tailed[0].1.clone()),
        TailFrom::Offsets(vec![0, 8])
    );
}

#[tokio::test]
async fn batches_of_a_stream_are_answered_one_by_one() {
    let fake = Fake::default();
    let (channel, _close) = doors(&fake).await;
    let mut client = ingest::ingest_service_client::IngestServiceClient::new(channel);
    let event = |resource: &str| ingest::Event {
        resource: resource.into(),
        ..Default::default()
    };
    let batch = |batch, events: Vec<ingest::Event>, json: &[&'static str]| ingest::IngestRequest {
        batch,
        events,
        json: json
            .iter()
            .map(|text| bytes::Bytes::from_static(text.as_bytes()))
            .collect(),
        idempotency_key: String::new(),
    };
    let batches = vec![
        batch(7, vec![event("a"), event("b")], &[r#"{"resource":"c"}"#]),
        batch(8, vec![event("")], &[]),
        batch(9, Vec::new(), &[]),
        batch(10, vec![event("d")], &[]),
    ];
    let mut answers = client
        .ingest(futures::stream::iter(batches))
        .await
        .unwrap()
        .into_inner();
    let mut told = Vec::new();
    while let Some(answer) = answers.message().await.unwrap() {
        told.push((
            answer.batch,
            answer.accepted,
            answer.error.is_empty(),
            answer.retry,
        ));
    }
    assert_eq!(
        told,
        [
            (7, 3, true, false),
            (8, 0, false, false),
            (9, 0, true, false),
            (10, 1, true, false)
        ]
    );
    let keys: Vec<String> =
        fake.told(|told| told.events.iter().map(|event| event.key.clone()).collect());
    assert_eq!(keys, ["a", "b", "c", "d"]);

    fake.told(|told| told.fails = Some(crate::error::EngineError::Unavailable("full".into())));
    let one = ingest::IngestBatchRequest {
        events: vec![event("a")],
        ..Default::default()
    };
    assert_eq!(
        client.ingest_batch(one).await.unwrap_err().code(),
        Code::Unavailable
    );
}

#[tokio::test]
async fn resources_are_reached() {
    let fake = Fake::default();
    fake.with_resource("b1", "boiler");
    let (channel, _close) = doors(&fake).await;
    let mut client = resource::resource_service_client::ResourceServiceClient::new(channel);
    let found = client
        .get(resource::GetRequest { id: "b1".into() })
        .await
        .unwrap()
        .into_inner()
        .resource
        .unwrap();
    assert_eq!(
        (found.id.as_str(), found.r#type.as_str(), found.online),
        ("b1", "boiler", true)
    );
    let put = resource::PutRequest {
        id: "b2".into(),
        ..Default::default()
    };
    assert_eq!(client.put(put).await.unwrap().into_inner().revision, 1);
    let wrong = resource::PutRequest {
        id: "a\nb".into(),
        ..Default::default()
    };
    assert_eq!(
        client.put(wrong).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn changes_of_resources_are_watched() {
    let fake = Fake::default();
    let (channel, _close) = doors(&fake).await;
    let mut client = resource::resource_service_client::ResourceServiceClient::new(channel);
    let change = r#"{"change":"resource","id":"b1","what":"silent","at":1500}"#;
    let other = r#"{"change":"quarantined","what":"rule/a","reason":"x"}"#;
    let entry = |offset, line: &str| TailEntry {
        partition: 0,
        offset,
        record: Record::new("k", line.to_owned()),
    };
    fake.told(|told| told.entries = vec![entry(0, other), entry(1, change)]);
    let watch = resource::WatchRequest {
        stop_at_end: true,
        ..Default::default()
    };
    let mut changes = client.watch(watch).await.unwrap().into_inner();
    let told = changes.message().await.unwrap().unwrap();
    assert_eq!(
        (
            told.id.as_str(),
            told.what.as_str(),
            told.time.unwrap().seconds
        ),
        ("b1", "silent", 1)
    );
    assert!(changes.message().await.unwrap().is_none());
}

#[tokio::test]
async fn tasks_are_looked_for() {
    let fake = Fake::default();
    let (channel, _close) = doors(&fake).await;
    let mut client = task::task_service_client::TaskServiceClient::new(channel);
    assert!(
        client
            .list(task::ListRequest::default())
            .await
            .unwrap()
            .into_inner()
            .tasks
            .is_empty()
    );
    assert_eq!(
        client
            .get(task::GetRequest {
                id: "hot/b1".into()
            })
            .await
            .unwrap_err()
            .code(),
        Code::NotFound
    );
}

#[tokio::test]
async fn health_and_reflection_answer_and_rest_stands_on_the_same_port() {
    use tonic_reflection::pb::v1 as reflection;
    let fake = Fake::default();
    let (channel, _close) = doors(&fake).await;
    let mut health = tonic_health::pb::health_client::HealthClient::new(channel.clone());
    let ask = tonic_health::pb::HealthCheckRequest {
        service: "tidegate.rule.v1.RuleService".into(),
    };
    let mut changes = health.watch(ask).await.unwrap().into_inner();
    // The first answer may come before the shards were asked.
    let mut status = changes.message().await.unwrap().unwrap().status();
    while status != tonic_health::pb::health_check_response::ServingStatus::Serving {
        status = changes.message().await.unwrap().unwrap().status();
    }

    let mut client = reflection::server_reflection_client::ServerReflectionClient::new(channel);
    let list = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            reflection::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut answers = client
        .server_reflection_info(futures::stream::iter([list]))
        .await
        .unwrap()
        .into_inner();
    let answer = answers
        .message()
        .await
        .unwrap()
        .unwrap()
        .message_response
        .unwrap();
    let reflection::server_reflection_response::MessageResponse::ListServicesResponse(services) =
        answer
    else {
        panic!()
    };
    let names: Vec<String> = services
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for area in [
        "ingest.v1.Ingest",
        "resource.v1.Resource",
        "rule.v1.Rule",
        "task.v1.Task",
    ] {
        assert!(
            names.contains(&format!("tidegate.{area}Service")),
            "{names:?}"
        );
    }
}

#[tokio::test]
async fn why_is_asked_and_what_a_rule_keeps_is_told() {
    let fake = Fake::default();
    fake.with_rule("hot", 2, RULE);
    let (channel, _close) = doors(&fake).await;
    let mut client = rule::rule_service_client::RuleServiceClient::new(channel);
    let mut ask = async |name: &str, at: &str| {
        let request = rule::WhyRequest {
            name: name.into(),
            resource: "b1".into(),
            at: at.into(),
        };
        client.why(request).await
    };
    let told = ask("hot", "").await.unwrap().into_inner();
    assert_eq!(told.json, r#"{"answer":"hot b1 0"}"#);
    assert_eq!(ask("cold", "").await.unwrap_err().code(), Code::NotFound);
    let wrong = ask("hot", "noon").await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    let get = rule::GetRequest { name: "hot".into() };
    let shown = client.get(get).await.unwrap().into_inner().rule.unwrap();
    assert_eq!((shown.nodes[0].bytes, shown.excess["late"]), (96, 3));
}
