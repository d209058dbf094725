//! Where a webhook goes: its URL, method and headers, checked before anything is sent.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;
use tidegate_proto::issue::{Issue, Issues};

use super::address::forbidden;
use super::settings::{HandlerSettings, issue};

/// Headers that are the dispatcher's or the connection's own.
const OWN_HEADERS: [&str; 8] = [
    "idempotency-key",
    "tidegate-signature",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "upgrade",
    "te",
];

/// A checked target.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
}

/// All problems of a webhook's target.
pub(super) fn problems(name: &str, settings: &HandlerSettings) -> Issues {
    endpoint(name, settings).err().unwrap_or_default()
}

/// The checked target of a webhook.
///
/// # Errors
/// With all problems.
pub(super) fn endpoint(name: &str, settings: &HandlerSettings) -> Result<Endpoint, Issues> {
    let mut issues = Issues::new();
    let url = url(name, settings, &mut issues);
    let method = match settings.method.as_str() {
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        other => {
            let problem = format!("`{other}` is not `POST`, `PUT` or `PATCH`");
            issues.push(issue(name, "method", problem));
            Method::POST
        }
    };
    let headers = headers(name, settings, &mut issues);
    match url {
        Some(url) if issues.is_empty() => Ok(Endpoint {
            url,
            method,
            headers,
        }),
        _ => Err(issues),
    }
}

fn url(name: &str, settings: &HandlerSettings, issues: &mut Issues) -> Option<Url> {
    let problem = |text: String| issue(name, "url", text);
    let text = settings.url.reveal();
    if text.is_empty() {
        issues.push(problem("a webhook needs a `url`".to_owned()));
        return None;
    }
    let url = match Url::parse(text) {
        Ok(url) => url,
        Err(error) => {
            issues.push(problem(format!("not a URL: {error}")));
            return None;
        }
    };
    issues.extend(scheme_problem(name, &url, settings.allow_http));
    if !url.username().is_empty() || url.password().is_some() {
        let hint = "send an `Authorization` header instead";
        issues.push(problem("a user or password in a URL is refused".to_owned()).hint(hint));
    }
    let literal = literal_address(&url).filter(|_| !settings.allow_private);
    if let Some((address, what)) = literal.and_then(|ip| forbidden(ip).map(|what| (ip, what))) {
        let hint = "set `allow_private = true` if this handler may reach the own network";
        issues.push(problem(format!("`{address}` is a {what} address")).hint(hint));
    }
    Some(url)
}

fn scheme_problem(name: &str, url: &Url, allow_http: bool) -> Option<Issue> {
    match url.scheme() {
        "https" => None,
        "http" if allow_http => None,
        "http" => Some(
            issue(name, "url", "`http` sends in plain text")
                .hint("use `https`, or set `allow_http = true`"),
        ),
        other => Some(issue(
            name,
            "url",
            format!("`{other}` is not `https` or `http`"),
        )),
    }
}

/// The address of a URL whose host is one. The URL parser has already turned `0x7f.1` and `2130706433` into dotted form.
pub(super) fn literal_address(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    let bare = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

fn headers(name: &str, settings: &HandlerSettings, issues: &mut Issues) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (header, value) in &settings.headers {
        let field = format!("headers.{header}");
        let Ok(parsed) = HeaderName::from_bytes(header.as_bytes()) else {
            issues.push(issue(name, &field, "not a header name"));
            continue;
        };
        if OWN_HEADERS.contains(&parsed.as_str()) {
            issues.push(issue(name, &field, "this header is set by the engine"));
            continue;
        }
        match HeaderValue::from_str(value.reveal()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.insert(parsed, value);
            }
            Err(_) => issues.push(issue(name, &field, "not a header value")),
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::super::settings::Secret;
    use super::*;

    fn issues_of(url: &str, allow_http: bool, allow_private: bool) -> Vec<String> {
        let settings = HandlerSettings {
            url: Secret::new(url),
            allow_http,
            allow_private,
            ..HandlerSettings::default()
        };
        let issues = problems("h", &settings);
        issues.into_iter().map(|issue| issue.problem).collect()
    }

    #[test]
    fn literal_addresses_are_judged_in_every_spelling() {
        for host in [
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "127.1",
            "10.0.0.1",
            "169.254.169.254",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[fd00::1]",
            "[64:ff9b::7f00:1]",
            "0",
        ] {
            let url = format!("https://{host}/x");
            assert_eq!(issues_of(&url, false, false).len(), 1, "{host}");
            assert_eq!(issues_of(&url, false, true).len(), 0, "{host}");
        }
        assert!(issues_of("https://8.8.8.8/x", false, false).is_empty());
        assert!(issues_of("https://hooks.example.com/x", false, false).is_empty());
    }

    #[test]
    fn plain_text_other_schemes_and_user_names_are_refused() {
        assert_eq!(
            issues_of("http://e.com/", false, false),
            ["`http` sends in plain text"]
        );
        assert!(issues_of("http://e.com/", true, false).is_empty());
        for scheme in ["ftp", "file", "gopher", "unix"] {
            let url = format!("{scheme}://e.com/");
            let expected = format!("`{scheme}` is not `https` or `http`");
            assert_eq!(issues_of(&url, true, true), [expected]);
        }
        let refused = ["a user or password in a URL is refused"];
        assert_eq!(issues_of("https://u@e.com/", true, true), refused);
        assert_eq!(issues_of("https://:p@e.com/", true, true), refused);
        assert_eq!(issues_of("", true, true), ["a webhook needs a `url`"]);
        assert_eq!(issues_of("e.com", true, true).len(), 1);
    }
}
