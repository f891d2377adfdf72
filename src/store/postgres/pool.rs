//! Connections on loan.
//!
//! Owns: how many there are, who has to wait for one, which of them may be used again.
//! Invariants: only [`Link::done`] and its like give a connection back. Whoever drops a link in the middle
//! of something, by an error, by a timeout or by going away, closes its connection: nobody knows
//! what is still under way on it. Either way its place is free at once.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{AssertSqlSafe, Connection as _, FromRow, Postgres};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::runtime::Clock;
use crate::store::Result;

use super::error::{closed, from_sqlx, late, unheard, unsure};
use super::hosts::Hosts;

const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// A connection that rested for so long is asked whether it is still there before it is used.
const FRESH: Duration = Duration::from_secs(1);

/// How connections of one kind are opened and what they are told.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    /// Where to, as whom, with which settings.
    pub connect: Hosts,
    /// At most so many at once.
    pub connections: u32,
    /// Whether they belong to a pooler, which gives each transaction another session.
    pub pooler: bool,
    /// What begins a transaction: with a pooler its settings too, for no session keeps them.
    pub begin: String,
    /// How long a connection, and each answer over it, is waited for.
    pub patience: Duration,
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// Connections of one kind.
#[derive(Clone)]
pub(super) struct Pool(Arc<Inner>);

struct Inner {
    settings: Settings,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
    /// When a connection was last given up. Those that rest since before may have met the same end.
    doubt: Mutex<Option<Instant>>,
}

/// Notes that a connection was given up, unless it is given back.
struct Doubt(Option<Arc<Inner>>);

impl Drop for Doubt {
    fn drop(&mut self) {
        if let Some(inner) = &self.0 {
            *inner.doubt.lock() = Some(Clock::monotonic());
        }
    }
}

/// A connection on loan.
pub(super) struct Link {
    pool: Arc<Inner>,
    connection: PgConnection,
    in_transaction: bool,
    doubt: Doubt,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(settings: Settings) -> Self {
        let permits = Arc::new(Semaphore::new(settings.connections as usize));
        Self(Arc::new(Inner { settings, permits, idle: Mutex::default(), doubt: Mutex::default() }))
    }

    /// A connection for one statement that commits by itself, or for reading; with a pooler within a
    /// transaction.
    pub(super) async fn read(&self) -> Result<Link> {
        let mut link = self.link().await?;
        if self.0.settings.pooler {
            link.begin().await?;
        }
        Ok(link)
    }

    /// A connection within a transaction.
    pub(super) async fn begin(&self) -> Result<Link> {
        let mut link = self.link().await?;
        link.begin().await?;
        Ok(link)
    }

    /// A connection as it is, for what goes on outside of transactions.
    pub(super) async fn link(&self) -> Result<Link> {
        let permits = Arc::clone(&self.0.permits);
        let permit = match timeout(self.0.settings.patience, permits.acquire_owned()).await {
            Ok(permit) => permit.map_err(|_| closed())?,
            Err(_) => return Err(late()),
        };
        let connection = match timeout(self.0.settings.patience, self.0.connection()).await {
            Ok(connection) => connection.map_err(from_sqlx)?,
            Err(_) => return Err(late()),
        };
        let pool = Arc::clone(&self.0);
        let doubt = Doubt(Some(Arc::clone(&pool)));
        Ok(Link { pool, connection, in_transaction: false, doubt, _permit: permit })
    }

    /// How long an answer is waited for.
    pub(super) fn patience(&self) -> Duration {
        self.0.settings.patience
    }

    /// Connections in all.
    pub(super) fn size(&self) -> u32 {
        self.0.settings.connections
    }

    /// Connections that nobody uses.
    pub(super) fn unused(&self) -> u32 {
        u32::try_from(self.0.permits.available_permits()).unwrap_or(u32::MAX)
    }

