use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::{Encoding, Hub, Subscription};
use crate::domain::machine::{self, Applied, Birth, Command, Now};
use crate::domain::{
    Job, JobId, JobSpec, JobType, Progress, QueueName, SessionId, Timestamp, Trigger, WorkerName,
};

const NOW: Timestamp = Timestamp::from_micros(1_000_000);

fn waiting() -> Job {
    let spec = JobSpec::new(JobType::new("sync").expect("a name"), QueueName::default());
    let birth = Birth {
        created_by: "tester".to_owned(),
        trigger: Trigger::Api,
        category: None,
        skipped: None,
    };
    let status = machine::create(&spec, birth, NOW);
    Job { id: JobId(Uuid::from_u128(1)), spec: Arc::new(spec), status }
}

fn after(job: &Job, command: Command) -> Job {
    match machine::apply(&job.spec, &job.status, command, Now::at(NOW)) {
        Ok(Applied::Changed(transition)) => Job { status: transition.status, ..job.clone() },
        other => panic!("{other:?}"),
    }
}

fn running() -> Job {
    let session = SessionId(Uuid::from_u128(2));
    let worker_id = WorkerName::new("w1").expect("a name");
    after(&waiting(), Command::Start { session, worker_id })
}

fn asked_to_stop() -> Job {
    let (reason, requested_by) = (String::new(), "tester".to_owned());
    let grace = std::time::Duration::from_secs(9);
    after(&running(), Command::Cancel { reason, requested_by, grace })
}

fn done(sequence: i64) -> Progress {
    Progress { completed: sequence, sequence, ..Progress::default() }
}

fn shown(subscription: &mut Subscription) -> (i64, i64) {
    let snapshot = subscription.take().expect("a job was offered");
    (snapshot.job.status.revision, snapshot.job.status.progress.sequence)
}

#[test]
fn a_slot_never_goes_back_in_revision() {
    let hub = Hub::default();
    let mut subscription = hub.subscribe(waiting().id);
    assert!(subscription.take().is_none());
    hub.publish(&running());
    hub.publish(&waiting());
    assert_eq!(shown(&mut subscription), (2, 0));
}

#[test]
fn a_slot_never_goes_back_in_progress_nor_takes_that_of_another_lease() {
    let hub = Hub::default();
    let job = running();
    let mut subscription = hub.subscribe(job.id);
    hub.publish(&job);
    hub.publish_progress(job.id, 1, &done(5), None);
    hub.publish_progress(job.id, 1, &done(4), None);
    hub.publish_progress(job.id, 2, &done(9), None);
    assert_eq!(shown(&mut subscription), (2, 5));
}

#[test]
fn a_state_decided_on_older_progress_keeps_the_newer_one_while_it_runs() {
    let hub = Hub::default();
    let job = running();
    let mut subscription = hub.subscribe(job.id);
    hub.publish(&job);
    hub.publish_progress(job.id, 1, &done(5), None);
    hub.publish(&asked_to_stop());
    assert_eq!(shown(&mut subscription), (3, 5));
}

#[test]
fn a_snapshot_is_encoded_once_in_each_form_until_it_changes() {
    let hub = Hub::default();
    let job = running();
    let (mut first, mut second) = (hub.subscribe(job.id), hub.subscribe(job.id));
    hub.publish(&job);
    let made = Cell::new(0);
    let encode = |subscription: &mut Subscription, form| {
        let snapshot = subscription.take().expect("a job was offered");
        snapshot.encoded(Encoding(form), |_| {
            made.set(made.get() + 1);
            Bytes::from_static(b"encoded")
        })
    };
    encode(&mut first, 0);
    encode(&mut second, 0);
    assert_eq!(made.get(), 1);
    encode(&mut second, 1);
    assert_eq!(made.get(), 2);
    hub.publish_progress(job.id, 1, &done(1), None);
    encode(&mut first, 0);
    assert_eq!(made.get(), 3);
}

#[tokio::test]
async fn a_watcher_waits_for_what_it_has_not_seen() {
    let hub = Hub::default();
    let job = running();
    let mut subscription = hub.subscribe(job.id);
    hub.publish(&job);
    subscription.changed().await;
    shown(&mut subscription);
    let unseen = async {
        subscription.changed().await;
        shown(&mut subscription)
    };
    let publish = async {
        tokio::task::yield_now().await;
        hub.publish_progress(job.id, 1, &done(7), None);
    };
    let (seen, ()) = futures_util::future::join(unseen, publish).await;
    assert_eq!(seen, (2, 7));
}

#[test]
fn lines_wake_a_watcher_without_changing_the_snapshot() {
    let hub = Hub::default();
    let job = running();
    let mut subscription = hub.subscribe(job.id);
    hub.publish(&job);
    let before = subscription.take().expect("a job").version;
    hub.publish_logs(job.id);
    assert_eq!(subscription.slot().logs_version(), 1);
    assert_eq!(subscription.take().expect("a job").version, before);
}

#[test]
fn a_job_that_nobody_watches_has_no_slot() {
    let hub = Hub::default();
    let job = running();
    let (first, second) = (hub.subscribe(job.id), hub.subscribe(job.id));
    assert_eq!(hub.watchers(), 2);
    drop(first);
    assert!(hub.is_watched(job.id));
    drop(second);
    assert!(!hub.is_watched(job.id));
    assert_eq!(hub.watchers(), 0);
}
