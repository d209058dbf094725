//! References in formulas and texts: `<node.param>`, `${nodes.x.state}`, `{{node.param}}` become names of ours.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Findings, items, legal, text};

/// What a node's values are called.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Its parameters are metrics of the stream; one of them may be its own value.
    Stream(Option<String>),
    /// It calculates one value.
    Function,
}

/// What the names of a template mean.
#[derive(Debug, Default)]
pub(crate) struct Words {
    nodes: BTreeMap<String, Kind>,
    variables: BTreeMap<String, Value>,
}

const STREAMS: [&str; 7] = [
    "stream",
    "streamingDataSensor",
    "streamingRangeSensor",
    "generalSensor",
    "isParameterAvailable",
    "streamBridgeData",
    "streamEventTimeout",
];

/// Texts in single quotes, which a formula of ours does not know, in double quotes.
fn double_quoted(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut open = None;
    let mut escaped = false;
    for letter in source.chars() {
        match (open, letter) {
            (Some(_), _) if escaped => {
                // What only single quotes need escaped stands alone.
                if letter != '\'' {
                    out.push('\\');
                }
                out.push(letter);
                escaped = false;
            }
            (Some(_), '\\') => escaped = true,
            (Some('\''), '"') => out.push_str("\\\""),
            (Some(quote), letter) if letter == quote => {
                out.push('"');
                open = None;
            }
            (None, '"' | '\'') => {
                out.push('"');
                open = Some(letter);
            }
            _ => out.push(letter),
        }
    }
    out
}

impl Words {
    pub(crate) fn new(template: &Map<String, Value>, findings: &mut Findings) -> Self {
        let mut words = Self::default();
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        let mut add = |label: &str, kind: Kind, path: &str, findings: &mut Findings| {
            let name = legal(label);
            if let Some(other) = names.insert(name.clone(), label.to_owned()) {
                findings.problem(
                    path,
                    format!("`{label}` and `{other}` are both `{name}` here"),
                );
            }
            words.nodes.insert(label.to_owned(), kind);
        };
        let mut quiet = Findings::default();
        for key in ["sensors", "relations", "actuators"] {
            for (path, item) in items(template, key, &mut quiet) {
                let Value::Object(map) = item else { continue };
                let Some(label) = text(map, "label") else {
                    continue;
                };
                let plug = text(map, "name").unwrap_or_default();
                let parameter = map.get("properties").and_then(|p| p.get("parameter"));
                let parameter = parameter.and_then(Value::as_str).map(str::to_owned);
                let kind = if key == "sensors" && STREAMS.contains(&plug) {
                    Kind::Stream(parameter)
                } else {
                    Kind::Function
                };
                add(label, kind, &format!("{path}.label"), findings);
            }
        }
        for (path, item) in items(template, "nodes", &mut quiet) {
            if let Some(label) = item.get("name").and_then(Value::as_str) {
                add(label, Kind::Function, &format!("{path}.name"), findings);
            }
        }
        for (_, item) in items(template, "variables", &mut quiet) {
            if let (Some(name), Some(value)) = (
                item.get("name").and_then(Value::as_str),
                item.get("defaultValue"),
            ) {
                words.variables.insert(name.to_owned(), value.clone());
            }
        }
        words
    }

    /// Whether something of the template has a label.
    pub(crate) fn knows(&self, label: &str) -> bool {
        self.nodes.contains_key(label)
    }

    /// `node.param`, some runs ago.
    fn value(&self, reference: &str, back: u32) -> Result<String, String> {
        let (node, parameter) = reference.split_once('.').unwrap_or((reference, "value"));
        let earlier = |value: String| match back {
            0 => value,
            1 => format!("prev({value})"),
            back => format!("prev({value}, {back})"),
        };
        if matches!(node, "GLOBAL" | "streamdata") {
            return Ok(earlier(metric(parameter)));
        }
        let name = legal(node);
        match self.nodes.get(node) {
            None => Err(format!("there is no node `{node}`")),
            Some(_) if parameter == "state" => Ok(earlier(format!("{name}.state"))),
            Some(Kind::Function) => Ok(earlier(format!("{name}.value"))),
            Some(Kind::Stream(own)) if own.as_deref() == Some(parameter) => {
                Ok(earlier(format!("{name}.value")))
            }
            Some(Kind::Stream(_)) => Ok(earlier(metric(parameter))),
        }
    }

