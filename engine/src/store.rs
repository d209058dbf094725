//! Snapshot stores: where the shards' snapshots are kept.
//!
//! [`folder`] keeps them as files in a local folder, `object` in whatever speaks the S3 API; both in one [`format`], so
//! that what is torn or damaged is noticed in either.

pub mod folder;
mod format;
#[cfg(feature = "s3")]
pub mod object;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tidegate_actors::port::{PortError, PortFuture, SnapshotStore};
use tidegate_proto::record::Partition;
use tidegate_proto::time::Timestamp;

pub use folder::FolderStore;
#[cfg(feature = "s3")]
pub use object::BucketStore;

/// A store that also says how old its snapshots are, for people who look.
pub trait Snapshots: SnapshotStore + fmt::Debug {
    /// When the newest snapshot of a shard was written, as far as it is known without much asking.
    fn newest(&self, shard: Partition) -> PortFuture<'_, Option<Timestamp>>;
}

/// Where snapshots are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SnapshotPlace {
    /// In the data folder: each worker has its own.
    #[default]
    Data,
    /// In a folder that all workers reach.
    Folder(PathBuf),
    /// In a bucket that all workers reach.
    Bucket(BucketSettings),
}

/// A bucket behind the S3 API. Credentials are those of the environment (`AWS_ACCESS_KEY_ID` and so on).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Its name.
    pub bucket: String,
    /// What the names of our objects begin with.
    pub prefix: String,
    /// Where it is; `None`: at Amazon's, or what `AWS_ENDPOINT` says.
    pub endpoint: Option<String>,
    /// Its region; `None`: what `AWS_REGION` says.
    pub region: Option<String>,
    /// Whether an endpoint without TLS is meant.
    pub allow_http: bool,
    /// Whether the name of the bucket is part of the name of the host.
    pub virtual_hosted: bool,
    /// Longest time that one request may take.
    pub timeout: Duration,
}

/// Opens the store of a place. Snapshots of one journal topic stand together, so that several groups can share a place.
///
/// # Errors
/// A failing disk, or settings that a store cannot be made of.
pub fn open(
    place: &SnapshotPlace,
    data: &Path,
    journal: &str,
    kept: usize,
) -> Result<Arc<dyn Snapshots>, PortError> {
    match place {
        SnapshotPlace::Data => Ok(Arc::new(FolderStore::open(data, kept)?)),
        SnapshotPlace::Folder(folder) => {
            Ok(Arc::new(FolderStore::open(&folder.join(journal), kept)?))
        }
        #[cfg(feature = "s3")]
        SnapshotPlace::Bucket(settings) => {
            Ok(Arc::new(BucketStore::open(settings, journal, kept)?))
        }
        #[cfg(not(feature = "s3"))]
        SnapshotPlace::Bucket(_) => Err(PortError::new(
            tidegate_actors::port::PortErrorKind::Refused,
            WITHOUT_S3,
        )),
    }
}

/// What is said where a bucket is asked for and cannot be had.
#[cfg(not(feature = "s3"))]
pub(crate) const WITHOUT_S3: &str =
    "this build cannot keep snapshots in a bucket: build it with `--features s3`";
