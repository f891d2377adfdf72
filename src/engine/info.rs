//! What this server is, and how its store does.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::auth::Caller;
use crate::domain::limits::{READINESS_WITHIN, RESUME_RETENTION};
use crate::domain::{StateKind, Timestamp};
use crate::runtime::LoopStatus;
use crate::store::{Store, StoreInfo};

use super::Engine;
use super::error::Result;

/// What tells one run of the server from another.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replica {
    pub(super) id: Uuid,
    pub(super) start_time: Timestamp,
}

/// What a server is, and how it does.
#[derive(Debug, Clone)]
pub struct ServerInfo {
    /// The version of jobplane.
    pub version: &'static str,
    /// This run of this process.
    pub replica_id: Uuid,
    /// When it started.
    pub start_time: Timestamp,
    /// What it can do beyond this version of the API, by name: nothing yet.
    pub features: Vec<&'static str>,
    /// How far back a watch can be resumed.
    pub resume_retention: Duration,
    /// How the store is; `None` if it did not answer.
    pub store: Option<StoreInfo>,
    /// Reads that wait for their turn.
    pub reads_waiting: usize,
    /// The background loops, by name.
    pub loops: Vec<LoopStatus>,
}

/// What a start found.
#[derive(Debug, Clone)]
pub struct Found {
    /// The database.
    pub store: StoreInfo,
    /// Jobs that run.
    pub running: i64,
    /// Jobs that wait.
    pub pending: i64,
}

impl Engine {
    /// What the server starts on.
    pub async fn found(&self) -> Result<Found> {
        let read =
            |store: Arc<dyn Store>| async move { Ok((store.info().await?, store.counts().await?)) };
        let (store, counts) = self.db.read(read).await?;
        let stored = |state| {
            counts.iter().filter(|count| count.state == state).map(|count| count.stored).sum()
        };
        Ok(Found {
            store,
            running: stored(StateKind::Running),
            pending: stored(StateKind::Pending),
        })
    }

    /// What this server is; answers without the store too, for that is when it is asked.
    pub async fn info(&self, _caller: &Caller) -> ServerInfo {
        let asked = self.db.read(|store| async move { store.info().await });
        let answer = tokio::time::timeout(READINESS_WITHIN, asked).await;
        ServerInfo {
            version: env!("CARGO_PKG_VERSION"),
            replica_id: self.replica.id,
            start_time: self.replica.start_time,
            features: Vec::new(),
            resume_retention: RESUME_RETENTION,
            store: answer.ok().and_then(std::result::Result::ok),
            reads_waiting: self.db.waiting(),
            loops: self.board.all(),
        }
    }
}
