//! `delete`, `enable`, `disable`.

use std::io::Write;

use reqwest::Method;
use serde_json::{Value, json};

use super::arguments::{ChangeArguments, ChangedKind, Output};
use super::client::Client;
use super::failure::Failure;
use super::{print, yaml};
use crate::api::encode;

/// What to do with a thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Delete it.
    Delete,
    /// Let it run.
    Enable,
    /// Stop it.
    Disable,
}

/// Runs the command.
pub(super) async fn run(
    change: Change,
    arguments: &ChangeArguments,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let client = Client::new(&arguments.client.server)?;
    let (kind, path) = match arguments.kind {
        ChangedKind::Rule => ("rule", "rules"),
        ChangedKind::Resource => ("resource", "resources"),
        ChangedKind::Type => ("type", "types"),
        ChangedKind::Source => ("source", "sources"),
    };
    let place = format!("/v1/{path}/{}", encode(&arguments.name));
    let mut request = match change {
        Change::Delete => client.request(Method::DELETE, &place),
        _ if arguments.kind != ChangedKind::Rule => {
            return Err(Failure::usage("only a rule can be enabled or disabled"));
        }
        Change::Enable => client.request(Method::POST, &format!("{place}/enable")),
        Change::Disable => client.request(Method::POST, &format!("{place}/disable")),
    };
    if let Some(revision) = arguments.revision {
        request = request.header("if-match", format!("\"{revision}\""));
    }
    let answer = client.json(request).await?;
    print(kind, arguments, &answer, out)?;
    Ok(())
}

fn print(
    kind: &str,
    arguments: &ChangeArguments,
    answer: &Value,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let name = format!("{kind}/{}", arguments.name);
    match arguments.client.output {
        Output::Table => writeln!(out, "{name} {}", print::field(answer, "outcome")),
        Output::Name => writeln!(out, "{name}"),
        Output::Json => writeln!(out, "{answer:#}"),
        Output::Yaml => out.write_all(yaml::text(&json!(answer)).as_bytes()),
    }
}
