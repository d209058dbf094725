//! `IngestService`: batches of a stream are put into the log several at a time and answered in the order sent.

use bytes::Bytes;
use futures::StreamExt as _;
use tidegate_proto::wire;
use tidegate_proto::wire::ingest::v1::ingest_service_server::IngestService;
use tidegate_proto::wire::ingest::v1::{
    Event, IngestBatchRequest, IngestBatchResponse, IngestRequest, IngestResponse,
};
use tonic::{Request, Response, Status, Streaming};

use super::{Service, status};
use crate::api::backend::IngestEvent;
use crate::api::split::event;
use crate::api::state::Api;
use crate::error::EngineError;

/// Batches of one stream that are under way at once: they share an fsync, and the sender is slowed down by it.
const UNDER_WAY: usize = 16;

type Answers =
    std::pin::Pin<Box<dyn futures::Stream<Item = Result<IngestResponse, Status>> + Send>>;

/// Events of a batch, checked as the REST door checks them.
fn events_of(
    api: &Api,
    events: &[Event],
    json: Vec<Bytes>,
) -> Result<Vec<IngestEvent>, EngineError> {
    let limits = api.split_limits();
    let count = events.len() + json.len();
    if count > limits.events {
        return Err(EngineError::Invalid(format!(
            "more than {} events in one batch",
            limits.events
        )));
    }
    let bodies = events
        .iter()
        .map(|event| Bytes::from(wire::event_json(event)))
        .chain(json);
    let mut taken = Vec::with_capacity(count);
    for (index, body) in bodies.enumerate() {
        let taken_one = event(body, limits.event_bytes);
        taken.push(
            taken_one
                .map_err(|problem| EngineError::Invalid(format!("event {index}: {problem}")))?,
        );
    }
    Ok(taken)
}

async fn take(
    api: &Api,
    events: Vec<Event>,
    json: Vec<Bytes>,
    key: String,
) -> Result<u64, EngineError> {
    let events = events_of(api, &events, json)?;
    if events.is_empty() {
        return Ok(0);
    }
    let accepted = api
        .backend()
        .ingest(events, (!key.is_empty()).then_some(key))
        .await?;
    api.counters().accepted(accepted);
    Ok(accepted)
}

#[tonic::async_trait]
impl IngestService for Service {
    type IngestStream = Answers;

    async fn ingest(
        &self,
        request: Request<Streaming<IngestRequest>>,
    ) -> Result<Response<Answers>, Status> {
        let place = self
            .api
            .stream_place()
            .map_err(|problem| status::of_problem(&problem))?;
        let api = self.api.clone();
        let stopping = self.api.clone();
        let answers = request
            .into_inner()
            // A stop ends the intake; batches that are under way are still answered.
            .take_until(async move { stopping.stopped().await })
            .map(move |batch| {
                let api = api.clone();
                async move {
                    let batch = batch?;
                    let number = batch.batch;
                    Ok(
                        match take(&api, batch.events, batch.json, batch.idempotency_key).await {
                            Ok(accepted) => IngestResponse {
                                batch: number,
                                accepted,
                                ..IngestResponse::default()
                            },
                            Err(error) => IngestResponse {
                                batch: number,
                                accepted: 0,
                                retry: matches!(
                                    error,
                                    EngineError::Unavailable(_) | EngineError::Overloaded(_)
                                ),
                                error: error.to_string(),
                            },
                        },
                    )
                }
            })
            .buffered(UNDER_WAY)
            .map(move |answer| {
                // The place among the streams lives as long as the stream.
                let _ = &place;
                answer
            });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn ingest_batch(
        &self,
        request: Request<IngestBatchRequest>,
    ) -> Result<Response<IngestBatchResponse>, Status> {
        let batch = request.into_inner();
        let accepted = take(&self.api, batch.events, batch.json, batch.idempotency_key).await;
        Ok(Response::new(IngestBatchResponse {
            accepted: accepted.map_err(status::of)?,
        }))
    }
}
