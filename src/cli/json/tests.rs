use serde_json::json;

use super::*;
use crate::proto::v1::watch_job_response::{Event, Snapshot};
use crate::proto::v1::{Job, JobSpec, JobState, JobStatus, WatchJobResponse};

fn job() -> Job {
    let spec = JobSpec {
        r#type: "backup".to_owned(),
        payload: Some(to_struct(r#"{"n": 3, "half": 0.5, "deep": [{"a": null}]}"#).unwrap()),
        ..JobSpec::default()
    };
    let status = JobStatus {
        state: JobState::Pending.into(),
        revision: 7,
        create_time: Some(prost_types::Timestamp { seconds: 1_769_846_400, nanos: 0 }),
        run_duration: Some(prost_types::Duration { seconds: 1, nanos: 500_000_000 }),
        ..JobStatus::default()
    };
    Job { id: "j".to_owned(), spec: Some(spec), status: Some(status) }
}

fn expected() -> Value {
    json!({
        "id": "j",
        "spec": {"type": "backup", "payload": {"n": 3, "half": 0.5, "deep": [{"a": null}]}},
        "status": {
            "state": "JOB_STATE_PENDING",
            "revision": "7",
            "createTime": "2026-01-31T08:00:00Z",
            "runDuration": "1.500s",
        },
    })
}

#[test]
fn a_payload_is_shown_as_the_struct_it_is() {
    assert_eq!(value(&job()).unwrap(), expected());
}

#[test]
fn an_event_that_came_encoded_is_shown_in_full() {
    let snapshot = Snapshot { job: Some(job()) }.encode_to_vec();
    let wire = WatchJobResponse { event: Some(Event::Snapshot(snapshot.into())) };
    assert_eq!(value(&wire).unwrap(), json!({"snapshot": {"job": expected()}}));
}

#[test]
fn every_described_message_is_described() {
    fn there<M: Described>() {
        assert!(pool().unwrap().get_message_by_name(M::NAME).is_some(), "{}", M::NAME);
    }
    there::<v1::CancelJobResponse>();
    there::<v1::CreateJobResponse>();
    there::<v1::DeleteJobResponse>();
    there::<v1::GetJobResponse>();
    there::<v1::GetServerInfoResponse>();
    there::<v1::GetStatsResponse>();
    there::<v1::DeleteQuotaResponse>();
    there::<v1::PutQuotaResponse>();
    there::<v1::ListJobAttemptsResponse>();
    there::<v1::ListJobLogsResponse>();
    there::<v1::ListJobsResponse>();
    there::<v1::ListQueuesResponse>();
    there::<v1::ListWorkersResponse>();
    there::<v1::LogEntry>();
    there::<v1::LogGap>();
    there::<v1::Queue>();
    there::<v1::RetryJobResponse>();
    there::<v1::Worker>();
    there::<v1::get_stats_response::QueueStats>();
    there::<v1::get_stats_response::TypeStats>();
}

#[test]
fn what_is_no_struct_does_not_pass_for_one() {
    let spec = JobSpec { payload: Some(Bytes::from_static(b"\xff")), ..JobSpec::default() };
    let job = Job { spec: Some(spec), ..Job::default() };
    assert!(matches!(value(&job), Err(Failure::Unreadable(_))));
}

#[test]
fn an_integer_that_would_change_is_refused_with_its_place() {
    let problem = to_struct(r#"{"ids": [1, 9007199254740993]}"#).unwrap_err();
    assert_eq!(problem, "$.ids[1] = 9007199254740993 is beyond ±2^53: send it as a string");
    assert!(to_struct(r#"{"id": 18446744073709551615}"#).is_err());
    let exact = to_struct(r#"{"id": 9007199254740992}"#).unwrap();
    assert_eq!(of_struct(&exact), json!({"id": 9_007_199_254_740_992_i64}));
}

#[test]
fn only_an_object_is_a_payload() {
    assert!(to_struct("[1]").unwrap_err().contains("object"));
    assert!(to_struct("{").unwrap_err().starts_with("not JSON"));
}
