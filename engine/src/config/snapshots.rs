//! `[snapshots]`: where they are kept.

use std::path::PathBuf;

use super::check::Reader;
use crate::store::{BucketSettings, SnapshotPlace};

const FORMS: &str =
    "write `file:///PATH` for a folder that all workers reach, or `s3://BUCKET/PREFIX`";

pub(super) fn snapshots(reader: &mut Reader<'_>, on_kafka: bool) -> SnapshotPlace {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let url = reader.text("snapshots.url", 0..=2048);
    let endpoint = some(reader.text("snapshots.endpoint", 0..=2048));
    let bucket = BucketSettings {
        endpoint: endpoint.clone(),
        region: some(reader.text("snapshots.region", 0..=64)),
        allow_http: reader.flag("snapshots.allow_http"),
        virtual_hosted: reader.flag("snapshots.virtual_hosted"),
        timeout: std::time::Duration::from_millis(
            u64::try_from(reader.span("snapshots.timeout", 100..=3_600_000).0).unwrap_or(30_000),
        ),
        ..BucketSettings::default()
    };
    if url.is_empty() {
        return SnapshotPlace::Data;
    }
    if !on_kafka {
        let text = "is for workers on Kafka: with the embedded log snapshots stand beside the log, in the data folder";
        reader.problem("snapshots.url", text.to_owned());
    }
    if let Some(endpoint) = endpoint {
        check_endpoint(reader, &endpoint, bucket.allow_http);
    }
    place(reader, &url, bucket)
}

fn place(reader: &mut Reader<'_>, url: &str, bucket: BucketSettings) -> SnapshotPlace {
    if let Some(folder) = url.strip_prefix("file://") {
        if folder.starts_with('/') {
            return SnapshotPlace::Folder(PathBuf::from(folder));
        }
        let text = format!("`{url}` has no whole path: {FORMS}");
        reader.problem("snapshots.url", text);
        return SnapshotPlace::Data;
    }
    let Some(rest) = url.strip_prefix("s3://") else {
        reader.problem(
            "snapshots.url",
            format!("`{url}` is no place for snapshots: {FORMS}"),
        );
        return SnapshotPlace::Data;
    };
    #[cfg(not(feature = "s3"))]
    reader.problem("snapshots.url", crate::store::WITHOUT_S3.to_owned());
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if !(3..=63).contains(&name.len()) || !name.chars().all(good) {
        let text = format!("`{name}` is no name of a bucket: 3 to 63 of a–z, 0–9, `-` and `.`");
        reader.problem("snapshots.url", text);
    }
    SnapshotPlace::Bucket(BucketSettings {
        bucket: name.to_owned(),
        prefix: prefix.trim_matches('/').to_owned(),
        ..bucket
    })
}

fn check_endpoint(reader: &mut Reader<'_>, endpoint: &str, allow_http: bool) {
    let scheme = reqwest::Url::parse(endpoint).map(|url| url.scheme().to_owned());
    let problem = match scheme.as_deref() {
        Ok("https") => return,
        Ok("http") if allow_http => return,
        Ok("http") => format!(
            "`{endpoint}` has no TLS: write `https://`, or set `snapshots.allow_http` in a network that is yours"
        ),
        _ => format!("`{endpoint}` is not a URL: write `https://HOST:PORT`"),
    };
    reader.problem("snapshots.endpoint", problem);
}
