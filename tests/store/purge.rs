//! Taking away what is over: lines by the end of jobs, and batches that leave what is not over alone.

use std::time::Duration;

use jobplane::domain::retention::Terminal;
use jobplane::domain::{BatchId, JobId, JobSpec, StateKind, Timestamp};
use jobplane::store::{
    Batch, ChangesSince, Ended, EndedLine, EndedQuery, Fire, LogQuery, PurgeBatch, Purged, Store,
};
use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;

use crate::on_each_store;
use crate::world::{
    at, batch, born, cancel, command, commit, decide, fail, given, job_id, job_type, lines, load,
    request, retry, spec, start, succeed,
};

const DAY: Duration = Duration::from_secs(86_400);

async fn line(store: &dyn Store, line: &EndedLine, limit: usize) -> Vec<Ended> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let query = EndedQuery { line: line.clone(), after, limit };
        let page = store.ended(&query).await.expect("a page");
        assert!(page.jobs.len() <= limit);
        found.extend(page.jobs);
        if page.next.is_none() {
            return found;
        }
        assert!(page.next > after, "it goes on");
        after = page.next;
    }
}

fn of_type(name: &str, state: Terminal, before: Timestamp) -> EndedLine {
    EndedLine::OfType { job_type: job_type(name), state, from: at(0), before }
}

async fn purge(store: &dyn Store, jobs: Vec<(JobId, i64)>) -> Purged {
    let id = BatchId(Uuid::now_v7());
    store.purge(PurgeBatch { id, now: at(1_000), jobs }).await.expect("a purge")
}

/// A job that was cancelled `after` seconds.
async fn cancelled(store: &dyn Store, number: u64, spec: JobSpec, after: u64) {
    given(store, vec![born(number, spec, at(0))]).await;
    command(store, number, cancel(), at(after)).await;
}

async fn lines_show_what_is_over_in_the_order_of_its_end(store: &dyn Store) {
    for (number, after) in [(1, 50), (2, 10), (3, 30), (4, 30), (5, 90)] {
        cancelled(store, number, spec(), after).await;
    }
    let other = JobSpec { job_type: job_type("backup"), ..spec() };
    cancelled(store, 6, other, 20).await;
    given(store, vec![born(7, spec(), at(0)), born(8, spec(), at(0))]).await;
    command(store, 8, start(1), at(1)).await;
    for limit in [1, 2, 10] {
        let line = line(store, &of_type("sync", Terminal::Cancelled, at(90)), limit).await;
        let ids: Vec<JobId> = line.iter().map(|ended| ended.id).collect();
        assert_eq!(ids, [2, 3, 4, 1].map(job_id), "pages of {limit}");
        assert!(line.iter().all(|ended| ended.state == Terminal::Cancelled));
        assert_eq!((line[0].end_time, line[0].revision, line[0].purge_time), (at(10), 2, None));
    }
    let later = EndedLine::OfType {
        job_type: job_type("sync"),
        state: Terminal::Cancelled,
        from: at(30),
        before: at(50),
    };
    assert_eq!(line(store, &later, 10).await.len(), 2);
    assert!(line(store, &of_type("sync", Terminal::Failed, at(90)), 10).await.is_empty());
}

