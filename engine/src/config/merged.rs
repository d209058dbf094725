//! [`Merged`]: all layers on top of each other, every key known; what `config show` prints.

use std::fmt::Write as _;

use tidegate_proto::issue::nearest;

use super::Problem;
use super::kafka::PROPERTIES;
use super::layer::{KeyPath, Layer, Origin, Scalar, Setting};

/// Section with the handlers' own defaults.
pub(super) const HANDLER_DEFAULTS: &str = "handler_defaults";
/// Section with the handlers.
pub(super) const HANDLERS: &str = "handlers";
/// What a handler has beside the keys of its defaults.
const HANDLER_KEYS: [&str; 2] = ["url", "headers"];

/// All layers on top of each other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Merged {
    settings: Layer,
    defaults: Layer,
}

impl Merged {
    /// Puts layers on the defaults, later ones on top; a key that the defaults do not have becomes a problem.
    pub(super) fn of(defaults: Layer, layers: Vec<Layer>, problems: &mut Vec<Problem>) -> Self {
        let mut merged = Self {
            settings: defaults.clone(),
            defaults,
        };
        for layer in layers {
            for (path, setting) in layer {
                match unknown(&path, &merged.defaults) {
                    None => {
                        merged.settings.insert(path, setting);
                    }
                    Some(text) => problems.push(Problem::new(path.join("."), setting.origin, text)),
                }
            }
        }
        merged
    }

    /// The setting at a path.
    pub(super) fn get(&self, path: &[String]) -> Option<&Setting> {
        self.settings.get(path)
    }

    /// The value that a setting has when nobody says anything.
    pub(super) fn default_of(&self, path: &[&str]) -> Option<&Scalar> {
        let path: KeyPath = path.iter().map(|part| (*part).to_owned()).collect();
        self.defaults.get(&path).map(|setting| &setting.value)
    }

    /// Names of the handlers, in order.
    pub(super) fn handlers(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .settings
            .keys()
            .filter_map(|path| match path.as_slice() {
                [section, name, _, ..] if section == HANDLERS => Some(name.clone()),
                _ => None,
            })
            .collect();
        names.dedup();
        names
    }

    /// Settings below a path, with what their own paths go on with.
    pub(super) fn below<'a>(
        &'a self,
        path: &'a [&'a str],
    ) -> impl Iterator<Item = (&'a [String], &'a Setting)> + 'a {
        self.settings.iter().filter_map(move |(key, setting)| {
            let (head, rest) = key.split_at_checked(path.len())?;
            (head.iter().map(String::as_str).eq(path.iter().copied())).then_some((rest, setting))
        })
    }

    /// Where a setting was written, by its path with dots.
    pub(super) fn origin(&self, path: &str) -> Option<&Origin> {
        let mut all = self.settings.iter();
        all.find(|(key, _)| key.join(".") == path)
            .map(|(_, setting)| &setting.origin)
    }

    /// All settings as TOML with full paths, one per line, secrets left out; with `origins`, each with where it was
    /// written.
    #[must_use]
    pub fn show(&self, origins: bool) -> String {
        let mut lines: Vec<(String, &Origin)> = Vec::new();
        for (path, setting) in &self.settings {
            let value = if is_secret(path) && setting.value != Scalar::Text(String::new()) {
                "\"(not shown)\"".to_owned()
            } else {
                setting.value.to_string()
            };
            lines.push((format!("{} = {value}", written(path)), &setting.origin));
        }
        let width = lines
            .iter()
            .map(|(line, _)| line.chars().count())
            .max()
            .unwrap_or(0)
            .min(60);
        let mut out = String::new();
        for (line, origin) in lines {
            // Writing to a String cannot fail.
            let _ = if origins {
                writeln!(out, "{line:width$}  # {origin}")
            } else {
                writeln!(out, "{line}")
            };
        }
        out
    }
}

/// Settings that are never printed.
fn is_secret(path: &[String]) -> bool {
    let is_handler = path.first().is_some_and(|section| section == HANDLERS);
    path.last().is_some_and(|last| {
        last == "secret" || last.ends_with("password") || last.ends_with(".pem")
    }) || path
        .last()
        .is_some_and(|last| last.contains("client.secret"))
        || is_handler
            && path
                .iter()
                .skip(2)
                .any(|part| part == "headers" || part == "url")
}

fn written(path: &[String]) -> String {
    let bare = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    let parts: Vec<String> = path
        .iter()
        .map(|part| {
            if bare(part) {
                part.clone()
            } else {
                format!("{part:?}")
            }
        })
        .collect();
    parts.join(".")
}

/// Why a path is no setting; `None` when it is one.
fn unknown(path: &KeyPath, defaults: &Layer) -> Option<String> {
    if let [section, _, rest @ ..] = path.as_slice()
        && section == HANDLERS
    {
        return match rest {
            [] => Some("a handler is a table: `[handlers.NAME]` with a `url`".to_owned()),
            [table, _] if table == "headers" => None,
            [key] if key == "url" => None,
            [key, ..] => {
                let handler_default = vec![HANDLER_DEFAULTS.to_owned(), key.clone()];
                if rest.len() == 1 && defaults.contains_key(&handler_default) {
                    return None;
                }
                let keys = defaults
                    .keys()
                    .filter(|path| path.first().is_some_and(|first| first == HANDLER_DEFAULTS))
                    .filter_map(|path| path.last().map(String::as_str))
                    .chain(HANDLER_KEYS);
                Some(not_there(key, nearest(key, keys)))
            }
        };
    }
    let is_property = path.len() == PROPERTIES.len() + 1
        && path.iter().zip(PROPERTIES).all(|(part, of)| part == of);
    if is_property || defaults.contains_key(path) {
        return None;
    }
    if defaults.keys().any(|known| known.starts_with(path)) {
        return Some("this is a section, not a setting".to_owned());
    }
    let word = path.join(".");
    let known: Vec<String> = defaults.keys().map(|path| path.join(".")).collect();
    // A right name in a wrong section is the commonest mistake; the edit distance of whole paths would miss it.
    let elsewhere = known.iter().find(|known| {
        path.last()
            .is_some_and(|last| known.rsplit('.').next() == Some(last.as_str()))
    });
    let near = nearest(&word, known.iter().map(String::as_str)).or(elsewhere.map(String::as_str));
    Some(not_there(&word, near))
}

fn not_there(word: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!("there is no setting `{word}`; did you mean `{near}`?"),
        None => format!("there is no setting `{word}`; `tidegate config show` lists all"),
    }
}
