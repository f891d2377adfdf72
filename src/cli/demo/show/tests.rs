//! What is worth a line, and when it is over.

use super::*;
use crate::proto::v1::{JobError, JobSpec, Priority, Progress};

fn now() -> Timestamp {
    Timestamp::from_micros(1_000_000)
}

fn planned(part: Part) -> Planned {
    Planned {
        after: std::time::Duration::ZERO,
        kind: "files.hash",
        subject: "s",
        priority: Priority::Normal,
        payload: serde_json::Value::Null,
        part,
    }
}

fn job(id: &str, state: JobState, revision: i64, attempt: i32, percent: f64) -> Job {
    let progress = Some(Progress { percent: Some(percent), ..Progress::default() });
    let status = JobStatus {
        state: state.into(),
        revision,
        attempt,
        max_attempts: 3,
        progress,
        ..JobStatus::default()
    };
    let spec = JobSpec { r#type: "files.hash".to_owned(), ..JobSpec::default() };
    Job { id: id.to_owned(), spec: Some(spec), status: Some(status) }
}

fn kinds(show: &mut Show, job: Job) -> Vec<Kind> {
    show.take(Seen::Upsert(vec![job]), now()).into_iter().map(|news| news.kind).collect()
}

#[test]
fn a_life_with_a_retry_is_told_line_by_line() {
    let mut show = Show::default();
    show.take(Seen::Complete, now());
    show.cast("a".to_owned(), &planned(Part::Retried));
    assert_eq!(kinds(&mut show, job("a", JobState::Pending, 1, 0, 0.0)), [Kind::Submitted]);
    assert_eq!(kinds(&mut show, job("a", JobState::Running, 2, 1, 0.0)), [Kind::Started]);
    assert_eq!(kinds(&mut show, job("a", JobState::Running, 2, 1, 40.0)), []);
    let mut failed = job("a", JobState::Pending, 3, 1, 40.0);
    let error = JobError { code: "CHECKSUM_MISMATCH".to_owned(), ..JobError::default() };
    failed.status.as_mut().unwrap().error = Some(error);
    assert_eq!(kinds(&mut show, failed), [Kind::AttemptFailed]);
    assert_eq!(show.failed_once("a"), Some("CHECKSUM_MISMATCH"));
    assert_eq!(kinds(&mut show, job("a", JobState::Running, 4, 2, 0.0)), [Kind::Started]);
    assert!(!show.over(1));
    assert_eq!(kinds(&mut show, job("a", JobState::Succeeded, 5, 2, 100.0)), [Kind::Over]);
    assert!(show.over(1) && !show.over(2), "one that was submitted is not seen yet");
}

#[test]
fn the_job_to_be_cancelled_is_named_once_it_is_half_done() {
    let mut show = Show::default();
    show.cast("c".to_owned(), &planned(Part::Cancelled));
    show.cast("p".to_owned(), &planned(Part::Plain));
    kinds(&mut show, job("p", JobState::Running, 1, 1, 90.0));
    kinds(&mut show, job("c", JobState::Running, 1, 1, 44.0));
    assert_eq!(show.half_way(), None);
    kinds(&mut show, job("c", JobState::Running, 1, 1, 51.0));
    assert_eq!(show.half_way().as_deref(), Some("c"));
    kinds(&mut show, job("c", JobState::Succeeded, 2, 1, 100.0));
    assert_eq!(show.half_way(), None, "it was faster");
}

#[test]
fn an_empty_stage_is_not_the_end() {
    let mut show = Show::default();
    assert!(!show.over(0), "nothing is known yet");
    show.take(Seen::Complete, now());
    assert!(!show.over(1) && show.over(0));
}
