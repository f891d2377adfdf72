//! Dispatch rounds.

use std::time::Duration;

use jobplane::domain::{JobId, JobSpec, Priority, StateKind};
use jobplane::store::{Batch, Probe, Store, Written};

use crate::on_each_store;
use crate::world::{
    at, batch, born, cancel, command, decide, given, job_id, job_type, load, probe, queue, round,
    spec, start,
};

async fn candidates(store: &dyn Store, probes: Vec<Probe>, seconds: u64) -> Vec<JobId> {
    let round = round(store, &probes, at(seconds)).await;
    let found = round.candidates().iter().map(|job| job.id).collect();
    round.abandon().await;
    found
}

async fn candidates_come_in_line_with_their_payload(store: &dyn Store) {
    let job = |number, priority, created| {
        let payload = Some(bytes::Bytes::from(vec![7; 3]));
        born(number, JobSpec { priority, payload, ..spec() }, at(created))
    };
    given(
        store,
        vec![
            job(1, Priority::Low, 0),
            job(2, Priority::Normal, 3),
            job(3, Priority::Normal, 2),
            job(4, Priority::Urgent, 4),
            job(5, Priority::High, 4),
        ],
    )
    .await;
    let line = [4, 5, 3, 2, 1].map(job_id);
    assert_eq!(candidates(store, vec![probe(9)], 10).await, line);
    assert_eq!(candidates(store, vec![probe(2)], 10).await, line[..2]);
    let round = round(store, &[probe(1)], at(10)).await;
    assert_eq!(round.candidates()[0].spec.payload.as_deref(), Some([7; 3].as_slice()));
}

async fn only_due_waiting_jobs_of_the_probe_are_candidates(store: &dyn Store) {
    let later = JobSpec { schedule_time: Some(at(50)), priority: Priority::Urgent, ..spec() };
    let elsewhere = JobSpec { queue: queue("other"), ..spec() };
    let another = JobSpec { job_type: job_type("backup"), ..spec() };
    let specs = [spec(), later, elsewhere, another, spec(), spec()];
    given(store, (1..).zip(specs).map(|(number, spec)| born(number, spec, at(0))).collect()).await;
    command(store, 5, start(1), at(1)).await;
    command(store, 6, cancel(), at(1)).await;
    assert_eq!(candidates(store, vec![probe(9)], 10).await, vec![job_id(1)]);
    assert_eq!(candidates(store, vec![probe(9)], 50).await, vec![job_id(2), job_id(1)]);
    let other = Probe { queue: queue("other"), ..probe(9) };
    let both = candidates(store, vec![other, probe(9)], 10).await;
    assert_eq!(both, vec![job_id(3), job_id(1)]);
    assert_eq!(candidates(store, vec![], 10).await, vec![]);
}

async fn job_past_its_deadline_is_no_candidate(store: &dyn Store) {
    let expires = JobSpec { expire_time: Some(at(20)), ..spec() };
    given(store, vec![born(1, expires, at(0)), born(2, spec(), at(1))]).await;
    assert_eq!(candidates(store, vec![probe(9)], 19).await, [1, 2].map(job_id));
    assert_eq!(candidates(store, vec![probe(1)], 20).await, [2].map(job_id));
}

async fn round_starts_what_it_picked(store: &dyn Store) {
    given(store, (1..=3).map(|number| born(number, spec(), at(0))).collect()).await;
    let round = round(store, &[probe(2)], at(1)).await;
    let writes: Vec<_> = round
        .candidates()
        .iter()
        .map(|job| decide(job, start(1), at(1)).expect("allowed"))
        .collect();
    let committed = round.commit(Batch { writes, ..batch(at(1)) }).await.expect("a commit");
    assert_eq!(committed.writes, vec![Written::Done; 2]);
    assert_eq!(load(store, 2).await.expect("the job").status.kind(), StateKind::Running);
    assert_eq!(candidates(store, vec![probe(9)], 1).await, vec![job_id(3)]);
}

async fn empty_round_writes_nothing_and_lets_others_write(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let round = round(store, &[probe(2)], at(1)).await;
    let nothing = batch(at(1));
    let id = nothing.id;
    round.commit(nothing).await.expect("a commit");
    assert!(!store.has_batch(id).await.expect("a read"));
    given(store, vec![born(2, spec(), at(0))]).await;
}

async fn dropped_round_lets_its_candidates_go(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    drop(round(store, &[probe(2)], at(1)).await);
    command(store, 1, start(1), at(2)).await;
    drop(round(store, &[probe(2)], at(1)).await);
    assert_eq!(candidates(store, vec![probe(9)], 9).await, vec![]);
}

async fn open_round_keeps_writers_from_its_candidates(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let job = load(store, 1).await.expect("the job");
    let round = round(store, &[probe(2)], at(1)).await;
    let writes = vec![decide(&job, cancel(), at(1)).expect("allowed")];
    let waiting = store.commit(Batch { writes, ..batch(at(1)) });
    tokio::pin!(waiting);
    let early = tokio::time::timeout(Duration::from_millis(50), waiting.as_mut()).await;
    assert!(early.is_err(), "it got in between");
    assert!(load(store, 1).await.is_some(), "readers do not wait");
    round.abandon().await;
    let committed = waiting.await.expect("a commit");
    assert_eq!(committed.writes, vec![Written::Done]);
}

on_each_store!(
    candidates_come_in_line_with_their_payload,
    only_due_waiting_jobs_of_the_probe_are_candidates,
    job_past_its_deadline_is_no_candidate,
    round_starts_what_it_picked,
    empty_round_writes_nothing_and_lets_others_write,
    dropped_round_lets_its_candidates_go,
    open_round_keeps_writers_from_its_candidates,
);
