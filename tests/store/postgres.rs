//! What only the store in PostgreSQL must do.

use std::time::Duration;

use jobplane::domain::{EndReason, JobId, JobSpec, Position, StateKind};
use jobplane::store::postgres::{LeaseClock, Options, PostgresStore, statements};
use jobplane::store::{Batch, ChangesSince, Prune, SessionWrite, Store as _, Written};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, SqlSafeStr as _, Statement as _};

use crate::world::{
    Database, at, batch, born, cancel, command, commit, decide, given, job_id, lines, load,
    open_session, options, postgres, probe, progress, round, session, session_id, spec, start,
};

async fn raw(database: &Database) -> PgConnection {
    database.cluster.connect(&database.name).await
}

async fn another(database: &Database, change: impl FnOnce(&mut Options)) -> PostgresStore {
    let mut options = options(database.cluster.url(&database.name));
    change(&mut options);
    PostgresStore::open(options).await.expect("it opens")
}

#[tokio::test]
async fn every_statement_prepares_on_a_fresh_database() {
    let Some(database) = postgres().await else { return };
    let mut connection = raw(&database).await;
    let mut count = 0;
    for statement in statements() {
        let prepared = connection.prepare(statement.into_sql_str()).await;
        assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
        count += 1;
    }
    assert!(count > 30, "the list is complete");
    database.remove().await;
}

/// Tables that stay small, or that are read whole because all of it is wanted.
const SMALL: [&str; 5] =
    ["stat_totals", "stat_deltas", "stat_facet_deltas", "origin", "incarnation"];

/// The plan of a statement for any values, where walking a table whole costs more than anything else.
async fn plan(connection: &mut PgConnection, statement: &'static str) -> Vec<String> {
    let prepared = (&mut *connection).prepare(statement.into_sql_str()).await.expect("it prepares");
    let count = prepared.parameters().map_or(0, |given| match given {
        sqlx::Either::Left(types) => types.len(),
        sqlx::Either::Right(count) => count,
    });
    let values = vec!["NULL"; count].join(", ");
    let values = if count == 0 { String::new() } else { format!("({values})") };
    connection
        .execute(AssertSqlSafe(format!("DEALLOCATE ALL; PREPARE it AS {statement}")))
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
    sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN EXECUTE it{values}")))
        .persistent(false)
        .fetch_all(connection)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"))
}

#[tokio::test]
async fn no_statement_walks_a_whole_table_of_jobs() {
    let Some(database) = postgres().await else { return };
    let mut connection = raw(&database).await;
    let settings = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan";
    connection.execute(settings).await.expect("settings");
    for statement in statements() {
        let verb = statement.split_whitespace().next().expect("a verb");
        if !["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&verb) {
            continue;
        }
        for line in plan(&mut connection, statement).await {
            let Some((_, table)) = line.split_once("Seq Scan on ") else { continue };
            let table = table.split_whitespace().next().expect("a table");
            assert!(SMALL.contains(&table), "{line}: {statement}");
        }
    }
    database.remove().await;
}

#[tokio::test]
async fn two_rounds_at_once_share_the_waiting_jobs_out() {
    let Some(database) = postgres().await else { return };
    let (store, other) = (&database.store, another(&database, |_| ()).await);
    given(store, (1..=3).map(|number| born(number, spec(), at(0))).collect()).await;
    let one = round(store, &[probe(2)], at(1)).await;
    let two = round(&other, &[probe(9)], at(1)).await;
    let ids = |jobs: &[jobplane::domain::Job]| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    assert_eq!(ids(one.candidates()), [1, 2].map(job_id));
    assert_eq!(ids(two.candidates()), [3].map(job_id));
    for round in [one, two] {
        let start = |job| decide(job, start(1), at(1)).expect("allowed");
        let writes: Vec<_> = round.candidates().iter().map(start).collect();
        let count = writes.len();
        let committed = round.commit(Batch { writes, ..batch(at(1)) }).await.expect("a commit");
        assert_eq!(committed.writes, vec![Written::Done; count]);
    }
    other.close().await;
    database.remove().await;
}

