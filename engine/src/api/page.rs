//! Pages of lists: `?limit=&after=`, `next` in the body and `Link: rel="next"` in the headers.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::problem::Problem;

/// What of a list is wanted.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// At most so many.
    pub limit: Option<usize>,
    /// Cursor: `next` of the page before.
    pub after: Option<String>,
    /// Resources: only of this type.
    pub r#type: Option<String>,
    /// Tasks: only of this rule.
    pub rule: Option<String>,
    /// Tasks: only of this resource.
    pub resource: Option<String>,
}

impl Wanted {
    /// Entries of the page, within the bound of the server.
    ///
    /// # Errors
    /// When none are wanted.
    pub(super) fn size(&self, most: usize) -> Result<usize, Problem> {
        match self.limit {
            Some(0) => Err(Problem::bad("`limit` is at least 1")),
            Some(limit) => Ok(limit.min(most)),
            None => Ok(most.min(100)),
        }
    }
}

/// A page as it is answered; `items` may hold one entry more than wanted, which shows that there is a next page.
pub(super) fn page<T>(
    mut items: Vec<T>,
    size: usize,
    uri: &Uri,
    id: impl Fn(&T) -> String,
    json: impl Fn(&T) -> Value,
) -> (HeaderMap, Json<Value>) {
    let more = items.len() > size;
    items.truncate(size);
    let next = if more { items.last().map(id) } else { None };
    let mut headers = HeaderMap::new();
    if let Some(next) = &next
        && let Ok(link) =
            HeaderValue::from_str(&format!("<{}>; rel=\"next\"", with_after(uri, next)))
    {
        headers.insert(header::LINK, link);
    }
    let items: Vec<Value> = items.iter().map(json).collect();
    (headers, Json(json!({ "items": items, "next": next })))
}

/// The address of a list with another cursor.
fn with_after(uri: &Uri, after: &str) -> String {
    let mut parts: Vec<String> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|part| !part.is_empty() && !part.starts_with("after="))
        .map(str::to_owned)
        .collect();
    parts.push(format!("after={}", encode(after)));
    format!("{}?{}", uri.path(), parts.join("&"))
}

/// Percent-encodes everything that is not unreserved (RFC 3986 section 2.3).
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_where_the_next_one_begins() {
        let uri: Uri = "/v1/resources?type=boiler&after=a&limit=2".parse().unwrap();
        let (headers, Json(body)) = page(
            vec!["b", "c/ä", "d"],
            2,
            &uri,
            |s| (*s).to_owned(),
            |s| json!(s),
        );
        assert_eq!(body, json!({ "items": ["b", "c/ä"], "next": "c/ä" }));
        assert_eq!(
            headers.get("link").unwrap(),
            "</v1/resources?type=boiler&limit=2&after=c%2F%C3%A4>; rel=\"next\""
        );
        let (headers, Json(body)) = page(vec!["b"], 2, &uri, |s| (*s).to_owned(), |s| json!(s));
        assert_eq!(body["next"], Value::Null);
        assert!(headers.is_empty());
    }
}
