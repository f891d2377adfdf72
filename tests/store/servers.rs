//! Several servers over one PostgreSQL: how they begin, and what they hear of each other.

use std::time::Duration;

use jobplane::domain::JobId;
use jobplane::domain::limits::DATABASE_NEWS_REST;
use jobplane::store::postgres::{Listen, OpenError, Options, PostgresStore, migrate};
use jobplane::store::{
    Batch, Error, News, RuleKey, RuleKind, RuleWrite, SessionWrite, Store as _, Written,
};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::time::timeout;

use crate::cluster;
use crate::world::{
    at, batch, born, database, decide, given, load, options, probe, round, session, spec, start,
};

const PATIENCE: Duration = Duration::from_secs(60);

async fn listener(url: &str) -> PostgresStore {
    let options = Options { listen: Listen::Here, ..options(url.to_owned()) };
    PostgresStore::open(options).await.expect("it opens")
}

async fn told(store: &PostgresStore) -> News {
    timeout(PATIENCE, store.told()).await.expect("news").expect("it hears")
}

#[tokio::test]
async fn servers_that_begin_at_once_make_the_schema_once() {
    let Some(cluster) = cluster::shared() else { return };
    let name = cluster.create(None).await;
    let url = cluster.url(&name);
    let open = migrate(&options(url.clone()), true).await.expect("a look");
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres"));
    assert_eq!(open.len(), files.expect("a folder").count());
    let begin = || PostgresStore::open(options(url.clone()));
    let begun = futures_util::future::join_all((0..6).map(|_| begin())).await;
    let mut stores: Vec<_> = begun.into_iter().map(|store| store.expect("it opens")).collect();
    assert_eq!(migrate(&options(url.clone()), true).await.expect("a look"), []);
    assert_eq!(migrate(&options(url.clone()), false).await.expect("nothing to do"), []);
    let origin = stores[0].origin().await.expect("an origin");
    for store in &stores {
        assert_eq!(store.origin().await.expect("an origin"), origin);
    }
    given(&stores.remove(0), vec![born(1, spec(), at(0))]).await;
    assert!(load(&stores[4], 1).await.is_some());
}

#[tokio::test]
async fn schema_that_is_not_ours_is_refused_and_left_alone() {
    let Some(cluster) = cluster::shared() else { return };
    let name = cluster.create(None).await;
    let url = cluster.url(&name);
    let refusal = async || PostgresStore::open(options(url.clone())).await.err();
    let mut connection = cluster.connect(&name).await;
    connection.execute("CREATE TABLE jobs (id int)").await.expect("a table");
    assert!(matches!(refusal().await, Some(OpenError::Foreign)));
    connection.execute("DROP TABLE jobs").await.expect("gone");
    PostgresStore::open(options(url.clone())).await.expect("it opens").close().await;
    let later = "INSERT INTO _sqlx_migrations VALUES (900, 'later', now(), true, '', 0)";
    connection.execute(later).await.expect("a row");
    let refused = refusal().await;
    assert!(matches!(refused, Some(OpenError::SchemaTooNew { found: 900, .. })), "{refused:?}");
    connection.execute("DELETE FROM _sqlx_migrations WHERE version = 900").await.expect("gone");
    connection.execute("UPDATE _sqlx_migrations SET checksum = ''").await.expect("changed");
    assert!(matches!(refusal().await, Some(OpenError::SchemaDiffers { version: 1 })));
    connection.close().await.expect("it closes");
}

#[tokio::test]
async fn database_that_cannot_be_used_says_why() {
    let Some(cluster) = cluster::shared() else { return };
    let refusal = async |url: String| match PostgresStore::open(options(url)).await {
        Ok(_) => panic!("it opens"),
        Err(error) => error,
    };
    assert!(matches!(refusal(cluster.url("nowhere")).await, OpenError::NoDatabase { .. }));
    let nobody = cluster.url("postgres").replace("postgres@", "nobody_at_all@");
    assert!(matches!(refusal(nobody).await, OpenError::Denied { .. }));
    let tls = format!("{}?sslmode=require", cluster.url("postgres"));
    assert!(matches!(refusal(tls).await, OpenError::Tls { .. }));
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    drop(silent);
    let closed = format!("postgres://postgres:secret@127.0.0.1:{port}/x");
    let refused = refusal(closed).await;
    assert!(matches!(refused, OpenError::Unreachable { .. }), "{refused:?}");
    assert!(!format!("{refused:?}").contains("secret"));
    assert!(matches!(refusal("postgres://a b".to_owned()).await, OpenError::Url(_)));
}

