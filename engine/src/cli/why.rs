//! `why`: why a rule fired, or did not.

use std::io::Write;

use reqwest::Method;

use super::arguments::WhyArguments;
use super::client::{Client, with_query};
use super::failure::Failure;
use crate::api::encode;

/// Runs `why`: prints the answer as the engine gives it, one JSON object.
pub(super) async fn run(arguments: &WhyArguments, out: &mut dyn Write) -> Result<(), Failure> {
    let client = Client::new(&arguments.client.server)?;
    let at = arguments.at.map(|at| at.to_string());
    let resource = arguments.resource.as_deref().unwrap_or_default();
    let mut query = vec![("resource", resource)];
    query.extend(at.as_deref().map(|at| ("at", at)));
    let path = format!("/v1/rules/{}/why", encode(&arguments.rule));
    let request = client.request(Method::GET, &with_query(&path, &query));
    let response = client.send(request).await??;
    let text = response.text().await;
    let text = text.map_err(|error| Failure::new(format!("the answer broke off: {error}")))?;
    writeln!(out, "{text}")?;
    Ok(())
}
