//! Guards, atomicity, progress, figures.

use std::sync::Arc;

use bytes::Bytes;
use jobplane::domain::{JobSpec, StateKind};
use jobplane::store::{Batch, Prune, Store, Written};

use crate::on_each_store;
use crate::world::{
    at, batch, born, cancel, command, commit, decide, delete, fail, given, job_id, load, progress,
    request, retry, spec, start, succeed,
};

async fn created_job_reads_back_as_it_was_given(store: &dyn Store) {
    let spec = JobSpec {
        payload: Some(Bytes::from_static(b"\x00payload\xff")),
        labels: [("it's".to_owned(), "\"quoted\"\u{1F980}".to_owned())].into(),
        owner: "o'neil".to_owned(),
        expire_time: Some(at(100)),
        ..spec()
    };
    let new = born(1, spec, at(0));
    given(
        store,
        vec![
            new.clone(),
            born(2, JobSpec { payload: Some(Bytes::new()), ..crate::world::spec() }, at(0)),
        ],
    )
    .await;
    assert_eq!(load(store, 1).await, Some(new.job));
    let empty = load(store, 2).await.expect("the other one").spec.payload.clone();
    assert_eq!(empty, Some(Bytes::new()));
    assert_eq!(load(store, 3).await, None);
}

async fn write_on_an_old_revision_leaves_no_trace(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let old = load(store, 1).await.expect("the job");
    let running = command(store, 1, start(1), at(1)).await;
    let counts = store.counts().await.expect("counts");
    let buckets = store.buckets(0).await.expect("buckets");
    let late = decide(&old, cancel(), at(2)).expect("allowed on the old status");
    let committed = commit(store, Batch { writes: vec![late], ..batch(at(2)) }).await;
    assert_eq!(committed.writes, vec![Written::Missed]);
    assert_eq!(load(store, 1).await, Some(running));
    assert_eq!(store.counts().await.expect("counts"), counts);
    assert_eq!(store.buckets(0).await.expect("buckets"), buckets);
}

async fn write_on_an_old_epoch_is_missed(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let running = command(store, 1, start(1), at(1)).await;
    let mut write = decide(&running, succeed(1), at(2)).expect("allowed");
    write.expected_epoch = 0;
    let committed = commit(store, Batch { writes: vec![write], ..batch(at(2)) }).await;
    assert_eq!(committed.writes, vec![Written::Missed]);
}

async fn one_missed_write_does_not_hold_up_the_others(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0)), born(2, spec(), at(0))]).await;
    let one = load(store, 1).await.expect("one");
    let two = load(store, 2).await.expect("two");
    let mut stale = decide(&one, cancel(), at(1)).expect("allowed");
    stale.expected_revision = 9;
    let good = decide(&two, cancel(), at(1)).expect("allowed");
    let gone = decide(&born(3, spec(), at(0)).job, cancel(), at(1)).expect("allowed");
    let writes = vec![stale, good, gone];
    let committed = commit(store, Batch { writes, ..batch(at(1)) }).await;
    assert_eq!(committed.writes, vec![Written::Missed, Written::Done, Written::Missed]);
    assert_eq!(load(store, 1).await, Some(one));
    let two = load(store, 2).await.expect("two");
    assert_eq!(two.status.kind(), StateKind::Cancelled);
}

async fn second_job_with_the_same_id_rejects_the_whole_batch(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let creates = vec![born(2, spec(), at(0)), born(1, spec(), at(0))];
    let refused = batch(at(1));
    let id = refused.id;
    assert!(store.commit(Batch { creates, ..refused }).await.is_err());
    assert_eq!(load(store, 2).await, None);
    assert!(!store.has_batch(id).await.expect("a read"));
    given(store, vec![born(2, spec(), at(0))]).await;
}

async fn batch_id_is_written_once_and_a_refusal_leaves_the_writer_in_order(store: &dyn Store) {
    let first = batch(at(1));
    commit(store, Batch { creates: vec![born(1, spec(), at(1))], ..first.clone() }).await;
    let refused = store.commit(Batch { creates: vec![born(2, spec(), at(2))], ..first }).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(load(store, 2).await, None);
    given(store, vec![born(2, spec(), at(1))]).await;
}

