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

const ANY: &str =
    r#"{"kind":"Rule","name":"any","order":"time","when":"avg(t, \"5s\") > 50.0 && load > 1.0"}"#;
const DIFF: &str = r#"{"kind":"Rule","name":"diff","for":"b1","inputs":{"other":{"resource":"b2","metric":"t"}},"when":"t - other > 5.0"}"#;
const SUMS: &str = r#"{"kind":"Rule","name":"sums","by":{"l":"load"},"window":{"tumbling":"5s"},"emit":{"n":"count(t)"}}"#;
const PAIRS: &str = r#"{"kind":"Rule","name":"pairs","order":"arrival","pattern":{"by":"order","within":"1m","steps":[{"o":"amount > 0.0"},{"p":"paid > 0.0"}]}}"#;
const PAID: &str = r#"{"kind":"Rule","name":"paid","order":"arrival","join":{"streams":{"o":{"from":"shop"},"p":{"from":"bank"}},"on":[["o.order","p.order"]],"within":{"after":"5s"},"lateness":"5s"},"emit":{"order":"o.order"}}"#;

/// An order of the shop, or what the bank says of one.
fn order(of: &str, number: i64, second: i64) -> (String, String) {
    let time = BEGIN + second * 1_000;
    let said = if of == "shop" { "amount" } else { "paid" };
    let body = format!(
        r#"{{"resource":"{of}","time":{time},"id":"{of}-{second}","values":{{"order":{number},"{said}":1}}}}"#
    );
    (of.to_owned(), body)
}

/// What `why` says once the home of a rule has come so far that it says a part.
async fn told(engine: &Inside, rule: &str, task: &str, part: &str) -> String {
    for _ in 0..500 {
        engine.until(|_| true).await.unwrap();
        let said = ask(engine, rule, task, None).await;
        if said.contains(part) {
            return said;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("never {part}: {}", ask(engine, rule, task, None).await);
}

fn has(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part}\nin {said}");
    }
}

async fn conditions_and_windows(engine: &Inside) {
    // Of the 14 rows in (26 s, 31 s] up to that of b2 nine are 40 and five are 70.
    let fired = told(engine, "any", "any", r#""answer":"fired""#).await;
    has(
        &fired,
        &[
            r#"{"answer":"fired","rule":"any","revision":1,"task":"any","time":"2026-01-01T00:00:31.000Z","kind":"raised""#,
            r#""cause":["b2-31"],"decided":"when.1""#,
            r#""operands":[50.714285714285715,50],"rows":14,"cause":["b2-31"]}"#,
        ],
    );
    assert_eq!(ask(engine, "any", "", None).await, fired);
    has(
        &ask(engine, "any", "any", Some(20)).await,
        &[
            r#""answer":"near_miss""#,
            r#""decided":"when.1","first_false":{"path":"when.1""#,
            r#""operands":[40,50],"missing_by":10,"rows":15"#,
        ],
    );
    has(
        &ask(engine, "diff", "b1", Some(20)).await,
        &[
            r#""answer":"near_miss","rule":"diff","revision":1,"task":"diff/b1","resource":"b1""#,
            r#""formula":"t-other>5","value":false,"operands":[0,5],"missing_by":5"#,
        ],
    );
    let slack = told(engine, "sums", "sums/1.5", r#""answer":"fired""#).await;
    has(
        &slack,
        &[r#""path":"emit.n","formula":"count(t)","value":5"#],
    );
    has(
        &ask(engine, "sums", "sums/3.0", Some(30)).await,
        &[
            r#""task":"sums/3.0","time":"2026-01-01T00:00:30.000Z","kind":"window""#,
            r#""decided":"window","nodes":[{"path":"by.l","formula":"load","value":3"#,
            r#"{"path":"emit.n","formula":"count(t)","value":10,"rows":10"#,
        ],
    );
}

async fn patterns_and_joins(engine: &Inside) {
    let pair = told(engine, "pairs", "pairs/8.0", r#""answer":"fired""#).await;
    has(
        &pair,
        &[
            r#""task":"pairs/8.0","time":"2026-01-01T00:00:50.000Z","kind":"match""#,
            r#""decided":"steps[1]","nodes":[{"path":"attempt","began":"2026-01-01T00:00:49.000Z","bound":{"o":["shop-49"],"p":["bank-50"]},"ended":"matched","by":"bank-50","at":"2026-01-01T00:00:50.000Z"}]"#,
        ],
    );
    has(
        &ask(engine, "pairs", "7.0", Some(44)).await,
        &[
            r#""bound":{"o":["shop-40"]},"waits_for":"steps[1]","until":"2026-01-01T00:01:40.001Z"}]"#,
        ],
    );
    let joined = told(engine, "paid", "paid/8.0", r#""answer":"fired""#).await;
    has(
        &joined,
        &[
            r#""task":"paid/8.0","time":"2026-01-01T00:00:50.000Z","kind":"result""#,
            r#""cause":["shop-49","bank-50"],"decided":"join.p""#,
        ],
    );
    has(
        &ask(engine, "paid", "paid/7.0", Some(48)).await,
        &[
            r#""answer":"near_miss""#,
            r#""decided":"join.o","first_false":{"path":"join.o","value":false,"missing_by":"3s","cause":["shop-40"],"reason":"too_late","nearest":"bank-48","since":"2026-01-01T00:00:40.000Z","due":"2026-01-01T00:00:50.000Z"}"#,
            r#"{"path":"join.p","value":false,"missing_by":"3s","cause":["bank-48"],"reason":"too_early","nearest":"shop-40""#,
        ],
    );
    has(
        &ask(engine, "paid", "paid/7.0", Some(44)).await,
        &[r#"{"path":"join.o","value":false,"cause":["shop-40"],"reason":"no_row""#],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn why_answers_for_rules_over_several_resources() {
    let folder = tempfile::tempdir().unwrap();
    let clock = SetClock::at(BEGIN);
    // In one shard rows come to the home in the order in which they were sent.
    let mut config = settings(folder.path(), 1);
    config.shard.snapshot_epochs = 8;
    let engine = Inside::start(config, &clock).await.unwrap();
    for rule in [ANY, DIFF, SUMS, PAIRS, PAID] {
        engine.submit(rule).await.unwrap();
    }
    fill(&engine, &clock, 0..40).await;
    clock.set(BEGIN + 50_000);
    let orders = [
        order("shop", 7, 40),
        order("bank", 7, 48),
        order("shop", 8, 49),
        order("bank", 8, 50),
    ];
    engine.send(orders.to_vec()).await.unwrap();
    engine.taken(124).await.unwrap();

    conditions_and_windows(&engine).await;
    patterns_and_joins(&engine).await;
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
