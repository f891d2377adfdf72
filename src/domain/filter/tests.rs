//! Each field of a filter, met and missed.

use std::sync::Arc;

use uuid::Uuid;

use super::*;
use crate::domain::JobSpec;
use crate::domain::machine::{Birth, Command, Now, apply, create};
use crate::domain::{SessionId, machine::Applied};

fn moment(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A job that runs on worker `w1`, made at 100 µs.
fn job() -> Job {
    let mut spec = JobSpec::new(JobType::new("sync").unwrap(), QueueName::new("fast").unwrap());
    spec.labels = BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".into(), "2".into())]);
    spec.owner = "owner".to_owned();
    spec.subject = "subject".to_owned();
    spec.external_id = "external".to_owned();
    let birth = Birth {
        created_by: "ann".to_owned(),
        trigger: Trigger::Api,
        category: Some(Category::new("cat").unwrap()),
        skipped: None,
    };
    let status = create(&spec, birth, moment(100));
    let start = Command::Start {
        session: SessionId(Uuid::nil()),
        worker_id: WorkerName::new("w1").unwrap(),
    };
    let Applied::Changed(running) = apply(&spec, &status, start, Now::at(moment(100))).unwrap()
    else {
        panic!("a start changes the job");
    };
    Job { id: JobId(Uuid::from_u128(7)), spec: Arc::new(spec), status: running.status }
}

fn all() -> JobFilter {
    JobFilter::default()
}

fn labels(pairs: &[(&str, &str)]) -> JobFilter {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    JobFilter { labels: pairs.iter().map(pair).collect(), ..all() }
}

fn id(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

#[test]
fn an_empty_filter_means_every_job() {
    assert!(all().matches(&job()));
}

#[test]
fn each_field_takes_its_job() {
    let met = [
        JobFilter { job_ids: vec![id(6), id(7)], ..all() },
        JobFilter { states: vec![StateKind::Failed, StateKind::Running], ..all() },
        JobFilter { types: vec![JobType::new("sync").unwrap()], ..all() },
        JobFilter { categories: vec![Category::new("cat").unwrap()], ..all() },
        JobFilter { queues: vec![QueueName::new("fast").unwrap()], ..all() },
        labels(&[("a", "1")]),
        labels(&[("a", "1"), ("b", "2")]),
        JobFilter { owner: Some("owner".to_owned()), ..all() },
        JobFilter { subject: Some("subject".to_owned()), ..all() },
        JobFilter { external_id: Some("external".to_owned()), ..all() },
        JobFilter { triggers: vec![Trigger::Manual, Trigger::Api], ..all() },
        JobFilter { worker_id: Some(WorkerName::new("w1").unwrap()), ..all() },
        JobFilter { created_by: Some("ann".to_owned()), ..all() },
        JobFilter { create_time: range(Some(100), Some(101)), ..all() },
    ];
    for filter in met {
        assert!(filter.matches(&job()), "{filter:?}");
    }
}

#[test]
fn each_field_leaves_other_jobs_out() {
    let missed = [
        JobFilter { job_ids: vec![id(6)], ..all() },
        JobFilter { states: vec![StateKind::Pending], ..all() },
        JobFilter { types: vec![JobType::new("Sync").unwrap()], ..all() },
        JobFilter { categories: vec![Category::new("dog").unwrap()], ..all() },
        JobFilter { queues: vec![QueueName::default()], ..all() },
        labels(&[("a", "2")]),
        labels(&[("a", "1"), ("c", "3")]),
        JobFilter { owner: Some("own".to_owned()), ..all() },
        JobFilter { subject: Some(String::new()), ..all() },
        JobFilter { external_id: Some("externals".to_owned()), ..all() },
        JobFilter { triggers: vec![Trigger::Schedule], ..all() },
        JobFilter { worker_id: Some(WorkerName::new("w2").unwrap()), ..all() },
        JobFilter { created_by: Some("bob".to_owned()), ..all() },
        JobFilter { create_time: range(Some(101), None), ..all() },
        JobFilter { create_time: range(None, Some(100)), ..all() },
        JobFilter { end_time: range(Some(0), None), ..all() },
    ];
    for filter in missed {
        assert!(!filter.matches(&job()), "{filter:?}");
    }
}

#[test]
fn fields_are_all_to_be_met() {
    let both =
        JobFilter { owner: Some("owner".to_owned()), subject: Some("other".to_owned()), ..all() };
    assert!(!both.matches(&job()));
}

#[test]
fn a_job_without_a_category_or_a_worker_has_none_of_them() {
    let mut job = job();
    job.status.category = None;
    job.status.execution = None;
    assert!(!JobFilter { categories: vec![Category::new("cat").unwrap()], ..all() }.matches(&job));
    assert!(!JobFilter { worker_id: Some(WorkerName::new("w1").unwrap()), ..all() }.matches(&job));
}

#[test]
fn the_queue_is_the_one_in_effect() {
    let mut job = job();
    job.status.effective.queue = QueueName::new("slow").unwrap();
    assert!(JobFilter { queues: vec![QueueName::new("slow").unwrap()], ..all() }.matches(&job));
}

fn range(after: Option<i64>, before: Option<i64>) -> TimeRange {
    TimeRange { after: after.map(moment), before: before.map(moment) }
}

#[test]
fn a_range_holds_its_first_moment_and_not_its_last() {
    let range = range(Some(10), Some(20));
    let holds = [9, 10, 19, 20].map(|micros| range.contains(Some(moment(micros))));
    assert_eq!(holds, [false, true, true, false]);
    assert!(!range.contains(None));
    assert!(TimeRange::default().contains(None));
}

#[test]
fn counters_answer_for_types_queues_and_states_alone() {
    assert!(all().is_counted());
    let counted = JobFilter {
        types: vec![JobType::new("sync").unwrap()],
        queues: vec![QueueName::default()],
        states: vec![StateKind::Pending],
        ..all()
    };
    assert!(counted.is_counted());
    assert!(!JobFilter { owner: Some(String::new()), ..counted.clone() }.is_counted());
    assert!(!JobFilter { end_time: range(Some(1), None), ..counted }.is_counted());
}
