//! A small bucket behind the S3 API, enough for snapshots: put, parts, get, list in pages, copy, delete. Signatures are not
//! computed again, but a request without one is refused. It remembers what was read, and can be told to fail and to tear.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};

/// What one page of a list holds: few, so that lists have pages.
const PAGE: usize = 2;
/// Credentials of whoever may come in.
pub const KEY: &str = "test-key";

#[derive(Debug, Default)]
struct Inside {
    objects: BTreeMap<String, Bytes>,
    /// Parts of uploads that are not completed, by upload and number.
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    begun: u32,
    read: Vec<String>,
    failing: u32,
}

type Shared = Arc<Mutex<Inside>>;
type Asked = BTreeMap<String, String>;

/// A running bucket of the name `test`.
#[derive(Clone, Debug)]
pub struct Bucket {
    /// `http://127.0.0.1:PORT`.
    pub endpoint: String,
    inside: Shared,
}

impl Bucket {
    /// Starts it; it ends with the runtime.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start() -> Self {
        let inside = Shared::default();
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&inside));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("a socket has an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            endpoint: format!("http://{address}"),
            inside,
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("nobody panicked in it")
    }

    /// Settings of an engine that keeps its snapshots here.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("TIDEGATE_SNAPSHOTS__URL", "s3://test/some/where".to_owned()),
            ("TIDEGATE_SNAPSHOTS__ENDPOINT", self.endpoint.clone()),
            ("TIDEGATE_SNAPSHOTS__ALLOW_HTTP", "true".to_owned()),
            ("AWS_ACCESS_KEY_ID", KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
        ]
    }

    /// Names of all objects, in order.
    pub fn names(&self) -> Vec<String> {
        self.inside().objects.keys().cloned().collect()
    }

    /// Names of the objects that were read so far.
    pub fn read(&self) -> Vec<String> {
        self.inside().read.clone()
    }

    /// Uploads that were begun and neither completed nor given up.
    pub fn open_uploads(&self) -> usize {
        self.inside().uploads.len()
    }

    /// Cuts the end off an object.
    ///
    /// # Panics
    /// When it is not there.
    pub fn tear(&self, name: &str) {
        let mut inside = self.inside();
        let object = inside.objects.get_mut(name).expect("it is there");
        object.truncate(object.len() / 2);
    }

    /// The next requests fail, as a store does that is overloaded.
    pub fn fail(&self, requests: u32) {
        self.inside().failing = requests;
    }
}

async fn answer(
    State(inside): State<Shared>,
    method: Method,
    uri: Uri,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let mut inside = inside.lock().expect("nobody panicked in it");
    if inside.failing > 0 {
        inside.failing -= 1;
        return say(
            StatusCode::SERVICE_UNAVAILABLE,
            "<Error><Code>SlowDown</Code></Error>",
        );
    }
    let signed = format!("AWS4-HMAC-SHA256 Credential={KEY}/");
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if !header("authorization").is_some_and(|value| value.starts_with(&signed)) {
        return say(
            StatusCode::FORBIDDEN,
            "<Error><Code>AccessDenied</Code></Error>",
        );
    }
    let path = uri.path().trim_start_matches('/');
    let key = match path.split_once('/') {
        Some(("test", key)) => key.to_owned(),
        None if path == "test" => String::new(),
        _ => {
            return say(
                StatusCode::NOT_FOUND,
                "<Error><Code>NoSuchBucket</Code></Error>",
            );
        }
    };
    match method {
        Method::GET if key.is_empty() => inside.list(&asked),
        Method::GET => inside.get(&key),
        Method::PUT => match header("x-amz-copy-source") {
            Some(from) => inside.copy(from, key),
            None => inside.put(key, &asked, body),
        },
        Method::POST if asked.contains_key("delete") => inside.delete_all(&body),
        Method::POST => inside.upload(key, &asked),
        Method::DELETE => {
            match asked.get("uploadId") {
                Some(upload) => drop(inside.uploads.remove(upload)),
                None => drop(inside.objects.remove(&key)),
            }
            say(StatusCode::NO_CONTENT, "")
        }
        _ => say(StatusCode::METHOD_NOT_ALLOWED, ""),
    }
}