    /// Lets nobody have a connection any more, and says goodbye on those at rest.
    pub(super) async fn close(&self) {
        self.0.permits.close();
        let idle = std::mem::take(&mut *self.0.idle.lock());
        for idle in idle {
            // Whoever does not take the goodbye sees the end of the connection.
            let _ = timeout(FRESH, idle.connection.close()).await;
        }
    }
}

impl Inner {
    async fn connection(&self) -> sqlx::Result<PgConnection> {
        loop {
            let Some(mut idle) = self.idle.lock().pop() else { break };
            let rested = Clock::monotonic().duration_since(idle.since);
            let is_doubtful = self.doubt.lock().is_some_and(|doubt| idle.since <= doubt);
            if (rested < FRESH && !is_doubtful)
                || matches!(timeout(FRESH, idle.connection.ping()).await, Ok(Ok(())))
            {
                return Ok(idle.connection);
            }
        }
        self.settings.connect.connect().await
    }
}

impl Link {
    /// A statement with its own arguments; kept prepared where sessions are kept.
    pub(super) fn query(&self, sql: &'static str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(sql).persistent(!self.pool.settings.pooler)
    }

    /// A statement that answers rows.
    pub(super) fn query_as<O>(
        &self,
        sql: &'static str,
    ) -> QueryAs<'static, Postgres, O, PgArguments>
    where
        O: for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_as(sql).persistent(!self.pool.settings.pooler)
    }

    /// A statement that answers one column.
    pub(super) fn query_scalar<O>(
        &self,
        sql: &'static str,
    ) -> QueryScalar<'static, Postgres, O, PgArguments>
    where
        (O,): for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_scalar(sql).persistent(!self.pool.settings.pooler)
    }

    /// A statement whose arguments are bound already.
    pub(super) fn query_with(
        &self,
        sql: &'static str,
        arguments: PgArguments,
    ) -> Query<'static, Postgres, PgArguments> {
        sqlx::query_with(sql, arguments).persistent(!self.pool.settings.pooler)
    }

    /// A statement that answers rows, whose arguments are bound already.
    pub(super) fn query_as_with<O>(
        &self,
        sql: &'static str,
        arguments: PgArguments,
    ) -> QueryAs<'static, Postgres, O, PgArguments>
    where
        O: for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_as_with(sql, arguments).persistent(!self.pool.settings.pooler)
    }

    async fn begin(&mut self) -> Result<()> {
        let begin = AssertSqlSafe(self.pool.settings.begin.clone());
        let patience = self.pool.settings.patience;
        let begun = timeout(patience, sqlx::raw_sql(begin).execute(&mut **self)).await;
        begun.map_err(|_| late())?.map_err(from_sqlx)?;
        self.in_transaction = true;
        Ok(())
    }

    /// Gives it back after reading, or after a statement that committed by itself.
    pub(super) async fn done(self) -> Result<()> {
        if self.in_transaction {
            return self.commit().await;
        }
        self.give_back();
        Ok(())
    }

    /// Makes it durable. Without an answer nobody knows whether it is.
    pub(super) async fn commit(mut self) -> Result<()> {
        let patience = self.pool.settings.patience;
        match timeout(patience, sqlx::raw_sql(COMMIT).execute(&mut *self)).await {
            Ok(Ok(_)) => {
                self.give_back();
                Ok(())
            }
            Ok(Err(error)) => Err(unsure(error)),
            Err(_) => Err(unheard()),
        }
    }

    /// Takes back what was done; a connection that cannot even do that is closed.
    pub(super) async fn rollback(mut self) {
        let patience = self.pool.settings.patience;
        let done = timeout(patience, sqlx::raw_sql(ROLLBACK).execute(&mut *self)).await;
        if matches!(done, Ok(Ok(_))) {
            self.give_back();
        }
    }

    fn give_back(self) {
        let Self { pool, connection, mut doubt, .. } = self;
        doubt.0 = None;
        if !pool.permits.is_closed() {
            pool.idle.lock().push(Idle { connection, since: Clock::monotonic() });
        }
    }
}

impl Deref for Link {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Link {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}
