//! The gRPC door: the services of `proto/`, reflection, health. The same service layer as REST, other words.

mod ingest;
mod message;
mod resources;
mod rules;
mod status;
mod tasks;
mod workers;

#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;
use tidegate_proto::wire;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::ServingStatus;

use super::backend::TailFrom;
use super::follow::Start;
use super::state::Api;

/// All services as routes.
pub(super) fn router(api: &Api) -> Router {
    let service = Service { api: api.clone() };
    // A batch of events may be larger than a body of the REST door.
    let most = api.limits().message_bytes;
    let rules = wire::rule::v1::rule_service_server::RuleServiceServer::new(service.clone())
        .max_decoding_message_size(most);
    let resources =
        wire::resource::v1::resource_service_server::ResourceServiceServer::new(service.clone())
            .max_decoding_message_size(most);
    let tasks = wire::task::v1::task_service_server::TaskServiceServer::new(service.clone())
        .max_decoding_message_size(most);
    let workers =
        wire::worker::v1::worker_service_server::WorkerServiceServer::new(service.clone())
            .max_decoding_message_size(most);
    let ingest = wire::ingest::v1::ingest_service_server::IngestServiceServer::new(service)
        .max_decoding_message_size(most);
    let mut routes = Routes::new(rules)
        .add_service(resources)
        .add_service(tasks)
        .add_service(ingest)
        .add_service(workers);
    let (reporter, health) = tonic_health::server::health_reporter();
    routes = routes.add_service(health);
    watch_health(api.clone(), reporter);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(wire::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The descriptors are built in; a test proves that they can be read.
    match (reflection().build_v1(), reflection().build_v1alpha()) {
        (Ok(v1), Ok(v1alpha)) => routes = routes.add_service(v1).add_service(v1alpha),
        (Err(error), _) | (_, Err(error)) => tracing::error!(%error, "no reflection over gRPC"),
    }
    // The fallback of the REST door stands for unknown paths; tonic's own would clash with it.
    routes.prepare().into_axum_router().reset_fallback()
}

/// Tells the health service when the shards have recovered, and when the process stops.
fn watch_health(api: Api, reporter: tonic_health::server::HealthReporter) {
    // Without a runtime nobody could ask either.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        const NAMES: [&str; 6] = [
            "",
            "tidegate.ingest.v1.IngestService",
            "tidegate.resource.v1.ResourceService",
            "tidegate.rule.v1.RuleService",
            "tidegate.task.v1.TaskService",
            "tidegate.worker.v1.WorkerService",
        ];
        let mut told = None;
        loop {
            let is_ready = api.backend().trouble().await.is_empty();
            let status = if is_ready {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            if told != Some(status) {
                for name in NAMES {
                    reporter.set_service_status(name, status).await;
                }
                told = Some(status);
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
                () = api.stopped() => break,
            }
        }
        for name in NAMES {
            reporter
                .set_service_status(name, ServingStatus::NotServing)
                .await;
        }
    });
}

/// Implements all services.
#[derive(Clone, Debug)]
pub(super) struct Service {
    api: Api,
}

impl Service {
    /// Entries of a page, within the bound of the server.
    fn page_size(&self, wanted: u32) -> usize {
        let most = self.api.limits().page;
        match usize::try_from(wanted) {
            Ok(0) | Err(_) => most,
            Ok(wanted) => wanted.min(most),
        }
    }

    /// A page and the token of the next one; `items` may hold one entry more, which shows that there is one.
    fn page<T>(
        &self,
        mut items: Vec<T>,
        wanted: u32,
        id: impl Fn(&T) -> String,
    ) -> (Vec<T>, String) {
        let size = self.page_size(wanted);
        let more = items.len() > size;
        items.truncate(size);
        let next = if more {
            items.last().map(id).unwrap_or_default()
        } else {
            String::new()
        };
        (items, next)
    }
}

/// Where a stream begins.
fn start(wanted: Option<&wire::value::v1::StreamStart>) -> Result<Start, Status> {
    use wire::value::v1::stream_start::From;
    match wanted.and_then(|wanted| wanted.from.as_ref()) {
        None | Some(From::Latest(_)) => Ok(Start::At(TailFrom::Latest)),
        Some(From::Earliest(_)) => Ok(Start::At(TailFrom::Earliest)),
        Some(From::Time(time)) => Ok(Start::At(TailFrom::Time(wire::from_timestamp(time)))),
        Some(From::After(token)) => token
            .parse()
            .map(Start::After)
            .map_err(|error: String| status::bad(error)),
    }
}
