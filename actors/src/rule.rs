//! [`DefinitionActor`]: a rule or a resource type at its home shard. Accepts or refuses changes in log order, checks the
//! expected revision, answers the door, and tells every shard what it accepted.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_operators::Plan;
use tidegate_proto::across::Input;
use tidegate_proto::document::{self, Document};
use tidegate_proto::issue::{Issue, Issues, Mark};
use tidegate_proto::resource::ResourceTypeDefinition;
use tidegate_proto::rule::Rule;

use crate::actor::{Actor, ActorError, Turn};
use crate::command::{Change, Command, Refusal, Request, Signal};
use crate::source::Begun;

/// Requests that a definition remembers, so that a repeated one is answered like the first.
const REMEMBERED: usize = 16;

/// A rule or a resource type at its home shard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefinitionActor {
    /// Rises with every accepted change, also over a deletion.
    pub(crate) revision: u64,
    pub(crate) enabled: bool,
    /// `None`: deleted, or never there.
    pub(crate) document: Option<Arc<str>>,
    answered: VecDeque<(String, u64)>,
    /// Of a source: where its reading began.
    pub(crate) begun: Begun,
}

/// A request and the key of the actor that it is for.
pub type DefinitionMessage<'a> = (&'a Arc<str>, &'a Request);

impl Actor for DefinitionActor {
    type Message<'a> = DefinitionMessage<'a>;
    type Before = Self;

    fn before(&self) -> Self {
        self.clone()
    }

    fn restore(&mut self, before: Self) {
        *self = before;
    }

    fn receive(
        &mut self,
        (key, request): DefinitionMessage<'_>,
        turn: &mut Turn,
    ) -> Result<(), ActorError> {
        if let Some((_, revision)) = self
            .answered
            .iter()
            .find(|(known, _)| *known == request.request)
        {
            // Every shard was told the first time.
            answer(key, request, Some(*revision), 0, None, turn);
            return Ok(());
        }
        match self.accept(request) {
            Err(refusal) => answer(key, request, None, 0, Some(refusal), turn),
            Ok(None) => {
                self.note(&request.request);
                answer(key, request, Some(self.revision), 0, None, turn);
            }
            Ok(Some(signal)) => {
                self.note(&request.request);
                answer(
                    key,
                    request,
                    Some(self.revision),
                    turn.partitions(),
                    None,
                    turn,
                );
                turn.tell_all(&signal);
            }
        }
        Ok(())
    }
}

fn answer(
    key: &Arc<str>,
    request: &Request,
    revision: Option<u64>,
    told: u32,
    refused: Option<Refusal>,
    turn: &mut Turn,
) {
    let change = Change::Answer {
        request: request.request.clone(),
        revision,
        told,
        refused,
    };
    turn.change(key, &change);
}

impl DefinitionActor {
    fn note(&mut self, request: &str) {
        if self.answered.len() >= REMEMBERED {
            self.answered.pop_front();
        }
        self.answered.push_back((request.to_owned(), self.revision));
    }

    /// Revision for people who expect one: 0 when it is not there.
    fn visible(&self) -> u64 {
        if self.document.is_some() {
            self.revision
        } else {
            0
        }
    }

    pub(crate) fn expect(&self, expected: Option<u64>) -> Result<(), Refusal> {
        match expected.filter(|expected| *expected != self.visible()) {
            Some(expected) => Err(Refusal::Conflict {
                expected,
                actual: self.visible(),
            }),
            None => Ok(()),
        }
    }

    pub(crate) fn exists(&self, what: &str) -> Result<(), Refusal> {
        if self.document.is_some() {
            Ok(())
        } else {
            Err(Refusal::NotFound {
                what: what.to_owned(),
            })
        }
    }

