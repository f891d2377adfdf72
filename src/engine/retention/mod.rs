//! Taking away what is over and old: by the policy at its time, and by hand.
//!
//! Owns: when a purge is due and which server runs it ([`standing`]), its walk along the lines of what is over
//! ([`walk`]), and the archive that is written before ([`archive`]).
//! Does not own: what may go (`domain::retention`), how it is deleted (`store`).
//! Invariants: what is taken away was over, with the revision it was seen with, in the very statement that takes
//! it away; with an archive, nothing is taken away that is not on its disk.

mod archive;
mod standing;
mod walk;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::auth::Caller;
use crate::config::Retention;
use crate::domain::audit::{self, AuditAction, AuditSubject, Fields, fields};
use crate::domain::limits::LOOP_ROWS_MAX;
use crate::domain::retention::{Purge, PurgeRun};
use crate::domain::{JobId, Timestamp};
use crate::store::Purged;
use crate::watch::{Change, Commit};

use super::Engine;
use super::error::{Error, Result};

pub use archive::{Scribe, Whole};

use archive::Archive;
use walk::{By, Deed, Walk};

/// The name of the loop, in logs and on the board.
pub const LOOP: &str = "retention";

/// What the keeping of jobs goes by, and what it has under way.
#[derive(Default)]
pub(super) struct Keeping {
    settings: OnceLock<(Retention, Scribe)>,
    /// One purge by hand at a time.
    by_hand: tokio::sync::Mutex<()>,
    /// Whether a purge has left room that may be given back.
    left_room: AtomicBool,
}

/// A wish to take old jobs away.
#[derive(Debug, Clone)]
pub struct PurgeJobs {
    /// Which.
    pub purge: Purge,
    /// Only count them.
    pub validate_only: bool,
    /// Why, in the caller's words.
    pub reason: String,
}

impl Engine {
    /// Goes by these settings from now on; `scribe` writes the lines of the archive. Once.
    pub fn keep_by(&self, settings: Retention, scribe: Scribe) {
        // A second time there is nothing to be said: settings do not change while a server runs.
        let _ = self.keeping.settings.set((settings, scribe));
    }

    fn retention(&self) -> Retention {
        self.keeping.settings.get().map(|(settings, _)| settings.clone()).unwrap_or_default()
    }

    /// The archive of a run, if there is to be one.
    fn archive(&self, now: Timestamp) -> Option<Archive> {
        let (settings, scribe) = self.keeping.settings.get()?;
        let folder = settings.archive.clone()?;
        Some(Archive::of_run(folder, now, self.replica.id, *scribe))
    }

    /// Takes old jobs away, or counts them; answers how many, and what ended before which moment was meant. Given
    /// up half-way, what was taken away stays so.
    pub async fn purge(&self, caller: &Caller, wish: PurgeJobs) -> Result<(u64, Timestamp)> {
        let busy = || Error::RateLimited { what: "purges by hand", limit: 1 };
        let _turn = self.keeping.by_hand.try_lock().map_err(|_| busy())?;
        let now = self.clock.now();
        let cutoff = wish.purge.cutoff_time(now);
        let deed = if wish.validate_only { Deed::Count } else { Deed::Take(self.archive(now)) };
        let mut walk = Walk::new(self, By::Hand(wish.purge), deed, now);
        let walked = walk.jobs(&mut ()).await;
        let run = walk.run;
        if !wish.validate_only {
            let (reason, requested_by) = (wish.reason.clone(), caller.principal());
            tracing::info!(
                cutoff_us = cutoff.as_micros(),
                reason,
                requested_by,
                "purge by hand: {}",
                run.summary()
            );
            self.purged(&run);
            let deed = audit::Deed::new(requested_by, AuditAction::PurgeJobs);
            self.audit_purge(deed.because(wish.reason), &run, Some(cutoff)).await?;
        }
        walked.map(|_| (run.jobs, cutoff))
    }

    /// Records what a purge took away; nothing if that was nothing.
    async fn audit_purge(
        &self,
        deed: audit::Deed,
        run: &PurgeRun,
        cutoff: Option<Timestamp>,
    ) -> Result<()> {
        if run.jobs + run.logs == 0 {
            return Ok(());
        }
        let mut after = fields(run).unwrap_or_default();
        after.retain(|_, value| value != "0");
        after.extend(cutoff.map(|at| ("cutoff_us".to_owned(), at.as_micros().to_string())));
        let now = self.clock.now();
        let event = deed.done(AuditSubject::Jobs, &Fields::new(), &after, now);
        self.note(Vec::new(), vec![event]).await.map(drop)
    }

    /// What a purge leaves behind besides what it wrote.
    fn purged(&self, run: &PurgeRun) {
        if run.jobs + run.logs > 0 {
            self.keeping.left_room.store(true, Ordering::Relaxed);
        }
        self.board.tell(LOOP, format!("last: {}", run.summary()));
    }

    /// Tells those who watch of what a batch took away.
    fn tell_purged(&self, purged: &Purged) {
        for gone in &purged.removed {
            self.cache.forget(gone.id);
            self.hub.publish_deleted(gone.id);
        }
        let Some(position) = purged.position.clone() else { return };
        if self.herald.is_shared() {
            self.herald.changed();
            self.feed.look_again();
        } else if self.feed.is_on() {
            let changes = purged.removed.iter().map(|gone| Change::Gone {
                job_id: gone.id,
                job_type: Some(gone.job_type.clone()),
                before: None,
            });
            self.feed.publish(Commit { position, changes: changes.collect() });
        }
    }

    /// Gives room that a purge left back to the system, in small steps; answers a full batch as long as there is
    /// more.
    async fn give_back_room(&self) -> Result<u64> {
        if !self.keeping.left_room.load(Ordering::Relaxed) {
            return Ok(0);
        }
        for _ in 0..ROOM_STEPS {
            if self.shutdown.is_signalled() {
                return Ok(0);
            }
            if self.loop_db.read(|store| async move { store.shrink().await }).await? == 0 {
                self.keeping.left_room.store(false, Ordering::Relaxed);
                return Ok(0);
            }
            tokio::time::sleep(ROOM_REST).await;
        }
        Ok(LOOP_ROWS_MAX as u64)
    }
}

/// Steps in which room is given back before the loop is heard of again.
const ROOM_STEPS: usize = 50;
/// Commits go on between two of them.
const ROOM_REST: Duration = Duration::from_millis(50);

/// Jobs as the store takes them: each with the revision that it was seen with.
type Seen = Vec<(JobId, i64)>;

#[cfg(test)]
mod tests;
