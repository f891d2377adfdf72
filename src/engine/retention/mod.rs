//! Taking away what is over and old: by the policy at its time, and by hand.
//!
//! Owns: when a purge is due and which server runs it ([`standing`]), its walk along the lines of what is over
//! ([`walk`]), and the archive that is written before ([`archive`]).
//! Does not own: what may go (`domain::retention`), how it is deleted (`store`).
//! Invariants: what is taken away was over, with the revision it was seen with, in the very statement that takes
//! it away; with an archive, nothing is taken away that is not on its disk; what was taken away is recorded.

mod archive;
mod left;
mod standing;
mod walk;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::auth::Caller;
use crate::config::Retention;
use crate::domain::audit::{self, AuditAction, AuditEvent, AuditSubject, Fields, fields};
use crate::domain::limits::{LOOP_ROWS_MAX, PURGE_RECORDS_MAX};
use crate::domain::retention::{Purge, PurgeRun};
use crate::domain::{JobId, Timestamp};
use crate::store::Purged;
use crate::watch::{Change, Commit};

use super::Engine;
use super::error::{Error, Result};

pub use archive::{Piece, Scribe};

use archive::Archive;
use walk::{By, Deed, OnShutdown, Walk};

/// The name of the loop, in logs and on the board.
pub const LOOP: &str = "retention";

/// What the keeping of jobs goes by, and what it has under way.
#[derive(Default)]
pub(super) struct Keeping {
    settings: OnceLock<(Retention, Scribe)>,
    /// One purge by hand at a time.
    by_hand: Arc<Mutex<()>>,
    /// Records of purges that are not written yet.
    unrecorded: Mutex<Vec<AuditEvent>>,
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
        Some(Archive::of_run(folder, now, *scribe))
    }

    /// Takes old jobs away, or counts them; answers how many, and what ended before which moment was meant. Once
    /// begun it goes on to its end and is recorded, whether or not anybody waits for it.
    pub async fn purge(&self, caller: &Caller, wish: PurgeJobs) -> Result<(u64, Timestamp)> {
        let now = self.clock.now();
        let cutoff = wish.purge.cutoff_time(now);
        let mut leave = OnShutdown(self.shutdown.clone());
        if wish.validate_only {
            let mut walk = Walk::new(self, By::Hand(wish.purge), Deed::Count, now);
            let ended = walk.jobs(&mut leave).await?;
            return if ended { Ok((walk.run.jobs, cutoff)) } else { Err(Error::Draining) };
        }
        let busy = || Error::RateLimited { what: "purges by hand", limit: 1 };
        let turn = Arc::clone(&self.keeping.by_hand).try_lock_owned().map_err(|_| busy())?;
        let (engine, requested_by) = (self.clone(), caller.principal().to_owned());
        let task = self.tasks.spawn("purge by hand", async move {
            let deed = Deed::Take(engine.archive(now));
            let mut walk = Walk::new(&engine, By::Hand(wish.purge), deed, now);
            let walked = walk.jobs(&mut leave).await;
            let (run, left) = walk.fared();
            tracing::info!(
                cutoff_us = cutoff.as_micros(),
                reason = wish.reason,
                requested_by,
                ended = matches!(walked, Ok(true)),
                "purge by hand: {}",
                run.summary()
            );
            engine.purged(&run);
            let deed = audit::Deed::new(&requested_by, AuditAction::PurgeJobs);
            engine.record_purge(deed.because(wish.reason), &run, Some(cutoff)).await;
            drop(turn);
            match left {
                _ if !walked? => Err(Error::Draining),
                Some(error) => Err(error),
                None => Ok((run.jobs, cutoff)),
            }
        });
        task.await.unwrap_or(Err(Error::OutcomeUnknown))
    }

    /// Records what a purge took away; nothing if that was nothing. What the store does not take now waits for the
    /// loop's next step: the jobs are gone, whatever becomes of the record.
    async fn record_purge(&self, deed: audit::Deed, run: &PurgeRun, cutoff: Option<Timestamp>) {
        if run.is_nothing() {
            return;
        }
        let mut after = fields(run).unwrap_or_default();
        after.retain(|_, value| value != "0");
        after.extend(cutoff.map(|at| ("cutoff_us".to_owned(), at.as_micros().to_string())));
        let now = self.clock.now();
        let event = deed.done(AuditSubject::Jobs, &Fields::new(), &after, now);
        if let Err(error) = self.write_records(Some(event)).await {
            tracing::warn!(
                task.name = LOOP,
                error = &error as &dyn std::error::Error,
                "the record of a purge waits for the store: {}",
                run.summary()
            );
        }
    }

    /// Writes the records that wait, and this one. Of one whose outcome is not known there may come to be two, never
    /// none.
    pub(super) async fn write_records(&self, new: Option<AuditEvent>) -> Result<()> {
        let mut records = self.keeping.unrecorded.lock().await;
        if records.len() >= PURGE_RECORDS_MAX && new.is_some() {
            records.remove(0);
        }
        records.extend(new);
        if records.is_empty() {
            return Ok(());
        }
        self.note(Vec::new(), records.clone()).await?;
        records.clear();
        Ok(())
    }

    /// What a purge leaves behind besides what it wrote.
    fn purged(&self, run: &PurgeRun) {
        if !run.is_nothing() {
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

    /// The same of a batch whose answer was lost; what is to be known besides of its jobs stands in the change log.
    fn tell_gone(&self, jobs: &[JobId]) {
        for id in jobs {
            self.cache.forget(*id);
            self.hub.publish_deleted(*id);
        }
        self.herald.changed();
        self.feed.look_again();
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
