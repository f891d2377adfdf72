//! The server under test.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jobplane::app::App;
use jobplane::config::{Config, Periods};
use jobplane::domain::{BatchId, SessionId, Timestamp};
use jobplane::engine::Engine;
use jobplane::proto::v1;
use jobplane::runtime::Clock;
use jobplane::store::memory::MemoryStore;
use jobplane::store::postgres::{self, LeaseClock, PostgresStore};
use jobplane::store::sqlite::{Options, SqliteStore};
use jobplane::store::{Batch, SessionWrite, Store};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tracing::Level;
use tracing::subscriber::DefaultGuard;
use uuid::Uuid;

use super::client::{Client, channel};
use super::event_log::EventLog;
use super::faulty::{Faults, FaultyStore};
use super::raw::StalledWatch;
use super::wait::{SOON, within};
use super::watcher::Watcher;
use super::worker::Hire;
use crate::cluster;

/// Where the jobs of a test are kept.
enum Place {
    Folder(TempDir),
    Memory(Arc<MemoryStore>),
    /// By the URL of the database.
    Postgres(String),
}

/// A store that several servers may be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// In memory.
    Memory,
    /// A database of its own.
    Postgres,
}

impl Shared {
    /// Whether it can be had on this machine.
    pub fn is_there(self) -> bool {
        match self {
            Self::Memory => true,
            Self::Postgres => cluster::shared().is_some(),
        }
    }
}

/// What a test is started on.
enum Kind {
    Sqlite,
    Memory,
    Shared(Shared),
}

impl Kind {
    async fn place(&self) -> Place {
        match self {
            Self::Sqlite => Place::Folder(tempfile::tempdir().expect("a folder")),
            Self::Memory => Place::Memory(Arc::new(MemoryStore::new())),
            Self::Shared(Shared::Memory) => {
                Place::Memory(Arc::new(MemoryStore::shared(Clock::new())))
            }
            Self::Shared(Shared::Postgres) => {
                let cluster = cluster::shared().expect("it is there");
                Place::Postgres(cluster.url(&cluster.create(None).await))
            }
        }
    }
}

impl Place {
    /// The same place for another server.
    fn another(&self) -> Self {
        match self {
            Self::Folder(_) => panic!("one server owns the file"),
            Self::Memory(store) => {
                Self::Memory(Arc::new(store.another().expect("a store that is shared")))
            }
            Self::Postgres(url) => Self::Postgres(url.clone()),
        }
    }
}

/// A server to be started.
pub struct Setup {
    config: Config,
    kind: Kind,
    clock: Clock,
    faults: Faults,
}

/// Loops that run so often that tests need not wait for them.
fn brisk() -> Periods {
    let often = Duration::from_millis(50);
    Periods {
        flush: often,
        sessions: often,
        leases: often,
        deadlines: often,
        poll: 2 * often,
        logs: often,
        lease_grace: Duration::ZERO,
        ..Periods::default()
    }
}

impl Setup {
    /// Keeps jobs in memory: for tests about something else than keeping.
    pub fn in_memory(mut self) -> Self {
        self.kind = Kind::Memory;
        self
    }

    /// Keeps jobs where other servers may be [beside](Server::beside) it.
    pub fn over(mut self, store: Shared) -> Self {
        self.kind = Kind::Shared(store);
        self
    }

    /// It is told the time by this clock, as its machine would.
    pub fn by(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// It and its store go by this clock, which the test sets forward: hours pass in a moment.
    pub fn in_its_own_time(self, clock: Clock) -> Self {
        self.faults.lose_time();
        self.by(clock)
    }

    /// Looks for what other servers did only when it is told to.
    pub fn hearing_only(self) -> Self {
        self.with(|config| config.periods.poll = Duration::from_secs(3600))
    }

    /// Changes the settings.
    pub fn with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self
    }

    /// How long callers wait for the store.
    pub fn store_timeout(self, timeout: Duration) -> Self {
        self.with(|config| config.store_timeout = timeout)
    }

    /// No loop runs again within the test.
    pub fn without_polling(self) -> Self {
        let hour = Duration::from_secs(3600);
        self.with(|config| {
            config.periods = Periods {
                flush: hour,
                sessions: hour,
                leases: hour,
                deadlines: hour,
                poll: hour,
                logs: hour,
                prune: hour,
                ..Periods::default()
            };
        })
    }

