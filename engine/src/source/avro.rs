//! Avro: binary values of a writer's schema to JSON text. Pure, bounded, and never trusting a length.
//!
//! What JSON says of a value: records and maps are objects, unions are their branch alone, enums their symbol. Times
//! (`timestamp-*`, `local-timestamp-*`) become epoch milliseconds, decimals numbers, bytes hexadecimal text, NaN and the
//! infinities `null`. A record is read whole with the schema that it was written with; defaults of readers play no part.

mod schema;

pub(super) use schema::AvroSchema;

use schema::{Named, Type};
use tidegate_proto::json::write_text;
use tidegate_proto::value::write_number;

use super::framing::zigzag;

/// Deepest nesting of a value.
const DEPTH: usize = 64;
/// Most values in one record: items of nothing take no bytes, so bytes do not bound them.
const VALUES: usize = 100_000;
/// Most bytes of JSON.
const JSON_BYTES: usize = 4 << 20;

/// A value as JSON text.
///
/// # Errors
/// Where the bytes are no value of the schema.
pub(super) fn to_json(schema: &AvroSchema, bytes: &[u8]) -> Result<String, String> {
    let mut walk = Walk {
        schema,
        bytes,
        at: 0,
        values: 0,
        out: String::with_capacity(bytes.len() * 2),
    };
    let read = walk.value(&schema.root, 0);
    let at = walk.at;
    read.map_err(|problem| format!("byte {at}: {problem}"))?;
    match bytes.len() - walk.at {
        0 => Ok(walk.out),
        left => Err(format!("byte {at}: {left} bytes are left behind the value")),
    }
}

