//! Who is a member, kept up as resources and tasks change, against looking at everybody each time.

use proptest::prelude::*;

use super::*;

/// Resources `r0` to `r5`, of which any may stand below another.
const RESOURCES: u32 = 6;

fn id(resource: u32) -> Arc<str> {
    Arc::from(format!("r{resource}"))
}

#[derive(Clone, Debug)]
enum Act {
    /// A resource is this: parent, type, and whether it exists.
    Is(u32, Option<u32>, bool, bool),
    /// A task asks for children, for everything below, by type, by ids, or for nothing.
    Asks(u32, u32, u8),
}

fn act() -> impl Strategy<Value = Act> {
    let parent = proptest::option::of(0..RESOURCES);
    prop_oneof![
        (
            0..RESOURCES,
            parent,
            any::<bool>(),
            proptest::bool::weighted(0.9)
        )
            .prop_map(|(r, parent, kind, exists)| Act::Is(r, parent, kind, exists)),
        (0..3_u32, 0..RESOURCES, 0..6_u8).prop_map(|(task, of, form)| Act::Asks(task, of, form)),
    ]
}

fn criterion(of: u32, form: u8) -> Option<Criterion> {
    let none = Criterion::default();
    Some(match form {
        0 => return None,
        1 => Criterion {
            parent: Some(id(of)),
            ..none
        },
        2 => Criterion {
            under: Some(id(of)),
            ..none
        },
        3 => Criterion {
            kind: Some(Arc::from("t")),
            ..none
        },
        4 => Criterion {
            under: Some(id(of)),
            kind: Some(Arc::from("t")),
            ..none
        },
        _ => Criterion {
            ids: [id(of), id(0)].into_iter().collect(),
            ..none
        },
    })
}

/// All that is known, plainly.
#[derive(Default)]
struct World {
    traits: BTreeMap<u32, Traits>,
    asks: BTreeMap<u32, Criterion>,
}

impl World {
    /// Everything above a resource, by climbing.
    fn above(&self, of: &str, parents: &BTreeMap<Arc<str>, Arc<str>>) -> Vec<Arc<str>> {
        let mut found: Vec<Arc<str>> = Vec::new();
        let mut next = parents.get(of);
        while let Some(parent) = next.filter(|p| p.as_ref() != of && !found.contains(p)) {
            found.push(Arc::clone(parent));
            next = parents.get(parent);
        }
        found
    }

    fn feeds(&self, resource: u32, task: u32) -> bool {
        let parents = self.traits.iter();
        let parents = parents.filter_map(|(r, traits)| Some((id(*r), traits.parent.clone()?)));
        let parents: BTreeMap<_, _> = parents.collect();
        let (Some(traits), Some(asks)) = (self.traits.get(&resource), self.asks.get(&task)) else {
            return false;
        };
        asks.fits(&id(resource), traits, &self.above(&id(resource), &parents))
    }

    /// A resource is this from here on; those below it may fit elsewhere.
    fn set(
        &mut self,
        resource: u32,
        traits: Traits,
        exists: bool,
        groups: &mut Groups,
        moves: &mut Vec<Move>,
    ) {
        let moved = groups.kin.set(&id(resource), traits.parent.as_ref());
        if exists {
            self.traits.insert(resource, traits);
        } else {
            self.traits.remove(&resource);
        }
        let below = groups.kin.below(&id(resource));
        let known = self.traits.keys().copied();
        let below = known.filter(|r| moved && below.contains(&id(*r)));
        let again: Vec<u32> = std::iter::once(resource).chain(below).collect();
        let empty = Traits::default();
        for other in again {
            let stand = Stand {
                resource: other,
                id: id(other),
                traits: self.traits.get(&other).unwrap_or(&empty),
                above: groups.kin.above(&id(other)),
                exists: self.traits.contains_key(&other),
            };
            groups.refit(&stand, moves);
        }
    }

    fn stands(&self, groups: &Groups) -> Vec<Stand<'_>> {
        let known = self.traits.iter();
        let known = known.map(|(resource, traits)| Stand {
            resource: *resource,
            id: id(*resource),
            traits,
            above: groups.kin.above(&id(*resource)),
            exists: true,
        });
        known.collect()
    }
}

proptest! {
    #[test]
    fn members_are_those_whom_looking_at_everybody_finds(
        acts in proptest::collection::vec(act(), 1..60)
    ) {
        let mut groups = Groups {
            kin: Kin::default(),
            groups: [(0, Group::default())].into_iter().collect(),
        };
        let mut world = World::default();
        // What the moves have told, from nobody.
        let mut told: BTreeSet<(u32, u32)> = BTreeSet::new();
        for act in acts {
            let mut moves = Vec::new();
            match act {
                Act::Is(resource, parent, kind, exists) => {
                    let traits = Traits {
                        parent: parent.map(id).filter(|_| exists),
                        kind: kind.then(|| Arc::from("t")),
                        ..Traits::default()
                    };
                    world.set(resource, traits, exists, &mut groups, &mut moves);
                }
                Act::Asks(task, of, form) => {
                    let wanted = criterion(of, form);
                    match &wanted {
                        Some(wanted) => world.asks.insert(task, wanted.clone()),
                        None => world.asks.remove(&task),
                    };
                    let stands = world.stands(&groups);
                    if groups.ask((0, task), wanted, &stands) {
                        told.retain(|(of, _)| *of != task);
                        let members = groups.of(0, task).0.into_iter();
                        told.extend(members.map(|(_, resource)| (task, resource)));
                    }
                }
            }
            for moved in moves {
                if moved.joins {
                    prop_assert!(told.insert((moved.task, moved.resource)));
                } else {
                    prop_assert!(told.remove(&(moved.task, moved.resource)));
                }
            }
            for task in 0..3 {
                for resource in 0..RESOURCES {
                    let wanted = world.feeds(resource, task);
                    prop_assert_eq!(groups.feeds(0, resource, task), wanted, "{} {}", resource, task);
                    prop_assert_eq!(told.contains(&(task, resource)), wanted, "told {} {}", resource, task);
                }
            }
        }
    }
}