#[tokio::test]
async fn copy_of_a_database_is_another_change_log() {
    let Some(cluster) = cluster::shared() else { return };
    let name = cluster.create(None).await;
    let store = PostgresStore::open(options(cluster.url(&name))).await.expect("it opens");
    let origin = store.origin().await.expect("an origin");
    store.close().await;
    let copy = cluster.create(Some(&name)).await;
    let copied = PostgresStore::open(options(cluster.url(&copy))).await.expect("it opens");
    assert_ne!(copied.origin().await.expect("an origin").store, origin.store);
    copied.close().await;
    let again = PostgresStore::open(options(cluster.url(&name))).await.expect("it opens");
    assert_eq!(again.origin().await.expect("an origin"), origin);
    again.close().await;
}

#[tokio::test]
async fn news_reach_the_others_and_not_oneself() {
    let Some(cluster) = cluster::shared() else { return };
    let name = cluster.create(None).await;
    let url = cluster.url(&name);
    let (one, other) = (listener(&url).await, listener(&url).await);
    let all = News { changes: true, progress: true };
    // Whoever begins to listen has missed something.
    assert_eq!((told(&one).await, told(&other).await), (all, all));
    let changes = News { changes: true, progress: false };
    one.tell(changes).await.expect("told");
    assert_eq!(told(&other).await, changes);
    let itself = timeout(Duration::from_millis(300), one.told()).await;
    assert!(itself.is_err(), "{itself:?}");
    // Told all at once, they come as few.
    let tell = |_| one.tell(News { changes: false, progress: true });
    let told_all = futures_util::future::join_all((0..50).map(tell)).await;
    assert!(told_all.iter().all(Result::is_ok));
    assert!(told(&other).await.progress);
    let more = async {
        let mut more = 0;
        while timeout(Duration::from_millis(300), other.told()).await.is_ok() {
            more += 1;
        }
        more
    };
    assert!(more.await <= 2, "a word for each");
    // Who loses the connection may have missed something, and hears again afterwards.
    let mut killer = cluster.connect(&name).await;
    killer
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND query ILIKE 'LISTEN%'",
        )
        .await
        .expect("killed");
    let again = async {
        loop {
            if let Ok(news) = other.told().await {
                return news;
            }
        }
    };
    assert_eq!(timeout(PATIENCE, again).await.expect("news"), all);
    one.tell(changes).await.expect("told");
    assert_eq!(told(&other).await, changes);
    killer.close().await.expect("it closes");
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn commit_after_a_rest_tells_the_others_by_itself_and_the_next_one_does_not() {
    let Some(cluster) = cluster::shared() else { return };
    let name = cluster.create(None).await;
    let url = cluster.url(&name);
    let (one, other) = (listener(&url).await, listener(&url).await);
    told(&one).await;
    told(&other).await;
    let made = |number| Batch { creates: vec![born(number, spec(), at(0))], ..batch(at(0)) };
    let committed = one.commit(made(1)).await.expect("a commit");
    assert!(committed.told);
    assert_eq!(told(&other).await, News { changes: true, progress: false });
    assert!(load(&other, 1).await.is_some(), "it is there when it is heard of");
    // What all servers go by is told as soon, what a start has left of a rate is not told at all.
    tokio::time::sleep(DATABASE_NEWS_REST * 2).await;
    let rule = |kind| {
        let write = RuleWrite::put(RuleKey::new(kind, "mail"), 0, &true).expect("it encodes");
        Batch { rules: vec![write], ..batch(at(0)) }
    };
    assert!(!one.commit(rule(RuleKind::Rate)).await.expect("a commit").told);
    assert!(one.commit(rule(RuleKind::Queue)).await.expect("a commit").told);
    assert_eq!(told(&other).await, News { changes: true, progress: false });
    // Within a tenth of a second; a machine that is slow needs another try.
    let soon = async {
        loop {
            let [first, second] = [2, 3].map(|_| JobId(uuid::Uuid::now_v7()));
            let made = |id| {
                let mut new = born(4, spec(), at(0));
                new.job.id = id;
                Batch { creates: vec![new], ..batch(at(0)) }
            };
            one.commit(made(first)).await.expect("a commit");
            if !one.commit(made(second)).await.expect("a commit").told {
                return;
            }
        }
    };
    timeout(PATIENCE, soon).await.expect("one that tells nobody");
    one.close().await;
    other.close().await;
}

