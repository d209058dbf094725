//! Formulas inside flow maps and lists: `{ r: corr(temperature, load), m: avg(x, "5m") }`.
//!
//! YAML ends a plain text inside `{ }` and `[ ]` at the next comma or quote, also within parentheses, so a formula with
//! two arguments falls apart. People write it all the same, the specification too. When a text does not read, or reads
//! with parentheses torn apart, it is read once more with such formulas in quotes; positions stay those of the text.

use crate::document::tree::{Node, NodeKind};

/// Characters that were put into a text: line from 1 and column from 0 in the new text, rising.
#[derive(Debug, Default)]
pub(super) struct Inserted {
    places: Vec<(usize, usize)>,
}

impl Inserted {
    /// The column in the original text of a column in the new one.
    pub(super) fn original(&self, line: usize, column: usize) -> usize {
        let start = self.places.partition_point(|place| *place < (line, 0));
        let end = self.places.partition_point(|place| *place < (line, column));
        column - (end - start).min(column)
    }
}

/// Whether a text of the tree has parentheses or quotes that do not close: the mark of a formula that fell apart.
pub(super) fn is_torn(nodes: &[Node]) -> bool {
    let mut waiting: Vec<&Node> = nodes.iter().collect();
    while let Some(node) = waiting.pop() {
        match &node.kind {
            NodeKind::Text(text) if !is_whole(text) => return true,
            NodeKind::Seq(items) => waiting.extend(items),
            NodeKind::Map(entries) => {
                waiting.extend(entries.iter().flat_map(|(key, value)| [key, value]));
            }
            _ => {}
        }
    }
    false
}

fn is_whole(text: &str) -> bool {
    let count = |sought: char| text.matches(sought).count();
    count('(') == count(')') && count('"') % 2 == 0
}

/// The text with formulas of flow maps and lists in quotes; `None` when there is none.
pub(super) fn quoted(text: &str) -> Option<(String, Inserted)> {
    let mut scan = Scan::default();
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        scan.line = number;
        scan.read(line);
    }
    (!scan.inserted.places.is_empty()).then_some((scan.out, scan.inserted))
}

/// A walk over YAML text that knows just enough of it to find plain texts inside flow maps and lists.
#[derive(Debug, Default)]
struct Scan {
    out: String,
    inserted: Inserted,
    line: usize,
    /// Characters of this line that went out.
    column: usize,
    /// Open flow maps and lists.
    depth: usize,
    /// The quote of an open text in quotes.
    quote: Option<char>,
    /// Column of the key whose block text is being skipped.
    block: Option<usize>,
    /// Column of the last key or plain text outside flow.
    key: usize,
    /// A value may begin here.
    token: bool,
    /// Something on this line does not close: nothing more of it is put in quotes.
    open: bool,
}

impl Scan {
    fn read(&mut self, line: &str) {
        let chars: Vec<char> = line.chars().collect();
        let indent = chars.iter().take_while(|c| **c == ' ').count();
        self.column = 0;
        self.open = false;
        if let Some(key) = self.block {
            if line.trim().is_empty() || indent > key {
                self.out.push_str(line);
                return;
            }
            self.block = None;
        }
        self.token |= self.depth == 0;
        let mut at = 0;
        while let Some(c) = chars.get(at) {
            if *c == '#' && self.quote.is_none() && (at == 0 || blank(chars.get(at - 1))) {
                self.copy(chars.get(at..).unwrap_or_default());
                return;
            }
            let rest = chars.get(at..).unwrap_or_default();
            at += self.step(*c, rest, at);
        }
    }

    fn copy(&mut self, chars: &[char]) {
        self.out.extend(chars);
        self.column += chars.len();
    }

    fn insert(&mut self) {
        self.inserted.places.push((self.line, self.column));
        self.out.push('\'');
        self.column += 1;
    }

