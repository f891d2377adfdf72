//! What is told, and what is not.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::machine::{self, Birth};
use crate::domain::{JobSpec, JobType, QueueName, Timestamp, Trigger};

fn job(revision: i64) -> Arc<Snapshot> {
    let job_type = JobType::new("sync").expect("a name");
    let spec = JobSpec::new(job_type, QueueName::default());
    let birth = Birth {
        created_by: "tester".to_owned(),
        trigger: Trigger::Api,
        category: None,
        skipped: None,
    };
    let mut status = machine::create(&spec, birth, Timestamp::from_micros(1));
    status.revision = revision;
    let id = JobId(Uuid::from_u128(1));
    Arc::new(Snapshot::of(Job { id, spec: Arc::new(spec), status }))
}

fn removed(revision: i64) -> Event {
    let job = job(revision);
    Event::Removed { job_id: job.job.id, why: Why::Unmatched, job: Some(job) }
}

#[test]
fn a_job_that_was_taken_back_does_not_come_again_in_an_older_state() {
    // A watch that resumes reads the end of a job before its view has come to its start.
    let mut held = Held::new(false);
    assert!(held.change(removed(3)).is_some());
    assert!(held.tick(job(2)).is_none() && held.tick(job(3)).is_none());
    assert!(held.change(Event::Upsert(job(3))).is_none());
    // It was retried.
    assert!(held.change(Event::Upsert(job(4))).is_some());
    assert!(held.tick(job(4)).is_some());
    assert!(held.change(removed(5)).is_some());
    assert!(held.tick(job(4)).is_none());
}

#[test]
fn a_job_is_taken_back_once_in_each_state_and_in_no_older_one() {
    let mut held = Held::new(false);
    assert!(held.change(removed(4)).is_some());
    assert!(held.change(removed(4)).is_none() && held.change(removed(3)).is_none());
    let job_id = job(4).job.id;
    let deleted = || Event::Removed { job_id, why: Why::Deleted, job: None };
    assert!(held.change(deleted()).is_some() && held.change(deleted()).is_none());
    // Whoever holds nothing else was told of it before.
    let mut held = Held::new(true);
    assert!(held.change(Event::Upsert(job(3))).is_some() && held.change(removed(4)).is_some());
    assert!(held.change(deleted()).is_none());
}
