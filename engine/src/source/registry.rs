//! [`Registry`]: schemas from a schema registry over REST, kept in a bounded cache. A schema never changes under its id.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use tokio::time::Instant;

use super::Unread;
use super::avro::AvroSchema;
use super::framing::SchemaName;
use super::protobuf::ProtobufSchema;
use crate::api::encode;

/// Bytes of one answer.
const ANSWER_BYTES: usize = 4 << 20;
/// Schemas that one schema may lead to.
const REFERENCES: usize = 256;
/// How long it is believed that a schema is not there.
const MISSING: Duration = Duration::from_secs(30);

/// `[registry]`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Where it is: `https://registry:8081`; empty: there is none.
    pub url: String,
    /// User, if it wants one.
    pub user: String,
    /// The user's password.
    pub secret: String,
    /// Longest time of one request.
    pub timeout: Duration,
    /// Schemas that are kept.
    pub schemas: usize,
}

impl fmt::Debug for RegistrySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistrySettings")
            .field("url", &self.url)
            .field("user", &self.user)
            .field("schemas", &self.schemas)
            .finish_non_exhaustive()
    }
}

/// A schema that records are read with.
#[derive(Debug)]
pub(super) enum Schema {
    Avro(AvroSchema),
    Protobuf(ProtobufSchema),
    /// JSON: says nothing about how to read it, and writers have checked it.
    Json,
}

impl Schema {
    /// What it is called.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Avro(_) => "Avro",
            Self::Protobuf(_) => "Protobuf",
            Self::Json => "JSON",
        }
    }
}

/// What is known of a schema, and when it was last asked for.
#[derive(Debug)]
struct Kept {
    used: u64,
    known: Result<Arc<Schema>, (String, Instant)>,
}

#[derive(Debug, Default)]
struct Cache {
    uses: u64,
    kept: BTreeMap<SchemaName, Kept>,
}

/// Schemas of a registry.
pub struct Registry {
    settings: RegistrySettings,
    client: Client,
    cache: Mutex<Cache>,
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Answer {
    schema: String,
    #[serde(default, rename = "schemaType")]
    kind: Option<String>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Clone, Deserialize)]
struct Reference {
    name: String,
    subject: String,
    version: i64,
}

impl Registry {
    /// A registry, if one is set.
    ///
    /// # Errors
    /// When a client cannot be set up.
    pub fn new(settings: &RegistrySettings) -> Result<Option<Self>, String> {
        if settings.url.is_empty() {
            return Ok(None);
        }
        let roots = rustls::RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .timeout(settings.timeout)
            .build()
            .map_err(|error| error.to_string())?;
        let mut settings = settings.clone();
        settings.url = settings.url.trim_end_matches('/').to_owned();
        Ok(Some(Self {
            settings,
            client,
            cache: Mutex::new(Cache::default()),
        }))
    }

    fn cached(&self, name: &SchemaName) -> Option<Result<Arc<Schema>, Unread>> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.uses += 1;
        let uses = cache.uses;
        let kept = cache.kept.get_mut(name)?;
        kept.used = uses;
        match &kept.known {
            Ok(schema) => Some(Ok(Arc::clone(schema))),
            Err((reason, since)) if since.elapsed() < MISSING => {
                Some(Err(Unread::Bad(reason.clone())))
            }
            Err(_) => None,
        }
    }

    fn keep(&self, name: SchemaName, known: Result<Arc<Schema>, (String, Instant)>) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.uses += 1;
        let used = cache.uses;
        cache.kept.insert(name, Kept { used, known });
        while cache.kept.len() > self.settings.schemas.max(1) {
            let oldest = cache.kept.iter().min_by_key(|(_, kept)| kept.used);
            let Some(oldest) = oldest.map(|(name, _)| *name) else {
                break;
            };
            cache.kept.remove(&oldest);
        }
    }

    /// A schema, from the cache or the registry.
    pub(super) async fn schema(&self, name: &SchemaName) -> Result<Arc<Schema>, Unread> {
        if let Some(known) = self.cached(name) {
            return known;
        }
        let fetched = self.fetch(name).await;
        match &fetched {
            Ok(schema) => self.keep(*name, Ok(Arc::clone(schema))),
            Err(Unread::Bad(reason)) => self.keep(*name, Err((reason.clone(), Instant::now()))),
            Err(Unread::Later(_)) => {}
        }
        fetched
    }

    async fn fetch(&self, name: &SchemaName) -> Result<Arc<Schema>, Unread> {
        let path = match name {
            SchemaName::Id(id) => format!("/schemas/ids/{id}"),
            SchemaName::Guid(_) => format!("/schemas/guids/{name}"),
        };
        let answer = self.ask(&path).await?;
        let references = self.references(&answer).await?;
        let texts = || references.iter().map(|(_, text)| text.clone());
        let read = match answer.kind.as_deref() {
            None | Some("AVRO") => {
                AvroSchema::parse(&texts().collect::<Vec<_>>(), &answer.schema).map(Schema::Avro)
            }
            Some("PROTOBUF") => {
                ProtobufSchema::parse(&references, &answer.schema).map(Schema::Protobuf)
            }
            Some("JSON") => Ok(Schema::Json),
            Some(other) => Err(format!("its type `{other}` is not known")),
        };
        read.map(Arc::new)
            .map_err(|problem| Unread::Bad(format!("schema {name}: {problem}")))
    }

    /// Everything that a schema refers to, deepest first.
    async fn references(&self, answer: &Answer) -> Result<Vec<(String, String)>, Unread> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut waiting: Vec<Reference> = answer.references.clone();
        while let Some(next) = waiting.pop() {
            if !seen.insert(next.name.clone()) {
                // Met again further down: what stands on it comes later.
                if let Some(at) = found.iter().position(|(name, _)| *name == next.name) {
                    let moved = found.remove(at);
                    found.push(moved);
                }
                continue;
            }
            if seen.len() > REFERENCES {
                return Err(Unread::Bad(format!(
                    "a schema that leads to more than {REFERENCES} others"
                )));
            }
            let path = format!(
                "/subjects/{}/versions/{}",
                encode(&next.subject),
                next.version
            );
            let answer = self.ask(&path).await?;
            found.push((next.name, answer.schema));
            waiting.extend(answer.references);
        }
        found.reverse();
        Ok(found)
    }

    async fn ask(&self, path: &str) -> Result<Answer, Unread> {
        let later = |problem: String| Unread::Later(format!("the schema registry: {problem}"));
        let mut request = self.client.get(format!("{}{path}", self.settings.url));
        request = request.header("accept", "application/vnd.schemaregistry.v1+json");
        if !self.settings.user.is_empty() {
            request = request.basic_auth(&self.settings.user, Some(&self.settings.secret));
        }
        let sent = request.send().await;
        let mut response = sent.map_err(|error| later(error.without_url().to_string()))?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| later(error.without_url().to_string()))?
        {
            if body.len() + chunk.len() > ANSWER_BYTES {
                return Err(Unread::Bad(format!(
                    "`{path}` has more than {ANSWER_BYTES} bytes"
                )));
            }
            body.extend_from_slice(&chunk);
        }
        match status.as_u16() {
            200 => serde_json::from_slice(&body)
                .map_err(|error| later(format!("`{path}` answered what is no schema: {error}"))),
            404 => Err(Unread::Bad(format!("the schema registry has no `{path}`"))),
            _ => Err(later(format!("`{path}` answered {status}"))),
        }
    }
}
