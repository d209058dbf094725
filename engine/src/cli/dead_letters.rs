//! `dlq`: dead letters.

use std::io::Write;

use reqwest::Method;

use super::arguments::{DlqCommand, Output};
use super::client::Client;
use super::failure::Failure;
use super::print;
use crate::api::encode;

/// Runs `dlq`.
pub(super) async fn run(command: &DlqCommand, out: &mut dyn Write) -> Result<(), Failure> {
    match command {
        DlqCommand::List { client } => {
            let items = Client::new(&client.server)?
                .list("/v1/dlq", &[], None)
                .await?;
            print::list(out, client.output, &print::DEAD_LETTERS, &items)?;
        }
        DlqCommand::Show { id, client } => {
            let letter = Client::new(&client.server)?
                .get(&format!("/v1/dlq/{}", encode(id)))
                .await?;
            // A dead letter is too long for a row; whoever asks for one wants all of it.
            let output = if client.output == Output::Table {
                Output::Yaml
            } else {
                client.output
            };
            print::one(out, output, &print::DEAD_LETTERS, &letter)?;
        }
        DlqCommand::Send { ids, client } => {
            let server = Client::new(&client.server)?;
            for id in ids {
                let request = server.request(Method::POST, &format!("/v1/dlq/{}/send", encode(id)));
                let answer = server.json(request).await?;
                match client.output {
                    Output::Table => writeln!(out, "dlq/{id} sent")?,
                    output => print::one(out, output, &print::DEAD_LETTERS, &answer)?,
                }
            }
        }
    }
    Ok(())
}
