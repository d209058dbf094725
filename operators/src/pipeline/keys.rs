//! [`Keys`]: dense numbers for the pairs of resource and group key that a window rule has windows of.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use tidegate_proto::Value;

use crate::watermark::cell;

/// One key.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) resource: u32,
    /// Key text as printed; empty without `by`.
    pub(crate) text: Arc<str>,
    /// Values of `by`.
    pub(crate) values: Vec<Value>,
}

/// All keys of a rule.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Keys {
    list: Vec<Key>,
    of: Vec<SmallVec<[u32; 2]>>,
    groups: BTreeMap<(u32, String), u32>,
}

/// Text that is equal for equal keys: 1 and 1.0 are equal, 1 and "1" are not.
pub(crate) fn identity(values: &[Value]) -> String {
    let mut text = String::new();
    for value in values {
        let tag = match value {
            Value::Missing => '0',
            Value::Bool(_) => 'b',
            Value::Int(_) | Value::Number(_) => 'n',
            Value::Text(_) => 't',
            Value::List(_) => 'l',
            Value::Map(_) => 'm',
        };
        text.push(tag);
        text.push_str(&escaped(value));
        text.push(',');
    }
    text
}

pub(crate) fn escaped(value: &Value) -> String {
    let plain = match value {
        Value::Int(_) => Value::number(value.as_number().unwrap_or_default()).to_string(),
        other => other.to_string(),
    };
    plain.replace('\\', "\\\\").replace(',', "\\,")
}

impl Keys {
    /// Keys of a resource.
    pub(crate) fn of(&self, resource: u32) -> &[u32] {
        let keys = self.of.get(resource as usize);
        keys.map_or(&[], SmallVec::as_slice)
    }

    /// The only key of a resource of a rule without `by`.
    pub(crate) fn plain(&mut self, resource: u32) -> u32 {
        match self.of(resource).first() {
            Some(key) => *key,
            None => self.add(resource, Arc::from(""), Vec::new()),
        }
    }

    /// The key of a group; `None` when it would be one too many. `numbered`: the first value is the number of its grouping.
    pub(crate) fn grouped(
        &mut self,
        resource: u32,
        values: Vec<Value>,
        numbered: bool,
        limit: usize,
    ) -> Option<u32> {
        let identity = (resource, identity(&values));
        if let Some(key) = self.groups.get(&identity) {
            return Some(*key);
        }
        if self.list.len() >= limit {
            return None;
        }
        let text = values.iter().enumerate().map(|(place, value)| match value {
            Value::Int(number) if numbered && place == 0 => number.to_string(),
            value => escaped(value),
        });
        let text: Vec<String> = text.collect();
        let key = self.add(resource, Arc::from(text.join(",")), values);
        self.groups.insert(identity, key);
        Some(key)
    }

    fn add(&mut self, resource: u32, text: Arc<str>, values: Vec<Value>) -> u32 {
        let key = u32::try_from(self.list.len()).unwrap_or(u32::MAX);
        self.list.push(Key {
            resource,
            text,
            values,
        });
        cell(&mut self.of, resource, SmallVec::new()).push(key);
        key
    }

    pub(crate) fn get(&self, key: u32) -> Option<&Key> {
        self.list.get(key as usize)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Key>()
            + self.of.capacity() * size_of::<SmallVec<[u32; 2]>>()
            + self.groups.len() * 96
    }
}