    /// Accepts a change: `None` when nothing changes, otherwise what every shard must know.
    fn accept(&mut self, request: &Request) -> Result<Option<Signal>, Refusal> {
        match &request.command {
            Command::PutRule { document, expected } => {
                self.expect(*expected)?;
                self.put_rule(document, request)
            }
            Command::EnableRule {
                name,
                enabled,
                expected,
            } => {
                self.exists(name)?;
                self.expect(*expected)?;
                if self.enabled == *enabled {
                    return Ok(None);
                }
                self.enabled = *enabled;
                self.revision += 1;
                Ok(Some(self.rule_signal(request, name)))
            }
            Command::DeleteRule { name, expected } => {
                self.exists(name)?;
                self.expect(*expected)?;
                self.document = None;
                self.revision += 1;
                Ok(Some(self.rule_signal(request, name)))
            }
            Command::PutResourceType { document, expected } => {
                self.expect(*expected)?;
                let kind = parse_type(document).map_err(|issues| Refusal::Invalid { issues })?;
                let known = self.document.as_deref().map(parse_type);
                if matches!(known, Some(Ok(known)) if known == kind) {
                    return Ok(None);
                }
                self.document = Some(Arc::from(document.as_str()));
                self.revision += 1;
                Ok(Some(self.type_signal(request, &kind.name)))
            }
            Command::DeleteResourceType { name, expected } => {
                self.exists(name)?;
                self.expect(*expected)?;
                self.document = None;
                self.revision += 1;
                Ok(Some(self.type_signal(request, name)))
            }
            Command::PutSource {
                document,
                starts,
                expected,
            } => {
                self.expect(*expected)?;
                self.put_source(document, starts, request)
            }
            Command::DeleteSource { name, expected } => {
                self.delete_source(name, *expected, request)
            }
            Command::PutResource { definition, .. } => Err(Refusal::NotFound {
                what: definition.id.as_ref().to_owned(),
            }),
            Command::DeleteResource { id, .. } => Err(Refusal::NotFound { what: id.clone() }),
        }
    }

    fn put_rule(&mut self, document: &str, request: &Request) -> Result<Option<Signal>, Refusal> {
        let (rule, _) = parse_rule(document).map_err(|issues| Refusal::Invalid { issues })?;
        let known = self.document.as_ref();
        if known.is_some_and(|known| same_rule(known, &rule)) {
            return Ok(None);
        }
        if self.document.is_none() {
            self.enabled = true;
        }
        self.document = Some(Arc::from(document));
        self.revision += 1;
        Ok(Some(self.rule_signal(request, rule.name.as_str())))
    }

    fn rule_signal(&self, request: &Request, name: &str) -> Signal {
        Signal::Rule {
            request: request.request.clone(),
            name: name.to_owned(),
            revision: self.revision,
            document: self.document.as_deref().map(str::to_owned),
            enabled: self.enabled,
        }
    }

    fn type_signal(&self, request: &Request, name: &str) -> Signal {
        Signal::ResourceType {
            request: request.request.clone(),
            name: name.to_owned(),
            revision: self.revision,
            document: self.document.as_deref().map(str::to_owned),
        }
    }
}

/// Whether a document says the same rule, formatting aside.
fn same_rule(known: &str, rule: &Rule) -> bool {
    document::parse(known).is_ok_and(
        |all| matches!(all.as_slice(), [Document::Rule(old)] if old.document == rule.document),
    )
}

/// Reads one rule and compiles it: all problems at once.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_rule(text: &str) -> Result<(Rule, Plan), Issues> {
    match document::parse(text)?.as_slice() {
        [Document::Rule(rule)] => Plan::compile(rule).map(|plan| (rule.clone(), plan)),
        _ => Err(vec![Issue::new(
            "",
            Mark::default(),
            "exactly one document of `kind: Rule` is wanted here",
        )]),
    }
}

/// Most rules that one may stand behind, each reading the one before.
pub const CHAIN: usize = 16;

