//! How far deliveries of a partition are: committed for all of it, and for each handler that is further than that.
//!
//! One group for everything would make a handler that is away repeat the deliveries of all others after a restart. So a
//! handler that is ahead of the oldest unsettled action notes its own progress in a group of its own,
//! `GROUP.HANDLER`; while nobody is away, only the common group is written.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_actors::port::{PortError, TopicPartition};
use tidegate_proto::record::Offset;

use super::dispatcher::World;
use super::window::Window;

/// What is committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Everything before it is settled: where reading begins.
    pub(super) all: Offset,
    /// Everything of the handler before it is settled.
    handlers: BTreeMap<Arc<str>, Offset>,
}

impl Progress {
    /// What earlier runs committed.
    pub(super) async fn load(world: &World, place: &TopicPartition) -> Result<Self, PortError> {
        let bounds = world.log.bounds(place).await?;
        let all = world.log.committed(&world.topics.group, place).await?;
        let mut handlers = BTreeMap::new();
        for handler in world.lanes.keys() {
            let group = group_of(world, handler);
            let committed = world.log.committed(&group, place).await?;
            // A log that ends before what was committed was put back: what comes now is new.
            let done_to = committed.unwrap_or(0).min(bounds.end);
            handlers.insert(Arc::clone(handler), done_to);
        }
        Ok(Self {
            all: all.unwrap_or(bounds.start),
            handlers,
        })
    }

    /// What earlier runs settled of each handler.
    pub(super) fn by_handler(&self) -> impl Iterator<Item = (Arc<str>, Offset)> {
        self.handlers
            .iter()
            .map(|(handler, offset)| (Arc::clone(handler), *offset))
    }

    /// Notes how far the window is. After a failure less is noted than is done: that is delivered again.
    pub(super) async fn commit(
        &mut self,
        world: &World,
        place: &TopicPartition,
        window: &Window,
    ) -> Result<(), PortError> {
        let all = window.settled_to();
        // First those that are ahead: a crash in between then repeats nothing.
        for (handler, offset) in window.settled_by_handler() {
            let noted = self.handlers.get(handler).copied().unwrap_or(0);
            if offset > all.max(noted) {
                let note = vec![(place.clone(), offset)];
                world.log.commit(&group_of(world, handler), note).await?;
                self.handlers.insert(Arc::clone(handler), offset);
            }
        }
        if all > self.all {
            let note = vec![(place.clone(), all)];
            world.log.commit(&world.topics.group, note).await?;
            self.all = all;
            world.log.hold(place, all).await?;
        }
        Ok(())
    }
}

fn group_of(world: &World, handler: &str) -> String {
    format!("{}.{handler}", world.topics.group)
}
