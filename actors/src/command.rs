//! What travels between the doors and the shards, and between shards: commands and signals on the inbox, changes on the
//! changes topic. All are records; JSON, so that a person can read a topic.
//!
//! A command goes to the shard of the actor that it addresses, which accepts or refuses it in log order and answers with
//! [`Change::Answer`]. An accepted change of a rule or resource type is told to every shard as a [`Signal`]; each says
//! [`Change::Applied`] once it has it.

use serde::{Deserialize, Serialize};
use tidegate_proto::issue::Issue;
use tidegate_proto::record::{KIND_HEADER, Offset, Partition, Record, partition_of};
use tidegate_proto::resource::ResourceDefinition;

use crate::source::SOURCES_HOME;

/// Value of the kind header of a command.
pub const COMMAND: &str = "command";
/// Value of the kind header of a signal.
pub const SIGNAL: &str = "signal";

/// What a person asks of one actor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Submit a rule, or revise it.
    PutRule {
        /// The rule's document (YAML or JSON, one document).
        document: String,
        /// Revision that the rule must have now (0: must not exist); `None`: any.
        expected: Option<u64>,
    },
    /// Delete a rule; what it raised is cleared.
    DeleteRule {
        /// Its name.
        name: String,
        /// Revision that it must have now.
        expected: Option<u64>,
    },
    /// Enable or disable a rule; disabling clears what it raised and keeps the definition.
    EnableRule {
        /// Its name.
        name: String,
        /// Whether it shall run.
        enabled: bool,
        /// Revision that it must have now.
        expected: Option<u64>,
    },
    /// Define a resource type, or change it.
    PutResourceType {
        /// The type's document.
        document: String,
        /// Revision that it must have now.
        expected: Option<u64>,
    },
    /// Delete a resource type.
    DeleteResourceType {
        /// Its name.
        name: String,
        /// Revision that it must have now.
        expected: Option<u64>,
    },
    /// Define a source, or change it.
    PutSource {
        /// The source's document.
        document: String,
        /// Offset by partition of its topic where it begins, if its reading begins with this: resolved once, here.
        starts: Vec<Offset>,
        /// Revision that it must have now.
        expected: Option<u64>,
    },
    /// Delete a source: its topic is no longer read.
    DeleteSource {
        /// Its name.
        name: String,
        /// Revision that it must have now.
        expected: Option<u64>,
    },
    /// Define a resource, or change it.
    PutResource {
        /// The definition; replaces traits that were there.
        definition: ResourceDefinition,
        /// Revision that it must have now.
        expected: Option<u64>,
    },
    /// Forget a resource: its twin, its tasks.
    DeleteResource {
        /// Its id.
        id: String,
        /// Revision that it must have now.
        expected: Option<u64>,
    },
}

/// A command with the id under which its answer comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the door, or the caller's idempotency key: a repeat is answered like the first.
    pub request: String,
    /// What is asked.
    #[serde(flatten)]
    pub command: Command,
}

/// What one shard tells another, or a dispatcher tells a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "signal", rename_all = "snake_case")]
pub enum Signal {
    /// A rule was accepted, changed, enabled, disabled or deleted.
    Rule {
        /// Request that caused it.
        request: String,
        /// Its name.
        name: String,
        /// Revision.
        revision: u64,
        /// Its document; `None`: deleted.
        document: Option<String>,
        /// Whether it runs.
        enabled: bool,
    },
    /// A resource type was accepted, changed or deleted.
    ResourceType {
        /// Request that caused it.
        request: String,
        /// Its name.
        name: String,
        /// Revision.
        revision: u64,
        /// Its document; `None`: deleted.
        document: Option<String>,
    },
    /// A source was accepted, changed or deleted.
    Source {
        /// Request that caused it.
        request: String,
        /// Its name.
        name: String,
        /// Revision.
        revision: u64,
        /// Revision at which its reading began.
        generation: u64,
        /// Its document; `None`: deleted.
        document: Option<String>,
        /// Offset by partition of its topic where its reading began.
        starts: Vec<Offset>,
    },
    /// A handler's outcome comes back to the task that asked for it.
    Delivered {
        /// Id of the action.
        action: String,
        /// Rule of the task.
        rule: String,
        /// Resource of the task.
        resource: String,
        /// Group of the task; empty without `by`.
        group: String,
        /// `None`: done; otherwise why it was given up.
        error: Option<String>,
        /// How many attempts it took.
        attempts: u32,
    },
}

