//! A commit of which nobody knows whether it happened. Its id in the change log tells; until it is
//! known nothing else is decided, and if it happened, what follows a commit follows it too.

use std::collections::{HashMap, HashSet};

use crate::domain::limits::{GUARD_REPEATS_MAX, LOOP_ROWS_MAX};
use crate::domain::status::StateKind;
use crate::domain::{BatchId, Job, JobId, LogBatch};
use crate::store::{self, Appended, LogQuery, RuleKey, Store};

use super::desk::Desk;
use super::fold::Folded;
use super::work::{Created, Work};
use super::writer::Writer;

/// What such a commit was to do.
pub(super) struct Unheard {
    id: BatchId,
    births: HashSet<JobId>,
    deletes: HashSet<JobId>,
    writes: Vec<Desk>,
    logs: Vec<LogBatch>,
    rules: Vec<RuleKey>,
}

/// What such a commit did.
#[derive(Default)]
pub(super) struct Heard {
    /// Whether it happened at all.
    pub(super) happened: bool,
    born: HashMap<JobId, Job>,
    gone: HashSet<JobId>,
    /// Lines that were surely kept.
    logs: Vec<LogBatch>,
}

/// Lines that were kept by a commit that was heard of late, by job, lease and number: said again, they are
/// known, although the same commit may have ended their lease.
pub(super) type Kept = HashSet<(JobId, i64, i64)>;

impl Unheard {
    /// Takes down what `folded` was to do; its work is to be answered elsewhere.
    pub(super) fn of(folded: Folded) -> (Self, Vec<Work>) {
        let Folded { batch, mut desks, written, work, rules: _ } = folded;
        let unheard = Self {
            id: batch.id,
            births: batch.creates.iter().map(|new| new.job.id).collect(),
            deletes: batch.deletes.iter().map(|delete| delete.job.id).collect(),
            writes: written.iter().filter_map(|id| desks.remove(id)).collect(),
            logs: batch.logs,
            rules: batch.rules.into_iter().map(|write| write.key).collect(),
        };
        (unheard, work.into_iter().map(|(work, _)| work).collect())
    }

    fn jobs(&self) -> Vec<JobId> {
        let writes = self.writes.iter().map(|desk| desk.job.id);
        let logs = self.logs.iter().map(|log| log.job_id);
        self.births.iter().chain(&self.deletes).copied().chain(writes).chain(logs).collect()
    }

    /// How its jobs stand; and the lines whose job has moved on since, as far as the store has them:
    /// nothing else tells.
    async fn standing(
        &self,
        store: &dyn Store,
    ) -> Result<(HashMap<JobId, Job>, Kept), store::Error> {
        let stand = store.load(&self.jobs()).await?;
        let stand: HashMap<JobId, Job> = stand.into_iter().map(|job| (job.id, job)).collect();
        let mut found = Kept::new();
        for log in self.logs.iter().filter(|log| !self.is_surely_kept(log, &stand)) {
            let (job_id, lease_epoch) = (log.job_id, Some(log.lease_epoch));
            let mut query =
                LogQuery { job_id, lease_epoch, from_position: 0, limit: LOOP_ROWS_MAX };
            loop {
                let rows = store.logs(&query).await?;
                if rows.iter().any(|row| row.entries == log.entries) {
                    found.insert(lease_and_number(log));
                    break;
                }
                match rows.last() {
                    Some(last) if rows.len() >= query.limit => {
                        query.from_position = last.position.saturating_add(1);
                    }
                    Some(_) | None => break,
                }
            }
        }
        Ok((stand, found))
    }

    /// Whether the lease of these lines surely held in that commit: it holds still, or the commit itself
    /// changed the job as it then stood.
    fn is_surely_kept(&self, log: &LogBatch, stand: &HashMap<JobId, Job>) -> bool {
        let Some(job) = stand.get(&log.job_id) else { return false };
        let status = &job.status;
        status.kind() == StateKind::Running && status.lease_epoch == log.lease_epoch
            || self.writes.iter().any(|desk| desk.job.id == job.id && is_its_write(job, &desk.job))
    }