    /// Takes what begins with `c`; answers with how many characters that was.
    fn step(&mut self, c: char, rest: &[char], at: usize) -> usize {
        if let Some(quote) = self.quote {
            let escaped = (quote == '"' && c == '\\')
                || (quote == '\'' && c == '\'' && rest.get(1) == Some(&'\''));
            let taken = if escaped { rest.len().min(2) } else { 1 };
            if !escaped && c == quote {
                self.quote = None;
            }
            self.copy(rest.get(..taken).unwrap_or_default());
            return taken;
        }
        let flow = self.depth > 0;
        let taken = match c {
            _ if c.is_whitespace() => 1,
            '{' | '[' if self.token => {
                self.depth += 1;
                1
            }
            '}' | ']' if flow => {
                self.depth -= 1;
                self.token = false;
                1
            }
            ',' if flow => {
                self.token = true;
                1
            }
            ':' if !self.token => {
                self.token = true;
                1
            }
            '"' | '\'' if self.token => {
                self.quote = Some(c);
                self.key = at;
                self.token = false;
                1
            }
            '-' | '?' if !flow && self.token && blank(rest.get(1)) => 1,
            '|' | '>' if !flow && self.token && is_header(rest) => {
                self.block = Some(self.key);
                rest.len()
            }
            _ if flow && self.token && !self.open => return self.plain(rest),
            _ => {
                if self.token && !flow {
                    self.key = at;
                }
                self.token = false;
                ending(rest, flow)
            }
        };
        self.copy(rest.get(..taken).unwrap_or_default());
        taken
    }

    /// A plain text inside flow, in quotes if its parentheses hold what would end it.
    fn plain(&mut self, rest: &[char]) -> usize {
        self.token = false;
        let Some((length, quoted)) = measure(rest) else {
            self.open = true;
            let taken = ending(rest, true);
            self.copy(rest.get(..taken).unwrap_or_default());
            return taken;
        };
        let text = rest.get(..length).unwrap_or_default();
        if !quoted {
            self.copy(text);
            return length;
        }
        let end = length - text.iter().rev().take_while(|c| c.is_whitespace()).count();
        self.insert();
        for c in text.get(..end).unwrap_or_default() {
            if *c == '\'' {
                self.insert();
            }
            self.copy(&[*c]);
        }
        self.insert();
        self.copy(text.get(end..).unwrap_or_default());
        length
    }
}

fn blank(c: Option<&char>) -> bool {
    c.is_none_or(|c| c.is_whitespace())
}

/// Whether `|` or `>` begins a block text: nothing but its indicators and a comment behind it.
fn is_header(rest: &[char]) -> bool {
    let mut behind = rest
        .iter()
        .skip(1)
        .skip_while(|c| matches!(c, '+' | '-' | '0'..='9'));
    behind
        .find(|c| !c.is_whitespace())
        .is_none_or(|c| *c == '#')
}

/// Length of a plain text as YAML sees it, at least one character.
fn ending(rest: &[char], flow: bool) -> usize {
    let end = rest.iter().enumerate().position(|(at, c)| match c {
        ':' => {
            blank(rest.get(at + 1)) || (flow && matches!(rest.get(at + 1), Some(',' | '}' | ']')))
        }
        ',' | '[' | ']' | '{' | '}' => flow,
        '#' => at > 0 && blank(rest.get(at - 1)),
        _ => false,
    });
    end.unwrap_or(rest.len()).max(1)
}

/// Length of a plain text inside flow whose brackets close, and whether they hold what would end it before. `None` when
/// something does not close on this line.
fn measure(rest: &[char]) -> Option<(usize, bool)> {
    let mut open: Vec<char> = Vec::new();
    let mut text = false;
    let mut quoted = false;
    let mut at = 0;
    while let Some(c) = rest.get(at) {
        let next = rest.get(at + 1);
        if text {
            text = *c != '"';
            at += usize::from(*c == '\\');
            quoted |= matches!(c, ',' | '[' | ']' | '{' | '}' | '#' | ':');
        } else if open.last() == Some(c) {
            open.pop();
        } else {
            match c {
                '"' => {
                    text = true;
                    quoted |= !open.is_empty();
                }
                '(' => open.push(')'),
                '[' | '{' => {
                    open.push(if *c == '[' { ']' } else { '}' });
                    quoted = true;
                }
                ',' | ']' | '}' if open.is_empty() => break,
                ',' => quoted = true,
                ':' if open.is_empty()
                    && (blank(next) || matches!(next, Some(',' | '}' | ']'))) =>
                {
                    break;
                }
                '#' if open.is_empty() && at > 0 && blank(rest.get(at - 1)) => break,
                ')' | ']' | '}' => return None,
                _ => {}
            }
        }
        at += 1;
    }
    (open.is_empty() && !text).then_some((at.min(rest.len()).max(1), quoted))
}
