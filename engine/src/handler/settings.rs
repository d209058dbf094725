//! Settings of handlers and of the dispatcher: what they mean, what they are when nobody says anything, what is wrong
//! with them.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use tidegate_proto::id::Name;
use tidegate_proto::issue::{Issue, Issues, Mark};
use tidegate_proto::time::Span;

use super::endpoint;

/// Handlers by name, as the configuration has them (`[handlers.NAME]`).
pub type HandlersSettings = BTreeMap<String, HandlerSettings>;

/// What a handler does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HandlerKind {
    /// Sends the action to a URL.
    #[default]
    Webhook,
    /// Writes a line to the engine's log.
    Log,
}

/// A text that is never printed: neither by `Debug` nor when settings are written out.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one who sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("***")
    }
}

/// Settings of one handler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HandlerSettings {
    /// What it does: `webhook` (default) or `log`.
    pub kind: HandlerKind,
    /// Where a webhook sends to; `https://` unless `allow_http`. May hold a token, so it is never printed.
    pub url: Secret,
    /// HTTP method of a webhook: `POST` (default), `PUT` or `PATCH`.
    pub method: String,
    /// More headers of a webhook's request.
    pub headers: BTreeMap<String, Secret>,
    /// Key of the signature in the header `Tidegate-Signature: t=SECONDS,v1=HEX`, the HMAC-SHA256 of `SECONDS.BODY`;
    /// left out: not signed. Receivers should refuse a `t` more than five minutes off.
    pub secret: Option<Secret>,
    /// Whether a webhook may reach loopback, private and other special addresses. Default no.
    pub allow_private: bool,
    /// Whether a webhook may be `http://`. Default no.
    pub allow_http: bool,
    /// How long one try may take. Default 5 s.
    #[serde(with = "span_text")]
    pub timeout: Span,
    /// Bytes of a response that are read at most. Default 64 KiB.
    pub response_bytes: usize,
    /// Deliveries that may wait here; further ones wait with their partitions. Default 1000.
    pub queue: usize,
    /// Deliveries under way at the same time. Default 8.
    pub concurrency: usize,
    /// How long after the action was published it is given up. Default 1 day.
    #[serde(with = "span_text")]
    pub ttl: Span,
    /// Wait after the first failure; doubles with each. Default 1 s.
    #[serde(with = "span_text")]
    pub backoff: Span,
    /// Longest wait between tries, also if the other side asks for more. Default 5 min.
    #[serde(with = "span_text")]
    pub backoff_most: Span,
    /// Share by which a wait is longer or shorter at random, 0 to 1. Default 0.2.
    pub jitter: f64,
    /// Failures in a row after which the breaker opens and calls stop. Default 5.
    pub breaker_failures: u32,
    /// How long the breaker rests before one call probes. Default 30 s.
    #[serde(with = "span_text")]
    pub breaker_rest: Span,
}

impl Default for HandlerSettings {
    fn default() -> Self {
        Self {
            kind: HandlerKind::Webhook,
            url: Secret::default(),
            method: "POST".to_owned(),
            headers: BTreeMap::new(),
            secret: None,
            allow_private: false,
            allow_http: false,
            timeout: Span::seconds(5),
            response_bytes: 64 << 10,
            queue: 1_000,
            concurrency: 8,
            ttl: Span::seconds(86_400),
            backoff: Span::seconds(1),
            backoff_most: Span::seconds(300),
            jitter: 0.2,
            breaker_failures: 5,
            breaker_rest: Span::seconds(30),
        }
    }
}

