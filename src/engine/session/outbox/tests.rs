use std::sync::Arc;

use futures_util::{FutureExt as _, StreamExt as _};
use uuid::Uuid;

use crate::domain::job::Trigger;
use crate::domain::machine::{self, Birth};
use crate::domain::{JobSpec, JobType, QueueName, Timestamp};

use super::*;

const WITHIN: Duration = Duration::from_secs(10);

fn job() -> Job {
    let spec = JobSpec::new(JobType::new("sync").expect("a type"), QueueName::default());
    let created_by = "tester".to_owned();
    let birth = Birth { created_by, trigger: Trigger::Api, category: None, skipped: None };
    let status = machine::create(&spec, birth, Timestamp::from_micros(0));
    Job { id: JobId(Uuid::now_v7()), spec: Arc::new(spec), status }
}

fn assignment(job: &Job) -> ToWorker {
    ToWorker::Assignment(Box::new(job.clone()))
}

fn reject(seq: i64) -> ToWorker {
    ToWorker::Reject { seq, error: Error::Overloaded }
}

/// What the transport can take now.
fn taken(outbox: &mut Outbox) -> Vec<Result<(i64, ToWorker), Error>> {
    std::iter::from_fn(|| outbox.next().now_or_never().flatten()).collect()
}

#[test]
fn ack_that_would_cover_a_dropped_reject_is_not_sent() {
    let mut outbox = Outbox::default();
    outbox.ack(4);
    outbox.end(Some(Error::Draining));
    assert!(!outbox.push(reject(5)));
    outbox.ack(5);
    let told = taken(&mut outbox);
    assert!(matches!(told[..], [Ok((1, ToWorker::Ack { through_seq: 4 })), Err(Error::Draining)]));
}

#[test]
fn nothing_is_acked_before_an_update_is_settled() {
    let mut outbox = Outbox::default();
    outbox.ack(0);
    assert!(taken(&mut outbox).is_empty());
    outbox.ack(1);
    assert!(matches!(taken(&mut outbox)[..], [Ok((1, ToWorker::Ack { through_seq: 1 }))]));
}

#[test]
fn overflow_refuses_the_assignment_that_does_not_fit() {
    let mut outbox = Outbox::default();
    for _ in 0..OUTBOX_MESSAGES_MAX {
        assert!(outbox.push(ToWorker::Heartbeat));
    }
    assert!(!outbox.push(assignment(&job())));
    assert!(outbox.take_unconfirmed().is_empty());
    assert!(!outbox.takes_jobs());
    let told = taken(&mut outbox);
    assert!(matches!(told.last(), Some(Err(Error::LimitExceeded { .. }))));
}

#[tokio::test(start_paused = true)]
async fn assignment_that_is_never_written_is_overdue_and_not_sent_later() {
    let (mut outbox, job) = (Outbox::default(), job());
    outbox.push(ToWorker::Heartbeat);
    assert!(outbox.push(assignment(&job)));
    tokio::time::advance(WITHIN / 2).await;
    assert!(outbox.overdue(WITHIN).is_empty());
    tokio::time::advance(WITHIN / 2).await;
    let overdue = outbox.overdue(WITHIN);
    assert_eq!(overdue.iter().map(|late| late.job_id).collect::<Vec<_>>(), [job.id]);
    assert!(outbox.overdue(WITHIN).is_empty());
    assert!(matches!(taken(&mut outbox)[..], [Ok((1, ToWorker::Heartbeat))]));
}

#[tokio::test(start_paused = true)]
async fn transport_that_takes_nothing_gets_no_jobs_until_it_asks_again() {
    let (mut outbox, job) = (Outbox::default(), job());
    outbox.push(assignment(&job));
    assert!(outbox.takes_jobs());
    tokio::time::advance(WITHIN).await;
    assert!(!outbox.takes_jobs());
    outbox.overdue(WITHIN);
    assert!(!outbox.takes_jobs(), "that nothing waits any more says nothing of the transport");
    assert!(taken(&mut outbox).is_empty());
    assert!(outbox.takes_jobs());
    tokio::time::advance(WITHIN).await;
    assert!(outbox.takes_jobs(), "nothing waits");
}