#[tokio::test]
async fn jobs_that_cannot_be_read_are_counted_and_no_candidates() {
    let Some(database) = postgres().await else { return };
    let mut connection = raw(&database).await;
    crate::world::unread::in_three_lines(&database.store, async |id| {
        let spoil = sqlx::query("UPDATE job_status SET status = '\\xc1' WHERE id = $1");
        spoil.bind(id.0).execute(&mut connection).await.expect("spoilt");
    })
    .await;
    database.remove().await;
}

#[tokio::test]
async fn lease_is_judged_by_the_clock_of_the_database_whatever_ours_says() {
    let Some(database) = postgres().await else { return };
    let judged = another(&database, |options| options.clock = LeaseClock::Database).await;
    let now = judged.time().await.expect("an answer").expect("a clock");
    let mut over = session(1, "i", now.minus(Duration::from_secs(60)));
    // Shorter than the cluster is up: longer ones have their time after a start.
    over.ttl = Duration::from_micros(1);
    over.expire_time = over.connect_time.plus(over.ttl);
    let stands = session(2, "j", now);
    let mut too_early = session(3, "k", now.minus(Duration::from_secs(60)));
    too_early.ttl = Duration::from_secs(400 * 24 * 3600);
    too_early.expire_time = too_early.connect_time;
    for session in [over, stands, too_early] {
        let sessions = vec![SessionWrite::Open(session)];
        // Written as they are: by a server that brings the time along.
        assert_eq!(
            commit(&database.store, Batch { sessions, ..batch(now) }).await.sessions,
            [true]
        );
    }
    for ours in [at(0), now.plus(Duration::from_secs(36_000))] {
        let expired = judged.expired_sessions(ours, 9).await.expect("a read");
        assert_eq!(expired, [session_id(1)], "at {ours:?}");
    }
    let expire = |number| SessionWrite::Expire { id: session_id(number) };
    let sessions = vec![expire(1), expire(2)];
    let committed = commit(&judged, Batch { sessions, ..batch(at(0)) }).await;
    assert_eq!(committed.sessions, [true, false]);
    let ended = judged.session(session_id(1)).await.expect("a read").expect("the session");
    let (time, reason) = ended.end.expect("it ended");
    assert_eq!(reason, EndReason::Expired);
    assert!(time >= now, "it ended by our clock");
    judged.close().await;
    database.remove().await;
}

#[tokio::test]
async fn progress_of_running_jobs_is_read_apart() {
    let Some(database) = postgres().await else { return };
    let store = &database.store;
    given(store, (1..=3).map(|number| born(number, spec(), at(0))).collect()).await;
    for number in 1..=2 {
        command(store, number, start(1), at(1)).await;
    }
    let flush = vec![progress(1, 1, 4), progress(2, 1, 5), progress(3, 1, 6)];
    commit(store, Batch { progress: flush, ..batch(at(2)) }).await;
    let mut known = store.progress(&[1, 1, 2, 3, 9].map(job_id)).await.expect("progress");
    known.sort_by_key(|write| write.job_id);
    assert_eq!(known, [progress(1, 1, 4), progress(2, 1, 5)]);
    command(store, 1, crate::world::succeed(1), at(3)).await;
    let known = store.progress(&[1, 2].map(job_id)).await.expect("progress");
    assert_eq!(known, [progress(2, 1, 5)]);
    database.remove().await;
}

#[tokio::test]
async fn end_of_a_log_moves_with_each_row() {
    let Some(database) = postgres().await else { return };
    let store = &database.store;
    given(store, (1..=3).map(|number| born(number, spec(), at(0))).collect()).await;
    for number in 1..=2 {
        command(store, number, start(1), at(1)).await;
    }
    let ends = async || {
        let mut ends = store.log_ends(&[1, 2, 3, 9, 1].map(job_id)).await.expect("ends");
        ends.sort();
        ends
    };
    assert_eq!(ends().await, []);
    let logs = vec![lines(1, 1, 1, 2), lines(1, 1, 2, 2), lines(2, 1, 1, 2)];
    commit(store, Batch { logs, ..batch(at(2)) }).await;
    let before = ends().await;
    assert_eq!(before.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2].map(job_id));
    commit(store, Batch { logs: vec![lines(1, 1, 3, 1)], ..batch(at(3)) }).await;
    let after = ends().await;
    assert!(after[0] > before[0] && after[1] == before[1], "{before:?} {after:?}");
    database.remove().await;
}

