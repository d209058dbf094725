//! `RuleService`.

use futures::StreamExt as _;
use tidegate_actors::command::{Command, Request as Asked};
use tidegate_proto::issue::{Issues, Mark};
use tidegate_proto::rule::Rule;
use tidegate_proto::wire;
use tidegate_proto::wire::rule::v1::rule_service_server::RuleService;
use tidegate_proto::wire::rule::v1::{
    Definition, DeleteRequest, DeleteResponse, DisableRequest, DisableResponse, EnableRequest,
    EnableResponse, GetRequest, GetResponse, ListRequest, ListResponse, SubmitRequest,
    SubmitResponse, ValidateRequest, ValidateResponse, WatchResultsRequest, WatchResultsResponse,
    WhyRequest, WhyResponse, submit_request, validate_request,
};
use tonic::{Request, Response, Status};

use super::{Service, message, status};
use crate::api::backend::TailTopic;
use crate::api::follow::follow;
use crate::api::rules::one_rule;
use crate::api::tail::Filter;
use crate::api::why;

type Watched =
    std::pin::Pin<Box<dyn futures::Stream<Item = Result<WatchResultsResponse, Status>> + Send>>;

impl Service {
    async fn change(&self, request_id: &str, command: Command) -> Result<u64, Status> {
        let request = Asked {
            request: self.api.request_id(Some(request_id)),
            command,
        };
        let answer = self
            .api
            .backend()
            .request(request)
            .await
            .map_err(status::of)?;
        Ok(answer.revision)
    }

    async fn enabled(
        &self,
        name: String,
        enabled: bool,
        expected: Option<u64>,
        id: &str,
    ) -> Result<u64, Status> {
        self.change(
            id,
            Command::EnableRule {
                name,
                enabled,
                expected,
            },
        )
        .await
    }
}

fn nothing() -> Status {
    status::bad("`document` or `definition` is wanted")
}

/// A document, and the rule that it is.
fn read_text(text: String) -> (String, Result<Rule, Issues>) {
    let rule = one_rule(&text);
    (text, rule)
}

/// The document of a message, and the rule that it is. Nobody has seen that text, so problems have a path and no place.
fn read_message(message: &Definition) -> (String, Result<Rule, Issues>) {
    let text = wire::rule_document(message);
    let rule = one_rule(&text).map_err(|mut issues| {
        for issue in &mut issues {
            issue.mark = Mark::default();
        }
        issues
    });
    (text, rule)
}

#[tonic::async_trait]
impl RuleService for Service {
    type WatchResultsStream = Watched;

    async fn submit(
        &self,
        request: Request<SubmitRequest>,
    ) -> Result<Response<SubmitResponse>, Status> {
        let asked = request.into_inner();
        let (document, rule) = match asked.rule {
            Some(submit_request::Rule::Document(text)) => read_text(text),
            Some(submit_request::Rule::Definition(rule)) => read_message(&rule),
            None => return Err(nothing()),
        };
        let rule = rule.map_err(|issues| status::invalid(&issues))?;
        let request = Asked {
            request: self.api.request_id(Some(&asked.request_id)),
            command: Command::PutRule {
                document,
                expected: asked.expected_revision,
            },
        };
        let answer = self
            .api
            .backend()
            .request(request)
            .await
            .map_err(status::of)?;
        let name = rule.name.as_str().to_owned();
        Ok(Response::new(SubmitResponse {
            name,
            revision: answer.revision,
            parts: answer.parts,
        }))
    }

