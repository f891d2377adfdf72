//! What the store in PostgreSQL does when its database, or the way to it, fails.

use std::sync::Arc;
use std::time::Duration;

use jobplane::domain::{BatchId, Position};
use jobplane::store::postgres::{Options, PostgresStore};
use jobplane::store::{Batch, ChangesSince, Error, Store as _, Written};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use crate::cluster::{self, Cluster, Disk};
use crate::world::{at, batch, born, commit, given, job_id, load, options, postgres, spec};

/// More than anything here takes on a machine that does something else too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again until there is an answer that pleases.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what}"))
}

async fn until_well(store: &PostgresStore) {
    until("the store is well again", async || store.ping().await.ok()).await;
    let writable = async || store.prune(nothing()).await.ok();
    until("the store writes again", writable).await;
}

fn nothing() -> jobplane::store::Prune {
    jobplane::store::Prune {
        changes_before: at(0),
        sessions_before: at(0),
        requests_before: at(0),
        buckets_before: at(0),
        events_before: at(0),
        audit_before: at(0),
        limit: 1,
    }
}

/// Creates a job as the writer does it: what is unknown is looked up before it is repeated.
async fn create(store: &PostgresStore, number: u64) {
    until("the job is created", async || {
        let wanted = Batch { creates: vec![born(number, spec(), at(0))], ..batch(at(0)) };
        let id = wanted.id;
        match store.commit(wanted).await {
            Ok(committed) => {
                assert_eq!(committed.creates, [Written::Done]);
                Some(())
            }
            Err(Error::OutcomeUnknown(_)) => {
                let look = async || store.has_batch(id).await.ok();
                until("it is known", look).await.then_some(())
            }
            Err(Error::Unavailable(_)) => None,
            Err(error) => panic!("{error:?}"),
        }
    })
    .await;
}

#[tokio::test]
async fn terminated_connections_cost_nothing_that_was_answered() {
    const JOBS: u64 = 100;
    let Some(database) = postgres().await else { return };
    let mut killer = database.cluster.connect("postgres").await;
    let (stop, stopped) = watch::channel(false);
    let store = &database.store;
    let one = |from: u64| async move {
        for number in (from..JOBS).step_by(4) {
            create(store, number).await;
        }
    };
    let work = async {
        tokio::join!(one(0), one(1), one(2), one(3));
        stop.send_replace(true);
    };
    let kill = async {
        let mut killed = 0_i64;
        while !*stopped.borrow() {
            let end = format!(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                 WHERE datname = '{}'",
                database.name
            );
            let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(end)).fetch_one(&mut killer);
            killed += count.await.expect("a count");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        killed
    };
    let ((), killed) = tokio::join!(work, kill);
    assert!(killed > 0, "nobody was killed");
    until_well(store).await;
    for number in 0..JOBS {
        assert!(load(store, number).await.is_some(), "job {number}");
    }
    let stored: i64 = store.counts().await.expect("counts").iter().map(|count| count.stored).sum();
    assert_eq!(stored, i64::try_from(JOBS).expect("small"), "each job counts once");
    // Every connection can still be had, all at once.
    let reads = (0..64).map(|_| store.ping());
    let answers = timeout(PATIENCE, futures_util::future::join_all(reads)).await.expect("answers");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    killer.close().await.expect("it closes");
    database.remove().await;
}

#[tokio::test]
async fn place_from_before_a_crash_misses_nothing_that_comes_after_it() {
    let Some(cluster) = Cluster::start(Disk::Lazy) else { return };
    let name = cluster.create(None).await;
    let store = PostgresStore::open(options(cluster.url(&name))).await.expect("it opens");
    given(&store, vec![born(1, spec(), at(0))]).await;
    // Transactions that leave nothing on disk: their numbers are given again after a crash.
    let mut stranger = cluster.connect(&name).await;
    for _ in 0..20 {
        stranger
            .execute("BEGIN; SELECT pg_current_xact_id(); ROLLBACK")
            .await
            .expect("a transaction");
    }
    let before = store.position().await.expect("a position");
    cluster.kill();
    assert!(store.ping().await.is_err(), "it is down");
    cluster.start_again();
    until_well(&store).await;
    assert!(load(&store, 1).await.is_some(), "what was answered is kept");
    let late = || Batch { creates: vec![born(2, spec(), at(0))], ..batch(at(0)) };
    let first = late();
    let committed = match store.commit(first.clone()).await {
        // It went out on a connection that nobody knew to be dead.
        Err(Error::OutcomeUnknown(_)) => {
            assert!(!store.has_batch(first.id).await.expect("an answer"));
            commit(&store, late()).await
        }
        committed => committed.expect("a commit"),
    };
    match store.changes_since(&before, 100).await.expect("an answer") {
        ChangesSince::Found { ids, position, .. } => {
            assert_eq!(ids, [job_id(2)]);
            assert!(position.covers(&before));
            assert!(position.covers(&committed.position.expect("a place")));
        }
        other => panic!("{other:?}"),
    }
    store.close().await;
}