async fn a_job_with_a_word_of_its_own_stands_in_a_line_of_its_own_too(store: &dyn Store) {
    let own = |days: u32| JobSpec { retention: Some(DAY * days), ..spec() };
    cancelled(store, 1, own(3), 10).await;
    cancelled(store, 2, own(1), 20).await;
    cancelled(store, 3, spec(), 30).await;
    given(store, vec![born(4, own(1), at(0))]).await;
    let before = |days: u32| EndedLine::OwnWord { before: at(20).plus(DAY * days) };
    assert!(line(store, &before(1), 10).await.is_empty(), "not before its moment");
    let due = line(store, &before(4), 1).await;
    let due: Vec<_> = due.iter().map(|ended| (ended.id, ended.purge_time)).collect();
    let ends = [(job_id(2), Some(at(20).plus(DAY))), (job_id(1), Some(at(10).plus(DAY * 3)))];
    assert_eq!(due, ends);
    assert_eq!(line(store, &of_type("sync", Terminal::Cancelled, at(90)), 10).await.len(), 3);
    let (job_type, state) = (job_type("sync"), Terminal::Cancelled);
    let by_policy = EndedLine::ByPolicy { job_type, state, before: at(90) };
    let plain: Vec<JobId> = line(store, &by_policy, 1).await.iter().map(|it| it.id).collect();
    assert_eq!(plain, [job_id(3)], "only those without a word of their own");
    // Opened again it waits for nothing but its turn.
    command(store, 2, retry(), at(40)).await;
    assert_eq!(line(store, &before(4), 10).await.len(), 1);
}

async fn a_page_looks_at_so_many_however_few_of_them_are_wanted(store: &dyn Store) {
    let own = || JobSpec { retention: Some(DAY * 365), ..spec() };
    for number in 1..=25 {
        cancelled(store, number, if number == 24 { spec() } else { own() }, number).await;
    }
    let (job_type, state) = (job_type("sync"), Terminal::Cancelled);
    let line = EndedLine::ByPolicy { job_type, state, before: at(90) };
    let mut after = None;
    for (found, next) in [(None, Some(10)), (None, Some(20)), (Some(24), None)] {
        let query = EndedQuery { line: line.clone(), after, limit: 10 };
        let page = store.ended(&query).await.expect("a page");
        let ids: Vec<JobId> = page.jobs.iter().map(|ended| ended.id).collect();
        assert_eq!(ids, found.map(job_id).into_iter().collect::<Vec<_>>());
        assert_eq!(page.next, next.map(|number| (at(number), job_id(number))));
        after = page.next;
    }
}

async fn purge_takes_all_of_a_job_but_its_request_id(store: &dyn Store) {
    let spec = JobSpec {
        labels: [("zone".to_owned(), "a".to_owned()), ("it's".to_owned(), "\"b\"".to_owned())]
            .into(),
        unique_key: "only".to_owned(),
        ..spec()
    };
    let mut new = born(1, spec.clone(), at(0));
    new.request = Some(request("r1"));
    new.fire = Some(Fire::at(at(0)));
    given(store, vec![new, born(2, crate::world::spec(), at(0))]).await;
    command(store, 1, start(1), at(1)).await;
    commit(store, Batch { logs: vec![lines(1, 1, 1, 3)], ..batch(at(1)) }).await;
    command(store, 1, fail(1, true), at(2)).await;
    command(store, 1, retry(), at(3)).await;
    let over = command(store, 1, cancel(), at(4)).await;
    let from = store.position().await.expect("a position");
    let purged = purge(store, vec![(over.id, over.status.revision)]).await;
    assert_eq!(purged.removed.iter().map(|gone| gone.id).collect::<Vec<_>>(), [over.id]);
    assert!(purged.position.is_some());
    assert_eq!(load(store, 1).await, None);
    assert!(store.attempts(over.id).await.expect("attempts").is_empty());
    let log = LogQuery { job_id: over.id, lease_epoch: None, from_position: 0, limit: 9 };
    assert!(store.logs(&log).await.expect("logs").is_empty());
    let labelled =
        jobplane::domain::JobFilter { labels: spec.labels.clone(), ..Default::default() };
    assert_eq!(store.count(&labelled, 9).await.expect("a count"), 0);
    let known = store.request("tester", "r1").await.expect("a read").expect("it stays");
    assert_eq!(known.job_id, over.id);
    let ChangesSince::Found { ids, removed, position, .. } =
        store.changes_since(&from, 9).await.expect("changes")
    else {
        panic!("the log knows")
    };
    assert_eq!((ids, removed), (Vec::new(), purged.removed));
    assert!(purged.position.is_none_or(|place| position.covers(&place)));
    let counts = store.counts().await.expect("counts");
    let stored: i64 = counts.iter().map(|count| count.stored).sum();
    assert_eq!(stored, 1, "{counts:?}");
    // Its names are free.
    let mut again = born(3, spec, at(5));
    again.fire = Some(Fire::at(at(0)));
    given(store, vec![again]).await;
}