/// Settings of the dispatcher.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DispatcherSettings {
    /// Undelivered actions of a partition that are held for one handler; further ones are parked. Default 1000.
    pub window: usize,
    /// Bytes of undelivered actions of a partition that are held for one handler. Default 16 MiB.
    pub window_bytes: usize,
    /// Actions of a partition that may be parked: only their offsets are kept and they are read again when their handler
    /// has room. Beyond that the partition's reading pauses. Default 100000.
    pub parked: usize,
    /// Ids of delivered actions that each partition remembers, so that a record read twice is delivered once.
    /// Default 10000.
    pub remembered: usize,
    /// Records that one read brings at most. Default 256.
    pub read_records: usize,
    /// How often progress is committed. Default 1 s.
    #[serde(with = "span_text")]
    pub commit_every: Span,
    /// How long a stop or a revoked partition waits for deliveries under way. Default 5 s.
    #[serde(with = "span_text")]
    pub grace: Span,
    /// Seed of the jitter of waits; left out: taken from the clock at the start.
    pub seed: Option<u64>,
}

impl Default for DispatcherSettings {
    fn default() -> Self {
        Self {
            window: 1_000,
            window_bytes: 16 << 20,
            parked: 100_000,
            remembered: 10_000,
            read_records: 256,
            commit_every: Span::seconds(1),
            grace: Span::seconds(5),
            seed: None,
        }
    }
}

/// All problems of a table of handlers, in its order.
#[must_use]
pub fn problems(handlers: &HandlersSettings) -> Issues {
    let mut issues = Issues::new();
    for (name, settings) in handlers {
        if let Err(error) = Name::new(name) {
            issues.push(issue(name, "", error.to_string()));
        }
        issues.extend(settings.problems(name));
    }
    issues
}

impl HandlerSettings {
    /// All problems of the handler of that name.
    #[must_use]
    pub fn problems(&self, name: &str) -> Issues {
        let mut issues = self.pace_problems(name);
        match self.kind {
            HandlerKind::Webhook => issues.extend(endpoint::problems(name, self)),
            HandlerKind::Log if !self.url.reveal().is_empty() => {
                issues.push(issue(name, "url", "a log handler has no `url`"));
            }
            HandlerKind::Log => {}
        }
        issues
    }

    fn pace_problems(&self, name: &str) -> Issues {
        let mut issues = Issues::new();
        let spans = [
            ("timeout", self.timeout, Span::seconds(600)),
            ("ttl", self.ttl, Span::seconds(30 * 86_400)),
            ("backoff", self.backoff, Span::seconds(86_400)),
            ("backoff_most", self.backoff_most, Span::seconds(86_400)),
            ("breaker_rest", self.breaker_rest, Span::seconds(86_400)),
        ];
        for (field, span, most) in spans {
            if span.0 < 1 || span > most {
                issues.push(issue(
                    name,
                    field,
                    format!("`{span}` is not 1 ms to {most}"),
                ));
            }
        }
        if self.backoff_most < self.backoff {
            let problem = format!("`{}` is less than `backoff`", self.backoff_most);
            issues.push(issue(name, "backoff_most", problem));
        }
        if !(0.0..=1.0).contains(&self.jitter) {
            issues.push(issue(
                name,
                "jitter",
                format!("`{}` is not 0 to 1", self.jitter),
            ));
        }
        let counts = [
            ("queue", self.queue, 100_000),
            ("concurrency", self.concurrency, 1_000),
            ("response_bytes", self.response_bytes, 16 << 20),
            ("breaker_failures", self.breaker_failures as usize, 100_000),
        ];
        for (field, count, most) in counts {
            if !(1..=most).contains(&count) {
                issues.push(issue(name, field, format!("`{count}` is not 1 to {most}")));
            }
        }
        issues
    }
}

impl DispatcherSettings {
    /// All problems of these settings.
    #[must_use]
    pub fn problems(&self) -> Issues {
        let counts = [
            ("window", self.window),
            ("window_bytes", self.window_bytes),
            ("parked", self.parked),
            ("read_records", self.read_records),
        ];
        let zero = |(field, _): &(&str, usize)| {
            Issue::new(
                format!("dispatcher.{field}"),
                Mark::default(),
                "`0` is too few",
            )
        };
        let mut issues: Issues = counts.iter().filter(|(_, n)| *n == 0).map(zero).collect();
        if self.commit_every.0 < 1 {
            let path = "dispatcher.commit_every";
            issues.push(Issue::new(path, Mark::default(), "`0s` is too short"));
        }
        issues
    }
}

