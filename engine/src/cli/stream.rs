//! `tail`: lines of JSON as the engine sends them.

use std::io::Write;

use reqwest::Method;

use super::arguments::{TailArguments, TailedTopic};
use super::client::{Client, with_query};
use super::failure::Failure;
use crate::api::follow::Start;

/// Runs `tail`.
pub(super) async fn run(arguments: &TailArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let topic = match arguments.topic {
        TailedTopic::Results => "results",
        TailedTopic::Alarms => "alarms",
        TailedTopic::Changes => "changes",
        TailedTopic::Late => "late",
        TailedTopic::Dlq => "dlq",
        TailedTopic::Actions => "actions",
    };
    let from = match &arguments.from {
        Some(from) => from.as_str(),
        // The end where the log ends now is of use only to those who want what is there.
        None if arguments.stop_at_end => "earliest",
        None => "latest",
    };
    from.parse::<Start>()
        .map_err(|problem| Failure::usage(format!("--from: {problem}")))?;
    let client = Client::new(&arguments.server)?;
    let mut query = vec![("from", from)];
    if arguments.stop_at_end {
        query.push(("stop_at_end", "true"));
    }
    for (name, value) in [("rule", &arguments.rule), ("resource", &arguments.resource)] {
        query.extend(value.as_deref().map(|value| (name, value)));
    }
    let request = client.request(
        Method::GET,
        &with_query(&format!("/v1/tail/{topic}"), &query),
    );
    let mut response = client.send(request).await??;
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                out.write_all(&chunk)?;
                out.flush()?;
            }
            Ok(None) if arguments.stop_at_end => return Ok(()),
            Ok(None) => return Err(Failure::new("the engine ended the stream: it is stopping")),
            Err(error) => return Err(Failure::new(format!("the stream broke: {error}"))),
        }
    }
}