    fn kept(&self, stand: &HashMap<JobId, Job>, found: &Kept) -> Vec<LogBatch> {
        let is_kept = |log: &&LogBatch| {
            found.contains(&lease_and_number(log)) || self.is_surely_kept(log, stand)
        };
        self.logs.iter().filter(is_kept).cloned().collect()
    }
}

impl Writer {
    /// Finds out what became of the commit before, if that is not known.
    pub(super) async fn hear(&mut self) -> Result<Heard, store::Error> {
        let Some(unheard) = &self.unheard else { return Ok(Heard::default()) };
        if !self.parts.store.has_batch(unheard.id).await? {
            self.unheard = None;
            return Ok(Heard::default());
        }
        if !unheard.rules.is_empty() {
            for _ in 0..=GUARD_REPEATS_MAX {
                let before = self.parts.registry.book();
                let rules = self.parts.store.rules_by_key(&unheard.rules).await?;
                if self.parts.followers.found(&unheard.rules, &rules, &before) {
                    break;
                }
            }
        }
        let (mut stand, found) = match unheard.standing(&*self.parts.store).await {
            Ok(standing) => standing,
            Err(error @ store::Error::Corrupt { .. }) => {
                // What followed from it cannot be told; what comes next must not wait for ever.
                self.unheard = None;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let Some(unheard) = self.unheard.take() else { return Ok(Heard::default()) };
        let logs = unheard.kept(&stand, &found);
        for mut desk in unheard.writes {
            match stand.get(&desk.job.id) {
                Some(job) if is_its_write(job, &desk.job) => self.follow(&mut desk),
                // The guard missed, or the job has moved on.
                Some(job) => self.parts.after.hub.publish(job),
                None => {}
            }
        }
        let gone: HashSet<JobId> =
            unheard.deletes.into_iter().filter(|id| !stand.contains_key(id)).collect();
        for id in &gone {
            self.parts.after.deleted(*id);
        }
        stand.retain(|id, _| unheard.births.contains(id));
        for job in stand.values() {
            self.parts.after.born(job);
        }
        self.parts.after.appended(&logs, &vec![Appended::Done; logs.len()]);
        self.kept = logs.iter().map(lease_and_number).collect();
        self.parts.after.happened();
        Ok(Heard { happened: true, born: stand, gone, logs })
    }

    /// Answers births, deletes and lines that happened; everything else is decided again, where what was
    /// done is known again.
    pub(super) fn answer_heard(&mut self, mut heard: Heard, work: Vec<Work>, times: &[usize]) {
        for (piece, times) in work.into_iter().zip(times) {
            match piece {
                Work::Create { new, deed, reply } => match heard.born.get(&new.job.id) {
                    Some(job) => reply.send(Ok(Created { job: job.clone(), existing: false })),
                    None => self.repeat(Work::Create { new, deed, reply }, *times),
                },
                Work::Delete { job_id, reply, .. } if heard.gone.contains(&job_id) => {
                    reply.send(Ok(()));
                }
                Work::Logs { batch, patient, reply } => match heard.take_log(&batch) {
                    // Without a number they would be kept twice.
                    Some(_) => reply.send(Ok(())),
                    None => self.repeat(Work::Logs { batch, patient, reply }, *times),
                },
                other => self.repeat(other, *times),
            }
        }
    }
}

impl Heard {
    fn take_log(&mut self, log: &LogBatch) -> Option<LogBatch> {
        let same = |kept: &LogBatch| {
            lease_and_number(kept) == lease_and_number(log) && kept.entries == log.entries
        };
        let place = self.logs.iter().position(same)?;
        Some(self.logs.swap_remove(place))
    }
}

pub(super) fn lease_and_number(log: &LogBatch) -> (JobId, i64, i64) {
    (log.job_id, log.lease_epoch, log.seq)
}

/// Whether the job stands as that write left it.
pub(in super::super) fn is_its_write(stands: &Job, written: &Job) -> bool {
    let (stands, written) = (&stands.status, &written.status);
    stands.revision == written.revision
        && stands.lease_epoch == written.lease_epoch
        && stands.state == written.state
        && stands.update_time == written.update_time
}
