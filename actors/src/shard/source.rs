//! The sources of a shard: which topics it reads in place, from where on, how their records are read, and which records of
//! gateways are repeats.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::decode::Home;
use tidegate_proto::outcome::Trigger;
use tidegate_proto::record::{Offset, OffsetRange, Partition, Record};

use super::Shard;
use crate::command::{Command, Refusal, Signal};
use crate::observe::SourceView;
use crate::result::CauseStyle;
use crate::source::{Origin, Reading, parse_source, refused};

/// What a shard knows of sources.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sources {
    known: BTreeMap<Arc<str>, Known>,
    /// Topics that are or were read in place, by number behind those of the settings.
    places: Vec<Place>,
    /// How far the records of gateways have come.
    marks: BTreeMap<Arc<str>, Marks>,
    /// Positions where a reading begins, until the end of the step that says so.
    moved: Vec<(usize, Offset)>,
}

/// A source as this shard was told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    revision: u64,
    generation: u64,
    /// `None`: deleted; kept so that an old signal is known for what it is.
    document: Option<String>,
    starts: Vec<Offset>,
}

/// A topic that is read in place.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Place {
    topic: Arc<str>,
    /// The source that reads it now, and its generation.
    reader: Option<(Arc<str>, u64)>,
}

/// How far a gateway's records have come, by partition of its topic.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Marks {
    generation: u64,
    seen: BTreeMap<Partition, (Offset, u32)>,
}

impl Sources {
    fn reader_of(&self, name: &str) -> Option<(usize, u64)> {
        self.places.iter().enumerate().find_map(|(index, place)| {
            let (reader, generation) = place.reader.as_ref()?;
            (reader.as_ref() == name).then_some((index, *generation))
        })
    }

    /// Number of a topic among the places; it gets one if it has none.
    fn place(&mut self, topic: &Arc<str>) -> usize {
        let known = self.places.iter().position(|place| place.topic == *topic);
        known.unwrap_or_else(|| {
            self.places.push(Place {
                topic: Arc::clone(topic),
                reader: None,
            });
            self.places.len() - 1
        })
    }
}

impl Shard {
    /// The topics that this shard reads, by their numbers.
    pub(super) fn reading_list(&self) -> Vec<Reading> {
        let own = self.settings.sources.iter().map(|topic| Reading {
            topic: Arc::clone(topic),
            reading: true,
        });
        let places = self.state.sources.places.iter().map(|place| Reading {
            topic: Arc::clone(&place.topic),
            reading: place.reader.is_some(),
        });
        own.chain(places).collect()
    }

    /// Name of the topic with a number.
    pub(super) fn topic(&self, source: u16) -> &str {
        let (own, number) = (&self.settings.sources, usize::from(source));
        match number.checked_sub(own.len()) {
            None => own.get(number).map_or("?", AsRef::as_ref),
            Some(place) => {
                let place = self.state.sources.places.get(place);
                place.map_or("?", |place| place.topic.as_ref())
            }
        }
    }

    /// Moves the positions to the ends of the ranges taken, and to where readings began in this step.
    pub(super) fn move_on(&mut self, ranges: &[OffsetRange]) {
        let ends = ranges.iter().map(|range| range.to).enumerate();
        let moved = std::mem::take(&mut self.state.sources.moved);
        for (index, offset) in ends.chain(moved) {
            if self.state.positions.len() <= index {
                self.state.positions.resize(index + 1, 0);
            }
            if let Some(position) = self.state.positions.get_mut(index) {
                *position = offset;
            }
        }
    }

    /// Why a command about a source cannot be taken, if it cannot: what its own actor does not know.
    pub(super) fn source_refusal(&self, command: &Command) -> Option<Refusal> {
        let Command::PutSource {
            document, starts, ..
        } = command
        else {
            return None;
        };
        // What is no source at all is refused by the actor, with all its problems.
        let source = parse_source(document).ok()?;
        let topic = source.topic.as_ref();
        let partitions = self.settings.partitions as usize;
        if source.is_in_place() && starts.len() != partitions {
            let problem = format!(
                "the topic `{topic}` has {} partitions, {partitions} are wanted of a topic that is read in place",
                starts.len()
            );
            let hint = "write `keyed: false`, so that a gateway keys it anew, or make the topic with as many partitions as ours";
            return Some(refused("topic", problem, hint));
        }
        let others = self.state.definitions.iter().filter_map(|(key, other)| {
            let name = key.strip_prefix("source/")?;
            let other = parse_source(other.document.as_deref()?).ok()?;
            (name != source.name.as_str()).then_some(other)
        });
        let others: Vec<_> = others.collect();
        if let Some(other) = others.iter().find(|other| other.topic == source.topic) {
            let problem = format!("the topic `{topic}` is read by the source `{}`", other.name);
            let hint = "one topic has one source: change that one, or delete it first";
            return Some(refused("topic", problem, hint));
        }
        let most = self.settings.most_sources;
        let places = &self.state.sources.places;
        let is_new_place =
            source.is_in_place() && !places.iter().any(|place| place.topic == source.topic);
        if others.len() >= most || (is_new_place && places.len() >= most) {
            let problem = format!("there are {most} sources, or topics that were one");
            return Some(refused("", problem, "raise `limits.sources`"));
        }
        None
    }

