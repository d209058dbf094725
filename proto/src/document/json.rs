//! JSON text to [`Node`] trees. YAML would read most of it too, but not surrogate pairs, and slower.

use crate::document::tree::{Builder, DEPTH, DOCUMENT_BYTES, Node, NodeKind, Piece, place};
use crate::issue::{Issue, Mark};
use crate::json::{JsonError, ReadLimits, Reader};

/// Byte offsets to lines and columns; offsets only rise.
struct Places<'a> {
    piece: Piece<'a>,
    at: usize,
    line: usize,
    column: usize,
}

impl Places<'_> {
    fn mark(&mut self, at: usize) -> Mark {
        let passed = self.piece.text.get(self.at..at).unwrap_or_default();
        for c in passed.chars() {
            self.column += 1;
            if c == '\n' {
                self.line += 1;
                self.column = 0;
            }
        }
        self.at = self.at.max(at);
        place(self.piece.lines, self.line, self.column)
    }
}

/// Reads the documents of a piece as JSON; those that were whole before an error are kept.
pub(super) fn read(piece: Piece<'_>, nodes: &mut Vec<Node>) -> Result<(), Issue> {
    let limits = ReadLimits {
        bytes: DOCUMENT_BYTES,
        depth: DEPTH,
        text: DOCUMENT_BYTES,
    };
    let places = Places {
        piece,
        at: 0,
        line: 1,
        column: 0,
    };
    let reader = Reader::new(piece.text.as_bytes(), limits);
    let mut walk = Walk {
        reader: reader.map_err(|error| Issue::new("", Mark::default(), error.to_string()))?,
        places,
        builder: Builder::default(),
        open: Vec::new(),
    };
    while walk.reader.peek().is_some() {
        nodes.extend(walk.document()?);
    }
    Ok(())
}

struct Walk<'a> {
    reader: Reader<'a>,
    places: Places<'a>,
    builder: Builder,
    /// One entry per open container: whether it is a map.
    open: Vec<bool>,
}

impl Walk<'_> {
    fn issue(&mut self, error: &JsonError) -> Issue {
        let mark = self.places.mark(error.at);
        Issue::new("", mark, format!("not JSON: {}", error.problem))
    }

    fn document(&mut self) -> Result<Option<Node>, Issue> {
        self.builder = Builder::default();
        self.open.clear();
        loop {
            let mut done = self.value()?;
            // Step to the next value, closing what ends.
            while done.is_none() && !self.open.is_empty() && !self.step()? {
                self.open.pop();
                done = self.builder.close();
            }
            if done.is_some() || self.open.is_empty() {
                return Ok(done);
            }
        }
    }

    /// Steps to the next value of the innermost container; false when it ends.
    fn step(&mut self) -> Result<bool, Issue> {
        if self.open.last() == Some(&false) {
            return self.reader.next_item().map_err(|error| self.issue(&error));
        }
        match self.reader.next_key() {
            Ok(None) => Ok(false),
            Ok(Some(key)) => {
                // The content of a string begins behind its quote; a key is named by its own place.
                let mark = self.places.mark(self.reader.text_at());
                let key = NodeKind::Text(key.into_owned());
                self.builder.scalar(mark, key).map(|_| true)
            }
            Err(error) => Err(self.issue(&error)),
        }
    }

    /// Takes one scalar, or the opening of a container.
    fn value(&mut self) -> Result<Option<Node>, Issue> {
        let byte = self.reader.peek();
        let mark = self.places.mark(self.reader.at());
        let kind = match byte {
            Some(b'{') => self
                .reader
                .open_object()
                .map(|()| NodeKind::Map(Vec::new())),
            Some(b'[') => self.reader.open_array().map(|()| NodeKind::Seq(Vec::new())),
            Some(b'"') => self
                .reader
                .text()
                .map(|text| NodeKind::Text(text.into_owned())),
            Some(b't' | b'f') => self.reader.flag().map(NodeKind::Bool),
            Some(b'n') => self.reader.null().map(|()| NodeKind::Null),
            _ => self
                .reader
                .number()
                .map(|number| NodeKind::Number(number.text.to_owned())),
        };
        match kind.map_err(|error| self.issue(&error))? {
            NodeKind::Text(text) => {
                let mark = self.places.mark(self.reader.text_at() + 1);
                self.builder.scalar(mark, NodeKind::Text(text))
            }
            kind @ (NodeKind::Map(_) | NodeKind::Seq(_)) => {
                self.open.push(matches!(kind, NodeKind::Map(_)));
                self.builder.open(mark, kind).map(|()| None)
            }
            kind => self.builder.scalar(mark, kind),
        }
    }
}