/// As it is while the queue of what is told is full: whoever tells is refused when he commits.
const FULL: &str = "CREATE TABLE said (word text);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE 'too many notifications in the NOTIFY queue' USING ERRCODE = '54000'; END $$;
    CREATE CONSTRAINT TRIGGER no_room AFTER INSERT ON said DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse();
    CREATE FUNCTION public.pg_notify(text, text) RETURNS void LANGUAGE sql VOLATILE AS
    $$ INSERT INTO public.said VALUES ($2) $$";

#[tokio::test]
async fn commit_that_cannot_tell_is_made_all_the_same() {
    let Some(cluster) = cluster::shared() else { return };
    let name = database(cluster).await;
    let mut connection = cluster.connect(&name).await;
    connection.execute(FULL).await.expect("a full queue");
    let path = format!("ALTER DATABASE {name} SET search_path = public, pg_catalog");
    connection.execute(AssertSqlSafe(path)).await.expect("ours is found first");
    let open = || PostgresStore::open(options(cluster.url(&name)));
    // By one statement, and by a transaction.
    for (number, sessions) in [(1, vec![]), (2, vec![SessionWrite::Open(session(1, "a", at(0)))])] {
        let store = open().await.expect("it opens");
        let creates = vec![born(number, spec(), at(0))];
        let committed = store.commit(Batch { creates, sessions, ..batch(at(0)) }).await;
        let committed = committed.expect("a commit");
        assert_eq!((committed.creates, committed.told), (vec![Written::Done], false));
        assert!(load(&store, number).await.is_some());
        store.close().await;
    }
    // A round lets go of what it keeps: the next one is made.
    let store = open().await.expect("it opens");
    let mut made = Vec::new();
    for _ in 0..2 {
        let round = round(&store, &[probe(1)], at(1)).await;
        let write = decide(&round.candidates()[0], start(1), at(1)).expect("it is due");
        made.push(round.commit(Batch { writes: vec![write], ..batch(at(1)) }).await);
    }
    assert!(matches!(made[0], Err(Error::Unavailable(_))), "{made:?}");
    assert_eq!(made[1].as_ref().expect("a commit").writes, [Written::Done]);
    // Nobody is told by a commit until somebody can be told.
    let changes = News { changes: true, progress: false };
    assert!(store.tell(changes).await.is_err());
    connection.execute("DROP TRIGGER no_room ON said").await.expect("there is room again");
    store.tell(changes).await.expect("told");
    let told = async {
        for number in 10.. {
            let made = Batch { creates: vec![born(number, spec(), at(0))], ..batch(at(0)) };
            if store.commit(made).await.expect("a commit").told {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("one that tells");
    store.close().await;
    connection.close().await.expect("it closes");
    cluster.remove(&name).await;
}

#[tokio::test]
async fn closed_store_is_unavailable() {
    let Some(cluster) = cluster::shared() else { return };
    let name = cluster.create(None).await;
    let store = PostgresStore::open(options(cluster.url(&name))).await.expect("it opens");
    given(&store, vec![born(1, spec(), at(0))]).await;
    store.close().await;
    let late = Batch { creates: vec![born(2, spec(), at(0))], ..batch(at(1)) };
    assert!(store.commit(late).await.is_err());
    assert!(store.ping().await.is_err());
    let mut connection = cluster.connect(&name).await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'jobplane' \
        AND datname = current_database()";
    // A backend takes a moment to hear the goodbye.
    let gone = async {
        while sqlx::query_scalar::<_, i64>(count).fetch_one(&mut connection).await.expect("it") > 0
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("no connection is left");
    connection.close().await.expect("it closes");
}
