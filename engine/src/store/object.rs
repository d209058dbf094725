//! [`BucketStore`]: snapshots as objects behind the S3 API, `PREFIX/JOURNAL/shard-00003/shard-00003-….snapshot`.
//!
//! An object is there whole or not at all: one `PUT`, or an upload in parts that is completed at the end. What it holds is
//! checked all the same, as in a folder. Everything runs on the engine's own runtime: a shard that ends takes no
//! connection along, and a large snapshot is packed on no shard's thread.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, ObjectStore, ObjectStoreExt as _, PutPayload, RetryConfig, WriteMultipart,
};
use tidegate_actors::port::{PortError, PortErrorKind, PortFuture, SnapshotName, SnapshotStore};
use tidegate_proto::record::Partition;
use tidegate_proto::time::Timestamp;
use tokio::runtime::Handle;

use super::format::{decode, encode, file_name, name_of};
use super::{BucketSettings, Snapshots};
use crate::log::offload;

/// Bytes beyond which an object goes up in parts of this size.
const PART_BYTES: usize = 16 << 20;
/// Parts on their way at once.
const PARTS: usize = 4;
const RETRIES: usize = 4;
const CONNECT: Duration = Duration::from_secs(5);
/// How long what is known of a shard's newest snapshot is told without asking again.
const FRESH: Duration = Duration::from_secs(60);

/// When a shard's newest snapshot was written, and when that was asked.
type Newest = BTreeMap<Partition, (Option<Timestamp>, Instant)>;

/// Snapshots in a bucket.
#[derive(Clone)]
pub struct BucketStore {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// Snapshots of a shard that are kept.
    kept: usize,
    part_bytes: usize,
    runtime: Handle,
    newest: Arc<Mutex<Newest>>,
}

impl fmt::Debug for BucketStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketStore({} {})", self.store, self.prefix)
    }
}

impl BucketStore {
    /// A store in a bucket; the first request comes with the first snapshot. Credentials come from the environment. The
    /// newest `kept` snapshots of each shard stay.
    ///
    /// # Errors
    /// When the settings do not fit together.
    pub fn open(settings: &BucketSettings, journal: &str, kept: usize) -> Result<Self, PortError> {
        let options = ClientOptions::new()
            .with_timeout(settings.timeout)
            .with_connect_timeout(CONNECT);
        let retries = RetryConfig {
            max_retries: RETRIES,
            retry_timeout: settings.timeout,
            ..RetryConfig::default()
        };
        let mut builder = AmazonS3Builder::from_env()
            .with_client_options(options)
            .with_bucket_name(&settings.bucket)
            .with_allow_http(settings.allow_http)
            .with_virtual_hosted_style_request(settings.virtual_hosted)
            .with_retry(retries);
        if let Some(endpoint) = &settings.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        let store = builder.build().map_err(|error| {
            let text = format!("the bucket {}: {error}", settings.bucket);
            PortError::new(PortErrorKind::Refused, text)
        })?;
        let prefix = Path::from(settings.prefix.as_str());
        Self::over(Arc::new(store), prefix.join(journal), kept)
    }

    /// The same over any object store.
    ///
    /// # Errors
    /// Outside of a runtime.
    pub fn over(store: Arc<dyn ObjectStore>, prefix: Path, kept: usize) -> Result<Self, PortError> {
        let runtime = Handle::try_current().map_err(|error| {
            let text = format!("a store in a bucket needs a runtime: {error}");
            PortError::new(PortErrorKind::Closed, text)
        })?;
        Ok(Self {
            store,
            prefix,
            kept: kept.max(1),
            part_bytes: PART_BYTES,
            runtime,
            newest: Arc::default(),
        })
    }

    /// The same, where objects larger than this go up in parts of this size (a bucket takes no parts below 5 MiB).
    #[must_use]
    pub const fn in_parts_of(mut self, bytes: usize) -> Self {
        self.part_bytes = bytes;
        self
    }

    fn folder(&self, shard: Partition) -> Path {
        self.prefix.clone().join(format!("shard-{shard:05}"))
    }

