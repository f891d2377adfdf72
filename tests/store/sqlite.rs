//! What only the store in a file must do.

use std::path::Path;
use std::str::FromStr as _;
use std::task::Poll;

use jobplane::domain::JobSpec;
use jobplane::domain::limits::CATCH_UP_BYTES_MAX;
use jobplane::store::sqlite::{OpenError, Options, SqliteStore, statements};
use jobplane::store::{Batch, ChangesSince, Claims, Error, Standing, Store as _};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};

use crate::world::{
    at, batch, born, command, commit, decide, given, job_type, keyed, lines, load, progress, queue,
    spec, sqlite, start, succeed,
};

async fn raw(folder: &Path) -> SqliteConnection {
    let file = folder.join("jobs.db").display().to_string();
    let options = SqliteConnectOptions::from_str(&file).expect("a path");
    SqliteConnection::connect_with(&options).await.expect("a connection")
}

async fn open(folder: &Path) -> Result<SqliteStore, OpenError> {
    let url = format!("sqlite://{}", folder.join("jobs.db").display());
    SqliteStore::open(Options { url, read_pool: 1 }).await
}

#[tokio::test]
async fn every_statement_prepares_on_a_fresh_database() {
    let folder = tempfile::tempdir().expect("a folder");
    let _store = sqlite(folder.path()).await;
    let mut connection = raw(folder.path()).await;
    let mut count = 0;
    for statement in statements() {
        let prepared = connection.prepare(statement.into_sql_str()).await;
        assert!(prepared.is_ok(), "{statement}: {:?}", prepared.err());
        count += 1;
    }
    assert!(count > 30, "the list is complete");
}

#[tokio::test]
async fn no_statement_walks_a_whole_table_of_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let _store = sqlite(folder.path()).await;
    let mut connection = raw(folder.path()).await;
    for statement in statements().filter(|statement| !statement.starts_with("PRAGMA")) {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(explain).fetch_all(&mut connection).await.expect("a plan");
        for (_, _, _, line) in plan {
            let bounded = [
                "VIRTUAL TABLE",
                "CONSTANT ROW",
                "(subquery",
                "USING",
                "stat_totals",
                "sqlite_sequence",
            ];
            // What a statement has gathered itself, up to a bound.
            let gathered = ["SCAN w", "SCAN walked"].contains(&line.as_str());
            let bounded = gathered || bounded.iter().any(|bounded| line.contains(bounded));
            let walks = line.starts_with("SCAN") && !bounded;
            // All rules of a kind are wanted at times; all keys of one never.
            let rules = line.starts_with("SEARCH r ");
            let walks = walks || (line.ends_with("(kind=?)") && !rules);
            assert!(!walks, "{line}: {statement}");
        }
    }
}

#[tokio::test]
async fn keys_survive_the_widening_of_their_table() {
    type Key = (i64, String, String, Vec<u8>, Option<Vec<u8>>, i64, i64);
    let mut file = SqliteConnection::connect("sqlite::memory:").await.expect("a connection");
    for schema in [
        include_str!("../../migrations/sqlite/0001_core.sql"),
        include_str!("../../migrations/sqlite/0002_origin.sql"),
        "INSERT INTO job_keys (kind, scope, key, job_id, fingerprint, create_time, job_gone) \
         VALUES (0, 'me', 'r', x'01', x'02', 7, 1), (1, 'sync', 'k', x'03', NULL, 8, 0); \
         INSERT INTO changes (batch_id, time, job_ids, removed) \
         VALUES (x'00000000000000000000000000000000', 1, x'', '[]')",
        include_str!("../../migrations/sqlite/0003_rules.sql"),
    ] {
        sqlx::raw_sql(schema).execute(&mut file).await.expect("it runs");
    }
    let keys: Vec<Key> = sqlx::query_as("SELECT * FROM job_keys ORDER BY kind")
        .fetch_all(&mut file)
        .await
        .expect("the keys");
    let text = ToString::to_string;
    let request = (0, text(&"me"), text(&"r"), vec![1], Some(vec![2]), 7, 1);
    assert_eq!(keys, [request, (1, text(&"sync"), text(&"k"), vec![3], None, 8, 0)]);
    let rules: String =
        sqlx::query_scalar("SELECT rules FROM changes").fetch_one(&mut file).await.expect("a row");
    assert_eq!(rules, "[]");
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    given(&store, vec![born(1, spec(), at(0)), born(2, spec(), at(0))]).await;
    command(&store, 1, start(1), at(1)).await;
    commit(&store, Batch { logs: vec![lines(1, 1, 1, 3)], ..batch(at(1)) }).await;
    let done = command(&store, 1, succeed(1), at(2)).await;
    // The files as they lie there at this moment, without any goodbye.
    let after = tempfile::tempdir().expect("a folder");
    for name in ["jobs.db", "jobs.db-wal"] {
        std::fs::copy(folder.path().join(name), after.path().join(name)).expect("a copy");
    }
    let again = sqlite(after.path()).await;
    assert_eq!(load(&again, 1).await, Some(done));
    assert!(load(&again, 2).await.is_some());
    assert_eq!(again.counts().await.expect("counts"), store.counts().await.expect("counts"));
    let query = jobplane::store::LogQuery {
        job_id: crate::world::job_id(1),
        lease_epoch: None,
        from_position: 0,
        limit: 9,
    };
    assert_eq!(again.logs(&query).await.expect("logs")[0].entries.len(), 3);
}

