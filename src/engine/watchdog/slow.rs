//! What runs of a type usually take, and those that take unusually long.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::{Mutex, RwLock};

use crate::domain::histogram::Histogram;
use crate::domain::limits::{LOOP_ROWS_MAX, SWEEP_AT_ONCE};
use crate::domain::machine::Command;
use crate::domain::stats::Bucket;
use crate::domain::typical::{self, Typical};
use crate::domain::{Job, JobType, Timestamp};

use super::super::Engine;
use super::super::error::Result;
use super::super::pipeline::Work;

/// What is learned from: a day is long enough for what runs hourly, and short enough to follow a change.
const LEARNED_FROM: Duration = Duration::from_secs(24 * 3600);
/// Minutes that commits may still be added to.
const MINUTES_OPEN: i64 = 2;
const MINUTES_OF_HOUR: i64 = 60;

type ByType = HashMap<JobType, Histogram>;

/// What runs of each type usually take, as this server knows.
#[derive(Default)]
pub(super) struct Typicals {
    known: RwLock<Arc<HashMap<JobType, Typical>>>,
    learned: Mutex<Learned>,
}

/// Runs that succeeded, by the hour they ended in.
#[derive(Default)]
struct Learned {
    hours: BTreeMap<i64, ByType>,
    /// Minutes before this one are in them.
    next_minute: i64,
}

impl Learned {
    /// The first minute that is to be read at `now`.
    fn wanted(&self, now: Timestamp) -> i64 {
        self.next_minute.max(now.minus(LEARNED_FROM).minute())
    }

    /// Takes up minutes that are over; what is past its time goes.
    fn learn(&mut self, buckets: &[Bucket], now: Timestamp) {
        let (from, until) = (self.wanted(now), now.minute() - MINUTES_OPEN);
        for bucket in buckets.iter().filter(|bucket| (from..until).contains(&bucket.minute)) {
            let runs = bucket.tally.run_succeeded();
            if !runs.is_empty() {
                let hour = self.hours.entry(bucket.minute.div_euclid(MINUTES_OF_HOUR)).or_default();
                hour.entry(bucket.key.job_type.clone()).or_default().merge(&runs);
            }
        }
        self.next_minute = until.max(from);
        let oldest = now.minus(LEARNED_FROM).minute().div_euclid(MINUTES_OF_HOUR);
        self.hours.retain(|hour, _| *hour >= oldest);
    }

    fn typicals(&self) -> HashMap<JobType, Typical> {
        let mut all = ByType::new();
        for (job_type, runs) in self.hours.values().flatten() {
            all.entry(job_type.clone()).or_default().merge(runs);
        }
        all.into_iter().map(|(job_type, runs)| (job_type, Typical::from(runs))).collect()
    }
}

impl Typicals {
    /// What is known now.
    pub(super) fn known(&self) -> Arc<HashMap<JobType, Typical>> {
        Arc::clone(&self.known.read())
    }
}

impl Engine {
    /// Learns what runs take, and tells once of each that takes unusually long.
    pub async fn watch_slow(&self) -> Result<u64> {
        let now = self.clock.now();
        let from = self.watchdogs.typicals.learned.lock().wanted(now);
        let buckets =
            self.loop_db.read(move |store| async move { store.buckets(from).await }).await?;
        let typicals = {
            let mut learned = self.watchdogs.typicals.learned.lock();
            learned.learn(&buckets, now);
            Arc::new(learned.typicals())
        };
        *self.watchdogs.typicals.known.write() = Arc::clone(&typicals);
        let late = |job_type: &JobType| typicals.get(job_type)?.slow_after();
        let slow = self.live.take_slow(now, late, LOOP_ROWS_MAX);
        let (mut count, mut failed) = (0, None);
        for some in slow.chunks(SWEEP_AT_ONCE) {
            let notes = some.iter().map(|(job_id, lease_epoch)| {
                self.note_slow_by_id(&typicals, *job_id, *lease_epoch, now)
            });
            for ((job_id, lease_epoch), noted) in some.iter().zip(join_all(notes).await) {
                match noted {
                    Ok(noted) => count += u64::from(noted),
                    Err(error) => {
                        self.live.still_slow(*job_id, *lease_epoch);
                        failed.get_or_insert(error);
                    }
                }
            }
        }
        failed.map_or(Ok(count), Err)
    }

    async fn note_slow_by_id(
        &self,
        typicals: &HashMap<JobType, Typical>,
        job_id: crate::domain::JobId,
        lease_epoch: i64,
        now: Timestamp,
    ) -> Result<bool> {
        let job = self.find(job_id).await?.filter(|job| job.status.lease_epoch == lease_epoch);
        match job {
            Some(job) => self.note_slow(typicals, &job, now).await,
            None => Ok(false),
        }
    }

    /// Notes that a job takes unusually long, if it does and was not told of yet.
    pub(super) async fn note_slow(
        &self,
        typicals: &HashMap<JobType, Typical>,
        job: &Job,
        now: Timestamp,
    ) -> Result<bool> {
        let untold = job.status.attention.slow_time.is_none();
        let slow = typicals.get(&job.spec.job_type).filter(|_| untold);
        let Some(slow) = slow.and_then(|typical| typical.slow(&job.status, now)) else {
            return Ok(false);
        };
        let job_id = job.id;
        let command = Command::NoteSlow { lease_epoch: job.status.lease_epoch, p95: slow.p95 };
        self.pipeline.ask(|reply| Work::Try { job_id, command, deed: None, reply }).await
    }

    /// How long a running job will still take: by its progress, else by what runs of its type usually
    /// take, else by what its creator expects.
    #[must_use]
    pub fn remaining(&self, job: &Job) -> Option<Duration> {
        job.status.session()?;
        let execution = job.status.execution.as_ref()?;
        let derived = job.status.progress.derive(execution.start_time, self.clock.now());
        let typicals = self.watchdogs.typicals.known();
        typical::remaining(&derived, typicals.get(&job.spec.job_type), &job.spec)
    }
}

#[cfg(test)]
mod tests;
