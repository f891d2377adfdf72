//! Writing a batch, one thing after the other.

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use crate::domain::job::Job;
use crate::domain::logs::{LogBatch, LogRow};
use crate::domain::status::State;
use crate::domain::{JobId, Timestamp};
use crate::store::figures::Figures;
use crate::store::leases;
use crate::store::names::remembers_holder;
use crate::store::{
    Appended, Batch, Committed, Error, JobDelete, JobWrite, KeyChange, KeyKind, NewJob,
    ProgressWrite, Result, SessionWrite, Written, holds_key,
};

use super::{Key, StoredLog, Tables};

type KeyName = (KeyKind, String, String);

fn unique_key(job: &Job) -> Option<KeyName> {
    let spec = &job.spec;
    (!spec.unique_key.is_empty())
        .then(|| (KeyKind::Unique, spec.job_type.to_string(), spec.unique_key.clone()))
}

fn fire_key(new: &NewJob) -> Option<KeyName> {
    let nominal = new.fire.as_ref()?.as_str().to_owned();
    Some((KeyKind::Fire, new.job.spec.job_type.to_string(), nominal))
}

fn is_running(job: &Job, lease_epoch: i64) -> bool {
    matches!(job.status.state, State::Running { .. }) && job.status.lease_epoch == lease_epoch
}

fn rejected(why: &str) -> Error {
    Error::Rejected(Arc::from(Box::<dyn std::error::Error + Send + Sync>::from(why)))
}

impl Tables {
    /// Writes a batch as of `now`, the moment by which leases are judged.
    pub(super) fn commit(
        &mut self,
        batch: &Batch,
        transaction: u64,
        now: Timestamp,
    ) -> Result<Committed> {
        if batch.is_empty() {
            return Ok(Committed::default());
        }
        let mut missed = self.missed_rules(&batch.rules);
        if missed.is_empty() {
            let passes = |write| if self.passes(write) { Written::Done } else { Written::Missed };
            let writes: Vec<Written> = batch.writes.iter().map(passes).collect();
            missed = batch.rules_missed_by(&writes);
        }
        if !missed.is_empty() {
            return Ok(Committed::missed(batch, missed));
        }
        let mut ids = BTreeSet::new();
        let is_new = |id| !self.jobs.contains_key(&id) && ids.insert(id);
        if !batch.creates.iter().map(|new| new.job.id).all(is_new) {
            return Err(rejected("a job with this id exists"));
        }
        if self.changes.knows(batch.id) {
            return Err(rejected("a batch with this id was committed"));
        }
        self.write_rules(&batch.rules);
        let mut figures = Figures::empty(batch);
        // What gives its key back does so after all others have asked for theirs.
        let mut released = Vec::new();
        let running_before: Vec<bool> =
            batch.logs.iter().map(|log| self.runs(log.job_id, log.lease_epoch)).collect();
        let creates: Vec<Written> =
            batch.creates.iter().map(|new| self.create(new, &mut figures)).collect();
        for (new, written) in batch.creates.iter().zip(&creates) {
            if let (Some(session), Written::Done) = (&new.session, written) {
                let open = SessionWrite::Open(session.clone());
                leases::apply(&mut self.sessions, &open, now);
            }
        }
        let mut committed = Committed {
            creates,
            writes: batch
                .writes
                .iter()
                .map(|write| self.write(write, &mut figures, &mut released))
                .collect(),
            logs: batch
                .logs
                .iter()
                .zip(running_before)
                .map(|(log, running)| if running { self.append(log) } else { Appended::Missed })
                .collect(),
            deletes: batch.deletes.iter().map(|delete| self.delete(delete, &mut figures)).collect(),
            sessions: batch
                .sessions
                .iter()
                .map(|write| leases::apply(&mut self.sessions, write, now))
                .collect(),
            events: Vec::new(),
            missed_rules: Vec::new(),
            position: None,
            told: false,
        };
        self.told.write(batch, &mut committed, transaction);
        for (name, holder) in released {
            self.release(&name, holder);
        }
        for write in &batch.progress {
            self.flush(write);
        }
        self.count(&figures);
        committed.position = Some(self.changes.add(batch, &committed, transaction));
        Ok(committed)
    }

    fn runs(&self, id: JobId, lease_epoch: i64) -> bool {
        self.jobs.get(&id).is_some_and(|job| is_running(job, lease_epoch))
    }

