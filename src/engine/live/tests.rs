use uuid::Uuid;

use crate::domain::job::Trigger;
use crate::domain::machine::{self, Birth};
use crate::domain::{JobSpec, JobType, QueueName};

use super::*;

fn job() -> Job {
    let spec = JobSpec::new(JobType::new("sync").expect("a type"), QueueName::default());
    let created_by = "tester".to_owned();
    let birth = Birth { created_by, trigger: Trigger::Api, category: None, skipped: None };
    let status = machine::create(&spec, birth, Timestamp::from_micros(0));
    Job { id: JobId(Uuid::now_v7()), spec: Arc::new(spec), status }
}

#[test]
fn what_has_waited_longest_is_written_first() {
    let (live, hub, now) = (Live::default(), Hub::default(), Timestamp::from_micros(1));
    let jobs = [job(), job(), job()];
    for job in &jobs {
        live.tick(&live.open(job), 1, Tick::Progress(Progress::default()), now, &hub);
    }
    let taken = |limit| live.take_dirty(limit).iter().map(|row| row.job_id).collect::<Vec<_>>();
    assert_eq!(taken(2), [jobs[0].id, jobs[1].id]);
    assert_eq!(taken(2), [jobs[2].id]);
    assert!(taken(2).is_empty());
}