    /// A metric that a reference stands for, for functions over more than one value.
    fn series(&self, reference: &str) -> Result<String, String> {
        let (node, parameter) = reference.split_once('.').unwrap_or(("GLOBAL", reference));
        match self.nodes.get(node) {
            _ if matches!(node, "GLOBAL" | "streamdata") => Ok(metric(parameter)),
            Some(Kind::Stream(_)) if parameter != "state" => Ok(metric(parameter)),
            Some(_) => Err(format!(
                "`{reference}` is a value of a node: windows are over metrics, write the function over them by hand"
            )),
            None => Err(format!("there is no node `{node}`")),
        }
    }

    /// What stands between `<` and `>`.
    fn reference(&self, inside: &str, back: u32) -> Result<String, String> {
        let inside = inside.trim();
        let Some((function, arguments)) = inside.strip_suffix(')').and_then(|i| i.split_once('('))
        else {
            return self.value(inside, back);
        };
        let (function, arguments) = (function.trim(), split(arguments));
        let arguments: Vec<&str> = arguments.iter().map(|a| a.trim()).collect();
        let over = |count: &str, unit: &str| match unit {
            "samples" => Ok(format!("\"{count} rows\"")),
            "seconds" => Ok(format!("\"{count}s\"")),
            "minutes" => Ok(format!("\"{count}m\"")),
            "hours" => Ok(format!("\"{count}h\"")),
            other => Err(format!(
                "`{other}` is not one of samples, seconds, minutes, hours"
            )),
        };
        match (function, arguments.as_slice()) {
            ("avg" | "min" | "max" | "std" | "sum", [of]) => {
                Ok(format!("{function}({}, \"all\")", self.series(of)?))
            }
            ("avg" | "min" | "max" | "std" | "sum", [count, unit, of]) => Ok(format!(
                "{function}({}, {})",
                self.series(of)?,
                over(count, unit)?
            )),
            ("count", [key, of]) => Ok(format!(
                "count_if({} == {}, \"all\")",
                self.series(of)?,
                literal(key)
            )),
            ("count", [key, count, unit, of]) => {
                let over = over(count, unit)?;
                Ok(format!(
                    "count_if({} == {}, {over})",
                    self.series(of)?,
                    literal(key)
                ))
            }
            ("sequence", [states, of]) => self.sequence(states, of),
            _ => Err(format!(
                "`{function}` with {} arguments has no equal here",
                arguments.len()
            )),
        }
    }

    fn sequence(&self, states: &str, of: &str) -> Result<String, String> {
        let states = states.trim_start_matches('[').trim_end_matches(']');
        let states: Vec<&str> = states.split(',').map(str::trim).collect();
        let mut parts = Vec::with_capacity(states.len());
        for (index, state) in states.iter().enumerate() {
            let back = u32::try_from(states.len() - 1 - index).unwrap_or(0);
            parts.push(format!("{} == {}", self.value(of, back)?, literal(state)));
        }
        Ok(format!(
            "(if or({}, false) {{ 1.0 }} else {{ 0.0 }})",
            parts.join(" && ")
        ))
    }

    /// A formula with its references as ours.
    pub(crate) fn formula(&self, source: &str, own: &str) -> Result<String, String> {
        let mut out = String::new();
        let source = double_quoted(source);
        let mut rest = source.as_str();
        while let Some(at) = rest.find(['<', '$']) {
            let (before, tail) = rest.split_at(at);
            out.push_str(before);
            if let Some(inside) = tail.strip_prefix("${") {
                let end = inside.find('}').ok_or("`${` is never closed")?;
                out.push_str(&self.binding(inside.get(..end).unwrap_or_default())?);
                rest = inside.get(end + 1..).unwrap_or_default();
                continue;
            }
            let inside = tail.get(1..).unwrap_or_default();
            let begins = inside.starts_with(|c: char| c.is_ascii_alphabetic());
            let Some(end) = inside.find('>').filter(|_| begins && tail.starts_with('<')) else {
                // A comparison.
                out.push_str(tail.get(..1).unwrap_or_default());
                rest = inside;
                continue;
            };
            rest = inside.get(end + 1..).unwrap_or_default();
            let mut back = 0;
            if let Some((number, after)) = rest.strip_prefix("[-").and_then(|r| r.split_once(']')) {
                back = number
                    .parse()
                    .map_err(|_| format!("`[-{number}]` is no number of runs"))?;
                rest = after;
            }
            out.push_str(&self.reference(inside.get(..end).unwrap_or_default(), back)?);
        }
        out.push_str(rest);
        Ok(with_dt(&out, own))
    }

