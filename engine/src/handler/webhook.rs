//! [`WebhookSink`]: sends actions to a URL.
//!
//! The body is `{id, rule, task, resource, time, kind, with, result}` as JSON, the header `Idempotency-Key` is the id.
//! 2xx is done; 408, 425, 429, 5xx and everything that broke on the way is tried again; all else is refused for good.
//! Redirects are not followed, proxies of the environment are not used, and addresses are checked after resolution.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Client, Response};
use ring::hmac;
use tidegate_actors::port::{Clock, Delivery, PortError, PortErrorKind, PortFuture, Sink};
use tidegate_proto::issue::Issues;

use super::endpoint::{Endpoint, endpoint};
use super::resolver::{ForbiddenHost, GuardedResolver};
use super::settings::{HandlerSettings, issue};

/// Characters of a refusal's body that are kept for people.
const EXCERPT: usize = 200;

/// Sends actions to a URL.
pub struct WebhookSink {
    client: Client,
    endpoint: Endpoint,
    key: Option<hmac::Key>,
    response_bytes: usize,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for WebhookSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSink")
            .field("host", &self.endpoint.url.host_str())
            .finish_non_exhaustive()
    }
}

impl WebhookSink {
    /// A webhook with these settings.
    ///
    /// # Errors
    /// With all problems of the settings.
    pub fn new(
        name: &str,
        settings: &HandlerSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Issues> {
        let endpoint = endpoint(name, settings)?;
        let client = client(settings).map_err(|error| {
            vec![issue(
                name,
                "",
                format!("cannot set up a client: {}", chain(error.as_ref())),
            )]
        })?;
        let key = settings
            .secret
            .as_ref()
            .map(|secret| hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes()));
        Ok(Self {
            client,
            endpoint,
            key,
            response_bytes: settings.response_bytes,
            clock,
        })
    }

    async fn send(&self, delivery: Delivery) -> Result<(), PortError> {
        let Delivery { id, body } = delivery;
        let id = HeaderValue::from_str(&id)
            .map_err(|_| PortError::new(PortErrorKind::Refused, "the id is not a header value"))?;
        let mut request = self
            .client
            .request(self.endpoint.method.clone(), self.endpoint.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .headers(self.endpoint.headers.clone())
            .header("idempotency-key", id);
        if let Some(key) = &self.key {
            let seconds = self.clock.now().0.div_euclid(1000);
            request = request.header("tidegate-signature", signature(key, seconds, &body));
        }
        let response = request.body(body).send().await.map_err(broken)?;
        self.judge(response).await
    }

    async fn judge(&self, response: Response) -> Result<(), PortError> {
        let status = response.status();
        let asked = self.asked_to_wait(&response);
        let body = self.read(response).await;
        if status.is_success() {
            return Ok(());
        }
        let message = match excerpt(&body) {
            text if text.is_empty() => format!("answered {status}"),
            text => format!("answered {status}: {text}"),
        };
        if !is_transient(status) {
            return Err(PortError::new(PortErrorKind::Refused, message));
        }
        let error = PortError::new(PortErrorKind::Unavailable, message).in_doubt();
        Err(match asked {
            Some(wait) => error.asking_to_wait(wait),
            None => error,
        })
    }

    /// Reads the body up to the limit: a connection is used again only if its response was read to the end.
    async fn read(&self, mut response: Response) -> Vec<u8> {
        let mut body = Vec::new();
        while body.len() < self.response_bytes
            && let Ok(Some(chunk)) = response.chunk().await
        {
            let room = self.response_bytes - body.len();
            body.extend(chunk.iter().take(room));
        }
        body
    }

    /// What `Retry-After` says: seconds, or a date against our clock.
    fn asked_to_wait(&self, response: &Response) -> Option<Duration> {
        let text = response.headers().get(RETRY_AFTER)?.to_str().ok()?.trim();
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
        let wait = date.as_millisecond().saturating_sub(self.clock.now().0);
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or(0)))
    }
}

impl Sink for WebhookSink {
    fn deliver(&self, delivery: Delivery) -> PortFuture<'_, ()> {
        Box::pin(self.send(delivery))
    }
}

fn client(settings: &HandlerSettings) -> Result<Client, Box<dyn Error>> {
    let roots = rustls::RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let client = Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(Arc::new(GuardedResolver {
            allow_private: settings.allow_private,
        }))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .https_only(!settings.allow_http)
        .user_agent(concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .timeout(settings.timeout.duration())
        .pool_max_idle_per_host(settings.concurrency)
        .pool_idle_timeout(Duration::from_secs(30))
        .build()?;
    Ok(client)
}

fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429) || status.is_server_error()
}

/// What became of a request without a response. The URL may hold a token and is left out.
fn broken(error: reqwest::Error) -> PortError {
    let error = error.without_url();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<ForbiddenHost>() {
            return PortError::new(PortErrorKind::Refused, refused.to_string());
        }
        cause = inner.source();
    }
    if error.is_builder() {
        return PortError::new(PortErrorKind::Refused, chain(&error));
    }
    let failure = PortError::new(PortErrorKind::Unavailable, chain(&error));
    if error.is_connect() {
        failure
    } else {
        failure.in_doubt()
    }
}

/// An error with its causes.
fn chain(error: &(impl Error + ?Sized)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let said = inner.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = inner.source();
    }
    text
}

/// Beginning of a body on one line, without control characters.
fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let words: Vec<&str> = text
        .split(|c: char| c.is_control() || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect();
    words.join(" ").chars().take(EXCERPT).collect()
}

fn signature(key: &hmac::Key, seconds: i64, body: &str) -> String {
    let tag = hmac::sign(key, format!("{seconds}.{body}").as_bytes());
    let hex: String = tag
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_time_and_body() {
        // Value computed with another implementation (Python's hmac module).
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"key");
        assert_eq!(signature(&key, 1_767_225_600, "{}"), EXPECTED);
    }

    const EXPECTED: &str =
        "t=1767225600,v1=df344de429b8ee672e1863e0008fdbd0080000536fbccdf0e4f89846acbbe872";

    #[test]
    fn excerpts_are_one_short_line() {
        assert_eq!(excerpt(b"  a\r\n\x1b[31mb\tc "), "a [31mb c");
        assert_eq!(excerpt("ä".repeat(500).as_bytes()).chars().count(), EXCERPT);
    }

    #[test]
    fn which_answers_are_tried_again() {
        let transient = [408, 425, 429, 500, 502, 503, 504];
        let lasting = [300, 301, 307, 400, 401, 403, 404, 409, 410, 422];
        for (codes, expected) in [(&transient[..], true), (&lasting[..], false)] {
            for code in codes {
                assert_eq!(
                    is_transient(StatusCode::from_u16(*code).unwrap()),
                    expected,
                    "{code}"
                );
            }
        }
    }
}
