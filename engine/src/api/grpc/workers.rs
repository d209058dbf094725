//! `WorkerService`: who runs what, and looking at a shard for another worker.

use tidegate_proto::wire::timestamp;
use tidegate_proto::wire::worker::v1::worker_service_server::WorkerService;
use tidegate_proto::wire::worker::v1::{
    ListRequest, ListResponse, LookRequest, LookResponse, Shard, Standby, Takeover, Worker,
};
use tonic::{Request, Response, Status};

use super::{Service, status};
use crate::workers::{WorkerShard, WorkerStandby, WorkerView};

#[tonic::async_trait]
impl WorkerService for Service {
    async fn list(&self, _: Request<ListRequest>) -> Result<Response<ListResponse>, Status> {
        let workers = self.api.backend().workers().await.map_err(status::of)?;
        let workers = workers.into_iter().map(of_worker).collect();
        Ok(Response::new(ListResponse { workers }))
    }

    async fn look(&self, request: Request<LookRequest>) -> Result<Response<LookResponse>, Status> {
        let asked = request.into_inner();
        let own = env!("CARGO_PKG_VERSION");
        if asked.version != own {
            let text = format!(
                "this worker is of version {own}, the one that asks is of {}; let all have one version",
                asked.version
            );
            return Err(Status::failed_precondition(text));
        }
        let query = postcard::from_bytes(&asked.query)
            .map_err(|error| Status::invalid_argument(format!("no question: {error}")))?;
        let seen = self.api.backend().look_here(asked.shard, query);
        let seen = seen.await.map_err(status::of)?;
        let seen = seen
            .ok_or_else(|| Status::not_found(format!("shard {} does not run here", asked.shard)))?;
        let observation = postcard::to_stdvec(&seen)
            .map_err(|error| Status::internal(format!("an answer cannot be sent: {error}")))?;
        Ok(Response::new(LookResponse { observation }))
    }
}

fn of_worker(worker: WorkerView) -> Worker {
    Worker {
        name: worker.name,
        address: worker.address,
        heard: Some(timestamp(worker.heard)),
        shards: worker.shards.iter().map(of_shard).collect(),
        standbys: worker.standbys.iter().map(of_standby).collect(),
    }
}

const fn of_standby(standby: &WorkerStandby) -> Standby {
    Standby {
        shard: standby.shard,
        epoch: standby.epoch,
        behind: standby.behind,
    }
}

fn of_shard(shard: &WorkerShard) -> Shard {
    Shard {
        shard: shard.shard,
        phase: shard.phase.clone(),
        generation: shard.generation,
        epoch: shard.epoch,
        lag: shard.lag,
        snapshot: shard.snapshot.map(timestamp),
        takeover: shard.takeover.map(|takeover| Takeover {
            millis: takeover.millis,
            epochs: takeover.epochs,
            records: takeover.records,
            warm: takeover.warm,
        }),
    }
}