    async fn validate(
        &self,
        request: Request<ValidateRequest>,
    ) -> Result<Response<ValidateResponse>, Status> {
        let (_, rule) = match request.into_inner().rule {
            Some(validate_request::Rule::Document(text)) => read_text(text),
            Some(validate_request::Rule::Definition(rule)) => read_message(&rule),
            None => return Err(nothing()),
        };
        let answer = match rule {
            Ok(rule) => ValidateResponse {
                issues: Vec::new(),
                name: rule.name.as_str().to_owned(),
            },
            Err(issues) => ValidateResponse {
                issues: issues.iter().map(Into::into).collect(),
                name: String::new(),
            },
        };
        Ok(Response::new(answer))
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let name = request.into_inner().name;
        let rule = self.api.backend().rule(&name).await.map_err(status::of)?;
        let rule = rule.ok_or_else(|| status::missing(&format!("rule/{name}")))?;
        Ok(Response::new(GetResponse {
            rule: Some(message::of_rule(rule)),
        }))
    }

    async fn why(&self, request: Request<WhyRequest>) -> Result<Response<WhyResponse>, Status> {
        let WhyRequest { name, resource, at } = request.into_inner();
        let missing = format!("rule/{name}");
        let question = why::question(name, resource, Some(&at)).map_err(status::of)?;
        let json = why::ask(&self.api, question).await.map_err(status::of)?;
        let json = json.ok_or_else(|| status::missing(&missing))?;
        Ok(Response::new(WhyResponse { json }))
    }

    async fn list(&self, request: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let asked = request.into_inner();
        let mut rules = self.api.backend().rules().await.map_err(status::of)?;
        if !asked.page_token.is_empty() {
            rules.retain(|rule| rule.name > asked.page_token);
        }
        let (rules, next_page_token) = self.page(rules, asked.page_size, |rule| rule.name.clone());
        let rules = rules.into_iter().map(message::of_rule).collect();
        Ok(Response::new(ListResponse {
            rules,
            next_page_token,
        }))
    }

    async fn delete(
        &self,
        request: Request<DeleteRequest>,
    ) -> Result<Response<DeleteResponse>, Status> {
        let asked = request.into_inner();
        let command = Command::DeleteRule {
            name: asked.name,
            expected: asked.expected_revision,
        };
        let revision = self.change(&asked.request_id, command).await?;
        Ok(Response::new(DeleteResponse { revision }))
    }

    async fn enable(
        &self,
        request: Request<EnableRequest>,
    ) -> Result<Response<EnableResponse>, Status> {
        let asked = request.into_inner();
        let revision = self
            .enabled(asked.name, true, asked.expected_revision, &asked.request_id)
            .await?;
        Ok(Response::new(EnableResponse { revision }))
    }

    async fn disable(
        &self,
        request: Request<DisableRequest>,
    ) -> Result<Response<DisableResponse>, Status> {
        let asked = request.into_inner();
        let revision = self
            .enabled(
                asked.name,
                false,
                asked.expected_revision,
                &asked.request_id,
            )
            .await?;
        Ok(Response::new(DisableResponse { revision }))
    }

    async fn watch_results(
        &self,
        request: Request<WatchResultsRequest>,
    ) -> Result<Response<Watched>, Status> {
        let asked = request.into_inner();
        let start = super::start(asked.start.as_ref())?;
        let some = |text: String| (!text.is_empty()).then_some(text);
        let filter = Filter {
            rule: some(asked.rule),
            resource: some(asked.resource),
            kinds: asked.kinds,
        };
        let followed = follow(&self.api, TailTopic::Results, start, asked.stop_at_end)
            .map_err(|problem| status::of_problem(&problem))?;
        let results = followed.filter_map(move |followed| {
            let result = match followed {
                Err(error) => Some(Err(status::of(error))),
                Ok(followed) => {
                    let record = followed.entry.record;
                    let is_wanted = filter
                        .kind_of(record.value.as_deref().unwrap_or_default())
                        .is_some();
                    is_wanted.then(|| {
                        let result = Some(message::of_result(&record));
                        Ok(WatchResultsResponse {
                            result,
                            resume_token: followed.token,
                        })
                    })
                }
            };
            futures::future::ready(result)
        });
        Ok(Response::new(Box::pin(results)))
    }
}
