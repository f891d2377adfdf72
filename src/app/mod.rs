//! The composition root: the one place that knows every part.
//!
//! Owns: how a server is put together ([`App::start`]), and in which order it stops ([`App::stop`]).
//! Does not own: anything the parts do.
//! Invariants: one order of shutdown, in one file, with a hard deadline, after which no connection is
//! left.

mod files;
mod probes;
mod signals;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use crate::config::Config;
use crate::engine::{self, Access, Engine, Stops};
use crate::grpc::archive;
use crate::grpc::listener::Listener;
use crate::grpc::server;
use crate::loops;
use crate::runtime::{Clock, Failure, LoopBoard, Shutdown, Tasks};
use crate::store::postgres::Listen;
use crate::store::{self, Store};
use crate::telemetry::Metrics;
use crate::web;

use probes::Probes;
use signals::Signals;

/// Workers that are told to attach again wait about this long.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);

/// The part of the time for shutdown that open connections get.
const SERVING_SHARE: f64 = 0.7;
/// The part that is theirs once they are cut: their streams end, and say what is to be written of that.
const ENDING_SHARE: f64 = 0.1;

/// A server that runs.
pub struct App {
    /// Where it listens; with port 0 asked for, the one it got.
    pub address: SocketAddr,
    engine: Engine,
    store: Arc<dyn Store>,
    /// Everything that serves stops with this one.
    shutdown: Shutdown,
    /// Connections end with this one, whatever goes on over them.
    cut: Shutdown,
    /// The writer stops with this one, when nobody asks any more.
    closed: Shutdown,
    tasks: Tasks,
    /// The writer's tasks: they outlive the rest.
    writer: Tasks,
    within: Duration,
}

impl App {
    /// Starts a server over `store`.
    ///
    /// # Errors
    /// If a setting is out of its bounds, or it cannot listen.
    pub async fn start(config: &Config, store: Arc<dyn Store>) -> anyhow::Result<Self> {
        Self::start_by(config, store, Clock::new()).await
    }

