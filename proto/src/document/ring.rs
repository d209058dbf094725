//! [`Parents`]: who stands below whom in one text, so that nobody ends up below itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::document::section::Report;
use crate::document::tree::{Node, NodeKind};
use crate::issue::Mark;
use crate::resource::ResourceDefinition;

/// Most members of a ring that are told.
const TOLD: usize = 8;

/// Resources with a parent, in the order of the text.
#[derive(Debug, Default)]
pub(super) struct Parents {
    all: Vec<Below>,
    places: BTreeMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct Below {
    id: Arc<str>,
    parent: Arc<str>,
    mark: Mark,
    /// The walk that came by; 0: none yet.
    walk: usize,
}

impl Parents {
    /// Takes a resource as the text says it.
    pub(super) fn take(&mut self, resource: &ResourceDefinition, node: &Node) {
        let id = &resource.id;
        // One that is its own parent is told of where the field is read.
        if let Some(parent) = resource
            .traits
            .parent
            .as_ref()
            .filter(|parent| *parent != id)
        {
            self.places.insert(Arc::clone(id), self.all.len());
            self.all.push(Below {
                id: Arc::clone(id),
                parent: Arc::clone(parent),
                mark: mark(node),
                walk: 0,
            });
        }
    }

    /// Tells of every ring at the last of its members. Nobody is passed twice, however long the lines are.
    pub(super) fn tell(mut self, report: &mut Report) {
        for begin in 0..self.all.len() {
            let mut at = Some(begin);
            while let Some(one) = at.and_then(|at| self.all.get_mut(at))
                && one.walk == 0
            {
                one.walk = begin + 1;
                at = self.places.get(&one.parent).copied();
            }
            let own = |at: &usize| self.all.get(*at).is_some_and(|one| one.walk == begin + 1);
            if let Some(met) = at.filter(own) {
                self.tell_one(met, report);
            }
        }
    }

    fn tell_one(&self, met: usize, report: &mut Report) {
        let above = |at: usize| {
            let parent = self.all.get(at).map(|one| &one.parent);
            parent.and_then(|parent| self.places.get(parent)).copied()
        };
        let ring = |from: usize| {
            let rest = std::iter::successors(above(from), move |at| above(*at));
            std::iter::once(from).chain(rest.take_while(move |at| *at != from))
        };
        let last = ring(met).max().unwrap_or(met);
        let names = ring(last).filter_map(|at| self.all.get(at));
        let names: Vec<&str> = names.map(|one| one.id.as_ref()).collect();
        if let Some(one) = self.all.get(last) {
            report.document = format!("resource {}", one.id);
            let problem = format!("{} would stand below itself: {}", one.id, path(names));
            let hint = "leave `parent` out of one of them";
            report.hint("parent", one.mark, problem, hint);
        }
    }
}

/// The ring from its last member back to it, a long one with its middle left out.
fn path(mut names: Vec<&str>) -> String {
    names.extend(names.first().copied());
    if names.len() > TOLD {
        let end = names.split_off(names.len() - 2);
        names.truncate(TOLD - 3);
        names.push("…");
        names.extend(end);
    }
    names.join(" below ")
}

fn mark(node: &Node) -> Mark {
    let NodeKind::Map(entries) = &node.kind else {
        return node.mark;
    };
    let parent = entries
        .iter()
        .find(|(key, _)| key.scalar() == Some("parent"));
    parent.map_or(node.mark, |(_, value)| value.mark)
}