struct Walk<'a> {
    schema: &'a AvroSchema,
    bytes: &'a [u8],
    at: usize,
    values: usize,
    out: String,
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count);
        let taken = end.and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| format!("{count} bytes are wanted, the value ends"))?;
        self.at += count;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| "the value ends".to_owned())
    }

    fn long(&mut self) -> Result<i64, String> {
        let mut rest = self.bytes.get(self.at..).unwrap_or_default();
        let before = rest.len();
        let number = zigzag(&mut rest).ok_or("not a whole number")?;
        self.at += before - rest.len();
        Ok(number)
    }

    fn bytes(&mut self) -> Result<&'a [u8], String> {
        let length = self.long()?;
        let count = usize::try_from(length).map_err(|_| format!("a length of {length}"))?;
        self.take(count)
    }

    fn text(&mut self) -> Result<&'a str, String> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| "a text that is not UTF-8".to_owned())
    }

    fn value(&mut self, of: &Type, depth: usize) -> Result<(), String> {
        self.values += 1;
        if depth > DEPTH || self.values > VALUES || self.out.len() > JSON_BYTES {
            return Err(format!(
                "a value beyond the limits: {DEPTH} levels, {VALUES} values, {JSON_BYTES} bytes of JSON"
            ));
        }
        match of {
            Type::Null => self.out.push_str("null"),
            Type::Bool => match self.fixed::<1>()? {
                [0] => self.out.push_str("false"),
                [1] => self.out.push_str("true"),
                [other] => return Err(format!("{other} is neither true nor false")),
            },
            Type::Whole(unit) => {
                let number = self.long()?;
                let number = unit.map_or(number, |unit| number.div_euclid(unit));
                self.out.push_str(&number.to_string());
            }
            Type::Seconds => {
                let number = self.long()?.saturating_mul(1000);
                self.out.push_str(&number.to_string());
            }
            Type::Float => {
                let number = f32::from_le_bytes(self.fixed()?);
                // As it was written: 21.4, not the double next to it.
                let number = number.to_string().parse().unwrap_or(f64::NAN);
                self.number(number);
            }
            Type::Double => {
                let number = f64::from_le_bytes(self.fixed()?);
                self.number(number);
            }
            Type::Bytes => {
                let bytes = self.bytes()?;
                self.hex(bytes);
            }
            Type::Decimal(scale) => {
                let bytes = self.bytes()?;
                self.decimal(bytes, *scale)?;
            }
            Type::Text => {
                let text = self.text()?;
                write_text(text, &mut self.out);
            }
            Type::List(items) => self.list(items, depth)?,
            Type::Map(values) => self.map(values, depth)?,
            Type::Union(branches) => {
                let index = self.long()?;
                let branch = usize::try_from(index).ok().and_then(|at| branches.get(at));
                let branch = branch.ok_or_else(|| format!("a union has no branch {index}"))?;
                self.value(branch, depth + 1)?;
            }
            Type::Named(index) => self.named(*index, depth)?,
        }
        Ok(())
    }

    fn named(&mut self, index: usize, depth: usize) -> Result<(), String> {
        let schema = self.schema;
        match schema.named.get(index) {
            None | Some(Named::Open) => Err("a name that stands for nothing".to_owned()),
            Some(Named::Record(fields)) => {
                self.out.push('{');
                for (place, (name, of)) in fields.iter().enumerate() {
                    if place > 0 {
                        self.out.push(',');
                    }
                    write_text(name, &mut self.out);
                    self.out.push(':');
                    self.value(of, depth + 1)?;
                }
                self.out.push('}');
                Ok(())
            }
            Some(Named::Enum(symbols)) => {
                let index = self.long()?;
                let symbol = usize::try_from(index).ok().and_then(|at| symbols.get(at));
                let symbol = symbol.ok_or_else(|| format!("an enum has no symbol {index}"))?;
                write_text(symbol, &mut self.out);
                Ok(())
            }
            Some(Named::Fixed(size, scale)) => {
                let bytes = self.take(*size)?;
                match scale {
                    Some(scale) => self.decimal(bytes, *scale),
                    None => {
                        self.hex(bytes);
                        Ok(())
                    }
                }
            }
        }
    }

    /// Count of the next block of a list or map; 0: the end.
    fn block(&mut self) -> Result<usize, String> {
        let count = self.long()?;
        if count < 0 {
            // Then the bytes of the block follow, for who wants to skip it.
            self.long()?;
        }
        let count = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
        if count > VALUES {
            return Err(format!("a block of {count} items"));
        }
        Ok(count)
    }

    fn list(&mut self, items: &Type, depth: usize) -> Result<(), String> {
        self.out.push('[');
        let mut is_first = true;
        loop {
            let count = self.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if !std::mem::take(&mut is_first) {
                    self.out.push(',');
                }
                self.value(items, depth + 1)?;
            }
        }
        self.out.push(']');
        Ok(())
    }

    fn map(&mut self, values: &Type, depth: usize) -> Result<(), String> {
        self.out.push('{');
        let mut is_first = true;
        loop {
            let count = self.block()?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if !std::mem::take(&mut is_first) {
                    self.out.push(',');
                }
                let name = self.text()?;
                write_text(name, &mut self.out);
                self.out.push(':');
                self.value(values, depth + 1)?;
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn number(&mut self, number: f64) {
        if number.is_finite() {
            write_number(number, &mut self.out);
        } else {
            self.out.push_str("null");
        }
    }

    fn hex(&mut self, bytes: &[u8]) {
        self.out.push('"');
        for byte in bytes {
            self.out.push_str(&format!("{byte:02x}"));
        }
        self.out.push('"');
    }

    /// A number in two's complement, big-endian, with some digits behind the point.
    fn decimal(&mut self, bytes: &[u8], scale: u32) -> Result<(), String> {
        if bytes.is_empty() || bytes.len() > 16 {
            return Err(format!(
                "a decimal of {} bytes, 1 to 16 are read",
                bytes.len()
            ));
        }
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        let start = if negative { -1_i128 } else { 0 };
        let number = bytes
            .iter()
            .fold(start, |number, byte| (number << 8) | i128::from(*byte));
        let text = number.unsigned_abs().to_string();
        let scale = scale as usize;
        let padded = format!("{text:0>width$}", width = scale + 1);
        let (whole, part) = padded
            .split_at_checked(padded.len() - scale)
            .unwrap_or_default();
        let point = if part.is_empty() { "" } else { "." };
        let sign = if negative { "-" } else { "" };
        self.out.push_str(&format!("{sign}{whole}{point}{part}"));
        Ok(())
    }
}
