//! The change log: what was done since a position.

use jobplane::domain::{JobId, Position, Timestamp};
use jobplane::store::{Batch, ChangesSince, Prune, RemovedJob, Store};

use crate::on_each_store;
use crate::world::{at, batch, born, cancel, command, commit, delete, given, job_id, load, spec};

async fn position(store: &dyn Store) -> Position {
    store.position().await.expect("a position")
}

async fn since(store: &dyn Store, position: &Position) -> ChangesSince {
    store.changes_since(position, 100).await.expect("an answer")
}

/// What was found, in order.
async fn found(store: &dyn Store, from: &Position) -> (Vec<JobId>, Vec<RemovedJob>, Position) {
    match since(store, from).await {
        ChangesSince::Found { mut ids, removed, position, .. } => {
            ids.sort();
            (ids, removed, position)
        }
        other => panic!("{other:?}"),
    }
}

async fn prune(store: &dyn Store, changes_before: Timestamp) {
    let prune = Prune {
        changes_before,
        sessions_before: at(0),
        requests_before: at(0),
        buckets_before: at(0),
        events_before: at(0),
        audit_before: at(0),
        limit: 1_000,
    };
    store.prune(prune).await.expect("pruned");
}

async fn every_commit_has_a_place_that_the_log_comes_to(store: &dyn Store) {
    let before = position(store).await;
    let creates = vec![born(1, spec(), at(0))];
    let first = commit(store, Batch { creates, ..batch(at(0)) }).await.position.expect("a place");
    let after_first = position(store).await;
    assert!(!before.covers(&first) && after_first.covers(&first) && after_first.covers(&before));
    assert!(!before.covers(&after_first));
    // Also one that did nothing: its guard missed.
    let late = delete(&load(store, 1).await.expect("the job"));
    let late = jobplane::store::JobDelete { expected_revision: 9, ..late };
    let second = commit(store, Batch { deletes: vec![late], ..batch(at(1)) }).await;
    let place = second.position.expect("a place");
    assert_eq!(second.deletes, vec![false]);
    assert!(!after_first.covers(&place));
    assert_eq!(commit(store, batch(at(2))).await.position, None);
    let last = position(store).await;
    assert!(last.covers(&place) && last.covers(&after_first));
    let (ids, removed, to) = found(store, &after_first).await;
    assert_eq!((ids, removed), (Vec::new(), Vec::new()));
    assert!(to.covers(&place));
}

/// Where commits are numbered without gaps, the next one is known as such.
async fn numbered_commits_follow_one_another(store: &dyn Store) {
    let before = position(store).await;
    let creates = vec![born(1, spec(), at(0))];
    let first = commit(store, Batch { creates, ..batch(at(0)) }).await.position.expect("a place");
    let numbered = matches!(before, Position::Sequence(_));
    assert_eq!(first.follows(&before), numbered);
    assert_eq!(numbered, !store.is_shared());
}

async fn each_changed_job_is_named_once_and_a_deleted_one_apart(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0)), born(2, spec(), at(0))]).await;
    let from = position(store).await;
    given(store, vec![born(3, spec(), at(0))]).await;
    let gone = command(store, 1, cancel(), at(1)).await;
    command(store, 3, cancel(), at(1)).await;
    commit(store, Batch { deletes: vec![delete(&gone)], ..batch(at(2)) }).await;
    let (ids, removed, to) = found(store, &from).await;
    assert_eq!(ids, [job_id(3)]);
    assert_eq!(removed, [RemovedJob::of(&gone)]);
    let last = position(store).await;
    assert!(to.covers(&last) && last.covers(&to));
    let (ids, removed, again) = found(store, &to).await;
    assert_eq!((ids, removed), (Vec::new(), Vec::new()));
    assert!(again.covers(&to));
}

async fn a_position_that_the_store_never_came_to_is_ahead(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let ahead = match position(store).await {
        Position::Sequence(last) => [last + 1, i64::MAX].map(Position::Sequence),
        _ => [1 << 62, u64::MAX].map(|next| Position::snapshot(next, vec![1])),
    };
    for position in ahead {
        assert_eq!(since(store, &position).await, ChangesSince::Ahead);
    }
}

