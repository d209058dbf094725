//! The layers that settings come from: the embedded defaults, a TOML file, the environment, flags. Each is flattened to
//! a list of paths with a scalar and its origin, so that every later message can say where a value was written.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::Problem;

/// What every environment variable of ours begins with.
const PREFIX: &str = "TIDEGATE_";
/// Variables of ours that are no settings of the engine: the client's server, the file of settings, the folder of tests.
const NOT_SETTINGS: [&str; 4] = [
    "TIDEGATE_SERVER",
    "TIDEGATE_CONFIG",
    "TIDEGATE_OUTPUT",
    crate::fail_points::VARIABLE,
];

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the embedded defaults.
    Default,
    /// In a file, at a line from 1.
    File(PathBuf, usize),
    /// In an environment variable of this name.
    Environment(String),
    /// In a flag of this name.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// A value as written.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    /// Text; everything from the environment and from flags is text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Number(f64),
    /// true or false.
    Flag(bool),
}

impl fmt::Display for Scalar {
    /// As it would be written in TOML.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{}", toml::Value::String(text.clone())),
            Self::Integer(number) => write!(f, "{number}"),
            Self::Number(number) => write!(f, "{number:?}"),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// A path of keys: `log`, `retention`, `inbox`, `age`.
pub(super) type KeyPath = Vec<String>;

/// A value with its origin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    /// The value.
    pub value: Scalar,
    /// Where it was written.
    pub origin: Origin,
}

/// What one layer says.
pub(super) type Layer = BTreeMap<KeyPath, Setting>;

/// Flattens a TOML text; what cannot be a setting becomes a problem.
pub(super) fn of_toml(text: &str, file: Option<&Path>, problems: &mut Vec<Problem>) -> Layer {
    let origin = |at: usize| match file {
        None => Origin::Default,
        Some(path) => Origin::File(path.to_owned(), line_of(text, at)),
    };
    let mut layer = Layer::new();
    match DeTable::parse(text) {
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            problems.push(Problem::new(
                String::new(),
                origin(at),
                error.message().to_owned(),
            ));
        }
        Ok(table) => flatten(
            table.get_ref(),
            &mut Vec::new(),
            &mut |path, value, at| match scalar(value) {
                Ok(value) => {
                    layer.insert(
                        path.to_vec(),
                        Setting {
                            value,
                            origin: origin(at),
                        },
                    );
                }
                Err(what) => problems.push(Problem::new(
                    path.join("."),
                    origin(at),
                    format!(
                        "{what} is no value for a setting: text, numbers and true or false are"
                    ),
                )),
            },
        ),
    }
    layer
}

fn flatten(
    table: &DeTable<'_>,
    path: &mut KeyPath,
    found: &mut dyn FnMut(&[String], &DeValue<'_>, usize),
) {
    for (key, value) in table {
        path.push(key.get_ref().to_string());
        match value.get_ref() {
            DeValue::Table(inner) => flatten(inner, path, found),
            leaf => found(path, leaf, key.span().start),
        }
        path.pop();
    }
}

fn scalar(value: &DeValue<'_>) -> Result<Scalar, &'static str> {
    match value {
        DeValue::String(text) => Ok(Scalar::Text(text.to_string())),
        DeValue::Boolean(flag) => Ok(Scalar::Flag(*flag)),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            i64::from_str_radix(&digits, number.radix())
                .map(Scalar::Integer)
                .map_err(|_| "a number of that size")
        }
        DeValue::Float(number) => number
            .as_str()
            .replace('_', "")
            .parse()
            .map(Scalar::Number)
            .map_err(|_| "a number of that size"),
        DeValue::Datetime(_) => Err("a date"),
        DeValue::Array(_) => Err("a list"),
        DeValue::Table(_) => Err("a table"),
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

/// Settings in environment variables; `handlers` are the names that the files know, because a variable's name cannot
/// say `ops-mail`.
pub(super) fn of_environment(
    variables: &[(String, String)],
    handlers: &[String],
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        let origin = Origin::Environment(name.clone());
        let (rest, value) = match rest.strip_suffix("_FILE") {
            None => (rest, value.clone()),
            Some(rest) => match std::fs::read_to_string(value) {
                Ok(text) => (rest, text.trim_end_matches(['\r', '\n']).to_owned()),
                Err(error) => {
                    let problem = format!("cannot read `{value}`: {error}");
                    problems.push(Problem::new(String::new(), origin, problem));
                    continue;
                }
            },
        };
        let mut path: KeyPath = rest.split("__").map(str::to_ascii_lowercase).collect();
        if let [section, handler, ..] = path.as_mut_slice()
            && section == "handlers"
            && let Some(known) = handlers.iter().find(|known| plain(known) == *handler)
        {
            handler.clone_from(known);
        }
        if let [section, _, table, header] = path.as_mut_slice()
            && section == "handlers"
            && table == "headers"
        {
            *header = header.replace('_', "-");
        }
        // Properties of librdkafka have dots, which the name of a variable cannot have.
        if let [section, table, property] = path.as_mut_slice()
            && section == "kafka"
            && table == "properties"
        {
            *property = property.replace('_', ".");
        }
        layer.insert(
            path,
            Setting {
                value: Scalar::Text(value),
                origin,
            },
        );
    }
    layer
}

/// A handler's name as the name of a variable can say it.
fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', '.'], "_")
}

/// Settings in flags: path with dots, value, name of the flag.
pub(super) fn of_flags(flags: &[(&'static str, String, &'static str)]) -> Layer {
    flags
        .iter()
        .map(|(path, value, flag)| {
            let path = path.split('.').map(str::to_owned).collect();
            let setting = Setting {
                value: Scalar::Text(value.clone()),
                origin: Origin::Flag(flag),
            };
            (path, setting)
        })
        .collect()
}
