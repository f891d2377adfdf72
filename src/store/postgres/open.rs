//! Opening the database: whether it can be used, its schema, the connections.

use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use tokio::time::timeout;

use crate::domain::limits::{DATABASE_LANES, DATABASE_STATEMENT_TIMEOUT};

use crate::store::Migrations;
use crate::store::own::Own;

use super::PostgresStore;
use super::commit::Lanes;
use super::hosts::Hosts;
use super::migrations;
use super::place::{OpenError, Place};
use super::pool::{Pool, Settings};
use super::{changes, news};

/// Connections for short reads: loops and commits use them, each for a moment.
const SHORT_READ_CONNECTIONS: u32 = 4;
/// Connections for reading on in the change log: one for what concerns this server, one for its views.
const LOG_READ_CONNECTIONS: u32 = 2;
/// What an answer may take on top of the database's own bound for a statement: the way.
const WAY: Duration = Duration::from_secs(1);

/// What the database shows of us.
const APPLICATION: &str = "jobplane";

/// Whose time leases are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LeaseClock {
    /// The database's: servers' clocks may differ.
    #[default]
    Database,
    /// The one that comes with each call. For tests that make their own time.
    Caller,
}

/// How this server hears of what others do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Listen {
    /// By a connection to the database itself.
    #[default]
    Here,
    /// By a connection to another address of the same database, past a pooler.
    At(String),
    /// Not at all: it looks into the change log once a second.
    Never,
}

/// Which database, and how it is used.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://user:password@host:port/database?sslmode=…`; several `host:port` with commas between are
    /// a primary and its standbys.
    pub url: String,
    /// Connections that write: commits and rounds.
    pub lanes: u32,
    /// Connections for what may take long: lists, logs, figures.
    pub read_connections: u32,
    /// What a single statement may take.
    pub statement_timeout: Duration,
    /// How it hears of what others do.
    pub listen: Listen,
    /// Whether the URL leads to a pooler that gives each transaction another session, as PgBouncer in
    /// transaction mode does.
    pub pooler: bool,
    /// Whose time leases are judged by.
    pub clock: LeaseClock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            url: "postgres://localhost/jobplane".to_owned(),
            lanes: DATABASE_LANES,
            read_connections: 4,
            statement_timeout: DATABASE_STATEMENT_TIMEOUT,
            listen: Listen::Here,
            pooler: false,
            clock: LeaseClock::Database,
        }
    }
}

/// What this server does to the schema when it opens the database: with `only_look` nothing, but what it
/// would do.
pub async fn migrate(options: &Options, only_look: bool) -> Result<Migrations, OpenError> {
    let place = Place::of(&options.url, patience(options))?;
    let mut connection = place.connect().await?;
    place.check(&mut connection).await?;
    let migrations = if only_look {
        migrations::pending(&mut connection).await.map_err(|refused| place.unmigrated(refused))?
    } else {
        place.migrate(&mut connection).await?
    };
    // The goodbye is a courtesy.
    let _ = timeout(WAY, connection.close()).await;
    Ok(migrations)
}

/// How long an answer is waited for.
fn patience(options: &Options) -> Duration {
    options.statement_timeout + WAY
}

/// What every session is told, or every transaction where there are no sessions of our own. Hot statements
/// take their rows by index, whatever the planner has heard of tables that were empty a minute ago.
fn settings(options: &Options, is_hot: bool) -> Vec<(&'static str, String)> {
    let statement = options.statement_timeout.as_millis().to_string();
    let idle = patience(options).as_millis().to_string();
    let mut settings = vec![
        ("statement_timeout", statement),
        ("idle_in_transaction_session_timeout", idle),
        // A statement whose asker is gone ends soon.
        ("client_connection_check_interval", "1000".to_owned()),
        ("jit", "off".to_owned()),
    ];
    if is_hot {
        let off = ["enable_seqscan", "enable_hashjoin", "enable_mergejoin"];
        settings.extend(off.map(|name| (name, "off".to_owned())));
        settings.push(("plan_cache_mode", "force_generic_plan".to_owned()));
    }
    settings
}

impl PostgresStore {
    /// Opens the database, and brings its schema up to date.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what would help.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        let place = Place::of(&options.url, patience(&options))?;
        let mut connection = place.connect().await?;
        let version = place.check(&mut connection).await?;
        for (version, name) in place.migrate(&mut connection).await? {
            tracing::info!(schema.version = version, schema.name = name, "the schema was migrated");
        }
        let _ = timeout(WAY, connection.close()).await;
        let pool = |connections: u32, settings: Vec<(&'static str, String)>| {
            let connect = &place.hosts;
            let (connect, begin) = if options.pooler {
                let set =
                    settings.iter().map(|(name, value)| format!("; SET LOCAL {name} = '{value}'"));
                (
                    connect.with(|options| options.statement_cache_capacity(0)),
                    std::iter::once("BEGIN".to_owned()).chain(set).collect(),
                )
            } else {
                (
                    connect.with(|options| {
                        options.application_name(APPLICATION).options(settings.clone())
                    }),
                    "BEGIN".to_owned(),
                )
            };
            let connections = connections.max(1);
            let patience = patience(&options);
            Pool::new(Settings { connect, connections, pooler: options.pooler, begin, patience })
        };
        let (hot, cold) = (settings(&options, true), settings(&options, false));
        let lazily = [hot.clone(), vec![("synchronous_commit", "off".to_owned())]].concat();
        let listening = match &options.listen {
            Listen::Never => None,
            Listen::Here if options.pooler => None,
            Listen::Here => Some(place.hosts.clone()),
            Listen::At(url) => Some(Place::of(url, patience(&options))?.hosts),
        };
        let named = |hosts: Hosts| hosts.with(|options| options.application_name(APPLICATION));
        let listening = listening.map(named);
        let news = Arc::new(news::Exchange::new(pool(1, lazily), listening));
        let lanes = Lanes {
            // One more for rounds of starts, one for starts of workers that schedule for themselves.
            pool: pool(options.lanes + 2, hot.clone()),
            clock: options.clock,
            own: Own::default(),
            news: Arc::clone(&news),
        };
        let store = Self {
            lanes: Arc::new(lanes),
            readers: pool(options.read_connections, cold),
            short_readers: pool(SHORT_READ_CONNECTIONS, hot.clone()),
            log_readers: pool(LOG_READ_CONNECTIONS, hot),
            news,
            clock: options.clock,
            version,
        };
        changes::enumerate(&store.short_readers).await.map_err(OpenError::Store)?;
        Ok(store)
    }
}
