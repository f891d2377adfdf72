//! What is told of progress that others may know better.

use uuid::Uuid;

use super::*;
use crate::domain::machine::{self, Birth};
use crate::domain::{JobSpec, JobType, QueueName, Timestamp, Trigger};

fn job(revision: i64, sequence: i64) -> Job {
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
    status.progress.sequence = sequence;
    Job { id: JobId(Uuid::from_u128(1)), spec: Arc::new(spec), status }
}

#[test]
fn of_a_run_that_is_over_nothing_is_said() {
    let told = |shown: Job, stored: Job| {
        let told = as_stored(Arc::new(Snapshot::of(shown)), stored);
        told.map(|snapshot| snapshot.job.status.progress.sequence)
    };
    assert_eq!(told(job(2, 0), job(2, 0)), Some(0), "it told nothing yet");
    assert_eq!(told(job(2, 0), job(2, 7)), Some(7), "it did meanwhile");
    assert_eq!(told(job(2, 9), job(2, 7)), Some(9), "it is live here");
    assert_eq!(told(job(2, 0), job(3, 7)), None, "its end comes");
}
