use crate::proto::v1::batch_create_jobs_response::result::Outcome;

use super::*;

fn long_text() -> String {
    "x".repeat(2_000)
}

#[tokio::test]
async fn a_job_is_made_read_cancelled_retried_and_deleted() {
    let server = Server::start();
    let id = server.waiting("t").await.id;
    let request = v1::CancelJobRequest { job_id: id.clone(), ..Default::default() };
    let cancelled = said(server.jobs.cancel_job(Request::new(request)).await).expect("cancelled");
    assert_eq!(state(cancelled.job.as_ref()), v1::JobState::Cancelled);
    let request = v1::RetryJobRequest { job_id: id.clone(), ..Default::default() };
    let retried = said(server.jobs.retry_job(Request::new(request)).await).expect("retried");
    assert_eq!(state(retried.job.as_ref()), v1::JobState::Pending);
    let delete = || Request::new(v1::DeleteJobRequest { job_id: id.clone() });
    let refused = reason(server.jobs.delete_job(delete()).await);
    assert_eq!(refused, (Code::FailedPrecondition, "ILLEGAL_TRANSITION".to_owned()));
    let request = v1::CancelJobRequest { job_id: id.clone(), ..Default::default() };
    server.jobs.cancel_job(Request::new(request)).await.expect("cancelled again");
    server.jobs.delete_job(delete()).await.expect("deleted");
    let request = v1::GetJobRequest { job_id: id, view: 0 };
    let gone = reason(server.jobs.get_job(Request::new(request)).await);
    assert_eq!(gone, (Code::NotFound, "JOB_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let server = Server::start();
    let job_id = "not a UUID".to_owned();
    let request = v1::CancelJobRequest {
        job_id: job_id.clone(),
        reason: long_text(),
        grace: Some(prost_types::Duration { seconds: 3_601, nanos: 0 }),
    };
    let wrong = fields(server.jobs.cancel_job(Request::new(request)).await);
    assert_eq!(wrong, ["job_id", "reason", "grace"]);
    let request = v1::ListJobLogsRequest {
        job_id,
        lease_epoch: -1,
        min_level: 99,
        after_sequence: -1,
        page_size: 1_001,
    };
    let wrong = fields(server.jobs.list_job_logs(Request::new(request)).await);
    assert_eq!(wrong, ["job_id", "lease_epoch", "min_level", "after_sequence", "page_size"]);
    let request = v1::GetStatsRequest {
        types: vec![String::new()],
        owner: long_text(),
        label: "no key and value".to_owned(),
        ..Default::default()
    };
    let wrong = fields(server.jobs.get_stats(Request::new(request)).await);
    assert_eq!(wrong, ["types[0]", "owner", "label"]);
    let request = v1::CreateJobRequest { request_id: long_text(), ..Default::default() };
    assert_eq!(fields(server.create(request).await), ["request_id", "spec"]);
}

#[tokio::test]
async fn a_repeated_request_gives_the_same_job_and_another_body_is_refused() {
    let server = Server::start();
    let wished = |job_type| v1::CreateJobRequest { request_id: "r1".to_owned(), ..wish(job_type) };
    let first = server.create(wished("t")).await.expect("created");
    let again = server.create(wished("t")).await.expect("created before");
    assert!(!first.existing && again.existing);
    assert_eq!(first.job.map(|job| job.id), again.job.map(|job| job.id));
    let other = reason(server.create(wished("u")).await);
    assert_eq!(other, (Code::InvalidArgument, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn a_create_that_only_validates_makes_nothing() {
    let server = Server::start();
    let request = v1::CreateJobRequest { validate_only: true, ..wish("t") };
    let checked = server.create(request).await.expect("valid");
    assert_eq!(checked.job.map(|job| job.id), Some(String::new()));
    let list = said(server.jobs.list_jobs(unset()).await).expect("a list");
    assert_eq!((list.jobs.len(), list.total_size), (0, 0));
}

#[tokio::test]
async fn each_job_of_a_batch_has_its_own_answer() {
    let server = Server::start();
    let requests = vec![wish("t"), wish("no spaces"), wish("u")];
    let request = v1::BatchCreateJobsRequest { requests };
    let batch = said(server.jobs.batch_create_jobs(Request::new(request)).await).expect("a batch");
    let made: Vec<bool> = batch
        .results
        .iter()
        .map(|result| matches!(result.outcome, Some(Outcome::Created(_))))
        .collect();
    assert_eq!(made, [true, false, true]);
    let Some(Outcome::Error(error)) = &batch.results[1].outcome else { panic!("an error") };
    assert_eq!((error.code, error.details.is_empty()), (Code::InvalidArgument as i32, false));
    let empty = server.jobs.batch_create_jobs(unset()).await;
    assert_eq!(fields(empty), ["requests"]);
}

#[tokio::test]
async fn pages_lead_through_all_jobs_the_newest_first() {
    let server = Server::start();
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(server.waiting("t").await.id);
    }
    server.waiting("other").await;
    ids.reverse();
    let filter = Some(v1::JobFilter { types: vec!["t".to_owned()], ..Default::default() });
    let (mut seen, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = v1::ListJobsRequest {
            filter: filter.clone(),
            page_size: 2,
            page_token: page_token.clone(),
            ..Default::default()
        };
        let page = said(server.jobs.list_jobs(Request::new(request)).await).expect("a page");
        assert_eq!((page.total_size, page.total_size_capped), (5, false));
        seen.extend(page.jobs.into_iter().map(|job| job.id));
        if page.next_page_token.is_empty() {
            break;
        }
        page_token = page.next_page_token;
    }
    assert_eq!(seen, ids);
    let request = v1::ListJobsRequest { page_token, ..Default::default() };
    let other = reason(server.jobs.list_jobs(Request::new(request)).await);
    assert_eq!(other, (Code::InvalidArgument, "INVALID_PAGE_TOKEN".to_owned()));
}
