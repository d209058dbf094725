//! Protobuf: messages of a file in a registry to JSON text. Fields are called as in the file; a field without presence is
//! there with its default (a temperature of 0 is one); `Timestamp` and `Duration` become milliseconds, wrappers their
//! value, bytes hexadecimal text, NaN and the infinities `null`.

use std::collections::BTreeMap;

use prost_reflect::{
    DescriptorPool, DynamicMessage, FileDescriptor, Kind, MapKey, MessageDescriptor,
    ReflectMessage as _, Value,
};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};
use tidegate_proto::json::write_text;
use tidegate_proto::value::write_number;

/// Deepest message in messages.
const DEPTH: usize = 32;
/// Most bytes of JSON.
const JSON_BYTES: usize = 4 << 20;
/// Name of the file that a schema is.
const FILE: &str = "schema.proto";

/// A file of messages.
#[derive(Clone, Debug)]
pub(super) struct ProtobufSchema {
    file: FileDescriptor,
}

/// Files by the names under which they are imported.
#[derive(Debug)]
struct Texts(BTreeMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

impl ProtobufSchema {
    /// Reads a schema, with the files that it imports by name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(references: &[(String, String)], schema: &str) -> Result<Self, String> {
        let mut texts: BTreeMap<String, String> = references.iter().cloned().collect();
        texts.insert(FILE.to_owned(), schema.to_owned());
        let mut resolver = ChainFileResolver::new();
        resolver.add(Texts(texts));
        resolver.add(GoogleFileResolver::new());
        let mut compiler = protox::Compiler::with_file_resolver(resolver);
        compiler.include_imports(true);
        compiler
            .open_file(FILE)
            .map_err(|error| error.to_string())?;
        let pool: DescriptorPool = compiler.descriptor_pool();
        let file = pool.get_file_by_name(FILE);
        Ok(Self {
            file: file.ok_or("the schema is no file")?,
        })
    }

    fn message(&self, path: &[usize]) -> Result<MessageDescriptor, String> {
        let missing = || format!("the schema has no message {path:?}");
        let (first, rest) = path.split_first().ok_or_else(missing)?;
        let mut message = self.file.messages().nth(*first).ok_or_else(missing)?;
        for index in rest {
            let child = message.child_messages().nth(*index);
            message = child.ok_or_else(missing)?;
        }
        Ok(message)
    }
}

/// A message as JSON text.
///
/// # Errors
/// When the bytes are no such message.
pub(super) fn to_json(
    schema: &ProtobufSchema,
    path: &[usize],
    bytes: &[u8],
) -> Result<String, String> {
    let descriptor = schema.message(path)?;
    let message = DynamicMessage::decode(descriptor, bytes).map_err(|error| error.to_string())?;
    let mut out = String::with_capacity(bytes.len() * 2);
    write_message(&message, 0, &mut out)?;
    Ok(out)
}

fn write_message(message: &DynamicMessage, depth: usize, out: &mut String) -> Result<(), String> {
    if depth > DEPTH || out.len() > JSON_BYTES {
        return Err(format!(
            "a message beyond the limits: {DEPTH} levels, {JSON_BYTES} bytes of JSON"
        ));
    }
    let descriptor = message.descriptor();
    if write_known(message, descriptor.full_name(), depth, out)? {
        return Ok(());
    }
    out.push('{');
    let mut is_first = true;
    for field in descriptor.fields() {
        let is_there = message.has_field(&field);
        let is_plain = !field.supports_presence() && !field.is_list() && !field.is_map();
        if !is_there && !is_plain {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            out.push(',');
        }
        write_text(field.name(), out);
        out.push(':');
        let kind = field.kind();
        write_value(&message.get_field(&field), &kind, depth, out)?;
    }
    out.push('}');
    Ok(())
}

/// Messages that stand for something else than an object.
fn write_known(
    message: &DynamicMessage,
    name: &str,
    depth: usize,
    out: &mut String,
) -> Result<bool, String> {
    let Some(name) = name.strip_prefix("google.protobuf.") else {
        return Ok(false);
    };
    match name {
        "Timestamp" | "Duration" => {
            let number = |field| match message.get_field_by_name(field).as_deref() {
                Some(Value::I64(number)) => *number,
                Some(Value::I32(number)) => i64::from(*number),
                _ => 0,
            };
            let millis = number("seconds").saturating_mul(1000);
            let millis = millis.saturating_add(number("nanos").div_euclid(1_000_000));
            out.push_str(&millis.to_string());
            Ok(true)
        }
        name if name.ends_with("Value") && name != "Value" && name != "ListValue" => {
            match message.descriptor().get_field_by_name("value") {
                Some(field) => {
                    let kind = field.kind();
                    write_value(&message.get_field(&field), &kind, depth, out)?;
                    Ok(true)
                }
                None => Ok(false),
            }
        }
        _ => Ok(false),
    }
}

fn write_value(value: &Value, kind: &Kind, depth: usize, out: &mut String) -> Result<(), String> {
    match value {
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::I32(number) => out.push_str(&number.to_string()),
        Value::I64(number) => out.push_str(&number.to_string()),
        Value::U32(number) => out.push_str(&number.to_string()),
        Value::U64(number) => out.push_str(&number.to_string()),
        // As it was written: 21.4, not the double next to it.
        Value::F32(number) => write_finite(number.to_string().parse().unwrap_or(f64::NAN), out),
        Value::F64(number) => write_finite(*number, out),
        Value::String(text) => write_text(text, out),
        Value::Bytes(bytes) => {
            out.push('"');
            bytes
                .iter()
                .for_each(|byte| out.push_str(&format!("{byte:02x}")));
            out.push('"');
        }
        Value::EnumNumber(number) => {
            let known = kind.as_enum().and_then(|kind| kind.get_value(*number));
            match known {
                Some(known) => write_text(known.name(), out),
                None => out.push_str(&number.to_string()),
            }
        }
        Value::Message(message) => write_message(message, depth + 1, out)?,
        Value::List(items) => {
            out.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_value(item, kind, depth, out)?;
            }
            out.push(']');
        }
        Value::Map(entries) => {
            // In the order of the keys: the same bytes give the same text.
            let entries: BTreeMap<&MapKey, &Value> = entries.iter().collect();
            let values = kind
                .as_message()
                .and_then(|entry| entry.get_field_by_name("value"))
                .map_or_else(|| kind.clone(), |field| field.kind());
            out.push('{');
            for (place, (key, value)) in entries.into_iter().enumerate() {
                if place > 0 {
                    out.push(',');
                }
                write_text(&key_text(key), out);
                out.push(':');
                write_value(value, &values, depth, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(flag) => flag.to_string(),
        MapKey::I32(number) => number.to_string(),
        MapKey::I64(number) => number.to_string(),
        MapKey::U32(number) => number.to_string(),
        MapKey::U64(number) => number.to_string(),
        MapKey::String(text) => text.clone(),
    }
}

fn write_finite(number: f64, out: &mut String) {
    if number.is_finite() {
        write_number(number, out);
    } else {
        out.push_str("null");
    }
}
