//! JSON text: writing (here) and the bounded pull [`Reader`] that the event decoder stands on.

mod error;
mod number;
mod reader;

#[cfg(test)]
mod tests;

pub use error::{JsonError, JsonProblem, ReadLimits};
pub use number::Number;
pub use reader::Reader;

/// Appends a text as a JSON string.
pub fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}
