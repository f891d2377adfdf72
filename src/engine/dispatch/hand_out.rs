//! What becomes of jobs that a round started: those who take them expect them before the commit, and get them
//! after it.

use std::collections::HashMap;

use crate::domain::machine::Effect;
use crate::domain::{Job, JobId};
use crate::store::{self, Written};

use super::super::pipeline::is_its_write;
use super::round::{Dispatcher, Unheard};
use super::taker::Taker;

impl Dispatcher {
    /// Prepares for a job that is about to start: from its commit on, whatever is decided about it
    /// finds its holder, its cell and its place in the cache, and takes them away again. `false` if its
    /// taker is gone.
    pub(super) fn expect(&self, job: &Job, to: &Taker) -> bool {
        let cell = self.live.open(job);
        let expected = match to {
            Taker::Stream(attach) => attach.reserve(job, cell),
            Taker::Call(_) => true,
        };
        if expected {
            self.cache.note(job, |session| self.after.keeps(session));
        } else {
            self.live.close(job.id, job.status.lease_epoch);
        }
        expected
    }

    /// The job does not start after all, as far as is known.
    pub(super) fn expect_no_more(&self, job: &Job, to: Option<&Taker>) {
        if let Some(Taker::Stream(attach)) = to {
            attach.withdraw(job);
        }
        self.cache.forget(job.id);
        self.live.close(job.id, job.status.lease_epoch);
    }

    /// Gives each started job to its taker; what cannot be given is released.
    pub(super) fn hand_out(
        &self,
        starts: Vec<(usize, Job)>,
        written: &[Written],
        takers: &[Taker],
        befores: &HashMap<JobId, Job>,
    ) {
        let mut calls: HashMap<usize, Vec<Job>> = HashMap::new();
        for ((taker, job), written) in starts.into_iter().zip(written) {
            if *written != Written::Done {
                self.expect_no_more(&job, takers.get(taker));
                self.line.more((job.status.effective.queue.clone(), job.spec.job_type.clone()));
                continue;
            }
            if let Some(before) = befores.get(&job.id) {
                let effects = vec![Effect::Started { attempt: job.status.attempt }];
                self.after.changed(before, &job, effects);
            }
            match takers.get(taker) {
                Some(Taker::Stream(attach)) => {
                    if !attach.assign(&job) {
                        self.release(&job);
                    }
                }
                Some(Taker::Call(_)) => calls.entry(taker).or_default().push(job),
                None => self.release(&job),
            }
        }
        for (taker, jobs) in calls {
            if let Some(Taker::Call(waiting)) = takers.get(taker)
                && let Err(jobs) = waiting.answer(jobs)
            {
                for job in &jobs {
                    self.release(job);
                }
            }
        }
    }

    /// Tells of jobs that no rule let start.
    pub(super) fn skipped(
        &self,
        skips: Vec<(Job, Vec<Effect>)>,
        written: &[Written],
        befores: &HashMap<JobId, Job>,
    ) {
        for ((job, effects), written) in skips.into_iter().zip(written) {
            match befores.get(&job.id) {
                Some(before) if *written == Written::Done => {
                    self.after.changed(before, &job, effects);
                }
                _ => {
                    self.line.more((job.status.effective.queue.clone(), job.spec.job_type.clone()));
                }
            }
        }
    }

    /// Finds out what became of rounds whose commits nobody heard of: what was started is given back, and what
    /// was skipped is told. Only when it is known: a release that is decided while the commit is still under
    /// way finds nothing to release, and nobody else would.
    pub(super) async fn hear(&self, unheard: &mut Vec<Unheard>) -> store::Result<()> {
        while let Some(last) = unheard.last() {
            if !self.store.has_batch(last.id).await? {
                unheard.pop();
                continue;
            }
            let stand = match self.stand_after(last).await {
                Err(error @ store::Error::Corrupt { .. }) => {
                    // What followed from it cannot be told; other rounds must not wait for ever.
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "what a round did cannot be read");
                    HashMap::new()
                }
                stand => stand?,
            };
            let Some(Unheard { starts, skips, .. }) = unheard.pop() else { return Ok(()) };
            for job in &starts {
                self.release(job);
            }
            for (before, job, effects) in skips {
                match stand.get(&job.id) {
                    Some(stands) if is_its_write(stands, &job) => {
                        self.after.changed(&before, &job, effects);
                    }
                    // The guard missed, or the job has moved on.
                    Some(stands) => self.after.hub.publish(stands),
                    None => {}
                }
            }
            self.after.happened();
        }
        Ok(())
    }

    /// How the jobs stand that were to be skipped; the rules that were to change are known from then on.
    async fn stand_after(&self, unheard: &Unheard) -> store::Result<HashMap<JobId, Job>> {
        if !unheard.rules.is_empty() {
            let rules = self.store.rules_by_key(&unheard.rules).await?;
            self.registry.note(&unheard.rules, &rules);
        }
        let ids: Vec<JobId> = unheard.skips.iter().map(|(_, job, _)| job.id).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let stand = self.store.load(&ids).await?;
        Ok(stand.into_iter().map(|job| (job.id, job)).collect())
    }

    pub(super) fn release(&self, job: &Job) {
        if let Some(session) = job.status.session() {
            self.sessions.take_back(job.id, job.status.lease_epoch, session);
        }
    }
}
