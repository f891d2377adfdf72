//! The store in PostgreSQL behind PgBouncer in transaction mode: no session is ours.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use jobplane::store::postgres::{Listen, Options, PostgresStore};
use jobplane::store::{Batch, Error, News, Store as _, Written};
use tokio::time::timeout;

use crate::cluster::{self, Cluster, Disk};
use crate::world::{
    at, batch, born, command, given, job_id, load, open_session, options, postgres, probe,
    progress, round, session, spec, start, succeed,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A PgBouncer of one test.
struct Bouncer {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

fn binary() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    let found = folders.map(|folder| folder.join("pgbouncer")).find(|file| file.is_file());
    if found.is_none() {
        let why = "no PgBouncer: pgbouncer is neither on the PATH nor in /usr/sbin";
        assert!(std::env::var_os("JOBPLANE_REQUIRE_ALL").is_none_or(|all| all != "1"), "{why}");
        eprintln!("skipped: {why}");
    }
    found
}

fn write(file: &Path, text: &str) {
    std::fs::write(file, text).expect("a file");
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).expect("readable");
}

impl Bouncer {
    async fn before(database: u16) -> Option<Self> {
        let binary = binary()?;
        let folder = tempfile::tempdir().expect("a folder");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let users = folder.path().join("users");
        write(&users, "\"postgres\" \"\"\n");
        let settings = folder.path().join("pgbouncer.ini");
        write(
            &settings,
            &format!(
                "[databases]\n* = host=127.0.0.1 port={database}\n[pgbouncer]\n\
                 listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                 auth_type = trust\nauth_file = {}\npool_mode = transaction\n\
                 default_pool_size = 3\n",
                users.display()
            ),
        );
        let mut command = Command::new(binary);
        command.arg("--quiet").arg(&settings).stdin(Stdio::null());
        // It does not run as root.
        if std::fs::metadata(folder.path()).expect("a folder").uid() == 0 {
            let (user, group) = cluster::servant();
            chown(folder.path(), Some(user), Some(group)).expect("root may");
            command.uid(user).gid(group);
        }
        let child = command.spawn().expect("it starts");
        let bouncer = Self { child, port, _folder: folder };
        let answers = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, answers).await.expect("it answers");
        Some(bouncer)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn store_works_behind_a_pooler_and_hears_past_it() {
    let Some(database) = postgres().await else { return };
    let Some(bouncer) = Bouncer::before(database.cluster.port()).await else { return };
    let direct = database.cluster.url(&database.name);
    let url = format!("postgres://postgres@127.0.0.1:{}/{}", bouncer.port, database.name);
    let behind = async |listen| {
        let options = Options { pooler: true, lanes: 8, listen, ..options(url.clone()) };
        PostgresStore::open(options).await.expect("it opens")
    };
    let (one, other) = (behind(Listen::At(direct)).await, behind(Listen::Never).await);
    // More transactions at once than the pooler has sessions, so each meets many.
    let create = async |store: &PostgresStore, number: u64| {
        let creates = vec![born(number, spec(), at(0))];
        let committed = store.commit(Batch { creates, ..batch(at(0)) }).await.expect("a commit");
        assert_eq!(committed.creates, [Written::Done]);
        assert!(load(store, number).await.is_some());
    };
    let stores = [&one, &other];
    let creates = (0..200_u64).map(|number| create(stores[usize::from(number % 2 == 0)], number));
    timeout(PATIENCE, futures_util::future::join_all(creates)).await.expect("all are made");
    let count =
        other.count(&jobplane::domain::filter::JobFilter::default(), 1_000).await.expect("a count");
    assert_eq!(count, 200);
    // Sessions, rounds, progress, the change log.
    let before = one.position().await.expect("a position");
    open_session(&one, session(1, "i", at(0))).await;
    let round = round(&one, &[probe(5)], at(1)).await;
    assert_eq!(round.candidates().len(), 5);
    round.abandon().await;
    command(&one, 1, start(1), at(1)).await;
    let flushed = Batch { progress: vec![progress(1, 1, 7)], ..batch(at(2)) };
    other.commit(flushed).await.expect("a flush");
    assert_eq!(load(&one, 1).await.expect("the job").status.progress.sequence, 7);
    command(&other, 1, succeed(1), at(3)).await;
    let changed = one.changes_since(&before, 100).await.expect("an answer");
    let jobplane::store::ChangesSince::Found { ids, .. } = changed else { panic!("{changed:?}") };
    assert_eq!(ids, [job_id(1)]);
    one.fold().await.expect("a fold");
    // News are told through the pooler and heard past it.
    let told = async || timeout(PATIENCE, one.told()).await.expect("news").expect("it hears");
    told().await;
    let news = News { changes: true, progress: false };
    other.tell(news).await.expect("told");
    assert_eq!(told().await, news);
    given(&one, vec![born(500, spec(), at(0))]).await;
    one.close().await;
    other.close().await;
    drop(bouncer);
    database.remove().await;
}

#[tokio::test]
async fn commit_behind_a_pooler_that_loses_the_database_is_not_called_refused() {
    let Some(cluster) = Cluster::start(Disk::Lazy) else { return };
    let Some(bouncer) = Bouncer::before(cluster.port()).await else { return };
    let name = cluster.create(None).await;
    let url = format!("postgres://postgres@127.0.0.1:{}/{name}", bouncer.port);
    let options = Options { pooler: true, listen: Listen::Never, ..options(url) };
    let store = PostgresStore::open(options).await.expect("it opens");
    // What is written waits for a standby that never comes, and is committed here already.
    cluster.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'".to_owned()).await;
    cluster.run("SELECT pg_reload_conf()".to_owned()).await;
    let creates = vec![born(1, spec(), at(0))];
    let commit = store.commit(Batch { creates, ..batch(at(0)) });
    let crash = async {
        let mut looker = cluster.connect("postgres").await;
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        while sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut looker).await.expect("a count")
            == 0
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cluster.kill();
    };
    let (answer, ()) =
        timeout(PATIENCE, async { tokio::join!(commit, crash) }).await.expect("an end");
    assert!(matches!(answer, Err(Error::OutcomeUnknown(_))), "{answer:?}");
    store.close().await;
}