    /// The same, by a clock that need not be that of the machine.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_by(
        config: &Config,
        store: Arc<dyn Store>,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        config.validate()?;
        let listener = Listener::bind(config.listen)
            .with_context(|| format!("cannot listen on {}", config.listen))?;
        let address = listener.address()?;
        let mut transport = config.transport.clone();
        transport.connections.max = files::room_for(transport.connections.max);
        let tasks = Tasks::new();
        let writer = tasks.beside();
        let (shutdown, cut, closed) = (Shutdown::new(), Shutdown::new(), Shutdown::new());
        let (metrics, board) = (Metrics::new(), LoopBoard::default());
        engine::set_clock(&clock, &store).await.context("the store does not answer")?;
        let engine = Engine::start_up(
            Arc::clone(&store),
            clock,
            Access {
                timeout: config.store_timeout,
                lanes: config.database.lanes,
                max_running: config.max_running,
                telling: config.telling,
                house: config.house.clone(),
                facets: config.stats.kept(),
                max_pending: config.max_pending,
            },
            metrics.clone(),
            board.clone(),
            Stops {
                tasks: &tasks,
                writer: &writer,
                shutdown: shutdown.clone(),
                closed: closed.clone(),
            },
        );
        if let Some(folder) = &config.retention.archive {
            Engine::check_archive(folder)
                .with_context(|| format!("cannot write the archive in {}", folder.display()))?;
        }
        engine.keep_by(config.retention.clone(), archive::piece);
        engine.load_rules().await.context("the store does not answer")?;
        engine.poll_line().await.context("the store does not answer")?;
        engine.recall_last_successes().await.context("the store does not answer")?;
        let found = engine.found().await.context("the store does not answer")?;
        loops::start(&engine, &config.periods, &board, &tasks, &shutdown);
        tasks.spawn_vital("bulk_runner", &shutdown, engine.clone().run_bulk());
        let probes = Arc::new(Probes::new(engine.clone()));
        let web = web::router(Arc::clone(&probes) as _, metrics.clone(), probes);
        tasks.spawn_vital("server", &shutdown, {
            let parts = server::Parts {
                listener,
                engine: engine.clone(),
                web,
                metrics,
                transport,
                cors_origins: config.cors_origins.clone(),
            };
            server::serve(parts, shutdown.clone(), cut.clone())
        });
        tracing::info!(
            address = %address,
            version = env!("CARGO_PKG_VERSION"),
            database.kind = found.store.kind,
            database.version = found.store.version,
            jobs.running = found.running,
            jobs.pending = found.pending,
            "listening"
        );
        if !address.ip().is_loopback() {
            tracing::warn!(
                address = %address,
                "anybody who reaches this address may do anything: this version has no \
                 authentication and no TLS"
            );
        }
        let within = config.shutdown_within;
        Ok(Self { address, engine, store, shutdown, cut, closed, tasks, writer, within })
    }

    /// The engine, for whoever is in the same process.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Ends when a task without which the server is of no use has died; answers which, and of what.
    /// Safe to drop.
    pub async fn failed(&self) -> Arc<Failure> {
        self.tasks.failed().await
    }

    /// Stops: not ready, nothing new is handed out, workers are told to attach again, watches end
    /// with a status, what is in memory is written, the store closes. What takes longer than the
    /// deadline is cut off; nothing acked is lost by that.
    ///
    /// Answers how many tasks had to be cut off.
    pub async fn stop(self) -> usize {
        tracing::info!("shutting down");
        self.shutdown.signal();
        self.engine.sessions().reconnect_all(RECONNECT_AFTER);
        // Connections get most of the time; what is in memory is written in any case.
        let serving = self.within.mul_f64(SERVING_SHARE);
        let cut_off = tokio::time::timeout(serving, self.tasks.ended()).await.is_err();
        if cut_off {
            tracing::warn!(tasks = self.tasks.running(), "what still serves is cut off");
            self.cut.signal();
            let ending = self.within.mul_f64(ENDING_SHARE);
            let _ = tokio::time::timeout(ending, self.tasks.ended()).await;
        }
        let writing = async {
            if let Err(error) = self.engine.flush_all().await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "not all that was in memory is written"
                );
            }
            self.closed.signal();
            self.writer.ended().await;
            self.store.close().await;
        };
        let left = self.within.mul_f64(1.0 - SERVING_SHARE - ENDING_SHARE);
        if tokio::time::timeout(left, writing).await.is_err() {
            tracing::warn!("shutdown deadline reached while writing");
        }
        tracing::info!("stopped");
        self.tasks.running() + self.writer.running()
    }
}

/// The configured database.
fn database(config: &Config) -> store::Options {
    let database = &config.database;
    let listen = match &database.listen_url {
        _ if database.no_listen => Listen::Never,
        Some(url) => Listen::At(url.clone()),
        None => Listen::Here,
    };
    store::Options {
        url: config.database_url.clone(),
        read_connections: config.read_connections,
        lanes: database.lanes,
        statement_timeout: database.statement_timeout,
        listen,
        pooler: database.pooler,
    }
}

/// Brings the configured database's schema up to date, or only looks; answers what was or is to be done.
///
/// # Errors
/// If the database cannot be used.
pub async fn migrate(config: &Config, only_look: bool) -> anyhow::Result<store::Migrations> {
    Ok(store::migrate(&database(config), only_look).await?)
}

/// Runs a server on the configured database until the process is told to stop.
///
/// # Errors
/// If it cannot start, or fails on the way.
pub async fn serve(config: Config) -> anyhow::Result<()> {
    // Before anything is opened or made.
    config.validate()?;
    // Before anything takes time: the first process of a container has no other end than this.
    let mut signals = Signals::new().context("cannot listen for signals")?;
    let starting = async {
        let store = store::open(&database(&config)).await?;
        App::start(&config, store).await
    };
    let app = tokio::select! {
        app = starting => app?,
        () = signals.next() => {
            tracing::info!("told to stop while starting");
            return Ok(());
        }
    };
    let ended = tokio::select! {
        failure = app.failed() => Err(failure.into()),
        () = signals.next() => Ok(()),
    };
    tokio::select! {
        _ = app.stop() => ended,
        () = signals.next() => {
            // Whoever says it twice does not want to wait for it.
            Err(anyhow::anyhow!("told to stop again: ended at once"))
        }
    }
}
