//! A body of events, split into one JSON object each: one object, an array of them, or objects one after another
//! (NDJSON). No copy is made; what is wrong is told with where it stands, all at once.

use bytes::Bytes;
use serde::Deserialize;
use tidegate_proto::id::is_resource_id;

use super::backend::IngestEvent;
use super::problem::ProblemItem;

/// Bounds of a batch.
#[derive(Clone, Copy, Debug)]
pub struct SplitLimits {
    /// Events.
    pub events: usize,
    /// Bytes of one event.
    pub event_bytes: usize,
}

/// Most problems that are told; a batch in a wrong format would have one per line.
const MOST_PROBLEMS: usize = 100;

/// What of an event the door looks at.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    resource: Option<serde_json::Value>,
}

/// Splits a body into events.
///
/// # Errors
/// Everything that is wrong with it; then nothing is taken.
pub fn split(body: &Bytes, limits: SplitLimits) -> Result<Vec<IngestEvent>, Vec<ProblemItem>> {
    let is_array = body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let mut events = Vec::new();
    let mut problems = Vec::new();
    for piece in pieces(body, is_array) {
        if events.len() >= limits.events {
            problems.push(ProblemItem {
                line: piece.line,
                detail: format!("more than {} events in one request", limits.events),
                hint: "send several requests, or use the gRPC stream".to_owned(),
                ..ProblemItem::default()
            });
            break;
        }
        let path = if is_array {
            format!("/{}", piece.index)
        } else {
            String::new()
        };
        let taken = match piece.problem {
            Some(problem) => Err(problem.to_owned()),
            None => event(body.slice(piece.start..piece.end), limits.event_bytes),
        };
        match taken {
            Ok(event) => events.push(event),
            Err(detail) => {
                problems.push(ProblemItem {
                    path,
                    line: piece.line,
                    detail,
                    ..ProblemItem::default()
                });
                if problems.len() >= MOST_PROBLEMS {
                    break;
                }
            }
        }
    }
    if problems.is_empty() {
        Ok(events)
    } else {
        Err(problems)
    }
}

/// Looks at one event: is it an object, does it name its resource?
///
/// # Errors
/// What is wrong with it.
pub fn event(body: Bytes, most_bytes: usize) -> Result<IngestEvent, String> {
    if body.len() > most_bytes {
        return Err(format!(
            "an event has at most {most_bytes} bytes, this one has {}",
            body.len()
        ));
    }
    if body.first() != Some(&b'{') {
        return Err("an event is a JSON object".to_owned());
    }
    let head: Head = serde_json::from_slice(&body).map_err(|error| format!("not JSON: {error}"))?;
    match head.resource {
        Some(serde_json::Value::String(resource)) if is_resource_id(&resource) => Ok(IngestEvent {
            key: resource,
            body,
        }),
        Some(serde_json::Value::String(_)) => {
            Err("`resource` is 1 to 256 bytes without control characters".to_owned())
        }
        Some(_) => Err("`resource` is a text: the id of what the event is about".to_owned()),
        None => Err("`resource` is missing: the id of what the event is about".to_owned()),
    }
}

/// One value of a body.
struct Piece {
    /// Its place among the values.
    index: usize,
    start: usize,
    end: usize,
    /// Line of its first byte.
    line: u32,
    problem: Option<&'static str>,
}

