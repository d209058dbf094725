//! Influx line protocol: `measurement,tag=value field=1.5,other=2i TIME`, one event per line.
//!
//! The metric of a field is `measurement.field`; a field called `value` is the measurement itself. The resource is the tag
//! that the profile names (`measurement` names the measurement), then the record's key; all other tags are labels. Lines
//! that are empty or begin with `#` say nothing. A bad line is rejected alone, with its line and column.

use std::borrow::Cow;
use std::sync::Arc;

use crate::decode::element::{Walk, brief};
use crate::decode::moment;
use crate::decode::profile::FieldSource;
use crate::value::Value;

/// What is wrong with a line, and the byte where.
type Wrong = (usize, String);

/// Word that stands for the measurement where a tag is named.
const MEASUREMENT: &str = "measurement";

impl<'a> Walk<'_, 'a> {
    /// Decodes all lines of the record.
    pub(super) fn lines(&mut self, value: &'a [u8]) -> Result<(), String> {
        let text = std::str::from_utf8(value).map_err(|error| {
            format!(
                "not Influx line protocol: byte {} is not UTF-8",
                error.valid_up_to()
            )
        })?;
        let told = self.sink.bad.len();
        let mut index = 0;
        let mut lines = Lines { text, number: 0 };
        while let Some((number, line)) = lines.next_line() {
            if line.trim_ascii().is_empty() || line.starts_with('#') {
                continue;
            }
            if index >= self.limits.elements {
                return Err(format!(
                    "more than {} events in one record",
                    self.limits.elements
                ));
            }
            let start = self.begin();
            let read = self.line(line).map_err(|(at, problem)| {
                let column = line.get(..at).unwrap_or(line).chars().count() + 1;
                format!("line {number}, column {column}: {problem}")
            });
            if let Err(reason) = read.and_then(|()| self.finish()) {
                self.reject(start, index, told, reason);
            }
            index += 1;
        }
        if index == 0 {
            return Err("the record is empty".to_owned());
        }
        Ok(())
    }

    fn line(&mut self, line: &'a str) -> Result<(), Wrong> {
        let mut scan = Scan { line, at: 0 };
        let measurement = scan.word(&[',', ' ']);
        if measurement.is_empty() {
            return Err((0, "a line begins with a measurement".to_owned()));
        }
        self.tags(&mut scan, &measurement)?;
        scan.spaces();
        self.fields(&mut scan, &measurement)?;
        scan.spaces();
        self.stamp(&mut scan)
    }

    fn tags(&mut self, scan: &mut Scan<'a>, measurement: &str) -> Result<(), Wrong> {
        let wanted = match &self.profile.resource {
            FieldSource::Path(tag) => Some(Arc::clone(tag)),
            _ => None,
        };
        if wanted.as_deref() == Some(MEASUREMENT) {
            self.event.resource = Some(Cow::Owned(measurement.to_owned()));
        }
        while scan.take(',') {
            let at = scan.at;
            let name = scan.word(&[',', '=', ' ']);
            if name.is_empty() || !scan.take('=') {
                return Err((at, "a tag is `name=value`".to_owned()));
            }
            let value = scan.word(&[',', '=', ' ']);
            if value.is_empty() {
                return Err((scan.at, format!("the tag `{}` has no value", brief(&name))));
            }
            if wanted.as_deref() == Some(name.as_ref()) {
                self.event.resource = Some(value);
            } else {
                self.tag(at, &name, &value)?;
            }
        }
        Ok(())
    }

    fn tag(&mut self, at: usize, name: &str, value: &str) -> Result<(), Wrong> {
        let most = self.limits.attributes_per_event;
        let labels = &mut self.event.said().attributes.labels;
        if labels.iter().any(|(known, _)| known.as_ref() == name) {
            return Err((at, format!("the tag `{}` is there twice", brief(name))));
        }
        if labels.len() >= most {
            return Err((at, format!("more than {most} tags")));
        }
        labels.push((Arc::from(name), Arc::from(value)));
        Ok(())
    }

    fn fields(&mut self, scan: &mut Scan<'a>, measurement: &str) -> Result<(), Wrong> {
        loop {
            let at = scan.at;
            let name = scan.word(&[',', '=', ' ']);
            if name.is_empty() || !scan.take('=') {
                return Err((at, "a field is `name=value`".to_owned()));
            }
            self.event.metrics += 1;
            if self.event.metrics > self.limits.metrics_per_event {
                let most = self.limits.metrics_per_event;
                return Err((at, format!("more than {most} fields")));
            }
            let mut path = std::mem::take(&mut self.scratch.path);
            path.clear();
            path.push_str(measurement);
            if name != "value" {
                path.push('.');
                path.push_str(&name);
            }
            let read = self.value(scan, &path);
            self.scratch.path = path;
            read?;
            if let Some(fault) = self.event.fault.take() {
                return Err((at, fault));
            }
            if !scan.take(',') {
                return Ok(());
            }
        }
    }

    fn value(&mut self, scan: &mut Scan<'a>, metric: &str) -> Result<(), Wrong> {
        let at = scan.at;
        if scan.take('"') {
            let text = scan.quoted(at)?;
            if text.len() > self.limits.json.text {
                let most = self.limits.json.text;
                return Err((at, format!("a text of more than {most} bytes")));
            }
            self.push_value(metric, Value::text(&text));
            return Ok(());
        }
        let written = scan.bare();
        match written {
            "t" | "T" | "true" | "True" | "TRUE" => self.push_value(metric, Value::Bool(true)),
            "f" | "F" | "false" | "False" | "FALSE" => self.push_value(metric, Value::Bool(false)),
            _ => match number(written) {
                Some(number) => self.push_number(metric, number),
                None => {
                    let written = brief(written);
                    return Err((
                        at,
                        format!("`{written}` is not a value: a number, `1i`, `true` or `\"text\"`"),
                    ));
                }
            },
        }
        Ok(())
    }

    fn stamp(&mut self, scan: &mut Scan<'a>) -> Result<(), Wrong> {
        let at = scan.at;
        let written = scan.rest().trim_ascii_end();
        if written.is_empty() {
            return Ok(());
        }
        let millis = written
            .parse::<i64>()
            .ok()
            .and_then(|time| self.profile.precision.to_millis(time))
            .and_then(moment::within);
        match millis {
            Some(millis) => self.event.time = Some(millis),
            None => {
                return Err((at, format!("`{}` is not a time", brief(written))));
            }
        }
        Ok(())
    }
}

