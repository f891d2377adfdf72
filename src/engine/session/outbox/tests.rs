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
    outbox.ack(4, false);
    outbox.end(Some(Error::Draining));
    assert!(!outbox.push(reject(5)));
    outbox.ack(5, false);
    let told = taken(&mut outbox);
    assert!(matches!(told[..], [Ok((1, ToWorker::Ack { through_seq: 4 })), Err(Error::Draining)]));
}

#[test]
fn nothing_is_acked_before_an_update_is_settled() {
    let mut outbox = Outbox::default();
    outbox.ack(0, false);
    assert!(taken(&mut outbox).is_empty());
    outbox.ack(1, false);
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

#[tokio::test(start_paused = true)]
async fn a_worker_that_seems_to_read_no_acks_gets_them_at_a_pace() {
    let mut outbox = Outbox::default();
    for seq in 1..=ACKS_UNREAD_MAX {
        outbox.ack(seq, false);
        assert_eq!(taken(&mut outbox).len(), 1, "at once");
    }
    outbox.ack(1_000, false);
    outbox.ack(1_001, false);
    assert!(taken(&mut outbox).is_empty(), "held back");
    let next = outbox.next().await;
    assert!(matches!(next, Some(Ok((_, ToWorker::Ack { through_seq: 1_001 })))), "{next:?}");

    // What is durable does not wait, nor does what a worker is told that reads.
    outbox.ack(1_002, true);
    outbox.ack(1_003, false);
    assert_eq!(taken(&mut outbox).len(), 1);
    outbox.received_through(10);
    outbox.ack(1_004, false);
    assert_eq!(taken(&mut outbox).len(), 1);
    for seq in 2_000..2_000 + DURABLE_ACKS_UNREAD_MAX {
        outbox.ack(seq, true);
        taken(&mut outbox);
    }
    outbox.ack(9_000, true);
    assert!(taken(&mut outbox).is_empty(), "in the end it waits too");
    assert!(outbox.push(reject(9_001)));
    assert_eq!(taken(&mut outbox).len(), 1, "other messages do not wait");
}

#[tokio::test(start_paused = true)]
async fn an_ack_that_is_held_back_comes_before_the_end() {
    let mut outbox = Outbox::default();
    for seq in 1..=ACKS_UNREAD_MAX + 1 {
        outbox.ack(seq, false);
        taken(&mut outbox);
    }
    assert!(taken(&mut outbox).is_empty());
    outbox.end(None);
    let through_seq = ACKS_UNREAD_MAX + 1;
    let last = taken(&mut outbox);
    assert!(matches!(last[..], [Ok((_, ToWorker::Ack { through_seq: it }))] if it == through_seq));
}
