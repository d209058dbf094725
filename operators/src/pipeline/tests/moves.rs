//! The law of inputs that become another resource: a row is judged with the one of when it was read, as of the row's time.

use proptest::prelude::*;
use tidegate_proto::{Document, Rule, Traits, Value, document};

use super::{Event, World, event};

const LINES: [&str; 2] = ["l1", "l2"];

const RULES: [&str; 3] = [
    "max_skew: 1h\ninputs: { x: { resource: \"${meta.line}\", metric: b, passive: true } }\nwindow: { tumbling: 10s }\nemit: { all: 'collect(a * 100.0 + x)' }",
    "max_skew: 1h\ndisorder: 9s\nidle: 20s\ninputs: { x: { resource: \"${meta.line}\", metric: b, passive: true } }\nwindow: { tumbling: 10s, emit: final }\nemit: { all: 'collect(a * 100.0 + x)' }",
    "max_skew: 1h\ninputs: { x: { resource: \"${meta.line}\", metric: b } }\nwindow: { tumbling: 10s }\nemit: { all: 'collect(a * 100.0 + x)' }",
];

fn rule(number: usize) -> Rule {
    let text = format!("kind: Rule\nname: r{number}\nfor: d\n{}\n", RULES[number]);
    match document::parse(&text).map(|mut found| found.pop()) {
        Ok(Some(Document::Rule(rule))) => rule,
        other => panic!("{text}\n{other:?}"),
    }
}

/// A row of the device with the line it moves to, or a row of a line.
#[derive(Clone, Debug)]
struct Step {
    moves: Option<usize>,
    line: Option<usize>,
    event: Event,
    arrives: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (
        prop::option::weighted(0.5, 0_usize..2),
        prop::option::weighted(0.3, 0_usize..2),
        1_i64..1_800,
        1_i64..9,
        0_i64..4_999,
    );
    prop::collection::vec(one, 1..40).prop_map(|rows| {
        let mut time = 0;
        let mut steps: Vec<Step> = rows
            .into_iter()
            .map(|(line, moves, step, value, delay)| {
                time += step;
                // Lines speak in order, so that all they said before a row is known when it comes.
                let (id, metric) = line.map_or(("d", "a"), |line| (LINES[line], "b"));
                Step {
                    moves: moves.filter(|_| line.is_none()),
                    line,
                    event: event(id, time, &[(metric, value as f64)]),
                    arrives: time + if line.is_none() { delay } else { 0 },
                }
            })
            .collect();
        steps.sort_by_key(|step| step.arrives);
        steps
    })
}

fn on(line: usize) -> Traits {
    let mut traits = Traits::default();
    traits.meta.insert("line".into(), LINES[line].into());
    traits
}

/// What each row of the device says, by its time.
fn expected(steps: &[Step]) -> Vec<f64> {
    let value = |step: &Step| step.event.values[0].1.as_number().unwrap();
    let mut line = 0;
    let mut rows = Vec::new();
    for step in steps.iter().filter(|step| step.line.is_none()) {
        line = step.moves.unwrap_or(line);
        let time = step.event.time;
        let said = steps.iter().filter(|other| other.line == Some(line));
        let last = said.filter(|other| other.event.time <= time);
        let last = last.max_by_key(|other| other.event.time);
        rows.push((time, value(step) * 100.0 + last.map_or(0.0, value)));
    }
    rows.sort_by_key(|row| row.0);
    rows.into_iter().map(|row| row.1).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_have_the_input_of_when_they_were_read(steps in steps(), restore in 1_usize..9) {
        let mut world = World::new();
        for id in LINES {
            world.describe(id, Traits::default());
        }
        world.describe("d", on(0));
        for number in 0..RULES.len() {
            world.apply(&rule(number));
        }
        world.push(&[event("l1", -9_000, &[("b", 0.0)]), event("l2", -9_000, &[("b", 0.0)])]);
        world.push(&[event("d", -8_999, &[("z", 0.0)])]);
        for (number, step) in steps.iter().enumerate() {
            if let Some(line) = step.moves {
                world.describe("d", on(line));
            }
            world.push(std::slice::from_ref(&step.event));
            if number % restore == 0 {
                world.restore();
            }
        }
        world.until(1_000_000);
        let wanted = expected(&steps);
        for number in 0..RULES.len() {
            let name = format!("r{number}");
            let lines = world.told.iter().filter(|line| line.rule.as_ref() == name);
            let values = lines.flat_map(|line| line.values.iter().flatten());
            let mut found = Vec::new();
            for (_, value) in values {
                let Value::List(list) = value else { continue };
                found.extend(list.iter().filter_map(Value::as_number));
            }
            prop_assert_eq!(&found, &wanted, "{}", name);
        }
    }
}