async fn purge_leaves_what_is_not_over_as_it_was_seen(store: &dyn Store) {
    for number in 1..=4 {
        cancelled(store, number, spec(), number).await;
    }
    given(store, vec![born(5, spec(), at(0)), born(6, spec(), at(0))]).await;
    command(store, 6, start(1), at(1)).await;
    let mut seen = Vec::new();
    for number in 1..=6 {
        let job = load(store, number).await.expect("the job");
        seen.push((job.id, job.status.revision));
    }
    // One runs again, one ran again and is over anew, one is gone.
    command(store, 1, retry(), at(10)).await;
    command(store, 2, retry(), at(10)).await;
    command(store, 2, cancel(), at(11)).await;
    purge(store, vec![seen[2]]).await;
    assert_eq!(purge(store, vec![seen[2]]).await, Purged::default());
    let purged = purge(store, seen).await;
    assert_eq!(purged.removed.iter().map(|gone| gone.id).collect::<Vec<_>>(), [job_id(4)]);
    for (number, state) in [
        (1, StateKind::Pending),
        (2, StateKind::Cancelled),
        (5, StateKind::Pending),
        (6, StateKind::Running),
    ] {
        assert_eq!(load(store, number).await.expect("it stays").status.kind(), state);
    }
    assert_eq!(purge(store, Vec::new()).await, Purged::default());
}

async fn a_retry_and_a_purge_of_a_job_cannot_both_be(store: &dyn Store) {
    for number in 1..=30 {
        cancelled(store, number, spec(), number).await;
        let job = load(store, number).await.expect("the job");
        let write = decide(&job, retry(), at(100)).expect("it is over");
        let retrying = commit(store, Batch { writes: vec![write], ..batch(at(100)) });
        let purging = purge(store, vec![(job.id, job.status.revision)]);
        let (retried, purged) = if number % 2 == 0 {
            futures_util::future::join(retrying, purging).await
        } else {
            let (purged, retried) = futures_util::future::join(purging, retrying).await;
            (retried, purged)
        };
        let retried = retried.writes == [jobplane::store::Written::Done];
        assert!(!retried || purged.removed.is_empty(), "either, never both");
        match load(store, number).await {
            Some(job) => {
                assert_eq!(job.status.kind().is_terminal(), !retried);
            }
            None => assert!(!retried),
        }
    }
    let counts = store.counts().await.expect("counts");
    let mut there = 0;
    for number in 1..=30 {
        there += i64::from(load(store, number).await.is_some());
    }
    assert_eq!(counts.iter().map(|count| count.stored).sum::<i64>(), there);
}

async fn logs_go_before_their_job_where_it_is_over(store: &dyn Store) {
    given(store, vec![born(1, spec(), at(0)), born(2, spec(), at(0))]).await;
    for number in [1, 2] {
        command(store, number, start(number), at(1)).await;
        let logs = vec![lines(number, 1, 1, 2), lines(number, 1, 2, 2)];
        commit(store, Batch { logs, ..batch(at(1)) }).await;
    }
    let over = command(store, 1, succeed(1), at(2)).await;
    let runs = load(store, 2).await.expect("the job");
    let jobs = [(over.id, over.status.revision), (runs.id, runs.status.revision)];
    for (limit, gone) in [(1, 1), (9, 1), (9, 0)] {
        assert_eq!(store.drop_logs(&jobs, limit).await.expect("dropped"), gone);
    }
    let rows = |id| LogQuery { job_id: id, lease_epoch: None, from_position: 0, limit: 9 };
    assert!(store.logs(&rows(over.id)).await.expect("logs").is_empty());
    assert_eq!(store.logs(&rows(runs.id)).await.expect("logs").len(), 2);
    assert_eq!(load(store, 1).await, Some(over));
}

