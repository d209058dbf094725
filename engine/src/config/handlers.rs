//! `[handlers.NAME]`, `[handler_defaults]` and `[dispatcher]`: read into the settings that the handlers themselves
//! define, which also say what is wrong with them.

use serde::de::DeserializeOwned;
use tidegate_proto::issue::Issues;
use toml::{Table, Value};

use super::Problem;
use super::layer::{Origin, Scalar, Setting};
use super::merged::{HANDLER_DEFAULTS, HANDLERS, Merged};
use crate::handler::{DispatcherSettings, HandlerSettings, HandlersSettings};

/// Section of the dispatcher.
const DISPATCHER: &str = "dispatcher";

/// The dispatcher's settings.
pub(super) fn dispatcher(merged: &Merged, problems: &mut Vec<Problem>) -> DispatcherSettings {
    let mut table = Table::new();
    for (rest, setting) in merged.below(&[DISPATCHER]) {
        if let [key] = rest {
            let default = merged.default_of(&[DISPATCHER, key]);
            let path = format!("{DISPATCHER}.{key}");
            take::<DispatcherSettings>(&mut table, (key, &path), (setting, default), problems);
        }
    }
    let settings: DispatcherSettings = whole(table);
    report(settings.problems(), merged, problems);
    settings
}

/// All handlers.
pub(super) fn handlers(merged: &Merged, problems: &mut Vec<Problem>) -> HandlersSettings {
    let mut handlers = HandlersSettings::new();
    for name in merged.handlers() {
        let mut table = Table::new();
        for (rest, setting) in merged.below(&[HANDLER_DEFAULTS]) {
            if let [key] = rest {
                let default = merged.default_of(&[HANDLER_DEFAULTS, key]);
                let path = format!("{HANDLER_DEFAULTS}.{key}");
                take::<HandlerSettings>(&mut table, (key, &path), (setting, default), problems);
            }
        }
        let mut headers = Table::new();
        for (rest, setting) in merged.below(&[HANDLERS, &name]) {
            let path = format!("{HANDLERS}.{name}.{}", rest.join("."));
            match rest {
                [key] => {
                    let default = merged.default_of(&[HANDLER_DEFAULTS, key]);
                    take::<HandlerSettings>(&mut table, (key, &path), (setting, default), problems);
                }
                [_, header] => {
                    headers.insert(header.clone(), Value::String(plain(&setting.value)));
                }
                _ => {}
            }
        }
        table.insert("headers".to_owned(), Value::Table(headers));
        // An empty secret stands for none, so that the defaults can list the key.
        if table.get("secret").and_then(Value::as_str) == Some("") {
            table.remove("secret");
        }
        handlers.insert(name, whole(table));
    }
    report(crate::handler::problems(&handlers), merged, problems);
    handlers
}

/// Puts one key into the table if it reads by itself; otherwise says why not.
fn take<T: DeserializeOwned>(
    table: &mut Table,
    (key, path): (&str, &str),
    (setting, default): (&Setting, Option<&Scalar>),
    problems: &mut Vec<Problem>,
) {
    let value = typed(setting, default);
    let single = Table::from_iter([(key.to_owned(), value.clone())]);
    match T::deserialize(Value::Table(single)) {
        Ok(_) => {
            table.insert(key.to_owned(), value);
        }
        Err(error) => {
            let problem = error.message().trim_end().to_owned();
            let problem = Problem::new(path.to_owned(), setting.origin.clone(), problem);
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
}

/// The value as its key wants it: everything from the environment is text, so the default says what it means.
fn typed(setting: &Setting, default: Option<&Scalar>) -> Value {
    let text = match &setting.value {
        Scalar::Text(text) => text,
        other => return value(other),
    };
    let read = match (default, &setting.origin) {
        (_, Origin::Default | Origin::File(..)) => None,
        (Some(Scalar::Integer(_)), _) => text.trim().parse().ok().map(Value::Integer),
        (Some(Scalar::Number(_)), _) => text.trim().parse().ok().map(Value::Float),
        (Some(Scalar::Flag(_)), _) => text.trim().parse().ok().map(Value::Boolean),
        _ => None,
    };
    read.unwrap_or_else(|| Value::String(text.clone()))
}

fn value(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Text(text) => Value::String(text.clone()),
        Scalar::Integer(number) => Value::Integer(*number),
        Scalar::Number(number) => Value::Float(*number),
        Scalar::Flag(flag) => Value::Boolean(*flag),
    }
}

fn plain(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Each key was read by itself before, so the whole reads too.
fn whole<T: DeserializeOwned + Default>(table: Table) -> T {
    T::deserialize(Value::Table(table)).unwrap_or_default()
}

/// What the settings say of themselves, with the place where the setting was written.
fn report(issues: Issues, merged: &Merged, problems: &mut Vec<Problem>) {
    for issue in issues {
        let default = issue
            .path
            .rsplit('.')
            .next()
            .map(|key| format!("{HANDLER_DEFAULTS}.{key}"));
        let origin = merged
            .origin(&issue.path)
            .or_else(|| merged.origin(&default?))
            .cloned()
            .unwrap_or(Origin::Default);
        let hint = if issue.hint.is_empty() {
            String::new()
        } else {
            format!(" ({})", issue.hint)
        };
        let problem = Problem::new(
            issue.path.clone(),
            origin,
            format!("{}{hint}", issue.problem),
        );
        // A key that did not read has already been told of; the default that stands in for it may be wrong as well.
        if !problems
            .iter()
            .any(|known| known.setting == problem.setting)
        {
            problems.push(problem);
        }
    }
}