async fn committed_batch_is_known_and_another_is_not(store: &dyn Store) {
    let wanted = Batch { creates: vec![born(1, spec(), at(0))], ..batch(at(0)) };
    let id = wanted.id;
    commit(store, wanted).await;
    assert!(store.has_batch(id).await.expect("a read"));
    assert!(!store.has_batch(batch(at(0)).id).await.expect("a read"));
}

async fn result_is_kept_and_goes_with_a_retry(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    command(store, 1, start(1), at(1)).await;
    let done = command(store, 1, succeed(1), at(2)).await;
    assert_eq!(done.status.result, Some(Bytes::from_static(b"the result")));
    let again = command(store, 1, retry(), at(3)).await;
    assert_eq!(again.status.result, None);
    let attempts = store.attempts(job_id(1)).await.expect("attempts");
    assert_eq!(attempts.iter().map(|attempt| attempt.lease_epoch).collect::<Vec<_>>(), vec![1]);
}

async fn superseded_attempts_are_listed_oldest_first(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    for epoch in 1..=3 {
        let now = at(1_000 * u64::try_from(epoch).expect("small"));
        command(store, 1, start(1), now).await;
        command(store, 1, fail(epoch, false), now).await;
    }
    let attempts = store.attempts(job_id(1)).await.expect("attempts");
    assert_eq!(attempts.iter().map(|attempt| attempt.lease_epoch).collect::<Vec<_>>(), vec![1, 2]);
    assert_eq!(attempts[0].error.as_ref().expect("an error").code, "BROKEN");
}

async fn flushed_progress_shows_on_a_running_job_and_only_forward(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let flush =
        |epoch, sequence| Batch { progress: vec![progress(1, epoch, sequence)], ..batch(at(2)) };
    commit(store, flush(1, 1)).await;
    command(store, 1, start(1), at(1)).await;
    assert_eq!(load(store, 1).await.expect("the job").status.progress.sequence, 0);
    commit(store, flush(1, 5)).await;
    commit(store, flush(1, 3)).await;
    commit(store, flush(2, 9)).await;
    assert_eq!(load(store, 1).await.expect("the job").status.progress.completed, 50);
    command(store, 1, fail(1, false), at(3)).await;
    let again = command(store, 1, start(1), at(1_000)).await;
    assert_eq!(again.status.progress.sequence, 0, "progress belongs to its lease");
}

async fn progress_in_the_status_wins_over_older_flushed_progress(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    command(store, 1, start(1), at(1)).await;
    commit(store, Batch { progress: vec![progress(1, 1, 5)], ..batch(at(2)) }).await;
    let mut job = load(store, 1).await.expect("the job");
    job.status.progress.sequence = 7;
    let write = decide(&job, cancel(), at(3)).expect("allowed");
    commit(store, Batch { writes: vec![write], ..batch(at(3)) }).await;
    assert_eq!(load(store, 1).await.expect("the job").status.progress.sequence, 7);
}

async fn deleted_job_is_gone_with_all_that_was_kept_of_it(store: &dyn Store) {
    let labelled = JobSpec { labels: [("a".to_owned(), "b".to_owned())].into(), ..spec() };
    let mut new = born(1, labelled.clone(), at(0));
    new.request = Some(request("r1"));
    given(store, vec![new]).await;
    command(store, 1, start(1), at(1)).await;
    let logs = vec![crate::world::lines(1, 1, 1, 2)];
    commit(store, Batch { logs, ..batch(at(1)) }).await;
    command(store, 1, fail(1, true), at(2)).await;
    command(store, 1, retry(), at(3)).await;
    let over = command(store, 1, cancel(), at(4)).await;
    let mut stale = delete(&over);
    stale.expected_revision -= 1;
    let committed = commit(store, Batch { deletes: vec![stale], ..batch(at(5)) }).await;
    assert_eq!(committed.deletes, vec![false]);
    let deletes = vec![delete(&over)];
    let committed = commit(store, Batch { deletes, ..batch(at(5)) }).await;
    assert_eq!(committed.deletes, vec![true]);
    assert_eq!(load(store, 1).await, None);
    assert!(store.attempts(job_id(1)).await.expect("attempts").is_empty());
    let query = jobplane::store::LogQuery {
        job_id: job_id(1),
        lease_epoch: None,
        from_position: 0,
        limit: 10,
    };
    assert!(store.logs(&query).await.expect("logs").is_empty());
    let filter = jobplane::domain::JobFilter { labels: labelled.labels, ..Default::default() };
    assert_eq!(store.count(&filter, 10).await.expect("a count"), 0);
    let known = store.request("tester", "r1").await.expect("a read").expect("the id stays");
    assert_eq!(known.job_id, job_id(1));
    assert!(store.counts().await.expect("counts").iter().all(|count| count.stored == 0));
}

