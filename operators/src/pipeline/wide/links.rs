//! [`Links`]: which resource each input of a task is, and whose tasks a resource's rows go to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_proto::{EventRef, Value};

use crate::watermark::cell;

/// Most values of a source that are kept for tasks that come to it.
const MOST_RECENT: usize = 1_000;

/// A value of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Latest {
    pub(super) time: i64,
    pub(super) value: Value,
    pub(super) event: EventRef,
}

/// One input.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Link {
    /// Id of the source by task.
    source: BTreeMap<u32, Arc<str>>,
    /// Tasks by id of the source, known or not.
    tasks: BTreeMap<Arc<str>, BTreeSet<u32>>,
    /// Last values by number of the source: a task that comes to it later begins with them.
    recent: Vec<Vec<Latest>>,
}

/// All inputs of a rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Links {
    inputs: Vec<Link>,
    /// Numbers of the resources that are known, by id.
    numbers: BTreeMap<Arc<str>, u32>,
    /// Ids by number.
    ids: Vec<Option<Arc<str>>>,
}

impl Links {
    pub(super) fn new(inputs: usize) -> Self {
        Self {
            inputs: vec![Link::default(); inputs],
            ..Self::default()
        }
    }

    /// A resource is known, or not any more.
    pub(super) fn know(&mut self, resource: u32, id: Option<&str>) {
        let known = cell(&mut self.ids, resource, None);
        match (known.as_ref(), id) {
            (None, Some(id)) => {
                let id: Arc<str> = Arc::from(id);
                *known = Some(Arc::clone(&id));
                self.numbers.insert(id, resource);
            }
            (Some(_), None) => {
                if let Some(id) = known.take() {
                    self.numbers.remove(&id);
                }
                for link in &mut self.inputs {
                    if let Some(recent) = link.recent.get_mut(resource as usize) {
                        recent.clear();
                    }
                }
            }
            _ => {}
        }
    }

    /// The number of a resource that is known.
    pub(super) fn number(&self, id: &str) -> Option<u32> {
        self.numbers.get(id).copied()
    }

    /// Values that a resource said for an input, by time.
    pub(super) fn recent_of(&self, input: usize, resource: u32) -> &[Latest] {
        let link = self.inputs.get(input);
        let recent = link.and_then(|link| link.recent.get(resource as usize));
        recent.map_or(&[], Vec::as_slice)
    }

    pub(super) fn id(&self, resource: u32) -> Option<&Arc<str>> {
        self.ids.get(resource as usize)?.as_ref()
    }

    /// The id of a task's source.
    pub(super) fn named(&self, input: usize, task: u32) -> Option<Arc<str>> {
        self.inputs.get(input)?.source.get(&task).cloned()
    }

    /// Sets the source of a task's input; answers whether it is another one than before.
    pub(super) fn set(&mut self, input: usize, task: u32, id: Option<&str>) -> bool {
        let Some(link) = self.inputs.get_mut(input) else {
            return false;
        };
        if link.source.get(&task).map(AsRef::as_ref) == id {
            return false;
        }
        if let Some(old) = link.source.remove(&task)
            && let Some(tasks) = link.tasks.get_mut(&old)
        {
            tasks.remove(&task);
            if tasks.is_empty() {
                link.tasks.remove(&old);
            }
        }
        if let Some(id) = id {
            let id: Arc<str> = Arc::from(id);
            link.source.insert(task, Arc::clone(&id));
            link.tasks.entry(id).or_default().insert(task);
        }
        true
    }

    /// The number of a task's source, if it is known.
    fn source(&self, link: &Link, task: u32) -> Option<u32> {
        self.numbers.get(link.source.get(&task)?).copied()
    }

    /// Known sources of a task.
    pub(super) fn sources(&self, task: u32) -> impl Iterator<Item = u32> + use<'_> {
        let inputs = self.inputs.iter();
        inputs.filter_map(move |link| self.source(link, task))
    }

    /// Whether a resource's rows are those of a task's input.
    pub(super) fn feeds(&self, input: usize, resource: u32, task: u32) -> bool {
        let link = self.inputs.get(input);
        link.is_some_and(|link| self.source(link, task) == Some(resource))
    }

    /// Adds the tasks that read a resource as an input.
    pub(super) fn tasks(&self, resource: u32, into: &mut Vec<u32>) {
        let Some(id) = self.id(resource) else {
            return;
        };
        for link in &self.inputs {
            into.extend(link.tasks.get(id).into_iter().flatten());
        }
    }

    /// Notes a value of a source; those before `mark` are kept no longer than there is a later one.
    pub(super) fn note(&mut self, input: usize, resource: u32, noted: Latest, mark: i64) {
        let Some(link) = self.inputs.get_mut(input) else {
            return;
        };
        let recent = cell(&mut link.recent, resource, Vec::new());
        let place = recent.partition_point(|known| known.time <= noted.time);
        recent.insert(place, noted);
        let over = recent.iter().skip(1).take_while(|next| next.time < mark);
        let over = over.count().max(recent.len().saturating_sub(MOST_RECENT));
        recent.drain(..over);
    }

    /// The number of the source of a task's input, if it is known.
    pub(super) fn source_of(&self, input: usize, task: u32) -> Option<u32> {
        self.source(self.inputs.get(input)?, task)
    }

    /// Values of a task's source, by time: the latest before its time has passed, and those after it.
    pub(super) fn recent(&self, input: usize, task: u32) -> &[Latest] {
        let link = self.inputs.get(input);
        let source = link.and_then(|link| self.source(link, task));
        let recent = link.zip(source);
        let recent = recent.and_then(|(link, source)| link.recent.get(source as usize));
        recent.map_or(&[], Vec::as_slice)
    }

    pub(super) fn bytes(&self) -> usize {
        let links = self.inputs.iter();
        let links: usize = links
            .map(|link| link.source.len() * 96 + link.recent.capacity() * 96)
            .sum();
        links + self.numbers.len() * 96 + self.ids.capacity() * 16
    }
}
