//! `TaskService`.

use tidegate_proto::wire::task::v1::task_service_server::TaskService;
use tidegate_proto::wire::task::v1::{GetRequest, GetResponse, ListRequest, ListResponse};
use tonic::{Request, Response, Status};

use super::{Service, message, status};
use crate::api::tasks::find;

#[tonic::async_trait]
impl TaskService for Service {
    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let id = request.into_inner().id;
        let found = find(&self.api, &id).await.map_err(status::of)?;
        let found = found.ok_or_else(|| status::missing(&format!("task/{id}")))?;
        Ok(Response::new(GetResponse {
            task: Some(message::of_task(found)),
        }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let asked = request.into_inner();
        let some = |text: String| (!text.is_empty()).then_some(text);
        let size = self.page_size(asked.page_size);
        let tasks = self.api.backend().tasks(
            some(asked.rule),
            some(asked.resource),
            some(asked.page_token),
            size + 1,
        );
        let (tasks, next_page_token) =
            self.page(tasks.await.map_err(status::of)?, asked.page_size, |task| {
                task.id.clone()
            });
        let tasks = tasks.into_iter().map(message::of_task).collect();
        Ok(Response::new(ListResponse {
            tasks,
            next_page_token,
        }))
    }
}