async fn job_that_a_batch_deletes_twice_is_gone_once(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0)), born(2, spec(), at(0))]).await;
    let [one, two] =
        [command(store, 1, cancel(), at(1)).await, command(store, 2, cancel(), at(1)).await];
    let mut stale = delete(&two);
    stale.expected_revision -= 1;
    let deletes = vec![delete(&one), stale, delete(&one), delete(&two)];
    let committed = commit(store, Batch { deletes, ..batch(at(2)) }).await;
    assert_eq!(committed.deletes, vec![true, false, false, true]);
    assert!(store.counts().await.expect("counts").iter().all(|count| count.stored == 0));
}

async fn finished_total_counts_every_ending_and_never_falls(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    for epoch in 1..=2 {
        command(store, 1, start(1), at(1)).await;
        command(store, 1, fail(epoch, true), at(2)).await;
        command(store, 1, retry(), at(3)).await;
    }
    let counts = store.counts().await.expect("counts");
    let of = |state| counts.iter().find(|count| count.state == state).expect("a counter").clone();
    assert_eq!((of(StateKind::Failed).stored, of(StateKind::Failed).finished_total), (0, 2));
    assert_eq!((of(StateKind::Pending).stored, of(StateKind::Pending).finished_total), (1, 0));
}

async fn buckets_gather_what_happened_by_minute(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0)), born(2, spec(), at(0))]).await;
    command(store, 1, start(1), at(1)).await;
    command(store, 1, succeed(1), at(90)).await;
    let buckets = store.buckets(at(0).minute()).await.expect("buckets");
    let created: u64 = buckets.iter().map(|bucket| bucket.tally.created).sum();
    assert_eq!((buckets.len(), created), (2, 2));
    assert_eq!(buckets[1].tally.succeeded, 1);
    let later = store.buckets(at(90).minute()).await.expect("buckets");
    assert_eq!(later.len(), 1);
}

async fn job_moved_to_another_queue_is_counted_there(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    let job = load(store, 1).await.expect("the job");
    let mut write = decide(&job, start(1), at(1)).expect("allowed");
    write.job.status.effective.queue = crate::world::queue("other");
    commit(store, Batch { writes: vec![write], ..batch(at(1)) }).await;
    let stored: Vec<_> = store
        .counts()
        .await
        .expect("counts")
        .into_iter()
        .filter(|count| count.stored != 0)
        .map(|count| (count.key.queue.to_string(), count.state, count.stored))
        .collect();
    assert_eq!(stored, vec![("other".to_owned(), StateKind::Running, 1)]);
}

async fn passed_deadlines_are_found_in_order(store: &dyn Store) {
    let expires =
        |number, seconds| born(number, JobSpec { expire_time: Some(at(seconds)), ..spec() }, at(0));
    given(store, vec![expires(1, 30), expires(2, 10), expires(3, 20), born(4, spec(), at(0))])
        .await;
    assert_eq!(store.next_deadline().await.expect("a read"), Some(at(10)));
    let due = store.due(at(20), 10).await.expect("due");
    assert_eq!(due, vec![job_id(2), job_id(3)]);
    assert_eq!(store.due(at(99), 1).await.expect("due"), vec![job_id(2)]);
    command(store, 2, cancel(), at(1)).await;
    assert_eq!(store.next_deadline().await.expect("a read"), Some(at(20)));
}

