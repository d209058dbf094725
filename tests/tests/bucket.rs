//! Snapshots in a bucket: what the store promises over the S3 API, and a worker with an empty data folder that begins with
//! what another one left there.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tidegate::config::{Config, Sources};
use tidegate::store::{BucketSettings, BucketStore, SnapshotPlace, Snapshots as _};
use tidegate_actors::port::{PortErrorKind, SnapshotName, SnapshotStore as _};
use tidegate_tests::broker::Broker;
use tidegate_tests::bucket::{Bucket, KEY};
use tidegate_tests::group::{Group, eventually, submit};
use tidegate_tests::process::Process;

fn store(bucket: &Bucket) -> BucketStore {
    let settings = BucketSettings {
        bucket: "test".into(),
        prefix: "some/where".into(),
        endpoint: Some(bucket.endpoint.clone()),
        allow_http: true,
        timeout: Duration::from_secs(20),
        ..BucketSettings::default()
    };
    BucketStore::open(&settings, "tidegate.journal", 3).unwrap()
}

const fn name(journal: i64) -> SnapshotName {
    SnapshotName { shard: 2, journal }
}

fn path(journal: i64) -> String {
    format!("some/where/tidegate.journal/shard-00002/shard-00002-{journal:019}.snapshot")
}

/// The credentials of the environment are those of the whole process: one test has all of it.
#[test]
fn what_is_kept_in_a_bucket() {
    // The only way in which a child process's environment is this one's: run the same test again with it.
    if std::env::var("AWS_ACCESS_KEY_ID").is_err() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["what_is_kept_in_a_bucket", "--exact", "--nocapture"])
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        kept().await;
        damaged().await;
        large().await;
        disturbed().await;
    });
}

async fn kept() {
    let bucket = Bucket::start().await;
    let store = store(&bucket);
    assert_eq!(store.list(2).await.unwrap(), []);
    for journal in [5, 100, 20, 7, 9] {
        store.put(name(journal), vec![7; 1_000]).await.unwrap();
    }
    // The list has two pages.
    assert_eq!(store.list(2).await.unwrap(), [name(100), name(20), name(9)]);
    assert_eq!(bucket.names(), [path(9), path(20), path(100)]);
    assert_eq!(store.get(name(20)).await.unwrap(), vec![7; 1_000]);
    assert!(store.newest(2).await.unwrap().is_some());
    let gone = store.get(name(5)).await.unwrap_err();
    assert_eq!(gone.kind, PortErrorKind::NotFound);
    // A bucket can hold the snapshots of several groups.
    assert_eq!(store.list(1).await.unwrap(), []);
}

async fn damaged() {
    let bucket = Bucket::start().await;
    let store = store(&bucket);
    store.put(name(1), b"one".to_vec()).await.unwrap();
    store.put(name(2), b"two".to_vec()).await.unwrap();
    bucket.tear(&path(2));
    let damaged = store.get(name(2)).await.unwrap_err();
    assert_eq!(damaged.kind, PortErrorKind::Corrupt);
    store.set_aside(name(2)).await.unwrap();
    assert_eq!(store.list(2).await.unwrap(), [name(1)]);
    assert_eq!(bucket.names(), [path(1), format!("{}.corrupt", path(2))]);
}

async fn large() {
    let bucket = Bucket::start().await;
    let store = store(&bucket).in_parts_of(1_000);
    let bytes: Vec<u8> = (0..3_000_u32).flat_map(|n| (n * n).to_le_bytes()).collect();
    store.put(name(1), bytes.clone()).await.unwrap();
    assert_eq!(store.get(name(1)).await.unwrap(), bytes);
    assert_eq!(bucket.open_uploads(), 0);
}

async fn disturbed() {
    let bucket = Bucket::start().await;
    let store = store(&bucket);
    bucket.fail(2);
    store.put(name(1), b"one".to_vec()).await.unwrap();
    assert_eq!(store.get(name(1)).await.unwrap(), b"one");
    bucket.fail(100);
    let failed = store.get(name(1)).await.unwrap_err();
    assert_eq!(failed.kind, PortErrorKind::Unavailable);
}

