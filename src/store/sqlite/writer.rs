//! The one connection that writes.
//!
//! Invariant: a statement outside a transaction never meets one that somebody left open: whoever
//! takes the writer rolls back first what was dropped half-way.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, query};

use tokio::sync::Notify;

use crate::store::{Error, Result};

use super::error::{closed, code, from_sqlx};
use super::figures::Tallies;
use super::rules::KnownRules;
use super::running::KnownRunning;
use super::script::{Answers, Script, Stopped};

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// Comes last in a script that only reads: comparing by this collation tells that the rows are there. (The only word
/// that SQLite's thread can be made to say in the middle of its work.)
const TELL: &str = "SELECT '' < '' COLLATE told";
const TOLD: &str = "told";

/// What SQLite answers to a ROLLBACK when there is nothing to roll back.
const NO_TRANSACTION: i32 = 1;

/// See the module.
pub(super) struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    in_transaction: bool,
    closed: bool,
    /// Told whenever SQLite is about to make a transaction durable, or has come to the end of a script that only reads.
    told: Arc<Notify>,
    /// Buckets as they stand on disk; taken out for the time of a commit, put back when it is done.
    pub(super) tallies: Tallies,
    /// Rules as they stand on disk; in the same way.
    pub(super) rules: KnownRules,
    /// How many jobs run by what is on disk; in the same way.
    pub(super) running: KnownRunning,
}

impl Writer {
    /// Opens a connection that writes.
    pub(super) async fn open(options: SqliteConnectOptions) -> sqlx::Result<Self> {
        let told: Arc<Notify> = Arc::default();
        let options = options.collation(TOLD, {
            let told = Arc::clone(&told);
            move |one, other| {
                told.notify_one();
                one.cmp(other)
            }
        });
        let connection = connect(&options, &told).await?;
        Ok(Self {
            options,
            connection: Some(connection),
            in_transaction: false,
            closed: false,
            told,
            tallies: Tallies::new(),
            rules: KnownRules::default(),
            running: KnownRunning::default(),
        })
    }

    /// The connection with no transaction open; opens another one if the last one broke.
    pub(super) async fn idle(&mut self) -> Result<&mut SqliteConnection> {
        if self.closed {
            return Err(closed());
        }
        if self.in_transaction {
            self.rollback().await;
        }
        if self.connection.is_none() {
            self.connection = Some(connect(&self.options, &self.told).await.map_err(from_sqlx)?);
        }
        self.connection.as_mut().ok_or_else(closed)
    }

    /// A script that starts a transaction which no other writer can get in the way of.
    pub(super) async fn begin(&mut self) -> Result<Script> {
        self.idle().await?;
        let mut script = Script::default();
        script.add(BEGIN);
        Ok(script)
    }

    /// A script within the transaction that was begun.
    pub(super) fn resume(&self) -> Result<Script> {
        if self.closed || !self.in_transaction {
            return Err(closed());
        }
        Ok(Script::default())
    }

    /// Runs a script and leaves its transaction open; rolls back if it fails.
    pub(super) async fn run(&mut self, mut script: Script) -> Result<Answers> {
        script.add(TELL);
        match self.hand_over(script).await {
            Ok(answers) => Ok(answers),
            Err(Stopped { error, .. }) => {
                self.rollback().await;
                Err(from_sqlx(error))
            }
        }
    }

    /// Runs a script and makes its transaction durable; rolls back if it fails.
    pub(super) async fn commit(&mut self, mut script: Script) -> Result<Answers> {
        let before = script.len();
        script.add(COMMIT);
        match self.hand_over(script).await {
            Ok(answers) => {
                self.in_transaction = false;
                Ok(answers)
            }
            Err(Stopped { done, error }) => {
                // A transaction that can still be rolled back was not committed.
                if self.rolled_back().await || done < before && code(&error).is_some() {
                    Err(from_sqlx(error))
                } else {
                    Err(Error::OutcomeUnknown(Arc::new(error)))
                }
            }
        }
    }

    async fn hand_over(&mut self, script: Script) -> std::result::Result<Answers, Stopped> {
        // Set before it is so: a future dropped in between leaves a transaction to roll back.
        self.in_transaction = true;
        match &mut self.connection {
            Some(connection) => script.run(connection, Some(&*self.told)).await,
            None => Err(Stopped { done: 0, error: sqlx::Error::PoolClosed }),
        }
    }

    /// Leaves no transaction open.
    pub(super) async fn rollback(&mut self) {
        self.rolled_back().await;
    }

    /// Rolls back; answers whether there was something to roll back.
    async fn rolled_back(&mut self) -> bool {
        let Some(connection) = &mut self.connection else {
            self.in_transaction = false;
            return false;
        };
        let rolled_back = query(ROLLBACK).execute(connection).await;
        self.in_transaction = false;
        match rolled_back {
            Ok(_) => true,
            Err(error) => {
                if code(&error) != Some(NO_TRANSACTION) {
                    tracing::warn!(%error, "the writing connection is broken and will be replaced");
                    self.connection = None;
                }
                false
            }
        }
    }

    /// Moves the write-ahead log into the file and lets it go.
    pub(super) async fn close(&mut self) {
        if let Ok(connection) = self.idle().await
            && let Err(error) = query(super::CHECKPOINT).execute(connection).await
        {
            tracing::warn!(%error, "the write-ahead log stays behind");
        }
        self.closed = true;
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the writing connection did not close");
        }
    }
}

/// A connection that has `told` told before each commit.
async fn connect(
    options: &SqliteConnectOptions,
    told: &Arc<Notify>,
) -> sqlx::Result<SqliteConnection> {
    let mut connection = options.connect().await?;
    let told = Arc::clone(told);
    connection.lock_handle().await?.set_commit_hook(move || {
        told.notify_one();
        true
    });
    Ok(connection)
}

#[cfg(test)]
mod tests;
