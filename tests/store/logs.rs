//! Logs: kept once, in order, trimmed in the middle.

use jobplane::domain::logs::{LogBatch, LogRow};
use jobplane::store::{Appended, Batch, LogQuery, Store};

use crate::on_each_store;
use crate::world::{
    at, batch, born, command, commit, fail, given, job_id, lines, spec, start, succeed,
};

async fn running(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    command(store, 1, start(1), at(1)).await;
}

async fn append(store: &dyn Store, logs: Vec<LogBatch>) -> Vec<Appended> {
    commit(store, Batch { logs, ..batch(at(2)) }).await.logs
}

async fn rows(store: &dyn Store) -> Vec<LogRow> {
    let query = LogQuery { job_id: job_id(1), lease_epoch: None, from_position: 0, limit: 1_000 };
    store.logs(&query).await.expect("logs")
}

async fn log_batch_is_kept_once_however_often_it_comes(store: &dyn Store) {
    running(store).await;
    assert_eq!(append(store, vec![lines(1, 1, 1, 2)]).await, vec![Appended::Done]);
    let again = vec![lines(1, 1, 1, 2), lines(1, 1, 2, 1), lines(1, 1, 2, 1)];
    assert_eq!(append(store, again).await, vec![Appended::Done; 3]);
    let kept: Vec<_> = rows(store).await.iter().map(|row| row.entries.len()).collect();
    assert_eq!(kept, vec![2, 1]);
}

async fn log_batch_without_a_number_is_always_kept(store: &dyn Store) {
    running(store).await;
    append(store, vec![lines(1, 1, 0, 1), lines(1, 1, 0, 1)]).await;
    append(store, vec![lines(1, 1, 0, 1)]).await;
    assert_eq!(rows(store).await.len(), 3);
}

async fn log_of_a_lease_that_is_not_in_force_is_refused(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0))]).await;
    assert_eq!(append(store, vec![lines(1, 0, 1, 1)]).await, vec![Appended::Missed]);
    command(store, 1, start(1), at(1)).await;
    let logs = vec![lines(1, 2, 1, 1), lines(9, 1, 1, 1), lines(1, 1, 1, 1)];
    let kept = vec![Appended::Missed, Appended::Missed, Appended::Done];
    assert_eq!(append(store, logs).await, kept);
    command(store, 1, fail(1, false), at(2)).await;
    assert_eq!(append(store, vec![lines(1, 1, 2, 1)]).await, vec![Appended::Missed]);
    assert_eq!(rows(store).await.len(), 1);
}

async fn log_that_comes_with_the_outcome_is_kept(store: &dyn Store) {
    running(store).await;
    let job = crate::world::load(store, 1).await.expect("the job");
    let writes = vec![crate::world::decide(&job, succeed(1), at(3)).expect("allowed")];
    let logs = vec![lines(1, 1, 1, 1)];
    let committed = commit(store, Batch { writes, logs, ..batch(at(3)) }).await;
    assert_eq!(committed.logs, vec![Appended::Done]);
    assert_eq!(rows(store).await.len(), 1);
}

async fn log_is_read_in_order_from_a_place_and_of_one_lease(store: &dyn Store) {
    running(store).await;
    append(store, vec![lines(1, 1, 7, 1), lines(1, 1, 3, 2)]).await;
    command(store, 1, fail(1, false), at(2)).await;
    command(store, 1, start(1), at(100)).await;
    append(store, vec![lines(1, 2, 3, 4)]).await;
    let all = rows(store).await;
    assert_eq!(all.iter().map(|row| row.entries.len()).collect::<Vec<_>>(), vec![1, 2, 4]);
    assert!(all.is_sorted_by(|one, next| one.position < next.position));
    let read = |lease_epoch, from_position, limit| LogQuery {
        job_id: job_id(1),
        lease_epoch,
        from_position,
        limit,
    };
    let second = store.logs(&read(Some(2), 0, 10)).await.expect("logs");
    assert_eq!(second, all[2..]);
    let from = store.logs(&read(None, all[1].position, 1)).await.expect("logs");
    assert_eq!(from, all[1..2]);
}

async fn trimming_keeps_head_and_tail_and_counts_the_gap(store: &dyn Store) {
    running(store).await;
    append(store, (1..=10).map(|seq| lines(1, 1, seq, 10)).collect()).await;
    let before = rows(store).await;
    assert_eq!(store.trim_logs(job_id(1), 1, 15, 25).await.expect("a trim"), 50);
    let after = rows(store).await;
    let sizes: Vec<_> = after.iter().map(|row| (row.entries.len(), row.dropped)).collect();
    assert_eq!(sizes, vec![(10, 0), (10, 0), (0, 50), (10, 0), (10, 0), (10, 0)]);
    assert_eq!(after[2].position, before[2].position);
    assert_eq!(store.trim_logs(job_id(1), 1, 15, 25).await.expect("a trim"), 0);
    append(store, vec![lines(1, 1, 11, 10)]).await;
    assert_eq!(store.trim_logs(job_id(1), 1, 15, 25).await.expect("a trim"), 10);
    let last = rows(store).await;
    let sizes: Vec<_> = last.iter().map(|row| (row.entries.len(), row.dropped)).collect();
    assert_eq!(sizes, vec![(10, 0), (10, 0), (0, 60), (10, 0), (10, 0), (10, 0)]);
    let newest = last.last().expect("a row").position;
    assert!(newest > before.last().expect("a row").position, "places are never given twice");
}

async fn trimming_a_short_log_changes_nothing(store: &dyn Store) {
    running(store).await;
    append(store, vec![lines(1, 1, 1, 3), lines(1, 1, 2, 3)]).await;
    let before = rows(store).await;
    assert_eq!(store.trim_logs(job_id(1), 1, 3, 3).await.expect("a trim"), 0);
    assert_eq!(store.trim_logs(job_id(1), 9, 0, 0).await.expect("a trim"), 0);
    assert_eq!(store.trim_logs(job_id(5), 1, 0, 0).await.expect("a trim"), 0);
    assert_eq!(rows(store).await, before);
}

on_each_store!(
    log_batch_is_kept_once_however_often_it_comes,
    log_batch_without_a_number_is_always_kept,
    log_of_a_lease_that_is_not_in_force_is_refused,
    log_that_comes_with_the_outcome_is_kept,
    log_is_read_in_order_from_a_place_and_of_one_lease,
    trimming_keeps_head_and_tail_and_counts_the_gap,
    trimming_a_short_log_changes_nothing,
);
