//! Hearing of other servers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::domain::limits::HINT_PAUSE;
use crate::domain::{JobId, Position};
use crate::runtime::{Shutdown, Tasks};
use crate::store::Store;
use crate::telemetry::chain;
use crate::watch::Feed;

/// What was heard, and how far it was looked at.
#[derive(Default)]
pub struct Ears {
    /// There may be something new in the change log.
    pub changes: Arc<Notify>,
    /// Progress or lines of running jobs may have been written.
    pub progress: Arc<Notify>,
    /// Everything up to here was looked at; `None` before the first look, and after one in vain.
    pub(super) position: Mutex<Option<Position>>,
    /// Jobs to be looked at whatever the change log says.
    suspects: Mutex<HashSet<JobId>>,
    /// Where the logs of watched jobs ended when they were last looked at.
    pub(super) log_ends: Mutex<HashMap<JobId, i64>>,
}

impl Ears {
    /// Has jobs looked at whose changes may have been looked at before this server knew that they
    /// concern it.
    pub(in super::super) fn suspect(&self, jobs: impl IntoIterator<Item = JobId>) {
        let mut suspects = self.suspects.lock();
        suspects.extend(jobs);
        if !suspects.is_empty() {
            self.changes.notify_one();
        }
    }

    pub(super) fn take_suspects(&self) -> Vec<JobId> {
        self.suspects.lock().drain().collect()
    }

    /// Starts to listen.
    pub(in super::super) fn start(
        self: &Arc<Self>,
        store: &Arc<dyn Store>,
        feed: &Feed,
        tasks: &Tasks,
        shutdown: &Shutdown,
    ) {
        let listening = Arc::clone(self).listen(Arc::clone(store), feed.clone(), shutdown.clone());
        tasks.spawn_vital("ears", shutdown, listening);
    }

    /// Listens until `shutdown` is signalled.
    async fn listen(self: Arc<Self>, store: Arc<dyn Store>, feed: Feed, shutdown: Shutdown) {
        let mut deaf = false;
        loop {
            let told = tokio::select! {
                told = store.told() => told,
                () = shutdown.signalled() => return,
            };
            let was_deaf = std::mem::replace(&mut deaf, told.is_err());
            match told {
                Ok(news) => {
                    if was_deaf {
                        tracing::info!("other servers are heard again");
                    }
                    if news.changes {
                        self.changes.notify_one();
                        feed.look_again();
                    }
                    if news.progress {
                        self.progress.notify_one();
                    }
                }
                Err(error) => {
                    if !was_deaf {
                        tracing::warn!(
                            error = %chain(&error),
                            "other servers are not heard: what they do is found by looking"
                        );
                    }
                    tokio::select! {
                        () = tokio::time::sleep(HINT_PAUSE) => {}
                        () = shutdown.signalled() => return,
                    }
                }
            }
        }
    }
}
