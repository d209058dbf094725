//! Who is served when: breaker, waits, lanes that do not disturb each other, windows, restarts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tidegate_proto::time::Span;

use super::super::BreakerState;
use super::super::settings::HandlerSettings;
use super::scripted::{Answer, ScriptedSink};
use super::{Bench, Handlers, only, place, rest, steady};

#[tokio::test(start_paused = true)]
async fn the_breaker_opens_after_five_failures_and_probes_with_one_call() {
    let bench = Bench::new();
    for number in 0..10 {
        bench.publish("mail", number);
    }
    let sink = ScriptedSink::new(|_, _, calls| match calls {
        0..=5 => Answer::Fails,
        _ => Answer::Done,
    });
    let settings = HandlerSettings {
        concurrency: 1,
        jitter: 0.0,
        ..HandlerSettings::default()
    };
    let dispatcher = bench.start(only("mail", sink.clone(), settings));
    sink.called(5).await;
    rest().await;
    let open = &dispatcher.observe().handlers[0];
    assert_eq!(
        (open.breaker, open.failures, open.waiting),
        (BreakerState::Open, 5, 10)
    );
    assert_eq!(open.last_error.as_deref(), Some("down"));

    bench.settled(10).await;
    // Five failures at once, a probe that fails after the rest of 30 s, a probe that does not after another.
    assert_eq!(
        sink.seconds(),
        [0, 0, 0, 0, 0, 30, 60, 60, 60, 60, 60, 60, 60, 60, 60, 60]
    );
    let closed = &dispatcher.observe().handlers[0];
    assert_eq!(
        (closed.breaker, closed.delivered),
        (BreakerState::Closed, 10)
    );
}

