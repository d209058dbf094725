//! Answers with the numbers of the specification, over histories that are cut in several ways.

mod forms;

use tidegate_proto::record::{OffsetRange, Record};

use super::*;
use crate::command::Signal;
use crate::epoch::{Intake, IntakeRecord};
use crate::owner::Machine as _;
use crate::result::CauseStyle;
use crate::shard::ShardSettings;

fn signal(document: &str, enabled: bool, revision: u64) -> Record {
    let (rule, _) = crate::rule::parse_rule(document).unwrap();
    Signal::Rule {
        request: String::new(),
        name: rule.name.to_string(),
        revision,
        document: Some(rule.document.to_string()),
        enabled,
    }
    .to_record()
}

fn event(text: &str) -> Record {
    Record {
        key: None,
        value: Some(text.to_owned().into()),
        headers: Vec::new(),
        timestamp: i64::MIN,
    }
}

/// Asks after a history of a rule (revision 3) and event lines, in epochs of `batch` records; the clock stays behind.
fn ask(rule: &str, events: &[&str], question: (&str, &str, Option<&str>), batch: usize) -> String {
    ask_within(WhyLimits::default(), rule, events, question, batch)
}

fn ask_within(
    limits: WhyLimits,
    rule: &str,
    events: &[&str],
    question: (&str, &str, Option<&str>),
    batch: usize,
) -> String {
    let settings = ShardSettings::new(7, 8, CauseStyle::Line);
    let asked = Question {
        rule: question.0.to_owned(),
        resource: question.1.to_owned(),
        at: question.2.map(|at| at.parse().unwrap()),
    };
    let mut why = Why::new(asked, limits);
    let mut shard = Shard::new(settings);
    why.begin(&mut shard);
    let mut records = vec![signal(rule, true, 3)];
    records.extend(events.iter().map(|text| event(text)));
    let numbered: Vec<_> = (0_i64..).zip(records).collect();
    for (epoch, chunk) in (1..).zip(numbered.chunks(batch)) {
        let record = |(offset, record): &(i64, Record)| IntakeRecord {
            source: 0,
            offset: *offset,
            record: record.clone(),
        };
        let intake = Intake {
            epoch,
            ranges: vec![OffsetRange { from: 0, to: 0 }],
            records: chunk.iter().map(record).collect(),
            clock: Timestamp::MIN,
            exclusions: Vec::new(),
            careful: false,
        };
        let epoch = shard.step(&intake).unwrap();
        why.take(&mut shard, &epoch);
    }
    why.answer(&shard).text(limits.bytes)
}

const HOT: &str =
    "kind: Rule\nname: hot\nfor: all\nwhen: avg(temperature, \"5m\") > 90.0 && load > 2.0\n";