    /// A source was accepted, changed or deleted at its home.
    pub(super) fn told_of_source(&mut self, signal: Signal, trigger: Trigger) {
        let Signal::Source {
            request,
            name,
            revision,
            generation,
            document,
            starts,
        } = signal
        else {
            return;
        };
        let told = Told {
            revision,
            generation,
            document,
            starts,
        };
        let parts = self.set_source(&name, told);
        self.applied(request, format!("source/{name}"), revision, parts, trigger);
    }

    /// Brings this shard to a revision of a source; answers with what became of its reading.
    fn set_source(&mut self, name: &str, told: Told) -> Vec<String> {
        let known = self.state.sources.known.get(name);
        if known.is_some_and(|known| known.revision >= told.revision) {
            return Vec::new();
        }
        let name: Arc<str> = Arc::from(name);
        let definition = told
            .document
            .as_deref()
            .and_then(|document| parse_source(document).ok());
        let mut parts = Vec::new();
        let before = self.state.sources.reader_of(&name);
        let in_place = definition.as_ref().filter(|source| source.is_in_place());
        let after = in_place.map(|source| self.state.sources.place(&source.topic));
        if let Some((index, _)) = before.filter(|(index, _)| Some(*index) != after) {
            if let Some(place) = self.state.sources.places.get_mut(index) {
                place.reader = None;
            }
            parts.push("reading: dropped".to_owned());
        }
        let marks = self
            .state
            .sources
            .marks
            .entry(Arc::clone(&name))
            .or_default();
        let floor = match &definition {
            Some(_) => told.generation,
            // What a gateway still has under way comes from a source that is gone.
            None => told.revision,
        };
        if marks.generation < floor {
            *marks = Marks {
                generation: floor,
                seen: BTreeMap::new(),
            };
        }
        if let Some(index) = after {
            let is_same = before == Some((index, told.generation));
            if let Some(place) = self.state.sources.places.get_mut(index) {
                place.reader = Some((Arc::clone(&name), told.generation));
            }
            if !is_same {
                let start = told.starts.get(self.settings.shard as usize);
                let number = self.settings.sources.len() + index;
                let start = start.copied().unwrap_or(0);
                self.state.sources.moved.push((number, start));
            }
            parts.push(format!("reading: {}", if is_same { "kept" } else { "new" }));
        } else if definition.is_some() {
            parts.push("reading: by a gateway".to_owned());
        }
        let known = Known {
            revision: told.revision,
            generation: told.generation,
            document: told.document,
            starts: told.starts,
        };
        self.state.sources.known.insert(name, known);
        self.read_sources();
        parts
    }

    /// Sets up how the records of every topic are read and named: after a change, and after a restore.
    pub(super) fn read_sources(&mut self) {
        let home = Home {
            shard: self.settings.shard,
            partitions: self.settings.partitions,
        };
        let first = self.settings.sources.len();
        for (index, place) in self.state.sources.places.iter().enumerate() {
            let Ok(number) = u16::try_from(first + index) else {
                continue;
            };
            let reader = place.reader.as_ref().and_then(|(name, _)| {
                let known = self.state.sources.known.get(name)?;
                parse_source(known.document.as_deref()?).ok()
            });
            let profile = reader.map(|source| (source.profile, Some(home)));
            self.decoder.set_source(number, profile);
        }
        let topics = self.reading_list().into_iter().map(|one| one.topic);
        if let CauseStyle::Log(names, _) = &mut self.settings.causes {
            *names = topics.collect();
        }
    }

    /// Whether a record of the inbox is one that a gateway has written before, or of a source that is gone.
    pub(super) fn is_passed(&mut self, record: &Record) -> bool {
        let Some(origin) = Origin::of(record) else {
            return false;
        };
        let marks = self.state.sources.marks.entry(origin.source).or_default();
        if marks.generation > origin.generation {
            return true;
        }
        if marks.generation < origin.generation {
            // The gateway was faster than the signal.
            *marks = Marks {
                generation: origin.generation,
                seen: BTreeMap::new(),
            };
        }
        let place = (origin.offset, origin.element);
        let seen = marks.seen.get(&origin.partition);
        if seen.is_some_and(|seen| *seen >= place) {
            return true;
        }
        marks.seen.insert(origin.partition, place);
        false
    }

    /// The sources as this shard knows them, in byte order of their names.
    pub(super) fn source_views(&self) -> Vec<SourceView> {
        let sources = &self.state.sources;
        let views = sources.known.iter().filter_map(|(name, known)| {
            let document = known.document.clone()?;
            let place = sources.reader_of(name).map(|(index, _)| index);
            let number = place.map(|index| self.settings.sources.len() + index);
            Some(SourceView {
                name: name.as_ref().to_owned(),
                revision: known.revision,
                generation: known.generation,
                topic: parse_source(&document).ok()?.topic,
                in_place: place.is_some(),
                position: number.and_then(|number| self.state.positions.get(number).copied()),
                starts: known.starts.clone(),
                document,
            })
        });
        views.collect()
    }
}

/// What a signal says of a source.
#[derive(Debug)]
struct Told {
    revision: u64,
    generation: u64,
    document: Option<String>,
    starts: Vec<Offset>,
}