/// A worker with an empty data folder begins with the newest snapshot that is whole, not with the beginning of the journal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_worker_begins_with_what_is_shared() {
    let Some(broker) = Broker::at_hand() else {
        return;
    };
    let bucket = Bucket::start().await;
    let mut group = Group::new(&broker, "bucket");
    for (setting, value) in bucket.settings() {
        group = group.with(setting, &value);
    }
    let first = group.start("a").await;
    let rule = "kind: Rule\nname: many\nfor: all\nwhen: count(t, \"1d\") >= 3.0\nthen: [ { alarm: { severity: MAJOR } } ]";
    submit(&first, rule).await;
    // Rows of the past would have left the window before the second one comes.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    let heat = |number: i64| {
        let event = json!({ "resource": "d1", "time": now + number, "values": { "t": number } });
        ("d1".to_owned(), event.to_string())
    };
    let shown = async |worker: &Process, number: i64| {
        let url = format!("{}/v1/resources/d1", worker.url);
        let twin = group.client.get(url).send().await.ok()?;
        let twin: Value = twin.json().await.ok()?;
        let value = twin["metrics"]["t"]["value"].as_f64();
        (value == Some(number as f64)).then_some(())
    };
    broker.produce(&group.topic("inbox"), &[heat(1)]);
    eventually("the first event", async || shown(&first, 1).await).await;
    assert!(first.stop().success());
    broker.produce(&group.topic("inbox"), &[heat(2)]);
    let second = group.start("b").await;
    eventually("the second event", async || shown(&second, 2).await).await;
    let shard_of = |names: &[String]| {
        let mut names = names.to_vec();
        names.retain(|name| !name.ends_with(".corrupt"));
        names
    };
    let begun_with = shard_of(&bucket.read());
    assert_eq!(begun_with.len(), 4, "each shard read one: {begun_with:?}");
    assert!(second.stop().success());

    // The newest of every shard is torn: the one before is used, and the journal makes up for it.
    let mut newest: std::collections::BTreeMap<String, String> = std::collections::BTreeMap::new();
    for name in bucket.names() {
        let folder = name.rsplit_once('/').unwrap().0.to_owned();
        newest.insert(folder, name);
    }
    newest.values().for_each(|name| bucket.tear(name));
    let third = group.start("c").await;
    broker.produce(&group.topic("inbox"), &[heat(3)]);
    eventually("the third in a row", async || {
        let results = group.results();
        (results.len() == 1 && results[0].1["kind"] == "raised").then_some(())
    })
    .await;
    let aside = bucket
        .names()
        .into_iter()
        .filter(|name| name.ends_with(".corrupt"));
    assert_eq!(aside.count(), newest.len());
    assert!(third.stop().success());
}

#[test]
fn places_of_snapshots_are_checked_at_the_start() {
    let load = |settings: &[(&'static str, &str)]| {
        let all = [("kafka.brokers", "b:9092")];
        let all = all.iter().chain(settings);
        let sources = Sources {
            flags: all
                .map(|(setting, value)| (*setting, (*value).to_owned(), "--set"))
                .collect(),
            ..Sources::default()
        };
        let loaded = Config::load(&sources).map_err(|error| error.to_string());
        loaded.map(|(config, _)| config.snapshots)
    };
    assert_eq!(load(&[]), Ok(SnapshotPlace::Data));
    let folder = load(&[("snapshots.url", "file:///srv/snapshots")]);
    assert_eq!(folder, Ok(SnapshotPlace::Folder("/srv/snapshots".into())));
    let bucket = load(&[
        ("snapshots.url", "s3://plant/some/where/"),
        ("snapshots.endpoint", "http://127.0.0.1:9000"),
        ("snapshots.allow_http", "true"),
        ("kafka.standbys", "1"),
    ]);
    let Ok(SnapshotPlace::Bucket(bucket)) = bucket else {
        panic!("{bucket:?}");
    };
    assert_eq!((&*bucket.bucket, &*bucket.prefix), ("plant", "some/where"));
    assert_eq!(bucket.region, None);
    for (settings, said) in [
        (vec![("snapshots.url", "file://here")], "no whole path"),
        (
            vec![("snapshots.url", "gs://plant")],
            "no place for snapshots",
        ),
        (
            vec![("snapshots.url", "s3://No_Bucket/x")],
            "no name of a bucket",
        ),
        (
            vec![
                ("snapshots.url", "s3://plant"),
                ("snapshots.endpoint", "http://127.0.0.1:9000"),
            ],
            "has no TLS",
        ),
        (
            vec![
                ("snapshots.url", "s3://plant"),
                ("snapshots.endpoint", "here"),
            ],
            "is not a URL",
        ),
        (vec![("kafka.standbys", "1")], "set `snapshots.url`"),
        (
            vec![("kafka.brokers", ""), ("snapshots.url", "s3://plant")],
            "is for workers on Kafka",
        ),
    ] {
        let told = load(&settings).unwrap_err();
        assert!(told.contains(said), "{settings:?}: {told}");
    }
}
