//! JobTypeService: the registry of types.

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};

use crate::domain::JobType;
use crate::domain::job_type::TypeOrigin;
use crate::domain::limits::{PAYLOAD_BYTES_MAX, PREVIEW_TIMES_MAX};
use crate::domain::validate::Violations;
use crate::engine::{Engine, PutType, TriggerType, TypeFilter};
use crate::proto::v1;
use crate::proto::v1::job_type_service_server::JobTypeService;
use crate::proto::v1::preview_schedule_request::Of;

use super::caller::caller;
use super::convert::{
    self, Path, View, enums, job_type, labels, names, number, opaque, text, time,
};
use super::show;
use super::status::{invalid, to_status};

/// Times that a preview shows if nothing is said.
const PREVIEW_TIMES_DEFAULT: usize = 10;

/// Answers JobTypeService.
#[derive(Clone)]
pub struct JobTypeApi {
    engine: Engine,
}

impl JobTypeApi {
    /// Answers with what `engine` says.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self { engine }
    }
}

/// The name alone, for requests that have nothing else.
fn name(text: &str) -> Result<JobType, Status> {
    let mut wrong = Violations::default();
    wrong.take("type", JobType::new(text)).ok_or_else(|| invalid(wrong))
}

fn filter(request: &v1::ListJobTypesRequest) -> Result<TypeFilter, Status> {
    let mut wrong = Violations::default();
    let categories = names::categories(&request.categories, "categories", &mut wrong);
    let mut origins = Vec::new();
    for (place, origin) in request.origins.iter().enumerate() {
        let field = format!("origins[{place}]");
        let origin: Option<TypeOrigin> = enums::from_proto(*origin, &field, &mut wrong).flatten();
        origins.extend(origin);
    }
    match categories {
        Some(categories) if wrong.is_empty() => Ok(TypeFilter { categories, origins }),
        _ => Err(invalid(wrong)),
    }
}

fn trigger(request: v1::TriggerJobTypeRequest) -> Result<TriggerType, Status> {
    let mut wrong = Violations::default();
    let body = v1::TriggerJobTypeRequest { request_id: String::new(), ..request.clone() };
    let fingerprint = Sha256::digest(body.encode_to_vec()).into();
    let job_type = wrong.take("type", JobType::new(&request.r#type));
    if let Some(payload) = &request.payload {
        opaque::check(payload, PAYLOAD_BYTES_MAX, "payload", &mut wrong);
    }
    labels::check(&request.labels, Path::root("labels"), &mut wrong);
    let request_id = text::request_id(request.request_id, "request_id", &mut wrong);
    let reason = text::reason(request.reason, "reason", &mut wrong);
    let (Some(job_type), Some(request_id), Some(reason), true) =
        (job_type, request_id, reason, wrong.is_empty())
    else {
        return Err(invalid(wrong));
    };
    let request_id = request_id.map(|id| (id, fingerprint));
    let (payload, labels) = (request.payload, request.labels);
    Ok(TriggerType { job_type, payload, labels, request: request_id, reason })
}

#[tonic::async_trait]
impl JobTypeService for JobTypeApi {
    async fn put_job_type(
        &self,
        request: Request<v1::PutJobTypeRequest>,
    ) -> Result<Response<v1::PutJobTypeResponse>, Status> {
        let caller = caller(&request);
        let v1::PutJobTypeRequest { job_type, validate_only, reason } = request.into_inner();
        let mut wrong = Violations::default();
        let put = job_type::from_proto(job_type, validate_only, &mut wrong);
        let reason = text::reason(reason, "reason", &mut wrong);
        let (Some(put), Some(reason)) = (put, reason) else { return Err(invalid(wrong)) };
        let put = PutType { reason, ..put };
        let (info, created) = self.engine.put_type(&caller, put).await.map_err(to_status)?;
        let job_type = Some(job_type::to_proto(&info));
        Ok(Response::new(v1::PutJobTypeResponse { job_type, created }))
    }

    async fn get_job_type(
        &self,
        request: Request<v1::GetJobTypeRequest>,
    ) -> Result<Response<v1::GetJobTypeResponse>, Status> {
        let caller = caller(&request);
        let name = name(&request.get_ref().r#type)?;
        let info = self.engine.job_type(&caller, &name).await.map_err(to_status)?;
        let job_type = Some(job_type::to_proto(&info));
        Ok(Response::new(v1::GetJobTypeResponse { job_type }))
    }

    async fn list_job_types(
        &self,
        request: Request<v1::ListJobTypesRequest>,
    ) -> Result<Response<v1::ListJobTypesResponse>, Status> {
        let caller = caller(&request);
        let filter = filter(request.get_ref())?;
        let found = self.engine.job_types(&caller, &filter).await.map_err(to_status)?;
        let job_types = found.iter().map(job_type::to_proto).collect();
        Ok(Response::new(v1::ListJobTypesResponse { job_types }))
    }

    async fn delete_job_type(
        &self,
        request: Request<v1::DeleteJobTypeRequest>,
    ) -> Result<Response<v1::DeleteJobTypeResponse>, Status> {
        let caller = caller(&request);
        let name = name(&request.get_ref().r#type)?;
        self.engine.delete_type(&caller, &name).await.map_err(to_status)?;
        Ok(Response::new(v1::DeleteJobTypeResponse {}))
    }

    async fn trigger_job_type(
        &self,
        request: Request<v1::TriggerJobTypeRequest>,
    ) -> Result<Response<v1::TriggerJobTypeResponse>, Status> {
        let caller = caller(&request);
        let trigger = trigger(request.into_inner())?;
        let job = self.engine.trigger_type(&caller, trigger).await.map_err(to_status)?;
        let job = Some(show::job(&self.engine, &job, View::Full));
        Ok(Response::new(v1::TriggerJobTypeResponse { job }))
    }

    async fn preview_schedule(
        &self,
        request: Request<v1::PreviewScheduleRequest>,
    ) -> Result<Response<v1::PreviewScheduleResponse>, Status> {
        let caller = caller(&request);
        let request = request.into_inner();
        let mut wrong = Violations::default();
        let after = time::instant(request.after_time, "after_time", &mut wrong);
        let count = number::amount(
            request.count,
            PREVIEW_TIMES_DEFAULT,
            PREVIEW_TIMES_MAX,
            "count",
            &mut wrong,
        );
        let times = match request.of {
            Some(Of::Type(text)) => {
                let name = wrong.take("type", JobType::new(&text));
                let (Some(name), Some(after), Some(count)) = (name, after, count) else {
                    return Err(invalid(wrong));
                };
                let preview = self.engine.preview_type(&caller, &name, after, count);
                preview.await.map_err(to_status)?
            }
            Some(Of::Schedule(schedule)) => {
                let spec = convert::schedule::from_proto(schedule, "schedule", &mut wrong);
                let schedule = spec.compile("schedule.", &mut wrong);
                let (Some(schedule), Some(after), Some(count), true) =
                    (schedule, after, count, wrong.is_empty())
                else {
                    return Err(invalid(wrong));
                };
                // Nominal times do not hang on the type.
                let name = JobType::new("preview").map_err(|_| Status::internal("a name"))?;
                self.engine.preview(&schedule, &name, after, count)
            }
            None => {
                wrong.add("of", "must be one of type, schedule");
                return Err(invalid(wrong));
            }
        };
        let fire_times = times.iter().map(|nominal| time::to_proto(nominal.time)).collect();
        Ok(Response::new(v1::PreviewScheduleResponse { fire_times }))
    }
}
