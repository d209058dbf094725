//! A hold in order of arrival against the plainest model of it: one resource at a time, one row at a time.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tidegate_proto::Value;

use super::laws::{Act, acts, run};
use super::{World, when};

const IDLE: i64 = 15_000;

/// One task as the specification tells it.
#[derive(Debug, Default)]
struct Model {
    /// Highest event time and the clock when it came.
    latest: Option<(i64, i64)>,
    watermark: Option<i64>,
    value: Option<(i64, f64)>,
    since: Option<i64>,
    raised: Option<i64>,
    told: Vec<(i64, &'static str)>,
}

impl Model {
    fn silence(&mut self, now: i64) {
        if let Some((latest, arrived)) = self.latest {
            self.watermark = self.watermark.max(Some(latest + (now - arrived) - IDLE));
        }
    }

    fn timer(&mut self, hold: i64) {
        if let (Some(since), Some(watermark)) = (self.since, self.watermark)
            && since + hold <= watermark
        {
            self.since = None;
            self.raised = Some(since + hold);
            self.told.push((since + hold, "raised"));
        }
    }

    fn row(&mut self, now: i64, time: i64, value: Option<f64>, hold: i64) {
        self.silence(now);
        if self.latest.is_none_or(|(latest, _)| time > latest) {
            self.latest = Some((time, now));
        }
        let latest = self.latest.unwrap().0;
        self.watermark = self.watermark.max(Some(latest));
        self.timer(hold);
        let Some(value) = value else {
            return;
        };
        if self.value.is_none_or(|(at, _)| time >= at) {
            self.value = Some((time, value));
        }
        let truth = self.value.unwrap().1 > 5.0;
        match (truth, self.raised) {
            (true, None) => self.since = self.since.or(Some(latest)),
            (false, Some(at)) => {
                self.raised = None;
                self.told.push((latest.max(at), "cleared"));
            }
            (false, None) => self.since = None,
            (true, Some(_)) => {}
        }
        self.timer(hold);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn holds_are_as_the_plain_model_says(acts in acts(), hold in 1..8_000_i64) {
        let mut models: BTreeMap<String, Model> = BTreeMap::new();
        let mut clock = None;
        for act in &acts {
            match act {
                Act::Push(event) => {
                    let model = models.entry(event.resource.clone()).or_default();
                    let value = event.values.iter().find(|(name, _)| name == "a");
                    let value = value.and_then(|(_, value)| Value::as_number(value));
                    model.row(clock.unwrap_or(event.time), event.time, value, hold);
                }
                Act::Tick(now) => {
                    clock = Some(*now);
                    for model in models.values_mut() {
                        model.silence(*now);
                        model.timer(hold);
                    }
                }
                Act::Type(..) => {}
            }
        }
        let mut expected = Vec::new();
        for (resource, model) in &mut models {
            model.watermark = Some(1_000_000);
            model.timer(hold);
            let told = model.told.iter();
            expected.extend(told.map(|(time, kind)| format!("{time:012} h/{resource} {kind}")));
        }
        expected.sort();
        let mut world = World::new();
        world.apply(&when("h", "a > 5", hold));
        let told = run(&mut world, &acts, 5, 0).into_iter();
        let told: Vec<String> =
            told.map(|line| line.split(" a=").next().unwrap_or_default().to_owned()).collect();
        prop_assert_eq!(told, expected);
    }
}