    fn create(&mut self, new: &NewJob, figures: &mut Figures<'_>) -> Written {
        let job = &new.job;
        let request = new
            .request
            .as_ref()
            .map(|key| (KeyKind::Request, key.caller.clone(), key.request_id.clone()));
        let unique = unique_key(job).filter(|_| holds_key(&job.status.state));
        let fire = fire_key(new);
        for name in request.iter().chain(&unique).chain(&fire) {
            let Some(holder) = self.keys.get(name).map(|key| key.holder) else { continue };
            if let Some(request) = new.request.as_ref().filter(|_| remembers_holder(new, name.0)) {
                let name = (KeyKind::Request, request.caller.clone(), request.request_id.clone());
                self.take(name, (holder, job.status.create_time), request.fingerprint);
            }
            return Written::KeyTaken { kind: name.0, holder };
        }
        let fingerprint = new.request.as_ref().map_or([0; 32], |request| request.fingerprint);
        for name in request.into_iter().chain(unique).chain(fire) {
            self.take(name, (job.id, job.status.create_time), fingerprint);
        }
        self.jobs.insert(job.id, job.clone());
        figures.create(new);
        Written::Done
    }

    fn passes(&self, write: &JobWrite) -> bool {
        let stands = self.jobs.get(&write.job.id).is_some_and(|held| {
            held.status.revision == write.expected_revision
                && held.status.lease_epoch == write.expected_epoch
        });
        let moved = write.quiet_since.is_some_and(|since| {
            let flushed = self.progress.get(&write.job.id);
            flushed.is_some_and(|flushed| flushed.is_active_after(write.expected_epoch, since))
        });
        stands && !moved
    }

    fn write(
        &mut self,
        write: &JobWrite,
        figures: &mut Figures<'_>,
        released: &mut Vec<(KeyName, JobId)>,
    ) -> Written {
        let job = &write.job;
        if !self.passes(write) {
            return Written::Missed;
        }
        match (write.key, unique_key(job)) {
            (KeyChange::Take, Some(name)) => match self.keys.get(&name) {
                Some(key) if key.holder != job.id => {
                    return Written::KeyTaken { kind: KeyKind::Unique, holder: key.holder };
                }
                _ => self.take(name, (job.id, job.status.create_time), [0; 32]),
            },
            (KeyChange::Release, Some(name)) => released.push((name, job.id)),
            (KeyChange::None, _) | (_, None) => {}
        }
        if let Some(held) = self.jobs.get_mut(&job.id) {
            held.status = job.status.clone();
        }
        if !is_running(job, write.expected_epoch) {
            self.progress.remove(&job.id);
        }
        self.attempts.entry(job.id).or_default().extend(write.superseded.iter().cloned());
        figures.write(write);
        Written::Done
    }

    fn append(&mut self, log: &LogBatch) -> Appended {
        let rows = self.logs.entry(log.job_id).or_default();
        let known =
            rows.iter().any(|held| held.seq == log.seq && held.row.lease_epoch == log.lease_epoch);
        if log.seq == 0 || !known {
            self.last_position += 1;
            rows.push(StoredLog {
                seq: log.seq,
                row: LogRow {
                    lease_epoch: log.lease_epoch,
                    attempt: log.attempt,
                    position: self.last_position,
                    entries: log.entries.clone(),
                    dropped: 0,
                },
            });
        }
        Appended::Done
    }

    fn delete(&mut self, delete: &JobDelete, figures: &mut Figures<'_>) -> bool {
        let id = delete.job.id;
        let passes =
            self.jobs.get(&id).is_some_and(|held| held.status.revision == delete.expected_revision);
        if passes {
            if let Some(name) = unique_key(&delete.job) {
                self.release(&name, id);
            }
            self.keys.retain(|(kind, _, _), key| *kind != KeyKind::Fire || key.holder != id);
            self.jobs.remove(&id);
            self.progress.remove(&id);
            self.attempts.remove(&id);
            self.logs.remove(&id);
            figures.delete(delete);
        }
        passes
    }

    fn flush(&mut self, write: &ProgressWrite) {
        if self.runs(write.job_id, write.lease_epoch) {
            let flushed = super::Flushed::from(write.clone());
            match self.progress.entry(write.job_id) {
                Entry::Vacant(held) => drop(held.insert(flushed)),
                Entry::Occupied(mut held) => held.get_mut().join(flushed),
            }
        }
    }

    fn take(
        &mut self,
        name: KeyName,
        (holder, create_time): (JobId, Timestamp),
        fingerprint: [u8; 32],
    ) {
        self.keys.insert(name, Key { holder, fingerprint, create_time });
    }

    fn release(&mut self, name: &KeyName, holder: JobId) {
        if self.keys.get(name).is_some_and(|key| key.holder == holder) {
            self.keys.remove(name);
        }
    }

    fn count(&mut self, figures: &Figures<'_>) {
        for (key, delta) in figures.moved() {
            let (stored, finished) = self.counts.entry(key.clone()).or_default();
            *stored += delta.stored;
            *finished += delta.finished;
        }
        for (key, tally) in &figures.tallies {
            self.buckets.entry(key.clone()).or_default().merge(tally);
        }
        for (key, tally) in &figures.facets {
            self.facets.entry(key.clone()).or_default().merge(tally);
        }
    }
}
