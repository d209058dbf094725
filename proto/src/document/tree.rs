//! Text to [`Node`] trees with positions: YAML from the scanner's events, JSON from our own reader. Nothing recurses, and
//! what could blow up (anchors, depth, nodes) is refused.

use std::borrow::Cow;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use crate::document::flow::{self, Inserted};
use crate::document::json;
use crate::issue::{Issue, Mark};

/// Longest document in bytes.
pub(super) const DOCUMENT_BYTES: usize = 1 << 20;
/// Most maps and lists inside each other.
pub(super) const DEPTH: usize = 64;
/// Most values, keys included, of one document.
pub(super) const NODES: usize = 100_000;

/// One value of a document.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// Where it stands; a text in quotes or a block: where its content begins.
    pub(super) mark: Mark,
    pub(super) kind: NodeKind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Null,
    Bool(bool),
    /// A number as JSON writes it.
    Number(String),
    Text(String),
    Seq(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// What this is, for a message.
    pub(super) const fn what(&self) -> &'static str {
        match self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "a flag",
            NodeKind::Number(_) => "a number",
            NodeKind::Text(_) => "a text",
            NodeKind::Seq(_) => "a list",
            NodeKind::Map(_) => "a map",
        }
    }

    /// The text of a scalar; flags and numbers as they are written in JSON.
    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Text(text) | NodeKind::Number(text) => Some(text),
            NodeKind::Bool(true) => Some("true"),
            NodeKind::Bool(false) => Some("false"),
            NodeKind::Null | NodeKind::Seq(_) | NodeKind::Map(_) => None,
        }
    }
}

/// Builds trees from a flat row of values and closings.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// Open containers, and the key that waits for its value.
    open: Vec<(Node, Option<Node>)>,
    nodes: usize,
}

impl Builder {
    /// Counts a value.
    fn count(&mut self, mark: Mark) -> Result<(), Issue> {
        self.nodes += 1;
        if self.nodes > NODES {
            let problem = format!("more than {NODES} values in one document");
            return Err(Issue::new("", mark, problem));
        }
        Ok(())
    }

    pub(super) fn open(&mut self, mark: Mark, kind: NodeKind) -> Result<(), Issue> {
        self.count(mark)?;
        if self.open.len() >= DEPTH {
            let problem = format!("more than {DEPTH} maps and lists inside each other");
            return Err(Issue::new("", mark, problem));
        }
        self.open.push((Node { mark, kind }, None));
        Ok(())
    }

    /// Takes a scalar; answers with it when it is the whole document.
    pub(super) fn scalar(&mut self, mark: Mark, kind: NodeKind) -> Result<Option<Node>, Issue> {
        self.count(mark)?;
        Ok(self.place(Node { mark, kind }))
    }

    /// Takes the end of the innermost container; answers with it when it is the whole document.
    pub(super) fn close(&mut self) -> Option<Node> {
        let (node, _) = self.open.pop()?;
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Option<Node> {
        let Some((parent, key)) = self.open.last_mut() else {
            return Some(node);
        };
        match (&mut parent.kind, key.take()) {
            (NodeKind::Map(entries), Some(key)) => entries.push((key, node)),
            (NodeKind::Map(_), None) => *key = Some(node),
            (NodeKind::Seq(items), _) => items.push(node),
            _ => {}
        }
        None
    }
}

/// A part of a text that holds whole documents: the text up to a `---` of the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    /// Lines before it.
    pub(super) lines: u32,
    pub(super) text: &'a str,
}

/// Cuts a text at its document markers, so that a syntax error in one document does not hide those behind it. A line
/// that begins with `---` is a marker wherever it stands.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut out = Vec::new();
    let (mut start, mut first, mut at) = (0, 0_u32, 0);
    let mut directive = false;
    for (line, number) in text.split_inclusive('\n').zip(0_u32..) {
        let body = line.trim_end();
        let marker = body == "---" || body.starts_with("--- ") || body.starts_with("---\t");
        if marker && !directive && at > start {
            let text = text.get(start..at).unwrap_or_default();
            out.push(Piece { lines: first, text });
            (start, first) = (at, number);
        }
        // Directives belong to the marker behind them.
        directive = !marker && (directive || line.starts_with('%'));
        at += line.len();
    }
    let text = text.get(start..).unwrap_or_default();
    out.push(Piece { lines: first, text });
    out
}

/// Reads all documents of a piece; what was whole before an error is kept.
pub(super) fn read(piece: Piece<'_>) -> (Vec<Node>, Option<Issue>) {
    let mut nodes = Vec::new();
    if piece.text.len() > DOCUMENT_BYTES {
        let mark = place(piece.lines, 1, 0);
        let problem = format!("a document of more than {DOCUMENT_BYTES} bytes");
        return (nodes, Some(Issue::new("", mark, problem)));
    }
    if !piece.text.trim_start().starts_with('{') {
        let issue = written(piece, &mut nodes).err();
        return (nodes, issue);
    }
    match json::read(piece, &mut nodes) {
        Ok(()) => (nodes, None),
        // A flow map of YAML begins like JSON; only what is neither is told in the words of JSON.
        Err(issue) => {
            let mut flow = Vec::new();
            match written(piece, &mut flow) {
                Ok(()) => (flow, None),
                Err(_) => (nodes, Some(issue)),
            }
        }
    }
}

