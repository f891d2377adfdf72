//! The one connection that writes.
//!
//! Invariant: a statement outside a transaction never meets one that somebody left open: whoever
//! takes the writer rolls back first what was dropped half-way.

use std::sync::Arc;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, query};

use crate::store::{Error, Result};

use super::error::{closed, code, from_sqlx};

const BEGIN: &str = "BEGIN IMMEDIATE";
const COMMIT: &str = "COMMIT";
const ROLLBACK: &str = "ROLLBACK";

/// What SQLite answers to a ROLLBACK when there is nothing to roll back.
const NO_TRANSACTION: i32 = 1;

/// See the module.
pub(super) struct Writer {
    options: SqliteConnectOptions,
    connection: Option<SqliteConnection>,
    in_transaction: bool,
    closed: bool,
}

impl Writer {
    pub(super) const fn new(options: SqliteConnectOptions, connection: SqliteConnection) -> Self {
        Self { options, connection: Some(connection), in_transaction: false, closed: false }
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
            self.connection = Some(self.options.connect().await.map_err(from_sqlx)?);
        }
        self.connection.as_mut().ok_or_else(closed)
    }

    /// Starts a transaction that no other writer can get in the way of.
    pub(super) async fn begin(&mut self) -> Result<&mut SqliteConnection> {
        self.idle().await?;
        // Set before it is so: a future dropped in between leaves a transaction to roll back.
        self.in_transaction = true;
        let begun = match &mut self.connection {
            Some(connection) => query(BEGIN).execute(connection).await,
            None => Err(sqlx::Error::PoolClosed),
        };
        if let Err(error) = begun {
            self.rollback().await;
            return Err(from_sqlx(error));
        }
        self.connection.as_mut().ok_or_else(closed)
    }

    /// The connection within the transaction that was begun.
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection> {
        self.connection.as_mut().filter(|_| self.in_transaction).ok_or_else(closed)
    }

    /// Makes it durable if `outcome` is good, else rolls it back.
    pub(super) async fn end<T>(&mut self, outcome: Result<T>) -> Result<T> {
        match outcome {
            Ok(value) => self.commit().await.map(|()| value),
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    async fn commit(&mut self) -> Result<()> {
        let Some(connection) = &mut self.connection else {
            return Err(closed());
        };
        match query(COMMIT).execute(&mut *connection).await {
            Ok(_) => {
                self.in_transaction = false;
                Ok(())
            }
            // A transaction that can still be rolled back was not committed.
            Err(error) if self.rolled_back().await => Err(from_sqlx(error)),
            Err(error) => Err(Error::OutcomeUnknown(Arc::new(error))),
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
