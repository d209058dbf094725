//! Reads one partition of the actions topic and hands its records on, in order, as fast as they are taken.

use std::time::Duration;

use tidegate_actors::port::{Entry, PortError, PortErrorKind, ReadLimit, TopicPartition};
use tidegate_proto::record::Offset;
use tokio::sync::mpsc;

use super::dispatcher::World;

/// Wait after a read that failed, and after an empty read of a partition that says it has more.
const PAUSE: Duration = Duration::from_millis(500);
/// Bytes that one read brings at most.
const READ_BYTES: usize = 4 << 20;

/// Reads from `position` on until nobody takes any more.
pub(super) async fn read(
    world: &World,
    place: &TopicPartition,
    mut position: Offset,
    into: mpsc::Sender<Vec<Entry>>,
) {
    let limit = ReadLimit {
        records: world.settings.read_records,
        bytes: READ_BYTES,
    };
    loop {
        let problem = match world.log.read(place, position, limit).await {
            Ok(slice) => match slice.entries.last() {
                Some(last) => {
                    position = last.offset + 1;
                    if into.send(slice.entries).await.is_err() {
                        return;
                    }
                    None
                }
                None if slice.end > position => {
                    tokio::time::sleep(PAUSE).await;
                    None
                }
                None => world.log.grown(place, position).await.err(),
            },
            Err(error) if error.kind == PortErrorKind::OutOfRange => {
                moved(world, place, &mut position).await.err()
            }
            Err(error) => Some(error),
        };
        if let Some(error) = problem {
            tracing::warn!(%place, position, %error, "cannot read actions");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What cannot be read any more cannot be delivered: says so loudly and goes on with what is left.
async fn moved(
    world: &World,
    place: &TopicPartition,
    position: &mut Offset,
) -> Result<(), PortError> {
    let bounds = world.log.bounds(place).await?;
    let to = (*position).min(bounds.end).max(bounds.start);
    if to == *position {
        tokio::time::sleep(PAUSE).await;
        return Ok(());
    }
    tracing::error!(
        %place, from = *position, to,
        "actions were removed from the log before they were delivered; raise the retention of the actions topic"
    );
    *position = to;
    Ok(())
}
