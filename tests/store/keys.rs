//! Request ids and unique keys.

use jobplane::domain::JobSpec;
use jobplane::store::{Batch, Claims, KeyKind, NewJob, Store, Written};

use crate::on_each_store;
use crate::world::{
    at, batch, born, cancel, command, commit, decide, delete, given, job_id, load, request, retry,
    session, session_id, spec,
};

fn unique(number: u64, key: &str) -> NewJob {
    born(number, JobSpec { unique_key: key.to_owned(), ..spec() }, at(0))
}

fn requested(number: u64, id: &str) -> NewJob {
    NewJob { request: Some(request(id)), ..born(number, spec(), at(0)) }
}

fn taken(kind: KeyKind, holder: u64) -> Written {
    Written::KeyTaken { kind, holder: job_id(holder) }
}

async fn create(store: &dyn Store, creates: Vec<NewJob>) -> Vec<Written> {
    commit(store, Batch { creates, ..batch(at(1)) }).await.creates
}

async fn same_request_id_names_the_first_job(store: &dyn Store) {
    given(store, vec![requested(1, "r")]).await;
    assert_eq!(create(store, vec![requested(2, "r")]).await, vec![taken(KeyKind::Request, 1)]);
    assert_eq!(load(store, 2).await, None);
    let known = store.request("tester", "r").await.expect("a read").expect("known");
    assert_eq!((known.job_id, known.fingerprint), (job_id(1), request("r").fingerprint));
    assert_eq!(store.request("somebody else", "r").await.expect("a read"), None);
}

async fn session_of_a_job_opens_only_if_the_job_is_born(store: &dyn Store) {
    let with_session =
        |number| NewJob { session: Some(session(number, "", at(0))), ..unique(number, "k") };
    let written = create(store, vec![with_session(1), with_session(2)]).await;
    assert_eq!(written, vec![Written::Done, taken(KeyKind::Unique, 1)]);
    assert!(store.session(session_id(1)).await.expect("a read").is_some());
    assert_eq!(store.session(session_id(2)).await.expect("a read"), None);
}

async fn same_request_id_twice_in_a_batch_makes_one_job(store: &dyn Store) {
    let written = create(store, vec![requested(2, "r"), requested(1, "r")]).await;
    assert_eq!(written, vec![Written::Done, taken(KeyKind::Request, 2)]);
}

async fn live_job_holds_its_unique_key(store: &dyn Store) {
    given(store, vec![unique(1, "k")]).await;
    assert_eq!(create(store, vec![unique(2, "k")]).await, vec![taken(KeyKind::Unique, 1)]);
    assert_eq!(create(store, vec![unique(3, "other")]).await, vec![Written::Done]);
    let mut other_type = unique(4, "k");
    let mut spec = (*other_type.job.spec).clone();
    spec.job_type = crate::world::job_type("backup");
    other_type.job.spec = spec.into();
    assert_eq!(create(store, vec![other_type]).await, vec![Written::Done]);
}

async fn unique_key_is_free_once_its_job_is_over(store: &dyn Store) {
    given(store, vec![unique(1, "k")]).await;
    command(store, 1, cancel(), at(1)).await;
    assert_eq!(create(store, vec![unique(2, "k")]).await, vec![Written::Done]);
}

async fn refused_unique_key_leaves_the_request_id_free(store: &dyn Store) {
    given(store, vec![unique(1, "k")]).await;
    let mut refused = unique(2, "k");
    refused.request = Some(request("r"));
    assert_eq!(create(store, vec![refused]).await, vec![taken(KeyKind::Unique, 1)]);
    assert_eq!(store.request("tester", "r").await.expect("a read"), None);
    let stored: i64 = store.counts().await.expect("counts").iter().map(|count| count.stored).sum();
    assert_eq!(stored, 1);
    assert_eq!(create(store, vec![requested(3, "r")]).await, vec![Written::Done]);
}

