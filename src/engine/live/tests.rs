use uuid::Uuid;

use crate::domain::job::Trigger;
use crate::domain::machine::{self, Birth};
use crate::domain::status::State;
use crate::domain::{JobSpec, JobType, QueueName, SessionId};

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

/// The job as a server reads it once this was written.
fn read(job: &Job, row: ProgressWrite) -> Job {
    let mut job = job.clone();
    job.status.progress = row.progress;
    job.status.resource_usage = row.usage;
    job.status.usage_watch = row.usage_watch;
    job
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

/// A server that takes a report of a job by a single call.
struct Server(Live, Hub);

impl Server {
    fn new() -> Self {
        Self(Live::default(), Hub::default())
    }

    fn uses(&self, job: &Job, memory_bytes: u64, seconds: i64) -> Job {
        let cell = self.0.open(job);
        let usage = ResourceUsage { memory_bytes, ..ResourceUsage::default() };
        self.0.tick(&cell, 0, Tick::Usage(usage), at(seconds), &self.1);
        read(job, cell.write())
    }

    fn logs(&self, job: &Job, seconds: i64) -> Job {
        let cell = self.0.open(job);
        self.0.active(&cell, at(seconds));
        read(job, cell.write())
    }
}

fn limited() -> Job {
    let mut job = job();
    job.status.effective.limits.memory_bytes = 1_000;
    job
}

#[test]
fn what_another_server_heard_without_a_sequence_is_not_taken_back() {
    let (a, b) = (Server::new(), Server::new());
    let job = a.uses(&limited(), 10, 0);
    let job = b.uses(&job, 900, 1);
    let job = b.logs(&job, 2);
    let job = a.uses(&job, 20, 3);
    assert_eq!(job.status.progress.activity_time, Some(at(2)));
    let usage = job.status.resource_usage.expect("usage");
    assert_eq!((usage.memory_bytes, usage.peak_memory_bytes), (20, 900));
}

#[test]
fn an_older_read_shows_the_newer_usage_of_this_server() {
    let a = Server::new();
    let old = a.uses(&limited(), 10, 0);
    a.uses(&old, 20, 1);
    a.0.open(&old);
    let mut read = old;
    read.status.state = State::Running { session: SessionId(Uuid::now_v7()), timeout_time: None };
    a.0.overlay(&mut read);
    assert_eq!(read.status.resource_usage.expect("usage").memory_bytes, 20);
}

#[test]
fn a_limit_is_watched_over_all_servers() {
    let (a, b) = (Server::new(), Server::new());
    let job = a.uses(&limited(), 5_000, 0);
    let job = b.uses(&job, 10, 15);
    let job = a.uses(&job, 5_000, 31);
    assert_eq!(a.0.take_exceeded(1), []);
    let job = b.uses(&job, 5_000, 60);
    assert_eq!(b.0.take_exceeded(1), []);
    // One that has not heard of it yet, or has forgotten.
    let c = Server::new();
    c.uses(&job, 5_000, 61);
    assert_eq!(c.0.take_exceeded(1).len(), 1);
}

#[test]
fn slow_jobs_are_told_of_some_at_a_time() {
    let (live, jobs) = (Live::default(), [job(), job(), job()]);
    for job in &jobs {
        live.open(job);
    }
    let take = || live.take_slow(at(60), |_| Some(Duration::from_secs(10)), 2).len();
    assert_eq!([take(), take(), take()], [2, 1, 0]);
}
