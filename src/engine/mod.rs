//! The use cases, free of transport: everything the service can do, with the caller's identity.
//!
//! Owns: the write path ([`pipeline`]), dispatch ([`dispatch`]), attached workers ([`session`]), live
//! progress ([`live`]), other servers over the same store ([`replicas`]), and a file for each group of use cases.
//! Does not own: wire messages, statements, states of jobs.
//! Entry: [`Engine`].
//! Invariants: every use case takes the [`Caller`](crate::auth::Caller); nothing is answered before it
//! is durable; no request's future runs database work.

mod breakers;
mod bulk;
mod create;
mod db;
mod defaults;
mod dispatch;
mod drain;
mod error;
mod explain;
mod gauges;
mod health;
mod history;
mod info;
mod jobs;
mod journal;
mod known;
mod live;
mod log_lines;
mod logs;
pub mod pipeline;
mod queues;
mod quotas;
mod readable;
pub mod registry;
mod replicas;
mod retention;
mod schedule;
pub mod session;
mod stats;
mod summary;
mod telling;
mod trigger;
mod types;
mod unary;
mod upkeep;
mod watch;
mod watch_jobs;
mod watchdog;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use uuid::Uuid;

use crate::config::{House, Telling};
use crate::domain::stats::FacetPolicy;
use crate::runtime::{Clock, LoopBoard, Shutdown, Tasks};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::watch::{Feed, Hub};

pub use bulk::{BulkStart, BulkWish};
pub use create::{Assignment, CreateJob, Started};
pub use dispatch::Waiter;
pub use drain::{DrainWorker, WhichWorker};
pub use error::{Error, Result};
pub use health::Health;
pub use info::ServerInfo;
pub use jobs::{JobPage, ListJobs};
pub use logs::{ListLogs, LogGap, LogLine, LogPage};
pub use pipeline::{Adoption, Created};
pub use queues::Queue;
pub use quotas::Quota;
pub use replicas::set_clock;
pub use retention::{LOOP as RETENTION_LOOP, Piece, PurgeJobs, Scribe};
pub use stats::{FacetWindow, Figures, Lately, Stats, StatsFilter, Window};
pub use summary::{Summary, SummaryQuery};
pub use trigger::TriggerType;
pub use types::{PutType, TypeFilter, TypeInfo};
pub use unary::{JobReport, Reported};
pub use watch_jobs::{JobsWatch, Resume, Sent, Start, WatchJobs};
pub use watchdog::{SweepQuery, Swept};
pub use workers::{Worker, WorkerFilter, WorkerState, Workforce, percent};

use db::Db;
use dispatch::{Dispatcher, Line, Starter, Waiters};
use info::Replica;
use known::Known;
use live::Live;
use log_lines::LogLines;
use pipeline::{After, Cache, Pipeline};
use registry::{Followers, Registry};
use replicas::{Ears, Herald, exchange_news};
use retention::Keeping;
use schedule::Agenda;
use session::Sessions;
use telling::Teller;
use watchdog::Watchdogs;

/// What lets background loops act before their period is over.
#[derive(Clone, Default)]
pub struct Nudges {
    /// A session ended and may have left jobs behind.
    pub session_ended: Arc<Notify>,
}

/// How the store is used, and what is told in it.
#[derive(Debug, Clone)]
pub struct Access {
    /// How long a caller waits for it.
    pub timeout: Duration,
    /// Writers, if it takes several at once.
    pub lanes: u32,
    /// Jobs that may run on all servers over it at once; 0 = no cap.
    pub max_running: u32,
    /// What is told, and for how long.
    pub telling: Telling,
    /// How the house is kept.
    pub house: House,
    /// What figures are kept by besides types and queues.
    pub facets: Option<Arc<FacetPolicy>>,
    /// Jobs that may wait in all; 0 = any number.
    pub max_pending: u32,
}

/// What ends when.
pub struct Stops<'a> {
    /// Tasks that end with `shutdown`.
    pub tasks: &'a Tasks,
    /// The writer's task, which ends with `closed`.
    pub writer: &'a Tasks,
    /// The server is about to stop.
    pub shutdown: Shutdown,
    /// Nobody asks any more.
    pub closed: Shutdown,
}

/// All use cases. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// What use cases need.
pub struct Inner {
    pub(crate) clock: Clock,
    pub(crate) hub: Hub,
    pub(crate) feed: Feed,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    pub(crate) tasks: Tasks,
    pub(crate) registry: Arc<Registry>,
    agenda: Arc<Agenda>,
    followers: Arc<Followers>,
    /// Jobs that may wait in all, as this server was told; 0 = any number.
    max_pending: u32,
    /// Whether others write the store, too.
    shared: bool,
    watchdogs: Watchdogs,
    board: LoopBoard,
    nudges: Nudges,
    health: Arc<Health>,
    replica: Replica,
    db: Db,
    /// For what the server does of its own accord.
    loop_db: Db,
    pipeline: Pipeline,
    live: Arc<Live>,
    cache: Arc<Cache>,
    line: Line,
    starter: Starter,
    waiters: Arc<Waiters>,
    known: Known,
    log_lines: Arc<LogLines>,
    ears: Arc<Ears>,
    herald: Herald,
    telling: Teller,
    facets: Option<Arc<FacetPolicy>>,
    keeping: Keeping,
}