/// A problem of a field of a handler.
pub(super) fn issue(handler: &str, field: &str, problem: impl Into<String>) -> Issue {
    let dot = if field.is_empty() { "" } else { "." };
    Issue::new(
        format!("handlers.{handler}{dot}{field}"),
        Mark::default(),
        problem,
    )
}

/// Spans as people write them, `"5m"`; a whole number is milliseconds.
mod span_text {
    use serde::{Deserialize, Deserializer, Serializer};
    use tidegate_proto::time::Span;

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Millis(i64),
        Text(String),
    }

    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde asks for"
    )]
    pub(super) fn serialize<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(span)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Span, D::Error> {
        match Written::deserialize(from)? {
            Written::Millis(millis) => Ok(Span::millis(millis)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_read_as_people_write_them() {
        let handlers: HandlersSettings = toml::from_str(
            "[ops-mail]\nurl = \"https://hooks.example.com/t0k3n\"\nttl = \"2h\"\nbackoff = 250\n\
             [ops-mail.headers]\nAuthorization = \"Bearer s3cret\"\n[line]\nkind = \"log\"\n",
        )
        .unwrap();
        let mail = &handlers["ops-mail"];
        assert_eq!((mail.ttl, mail.backoff), (Span::seconds(7_200), Span(250)));
        assert_eq!(mail.timeout, Span::seconds(5));
        assert_eq!(problems(&handlers), Issues::new());
        assert!(toml::from_str::<HandlersSettings>("[a]\nadress = 1\n").is_err());
    }

    #[test]
    fn secrets_are_never_printed() {
        let settings = HandlerSettings {
            url: Secret::new("https://hooks.example.com/t0k3n"),
            headers: BTreeMap::from([("Authorization".to_owned(), Secret::new("Bearer t0k3n"))]),
            secret: Some(Secret::new("t0k3n")),
            ..HandlerSettings::default()
        };
        assert!(!format!("{settings:?}").contains("t0k3n"));
        assert!(!serde_json::to_string(&settings).unwrap().contains("t0k3n"));
    }

    #[test]
    fn all_problems_are_said_at_once() {
        let bad = HandlerSettings {
            url: Secret::new("ftp://me:pw@127.0.0.1/x"),
            method: "GET".to_owned(),
            headers: BTreeMap::from([
                ("Idempotency-Key".to_owned(), Secret::new("1")),
                ("Bad Name".to_owned(), Secret::new("1")),
                ("X-Line".to_owned(), Secret::new("a\nb")),
            ]),
            jitter: 2.0,
            concurrency: 0,
            backoff: Span::seconds(10),
            backoff_most: Span::seconds(1),
            ..HandlerSettings::default()
        };
        let handlers = HandlersSettings::from([("a b".to_owned(), bad)]);
        let paths: Vec<String> = problems(&handlers).into_iter().map(|i| i.path).collect();
        assert_eq!(
            paths,
            [
                "handlers.a b",
                "handlers.a b.backoff_most",
                "handlers.a b.jitter",
                "handlers.a b.concurrency",
                "handlers.a b.url",
                "handlers.a b.url",
                "handlers.a b.url",
                "handlers.a b.method",
                "handlers.a b.headers.Bad Name",
                "handlers.a b.headers.Idempotency-Key",
                "handlers.a b.headers.X-Line",
            ]
        );
    }

    #[test]
    fn dispatcher_settings_say_what_cannot_be() {
        assert!(DispatcherSettings::default().problems().is_empty());
        let bad = DispatcherSettings {
            window: 0,
            commit_every: Span::ZERO,
            ..DispatcherSettings::default()
        };
        assert_eq!(bad.problems().len(), 2);
    }
}