    fn path(&self, name: SnapshotName) -> Path {
        self.folder(name.shard).join(file_name(name))
    }

    fn known(&self) -> MutexGuard<'_, Newest> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs on the engine's runtime, and to its end, whoever waits.
    fn run<'a, T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, PortError>> + Send + 'static,
    ) -> PortFuture<'a, T> {
        let task = self.runtime.spawn(work);
        Box::pin(async move {
            task.await.unwrap_or_else(|failure| {
                let text = format!("the bucket was not asked to the end: {failure}");
                Err(PortError::new(PortErrorKind::Unavailable, text).in_doubt())
            })
        })
    }

    /// A shard's snapshots, newest first, each with the time when it was written.
    async fn names(&self, shard: Partition) -> Result<Vec<(SnapshotName, Timestamp)>, PortError> {
        let folder = self.folder(shard);
        let found = self.store.list(Some(&folder));
        let found: Vec<_> = found
            .try_collect()
            .await
            .map_err(|error| failed("listing snapshots in", &folder, &error))?;
        let named = found.into_iter().filter_map(|object| {
            let name = name_of(object.location.filename()?)?;
            let written = Timestamp(object.last_modified.timestamp_millis());
            (name.shard == shard).then_some((name, written))
        });
        let mut names: Vec<_> = named.collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        let newest = names.first().map(|(_, written)| *written);
        self.known().insert(shard, (newest, Instant::now()));
        Ok(names)
    }

    async fn upload(&self, path: &Path, header: Vec<u8>, body: Vec<u8>) -> Result<(), Error> {
        let parts = [Bytes::from(header), Bytes::from(body)];
        if parts.iter().map(Bytes::len).sum::<usize>() <= self.part_bytes {
            let whole = PutPayload::from_iter(parts);
            return self.store.put(path, whole).await.map(|_| ());
        }
        let upload = self.store.put_multipart(path).await?;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, self.part_bytes);
        for mut bytes in parts {
            while !bytes.is_empty() {
                if let Err(error) = upload.wait_for_capacity(PARTS).await {
                    // Parts that nobody completes cost money.
                    let _ = upload.abort().await;
                    return Err(error);
                }
                upload.put(bytes.split_to(bytes.len().min(self.part_bytes)));
            }
        }
        upload.finish().await.map(|_| ())
    }

    async fn write(&self, name: SnapshotName, bytes: Vec<u8>) -> Result<(), PortError> {
        let path = self.path(name);
        let (header, body) = offload(move || Ok(encode(name, bytes))).await?;
        self.upload(&path, header, body)
            .await
            .map_err(|error| failed("writing snapshot", &path, &error))?;
        for (old, _) in self.names(name.shard).await?.into_iter().skip(self.kept) {
            let path = self.path(old);
            if let Err(error) = self.store.delete(&path).await {
                tracing::warn!(%error, %path, "an old snapshot was not removed");
            }
        }
        Ok(())
    }

    async fn read(&self, name: SnapshotName) -> Result<Vec<u8>, PortError> {
        let path = self.path(name);
        let failed = |error: Error| failed("reading snapshot", &path, &error);
        let object = self.store.get(&path).await.map_err(failed)?;
        let object = object.bytes().await.map_err(failed)?;
        let what = path.to_string();
        offload(move || {
            decode(name, &object).map_err(|reason| {
                let text = format!("snapshot {what} is damaged: {reason}");
                PortError::new(PortErrorKind::Corrupt, text)
            })
        })
        .await
    }
}

fn failed(doing: &str, path: &Path, error: &Error) -> PortError {
    let kind = match error {
        Error::NotFound { .. } => PortErrorKind::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => PortErrorKind::Refused,
        _ => PortErrorKind::Unavailable,
    };
    PortError::new(kind, format!("{doing} {path}: {error}"))
}