async fn request_id_of_a_refused_create_is_free_within_the_same_batch(store: &dyn Store) {
    given(store, vec![unique(1, "k")]).await;
    let mut refused = unique(2, "k");
    refused.request = Some(request("r"));
    let written = create(store, vec![refused, requested(3, "r")]).await;
    assert_eq!(written, vec![taken(KeyKind::Unique, 1), Written::Done]);
    let known = store.request("tester", "r").await.expect("a read").expect("known");
    assert_eq!(known.job_id, job_id(3));
}

async fn retried_job_takes_its_key_again_or_is_refused(store: &dyn Store) {
    given(store, vec![unique(1, "k")]).await;
    let over = command(store, 1, cancel(), at(1)).await;
    assert_eq!(create(store, vec![unique(2, "k")]).await, vec![Written::Done]);
    let write = decide(&over, retry(), at(2)).expect("allowed");
    let committed = commit(store, Batch { writes: vec![write], ..batch(at(2)) }).await;
    assert_eq!(committed.writes, vec![taken(KeyKind::Unique, 2)]);
    assert_eq!(load(store, 1).await, Some(over), "nothing of it is stored");
    command(store, 2, cancel(), at(3)).await;
    command(store, 1, retry(), at(4)).await;
    assert_eq!(create(store, vec![unique(3, "k")]).await, vec![taken(KeyKind::Unique, 1)]);
}

async fn key_given_back_in_a_batch_is_free_for_the_next_one(store: &dyn Store) {
    given(store, vec![unique(1, "k")]).await;
    let job = load(store, 1).await.expect("the job");
    let writes = vec![decide(&job, cancel(), at(1)).expect("allowed")];
    let creates = vec![unique(2, "k")];
    let committed = commit(store, Batch { creates, writes, ..batch(at(1)) }).await;
    assert_eq!(committed.creates, vec![taken(KeyKind::Unique, 1)]);
    assert_eq!(create(store, vec![unique(3, "k")]).await, vec![Written::Done]);
}

async fn deleting_an_ended_job_leaves_the_key_of_its_successor(store: &dyn Store) {
    given(store, vec![unique(1, "k")]).await;
    let over = command(store, 1, cancel(), at(1)).await;
    assert_eq!(create(store, vec![unique(2, "k")]).await, vec![Written::Done]);
    commit(store, Batch { deletes: vec![delete(&over)], ..batch(at(2)) }).await;
    assert_eq!(create(store, vec![unique(3, "k")]).await, vec![taken(KeyKind::Unique, 2)]);
}

async fn a_round_knows_who_holds_which_name(store: &dyn Store) {
    given(store, vec![requested(1, "r"), unique(2, "k")]).await;
    let name = |kind, scope: &str, key: &str| (kind, scope.to_owned(), key.to_owned());
    let held = name(KeyKind::Request, "tester", "r");
    let names = [
        name(KeyKind::Unique, "sync", "free"),
        held.clone(),
        name(KeyKind::Unique, "sync", "k"),
        name(KeyKind::Unique, "backup", "k"),
    ];
    let mut round = store.begin_round(&Claims::default()).await.expect("a round");
    assert!(round.holders(&[]).await.expect("an answer").is_empty());
    let holders = round.holders(&names).await.expect("an answer");
    assert_eq!(holders, [(held, job_id(1)), (names[2].clone(), job_id(2))].into());
    round.abandon().await;
    assert_eq!(create(store, vec![unique(3, "free")]).await, [Written::Done]);
}

on_each_store!(
    a_round_knows_who_holds_which_name,
    same_request_id_names_the_first_job,
    session_of_a_job_opens_only_if_the_job_is_born,
    same_request_id_twice_in_a_batch_makes_one_job,
    live_job_holds_its_unique_key,
    unique_key_is_free_once_its_job_is_over,
    refused_unique_key_leaves_the_request_id_free,
    request_id_of_a_refused_create_is_free_within_the_same_batch,
    retried_job_takes_its_key_again_or_is_refused,
    key_given_back_in_a_batch_is_free_for_the_next_one,
    deleting_an_ended_job_leaves_the_key_of_its_successor,
);
