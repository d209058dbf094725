//! The law of traits: a row is grouped and filtered by what its resource was when the row was read, wherever it waits.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_proto::{Document, Rule, Traits, Value, document};

use super::{Event, World, event};

const IDS: [&str; 3] = ["r1", "r2", "r3"];
const KINDS: [&str; 3] = ["cold", "warm", "hot"];

/// All say the same: rows per window of five seconds and type.
const RULES: [&str; 5] = [
    "max_skew: 1h\nby: { k: type }\nwindow: { tumbling: 5s }\nemit: { n: count(a), s: sum(a) }",
    "max_skew: 1h\ndisorder: 9s\nidle: 20s\nby: { k: type }\nwindow: { tumbling: 5s }\nemit: { n: count(a), s: sum(a) }",
    "max_skew: 1h\nby: { k: type }\nwhere: z > 0\nwindow: { tumbling: 5s }\nemit: { n: count(a), s: sum(a) }",
    "max_skew: 1h\nby: { k: type }\nwhere: 'type != \"nothing\"'\nwindow: { tumbling: 5s, emit: final }\nemit: { n: count(a), s: sum(a) }",
    "max_skew: 1h\nby: { k: type }\nwindow: { tumbling: 5s, emit: { when: 'n < 0' , also: on_close } }\nemit: { n: count(a), s: sum(a) }",
];

/// The same per resource, where rows wait because `where` asks for what they do not carry.
const EACH: &str = "for: all\nby: { k: type }\nwhere: z > 0\nwindow: { tumbling: 5s }\nemit: { n: count(a), s: sum(a) }";

fn rule(name: &str, body: &str) -> Rule {
    let text = format!("kind: Rule\nname: {name}\n{body}\n");
    match document::parse(&text).map(|mut found| found.pop()) {
        Ok(Some(Document::Rule(rule))) => rule,
        other => panic!("{text}\n{other:?}"),
    }
}

/// A row with the type that its resource has from it on, and how long after its time it arrives.
#[derive(Clone, Debug)]
struct Step {
    resource: usize,
    kind: Option<usize>,
    event: Event,
    arrives: i64,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = (
        0_usize..3,
        prop::option::weighted(0.4, 0_usize..3),
        1_i64..1_800,
        0_i64..9,
        0_i64..4_999,
    );
    prop::collection::vec(one, 1..40).prop_map(|rows| {
        let mut time = 0;
        let mut steps: Vec<Step> = rows
            .into_iter()
            .map(|(resource, kind, step, value, delay)| {
                time += step;
                Step {
                    resource,
                    kind,
                    event: event(IDS[resource], time, &[("a", value as f64)]),
                    arrives: time + delay,
                }
            })
            .collect();
        steps.sort_by_key(|step| step.arrives);
        steps
    })
}

fn kind(number: usize) -> Traits {
    Traits {
        kind: Some(KINDS[number].into()),
        ..Traits::default()
    }
}

/// Rows and sums by task, window and type.
type Counts = BTreeMap<(String, i64, String), (f64, f64)>;

fn expected(steps: &[Step]) -> Counts {
    let mut kinds = [0; 3];
    let mut counts = Counts::new();
    for step in steps {
        let kind = step.kind.unwrap_or(kinds[step.resource]);
        kinds[step.resource] = kind;
        let start = step.event.time.div_euclid(5_000) * 5_000;
        let value = step.event.values[0].1.as_number().unwrap();
        for task in ["all", IDS[step.resource]] {
            let key = (task.to_owned(), start, KINDS[kind].to_owned());
            let count = counts.entry(key).or_default();
            *count = (count.0 + 1.0, count.1 + value);
        }
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn rows_have_the_traits_of_when_they_were_read(steps in steps(), restore in 1_usize..9) {
        let mut world = World::new();
        for id in IDS {
            world.describe(id, kind(0));
        }
        let first = IDS.map(|id| event(id, -9_000, &[("z", 1.0)]));
        for (number, body) in RULES.iter().enumerate() {
            world.apply(&rule(&format!("all{number}"), body));
        }
        world.apply(&rule("each", EACH));
        world.push(&first);
        for (number, step) in steps.iter().enumerate() {
            if let Some(number) = step.kind {
                world.describe(IDS[step.resource], kind(number));
            }
            world.push(std::slice::from_ref(&step.event));
            if number % restore == 0 {
                world.restore();
            }
        }
        world.until(1_000_000);
        let expected = expected(&steps);
        let mut found: BTreeMap<String, Counts> = BTreeMap::new();
        for line in &world.told {
            let (Some((start, _)), Some(values)) = (line.window, &line.values) else {
                continue;
            };
            let value = |name: &str| {
                let found = values.iter().find(|(known, _)| known.as_ref() == name);
                found.map(|(_, value)| value.clone()).unwrap_or_default()
            };
            let task = if line.rule.as_ref() == "each" {
                IDS[line.resource as usize]
            } else {
                "all"
            };
            let Value::Text(kind) = value("k") else { panic!("{line:?}") };
            let key = (task.to_owned(), start.0, kind.to_string());
            let numbers = (value("n").as_number().unwrap(), value("s").as_number().unwrap());
            found.entry(line.rule.to_string()).or_default().insert(key, numbers);
        }
        let (each, all): (Counts, Counts) = expected.into_iter().partition(|(key, _)| key.0 != "all");
        for (rule, found) in found {
            let wanted = if rule == "each" { &each } else { &all };
            prop_assert_eq!(&found, wanted, "{}", rule);
        }
        prop_assert!(!world.told.is_empty());
    }
}
