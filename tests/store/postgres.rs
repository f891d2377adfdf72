//! What only the store in PostgreSQL must do.

use std::time::Duration;

use jobplane::domain::{EndReason, JobSpec, StateKind};
use jobplane::store::postgres::{LeaseClock, Options, PostgresStore, statements};
use jobplane::store::{Batch, Probe, SessionWrite, Store as _, Written};
use sqlx::{AssertSqlSafe, Executor as _, PgConnection, SqlSafeStr as _, Statement as _};

use crate::world::{
    Database, at, batch, born, cancel, command, commit, decide, given, job_id, job_type, lines,
    load, open_session, options, postgres, progress, queue, session, session_id, spec, start,
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
const SMALL: [&str; 4] = ["stat_totals", "stat_deltas", "origin", "incarnation"];

/// The plan of a statement for any values, where walking a table whole costs more than anything else.
async fn plan(connection: &mut PgConnection, statement: &'static str) -> Vec<String> {
    let prepared = connection.prepare(statement.into_sql_str()).await.expect("it prepares");
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
    let probe = |limit| vec![Probe { queue: queue("default"), job_type: job_type("sync"), limit }];
    let one = store.begin_round(probe(2), at(1)).await.expect("a round");
    let two = other.begin_round(probe(9), at(1)).await.expect("a round");
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