#[tokio::test]
async fn second_process_is_refused_until_the_first_lets_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    let refused = open(folder.path()).await.err().expect("a refusal");
    assert!(matches!(refused, OpenError::Locked { .. }), "{refused:?}");
    assert!(refused.to_string().contains("jobs.db.lock"), "{refused}");
    store.close().await;
    let next = open(folder.path()).await.expect("it opens");
    drop(next);
    open(folder.path()).await.expect("it opens after a crash");
}

#[tokio::test]
async fn closed_store_is_unavailable_and_leaves_one_file_of_jobs() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    given(&store, vec![born(1, spec(), at(0))]).await;
    store.close().await;
    let wal = folder.path().join("jobs.db-wal");
    assert!(std::fs::metadata(wal).map_or(0, |wal| wal.len()) == 0, "the log was moved in");
    let late = Batch { creates: vec![born(2, spec(), at(0))], ..batch(at(1)) };
    assert!(matches!(store.commit(late).await, Err(Error::Unavailable(_))));
    assert!(matches!(store.ping().await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn newer_schema_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    sqlite(folder.path()).await.close().await;
    let mut connection = raw(folder.path()).await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (900, 'later', true, x'00', 0)",
    )
    .execute(&mut connection)
    .await
    .expect("an insert");
    connection.close().await.expect("it closes");
    let refused = open(folder.path()).await.err().expect("a refusal");
    assert!(matches!(refused, OpenError::SchemaTooNew { found: 900, .. }), "{refused:?}");
}

#[tokio::test]
async fn file_of_another_program_is_refused_and_left_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteConnectOptions::new().filename(folder.path().join("jobs.db"));
    let mut other =
        SqliteConnection::connect_with(&options.create_if_missing(true)).await.expect("a file");
    other.execute("CREATE TABLE notes (text TEXT)").await.expect("a table");
    other.close().await.expect("closed");
    let before = std::fs::read(folder.path().join("jobs.db")).expect("a file");
    let refused = open(folder.path()).await.err().expect("refused");
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read(folder.path().join("jobs.db")).expect("a file"), before);
}

#[tokio::test]
async fn file_without_anything_in_it_is_taken_and_marked() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("jobs.db"), b"").expect("a file");
    open(folder.path()).await.expect("taken").close().await;
    let mut connection = raw(folder.path()).await;
    let mark: i64 = sqlx::query_scalar("PRAGMA application_id")
        .fetch_one(&mut connection)
        .await
        .expect("a mark");
    assert_eq!(mark.to_be_bytes()[4..], *b"jobp");
    connection.close().await.expect("closed");
    open(folder.path()).await.expect("taken again").close().await;
}

#[tokio::test]
async fn file_that_is_no_database_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("jobs.db"), "a diary, not a database".repeat(100))
        .expect("a file");
    let refused = open(folder.path()).await.err().expect("refused");
    assert!(matches!(refused, OpenError::Open { .. }), "{refused}");
    assert!(refused.to_string().contains("jobs.db"), "{refused}");
}

#[tokio::test]
async fn unreadable_row_is_an_error_that_names_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    given(&store, vec![born(1, spec(), at(0))]).await;
    let mut connection = raw(folder.path()).await;
    sqlx::query("UPDATE job_status SET status = x'c1'").execute(&mut connection).await.expect("it");
    let read = store.load(&[crate::world::job_id(1)]).await;
    assert!(matches!(read, Err(Error::Corrupt { what: "job_status.status", .. })), "{read:?}");
}