    /// What stands in `${…}` or `{{…}}`.
    fn binding(&self, inside: &str) -> Result<String, String> {
        let inside = inside.trim();
        if let Some(rest) = inside.strip_prefix("nodes.") {
            let (node, rest) = rest.split_once('.').unwrap_or((rest, "state"));
            let parameter = rest.strip_prefix("rawData.").unwrap_or(rest);
            return self.value(&format!("{node}.{parameter}"), 0);
        }
        if let Some(name) = inside.strip_prefix("variables.") {
            let value = self.variables.get(name);
            return value.map(ToString::to_string).ok_or_else(|| {
                format!("the variable `{name}` has no default: write its value by hand")
            });
        }
        if let Some(key) = inside.strip_prefix("META.$.") {
            return Ok(format!("meta.{key}"));
        }
        if matches!(inside, "RESOURCE" | "task.RESOURCE") {
            return Ok("resource".to_owned());
        }
        let parameter = inside.strip_prefix("streamdata.");
        match parameter.or_else(|| inside.strip_prefix("GLOBAL.")) {
            Some(parameter) => Ok(metric(parameter)),
            None => self.value(inside, 0),
        }
    }

    /// A text with its references as `${…}` of ours.
    pub(crate) fn text(&self, source: &str) -> Result<String, String> {
        let mut out = String::new();
        let mut rest = source;
        loop {
            let found = [("${", "}"), ("{{", "}}")]
                .iter()
                .filter_map(|(open, close)| rest.find(open).map(|at| (at, *open, *close)));
            let Some((at, open, close)) = found.min() else {
                out.push_str(rest);
                return Ok(out);
            };
            let (before, tail) = rest.split_at(at);
            out.push_str(before);
            let inside = tail.get(open.len()..).unwrap_or_default();
            let end = inside
                .find(close)
                .ok_or_else(|| format!("`{open}` is never closed"))?;
            let name = self.binding(inside.get(..end).unwrap_or_default())?;
            out.push_str(&format!("${{{name}}}"));
            rest = inside.get(end + close.len()..).unwrap_or_default();
        }
    }
}

/// `dt`: seconds since the node's last run.
fn with_dt(formula: &str, own: &str) -> String {
    let mut out = String::new();
    let mut rest = formula;
    let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    while let Some(at) = rest.find("dt") {
        let (before, tail) = rest.split_at(at);
        out.push_str(before);
        let after = tail.get(2..).unwrap_or_default();
        let alone = !before.ends_with(letter) && !after.starts_with(letter);
        if alone {
            out.push_str(&format!("((time - {}.time) / 1000.0)", legal(own)));
        } else {
            out.push_str("dt");
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Arguments, with lists as one.
fn split(arguments: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut depth = 0;
    for letter in arguments.chars() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                out.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = out.last_mut() {
            last.push(letter);
        }
    }
    out
}

/// A key as a literal.
fn literal(key: &str) -> String {
    let key = key.trim().trim_matches(['"', '\'']);
    if key.parse::<f64>().is_ok() {
        key.to_owned()
    } else {
        format!("\"{key}\"")
    }
}

/// A metric by its name.
pub(crate) fn metric(name: &str) -> String {
    let plain = name.split('.').all(|part| {
        let first = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        first && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    });
    let word = [
        "meta", "labels", "type", "parent", "resource", "time", "metric",
    ];
    if plain && !word.contains(&name) {
        name.to_owned()
    } else {
        format!("metric({})", Value::String(name.to_owned()))
    }
}