impl SnapshotStore for BucketStore {
    fn put(&self, name: SnapshotName, bytes: Vec<u8>) -> PortFuture<'_, ()> {
        let store = self.clone();
        self.run(async move { store.write(name, bytes).await })
    }

    fn list(&self, shard: Partition) -> PortFuture<'_, Vec<SnapshotName>> {
        let store = self.clone();
        self.run(async move {
            let names = store.names(shard).await?;
            Ok(names.into_iter().map(|(name, _)| name).collect())
        })
    }

    fn get(&self, name: SnapshotName) -> PortFuture<'_, Vec<u8>> {
        let store = self.clone();
        self.run(async move { store.read(name).await })
    }

    fn set_aside(&self, name: SnapshotName) -> PortFuture<'_, ()> {
        let store = self.clone();
        self.run(async move {
            let path = store.path(name);
            let aside = store
                .folder(name.shard)
                .join(format!("{}.corrupt", file_name(name)));
            tracing::warn!(path = %aside, "a damaged snapshot is set aside; the one before is used, or the journal alone");
            let moved = store.store.rename(&path, &aside).await;
            moved.map_err(|error| failed("setting aside snapshot", &path, &error))
        })
    }
}

impl Snapshots for BucketStore {
    fn newest(&self, shard: Partition) -> PortFuture<'_, Option<Timestamp>> {
        let known = self.known().get(&shard).copied();
        let fresh = known.filter(|(_, asked)| asked.elapsed() < FRESH);
        let store = self.clone();
        match fresh {
            Some((written, _)) => Box::pin(std::future::ready(Ok(written))),
            None => self.run(async move {
                let names = store.names(shard).await?;
                Ok(names.first().map(|(_, written)| *written))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn name(shard: u32, journal: i64) -> SnapshotName {
        SnapshotName { shard, journal }
    }

    #[tokio::test]
    async fn the_newest_are_kept_and_damage_is_set_aside() {
        let memory = Arc::new(InMemory::new());
        let any = Arc::clone(&memory) as Arc<dyn ObjectStore>;
        let store = BucketStore::over(any, Path::from("a/tidegate.journal"), 3).unwrap();
        assert_eq!(store.newest(1).await.unwrap(), None);
        for journal in [5, 100, 20, 7, 9] {
            store
                .put(name(1, journal), vec![journal as u8; 9])
                .await
                .unwrap();
        }
        store.put(name(11, 4), vec![4]).await.unwrap();
        let kept = [name(1, 100), name(1, 20), name(1, 9)];
        assert_eq!(store.list(1).await.unwrap(), kept);
        assert_eq!(store.list(11).await.unwrap(), [name(11, 4)]);
        assert_eq!(store.get(name(1, 20)).await.unwrap(), [20; 9]);
        assert!(store.newest(1).await.unwrap().is_some());
        let gone = store.get(name(1, 5)).await.unwrap_err();
        assert_eq!(gone.kind, PortErrorKind::NotFound);

        // Torn: the last byte is missing.
        let path =
            Path::from("a/tidegate.journal/shard-00001/shard-00001-0000000000000000100.snapshot");
        let whole = memory.get(&path).await.unwrap().bytes().await.unwrap();
        let torn = whole.slice(..whole.len() - 1);
        memory.put(&path, torn.into()).await.unwrap();
        let damaged = store.get(name(1, 100)).await.unwrap_err();
        assert_eq!(damaged.kind, PortErrorKind::Corrupt);
        store.set_aside(name(1, 100)).await.unwrap();
        assert_eq!(store.list(1).await.unwrap(), [name(1, 20), name(1, 9)]);
        let aside = format!("{path}.corrupt");
        assert!(memory.get(&Path::from(aside)).await.is_ok());
    }

    #[tokio::test]
    async fn large_ones_go_up_in_parts() {
        let store = Arc::new(InMemory::new());
        let store = BucketStore::over(store, Path::default(), 3).unwrap();
        let store = store.in_parts_of(100);
        let bytes: Vec<u8> = (0..1_000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
        store.put(name(0, 1), bytes.clone()).await.unwrap();
        assert_eq!(store.get(name(0, 1)).await.unwrap(), bytes);
    }
}