#[tokio::test]
async fn counters_are_the_same_before_and_after_they_are_folded() {
    let Some(database) = postgres().await else { return };
    let store = &database.store;
    given(store, (1..=4).map(|number| born(number, spec(), at(0))).collect()).await;
    command(store, 1, start(1), at(1)).await;
    command(store, 2, cancel(), at(61)).await;
    let figures = async || {
        let mut counts = store.counts().await.expect("counts");
        counts.sort_by_key(|count| (count.key.clone(), count.state));
        (counts, store.buckets(0).await.expect("buckets"))
    };
    let before = figures().await;
    store.fold().await.expect("a fold");
    assert_eq!(figures().await, before);
    assert_eq!(before.1.len(), 2, "a bucket for each minute");
    let mut connection = raw(&database).await;
    let rest = sqlx::query_scalar("SELECT count(*) FROM stat_deltas");
    let rest: i64 = rest.fetch_one(&mut connection).await.expect("a count");
    assert_eq!(rest, 0);
    database.remove().await;
}

#[tokio::test]
async fn log_is_trimmed_by_one_server_at_a_time() {
    let Some(database) = postgres().await else { return };
    let store = &database.store;
    given(store, vec![born(1, spec(), at(0))]).await;
    command(store, 1, start(1), at(1)).await;
    let logs = (1..=10).map(|seq| lines(1, 1, seq, 10)).collect();
    commit(store, Batch { logs, ..batch(at(1)) }).await;
    let other = another(&database, |_| ()).await;
    let (one, two) =
        tokio::join!(store.trim_logs(job_id(1), 1, 15, 25), other.trim_logs(job_id(1), 1, 15, 25));
    assert_eq!(one.expect("a trim") + two.expect("a trim"), 50);
    let query = jobplane::store::LogQuery {
        job_id: job_id(1),
        lease_epoch: None,
        from_position: 0,
        limit: 99,
    };
    let rows = store.logs(&query).await.expect("logs");
    let lines: u64 = rows.iter().map(|row| row.entries.len() as u64 + row.dropped).sum();
    assert_eq!((rows.len(), lines), (6, 100));
    other.close().await;
    database.remove().await;
}

#[tokio::test]
async fn job_written_by_one_server_is_read_by_the_other_at_once() {
    let Some(database) = postgres().await else { return };
    let other = another(&database, |_| ()).await;
    assert!(database.store.is_shared());
    given(&database.store, vec![born(1, JobSpec { owner: "me".to_owned(), ..spec() }, at(0))])
        .await;
    open_session(&other, session(1, "i", at(0))).await;
    let running = command(&other, 1, start(1), at(1)).await;
    assert_eq!(load(&database.store, 1).await, Some(running));
    let stale = born(1, spec(), at(0)).job;
    let writes = vec![decide(&stale, cancel(), at(2)).expect("allowed")];
    let committed = commit(&database.store, Batch { writes, ..batch(at(2)) }).await;
    assert_eq!(committed.writes, [Written::Missed]);
    assert_eq!(load(&other, 1).await.expect("the job").status.kind(), StateKind::Running);
    other.close().await;
    database.remove().await;
}

/// A transaction of somebody else in the same database, which has written something.
async fn stranger(database: &Database) -> PgConnection {
    let mut connection = raw(database).await;
    connection.execute("BEGIN; SELECT pg_current_xact_id()").await.expect("a transaction");
    connection
}

async fn changed(store: &PostgresStore, from: &Position) -> Option<Vec<JobId>> {
    match store.changes_since(from, 1_000).await.expect("an answer") {
        ChangesSince::Found { mut ids, .. } => {
            ids.sort();
            Some(ids)
        }
        ChangesSince::TooOld => None,
        other => panic!("{other:?}"),
    }
}

async fn prune_changes(store: &PostgresStore, seconds: u64) {
    let prune = Prune {
        changes_before: at(seconds),
        sessions_before: at(0),
        requests_before: at(0),
        buckets_before: at(0),
        events_before: at(0),
        audit_before: at(0),
        limit: 1_000,
    };
    store.prune(prune).await.expect("pruned");
}