#[tokio::test]
async fn jobs_that_cannot_be_read_are_counted_and_no_candidates() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    let mut connection = raw(folder.path()).await;
    crate::world::unread::in_three_lines(&store, async |id| {
        let spoil = sqlx::query("UPDATE job_status SET status = x'c1' WHERE id = ?1");
        spoil.bind(id.0.into_bytes().to_vec()).execute(&mut connection).await.expect("spoilt");
    })
    .await;
}

#[tokio::test]
async fn what_is_too_large_to_be_caught_up_with_at_once_is_too_much() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    let from = store.position().await.expect("a position");
    let payload = bytes::Bytes::from(vec![7; CATCH_UP_BYTES_MAX / 8]);
    for number in 1..=8 {
        if number == 8 {
            let caught = store.catch_up(&from, 100).await.expect("an answer");
            assert_eq!(caught.jobs.len(), 7);
        }
        let large = JobSpec { payload: Some(payload.clone()), ..spec() };
        given(&store, vec![born(number, large, at(0))]).await;
    }
    let caught = store.catch_up(&from, 100).await.expect("an answer");
    assert_eq!((caught.changes, caught.jobs), (ChangesSince::TooMany, Vec::new()));
    assert_eq!(caught.read_through, from);
}

#[tokio::test]
async fn flushed_progress_takes_no_room_once_its_lease_is_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    given(&store, vec![born(1, spec(), at(0))]).await;
    command(&store, 1, start(1), at(1)).await;
    commit(&store, Batch { progress: vec![progress(1, 1, 1)], ..batch(at(1)) }).await;
    let mut connection = raw(folder.path()).await;
    for left in [1_i64, 0] {
        let rows = sqlx::query_scalar("SELECT count(*) FROM job_progress");
        let rows: i64 = rows.fetch_one(&mut connection).await.expect("a count");
        assert_eq!(rows, left);
        if left == 1 {
            command(&store, 1, succeed(1), at(2)).await;
        }
    }
}

#[tokio::test]
async fn commit_dropped_half_way_is_rolled_back_or_whole() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    for number in 0..40_u64 {
        let wanted = Batch {
            creates: vec![born(2 * number, spec(), at(0)), born(2 * number + 1, spec(), at(0))],
            ..batch(at(0))
        };
        let id = wanted.id;
        let patience = std::time::Duration::from_micros(number * 50);
        let _ = tokio::time::timeout(patience, store.commit(wanted)).await;
        let whole = store.has_batch(id).await.expect("a read");
        for job in [2 * number, 2 * number + 1] {
            assert_eq!(load(&store, job).await.is_some(), whole, "round {number}");
        }
    }
    given(&store, vec![born(1_000, JobSpec { owner: "me".to_owned(), ..spec() }, at(0))]).await;
}

/// How all that runs is counted: in a round, as the writer remembers it, and on disk.
async fn counted(store: &SqliteStore) -> (Standing, Standing) {
    let claims = Claims {
        running: true,
        queues: [queue("default")].into(),
        types: [job_type("sync")].into(),
        values: (0..8).map(|job| (job_type("sync"), job.to_string())).collect(),
        ..Claims::default()
    };
    let round = store.begin_round(&claims).await.expect("a round");
    let known = round.standing().clone();
    round.abandon().await;
    (known, store.standing(&claims).await.expect("a read"))
}

#[tokio::test]
async fn what_runs_is_counted_right_after_commits_that_were_left_half_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = sqlite(folder.path()).await;
    let of =
        |job: u64| JobSpec { labels: [("tenant".to_owned(), job.to_string())].into(), ..spec() };
    given(&store, (0..8).map(|job| born(job, of(job), at(0))).collect()).await;
    assert_eq!(counted(&store).await.0, Standing::default());
    for job in 0..8 {
        let waiting = load(&store, job).await.expect("it is there");
        let write = keyed(decide(&waiting, start(1), at(1)).expect("it may start"), "tenant");
        let mut committing = store.commit(Batch { writes: vec![write], ..batch(at(1)) });
        // Whoever waited for it is gone after so many steps of it.
        for _ in 0..=job {
            let step =
                std::future::poll_fn(|context| Poll::Ready(committing.as_mut().poll(context)));
            if step.await.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        drop(committing);
        let (known, on_disk) = counted(&store).await;
        assert_eq!(known, on_disk, "after {job} steps");
    }
    commit(&store, batch(at(2))).await;
    store.close().await;
}