impl std::ops::Deref for Engine {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Engine {
    /// Puts the parts together and starts the writers and the dispatcher.
    #[must_use]
    pub fn start_up(
        store: Arc<dyn Store>,
        clock: Clock,
        access: Access,
        metrics: Metrics,
        board: LoopBoard,
        stops: Stops<'_>,
    ) -> Self {
        let Stops { tasks, writer, shutdown, closed } = stops;
        let Access { timeout: store_timeout, lanes, max_running, .. } = access;
        let Access { telling, house, facets, max_pending, .. } = access;
        let is_shared = store.is_shared();
        let db = Db::new(Arc::clone(&store), tasks.clone(), store_timeout);
        let loop_db = db.for_loops();
        let (hub, line) = (Hub::default(), Line::default());
        let (live, cache) = (Arc::new(Live::new(&house)), Arc::new(Cache::default()));
        let (waiters, log_lines) = (Arc::new(Waiters::default()), Arc::new(LogLines::default()));
        let (registry, agenda) = (Arc::new(Registry::default()), Arc::new(Agenda::default()));
        let (nudges, health, ears) = (Nudges::default(), Arc::default(), Arc::new(Ears::default()));
        let herald = if is_shared { Herald::of_shared_store() } else { Herald::default() };
        let sessions = Arc::new(Sessions::new(session::Parts {
            live: Arc::clone(&live),
            hub: hub.clone(),
            line: line.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            db: loop_db.clone(),
            ended: Arc::clone(&nudges.session_ended),
            ears: Arc::clone(&ears),
            registry: Arc::clone(&registry),
        }));
        let feed = start_feed(is_shared, &live, &hub, tasks, &shutdown);
        let after = Arc::new(After {
            hub: hub.clone(),
            feed: feed.clone(),
            line: line.clone(),
            live: Arc::clone(&live),
            sessions: Arc::clone(&sessions),
            log_lines: Arc::clone(&log_lines),
            metrics: metrics.clone(),
            clock: clock.clone(),
            herald: herald.clone(),
            facets: facets.clone(),
        });
        let followers = Arc::new(Followers::new(&registry, &agenda, &waiters, &after));
        let pipeline = Pipeline::start(
            &pipeline::Parts {
                store: Arc::clone(&store),
                clock: clock.clone(),
                cache: Arc::clone(&cache),
                after: Arc::clone(&after),
                metrics: metrics.clone(),
                health: Arc::clone(&health),
                wanted: telling.wanted,
                registry: Arc::clone(&registry),
                followers: Arc::clone(&followers),
                max_pending,
            },
            if is_shared { lanes as usize } else { 1 },
            store_timeout,
            writer,
            &closed,
        );
        sessions.connect(pipeline.clone());
        if is_shared {
            let (tasks, stops) = ((tasks, writer), (&shutdown, &closed));
            exchange_news(&store, &herald, (&ears, &feed), tasks, stops);
        }
        let known = (Arc::clone(&waiters), Arc::clone(&cache), Arc::clone(&registry));
        let dispatcher = Dispatcher::new(store, &after, known, max_running);
        let starter = dispatcher.start(store_timeout, tasks, &shutdown);
        let replica = Replica { id: Uuid::new_v4(), start_time: clock.now() };
        Self(Arc::new(Inner {
            clock,
            hub,
            feed,
            sessions,
            metrics,
            registry,
            agenda,
            followers,
            max_pending,
            shared: is_shared,
            watchdogs: Watchdogs::new(house),
            shutdown,
            tasks: tasks.clone(),
            board,
            nudges,
            health,
            replica,
            db,
            loop_db,
            pipeline,
            live,
            cache,
            line,
            starter,
            waiters,
            known: Known::default(),
            log_lines,
            ears,
            herald,
            telling: Teller::new(telling),
            facets,
            keeping: Keeping::default(),
        }))
    }

    /// Whether other servers may be over the same store.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.herald.is_shared()
    }

    /// Signalled when other servers may have changed jobs, and when they may have written progress.
    #[must_use]
    pub fn heard(&self) -> (Arc<Notify>, Arc<Notify>) {
        (Arc::clone(&self.ears.changes), Arc::clone(&self.ears.progress))
    }

    /// What lets background loops act early.
    #[must_use]
    pub fn nudges(&self) -> &Nudges {
        &self.nudges
    }

    /// Signalled when a job used more than it may for too long.
    #[must_use]
    pub fn limits_exceeded(&self) -> Arc<Notify> {
        Arc::clone(&self.live.exceeds)
    }

    /// Pause between two sweeps.
    #[must_use]
    pub fn sweep_period(&self) -> Duration {
        self.watchdogs.house.sweep.period
    }

    /// How the store does.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Every attached worker.
    #[must_use]
    pub fn sessions(&self) -> &Arc<Sessions> {
        &self.sessions
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The tasks of the server.
    #[must_use]
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Signalled when the server is about to stop.
    #[must_use]
    pub fn shutdown_signal(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// What those who watch many jobs hear from.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The watched jobs.
    #[must_use]
    pub fn hub(&self) -> &Hub {
        &self.hub
    }
}

/// What those who watch many jobs hear from, with the task that feeds it.
fn start_feed(
    is_shared: bool,
    live: &Arc<Live>,
    hub: &Hub,
    tasks: &Tasks,
    shutdown: &Shutdown,
) -> Feed {
    let progress = Arc::clone(live) as Arc<dyn crate::watch::LiveProgress>;
    let feed = if is_shared { Feed::of_shared_store(progress) } else { Feed::new(progress) };
    hub.lead_to(feed.clone());
    let feeding = watch_jobs::feed(feed.clone(), shutdown.clone());
    tasks.spawn_vital("view_feeder", shutdown, feeding);
    feed
}
