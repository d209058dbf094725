//! How actions end: what is written back where, and what is not tried at all.

use tidegate_actors::port::PortErrorKind;
use tidegate_proto::record::{ID_HEADER, KIND_HEADER};

use super::super::settings::HandlerSettings;
use super::scripted::{Answer, ScriptedSink};
use super::{BEGIN, Bench, PARTITIONS, header, only, place, rest, steady};

#[tokio::test(start_paused = true)]
async fn an_outcome_goes_to_the_inbox_partition_of_the_shard_that_asked() {
    let bench = Bench::new();
    for number in 0..8 {
        let shard = number % PARTITIONS;
        let text = format!(
            r#"{{"id":"{shard}-1-{number}","handler":"mail","rule":"hot","task":"hot/b","resource":"b","group":"","time":{BEGIN},"kind":"raised","with":{{}},"result":{{}}}}"#
        );
        bench.publish_text(&text, BEGIN);
    }
    let sink = ScriptedSink::always(Answer::Done);
    let _dispatcher = bench.start(only("mail", sink, steady()));
    bench.settled(8).await;
    let mut used = std::collections::BTreeSet::new();
    for (partition, (action, error, attempts)) in bench.outcomes() {
        // Not that of the resource: a rule over several resources has its tasks at its home.
        assert!(action.starts_with(&format!("{partition}-1-")), "{action}");
        assert_eq!((error, attempts), (None, 1));
        used.insert(partition);
    }
    assert_eq!(used.len(), 2, "the ids of the test fall into both");
    let record = &bench.log.all(&place("inbox", 0))[0];
    assert_eq!(header(record, KIND_HEADER), "signal");
    assert!(header(record, ID_HEADER).ends_with("/delivered"));
    assert_eq!(
        tidegate_actors::epoch::OutputId::of(record),
        None,
        "no output of a shard"
    );
    assert_eq!(record.timestamp, BEGIN);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_a_dead_letter_at_once() {
    let bench = Bench::new();
    bench.publish("mail", 1);
    let sink = ScriptedSink::always(Answer::Refuses);
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.settled(1).await;
    assert_eq!(sink.ids().len(), 1);
    let (_, (_, error, attempts)) = bench.outcomes().remove(0);
    assert_eq!((error.as_deref(), attempts), (Some("refused: no"), 1));

    let letter = &bench.dead_letters()[0];
    assert_eq!(letter.value, bench.log.all(&place("actions", 0))[0].value);
    assert_eq!(header(letter, "dlq.reason"), "refused: no");
    assert_eq!(header(letter, "dlq.source-topic"), "actions");
    assert_eq!(header(letter, "dlq.partition"), "0");
    assert_eq!(header(letter, "dlq.offset"), "0");
    assert_eq!(dispatcher.observe().handlers[0].refused, 1);
    dispatcher.stop().await;
    assert_eq!(bench.committed(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_tried_is_a_dead_letter_and_holds_nothing_up() {
    let bench = Bench::new();
    bench.publish_text("{\"id\":", BEGIN);
    bench.publish("nobody", 1);
    bench.publish_as("mail", 2, BEGIN - 86_400_000);
    bench.publish_as("mail", 3, BEGIN - 86_399_000);
    let sink = ScriptedSink::always(Answer::Done);
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.log.expect(|| bench.committed() == Some(4)).await;
    assert_eq!(sink.ids(), ["0-1-3"]);
    let mut reasons: Vec<(String, String)> = bench
        .dead_letters()
        .iter()
        .map(|letter| (header(letter, "dlq.offset"), header(letter, "dlq.reason")))
        .collect();
    reasons.sort();
    assert!(
        reasons[0].1.starts_with("not an action: EOF"),
        "{reasons:?}"
    );
    assert_eq!(reasons[1].1, "no handler named `nobody` is configured");
    let expired = "given up before the first try: its time to live was over";
    assert_eq!(reasons[2].1, expired);
    let mut outcomes: Vec<_> = bench
        .outcomes()
        .into_iter()
        .map(|(_, outcome)| outcome)
        .collect();
    outcomes.sort();
    assert_eq!(
        outcomes.len(),
        3,
        "nobody is there to be told about what could not be read"
    );
    assert_eq!(
        outcomes[1],
        ("0-1-2".to_owned(), Some(expired.to_owned()), 0)
    );
    assert_eq!(dispatcher.observe().partitions[0].untried, 3);
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_or_hangs_has_failed() {
    let bench = Bench::new();
    bench.publish("mail", 1);
    let sink = ScriptedSink::new(|_, before, _| match before {
        0 => Answer::Panics,
        1 => Answer::Never,
        _ => Answer::Done,
    });
    let _dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.settled(1).await;
    // A wait of 1 s, then twice the timeout of 5 s, then a wait of 2 s.
    assert_eq!(sink.seconds(), [0, 1, 13]);
    assert_eq!(bench.outcomes()[0].1, ("0-1-1".to_owned(), None, 3));
}

#[tokio::test(start_paused = true)]
async fn an_action_is_not_done_before_its_outcome_is_in_the_log() {
    let bench = Bench::new();
    bench.publish("mail", 1);
    bench.log.fail(&[
        PortErrorKind::Full,
        PortErrorKind::Unavailable,
        PortErrorKind::Closed,
    ]);
    let sink = ScriptedSink::always(Answer::Done);
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    sink.called(1).await;
    rest().await;
    assert_eq!((bench.committed(), bench.outcomes().len()), (None, 0));
    bench.settled(1).await;
    dispatcher.stop().await;
    assert_eq!(bench.committed(), Some(1));
    assert_eq!(
        sink.ids().len(),
        1,
        "the outcome is written again, the delivery is not made again"
    );
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_the_log_refuses_does_not_repeat_the_delivery() {
    let bench = Bench::new();
    bench.publish("mail", 1);
    bench.log.fail(&[PortErrorKind::Refused]);
    let sink = ScriptedSink::always(Answer::Done);
    let _dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.log.expect(|| bench.committed() == Some(1)).await;
    assert_eq!((sink.ids().len(), bench.outcomes().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_with_what_retention_left() {
    let bench = Bench::new();
    for number in 0..4 {
        bench.publish("mail", number);
    }
    let sink = ScriptedSink::always(Answer::Done);
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.settled(4).await;
    drop(dispatcher);
    bench.log.retire(&place("actions", 0), 2);
    let sink = ScriptedSink::always(Answer::Done);
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.settled(6).await;
    assert_eq!(sink.ids(), ["0-1-2", "0-1-3"]);
    drop(dispatcher);
    bench.publish("mail", 4);
    let committed = vec![(place("actions", 0), 1)];
    tidegate_actors::port::EventLog::commit(&*bench.log, super::GROUP, committed)
        .await
        .unwrap();
    let sink = ScriptedSink::always(Answer::Done);
    let _dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.settled(9).await;
    assert_eq!(sink.ids(), ["0-1-2", "0-1-3", "0-1-4"]);
}

#[tokio::test(start_paused = true)]
async fn parked_actions_that_retention_took_hold_nothing_up() {
    let mut bench = Bench::new();
    bench.settings.window = 1;
    for number in 0..6 {
        bench.publish("mail", number);
    }
    let sink = ScriptedSink::new(|_, before, _| match before {
        0 => Answer::Fails,
        _ => Answer::Done,
    });
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    sink.called(1).await;
    rest().await;
    assert_eq!(dispatcher.observe().partitions[0].parked, 5);
    bench.log.retire(&place("actions", 0), 4);
    bench.log.expect(|| bench.committed() == Some(6)).await;
    assert_eq!(
        sink.ids(),
        ["0-1-0", "0-1-0", "0-1-4", "0-1-4", "0-1-5", "0-1-5"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_is_away_for_a_day_costs_the_others_nothing() {
    let mut bench = Bench::new();
    bench.settings.window = 5;
    let away = ScriptedSink::always(Answer::Fails);
    let well = ScriptedSink::always(Answer::Done);
    let fast = HandlerSettings {
        jitter: 0.0,
        ..HandlerSettings::default()
    };
    let handlers = only("away", away, fast.clone()).with("well", well.clone(), fast);
    let dispatcher = bench.start(handlers);
    for number in 0..200 {
        bench.publish("away", 2 * number);
        bench.publish("well", 2 * number + 1);
    }
    bench.settled(200).await;
    assert_eq!(bench.seconds(), 0);
    assert_eq!(well.ids().len(), 200);
    bench.settled(400).await;
    assert_eq!(bench.dead_letters().len(), 200);
    // The last waits of the breaker and of a full window are all that may come on top of the day.
    assert!(
        (86_400 - 600..86_400 + 600).contains(&bench.seconds()),
        "{}",
        bench.seconds()
    );
    dispatcher.stop().await;
    assert_eq!(bench.committed(), Some(400));
}