    /// Starts it.
    pub async fn start(self) -> Server {
        let (log, guard) = EventLog::open();
        let place = self.kind.place().await;
        Box::pin(self.start_at(place, log, Some(guard))).await
    }

    /// Starts it over the store of another one, which was set up over a shared one.
    pub async fn start_beside(self, other: &Server) -> Server {
        Box::pin(self.start_at(other.place.another(), other.log.clone(), None)).await
    }

    async fn start_at(self, place: Place, log: EventLog, guard: Option<DefaultGuard>) -> Server {
        let Self { config, clock, faults, .. } = self;
        let (app, store) = launch(&config, &place, &faults, &clock).await;
        let (address, engine) = (app.address, app.engine().clone());
        let running = Running { app, engine, store, address, client: client(address).await };
        Server { running: Some(running), config, clock, place, faults, log, _guard: guard }
    }
}

async fn client(address: SocketAddr) -> Client {
    Client::new(channel(address).await)
}

async fn launch(
    config: &Config,
    place: &Place,
    faults: &Faults,
    clock: &Clock,
) -> (App, Arc<dyn Store>) {
    let store: Arc<dyn Store> = match place {
        Place::Folder(folder) => {
            let url = folder.path().join("jobs.db").display().to_string();
            Arc::new(SqliteStore::open(Options { url, read_pool: 2 }).await.expect("a store"))
        }
        Place::Memory(store) => Arc::clone(store) as _,
        Place::Postgres(url) => {
            let timeless = faults.is_timeless();
            let clock = if timeless { LeaseClock::Caller } else { LeaseClock::Database };
            let options = postgres::Options { url: url.clone(), clock, ..Default::default() };
            Arc::new(PostgresStore::open(options).await.expect("a store"))
        }
    };
    let faulty = FaultyStore::over(Arc::clone(&store), faults.clone());
    let app = App::start_by(config, Arc::new(faulty), clock.clone()).await;
    (app.expect("the server starts"), store)
}

struct Running {
    app: App,
    engine: Engine,
    store: Arc<dyn Store>,
    address: SocketAddr,
    client: Client,
}

/// A server that runs, or is between two runs.
pub struct Server {
    running: Option<Running>,
    config: Config,
    clock: Clock,
    place: Place,
    /// What goes wrong with its store.
    pub faults: Faults,
    log: EventLog,
    _guard: Option<DefaultGuard>,
}

impl Server {
    /// A server on SQLite, in a folder of its own.
    pub async fn start() -> Self {
        Self::setup().start().await
    }