/// A record of the changes topic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// The addressed actor's answer to a command.
    Answer {
        /// The request.
        request: String,
        /// Revision after it, when accepted.
        revision: Option<u64>,
        /// Shards that will say [`Change::Applied`]; 0 when nothing has to be told.
        told: u32,
        /// Why it was refused.
        refused: Option<Refusal>,
    },
    /// A shard has journalled an accepted change of a rule or type.
    Applied {
        /// Request that caused it.
        request: String,
        /// The shard.
        shard: Partition,
        /// `rule/NAME` or `type/NAME`.
        what: String,
        /// Revision.
        revision: u64,
        /// What became of the state of its parts: `when: kept`.
        parts: Vec<String>,
    },
    /// A resource was discovered, defined, changed, went silent, came back or was deleted.
    Resource {
        /// Its id.
        id: String,
        /// `discovered defined silent online deleted`.
        what: String,
        /// Event time or clock, epoch ms.
        at: i64,
    },
    /// A rule or an actor was quarantined.
    Quarantined {
        /// `rule/NAME`.
        what: String,
        /// Why.
        reason: String,
    },
}

/// Why a command was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Refusal {
    /// Somebody else was first.
    Conflict {
        /// What was expected.
        expected: u64,
        /// What it is.
        actual: u64,
    },
    /// No such thing.
    NotFound {
        /// What was addressed.
        what: String,
    },
    /// The document is wrong: all problems at once.
    Invalid {
        /// The problems.
        issues: Vec<Issue>,
    },
}

impl Command {
    /// Key of the actor that it addresses; its partition is the actor's shard.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::PutRule { document, .. } => format!("rule/{}", name_in(document)),
            Self::DeleteRule { name, .. } | Self::EnableRule { name, .. } => format!("rule/{name}"),
            Self::PutResourceType { document, .. } => format!("type/{}", name_in(document)),
            Self::DeleteResourceType { name, .. } => format!("type/{name}"),
            Self::PutSource { document, .. } => format!("source/{}", name_in(document)),
            Self::DeleteSource { name, .. } => format!("source/{name}"),
            Self::PutResource { definition, .. } => definition.id.as_ref().to_owned(),
            Self::DeleteResource { id, .. } => id.clone(),
        }
    }

    /// Key of the record that carries it: that of the actor, but one home for all sources.
    fn route(&self) -> String {
        match self {
            Self::PutSource { .. } | Self::DeleteSource { .. } => SOURCES_HOME.to_owned(),
            _ => self.key(),
        }
    }
}

/// Name in a document of ours, for its key; a document without one is refused by whichever shard gets it.
fn name_in(document: &str) -> String {
    match tidegate_proto::document::parse(document)
        .ok()
        .and_then(|mut all| all.pop())
    {
        Some(tidegate_proto::document::Document::Rule(rule)) => rule.name.to_string(),
        Some(tidegate_proto::document::Document::ResourceType(kind)) => {
            kind.name.as_ref().to_owned()
        }
        Some(tidegate_proto::document::Document::Source(source)) => source.name.to_string(),
        _ => String::new(),
    }
}

impl Request {
    /// As a record for the inbox, with the partition that it belongs to.
    #[must_use]
    pub fn to_record(&self, partitions: u32) -> (Partition, Record) {
        let key = self.command.route();
        let body = serde_json::to_vec(self).unwrap_or_default();
        let record = Record::new(key.clone().into_bytes(), body)
            .with_header(KIND_HEADER, COMMAND.as_bytes());
        (partition_of(key.as_bytes(), partitions), record)
    }
}

impl Signal {
    /// As a record for the inbox.
    #[must_use]
    pub fn to_record(&self) -> Record {
        let key = match self {
            Self::Rule { name, .. } => format!("rule/{name}"),
            Self::ResourceType { name, .. } => format!("type/{name}"),
            Self::Source { name, .. } => format!("source/{name}"),
            Self::Delivered { resource, .. } => resource.clone(),
        };
        let body = serde_json::to_vec(self).unwrap_or_default();
        Record::new(key.into_bytes(), body).with_header(KIND_HEADER, SIGNAL.as_bytes())
    }
}