on_each_store!(
    lines_show_what_is_over_in_the_order_of_its_end,
    a_job_with_a_word_of_its_own_stands_in_a_line_of_its_own_too,
    a_page_looks_at_so_many_however_few_of_them_are_wanted,
    purge_takes_all_of_a_job_but_its_request_id,
    purge_leaves_what_is_not_over_as_it_was_seen,
    a_retry_and_a_purge_of_a_job_cannot_both_be,
    logs_go_before_their_job_where_it_is_over,
);

/// What one server holds in this moment is passed by, and nothing goes twice.
#[tokio::test]
async fn servers_that_purge_at_once_share_the_work() {
    let Some(database) = crate::world::postgres().await else { return };
    let store = &database.store;
    let mut seen = Vec::new();
    for number in 1..=40 {
        cancelled(store, number, spec(), number).await;
        let job = load(store, number).await.expect("the job");
        seen.push((job.id, job.status.revision));
    }
    let purges = (0..4).map(|_| purge(store, seen.clone()));
    let purged = futures_util::future::join_all(purges).await;
    let mut gone: Vec<JobId> =
        purged.iter().flat_map(|purged| &purged.removed).map(|gone| gone.id).collect();
    let left = purge(store, seen.clone()).await;
    gone.extend(left.removed.iter().map(|gone| gone.id));
    gone.sort_unstable();
    assert_eq!(gone, seen.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    let counts = store.counts().await.expect("counts");
    assert_eq!(counts.iter().map(|count| count.stored).sum::<i64>(), 0);
    database.remove().await;
}

/// Whoever opens a job again while its lines are about to go keeps both.
#[tokio::test]
async fn lines_of_a_job_that_is_opened_again_in_this_moment_stay() {
    let Some(database) = crate::world::postgres().await else { return };
    let store = &database.store;
    given(store, vec![born(1, spec(), at(0))]).await;
    command(store, 1, start(1), at(1)).await;
    commit(store, Batch { logs: vec![lines(1, 1, 1, 2)], ..batch(at(1)) }).await;
    let over = command(store, 1, succeed(1), at(2)).await;
    let mut opening = database.cluster.connect(&database.name).await;
    let open = "BEGIN; UPDATE job_status SET state = 0, revision = revision + 1, end_time = NULL, \
        ready_key = 0, purge_time = NULL";
    opening.execute(open).await.expect("opened again, but for the commit");
    let jobs = [(over.id, over.status.revision)];
    assert_eq!(store.drop_logs(&jobs, 9).await.expect("dropped"), 0);
    opening.execute("ROLLBACK").await.expect("it stays over");
    assert_eq!(store.drop_logs(&jobs, 9).await.expect("dropped"), 1);
    opening.close().await.expect("it closes");
    database.remove().await;
}

/// What goes leaves room, and the file gets smaller.
#[tokio::test]
async fn a_file_gives_room_back_in_small_steps() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = crate::world::sqlite(folder.path()).await;
    let payload = Some(bytes::Bytes::from(vec![7; 100_000]));
    let mut seen = Vec::new();
    for number in 1..=40 {
        let spec = JobSpec { payload: payload.clone(), ..spec() };
        cancelled(&store, number, spec, number).await;
        let job = load(&store, number).await.expect("the job");
        seen.push((job.id, job.status.revision));
    }
    assert_eq!(store.shrink().await.expect("a step"), 0, "there is no room yet");
    let full = store.info().await.expect("info").size_bytes;
    assert_eq!(purge(&store, seen).await.removed.len(), 40);
    let (mut steps, mut pages) = (0, 0);
    loop {
        let given = store.shrink().await.expect("a step");
        if given == 0 {
            break;
        }
        (steps, pages) = (steps + 1, pages + given);
    }
    assert!(steps > 2 && pages > 900, "{pages} pages in {steps} steps");
    let now = store.info().await.expect("info").size_bytes;
    assert!(now < full / 4, "{now} of {full} bytes");
    store.close().await;
}