#[tokio::test(start_paused = true)]
async fn waits_double_from_one_second_to_five_minutes_until_a_day_is_over() {
    let bench = Bench::new();
    bench.publish("mail", 1);
    let sink = ScriptedSink::always(Answer::Fails);
    let _dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.settled(1).await;
    let calls = sink.seconds();
    assert_eq!(
        calls[..12],
        [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 811, 1111]
    );
    // 511 s after ten tries, then one every 300 s: 286 more fit into 86400 s.
    assert_eq!(calls.len(), 296);
    let expected = Some("given up after 296 tries: down".to_owned());
    let [(_, outcome)] = &bench.outcomes()[..] else {
        panic!("one outcome");
    };
    assert_eq!(*outcome, ("0-1-1".to_owned(), expected, 296));
    assert_eq!(bench.dead_letters().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_slow_handler_holds_nobody_else_back() {
    let bench = Bench::new();
    for number in 0..20 {
        bench.publish("slow", 2 * number);
        bench.publish("fast", 2 * number + 1);
    }
    let slow = ScriptedSink::always(Answer::Never);
    let fast = ScriptedSink::always(Answer::Done);
    let narrow = HandlerSettings {
        concurrency: 1,
        queue: 2,
        ..steady()
    };
    let handlers = only("slow", slow.clone(), narrow).with("fast", fast.clone(), steady());
    let dispatcher = bench.start(handlers);
    bench.settled(20).await;
    assert_eq!(bench.seconds(), 0);
    let odd: BTreeSet<String> = (0..20).map(|n| format!("0-1-{}", 2 * n + 1)).collect();
    assert_eq!(fast.ids().into_iter().collect::<BTreeSet<_>>(), odd);
    assert_eq!(slow.ids(), ["0-1-0"]);
    let seen = dispatcher.observe();
    assert_eq!(
        (seen.partitions[0].undelivered, seen.partitions[0].position),
        (20, 40)
    );
    dispatcher.stop().await;
    assert_eq!(
        bench.committed(),
        None,
        "the oldest action is not delivered"
    );

    let fast = ScriptedSink::always(Answer::Done);
    let handlers = only("slow", ScriptedSink::always(Answer::Done), steady());
    let dispatcher = bench.start(handlers.with("fast", fast.clone(), steady()));
    bench.publish("fast", 99);
    bench.settled(41).await;
    assert_eq!(
        fast.ids(),
        ["0-1-99"],
        "what a handler has done is not repeated for another's sake"
    );
    dispatcher.stop().await;
    assert_eq!(bench.committed(), Some(41));
}

#[tokio::test(start_paused = true)]
async fn a_full_lane_takes_the_rest_when_it_has_room_again() {
    let bench = Bench::new();
    for number in 0..50 {
        bench.publish("mail", number);
    }
    let sink = ScriptedSink::always(Answer::Done);
    let narrow = HandlerSettings {
        concurrency: 1,
        queue: 1,
        ..steady()
    };
    let _dispatcher = bench.start(only("mail", sink.clone(), narrow));
    bench.settled(50).await;
    let expected: Vec<String> = (0..50).map(|n| format!("0-1-{n}")).collect();
    assert_eq!(
        sink.ids(),
        expected,
        "one at a time: in the order of the log"
    );
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_parked_and_reading_pauses_when_too_much_is() {
    let mut bench = Bench::new();
    bench.settings.window = 3;
    bench.settings.parked = 4;
    bench.settings.read_records = 2;
    for number in 0..10 {
        bench.publish("mail", number);
    }
    let sink = ScriptedSink::new(|_, before, _| match before {
        0 => Answer::Fails,
        _ => Answer::Done,
    });
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    sink.called(3).await;
    rest().await;
    let partition = dispatcher.observe().partitions[0].clone();
    assert_eq!(
        (partition.position, partition.undelivered, partition.parked),
        (7, 3, 4)
    );
    bench.settled(10).await;
    assert_eq!(sink.ids().len(), 20);
    bench.log.expect(|| bench.committed() == Some(10)).await;
    assert_eq!(dispatcher.observe().partitions[0].parked, 0);
}

#[tokio::test(start_paused = true)]
async fn ids_are_the_same_after_a_kill_and_nothing_repeats_after_a_commit() {
    let mut bench = Bench::new();
    bench.settings.commit_every = Span::seconds(3600);
    for number in 0..5 {
        bench.publish("mail", number);
    }
    let mut runs = Vec::new();
    for run in 1..=2 {
        let sink = ScriptedSink::always(Answer::Done);
        let dispatcher = bench.start(only("mail", sink.clone(), steady()));
        bench.settled(5 * run).await;
        drop(dispatcher);
        runs.push(sink.ids());
    }
    assert_eq!(bench.committed(), None);
    assert_eq!(runs[0].len(), 5);
    assert_eq!(runs[0], runs[1]);

    let sink = ScriptedSink::always(Answer::Done);
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.settled(15).await;
    dispatcher.stop().await;
    assert_eq!(bench.committed(), Some(5));
    assert_eq!(bench.log.held_now(&place("actions", 0)), Some(5));

    let sink = ScriptedSink::always(Answer::Done);
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    rest().await;
    bench.publish("mail", 9);
    bench.settled(16).await;
    assert_eq!(sink.ids(), ["0-1-9"]);
    dispatcher.stop().await;
    assert_eq!(bench.committed(), Some(6));
}

#[tokio::test(start_paused = true)]
async fn progress_is_committed_while_it_runs() {
    let bench = Bench::new();
    let sink = ScriptedSink::always(Answer::Done);
    let _dispatcher = bench.start(only("mail", sink, steady()));
    for number in 0..3 {
        bench.publish("mail", number);
    }
    bench.log.expect(|| bench.committed() == Some(3)).await;
    assert!(bench.seconds() <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_read_twice_is_delivered_once() {
    let bench = Bench::new();
    for number in [1, 1, 2, 1] {
        bench.publish("mail", number);
    }
    let sink = ScriptedSink::always(Answer::Done);
    let dispatcher = bench.start(only("mail", sink.clone(), steady()));
    bench.log.expect(|| bench.committed() == Some(4)).await;
    assert_eq!(sink.ids(), ["0-1-1", "0-1-2"]);
    assert_eq!(dispatcher.observe().partitions[0].repeated, 2);
}

#[tokio::test(start_paused = true)]
async fn a_revoked_partition_lets_what_is_under_way_end_and_takes_the_rest_back() {
    let bench = Bench::new();
    for number in 0..3 {
        bench.publish("mail", number);
    }
    struct Slow(Arc<ScriptedSink>);
    impl tidegate_actors::port::Sink for Slow {
        fn deliver(
            &self,
            delivery: tidegate_actors::port::Delivery,
        ) -> tidegate_actors::port::PortFuture<'_, ()> {
            Box::pin(async move {
                self.0.deliver(delivery).await?;
                tokio::time::sleep(Duration::from_secs(3)).await;
                Ok(())
            })
        }
    }
    let sink = ScriptedSink::always(Answer::Done);
    let one = HandlerSettings {
        concurrency: 1,
        ..steady()
    };
    let slow = Arc::new(Slow(sink.clone()));
    let mut dispatcher = bench.start(only("mail", slow, one));
    sink.called(1).await;
    dispatcher.revoke([0]).await;
    assert_eq!(bench.seconds(), 3);
    assert_eq!(bench.committed(), Some(1));
    assert_eq!(dispatcher.observe().partitions.len(), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(sink.ids(), ["0-1-0"], "the others are the next owner's");

    dispatcher.assign([0]);
    bench.settled(3).await;
    assert_eq!(sink.ids(), ["0-1-0", "0-1-1", "0-1-2"]);
}

#[tokio::test(start_paused = true)]
async fn the_log_handler_is_there_without_configuration() {
    let bench = Bench::new();
    bench.publish("log", 1);
    let handlers = Handlers::build(&std::collections::BTreeMap::new(), &bench.clock).unwrap();
    assert_eq!(handlers.names().collect::<Vec<_>>(), ["log"]);
    let _dispatcher = bench.start(handlers);
    bench.settled(1).await;
    assert_eq!(bench.outcomes()[0].1, ("0-1-1".to_owned(), None, 1));
}