#[tokio::test]
async fn batch_that_was_looked_for_in_vain_is_never_committed() {
    let Some(database) = postgres().await else { return };
    let store = &database.store;
    let late = Batch { creates: vec![born(1, spec(), at(0))], ..batch(at(0)) };
    for _ in 0..2 {
        assert!(!store.has_batch(late.id).await.expect("an answer"));
    }
    let refused = store.commit(late).await;
    assert!(matches!(refused, Err(Error::Unavailable(_))), "{refused:?}");
    assert!(load(store, 1).await.is_none());
    database.remove().await;
}

#[tokio::test]
async fn to_look_for_a_batch_waits_for_its_commit() {
    let Some(database) = postgres().await else { return };
    let mut other = database.cluster.connect(&database.name).await;
    for end in ["COMMIT", "ROLLBACK"] {
        let id = BatchId(Uuid::now_v7());
        other.execute("BEGIN").await.expect("a transaction");
        sqlx::query("INSERT INTO changes VALUES ($1, 1, 1, '{}', false, 0, '{}', '[]', '[]')")
            .bind(id.0)
            .execute(&mut other)
            .await
            .expect("a row");
        let looking = database.store.has_batch(id);
        let mut looking = std::pin::pin!(looking);
        let early = timeout(Duration::from_millis(200), &mut looking).await;
        assert!(early.is_err(), "nobody can know: {early:?}");
        other.execute(end).await.expect("an end");
        assert_eq!(looking.await.expect("an answer"), end == "COMMIT");
    }
    other.close().await.expect("it closes");
    database.remove().await;
}

#[tokio::test]
async fn read_only_database_is_unavailable_until_it_is_writable() {
    let Some(cluster) = cluster::shared() else { return };
    let database = postgres().await.expect("a database");
    let set = |value: &str| {
        let name = &database.name;
        cluster.run(format!("ALTER DATABASE {name} SET default_transaction_read_only = {value}"))
    };
    let throw_out = || {
        cluster.run(format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'",
            database.name
        ))
    };
    set("on").await;
    throw_out().await;
    let refused = until("the new setting holds", async || {
        let wanted = Batch { creates: vec![born(1, spec(), at(0))], ..batch(at(0)) };
        match database.store.commit(wanted).await {
            Err(Error::Unavailable(source)) if source.to_string().contains("read-only") => Some(()),
            Err(Error::Unavailable(_) | Error::OutcomeUnknown(_)) => None,
            other => panic!("{other:?}"),
        }
    });
    refused.await;
    set("off").await;
    throw_out().await;
    create(&database.store, 1).await;
    database.remove().await;
}

/// A way to the database that can be cut without either side hearing of it.
struct Way {
    port: u16,
    open: watch::Sender<bool>,
    tasks: tokio::task::JoinSet<()>,
}

impl Way {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let (open, is_open) = watch::channel(true);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut ways = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { continue };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                ways.spawn(carry(near_in, far_out, is_open.clone()));
                ways.spawn(carry(far_in, near_out, is_open.clone()));
            }
        });
        Self { port: own, open, tasks }
    }
}

