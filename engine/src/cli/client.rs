//! [`Client`]: talks REST to an engine.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::failure::{Exit, Failure};
use crate::api::encode;

/// Entries of one page that is asked for.
const PAGE: usize = 1000;

/// Talks REST to an engine.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    server: String,
}

/// A problem as the server tells it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    /// What happened.
    pub(super) detail: String,
    /// All that is wrong with what was sent.
    pub(super) errors: Vec<ToldItem>,
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ToldItem {
    /// Path of the field.
    pub(super) path: String,
    /// Line from 1.
    pub(super) line: u32,
    /// Column from 1.
    pub(super) column: u32,
    /// What is wrong.
    pub(super) detail: String,
    /// How to mend it.
    pub(super) hint: String,
}

impl ToldItem {
    /// As a compiler would print it: `FILE:LINE:COLUMN: path: problem (hint)`.
    pub(super) fn at(&self, file: &str) -> String {
        let mut text = file.to_owned();
        if self.line > 0 {
            text.push_str(&format!(":{}", self.line));
            if self.column > 0 {
                text.push_str(&format!(":{}", self.column));
            }
        }
        if !self.path.is_empty() {
            text.push_str(&format!(": {}", self.path));
        }
        text.push_str(&format!(": {}", self.detail));
        if !self.hint.is_empty() {
            text.push_str(&format!(" ({})", self.hint));
        }
        text
    }
}

/// What the server refused.
#[derive(Clone, Debug)]
pub(super) struct Refused {
    /// Exit code.
    pub(super) exit: Exit,
    /// What it said.
    pub(super) told: Told,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        let lines: Vec<String> = refused
            .told
            .errors
            .iter()
            .map(|error| error.at("request"))
            .collect();
        let message = if lines.is_empty() {
            refused.told.detail
        } else {
            lines.join("\n")
        };
        Self {
            exit: refused.exit,
            message,
        }
    }
}

/// A path with a query.
pub(super) fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    format!("{path}?{}", pairs.join("&"))
}

impl Client {
    /// A client of the engine at this address.
    pub(super) fn new(server: &str) -> Result<Self, Failure> {
        let url = reqwest::Url::parse(server)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https"));
        if url.is_none() {
            return Err(Failure::usage(format!(
                "`{server}` is not a server: write a URL such as `http://127.0.0.1:7878`"
            )));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = rustls::RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Failure::new(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(Duration::from_secs(10))
            // The engine is on this machine or behind a name of its own; a proxy for the web has no part in it.
            .no_proxy()
            .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::new(format!("cannot make a client: {error}")))?;
        Ok(Self {
            http,
            server: server.trim_end_matches('/').to_owned(),
        })
    }

    /// A request to a path of the server.
    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.server))
    }

    /// Sends a request; a refusal is told apart from a server that cannot be reached.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
    ) -> Result<Result<Response, Refused>, Failure> {
        let response = request
            .send()
            .await
            .map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(Ok(response));
        }
        let exit = match status {
            StatusCode::NOT_FOUND => Exit::NotFound,
            StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => Exit::Conflict,
            _ => Exit::Failed,
        };
        let text = response.text().await.unwrap_or_default();
        let told = serde_json::from_str(&text).unwrap_or_else(|_| Told {
            detail: format!(
                "{} answered {status}: {}",
                self.server,
                text.chars().take(200).collect::<String>()
            ),
            errors: Vec::new(),
        });
        Ok(Err(Refused { exit, told }))
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let server = &self.server;
        let hint = if error.is_connect() {
            "; is `tidegate serve` running there? `--server URL` names another engine"
        } else {
            ""
        };
        Failure::new(format!("cannot reach {server}: {cause}{hint}"))
    }

    /// Sends a request that answers with JSON.
    pub(super) async fn json(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let response = self.send(request).await??;
        response
            .json()
            .await
            .map_err(|error| Failure::new(format!("{} sent no JSON: {error}", self.server)))
    }

    /// What is at a path.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(self.request(Method::GET, path)).await
    }

    /// All entries of a list, page by page; `query` without cursor and size.
    pub(super) async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        most: Option<usize>,
    ) -> Result<Vec<Value>, Failure> {
        let mut items: Vec<Value> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let left = most.map_or(PAGE, |most| most.saturating_sub(items.len()).min(PAGE));
            if left == 0 {
                return Ok(items);
            }
            let limit = left.to_string();
            let mut all = query.to_vec();
            all.push(("limit", &limit));
            all.extend(after.as_deref().map(|after| ("after", after)));
            let mut page = self.get(&with_query(path, &all)).await?;
            if let Some(Value::Array(more)) = page.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            match page.get("next").and_then(Value::as_str) {
                Some(next) if after.as_deref() != Some(next) => after = Some(next.to_owned()),
                _ => return Ok(items),
            }
        }
    }
}