/// Why a rule cannot read what it says it reads: it would read itself, by way of others, or stand behind too many. `of` answers which
/// rules a rule reads.
pub fn chain_issue(rule: &Rule, of: &dyn Fn(&str) -> Vec<Arc<str>>) -> Option<Issue> {
    let reads = rule.reads();
    if reads.is_empty() {
        return None;
    }
    let inputs = rule.across.inputs.iter();
    let mut inputs = inputs.filter(|input| input.rule.is_some());
    let node = rule.said_nodes().next();
    let joined = rule.join_of_rules().and_then(|join| {
        let sides = [&join.left, &join.right].into_iter();
        let mut sides = sides.filter_map(|side| Some((&side.name, side.of.as_ref()?.mark)));
        sides.next()
    });
    let stream;
    let (place, mark) = match (&rule.from, joined) {
        (Some(from), _) => ("from.rule", from.mark),
        (None, Some((name, mark))) => {
            stream = format!("join.streams.{name}.from.rule");
            (stream.as_str(), mark)
        }
        (None, None) => match (inputs.next(), node) {
            (None, Some((node, _))) => (node.path.as_ref(), node.mark),
            (input, _) => ("inputs", input.map(Input::mark).unwrap_or_default()),
        },
    };
    let own = rule.name.shared();
    let mut open: Vec<Vec<Arc<str>>> = vec![vec![Arc::clone(&own)]];
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = open.pop() {
        let last = path.last().map_or("", AsRef::as_ref);
        let read = if path.len() == 1 {
            reads.clone()
        } else {
            of(last)
        };
        for next in read.into_iter().rev() {
            let mut path = path.clone();
            path.push(Arc::clone(&next));
            let text = || path.join(" ← ");
            if next == own {
                let problem = format!("the rule would read itself: {}", text());
                let issue = Issue::new(place, mark, problem);
                return Some(issue.hint("let one of them read events instead"));
            }
            if path.len() > CHAIN + 1 {
                let problem = format!("more than {CHAIN} rules in a row: {}", text());
                return Some(Issue::new(place, mark, problem));
            }
            if seen.insert((path.len(), next)) {
                open.push(path);
            }
        }
    }
    None
}

/// Behind how many rules a rule stands; 0: it reads events.
pub fn depth(rule: &Rule, of: &dyn Fn(&str) -> Vec<Arc<str>>) -> usize {
    let mut names: std::collections::BTreeSet<Arc<str>> = rule.reads().into_iter().collect();
    let mut depth = 0;
    while !names.is_empty() && depth <= CHAIN {
        depth += 1;
        names = names.iter().flat_map(|name| of(name)).collect();
    }
    depth
}

/// Reads one resource type.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_type(text: &str) -> Result<ResourceTypeDefinition, Issues> {
    match document::parse(text)?.as_slice() {
        [Document::ResourceType(kind)] => Ok(kind.clone()),
        _ => Err(vec![Issue::new(
            "",
            Mark::default(),
            "exactly one document of `kind: ResourceType` is wanted here",
        )]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(name: &str, from: &str) -> Rule {
        let text =
            format!("kind: Rule\nname: {name}\nfrom: {{ rule: {from} }}\nfor: all\nwhen: x > 1.0");
        parse_rule(&text).unwrap().0
    }

    #[test]
    fn a_rule_that_would_read_itself_is_told_with_the_whole_ring() {
        let read = |name: &str| -> Vec<Arc<str>> {
            match name {
                "b" => vec![Arc::from("c"), Arc::from("events")],
                "c" => vec![Arc::from("a")],
                "d" => vec![Arc::from("c")],
                _ => Vec::new(),
            }
        };
        let problem = |rule: &Rule| chain_issue(rule, &read).map(|issue| issue.problem);
        let ring = Some("the rule would read itself: a ← b ← c ← a".into());
        assert_eq!(problem(&rule("a", "b")), ring);
        assert_eq!(
            problem(&rule("a", "a")),
            Some("the rule would read itself: a ← a".into())
        );
        // Behind a ring, but not in it.
        assert_eq!(problem(&rule("x", "[ d, events ]")), None);
        assert_eq!(depth(&rule("x", "[ d, events ]"), &read), 3);
        assert_eq!(depth(&rule("x", "events"), &read), 1);
    }

    #[test]
    fn more_rules_in_a_row_than_allowed_are_refused() {
        let read = |name: &str| -> Vec<Arc<str>> {
            let number: usize = name[1..].parse().unwrap();
            vec![Arc::from(format!("r{}", number + 1))]
        };
        let problem = chain_issue(&rule("r0", "r1"), &read).unwrap().problem;
        assert!(
            problem.starts_with("more than 16 rules in a row: r0 ← r1 ←"),
            "{problem}"
        );
    }
}