async fn pruning_keeps_what_is_young_or_still_needed(store: &dyn Store) {
    let mut kept = born(1, spec(), at(0));
    kept.request = Some(request("kept"));
    let mut gone = born(2, spec(), at(0));
    gone.request = Some(request("gone"));
    given(store, vec![kept, gone]).await;
    let over = command(store, 2, cancel(), at(1)).await;
    commit(store, Batch { deletes: vec![delete(&over)], ..batch(at(2)) }).await;
    let young = batch(at(500));
    let young_id = young.id;
    commit(store, Batch { creates: vec![born(3, spec(), at(500))], ..young }).await;
    let prune = |seconds| Prune {
        changes_before: at(seconds),
        sessions_before: at(seconds),
        requests_before: at(seconds),
        buckets_before: at(seconds),
        events_before: at(seconds),
        audit_before: at(seconds),
        limit: 100,
    };
    assert_eq!(store.prune(prune(0)).await.expect("a prune"), 0);
    assert_eq!(store.buckets(0).await.expect("buckets").len(), 2);
    store.prune(prune(400)).await.expect("a prune");
    let minutes = store.buckets(0).await.expect("buckets");
    assert_eq!(minutes.iter().map(|bucket| bucket.minute).collect::<Vec<_>>(), [at(500).minute()]);
    assert!(store.has_batch(young_id).await.expect("a read"));
    assert!(store.request("tester", "gone").await.expect("a read").is_none());
    assert!(store.request("tester", "kept").await.expect("a read").is_some());
}

async fn empty_batch_is_nothing(store: &dyn Store) {
    let nothing = batch(at(0));
    let id = nothing.id;
    assert_eq!(commit(store, nothing).await, jobplane::store::Committed::default());
    assert!(!store.has_batch(id).await.expect("a read"));
}

async fn thousand_jobs_go_in_one_batch(store: &dyn Store) {
    let shared = JobSpec { payload: Some(Bytes::from(vec![7; 100])), ..spec() };
    given(store, (0..1_000).map(|number| born(number, shared.clone(), at(0))).collect()).await;
    let ids: Vec<_> = (0..1_000).map(job_id).collect();
    let jobs = store.load(&ids).await.expect("a read");
    assert_eq!(jobs.len(), 1_000);
    let writes = jobs.iter().map(|job| decide(job, start(1), at(1)).expect("allowed")).collect();
    let committed = commit(store, Batch { writes, ..batch(at(1)) }).await;
    assert_eq!(committed.writes, vec![Written::Done; 1_000]);
    let payload = Arc::clone(&load(store, 999).await.expect("the last").spec).payload.clone();
    assert_eq!(payload, shared.payload);
}

on_each_store!(
    created_job_reads_back_as_it_was_given,
    write_on_an_old_revision_leaves_no_trace,
    write_on_an_old_epoch_is_missed,
    one_missed_write_does_not_hold_up_the_others,
    second_job_with_the_same_id_rejects_the_whole_batch,
    batch_id_is_written_once_and_a_refusal_leaves_the_writer_in_order,
    committed_batch_is_known_and_another_is_not,
    result_is_kept_and_goes_with_a_retry,
    superseded_attempts_are_listed_oldest_first,
    flushed_progress_shows_on_a_running_job_and_only_forward,
    progress_in_the_status_wins_over_older_flushed_progress,
    deleted_job_is_gone_with_all_that_was_kept_of_it,
    job_that_a_batch_deletes_twice_is_gone_once,
    finished_total_counts_every_ending_and_never_falls,
    buckets_gather_what_happened_by_minute,
    job_moved_to_another_queue_is_counted_there,
    passed_deadlines_are_found_in_order,
    pruning_keeps_what_is_young_or_still_needed,
    empty_batch_is_nothing,
    thousand_jobs_go_in_one_batch,
);
