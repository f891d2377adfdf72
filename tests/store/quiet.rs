//! Writes that hold only as long as their job shows nothing.

use jobplane::domain::machine::Command;
use jobplane::domain::{Job, Timestamp};
use jobplane::store::{Batch, JobWrite, ProgressWrite, Store, Written};

use crate::world::*;

/// Job 1 runs, and last showed something at `active`.
async fn running(store: &dyn Store, active: Timestamp) -> Job {
    given(store, vec![born(1, spec(), at(0))]).await;
    command(store, 1, start(1), at(1)).await;
    flush(store, 1, active).await;
    load(store, 1).await.expect("it is there")
}

async fn flush(store: &dyn Store, sequence: i64, active: Timestamp) {
    let write = progress(1, 1, sequence);
    let write = ProgressWrite { progress: write.progress.active_at(active), ..write };
    commit(store, Batch { progress: vec![write], ..batch(active) }).await;
}

async fn what_was_heard_later_is_not_undone_by_who_comes_late(store: &dyn Store) {
    running(store, at(10)).await;
    // A line in the log moves no sequence; a server that was cut off brings what it knew before.
    flush(store, 1, at(99)).await;
    flush(store, 1, at(50)).await;
    let active = load(store, 1).await.expect("there").status.progress.activity_time;
    assert_eq!(active, Some(at(99)));
    // Nor by a report that it has and nobody else.
    flush(store, 2, at(60)).await;
    let progress = load(store, 1).await.expect("there").status.progress;
    assert_eq!((progress.sequence, progress.activity_time), (2, Some(at(99))));
    flush(store, 1, at(120)).await;
    let progress = load(store, 1).await.expect("there").status.progress;
    assert_eq!((progress.sequence, progress.activity_time), (2, Some(at(120))));
}

async fn rows_of_one_job_go_by_one_commit(store: &dyn Store) {
    let job = running(store, at(10)).await;
    let row = |sequence, active| {
        let write = progress(1, 1, sequence);
        ProgressWrite { progress: write.progress.active_at(at(active)), ..write }
    };
    let seen = async || {
        let progress = load(store, 1).await.expect("there").status.progress;
        (progress.sequence, progress.activity_time)
    };
    // A report of its own, and the flush that has the same job; alone, and beside what else is committed.
    commit(store, Batch { progress: vec![row(3, 30), row(2, 40)], ..batch(at(40)) }).await;
    assert_eq!(seen().await, (3, Some(at(40))));
    let other = Batch { creates: vec![born(2, spec(), at(0))], ..batch(at(50)) };
    commit(store, Batch { progress: vec![row(4, 41), row(5, 20), row(4, 42)], ..other }).await;
    assert_eq!(seen().await, (5, Some(at(42))));
    let write = decide(&job, cancel(), at(60)).expect("it runs");
    let progress = vec![row(6, 43), row(7, 44)];
    commit(store, Batch { writes: vec![write], progress, ..batch(at(60)) }).await;
    assert_eq!(seen().await, (7, Some(at(44))));
}

fn stop(job: &Job, since: Timestamp, spare_active: bool) -> JobWrite {
    let command = Command::StopStuck {
        lease_epoch: job.status.lease_epoch,
        revision: job.status.revision,
        since,
        spare_active,
        reason: "quiet".to_owned(),
        requested_by: String::new(),
        grace: std::time::Duration::from_secs(30),
    };
    decide(job, command, at(100)).expect("it is stuck")
}

async fn written(store: &dyn Store, writes: Vec<JobWrite>) -> Vec<Written> {
    commit(store, Batch { writes, ..batch(at(100)) }).await.writes
}

async fn a_quiet_job_is_stopped(store: &dyn Store) {
    let job = running(store, at(10)).await;
    assert_eq!(job.status.progress.activity_time, Some(at(10)));
    assert_eq!(written(store, vec![stop(&job, at(10), true)]).await, [Written::Done]);
    assert!(load(store, 1).await.expect("there").status.cancel_request.is_some());
}

async fn one_that_moved_meanwhile_is_left_alone(store: &dyn Store) {
    let job = running(store, at(10)).await;
    let write = stop(&job, at(10), true);
    // A line in the log: the activity moves, and the sequence does not.
    flush(store, 1, at(99)).await;
    given(store, vec![born(2, spec(), at(0))]).await;
    let other = load(store, 2).await.expect("there");
    let other = decide(&other, start(1), at(100)).expect("it may start");
    // What shares the commit is not held up.
    assert_eq!(written(store, vec![write, other]).await, [Written::Missed, Written::Done]);
    let stands = load(store, 1).await.expect("there").status;
    assert_eq!((stands.cancel_request, stands.revision), (None, job.status.revision));
    assert_eq!(stands.progress.activity_time, Some(at(99)));
}

async fn one_found_by_its_start_may_have_moved(store: &dyn Store) {
    let job = running(store, at(10)).await;
    let write = stop(&job, at(1), false);
    flush(store, 2, at(99)).await;
    assert_eq!(written(store, vec![write]).await, [Written::Done]);
}

async fn one_that_ended_meanwhile_is_left_alone(store: &dyn Store) {
    let job = running(store, at(10)).await;
    let write = stop(&job, at(10), true);
    command(store, 1, succeed(1), at(50)).await;
    assert_eq!(written(store, vec![write]).await, [Written::Missed]);
}

crate::on_each_store!(
    what_was_heard_later_is_not_undone_by_who_comes_late,
    rows_of_one_job_go_by_one_commit,
    a_quiet_job_is_stopped,
    one_that_moved_meanwhile_is_left_alone,
    one_found_by_its_start_may_have_moved,
    one_that_ended_meanwhile_is_left_alone,
);
