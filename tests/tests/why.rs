//! `why` on a running engine: the same answer from the beginning of the history and from a snapshot, before and after a
//! restart; and what `describe` shows of the rules.

use tidegate::config::Config;
use tidegate_actors::why::Question;
use tidegate_tests::inside::{Inside, SetClock, settings};

const BEGIN: i64 = 1_767_225_600_000;
const HOT: &str =
    r#"{"kind":"Rule","name":"hot","for":"all","when":"avg(t, \"5s\") > 50.0 && load > 2.0"}"#;
const TWIN: &str =
    r#"{"kind":"Rule","name":"twin","for":"all","when":"avg(t, \"5s\") > 60.0 && load > 2.0"}"#;
const MEANS: &str = r#"{"kind":"Rule","name":"means","for":"all","window":{"tumbling":"5s"},"emit":{"mean":"avg(t)"},"having":"mean > 45.0"}"#;

fn config(folder: &std::path::Path) -> Config {
    let mut config = settings(folder, 2);
    config.shard.snapshot_epochs = 8;
    config
}

/// Three devices: 40 at first, 70 from the 30th second on, the load always enough but on the device `slack`.
async fn fill(engine: &Inside, clock: &SetClock, seconds: std::ops::Range<i64>) {
    for second in seconds {
        clock.set(BEGIN + second * 1_000);
        let value = if second < 30 { 40.0 } else { 70.0 };
        let event = |name: &str| {
            let load = if name == "slack" { 1.5 } else { 3.0 };
            let time = BEGIN + second * 1_000;
            let body = format!(
                r#"{{"resource":"{name}","time":{time},"id":"{name}-{second}","values":{{"t":{value},"load":{load}}}}}"#
            );
            (name.to_owned(), body)
        };
        let events = ["b1", "b2", "slack"].map(event);
        engine.send(events.to_vec()).await.unwrap();
        engine.taken(3 * (second as u64 + 1)).await.unwrap();
    }
}

async fn ask(engine: &Inside, rule: &str, resource: &str, second: Option<i64>) -> String {
    let question = Question {
        rule: rule.to_owned(),
        resource: resource.to_owned(),
        at: second.map(|second| tidegate_proto::Timestamp(BEGIN + second * 1_000)),
    };
    engine.engine().why(question).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_gives_one_answer_from_wherever_the_history_is_played() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SetClock::at(BEGIN);
    let engine = Inside::start(config(folder.path()), &clock).await.unwrap();
    for rule in [HOT, TWIN, MEANS] {
        engine.submit(rule).await.unwrap();
    }
    fill(&engine, &clock, 0..34).await;
    // (40 + 40 + 70 + 70 + 70) / 5 is the first mean above 50: at 31 it is 52.
    let fired = ask(&engine, "hot", "b1", None).await;
    for part in [
        r#"{"answer":"fired","rule":"hot","revision":1,"task":"hot/b1","resource":"b1""#,
        r#""kind":"raised","id":""#,
        r#""cause":["b1-31"],"decided":"when.1""#,
        r#""value":true,"operands":[52,50],"rows":5,"cause":["b1-31"]}"#,
    ] {
        assert!(fired.contains(part), "{part} in {fired}");
    }
    // Long before the oldest snapshot that is kept, so from the beginning; the firing itself from a snapshot.
    let early = ask(&engine, "hot", "b1", Some(12)).await;
    assert!(
        early.contains(r#""answer":"near_miss""#)
            && early.contains(r#""decided":"when.1","first_false":{"path":"when.1""#)
            && early.contains(r#""operands":[40,50],"missing_by":10,"rows":5,"cause":["b1-12"]"#),
        "{early}"
    );
    let slack = ask(&engine, "hot", "slack", None).await;
    assert!(
        slack.contains(r#""decided":"when.2""#) && slack.contains(r#""missing_by":0.5"#),
        "{slack}"
    );
    let hidden = ask(&engine, "means", "b2", Some(27)).await;
    assert!(
        hidden.contains(r#""decided":"having""#) && hidden.contains(r#""answer":"near_miss""#),
        "{hidden}"
    );
    fill(&engine, &clock, 34..60).await;
    assert_eq!(ask(&engine, "hot", "b1", None).await, fired);
    engine.stop().await.unwrap();

    let engine = Inside::start(config(folder.path()), &clock).await.unwrap();
    assert_eq!(ask(&engine, "hot", "b1", None).await, fired);
    assert_eq!(ask(&engine, "hot", "b1", Some(12)).await, early);
    assert!(
        ask(&engine, "none", "b1", None)
            .await
            .starts_with(r#"{"answer":"no_task""#)
    );
    engine.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rule_shows_its_parts_their_size_and_who_shares_them() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SetClock::at(BEGIN);
    let engine = Inside::start(config(folder.path()), &clock).await.unwrap();
    for rule in [HOT, TWIN, MEANS] {
        engine.submit(rule).await.unwrap();
    }
    fill(&engine, &clock, 0..20).await;
    let shown = async |name: &str| engine.engine().rule(name).await.unwrap().unwrap();
    let hot = shown("hot").await;
    let names: Vec<&str> = hot.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["input", "load", "t", r#"avg(t,"5s")"#, "when"]);
    // The last five rows of three devices, and for each of them the one that leaves with the next.
    assert!((15..=18).contains(&hot.nodes[3].rows), "{:?}", hot.nodes);
    assert!(hot.nodes.iter().skip(1).all(|node| node.bytes > 0));
    let means = shown("means").await;
    assert!(
        means
            .nodes
            .iter()
            .any(|node| node.name == "window" && node.bytes > 0)
    );
    let late = r#"{"resource":"b1","time":1767225600500,"values":{"t":1}}"#;
    engine
        .send(vec![("b1".to_owned(), late.to_owned())])
        .await
        .unwrap();
    engine.taken(61).await.unwrap();
    assert_eq!(shown("means").await.excess.get("late"), Some(&1));
    engine.stop().await.unwrap();
}