pub(super) fn place(lines: u32, line: usize, column: usize) -> Mark {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Mark {
        line: lines.saturating_add(number(line)),
        column: number(column.saturating_add(1)),
    }
}

/// Reads YAML as people write it: formulas inside flow maps and lists may hold commas and quotes.
fn written(piece: Piece<'_>, nodes: &mut Vec<Node>) -> Result<(), Issue> {
    let outcome = yaml(piece, &Inserted::default(), nodes);
    if outcome.is_ok() && !flow::is_torn(nodes) {
        return outcome;
    }
    if let Some((text, inserted)) = flow::quoted(piece.text) {
        let mut again = Vec::new();
        let text = Piece {
            lines: piece.lines,
            text: &text,
        };
        if yaml(text, &inserted, &mut again).is_ok() {
            *nodes = again;
            return Ok(());
        }
    }
    outcome
}

fn yaml(piece: Piece<'_>, inserted: &Inserted, nodes: &mut Vec<Node>) -> Result<(), Issue> {
    let place = |lines, line, column| place(lines, line, inserted.original(line, column));
    let mut builder = Builder::default();
    for event in Parser::new_from_str(piece.text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker();
            let mark = place(piece.lines, at.line(), at.col());
            Issue::new("", mark, format!("not YAML: {}", error.info()))
        })?;
        let mark = place(piece.lines, span.start.line(), span.start.col());
        plain(&event, mark)?;
        let done = match event {
            Event::Scalar(text, style, ..) => {
                let mark = content(&span.start, &text, style)
                    .map_or(mark, |(line, column)| place(piece.lines, line, column));
                builder.scalar(mark, scalar(text, style))?
            }
            Event::SequenceStart(..) => {
                builder.open(mark, NodeKind::Seq(Vec::new()))?;
                None
            }
            Event::MappingStart(..) => {
                builder.open(mark, NodeKind::Map(Vec::new()))?;
                None
            }
            Event::SequenceEnd | Event::MappingEnd => builder.close(),
            Event::DocumentStart(_) => {
                builder = Builder::default();
                None
            }
            _ => None,
        };
        nodes.extend(done);
    }
    Ok(())
}

/// Refuses what can make a small text a large tree, and types that we do not have.
fn plain(event: &Event<'_>, mark: Mark) -> Result<(), Issue> {
    let (anchor, tag) = match event {
        Event::Alias(_) => (1, false),
        Event::Scalar(_, _, anchor, tag) => (*anchor, tag.is_some()),
        Event::SequenceStart(anchor, tag) | Event::MappingStart(anchor, tag) => {
            (*anchor, tag.is_some())
        }
        _ => (0, false),
    };
    if anchor > 0 {
        return Err(Issue::new("", mark, "anchors and aliases are not allowed"));
    }
    if tag {
        let hint = "put a formula that begins with `!` in quotes: `when: '!x'`";
        return Err(Issue::new("", mark, "tags (`!…`) are not allowed").hint(hint));
    }
    Ok(())
}

/// Line and column where the content of a scalar begins: behind the quote, or on the first line of a block.
fn content(start: &Marker, text: &str, style: ScalarStyle) -> Option<(usize, usize)> {
    match style {
        ScalarStyle::Plain => None,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
            Some((start.line(), start.col() + 1))
        }
        ScalarStyle::Literal | ScalarStyle::Folded => {
            // The scanner says where the first line stands that is not blank.
            let blank = text.len() - text.trim_start_matches('\n').len();
            Some((start.line().saturating_sub(blank), start.col()))
        }
    }
}

/// Resolves a scalar by the core schema of YAML 1.2: `no` and `12:30` are texts.
fn scalar(text: Cow<'_, str>, style: ScalarStyle) -> NodeKind {
    if style != ScalarStyle::Plain {
        return NodeKind::Text(text.into_owned());
    }
    match text.as_ref() {
        "" | "~" | "null" | "Null" | "NULL" => NodeKind::Null,
        "true" | "True" | "TRUE" => NodeKind::Bool(true),
        "false" | "False" | "FALSE" => NodeKind::Bool(false),
        written => match number(written) {
            Some(number) => NodeKind::Number(number),
            None => NodeKind::Text(text.into_owned()),
        },
    }
}

/// A plain scalar as a JSON number, as written where JSON writes it like that.
fn number(text: &str) -> Option<String> {
    let whole = |digits: &str, radix| {
        u64::from_str_radix(digits, radix)
            .ok()
            .filter(|_| !digits.starts_with('+'))
            .map(|number| number.to_string())
    };
    if let Some(digits) = text.strip_prefix("0x") {
        return whole(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return whole(digits, 8);
    }
    let body = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = body.strip_prefix('.').unwrap_or(body);
    let shaped = digits.starts_with(|c: char| c.is_ascii_digit())
        && body
            .chars()
            .all(|c| matches!(c, '0'..='9' | '.' | 'e' | 'E' | '+' | '-'));
    if !shaped {
        return None;
    }
    let value = text.parse::<f64>().ok()?;
    if serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
        return Some(text.to_owned());
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    if body.chars().all(|c| c.is_ascii_digit()) {
        let digits = body.trim_start_matches('0');
        let digits = if digits.is_empty() { "0" } else { digits };
        return Some(format!("{sign}{digits}"));
    }
    let mut out = String::new();
    crate::value::write_number(value, &mut out);
    (value.is_finite()).then_some(out)
}
