//! A commit under way, and a dispatch round with what it goes by.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::domain::job::Job;
use crate::domain::status::StateKind;
use crate::domain::{JobId, JobType, Timestamp};
use crate::store::own::Own;
use crate::store::{
    Batch, Claims, Committed, KeyCap, KeyName, Probe, Result, Round, Standing, Unread,
};

use super::turns::Turn;
use super::{MemoryStore, Share, Tables};

/// The number of a commit under way; it is made, or is not, when this is dropped.
pub(super) struct Transaction {
    tables: Arc<Mutex<Tables>>,
    own: Arc<Own>,
    number: u64,
}

impl Transaction {
    pub(super) fn new(tables: Arc<Mutex<Tables>>, own: Arc<Own>) -> Self {
        let number = tables.lock().changes.begin();
        Self { tables, own, number }
    }

    pub(super) fn commit(self, batch: &Batch, now: Timestamp) -> Result<Committed> {
        let mut tables = self.tables.lock();
        let answer = tables.commit(batch, self.number, now);
        // What it did and that it is over become visible as one.
        tables.changes.end(self.number);
        answer.inspect(|committed| self.own.note(committed))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.tables.lock().changes.end(self.number);
    }
}

pub(super) struct MemoryRound {
    transaction: Transaction,
    /// The store's clock, if it has one.
    now: Option<Timestamp>,
    standing: Standing,
    candidates: Vec<Job>,
    turn: Turn,
}

/// Opens a round.
pub(super) async fn begin(store: &MemoryStore, claims: &Claims) -> MemoryRound {
    let transaction = store.begin();
    let mut turn = store.turns.round().await;
    turn.keep(claims.keys.iter()).await;
    let standing = store.tables.lock().standing(claims);
    let now = store.share.as_ref().map(Share::now);
    MemoryRound { transaction, now, standing, candidates: Vec::new(), turn }
}

#[async_trait]
impl Round for MemoryRound {
    fn standing(&self) -> &Standing {
        &self.standing
    }

    fn candidates(&self) -> &[Job] {
        &self.candidates
    }

    async fn look(&mut self, probes: &[Probe], now: Timestamp) -> Result<Unread> {
        for probe in probes {
            // As one statement sees it when it begins; each job is looked at anew when it is locked.
            let seen = self.transaction.tables.lock().candidates(probe, now);
            for id in seen {
                tokio::task::yield_now().await;
                if self.turn.take(id) {
                    let tables = self.transaction.tables.lock();
                    let found = tables.candidate(id, probe, now);
                    self.candidates.extend(found.map(|(_, job)| job.clone()));
                }
            }
            if let Some(cap) = &probe.cap {
                let tables = self.transaction.tables.lock();
                let of = |job: &&Job| job.spec.job_type == probe.job_type;
                for job in self.candidates.iter().filter(of) {
                    if let Some(value) = job.spec.labels.get(&cap.label) {
                        let running = tables.running_under(&probe.job_type, value);
                        let key = (probe.job_type.clone(), value.clone());
                        self.standing.values.insert(key, running);
                    }
                }
            }
        }
        // Nothing is encoded here.
        Ok(Unread::new())
    }

    async fn holders(&mut self, names: &[KeyName]) -> Result<HashMap<KeyName, JobId>> {
        let tables = self.transaction.tables.lock();
        let holder = |name: &KeyName| Some((name.clone(), tables.keys.get(name)?.holder));
        Ok(names.iter().filter_map(holder).collect())
    }

    async fn commit(self: Box<Self>, batch: Batch) -> Result<Committed> {
        let Self { transaction, now, .. } = *self;
        transaction.commit(&batch, now.unwrap_or(batch.now))
    }

    async fn abandon(self: Box<Self>) {}
}

impl Tables {
    pub(super) fn standing(&self, claims: &Claims) -> Standing {
        let Claims { keys, rules, running, queues, types, values } = claims;
        let found = self.rules(|key| keys.contains(key) || rules.contains(key));
        let mut standing = Standing {
            rules: found.into_iter().map(|rule| (rule.key.clone(), rule)).collect(),
            ..Standing::default()
        };
        for ((key, state), (stored, _)) in &self.counts {
            if *state != StateKind::Running || *stored <= 0 {
                continue;
            }
            let stored = stored.unsigned_abs();
            if *running {
                standing.running += stored;
            }
            if queues.contains(&key.queue) {
                *standing.queues.entry(key.queue.clone()).or_default() += stored;
            }
            if types.contains(&key.job_type) {
                *standing.types.entry(key.job_type.clone()).or_default() += stored;
            }
        }
        let under = |(job_type, value): &(JobType, String)| {
            let running = self.running_under(job_type, value);
            (running > 0).then(|| ((job_type.clone(), value.clone()), running))
        };
        standing.values = values.iter().filter_map(under).collect();
        standing
    }

    /// RUNNING jobs of a type that started under this value.
    fn running_under(&self, job_type: &JobType, value: &str) -> u64 {
        let under = |job: &&Job| {
            job.spec.job_type == *job_type && job.status.concurrency_key() == Some(value)
        };
        self.jobs.values().filter(under).count() as u64
    }

    /// Whether the value of the job's label is full.
    pub(super) fn is_full(&self, job: &Job, cap: &KeyCap) -> bool {
        let value = job.spec.labels.get(&cap.label);
        value.is_some_and(|value| {
            self.running_under(&job.spec.job_type, value) >= u64::from(cap.max)
        })
    }

    pub(super) fn candidates(&self, probe: &Probe, now: Timestamp) -> Vec<JobId> {
        let line = self.jobs.keys().filter_map(|id| self.candidate(*id, probe, now));
        let past = |job: &Job| probe.cap.as_ref().is_some_and(|cap| self.is_full(job, cap));
        let line = line.filter(|(_, job)| !past(job));
        let mut line: Vec<(Timestamp, JobId)> = line.map(|(key, job)| (key, job.id)).collect();
        line.sort_unstable();
        line.into_iter().take(probe.limit).map(|(_, id)| id).collect()
    }
}