fn say(status: StatusCode, text: &str) -> Response<Body> {
    let response = Response::builder().status(status).header("ETag", "\"tag\"");
    let response = response.header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT");
    response
        .body(Body::from(text.to_owned()))
        .expect("a response can be made")
}

impl Inside {
    fn list(&self, asked: &Asked) -> Response<Body> {
        let text = |name: &str| asked.get(name).cloned().unwrap_or_default();
        let (prefix, after) = (text("prefix"), text("continuation-token"));
        let all = self.objects.iter();
        let mut found = all.filter(|(name, _)| name.starts_with(&prefix) && **name > after);
        let page: Vec<_> = found.by_ref().take(PAGE).collect();
        let mut said = String::from("<ListBucketResult>");
        for (name, object) in &page {
            said.push_str(&format!(
                "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"tag\"</ETag><Size>{}</Size></Contents>",
                object.len()
            ));
        }
        if let (Some((last, _)), Some(_)) = (page.last(), found.next()) {
            said.push_str(&format!(
                "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
            ));
        }
        said.push_str("</ListBucketResult>");
        say(StatusCode::OK, &said)
    }

    fn get(&mut self, key: &str) -> Response<Body> {
        let Some(object) = self.objects.get(key).cloned() else {
            return say(
                StatusCode::NOT_FOUND,
                "<Error><Code>NoSuchKey</Code></Error>",
            );
        };
        self.read.push(key.to_owned());
        let mut response = say(StatusCode::OK, "");
        *response.body_mut() = Body::from(object);
        response
    }

    fn put(&mut self, key: String, asked: &Asked, body: Bytes) -> Response<Body> {
        let number = asked
            .get("partNumber")
            .and_then(|number| number.parse().ok());
        match (asked.get("uploadId"), number) {
            (Some(upload), Some(number)) => match self.uploads.get_mut(upload) {
                Some(parts) => drop(parts.insert(number, body)),
                None => return say(StatusCode::NOT_FOUND, ""),
            },
            _ => drop(self.objects.insert(key, body)),
        }
        say(StatusCode::OK, "")
    }

    fn copy(&mut self, from: &str, key: String) -> Response<Body> {
        let from = from.trim_start_matches('/').trim_start_matches("test/");
        let Some(object) = self.objects.get(from).cloned() else {
            return say(
                StatusCode::NOT_FOUND,
                "<Error><Code>NoSuchKey</Code></Error>",
            );
        };
        self.objects.insert(key, object);
        say(
            StatusCode::OK,
            "<CopyObjectResult><ETag>\"tag\"</ETag></CopyObjectResult>",
        )
    }

    fn upload(&mut self, key: String, asked: &Asked) -> Response<Body> {
        let Some(upload) = asked.get("uploadId") else {
            self.begun += 1;
            let upload = format!("upload-{}", self.begun);
            self.uploads.insert(upload.clone(), BTreeMap::new());
            let said = format!(
                "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
            );
            return say(StatusCode::OK, &said);
        };
        let Some(parts) = self.uploads.remove(upload) else {
            return say(
                StatusCode::NOT_FOUND,
                "<Error><Code>NoSuchUpload</Code></Error>",
            );
        };
        let whole: Vec<u8> = parts.into_values().flatten().collect();
        self.objects.insert(key, whole.into());
        say(
            StatusCode::OK,
            "<CompleteMultipartUploadResult><ETag>\"tag\"</ETag></CompleteMultipartUploadResult>",
        )
    }

    fn delete_all(&mut self, body: &[u8]) -> Response<Body> {
        let body = String::from_utf8_lossy(body);
        let mut said = String::from("<DeleteResult>");
        for part in body.split("<Key>").skip(1) {
            let key = part.split("</Key>").next().unwrap_or_default();
            self.objects.remove(key);
            said.push_str(&format!("<Deleted><Key>{key}</Key></Deleted>"));
        }
        said.push_str("</DeleteResult>");
        say(StatusCode::OK, &said)
    }
}