    /// A server with other settings.
    pub fn setup() -> Setup {
        let config = Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            periods: brisk(),
            shutdown_within: Duration::from_secs(5),
            ..Config::default()
        };
        Setup { config, kind: Kind::Sqlite, clock: Clock::new(), faults: Faults::default() }
    }

    /// Another server over the same store, which is a shared one, with the same settings.
    pub async fn beside(&self) -> Self {
        let kind = Kind::Memory;
        let (config, clock) = (self.config.clone(), self.clock.clone());
        let setup = Setup { config, kind, clock, faults: Faults::default() };
        setup.start_beside(self).await
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the server runs")
    }

    /// Calls of clients and of workers without a stream.
    pub fn client(&self) -> Client {
        self.running().client.clone()
    }

    /// The store beneath all faults.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.running().store)
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        self.running().engine.clone()
    }

    /// The time of the server.
    pub fn now(&self) -> Timestamp {
        self.running().engine.clock().now()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// How many events it logged that contain `text`.
    pub fn logged(&self, text: &str) -> usize {
        self.log.count(text)
    }

    /// Forgives the errors logged so far.
    pub fn forgive(&self) {
        self.log.forgive();
    }

    /// Writes nonsense into the rows of these jobs, behind the back of the server. It is on SQLite.
    /// Not on this thread: the server may be in the middle of a transaction, and goes on here.
    pub async fn spoil_jobs(&self, ids: &[String]) {
        let Place::Folder(folder) = &self.place else { panic!("it is not on SQLite") };
        let (path, ids) = (folder.path().join("jobs.db"), ids.to_vec());
        let spoil = move || {
            let file = rusqlite::Connection::open(path).expect("a database");
            for id in ids {
                let id = uuid::Uuid::parse_str(&id).expect("an id").into_bytes();
                let spoil = "UPDATE job_status SET status = x'c1' WHERE id = ?1";
                assert_eq!(file.execute(spoil, [id]).expect("written"), 1);
            }
        };
        tokio::task::spawn_blocking(spoil).await.expect("spoilt");
    }

    /// A worker that may attach.
    pub fn worker(&self, name: &str) -> Hire {
        Hire::new(self.address(), name)
    }

    /// A watcher of a job, who has its snapshot.
    pub async fn watch(&self, job_id: &str) -> Watcher {
        Watcher::open(self.client(), Watcher::wish(job_id)).await
    }

    /// A watcher of a job who reads nothing.
    pub async fn stalled_watch(&self, wish: v1::WatchJobRequest) -> StalledWatch {
        StalledWatch::open(self.address(), wish).await
    }

    /// The answer to a plain HTTP request, as it came.
    pub async fn http_get(&self, path: &str) -> String {
        self.http(&format!("GET {path} HTTP/1.1\r\n")).await
    }

    /// The answer to a request over HTTP/1.1 with these lines, each with its end, as it came.
    pub async fn http(&self, lines: &str) -> String {
        let mut stream = TcpStream::connect(self.address()).await.expect("the server listens");
        let request = format!("{lines}host: test\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    /// Waits until the server cannot go on; says why, and forgives the errors logged so far.
    pub async fn failed(&self) -> String {
        let failed = self.running().app.failed();
        let failure = within(SOON, "the server fails", failed).await;
        self.log.forgive();
        failure.to_string()
    }

    /// The sessions that are open, and not of a single call.
    pub async fn open_sessions(&self) -> Vec<SessionId> {
        let sessions = self.store().sessions(self.now()).await.expect("sessions");
        let open = sessions.into_iter().filter(|session| session.end.is_none() && !session.unary);
        open.map(|session| session.id).collect()
    }

    /// Changes sessions in the store, behind the back of the server.
    pub async fn change_sessions(&self, sessions: Vec<SessionWrite>) {
        let batch = Batch { sessions, ..Batch::new(BatchId(Uuid::now_v7()), self.now()) };
        self.store().commit(batch).await.expect("committed");
    }

    /// Ends the run: nothing may be left over. Answers how long it took.
    pub async fn halt(&mut self) -> Duration {
        let Running { app, engine, store, .. } = self.running.take().expect("the server runs");
        drop(store);
        let began = engine.clock().now();
        assert_eq!(app.stop().await, 0, "tasks did not end by themselves");
        assert_eq!(engine.sessions().count(), 0, "workers are still attached");
        assert_eq!(engine.hub().watchers(), 0, "somebody still watches");
        assert_eq!(engine.feed().watchers(), 0, "somebody still watches many jobs");
        let errors = self.log.of_level(Level::ERROR);
        assert!(errors.is_empty(), "errors were logged:\n  {}", errors.join("\n  "));
        engine.clock().now().since(began)
    }

    /// Ends the run whatever is left over, and the test with it. Answers how long it took.
    pub async fn abandon(mut self) -> Duration {
        let Running { app, engine, .. } = self.running.take().expect("the server runs");
        let began = engine.clock().now();
        app.stop().await;
        engine.clock().now().since(began)
    }

    /// Starts the next run on what the one before left.
    pub async fn resume(&mut self) {
        let (app, store) = launch(&self.config, &self.place, &self.faults, &self.clock).await;
        let (address, engine) = (app.address, app.engine().clone());
        self.running = Some(Running { app, engine, store, address, client: client(address).await });
    }

    /// The next run is told the time by this clock.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// Stops and starts again.
    pub async fn restart(&mut self) {
        self.halt().await;
        self.resume().await;
    }

    /// The end of the test.
    pub async fn stop(mut self) {
        self.halt().await;
    }

    /// The end of the test and of whatever holds on to the server.
    pub async fn stop_with<T>(self, held: T) {
        drop(held);
        self.stop().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        assert!(
            self.running.is_none() || std::thread::panicking(),
            "a test ends with Server::stop, which looks for leftovers"
        );
    }
}
