//! ListJobs, ListJobLogs and ListJobAttempts.

use tonic::Status;

use crate::auth::Caller;
use crate::domain::LogLevel;
use crate::domain::validate::Violations;
use crate::engine::{Engine, ListJobs, ListLogs};
use crate::proto::v1;

use super::super::convert::{View, attempt, enums, filter, ids, job, logs as lines, number};
use super::super::status::{invalid, to_status};
use super::super::{page_token, show};
use super::one::job_id;

pub(super) async fn jobs(
    engine: &Engine,
    caller: &Caller,
    request: v1::ListJobsRequest,
) -> Result<v1::ListJobsResponse, Status> {
    let mut wrong = Violations::default();
    let as_sent = request.filter.clone().unwrap_or_default();
    let filter = filter::from_proto(request.filter, "filter", &mut wrong);
    let view = job::view(request.view, View::Basic, "view", &mut wrong);
    let page_size = number::page_size(request.page_size, "page_size", &mut wrong);
    let (Some(filter), Some(view), Some(page_size)) = (filter, view, page_size) else {
        return Err(invalid(wrong));
    };
    let before = page_token::from_token(&request.page_token, &as_sent)?;
    let list = ListJobs { filter, page_size, before, full: view == View::Full };
    let page = engine.list(caller, list).await.map_err(to_status)?;
    let next = page.next.map(|last| page_token::to_token(last, &as_sent));
    Ok(v1::ListJobsResponse {
        jobs: page.jobs.iter().map(|job| show::job(engine, job, view)).collect(),
        next_page_token: next.unwrap_or_default(),
        total_size: i64::try_from(page.total).unwrap_or(i64::MAX),
        total_size_capped: page.total_capped,
    })
}

pub(super) async fn logs(
    engine: &Engine,
    caller: &Caller,
    request: &v1::ListJobLogsRequest,
) -> Result<v1::ListJobLogsResponse, Status> {
    let mut wrong = Violations::default();
    let id = ids::job_id(&request.job_id, "job_id", &mut wrong);
    let epoch = number::position(request.lease_epoch, "lease_epoch", &mut wrong);
    let level = enums::from_proto::<LogLevel>(request.min_level, "min_level", &mut wrong);
    let after = number::position(request.after_sequence, "after_sequence", &mut wrong);
    let page_size = number::page_size(request.page_size, "page_size", &mut wrong);
    let (Some(job_id), Some(epoch), Some(level), Some(after_sequence), Some(page_size)) =
        (id, epoch, level, after, page_size)
    else {
        return Err(invalid(wrong));
    };
    let list = ListLogs {
        job_id,
        lease_epoch: (epoch > 0).then_some(epoch),
        min_level: level.unwrap_or(LogLevel::Debug),
        after_sequence,
        page_size,
    };
    let page = engine.logs(caller, list).await.map_err(to_status)?;
    Ok(v1::ListJobLogsResponse {
        entries: page.lines.into_iter().map(lines::line_to_proto).collect(),
        next_sequence: page.next_sequence,
        gaps: page.gaps.iter().map(lines::gap_to_proto).collect(),
    })
}

pub(super) async fn attempts(
    engine: &Engine,
    caller: &Caller,
    request: &v1::ListJobAttemptsRequest,
) -> Result<v1::ListJobAttemptsResponse, Status> {
    let id = job_id(&request.job_id)?;
    let attempts = engine.attempts(caller, id).await.map_err(to_status)?;
    let now = engine.clock().now();
    let attempts = attempts.iter().map(|found| attempt::to_proto(found, now)).collect();
    Ok(v1::ListJobAttemptsResponse { attempts })
}