/// Bytes that come while the way is cut are lost, and with them what that connection was good for.
async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    is_open: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 64 * 1024];
    let mut is_cut = false;
    while let Ok(count) = from.read(&mut bytes).await
        && count > 0
    {
        is_cut |= !*is_open.borrow();
        if !is_cut && to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
    if is_cut {
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn silently_dead_connection_is_given_up_in_time_and_its_place_is_free() {
    let Some(database) = postgres().await else { return };
    let mut way = Way::to(database.cluster.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", way.port, database.name);
    let statement_timeout = Duration::from_millis(500);
    let options = Options { statement_timeout, lanes: 1, ..options(url) };
    let store = Arc::new(PostgresStore::open(options).await.expect("it opens"));
    given(&*store, vec![born(1, spec(), at(0))]).await;
    way.open.send_replace(false);
    let wanted = Batch { creates: vec![born(2, spec(), at(0))], ..batch(at(0)) };
    let id = wanted.id;
    let answer = timeout(PATIENCE, store.commit(wanted)).await.expect("it gives up");
    assert!(matches!(answer, Err(Error::OutcomeUnknown(_) | Error::Unavailable(_))), "{answer:?}");
    let reads = (0..32).map(|_| store.ping());
    let answers = timeout(PATIENCE, futures_util::future::join_all(reads)).await.expect("answers");
    assert!(answers.iter().all(|answer| matches!(answer, Err(Error::Unavailable(_)))));
    way.open.send_replace(true);
    until_well(&store).await;
    let happened = store.has_batch(id).await.expect("it is known");
    assert_eq!(load(&*store, 2).await.is_some(), happened);
    create(&store, 3).await;
    store.close().await;
    way.tasks.shutdown().await;
    database.remove().await;
}

#[tokio::test]
async fn own_commits_are_left_out_of_what_others_did_but_not_one_in_doubt() {
    let Some(database) = postgres().await else { return };
    let mut way = Way::to(database.cluster.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", way.port, database.name);
    let store = PostgresStore::open(options(url)).await.expect("it opens");
    let before = store.position().await.expect("a position");
    given(&store, vec![born(1, spec(), at(0))]).await;
    given(&database.store, vec![born(2, spec(), at(0))]).await;
    let named = async |store: &dyn jobplane::store::Store| {
        let others = store.others_since(&before, 100).await.expect("an answer");
        let ChangesSince::Found { mut ids, ready, .. } = others else { panic!("{others:?}") };
        ids.sort_unstable();
        (ids, ready.len())
    };
    assert_eq!(named(&store).await, (vec![job_id(2)], 1));
    assert_eq!(named(&database.store).await, (vec![job_id(1)], 1));
    // It waits for a lock when its way is cut: it happens, and nobody hears of it.
    let mut blocker = database.cluster.connect(&database.name).await;
    blocker.execute("BEGIN; LOCK TABLE stat_deltas").await.expect("a lock");
    let unheard = Batch { creates: vec![born(3, spec(), at(0))], ..batch(at(0)) };
    let cut = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted \
            AND relation = 'stat_deltas'::regclass";
        until("the commit waits", async || {
            let waiting: i64 = sqlx::query_scalar(waits).fetch_one(&mut blocker).await.ok()?;
            (waiting > 0).then_some(())
        })
        .await;
        way.open.send_replace(false);
        blocker.execute("ROLLBACK").await.expect("no lock");
    };
    let (answer, ()) = futures_util::future::join(store.commit(unheard), cut).await;
    assert!(matches!(answer, Err(Error::OutcomeUnknown(_))), "{answer:?}");
    way.open.send_replace(true);
    until_well(&store).await;
    assert_eq!(named(&store).await, (vec![job_id(2), job_id(3)], 1));
    blocker.close().await.expect("it closes");
    store.close().await;
    way.tasks.shutdown().await;
    database.remove().await;
}

#[tokio::test]
async fn to_look_for_a_batch_over_a_silently_dead_connection_is_given_up_in_time() {
    let Some(database) = postgres().await else { return };
    let mut way = Way::to(database.cluster.port()).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", way.port, database.name);
    let statement_timeout = Duration::from_millis(500);
    let options = Options { statement_timeout, ..options(url) };
    let store = PostgresStore::open(options).await.expect("it opens");
    // A connection that was used a moment ago is not asked whether it is still there.
    let id = BatchId(Uuid::now_v7());
    assert!(!store.has_batch(id).await.expect("an answer"));
    way.open.send_replace(false);
    let answer = timeout(PATIENCE, store.has_batch(id)).await.expect("it gives up");
    assert!(matches!(answer, Err(Error::Unavailable(_))), "{answer:?}");
    way.open.send_replace(true);
    until_well(&store).await;
    assert!(!store.has_batch(id).await.expect("an answer"));
    store.close().await;
    way.tasks.shutdown().await;
    database.remove().await;
}

#[tokio::test]
async fn call_dropped_half_way_leaves_its_place_free_and_a_batch_whole() {
    let Some(database) = postgres().await else { return };
    let store =
        PostgresStore::open(Options { lanes: 1, ..options(database.cluster.url(&database.name)) })
            .await
            .expect("it opens");
    for number in 0..40_u64 {
        let wanted = Batch {
            creates: vec![born(2 * number, spec(), at(0)), born(2 * number + 1, spec(), at(0))],
            ..batch(at(0))
        };
        let id = wanted.id;
        let patience = Duration::from_micros(number * 100);
        let _ = timeout(patience, store.commit(wanted)).await;
        let whole = store.has_batch(id).await.expect("a read");
        for job in [2 * number, 2 * number + 1] {
            assert_eq!(load(&store, job).await.is_some(), whole, "round {number}");
        }
    }
    given(&store, vec![born(1_000, spec(), at(0))]).await;
    assert_ne!(store.position().await.expect("a position"), Position::snapshot(0, Vec::new()));
    store.close().await;
    database.remove().await;
}
