//! `ResourceService`.

use futures::StreamExt as _;
use tidegate_actors::command::{Change, Command, Request as Asked};
use tidegate_proto::id::is_resource_id;
use tidegate_proto::time::Timestamp;
use tidegate_proto::wire;
use tidegate_proto::wire::resource::v1::resource_service_server::ResourceService;
use tidegate_proto::wire::resource::v1::{
    DeleteRequest, DeleteResponse, GetRequest, GetResponse, GetTypeRequest, GetTypeResponse,
    ListRequest, ListResponse, ListTypesRequest, ListTypesResponse, PutRequest, PutResponse,
    WatchRequest, WatchResponse,
};
use tonic::{Request, Response, Status};

use super::{Service, message, status};
use crate::api::backend::TailTopic;
use crate::api::follow::follow;

type Watched = std::pin::Pin<Box<dyn futures::Stream<Item = Result<WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl ResourceService for Service {
    type WatchStream = Watched;

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let id = request.into_inner().id;
        let found = self.api.backend().resource(&id).await.map_err(status::of)?;
        let found = found.ok_or_else(|| status::missing(&format!("resource/{id}")))?;
        Ok(Response::new(GetResponse {
            resource: Some(message::of_resource(&found)),
        }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let asked = request.into_inner();
        let some = |text: String| (!text.is_empty()).then_some(text);
        let size = self.page_size(asked.page_size);
        let backend = self.api.backend();
        let found = backend
            .resources(some(asked.r#type), some(asked.page_token), size + 1)
            .await
            .map_err(status::of)?;
        let (found, next_page_token) =
            self.page(found, asked.page_size, |one| one.id.as_ref().to_owned());
        let resources = found.iter().map(message::of_resource).collect();
        Ok(Response::new(ListResponse {
            resources,
            next_page_token,
        }))
    }

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Watched>, Status> {
        let asked = request.into_inner();
        let start = super::start(asked.start.as_ref())?;
        let wanted = asked.id;
        let followed = follow(&self.api, TailTopic::Changes, start, asked.stop_at_end)
            .map_err(|problem| status::of_problem(&problem))?;
        let changes = followed.filter_map(move |followed| {
            let change = match followed {
                Err(error) => Some(Err(status::of(error))),
                Ok(followed) => {
                    let value = followed.entry.record.value.unwrap_or_default();
                    match serde_json::from_slice(&value) {
                        Ok(Change::Resource { id, what, at })
                            if wanted.is_empty() || wanted == id =>
                        {
                            let time = Some(wire::timestamp(Timestamp(at)));
                            Some(Ok(WatchResponse {
                                id,
                                what,
                                time,
                                resume_token: followed.token,
                            }))
                        }
                        _ => None,
                    }
                }
            };
            futures::future::ready(change)
        });
        Ok(Response::new(Box::pin(changes)))
    }

    async fn put(&self, request: Request<PutRequest>) -> Result<Response<PutResponse>, Status> {
        let asked = request.into_inner();
        if !is_resource_id(&asked.id) {
            return Err(status::bad(
                "`id` is 1 to 256 bytes without control characters",
            ));
        }
        let definition = wire::definition(&asked.id, &asked.definition.unwrap_or_default());
        let request = Asked {
            request: self.api.request_id(Some(&asked.request_id)),
            command: Command::PutResource {
                definition,
                expected: asked.expected_revision,
            },
        };
        let answer = self
            .api
            .backend()
            .request(request)
            .await
            .map_err(status::of)?;
        Ok(Response::new(PutResponse {
            revision: answer.revision,
        }))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        let asked = request.into_inner();
        let request = Asked {
            request: self.api.request_id(Some(&asked.request_id)),
            command: Command::DeleteResource {
                id: asked.id,
                expected: asked.expected_revision,
            },
        };
        let answer = self
            .api
            .backend()
            .request(request)
            .await
            .map_err(status::of)?;
        Ok(Response::new(DeleteResponse {
            revision: answer.revision,
        }))
    }

    async fn get_type(
        &self,
        request: Request<GetTypeRequest>,
    ) -> Result<Response<GetTypeResponse>, Status> {
        let name = request.into_inner().name;
        let found = self.api.backend().resource_type(&name).await;
        let found = found.map_err(status::of)?;
        let found = found.ok_or_else(|| status::missing(&format!("type/{name}")))?;
        Ok(Response::new(GetTypeResponse {
            r#type: Some(message::of_type(found)),
        }))
    }

    async fn list_types(
        &self,
        request: Request<ListTypesRequest>,
    ) -> Result<Response<ListTypesResponse>, Status> {
        let asked = request.into_inner();
        let mut types = self.api.backend().types().await.map_err(status::of)?;
        types.retain(|one| one.name > asked.page_token);
        let (types, next_page_token) = self.page(types, asked.page_size, |one| one.name.clone());
        Ok(Response::new(ListTypesResponse {
            types: types.into_iter().map(message::of_type).collect(),
            next_page_token,
        }))
    }
}