#[tokio::test]
async fn commit_that_began_early_and_came_late_is_not_missed() {
    let Some(database) = postgres().await else { return };
    let store = &database.store;
    let create = async |number, seconds| {
        let creates = vec![born(number, spec(), at(seconds))];
        commit(store, Batch { creates, ..batch(at(seconds)) }).await;
        store.position().await.expect("a position")
    };
    create(1, 1).await;
    let round = round(store, &[probe(1)], at(5)).await;
    let place = create(2, 10).await;
    let writes = round.candidates().iter().map(|job| decide(job, start(1), at(5)));
    let writes = writes.collect::<Option<Vec<_>>>().expect("allowed");
    let late = round.commit(Batch { writes, ..batch(at(5)) }).await.expect("a commit");
    assert!(!place.covers(late.position.as_ref().expect("a place")));
    assert_eq!(changed(store, &place).await, Some(vec![job_id(1)]));
    // The row before it in the log knows nothing of it, so it does not take it along.
    prune_changes(store, 20).await;
    assert_eq!(changed(store, &place).await, Some(vec![job_id(1)]));
    let last = create(3, 15).await;
    prune_changes(store, 20).await;
    assert_eq!(changed(store, &place).await, None, "it is gone, and that is told");
    assert_eq!(changed(store, &last).await, Some(vec![]));
    database.remove().await;
}

#[tokio::test]
async fn open_transaction_of_a_stranger_neither_hides_nor_outdates_a_place() {
    let Some(database) = postgres().await else { return };
    let store = &database.store;
    let stranger = stranger(&database).await;
    let mut places = Vec::new();
    for number in 1..=6 {
        let creates = vec![born(number, spec(), at(number * 10))];
        commit(store, Batch { creates, ..batch(at(number * 10)) }).await;
        places.push(store.position().await.expect("a position"));
    }
    assert_eq!(changed(store, &places[1]).await, Some((3..=6).map(job_id).collect()));
    prune_changes(store, 45).await;
    assert_eq!(changed(store, &places[1]).await, None, "pruned all the same");
    assert_eq!(changed(store, &places[3]).await, Some([5, 6].map(job_id).into()));
    drop(stranger);
    let creates = vec![born(7, spec(), at(70))];
    commit(store, Batch { creates, ..batch(at(70)) }).await;
    prune_changes(store, 55).await;
    // Taken while the stranger was there, and after what is gone.
    assert_eq!(changed(store, &places[5]).await, Some(vec![job_id(7)]));
    database.remove().await;
}

#[tokio::test]
async fn of_two_places_with_one_end_the_later_is_what_is_pruned() {
    let Some(database) = postgres().await else { return };
    let store = &database.store;
    let before = store.position().await.expect("a position");
    given(store, vec![born(1, spec(), at(0))]).await;
    let Position::Snapshot { next: first, .. } = before else { panic!("{before:?}") };
    // Two that were under way at once: each sees the same end, one of them the other. Far from those that
    // begin elsewhere in the cluster meanwhile.
    let (a, b) = (first + 1_000_000, first + 1_000_001);
    let mut connection = raw(&database).await;
    for (own, under_way, seconds) in [(b, vec![a, b], 10), (a, vec![a], 20), (a + 9, vec![], 30)] {
        let number = |number: u64| i64::try_from(number).expect("small");
        let next = if under_way.is_empty() { a + 5 } else { b + 1 };
        sqlx::query(
            "INSERT INTO changes (batch_id, transaction, next, under_way, time, job_ids, removed, \
             ready) VALUES (gen_random_uuid(), $1, $2, $3, $4, ARRAY[$5]::uuid[], '[]', '[]')",
        )
        .bind(number(own))
        .bind(number(next))
        .bind(under_way.into_iter().map(number).collect::<Vec<_>>())
        .bind(at(seconds).as_micros())
        .bind(job_id(own).0)
        .execute(&mut connection)
        .await
        .expect("a row");
    }
    let pruned = async || {
        let query = sqlx::query_as("SELECT pruned_next, pruned_under_way FROM origin");
        let (_, under_way): (i64, Vec<i64>) =
            query.fetch_one(&mut raw(&database).await).await.expect("it");
        under_way.len()
    };
    // The first commit can be seen from both.
    prune_changes(store, 15).await;
    assert_eq!(pruned().await, 2);
    prune_changes(store, 25).await;
    assert_eq!(pruned().await, 1, "a place that does not know the other one is told so");
    database.remove().await;
}
