//! Emptying workers: who is to leave, is told so, gets no more jobs, and loses what it keeps for too long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use crate::auth::Caller;
use crate::domain::audit::{AuditAction, AuditSubject, Deed, Fields};
use crate::domain::drain::{Drain, Process};
use crate::domain::limits::SWEEP_AT_ONCE;
use crate::domain::machine::{Command, ReleaseReason};
use crate::domain::{InstanceId, SessionId, Timestamp, WorkerName};
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite, Store};

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::{RuleChange, Work};
use super::workers::{Roster, Worker, WorkerFilter};

/// Which processes are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichWorker {
    /// Every process of this name.
    Named(WorkerName),
    /// This process.
    Instance(InstanceId),
}

/// A wish to empty a worker.
#[derive(Debug, Clone)]
pub struct DrainWorker {
    /// Which.
    pub which: WhichWorker,
    /// How long it may take to finish what it holds.
    pub grace: Duration,
    /// Why, in the caller's words.
    pub reason: String,
}

impl WhichWorker {
    fn means(&self, process: &Process) -> bool {
        match self {
            Self::Named(name) => process.worker_id == *name,
            Self::Instance(instance) => process.instance_id == *instance,
        }
    }
}

impl std::fmt::Display for WhichWorker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name.as_str()),
            Self::Instance(instance) => f.write_str(instance.as_str()),
        }
    }
}

/// How often it is looked whether a worker that left, or is empty, has something after all.
const EMPTY_LOOKED_AT_EVERY: Duration = Duration::from_secs(10);

fn key_of(process: &Process) -> RuleKey {
    RuleKey::new(RuleKind::Drain, &process.key())
}

impl Engine {
    /// Has the processes of a worker leave, on whichever server they are; answers them as they stand, the
    /// one that attached last first.
    pub async fn drain_worker(&self, caller: &Caller, drain: DrainWorker) -> Result<Vec<Worker>> {
        let DrainWorker { which, grace, reason } = drain;
        let time = self.clock.now();
        let there = self.roster(time).await?.present();
        // An instance that told several names is one process, and leaves once.
        let meant: BTreeMap<RuleKey, Process> = there
            .into_iter()
            .filter(|process| which.means(process))
            .map(|process| (key_of(&process), process))
            .collect();
        if meant.is_empty() {
            return Err(Error::WorkerNotFound(which.to_string()));
        }
        let keys: Vec<RuleKey> = meant.keys().cloned().collect();
        let decide = |found: &[Rule]| {
            let put = meant.iter().map(|(key, process)| {
                let held = found.iter().find(|rule| rule.key == *key);
                let drain = Drain {
                    process: process.clone(),
                    time,
                    grace,
                    reason: reason.clone(),
                    requested_by: caller.principal().to_owned(),
                };
                RuleWrite::put(key.clone(), held.map_or(0, |rule| rule.revision), &drain)
            });
            let mut change = RuleChange::from(put.collect::<Result<Vec<_>, _>>()?);
            let deed = Deed::new(caller.principal(), AuditAction::DrainWorker);
            let deed = deed.because(reason.clone());
            let after = Fields::from([("grace".to_owned(), format!("{} s", grace.as_secs_f64()))]);
            change.audit.extend(meant.values().map(|process| {
                let subject = AuditSubject::Worker {
                    worker_id: process.worker_id.to_string(),
                    instance_id: process.instance_id.as_str().to_owned(),
                };
                deed.done(subject, &Fields::new(), &after, time)
            }));
            Ok((change, ()))
        };
        self.change_rules(keys, decide).await?;
        let workers = self.workers(caller, WorkerFilter::default()).await?.into_iter();
        let mut workers: Vec<Worker> =
            workers.filter(|worker| meant.contains_key(&key_of(&worker.process()))).collect();
        workers.sort_by_key(|worker| std::cmp::Reverse(worker.connect_time));
        for worker in &workers {
            tracing::info!(
                worker.id = %worker.worker_id,
                worker.instance = worker.instance_id.as_str(),
                held = worker.held,
                grace_seconds = grace.as_secs_f64(),
                requested_by = caller.principal(),
                reason,
                "worker drains"
            );
        }
        Ok(workers)
    }

    /// Takes up drains that other servers were asked for and that nothing was heard of here yet.
    pub(super) async fn read_drains(&self) -> Result<()> {
        let read = |store: Arc<dyn Store>| async move { store.rules(&[RuleKind::Drain]).await };
        let losses = self.registry.losses();
        let found = self.db.read(read).await?;
        self.registry.look(losses, &found);
        self.followers.tell_drains();
        Ok(())
    }

