//! AdminService: what operators look at.

mod info;
mod workers;

use tonic::{Request, Response, Status};

use crate::engine::{Engine, Queue};
use crate::proto::v1;
use crate::proto::v1::admin_service_server::AdminService;

use super::caller::caller;
use super::convert::{stats, time};
use super::status::to_status;

/// Answers AdminService.
#[derive(Clone)]
pub struct AdminApi {
    engine: Engine,
}

impl AdminApi {
    /// Answers with what `engine` says.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// Nothing can pause, bound or weigh a queue yet: all of them stand at their defaults.
fn shown(queue: &Queue) -> v1::Queue {
    v1::Queue {
        name: queue.name.to_string(),
        weight: 1,
        counts: stats::counts(&queue.counts),
        oldest_pending_age: queue.oldest_pending_age.map(time::span_to_proto),
        ..v1::Queue::default()
    }
}

#[tonic::async_trait]
impl AdminService for AdminApi {
    async fn list_queues(
        &self,
        request: Request<v1::ListQueuesRequest>,
    ) -> Result<Response<v1::ListQueuesResponse>, Status> {
        let queues = self.engine.queues(&caller(&request)).await.map_err(to_status)?;
        let queues = queues.iter().map(shown).collect();
        Ok(Response::new(v1::ListQueuesResponse { queues }))
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let caller = caller(&request);
        let filter = workers::filter(request.get_ref())?;
        let found = self.engine.workers(&caller, filter).await.map_err(to_status)?;
        let now = self.engine.clock().now();
        let workers = found.iter().map(|worker| workers::to_proto(worker, now)).collect();
        Ok(Response::new(v1::ListWorkersResponse { workers }))
    }

    async fn get_server_info(
        &self,
        request: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        let info = self.engine.info(&caller(&request)).await;
        Ok(Response::new(info::to_proto(&info)))
    }
}