/// Finds the values of a body by their braces and quotes; whether each is JSON is judged later.
fn pieces(body: &[u8], is_array: bool) -> Vec<Piece> {
    let mut scan = Scan {
        bytes: body,
        at: 0,
        line: 1,
    };
    let mut pieces: Vec<Piece> = Vec::new();
    scan.skip_space();
    if is_array {
        scan.step();
    }
    // Whether a value may come, and whether the array may end.
    let (mut more, mut may_end) = (true, true);
    loop {
        scan.skip_space();
        let (start, line, index) = (scan.at, scan.line, pieces.len());
        let mut piece = Piece {
            index,
            start,
            end: start,
            line,
            problem: None,
        };
        match scan.peek() {
            None if is_array => piece.problem = Some("the array is not closed"),
            None => return pieces,
            Some(b']') if is_array && may_end => {
                scan.step();
                scan.skip_space();
                if scan.peek().is_none() {
                    return pieces;
                }
                piece.problem = Some("there is something behind the array");
            }
            Some(_) if !more => piece.problem = Some("a comma is missing between two events"),
            Some(_) => {
                scan.value();
                piece.end = scan.at;
                if piece.end == piece.start {
                    piece.problem = Some("an event is a JSON object");
                }
            }
        }
        let is_hopeless = piece.problem.is_some();
        pieces.push(piece);
        if is_hopeless {
            return pieces;
        }
        if is_array {
            scan.skip_space();
            more = scan.peek() == Some(b',');
            may_end = !more;
            if more {
                scan.step();
            }
        }
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    line: u32,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn step(&mut self) {
        // Never past the end: a text may break off behind a backslash.
        if let Some(byte) = self.peek() {
            self.line = self.line.saturating_add(u32::from(byte == b'\n'));
            self.at += 1;
        }
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.step();
        }
    }

    /// Passes over one value: to its closing bracket, or for a bare word to the next space, comma or bracket.
    fn value(&mut self) {
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                None => return,
                Some(b'"') => self.text(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.step();
                }
                Some(b'}' | b']') if depth > 0 => {
                    depth -= 1;
                    self.step();
                    if depth == 0 {
                        return;
                    }
                }
                Some(byte)
                    if depth == 0
                        && (byte.is_ascii_whitespace() || matches!(byte, b',' | b'}' | b']')) =>
                {
                    return;
                }
                Some(_) => self.step(),
            }
        }
    }

    fn text(&mut self) {
        self.step();
        while let Some(byte) = self.peek() {
            self.step();
            match byte {
                b'"' => return,
                b'\\' => self.step(),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: SplitLimits = SplitLimits {
        events: 5,
        event_bytes: 200,
    };

    fn ids(body: &str) -> Result<Vec<String>, Vec<ProblemItem>> {
        let events = split(&Bytes::copy_from_slice(body.as_bytes()), LIMITS)?;
        Ok(events.into_iter().map(|event| event.key).collect())
    }

    fn problems(body: &str) -> Vec<(String, u32, String)> {
        ids(body)
            .unwrap_err()
            .into_iter()
            .map(|p| (p.path, p.line, p.detail))
            .collect()
    }

    #[test]
    fn objects_arrays_and_lines_are_split() {
        assert_eq!(ids(r#"{"resource":"a"}"#).unwrap(), ["a"]);
        assert_eq!(
            ids("{\"resource\":\"a\"}\n{\"resource\":\"b\"}\r\n\n").unwrap(),
            ["a", "b"]
        );
        assert_eq!(
            ids("[{\"resource\":\"a\"},\n {\"resource\":\"b\",\"values\":{\"x\":[1,{}]}}]")
                .unwrap(),
            ["a", "b"]
        );
        assert_eq!(
            ids("{\n  \"resource\": \"a]}\\\"\"\n}\n").unwrap(),
            ["a]}\""]
        );
        assert!(ids("").unwrap().is_empty());
        assert!(ids(" [ ] ").unwrap().is_empty());
    }

    #[test]
    fn bodies_are_the_bytes_that_were_sent() {
        let body =
            Bytes::from_static(b"[ {\"resource\":\"a\", \"t\": 1.50} , {\"resource\":\"b\"}]");
        let events = split(&body, LIMITS).unwrap();
        assert_eq!(events[0].body, &b"{\"resource\":\"a\", \"t\": 1.50}"[..]);
        assert_eq!(events[1].body, &b"{\"resource\":\"b\"}"[..]);
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let found = problems(
            "{\"resource\":\"a\"}\n{\"time\":1}\n{\"resource\":5}\n7\n{\"resource\":\"a\",}\n",
        );
        let lines: Vec<u32> = found.iter().map(|(_, line, _)| *line).collect();
        assert_eq!(lines, [2, 3, 4, 5]);
        assert!(found[0].2.contains("`resource` is missing"));
        assert!(found[1].2.contains("is a text"));
        assert!(found[2].2.contains("an event is a JSON object"));
        assert!(found[3].2.contains("not JSON"));

        let found = problems("[{\"resource\":\"a\"},\n{\"resource\":\"\"}]");
        assert_eq!((found[0].0.as_str(), found[0].1), ("/1", 2));
        assert_eq!(
            problems("[{\"resource\":\"a\"}")[0].2,
            "the array is not closed"
        );
        assert_eq!(
            problems("[{\"resource\":\"a\"}] x")[0].2,
            "there is something behind the array"
        );
        assert!(!problems("[{\"resource\":\"a\"},]").is_empty());
        assert!(
            problems("[{\"resource\":\"a\"} {}]")[0]
                .2
                .contains("a comma is missing")
        );
        assert!(!problems("]").is_empty());
        assert!(!problems("{\"resource\":\"a\"").is_empty());
        assert!(!problems("\"\"\"\\").is_empty());
    }

    #[test]
    fn bounds_hold() {
        let many = "{\"resource\":\"a\"}\n".repeat(6);
        assert!(problems(&many)[0].2.contains("more than 5 events"));
        let large = format!("{{\"resource\":\"a\",\"x\":\"{}\"}}", "y".repeat(300));
        assert!(problems(&large)[0].2.contains("at most 200 bytes"));
    }

    fn any_event() -> impl Strategy<Value = String> {
        (
            "[a-z\\]\\[{}\",\\\\ ]{1,8}",
            prop::collection::vec(any::<f64>(), 0..3),
        )
            .prop_map(|(id, numbers)| {
                serde_json::json!({"values": {"x": numbers}, "resource": id}).to_string()
            })
    }

    proptest! {
        #[test]
        fn a_batch_splits_alike_in_all_forms(events in prop::collection::vec(any_event(), 0..5)) {
            let array = format!(" [{}]", events.join(" ,\n"));
            let lines = events.join("\n");
            let of = |text: &str| -> Vec<Bytes> {
                split(&Bytes::copy_from_slice(text.as_bytes()), LIMITS).unwrap().into_iter().map(|e| e.body).collect()
            };
            prop_assert_eq!(of(&array), of(&lines));
            prop_assert_eq!(of(&lines), events);
        }

        #[test]
        fn any_bytes_are_survived(body in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = split(&Bytes::from(body), LIMITS);
        }

        #[test]
        fn any_json_like_text_is_survived(body in "[\\[\\]{}\",:a1\\\\\n ]{0,40}") {
            let _ = split(&Bytes::from(body), LIMITS);
        }
    }
}