    /// Whether a process may be given jobs.
    ///
    /// # Errors
    /// [`Error::WorkerDraining`] if it is to leave.
    pub(super) fn may_work(&self, process: &Process) -> Result<()> {
        match self.registry.book().drain_of(process, self.clock.now()) {
            None => Ok(()),
            Some(drain) => Err(Error::WorkerDraining {
                worker_id: process.worker_id.clone(),
                reason: drain.reason.clone(),
            }),
        }
    }

    /// Takes back what workers hold whose grace is over, and forgets drains of processes that are long gone.
    pub async fn settle_drains(&self) -> Result<u64> {
        let (book, now) = (self.registry.book(), self.clock.now());
        let due: Vec<&Drain> = {
            let mut looks = self.watchdogs.drain_looks.lock();
            looks.retain(|key, _| book.drains.contains_key(key));
            let looked = |drain: &Drain| looks.get(&drain.process.key()).copied();
            // A name that is to leave once more has its new grace, whenever it was last looked at.
            let next = |drain: &Drain| looked(drain).max(Some(drain.take_back_time()));
            let drains = book.drains.values().map(|known| &known.what);
            drains.filter(|drain| next(drain) <= Some(now)).collect()
        };
        if due.is_empty() {
            return Ok(0);
        }
        let roster = self.roster(now).await?;
        let present = roster.present();
        let (mut count, mut failed) = (0, None);
        for drain in due {
            match self.settle_drain(&roster, &present, drain, now).await {
                Ok(taken) => {
                    // Once it is empty it stays so, unless it attaches anew with what it had.
                    let rest = if taken > 0 { Duration::ZERO } else { EMPTY_LOOKED_AT_EVERY };
                    self.watchdogs.drain_looks.lock().insert(drain.process.key(), now.plus(rest));
                    count += taken;
                }
                // It is due with the next step again: the others are not to wait for it.
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        failed.map_or(Ok(count), Err)
    }

    /// Answers how many jobs were taken back.
    async fn settle_drain(
        &self,
        roster: &Roster,
        present: &BTreeSet<Process>,
        drain: &Drain,
        now: Timestamp,
    ) -> Result<u64> {
        let is_present = present
            .iter()
            .any(|process| drain.process.is_same(&process.worker_id, &process.instance_id));
        if drain.forget_time() <= now && !(is_present && drain.is_in_force(now)) {
            self.forget_drain(&drain.process, now).await?;
        } else if is_present {
            return self.take_back_from(roster, drain).await;
        }
        Ok(0)
    }

    async fn take_back_from(&self, roster: &Roster, drain: &Drain) -> Result<u64> {
        let open = roster.sessions.iter().filter(|session| session.end.is_none());
        let meant = open.filter(|session| drain.concerns(session));
        let sessions: Vec<SessionId> = meant.map(|session| session.id).collect();
        if sessions.is_empty() {
            return Ok(0);
        }
        let held =
            self.loop_db.read(move |store| async move { store.held(&sessions).await }).await?;
        let (mut count, mut failed) = (0, None);
        for some in held.chunks(SWEEP_AT_ONCE) {
            let releases = some.iter().filter_map(|job| {
                let (job_id, lease_epoch) = (job.id, job.status.lease_epoch);
                let reason = ReleaseReason::Drained { session: job.status.session()? };
                let command = Command::Release { lease_epoch, delay: Duration::ZERO, reason };
                Some(self.pipeline.ask(move |reply| Work::Try {
                    job_id,
                    command,
                    deed: None,
                    reply,
                }))
            });
            for released in join_all(releases).await {
                match released {
                    Ok(released) => count += u64::from(released),
                    Err(error) => _ = failed.get_or_insert(error),
                }
            }
        }
        failed.map_or(Ok(count), Err)
    }

    async fn forget_drain(&self, process: &Process, now: Timestamp) -> Result<()> {
        let key = key_of(process);
        let decide = |found: &[Rule]| {
            let Some(rule) = found.first() else { return Ok((Vec::new(), ())) };
            let still = rule.read::<Drain>()?.forget_time() <= now;
            let gone = still.then(|| RuleWrite::delete(rule.key.clone(), rule.revision));
            Ok((gone.into_iter().collect(), ()))
        };
        self.change_rules(vec![key.clone()], decide).await
    }
}

#[cfg(test)]
mod tests;
