//! The pull reader: strings borrowed where they can be, containers opened and walked by the caller, limits on size, depth
//! and text. Nothing in it recurses.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::error::{JsonError, JsonProblem, ReadLimits};
use super::number::{self, Number};

/// Pull reader over one JSON text.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// A container was opened and nothing of it read yet.
    fresh: bool,
    /// Where the last string began.
    text_at: usize,
    limits: ReadLimits,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a text.
    ///
    /// # Errors
    /// When the text is too long or not UTF-8.
    pub fn new(bytes: &'a [u8], limits: ReadLimits) -> Result<Self, JsonError> {
        let refuse = |at, problem| Err(JsonError { at, problem });
        if bytes.len() > limits.bytes {
            return refuse(limits.bytes, JsonProblem::Bytes(limits.bytes));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self {
                text,
                at: 0,
                depth: 0,
                fresh: false,
                text_at: 0,
                limits,
            }),
            Err(error) => refuse(error.valid_up_to(), JsonProblem::Utf8),
        }
    }

    /// Byte that is read next.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Byte at which the last string or key began.
    #[must_use]
    pub const fn text_at(&self) -> usize {
        self.text_at
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, problem: JsonProblem) -> JsonError {
        JsonError {
            at: self.at,
            problem,
        }
    }

    fn expected(&self, what: &'static str) -> JsonError {
        self.error(if self.at >= self.text.len() {
            JsonProblem::End(what)
        } else {
            JsonProblem::Expected(what)
        })
    }

    /// The next byte that is no white space, without taking it.
    #[inline]
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// As [`Reader::peek`], and whether a line ended before that byte.
    pub fn peek_line(&mut self) -> (Option<u8>, bool) {
        let mut ended = false;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            ended |= self.byte() == Some(b'\n');
            self.at += 1;
        }
        (self.byte(), ended)
    }

    /// Checks that nothing but white space is left.
    ///
    /// # Errors
    /// When something is left.
    pub fn finish(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error(JsonProblem::Trailing)),
        }
    }

    #[inline]
    fn open(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.expected(what));
        }
        if self.depth >= self.limits.depth {
            return Err(self.error(JsonProblem::Depth(self.limits.depth)));
        }
        self.at += 1;
        self.depth += 1;
        self.fresh = true;
        Ok(())
    }

    /// Steps to the next member of a container, past the comma; false when the container ends here.
    #[inline]
    fn step(&mut self, close: u8, what: &'static str) -> Result<bool, JsonError> {
        let byte = self.peek();
        if byte == Some(close) {
            self.at += 1;
            self.depth = self.depth.saturating_sub(1);
            self.fresh = false;
            return Ok(false);
        }
        if !std::mem::take(&mut self.fresh) {
            if byte != Some(b',') {
                return Err(self.expected(what));
            }
            self.at += 1;
        }
        Ok(true)
    }

    /// Takes the `{` of an object.
    ///
    /// # Errors
    /// When something else stands there or the depth is used up.
    #[inline]
    pub fn open_object(&mut self) -> Result<(), JsonError> {
        self.open(b'{', "`{`")
    }

    /// Takes the `[` of an array.
    ///
    /// # Errors
    /// When something else stands there or the depth is used up.
    pub fn open_array(&mut self) -> Result<(), JsonError> {
        self.open(b'[', "`[`")
    }

    /// Takes the next key of the innermost object and its colon; `None` takes the end of the object.
    ///
    /// # Errors
    /// When something else stands there.
    #[inline]
    pub fn next_key(&mut self) -> Result<Option<Cow<'a, str>>, JsonError> {
        if !self.step(b'}', "`,` or `}`")? {
            return Ok(None);
        }
        let key = self.text()?;
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Takes the next key and its colon if that is simple: no escapes, nothing wrong. `None` takes nothing; then
    /// [`Reader::next_key`] says what stands there. Unlike it, this answers in registers.
    #[inline]
    pub fn simple_key(&mut self) -> Option<&'a str> {
        let mut byte = self.peek()?;
        let (start, fresh) = (self.at, self.fresh);
        if !fresh {
            if byte != b',' {
                return None;
            }
            self.at += 1;
            byte = self.peek()?;
        }
        if byte == b'"'
            && let Some(key) = self.simple_text()
            && self.peek() == Some(b':')
        {
            self.at += 1;
            self.fresh = false;
            return Some(key);
        }
        self.at = start;
        None
    }

    /// Takes a string if it is simple: no escapes, nothing wrong. `None` takes nothing.
    #[inline]
    pub fn simple_text(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        let end = start + plain(bytes.get(start..)?);
        if end - start > self.limits.text || bytes.get(end) != Some(&b'"') {
            return None;
        }
        let text = self.text.get(start..end)?;
        self.text_at = self.at;
        self.at = end + 1;
        Some(text)
    }

    /// Takes a number if it is simple: at most 18 digits and no exponent, so that its double is exact. `None` takes
    /// nothing.
    #[inline]
    pub fn simple_number(&mut self) -> Option<f64> {
        let (number, end) = number::simple(self.text.as_bytes(), self.at)?;
        self.at = end;
        Some(number)
    }

    /// Steps to the next item of the innermost array; false takes the end of the array.
    ///
    /// # Errors
    /// When something else stands there.
    pub fn next_item(&mut self) -> Result<bool, JsonError> {
        self.step(b']', "`,` or `]`")
    }

    /// Takes a string, borrowed when it has no escapes.
    ///
    /// # Errors
    /// When there is no string, or a bad or too long one.
    #[inline]
    pub fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a text in `\"`"));
        }
        self.text_at = self.at;
        let start = self.at + 1;
        let end = start + plain(self.text.as_bytes().get(start..).unwrap_or_default());
        if end - start > self.limits.text {
            return Err(self.error(JsonProblem::Text(self.limits.text)));
        }
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Cow::Borrowed(self.text.get(start..end).unwrap_or_default()));
        }
        self.escaped(start, end).map(Cow::Owned)
    }

    /// A string with escapes: `end` is where the first of them stands.
    #[cold]
    fn escaped(&mut self, start: usize, end: usize) -> Result<String, JsonError> {
        let mut out = String::new();
        let mut from = start;
        self.at = end;
        loop {
            out.push_str(self.text.get(from..self.at).unwrap_or_default());
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => out.push(self.escape()?),
                Some(_) => return Err(self.error(JsonProblem::Control)),
                None => return Err(self.expected("`\"`")),
            }
            from = self.at;
            self.at += plain(self.text.as_bytes().get(from..).unwrap_or_default());
            if self.at - start > self.limits.text {
                return Err(self.error(JsonProblem::Text(self.limits.text)));
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let bad = self.error(JsonProblem::Escape);
        self.at += 1;
        let letter = self.byte().ok_or(self.expected("an escape"))?;
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(&bad),
            _ => return Err(bad),
        })
    }

    fn unicode(&mut self, bad: &JsonError) -> Result<char, JsonError> {
        let lone = JsonError {
            at: bad.at,
            problem: JsonProblem::Surrogate,
        };
        let first = self.hex().ok_or_else(|| bad.clone())?;
        let code = match first {
            0xd800..=0xdbff => {
                if self.text.as_bytes().get(self.at..self.at + 2) != Some(b"\\u".as_slice()) {
                    return Err(lone);
                }
                self.at += 2;
                match self.hex() {
                    Some(second @ 0xdc00..=0xdfff) => {
                        0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
                    }
                    Some(_) => return Err(lone),
                    None => return Err(bad.clone()),
                }
            }
            other => other,
        };
        char::from_u32(code).ok_or(lone)
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4)?;
        let mut code = 0;
        for digit in digits {
            code = code * 16 + char::from(*digit).to_digit(16)?;
        }
        self.at += 4;
        Some(code)
    }

    /// Takes a number.
    ///
    /// # Errors
    /// When there is none.
    #[inline]
    pub fn number(&mut self) -> Result<Number<'a>, JsonError> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.expected("a value"));
        }
        match number::read(self.text, self.at) {
            Ok((number, end)) => {
                self.at = end;
                Ok(number)
            }
            Err(at) => {
                self.at = at;
                Err(self.expected("a number"))
            }
        }
    }

    fn word(&mut self, word: &'static str) -> Result<(), JsonError> {
        self.peek();
        match self.text.as_bytes().get(self.at..self.at + word.len()) {
            Some(found) if found == word.as_bytes() => {
                self.at += word.len();
                Ok(())
            }
            _ => Err(self.expected("a value")),
        }
    }

    /// Takes `true` or `false`.
    ///
    /// # Errors
    /// When neither stands there.
    pub fn flag(&mut self) -> Result<bool, JsonError> {
        let flag = self.peek() == Some(b't');
        self.word(if flag { "true" } else { "false" })?;
        Ok(flag)
    }

    /// Takes `null`.
    ///
    /// # Errors
    /// When something else stands there.
    pub fn null(&mut self) -> Result<(), JsonError> {
        self.word("null")
    }

    /// Takes any value and answers with its text as written, which is valid JSON.
    ///
    /// # Errors
    /// When there is no value, or a bad or too deep one.
    pub fn skip(&mut self) -> Result<&'a str, JsonError> {
        self.peek();
        let start = self.at;
        // One entry per open container: whether it is an object.
        let mut open: SmallVec<[bool; 32]> = SmallVec::new();
        loop {
            match self.peek() {
                Some(b'{') => {
                    self.open_object()?;
                    open.push(true);
                }
                Some(b'[') => {
                    self.open_array()?;
                    open.push(false);
                }
                Some(b'"') => drop(self.text()?),
                Some(b't' | b'f') => drop(self.flag()?),
                Some(b'n') => self.null()?,
                _ => drop(self.number()?),
            }
            loop {
                match open.last() {
                    None => return Ok(self.text.get(start..self.at).unwrap_or_default()),
                    Some(true) if self.next_key()?.is_some() => break,
                    Some(false) if self.next_item()? => break,
                    Some(_) => drop(open.pop()),
                }
            }
        }
    }
}

/// Bytes at the start that are neither quote, backslash nor control character, eight at a time.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        let zero = |word: u64| word.wrapping_sub(LOW) & !word;
        let control = word.wrapping_sub(LOW * 0x20) & !word;
        let quote = zero(word ^ (LOW * u64::from(b'"')));
        let escape = zero(word ^ (LOW * u64::from(b'\\')));
        // A borrow can only set marks above a true one, so the lowest mark is true.
        let found = (control | quote | escape) & HIGH;
        if found != 0 {
            return at + (found.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest
        .iter()
        .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
        .unwrap_or(rest.len())
}
