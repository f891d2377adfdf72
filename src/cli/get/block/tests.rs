use super::*;
use crate::proto::v1::job_status::Effective;

const NOW: Timestamp = Timestamp::from_micros(1_769_846_460_000_000);

fn moment(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: 1_769_846_400 + seconds, nanos: 0 }
}

fn job() -> Job {
    let spec = JobSpec {
        r#type: "backup".to_owned(),
        payload: Some(json::to_struct(r#"{"path": "/data"}"#).unwrap()),
        labels: [("team".to_owned(), "a".to_owned())].into(),
        ..JobSpec::default()
    };
    let effective = Effective { queue: "bulk".into(), priority: 2, ..Effective::default() };
    let cancel = CancelRequest {
        cause: CancelCause::Caller.into(),
        time: Some(moment(50)),
        reason: "not today\x1b[2J".to_owned(),
        requested_by: "ann".to_owned(),
        grace: Some(prost_types::Duration { seconds: 30, nanos: 0 }),
    };
    let status = JobStatus {
        state: JobState::Running.into(),
        attempt: 2,
        max_attempts: 3,
        lease_epoch: 4,
        worker_id: "w1".to_owned(),
        effective: Some(effective),
        trigger: JobTrigger::Api.into(),
        create_time: Some(moment(0)),
        start_time: Some(moment(30)),
        cancel_request: Some(cancel),
        ..JobStatus::default()
    };
    Job { id: "j".to_owned(), spec: Some(spec), status: Some(status) }
}

#[test]
fn facts_are_told_in_words_and_what_is_not_there_is_left_out() {
    let facts = facts(&job(), NOW);
    let expected = [
        ("job", "j"),
        ("type", "backup"),
        ("state", "RUNNING, asked to stop"),
        ("attempt", "2 of 3, worker w1 (lease epoch 4)"),
        ("queue", "bulk"),
        ("priority", "NORMAL"),
        ("created", "2026-01-31T08:00:00Z (1m ago) by api"),
        ("started", "2026-01-31T08:00:30Z (30s ago)"),
        ("asked", "to stop (caller) 10s ago by ann, within 30s: not today\\u{1b}[2J"),
        ("labels", "team=a"),
    ];
    let facts: Vec<_> = facts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    assert_eq!(facts, expected);
}

#[test]
fn what_a_retry_rule_changed_is_told_beside_what_was_asked_for() {
    let mut job = job();
    let limits = |memory_bytes| Some(ResourceLimits { memory_bytes, ..ResourceLimits::default() });
    let spec = job.spec.as_mut().unwrap();
    (spec.queue, spec.limits) = ("small".to_owned(), limits(1 << 30));
    let effective = job.status.as_mut().unwrap().effective.as_mut().unwrap();
    (effective.limits, effective.avoid_worker) = (limits(2 << 30), "w1".to_owned());
    let facts = facts(&job, NOW);
    let fact = |name| facts.iter().find(|(of, _)| *of == name).unwrap().1.as_str();
    assert_eq!(fact("queue"), "bulk (asked for small)");
    assert_eq!(fact("memory"), "at most 2.0 GiB (asked for 1.0 GiB)");
    assert_eq!(fact("avoids"), "w1");
}

#[test]
fn a_job_that_fell_silent_has_no_eta() {
    let mut job = job();
    let remaining = Some(prost_types::Duration { seconds: 7, nanos: 0 });
    let mut shown = |report_time| {
        let progress = Progress { completed: 5, report_time, remaining, ..Progress::default() };
        job.status.as_mut().unwrap().progress = Some(progress);
        facts(&job, NOW).into_iter().find(|(name, _)| *name == "progress").unwrap().1
    };
    assert_eq!(shown(Some(moment(55))), "5 items  ETA 7.0s");
    assert_eq!(shown(Some(moment(16))), "5 items  last report 44s ago");
}

#[test]
fn documents_are_those_the_job_has() {
    let documents = documents(&job());
    assert_eq!(documents, [("payload", serde_json::json!({"path": "/data"}))]);
}
