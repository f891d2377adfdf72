use super::*;
use crate::proto::v1::job_status::Effective;

const NOW: Timestamp = Timestamp::from_micros(1_000_000_000);

fn status(state: JobState) -> JobStatus {
    JobStatus { state: state.into(), attempt: 1, max_attempts: 3, ..JobStatus::default() }
}

fn progress() -> Progress {
    Progress {
        total: Some(1_000),
        completed: 450,
        percent: Some(45.0),
        rate_per_second: 123.0,
        remaining: Some(prost_types::Duration { seconds: 4, nanos: 0 }),
        step_number: 2,
        step_count: 3,
        current_step: "verify".to_owned(),
        message: "reading\nfiles".to_owned(),
        ..Progress::default()
    }
}

#[test]
fn a_running_job_says_how_far_it_is() {
    let status = JobStatus { progress: Some(progress()), ..status(JobState::Running) };
    assert_eq!(
        line(&status, NOW, false),
        "RUNNING     45.0%  450/1,000 items  123/s  ETA 4.0s  step 2/3 verify  reading files"
    );
    assert!(drawn(&status, NOW, false).contains("[##########..............]"));
}

#[test]
fn a_running_job_that_fell_silent_says_since_when_and_neither_pace_nor_eta() {
    let since = |seconds: i64| {
        let report_time = Some(prost_types::Timestamp { seconds: 1_000 - seconds, nanos: 0 });
        Some(Progress { report_time, ..progress() })
    };
    let silent = JobStatus { progress: since(44), ..status(JobState::Running) };
    assert_eq!(
        line(&silent, NOW, false),
        "RUNNING     45.0%  450/1,000 items  last report 44s ago  step 2/3 verify  reading files"
    );
    assert!(drawn(&silent, NOW, false).contains("last report 44s ago"));
    let fresh = JobStatus { progress: since(10), ..status(JobState::Running) };
    assert!(line(&fresh, NOW, false).contains("123/s  ETA 4.0s"));
    let over = JobStatus { progress: since(44), ..status(JobState::Succeeded) };
    assert!(!line(&over, NOW, false).contains("last report"));
}

#[test]
fn a_job_that_says_nothing_is_at_least_somewhere() {
    let status = JobStatus { worker_id: "w1".to_owned(), ..status(JobState::Running) };
    assert_eq!(line(&status, NOW, false), "RUNNING    on worker w1");
}

#[test]
fn a_job_between_attempts_says_why_and_when() {
    let error =
        JobError { code: "DISK_FULL".into(), message: "no room".into(), ..JobError::default() };
    let status = JobStatus {
        schedule_time: Some(prost_types::Timestamp { seconds: 1_005, nanos: 0 }),
        error: Some(error),
        ..status(JobState::Pending)
    };
    assert_eq!(
        line(&status, NOW, false),
        "PENDING    starts in 5.0s, attempt 1 of 3 failed: DISK_FULL: no room"
    );
}

#[test]
fn a_waiting_job_names_its_queue() {
    let effective = Effective { queue: "bulk".to_owned(), ..Effective::default() };
    let status = JobStatus { effective: Some(effective), ..status(JobState::Pending) };
    assert_eq!(line(&status, NOW, false), "PENDING    waits for a worker in queue bulk");
}

#[test]
fn a_failed_job_says_what_went_wrong() {
    let error = JobError { message: "boom".to_owned(), ..JobError::default() };
    let run = prost_types::Duration { seconds: 12, nanos: 0 };
    let status =
        JobStatus { error: Some(error), run_duration: Some(run), ..status(JobState::Failed) };
    assert_eq!(line(&status, NOW, false), "FAILED     after 12s  boom  attempt 1 of 3");
    assert!(line(&status, NOW, true).starts_with("\x1b[31mFAILED   \x1b[0m"));
}