/// Minutes after 2026-01-01.
fn at(minute: u32, values: &str) -> String {
    format!(r#"{{"resource":"b1","time":"2026-01-01T00:{minute:02}:00Z","values":{{{values}}}}}"#)
}

fn hot_events() -> Vec<String> {
    vec![
        at(1, r#""load":1.5"#),
        at(2, r#""temperature":92.5"#),
        at(4, r#""temperature":90"#),
        at(5, r#""load":2.5"#),
        at(6, r#""temperature":91"#),
    ]
}

fn hot(question: Option<&str>, batch: usize) -> String {
    let events = hot_events();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    ask(HOT, &events, ("hot", "b1", question), batch)
}

#[test]
fn a_firing_names_the_part_whose_change_made_it() {
    let whole = r#"{"answer":"fired","rule":"hot","revision":3,"task":"hot/b1","resource":"b1","time":"2026-01-01T00:05:00.000Z","kind":"raised","id":"ID","cause":["line:4"],"decided":"when.2","nodes":[{"path":"when","formula":"avg(temperature,\"5m\")>90&&load>2","value":true},{"path":"when.1","formula":"avg(temperature,\"5m\")>90","value":true,"operands":[91.25,90],"rows":2,"cause":["line:3"]},{"path":"when.2","formula":"load>2","value":true,"operands":[2.5,2],"cause":["line:4"]}],"history":"complete"}"#;
    for batch in [1, 2, 100] {
        let told = hot(None, batch);
        let id = told.split("\"id\":\"").nth(1).unwrap();
        let id = id.split('"').next().unwrap();
        assert!(id.starts_with("7-"), "{id}");
        assert_eq!(told, whole.replace("\"ID\"", &format!("\"{id}\"")));
        assert_eq!(hot(Some("2026-01-01T00:05:00Z"), batch), told);
    }
}

#[test]
fn a_near_miss_names_the_first_false_part_and_how_far_it_is() {
    let whole = r#"{"answer":"near_miss","rule":"hot","revision":3,"task":"hot/b1","resource":"b1","time":"2026-01-01T00:04:00.000Z","decided":"when.2","first_false":{"path":"when.2","formula":"load>2","value":false,"operands":[1.5,2],"missing_by":0.5,"cause":["line:1"]},"nodes":[{"path":"when","formula":"avg(temperature,\"5m\")>90&&load>2","value":false},{"path":"when.1","formula":"avg(temperature,\"5m\")>90","value":true,"operands":[91.25,90],"rows":2,"cause":["line:3"]},{"path":"when.2","formula":"load>2","value":false,"operands":[1.5,2],"missing_by":0.5,"cause":["line:1"]}],"history":"complete"}"#;
    for batch in [1, 3, 100] {
        assert_eq!(hot(Some("2026-01-01T00:04:30Z"), batch), whole);
    }
}

#[test]
fn what_is_not_there_has_a_reason() {
    let told = hot(Some("2026-01-01T00:01:00Z"), 100);
    assert!(
        told.contains(
            r#""first_false":{"path":"when.1","formula":"avg(temperature,\"5m\")>90","value":null,"operands":[null,90],"reason":"no value of avg(temperature,\"5m\")"}"#
        ),
        "{told}"
    );
    let raised = hot(Some("2026-01-01T00:06:00Z"), 100);
    assert!(
        raised.contains(r#""decided":"raised","first_false":{"path":"raised","value":true,"since":"2026-01-01T00:05:00.000Z"}"#),
        "{raised}"
    );
}

#[test]
fn a_running_hold_is_what_is_waited_for_and_what_decides_at_its_end() {
    let rule = "kind: Rule\nname: held\nfor: all\nwhen: load > 2.0 || temperature > 95.0\nhold: 2m\nclear: load < 1.0\n";
    let events = [
        at(0, r#""load":1.5"#),
        at(1, r#""load":3"#),
        at(2, r#""load":4"#),
        at(4, r#""load":5"#),
        at(5, r#""load":0.5"#),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    for batch in [1, 100] {
        let asked = |at| ask(rule, &events, ("held", "b1", Some(at)), batch);
        let waits = asked("2026-01-01T00:02:30Z");
        assert!(
            waits.contains(r#""decided":"hold","first_false":{"path":"hold","value":false,"since":"2026-01-01T00:01:00.000Z","due":"2026-01-01T00:03:00.000Z"}"#),
            "{waits}"
        );
        let raised = asked("2026-01-01T00:03:00Z");
        assert!(raised.contains(r#""kind":"raised""#), "{raised}");
        assert!(
            raised.contains(r#""cause":["line:2"],"decided":"hold""#),
            "{raised}"
        );
        assert!(raised.contains(r#""operands":[4,2]"#), "{raised}");
        let first = asked("2026-01-01T00:00:00Z");
        assert!(
            first.contains(r#""decided":"when","first_false":{"path":"when","#),
            "{first}"
        );
        let cleared = asked("2026-01-01T00:05:00Z");
        assert!(
            cleared.contains(r#""kind":"cleared""#) && cleared.contains(r#""decided":"clear""#),
            "{cleared}"
        );
    }
}

#[test]
fn rows_of_windows_have_their_columns_and_what_hid_them() {
    let rule = "kind: Rule\nname: means\nfor: all\ndisorder: 0s\nwindow: { tumbling: 1m }\nemit: { mean: avg(load), n: count(load) }\nhaving: n > 1 && mean > 2\n";
    let events = [
        at(0, r#""load":1.5"#),
        at(1, r#""load":3"#),
        r#"{"resource":"b1","time":"2026-01-01T00:01:30Z","values":{"load":4}}"#.to_owned(),
        at(2, r#""load":5"#),
        at(3, r#""load":5"#),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    for batch in [1, 100] {
        let told = ask(
            rule,
            &events,
            ("means", "b1", Some("2026-01-01T00:02:00Z")),
            batch,
        );
        assert!(told.contains(r#""kind":"window""#), "{told}");
        assert!(
            told.contains(r#""decided":"having","nodes":[{"path":"emit.mean","formula":"avg(load)","value":3.5,"rows":2,"cause":["line:3"]},{"path":"emit.n","formula":"count(load)","value":2,"rows":2,"cause":["line:3"]},{"path":"having","formula":"n>1&&mean>2","value":true},{"path":"having.1","#),
            "{told}"
        );
        let hidden = ask(
            rule,
            &events,
            ("means", "b1", Some("2026-01-01T00:01:10Z")),
            batch,
        );
        assert!(
            hidden.contains(r#""answer":"near_miss""#)
                && hidden.contains(r#""time":"2026-01-01T00:01:00.000Z","decided":"having.1""#),
            "{hidden}"
        );
    }
}

#[test]
fn who_has_no_task_no_data_or_a_rule_that_is_off_is_told_so() {
    let events = hot_events();
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let of =
        |rule: &str, name: &str, resource: &str| ask(rule, &events, (name, resource, None), 100);
    assert_eq!(
        of(HOT, "hot", "b2"),
        r#"{"answer":"no_task","rule":"hot","revision":3,"resource":"b2"}"#
    );
    assert_eq!(
        of(HOT, "cold", "b1"),
        r#"{"answer":"no_task","rule":"cold","resource":"b1"}"#
    );
    let other = HOT
        .replace("load > 2.0", "fan > 2.0")
        .replace("temperature", "smoke");
    assert_eq!(
        of(&other, "hot", "b1"),
        r#"{"answer":"no_data","rule":"hot","revision":3,"resource":"b1"}"#
    );
    assert_eq!(
        Answer::gone(Timestamp(0)).text(100),
        r#"{"answer":"gone","history_from":"1970-01-01T00:00:00.000Z"}"#
    );
}

#[test]
fn attempts_of_a_pattern_say_what_they_have_and_what_they_wait_for() {
    let rule = "kind: Rule\nname: rise\nfor: all\norder: arrival\npattern:\n  within: 10m\n  after_match: none\n  steps: [ { low: load < 2 }, { high: { where: load > 3, min: 2, max: 2 } }, { end: temperature > 5 } ]\n";
    let events = [
        at(1, r#""load":1"#),
        at(2, r#""load":4"#),
        at(3, r#""load":1.5"#),
        at(4, r#""load":5"#),
    ];
    let events: Vec<&str> = events.iter().map(String::as_str).collect();
    let whole = r#"{"answer":"near_miss","rule":"rise","revision":3,"task":"rise/b1","resource":"b1","time":"TIME","decided":"steps[2]","first_false":{"path":"attempt","began":"2026-01-01T00:01:00.000Z","bound":{"low":["line:1"],"high":["line:2","line:4"]},"waits_for":"steps[2]","until":"2026-01-01T00:11:00.001Z"},"nodes":[{"path":"attempt","began":"2026-01-01T00:03:00.000Z","bound":{"low":["line:3"],"high":["line:4"]},"waits_for":"steps[1]","until":"2026-01-01T00:13:00.001Z"},{"path":"attempt","began":"2026-01-01T00:01:00.000Z","bound":{"low":["line:1"],"high":["line:2","line:4"]},"waits_for":"steps[2]","until":"2026-01-01T00:11:00.001Z"}],"history":"complete"}"#;
    for batch in [1, 100] {
        let told = ask(rule, &events, ("rise", "b1", None), batch);
        let time = told.split(r#""time":""#).nth(1).unwrap();
        let time = time.split('"').next().unwrap();
        assert_eq!(told, whole.replace("TIME", time));
    }
    let past = ask(
        rule,
        &events,
        ("rise", "b1", Some("2026-01-01T00:02:00Z")),
        1,
    );
    assert!(past.contains(r#""answer":"near_miss""#), "{past}");
    let more = [
        events,
        vec![r#"{"resource":"b1","time":"2026-01-01T00:05:00Z","values":{"temperature":6}}"#],
    ]
    .concat();
    let fired = ask(rule, &more, ("rise", "b1", None), 100);
    assert!(
        fired.contains(r#""kind":"match""#)
            && fired.contains(r#""cause":["line:1","line:2","line:4","line:5"]"#),
        "{fired}"
    );
}