/// A number as line protocol writes it: a double, `1i`, `1u`. Never infinite: what is beyond the doubles is refused.
fn number(written: &str) -> Option<f64> {
    let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    if !starts(written) {
        return None;
    }
    #[allow(
        clippy::cast_precision_loss,
        reason = "numbers are doubles: those of more than 53 bits round"
    )]
    let value = match written.as_bytes().last() {
        Some(b'i') => written.strip_suffix('i')?.parse::<i64>().ok()? as f64,
        Some(b'u') => written.strip_suffix('u')?.parse::<u64>().ok()? as f64,
        _ => written.parse::<f64>().ok()?,
    };
    value.is_finite().then_some(value)
}

/// Lines of a record; a line break inside quotes is part of a text.
struct Lines<'a> {
    text: &'a str,
    number: usize,
}

impl<'a> Lines<'a> {
    /// The next line and its number, from 1.
    fn next_line(&mut self) -> Option<(usize, &'a str)> {
        if self.text.is_empty() {
            return None;
        }
        let number = self.number + 1;
        let (mut quoted, mut escaped, mut field) = (false, false, false);
        let mut end = self.text.len();
        for (at, byte) in self.text.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                // A quote opens a text only as the value of a field.
                b'"' if quoted || field => quoted = !quoted,
                b'\n' if !quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
            field = byte == b'=';
        }
        let line = self.text.get(..end).unwrap_or_default();
        self.text = self.text.get(end + 1..).unwrap_or_default();
        self.number = number + line.matches('\n').count();
        Some((number, line.strip_suffix('\r').unwrap_or(line)))
    }
}

/// A place in a line.
struct Scan<'a> {
    line: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        self.line.get(self.at..).unwrap_or_default()
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        self.at += if found { wanted.len_utf8() } else { 0 };
        found
    }

    fn spaces(&mut self) {
        while self.take(' ') {}
    }

    /// A name or tag value up to one of some characters; a backslash takes their meaning, and stays where it has none.
    fn word(&mut self, ends: &[char]) -> Cow<'a, str> {
        let rest = self.rest();
        let mut length = rest.len();
        let (mut escaped, mut has_escapes) = (false, false);
        for (at, c) in rest.char_indices() {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
                has_escapes = true;
            } else if ends.contains(&c) {
                length = at;
                break;
            }
        }
        self.at += length;
        let word = rest.get(..length).unwrap_or_default();
        if has_escapes {
            Cow::Owned(unescaped(word, |c| matches!(c, ',' | '=' | ' ')))
        } else {
            Cow::Borrowed(word)
        }
    }

    /// A value without quotes.
    fn bare(&mut self) -> &'a str {
        let rest = self.rest();
        let length = rest.find([',', ' ']).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// The rest of a text whose opening quote is taken.
    fn quoted(&mut self, from: usize) -> Result<Cow<'a, str>, Wrong> {
        let rest = self.rest();
        let mut escaped = false;
        for (at, c) in rest.char_indices() {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => {
                    self.at += at + 1;
                    let text = rest.get(..at).unwrap_or_default();
                    return Ok(if text.contains('\\') {
                        Cow::Owned(unescaped(text, |c| matches!(c, '"' | '\\')))
                    } else {
                        Cow::Borrowed(text)
                    });
                }
                _ => {}
            }
        }
        Err((from, "the text is not closed".to_owned()))
    }
}

/// A text without the backslashes in front of some characters.
fn unescaped(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match chars.peek() {
            Some(next) if c == '\\' && special(*next) => {
                out.push(*next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}
