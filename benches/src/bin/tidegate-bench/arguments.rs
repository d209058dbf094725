//! [`Arguments`]: what the command line says.

use crate::Failure;
use crate::scenario::Scenario;

/// What the command line says.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) command: String,
    pub(crate) broker: Option<String>,
    pub(crate) scenarios: Vec<Scenario>,
    pub(crate) subjects: Vec<String>,
    pub(crate) resources: u64,
    pub(crate) metrics: u64,
    pub(crate) partitions: i32,
    pub(crate) events: u64,
    pub(crate) rate: u64,
    /// Whether a rate was asked for.
    pub(crate) has_rate: bool,
    pub(crate) seconds: u64,
    pub(crate) warm_up: u64,
    pub(crate) runs: usize,
    pub(crate) cores: Option<String>,
    /// Engines of one group, each on a core of its own; `None`: one, wherever it likes.
    pub(crate) workers: Option<usize>,
    pub(crate) program: Option<String>,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) json: Option<String>,
    pub(crate) topic: String,
    /// Where a yardstick writes its results.
    pub(crate) out: String,
    /// How a yardstick takes its records.
    pub(crate) take: String,
}

impl Arguments {
    /// Reads the command line.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, Failure> {
        let mut all = Self::new(words.next().unwrap_or_default());
        while let Some(word) = words.next() {
            let name = word
                .strip_prefix("--")
                .ok_or_else(|| format!("`{word}` is no option"))?;
            let value = words
                .next()
                .ok_or_else(|| format!("--{name} wants a value"))?;
            all.set(name, value)?;
        }
        if all.resources == 0 || all.partitions < 1 || all.rate == 0 || all.warm_up > 95 {
            return Err(
                "resources, partitions and rate must be at least 1, the warm-up at most 95".into(),
            );
        }
        if all.metrics < 2 {
            return Err("an event has at least 2 metrics".into());
        }
        Ok(all)
    }

    fn new(command: String) -> Self {
        let scenarios = if command == "latency" {
            vec![Scenario::When]
        } else {
            Scenario::ALL.to_vec()
        };
        Self {
            command,
            broker: None,
            scenarios,
            subjects: ["engine", "poll", "batch"].map(str::to_owned).to_vec(),
            resources: 10_000,
            metrics: 2,
            partitions: 4,
            events: 2_000_000,
            rate: 50_000,
            has_rate: false,
            seconds: 20,
            warm_up: 25,
            runs: 1,
            cores: None,
            workers: None,
            program: None,
            settings: Vec::new(),
            json: None,
            topic: "bench.events".into(),
            out: "bench.out".into(),
            take: "batch".into(),
        }
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), Failure> {
        let number = || {
            let plain = value.replace('_', "");
            let parsed = plain.parse::<u64>();
            parsed.map_err(|_| format!("--{name} wants a number, not `{value}`"))
        };
        let list = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match name {
            "broker" => self.broker = Some(value),
            "scenarios" => {
                let named = list().into_iter().map(|name| Scenario::named(&name));
                self.scenarios = named.collect::<Result<_, _>>()?;
            }
            "subjects" => {
                self.subjects = list();
                let known = ["engine", "poll", "batch"];
                if let Some(other) = self
                    .subjects
                    .iter()
                    .find(|name| !known.contains(&name.as_str()))
                {
                    return Err(format!("`{other}` is none of {}", known.join(" ")));
                }
            }
            "resources" => self.resources = number()?,
            "metrics" => self.metrics = number()?,
            "partitions" => self.partitions = i32::try_from(number()?).unwrap_or(0),
            "events" => self.events = number()?,
            "rate" => (self.rate, self.has_rate) = (number()?, true),
            "seconds" => self.seconds = number()?,
            "warm-up" => self.warm_up = number()?,
            "runs" => self.runs = usize::try_from(number()?.max(1)).unwrap_or(1),
            "cores" => self.cores = Some(value),
            "workers" => {
                self.workers = Some(usize::try_from(number()?.clamp(1, 64)).unwrap_or(1));
            }
            "program" => self.program = Some(value),
            "set" => {
                let (key, value) = value.split_once('=').ok_or("--set wants KEY=VALUE")?;
                self.settings.push((key.to_owned(), value.to_owned()));
            }
            "json" => self.json = Some(value),
            "topic" => self.topic = value,
            "out" => self.out = value,
            "take" => self.take = value,
            _ => return Err(format!("--{name} is not known")),
        }
        Ok(())
    }
}