async fn more_changes_than_wanted_are_not_read(store: &dyn Store) {
    let from = position(store).await;
    given(store, (1..=5).map(|number| born(number, spec(), at(0))).collect()).await;
    let answer = |limit| store.changes_since(&from, limit);
    assert_eq!(answer(4).await.expect("an answer"), ChangesSince::TooMany);
    assert!(matches!(answer(5).await, Ok(ChangesSince::Found { ids, .. }) if ids.len() == 5));
}

async fn the_log_loses_its_oldest_rows_only(store: &dyn Store) {
    let mut places = vec![position(store).await];
    // A dispatch round took its time before the writer's commit, and committed after it.
    for (number, seconds) in [(1, 10), (2, 30), (3, 20), (4, 40)] {
        let creates = vec![born(number, spec(), at(seconds))];
        commit(store, Batch { creates, ..batch(at(seconds)) }).await;
        places.push(position(store).await);
    }
    prune(store, at(25)).await;
    assert_eq!(since(store, &places[0]).await, ChangesSince::TooOld);
    // What is older than it should be stays, or what is younger is not asked for: no hole either way.
    if since(store, &places[1]).await == ChangesSince::TooOld {
        assert!(store.is_shared(), "numbers tell what is gone");
    } else {
        let (ids, ..) = found(store, &places[1]).await;
        assert_eq!(ids, [job_id(2), job_id(3), job_id(4)]);
    }
    let (ids, ..) = found(store, &places[3]).await;
    assert_eq!(ids, [job_id(4)]);
    prune(store, at(1_000)).await;
    assert!(position(store).await.covers(&places[4]));
    for place in &places[..3] {
        assert_eq!(since(store, place).await, ChangesSince::TooOld);
    }
    let (ids, removed, to) = found(store, &places[4]).await;
    assert_eq!((ids, removed), (Vec::new(), Vec::new()));
    assert!(to.covers(&places[4]));
}

async fn catching_up_reads_how_the_changed_jobs_stand(store: &dyn Store) {
    given(store, (1..=3).map(|number| born(number, spec(), at(0))).collect()).await;
    let from = position(store).await;
    let gone = command(store, 1, cancel(), at(1)).await;
    let changed = command(store, 2, cancel(), at(1)).await;
    commit(store, Batch { deletes: vec![delete(&gone)], ..batch(at(2)) }).await;
    let caught = store.catch_up(&from, 10).await.expect("an answer");
    let ChangesSince::Found { ids, removed, position: to, .. } = caught.changes else {
        panic!("{caught:?}")
    };
    assert_eq!((ids, removed), (vec![job_id(2)], vec![RemovedJob::of(&gone)]));
    assert_eq!(caught.jobs, [changed]);
    assert!(caught.read_through.covers(&to) && to.covers(&from));
    let nothing = store.catch_up(&to, 10).await.expect("an answer");
    assert!(nothing.jobs.is_empty());
    let too_many = store.catch_up(&from, 1).await.expect("an answer");
    assert_eq!(too_many.changes, ChangesSince::TooMany);
    assert!(too_many.jobs.is_empty());
}

async fn a_store_tells_its_log_from_all_others(store: &dyn Store) {
    let origin = store.origin().await.expect("an origin");
    assert_eq!(store.origin().await.expect("an origin"), origin);
    let folder = tempfile::tempdir().expect("a folder");
    let other = crate::world::sqlite(folder.path()).await.origin().await.expect("an origin");
    assert_ne!(other.store, origin.store);
}

on_each_store!(
    every_commit_has_a_place_that_the_log_comes_to,
    numbered_commits_follow_one_another,
    each_changed_job_is_named_once_and_a_deleted_one_apart,
    a_position_that_the_store_never_came_to_is_ahead,
    more_changes_than_wanted_are_not_read,
    the_log_loses_its_oldest_rows_only,
    catching_up_reads_how_the_changed_jobs_stand,
    a_store_tells_its_log_from_all_others,
);
