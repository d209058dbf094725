//! [`AvroSchema`]: a writer's schema, read from its JSON; names are numbers, so that types may hold themselves.

use std::collections::BTreeMap;

use serde_json::Value as Json;

/// Deepest nesting of a schema.
const DEPTH: usize = 64;
/// Most named types.
const NAMES: usize = 10_000;
/// Most digits behind the point.
const SCALE: u64 = 38;

/// A type.
#[derive(Clone, Debug)]
pub(super) enum Type {
    Null,
    Bool,
    /// `int` and `long`; of times, how many of their units make a millisecond.
    Whole(Option<i64>),
    /// Times in seconds, which no standard has and some write.
    Seconds,
    Float,
    Double,
    Bytes,
    /// Bytes as a number with so many digits behind the point.
    Decimal(u32),
    Text,
    List(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    Named(usize),
}

/// A type with a name.
#[derive(Clone, Debug)]
pub(super) enum Named {
    /// Being read.
    Open,
    Record(Vec<(String, Type)>),
    Enum(Vec<String>),
    /// Bytes of this length; a number with so many digits behind the point.
    Fixed(usize, Option<u32>),
}

/// A writer's schema.
#[derive(Clone, Debug)]
pub(in crate::source) struct AvroSchema {
    pub(super) root: Type,
    pub(super) named: Vec<Named>,
}

impl AvroSchema {
    /// Reads a schema; the schemas that it refers to come before it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(in crate::source) fn parse(references: &[String], schema: &str) -> Result<Self, String> {
        let mut parse = Parse::default();
        for text in references {
            parse.root(text)?;
        }
        let root = parse.root(schema)?;
        Ok(Self {
            root,
            named: parse.named,
        })
    }
}

#[derive(Default)]
struct Parse {
    named: Vec<Named>,
    numbers: BTreeMap<String, usize>,
}

impl Parse {
    fn root(&mut self, text: &str) -> Result<Type, String> {
        let json: Json = serde_json::from_str(text)
            .or_else(|error| {
                // A primitive may stand without quotes.
                let word = text.trim();
                let is_word = word.chars().all(|c| c.is_ascii_alphanumeric());
                if is_word && !word.is_empty() {
                    Ok(Json::from(word))
                } else {
                    Err(error)
                }
            })
            .map_err(|error| format!("the schema is not JSON: {error}"))?;
        self.read(&json, "", 0)
    }

    fn read(&mut self, json: &Json, space: &str, depth: usize) -> Result<Type, String> {
        if depth > DEPTH {
            return Err(format!("the schema is deeper than {DEPTH}"));
        }
        match json {
            Json::String(word) => self.word(word, space),
            Json::Array(branches) => {
                let read = branches
                    .iter()
                    .map(|branch| self.read(branch, space, depth + 1));
                Ok(Type::Union(read.collect::<Result<_, _>>()?))
            }
            Json::Object(fields) => {
                let of = fields.get("type").ok_or("a type has no `type`")?;
                let Json::String(word) = of else {
                    return self.read(of, space, depth + 1);
                };
                match word.as_str() {
                    "array" => {
                        let items = fields.get("items").ok_or("an array has no `items`")?;
                        Ok(Type::List(Box::new(self.read(items, space, depth + 1)?)))
                    }
                    "map" => {
                        let values = fields.get("values").ok_or("a map has no `values`")?;
                        Ok(Type::Map(Box::new(self.read(values, space, depth + 1)?)))
                    }
                    "record" | "error" | "enum" | "fixed" => self.define(word, json, space, depth),
                    _ => {
                        let plain = self.word(word, space)?;
                        logical(plain, json)
                    }
                }
            }
            _ => Err("a type is a text, a list or an object".to_owned()),
        }
    }

    fn word(&self, word: &str, space: &str) -> Result<Type, String> {
        Ok(match word {
            "null" => Type::Null,
            "boolean" => Type::Bool,
            "int" | "long" => Type::Whole(None),
            "float" => Type::Float,
            "double" => Type::Double,
            "bytes" => Type::Bytes,
            "string" => Type::Text,
            name => {
                let known = self.numbers.get(&full(name, space));
                let known = known.or_else(|| self.numbers.get(name));
                let known = known.ok_or_else(|| format!("nothing is called `{name}`"))?;
                Type::Named(*known)
            }
        })
    }

    fn define(
        &mut self,
        kind: &str,
        json: &Json,
        space: &str,
        depth: usize,
    ) -> Result<Type, String> {
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let name = text("name").ok_or_else(|| format!("a {kind} has no `name`"))?;
        let name = full(name, text("namespace").unwrap_or(space));
        let space = name
            .rsplit_once('.')
            .map_or("", |(space, _)| space)
            .to_owned();
        if self.named.len() >= NAMES {
            return Err(format!("the schema has more than {NAMES} names"));
        }
        let number = self.named.len();
        self.named.push(Named::Open);
        self.numbers.insert(name.clone(), number);
        let list = |field: &str| {
            let list = json.get(field).and_then(Json::as_array);
            list.ok_or_else(|| format!("`{name}` has no `{field}`"))
        };
        let read = match kind {
            "enum" => {
                let symbols = list("symbols")?.iter().filter_map(Json::as_str);
                Named::Enum(symbols.map(str::to_owned).collect())
            }
            "fixed" => {
                let size = json.get("size").and_then(Json::as_u64);
                let size = size.and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or_else(|| format!("`{name}` has no `size`"))?;
                let scale = (text("logicalType") == Some("decimal")).then(|| scale(json));
                Named::Fixed(size, scale.transpose()?)
            }
            _ => {
                let mut fields = Vec::new();
                for field in list("fields")? {
                    let named = field.get("name").and_then(Json::as_str);
                    let named = named.ok_or_else(|| format!("a field of `{name}` has no name"))?;
                    let of = field.get("type").ok_or("a field has no `type`")?;
                    fields.push((named.to_owned(), self.read(of, &space, depth + 1)?));
                }
                Named::Record(fields)
            }
        };
        if let Some(open) = self.named.get_mut(number) {
            *open = read;
        }
        Ok(Type::Named(number))
    }
}

fn full(name: &str, space: &str) -> String {
    if name.contains('.') || space.is_empty() {
        name.to_owned()
    } else {
        format!("{space}.{name}")
    }
}

fn scale(json: &Json) -> Result<u32, String> {
    let scale = json.get("scale").and_then(Json::as_u64).unwrap_or(0);
    if scale > SCALE {
        return Err(format!(
            "a decimal with more than {SCALE} digits behind the point"
        ));
    }
    u32::try_from(scale).map_err(|error| error.to_string())
}

/// A primitive with a meaning of its own.
fn logical(plain: Type, json: &Json) -> Result<Type, String> {
    let word = json.get("logicalType").and_then(Json::as_str).unwrap_or("");
    let unit = word
        .strip_prefix("local-")
        .unwrap_or(word)
        .strip_prefix("timestamp-");
    Ok(match (plain, unit) {
        (Type::Whole(None), Some("micros")) => Type::Whole(Some(1_000)),
        (Type::Whole(None), Some("nanos")) => Type::Whole(Some(1_000_000)),
        (Type::Whole(None), Some("seconds")) => Type::Seconds,
        (Type::Bytes, _) if word == "decimal" => Type::Decimal(scale(json)?),
        (plain, _) => plain,
    })
}
