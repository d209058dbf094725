//! `dlq` and `late`: what could not be used, and what came too late.

use std::io::Write;

use reqwest::Method;

use super::arguments::{DlqCommand, Output};
use super::client::Client;
use super::failure::Failure;
use super::print::{self, Shape};
use crate::api::encode;

/// Runs `dlq` or `late`: `shape` says which.
pub(super) async fn run(
    shape: &Shape,
    command: &DlqCommand,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    match command {
        DlqCommand::List { client } => {
            let items = Client::new(&client.server)?
                .list(&format!("/v1/{}", shape.kind), &[], None)
                .await?;
            print::list(out, client.output, shape, &items)?;
        }
        DlqCommand::Show { id, client } => {
            let letter = Client::new(&client.server)?
                .get(&format!("/v1/{}/{}", shape.kind, encode(id)))
                .await?;
            // An entry is too long for a row; whoever asks for one wants all of it.
            let output = if client.output == Output::Table {
                Output::Yaml
            } else {
                client.output
            };
            print::one(out, output, shape, &letter)?;
        }
        DlqCommand::Send { ids, client } => {
            let server = Client::new(&client.server)?;
            for id in ids {
                let request = server.request(
                    Method::POST,
                    &format!("/v1/{}/{}/send", shape.kind, encode(id)),
                );
                let answer = server.json(request).await?;
                match client.output {
                    Output::Table => writeln!(out, "{}/{id} sent", shape.kind)?,
                    output => print::one(out, output, shape, &answer)?,
                }
            }
        }
    }
    Ok(())
}
