//! AdminService: what operators look at, and what they set.

mod drain;
mod events;
mod info;
mod purge;
mod sweep;
mod workers;

use tonic::{Request, Response, Status};

use crate::domain::ids::QuotaName;
use crate::domain::validate::Violations;
use crate::engine::{Engine, Queue};
use crate::proto::v1;
use crate::proto::v1::admin_service_server::AdminService;

use super::caller::caller;
use super::convert::{defaults, queue, quota, stats, time};
use super::status::{invalid, to_status};

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

fn shown(queue: &Queue) -> v1::Queue {
    let mut shown = v1::Queue {
        name: queue.name.to_string(),
        counts: stats::counts(&queue.counts),
        oldest_pending_age: queue.oldest_pending_age.map(time::span_to_proto),
        ..v1::Queue::default()
    };
    queue::settings_to_proto(&queue.settings, &mut shown);
    shown
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

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        let caller = caller(&request);
        drain::drain(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn sweep_stuck_jobs(
        &self,
        request: Request<v1::SweepStuckJobsRequest>,
    ) -> Result<Response<v1::SweepStuckJobsResponse>, Status> {
        let caller = caller(&request);
        sweep::sweep(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn get_server_info(
        &self,
        request: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        let info = self.engine.info(&caller(&request)).await;
        Ok(Response::new(info::to_proto(&info)))
    }

    async fn list_events(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsResponse>, Status> {
        let caller = caller(&request);
        events::events(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn list_audit_events(
        &self,
        request: Request<v1::ListAuditEventsRequest>,
    ) -> Result<Response<v1::ListAuditEventsResponse>, Status> {
        let caller = caller(&request);
        events::audit(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn purge_jobs(
        &self,
        request: Request<v1::PurgeJobsRequest>,
    ) -> Result<Response<v1::PurgeJobsResponse>, Status> {
        let caller = caller(&request);
        purge::purge(&self.engine, &caller, request.into_inner()).await.map(Response::new)
    }

    async fn update_queue(
        &self,
        request: Request<v1::UpdateQueueRequest>,
    ) -> Result<Response<v1::UpdateQueueResponse>, Status> {
        let caller = caller(&request);
        let mut wrong = Violations::default();
        let change = queue::from_proto(request.into_inner(), &mut wrong);
        let change = change.ok_or_else(|| invalid(wrong))?;
        let apply = |settings: &mut _, wrong: &mut _| change.apply(settings, wrong);
        let updated = self.engine.update_queue(&caller, &change.name, apply).await;
        let queue = Some(shown(&updated.map_err(to_status)?));
        Ok(Response::new(v1::UpdateQueueResponse { queue }))
    }

    async fn get_defaults(
        &self,
        request: Request<v1::GetDefaultsRequest>,
    ) -> Result<Response<v1::GetDefaultsResponse>, Status> {
        let held = self.engine.defaults(&caller(&request)).await.map_err(to_status)?;
        let defaults = Some(defaults::to_proto(&held));
        Ok(Response::new(v1::GetDefaultsResponse { defaults }))
    }

    async fn update_defaults(
        &self,
        request: Request<v1::UpdateDefaultsRequest>,
    ) -> Result<Response<v1::UpdateDefaultsResponse>, Status> {
        let caller = caller(&request);
        let mut wrong = Violations::default();
        let change = defaults::from_proto(request.get_ref(), &mut wrong);
        let change = change.ok_or_else(|| invalid(wrong))?;
        let apply = |held: &mut _| change.apply(held);
        let updated = self.engine.update_defaults(&caller, apply).await.map_err(to_status)?;
        let defaults = Some(defaults::to_proto(&updated));
        Ok(Response::new(v1::UpdateDefaultsResponse { defaults }))
    }

    async fn put_quota(
        &self,
        request: Request<v1::PutQuotaRequest>,
    ) -> Result<Response<v1::PutQuotaResponse>, Status> {
        let caller = caller(&request);
        let mut wrong = Violations::default();
        let quota = quota::from_proto(request.into_inner().quota, &mut wrong);
        let (name, spec) = quota.ok_or_else(|| invalid(wrong))?;
        let put = self.engine.put_quota(&caller, name, spec).await;
        let (quota, created) = put.map_err(to_status)?;
        let quota = Some(quota::to_proto(&quota));
        Ok(Response::new(v1::PutQuotaResponse { quota, created }))
    }

    async fn list_quotas(
        &self,
        request: Request<v1::ListQuotasRequest>,
    ) -> Result<Response<v1::ListQuotasResponse>, Status> {
        let quotas = self.engine.quotas(&caller(&request)).await.map_err(to_status)?;
        let quotas = quotas.iter().map(quota::to_proto).collect();
        Ok(Response::new(v1::ListQuotasResponse { quotas }))
    }

    async fn delete_quota(
        &self,
        request: Request<v1::DeleteQuotaRequest>,
    ) -> Result<Response<v1::DeleteQuotaResponse>, Status> {
        let caller = caller(&request);
        let mut wrong = Violations::default();
        let name = wrong.take("name", QuotaName::new(&request.get_ref().name));
        let name = name.ok_or_else(|| invalid(wrong))?;
        self.engine.delete_quota(&caller, &name).await.map_err(to_status)?;
        Ok(Response::new(v1::DeleteQuotaResponse {}))
    }
}
