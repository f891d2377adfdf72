//! The rules as they stand at a moment: what a round of starts reads and changes.

use std::collections::BTreeMap;

use super::hold::Hold;
use super::share::{Flow, Shares};
use crate::domain::circuit::{CircuitSpec, CircuitState};
use crate::domain::ids::{JobType, QueueName, QuotaName, WorkerName};
use crate::domain::job::{Job, Trigger};
use crate::domain::job_type::{JobTypeSpec, TypeState};
use crate::domain::queue::QueueSettings;
use crate::domain::quota::{Quota, QuotaState};
use crate::domain::rate::{Bucket, StartRate};
use crate::domain::schedule::OverlapPolicy;
use crate::domain::status::State;
use crate::domain::time::Timestamp;
use crate::domain::{JobId, limits};

/// A queue as it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct QueueRules {
    /// What is said of it.
    pub settings: QueueSettings,
    /// Jobs of it that run; counted only where it has a cap.
    pub running: u64,
    /// Its start rate's bucket; full if unset.
    pub bucket: Option<Bucket>,
}

/// A type as it stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TypeRules {
    /// It is switched off.
    pub disabled: bool,
    /// Why, in the operator's words; may be empty.
    pub disabled_reason: String,
    /// Jobs of it that run at once; 0 = no cap.
    pub max_concurrent: u32,
    /// Jobs of it with the same label value that run at once; 0 = no cap.
    pub key_max: u32,
    /// Jobs of it that run; counted only where it has a cap, or its scheduled runs start alone.
    pub running: u64,
    /// How fast its jobs start.
    pub start_rate: Option<StartRate>,
    /// The bucket of that; full if unset.
    pub bucket: Option<Bucket>,
    /// Its breaker.
    pub circuit: CircuitSpec,
    /// And how that stands.
    pub circuit_state: CircuitState,
    /// What a start draws.
    pub quota_costs: BTreeMap<QuotaName, u64>,
}

impl TypeRules {
    /// A type by its definition, if it has one, and its state.
    #[must_use]
    pub fn new(
        definition: Option<&JobTypeSpec>,
        default_circuit: &CircuitSpec,
        state: &TypeState,
        running: u64,
    ) -> Self {
        let circuit = crate::domain::job_type::gate::circuit_of(definition, default_circuit);
        let key = definition.and_then(|said| said.concurrency_key.as_ref());
        Self {
            disabled: definition.is_some_and(|said| said.disabled),
            disabled_reason: definition
                .map(|said| said.disabled_reason.clone())
                .unwrap_or_default(),
            max_concurrent: definition.map_or(0, |said| said.max_concurrent),
            key_max: key.map_or(0, |key| key.max_running),
            running,
            start_rate: definition.and_then(|said| said.start_rate),
            bucket: state.start_bucket,
            circuit: circuit.clone(),
            circuit_state: state.circuit.clone(),
            quota_costs: definition.map(|said| said.quota_costs.clone()).unwrap_or_default(),
        }
    }
}

/// All rules that a round of starts goes by. A queue, type, key or quota that is not in it has none.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Rules {
    /// Jobs that run on the whole server at once, but its own; 0 = no cap.
    pub server_max: u32,
    /// Jobs that run, but those of the server's own types; counted only with such a cap.
    pub server_running: u64,
    /// Queues.
    pub queues: BTreeMap<QueueName, QueueRules>,
    /// Types.
    pub types: BTreeMap<JobType, TypeRules>,
    /// Jobs that run by type and label value, where the type caps them.
    pub keys: BTreeMap<(JobType, String), u64>,
    /// Quotas.
    pub quotas: BTreeMap<QuotaName, (Quota, QuotaState)>,
    /// How queues share the starts.
    pub shares: Shares,
}

/// A job that could start, as far as the rules want to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub job_id: JobId,
    /// The queue it waits in.
    pub queue: QueueName,
    /// Its type.
    pub job_type: JobType,
    /// Its place in line.
    pub ready_key: Timestamp,
    /// When it became ready.
    pub ready_time: Timestamp,
    /// It has run before: it is held where a fresh job would be skipped.
    pub has_run: bool,
    /// Memory that it may use; 0 = not said.
    pub memory_bytes: u64,
    /// The value of the label that its type is capped by, if it has one.
    pub key: Option<String>,
    /// It starts only while no other job of its type runs.
    pub alone: bool,
    /// The worker it failed on and keeps away from.
    pub avoid_worker: Option<WorkerName>,
}

impl Candidate {
    /// A waiting job; nothing if it does not wait.
    #[must_use]
    pub fn new(job: &Job, definition: Option<&JobTypeSpec>) -> Option<Self> {
        let State::Pending { ready_key } = job.status.state else { return None };
        let schedule = definition.and_then(|definition| definition.schedule.as_ref());
        let policy = schedule.map_or(OverlapPolicy::Allow, |schedule| schedule.overlap_policy);
        let key = definition.and_then(|said| said.concurrency_value(&job.spec.labels));
        Some(Self {
            job_id: job.id,
            queue: job.status.effective.queue.clone(),
            job_type: job.spec.job_type.clone(),
            ready_key,
            ready_time: job.status.schedule_time,
            has_run: job.status.attempt > 0,
            memory_bytes: job.status.effective.limits.memory_bytes,
            key: key.map(str::to_owned),
            alone: job.status.trigger == Trigger::Schedule && policy.starts_alone(),
            avoid_worker: job.status.effective.avoid_worker.clone(),
        })
    }

    /// Until when it keeps away from the worker it failed on.
    #[must_use]
    pub fn avoids_until(&self) -> Timestamp {
        self.ready_time.plus(limits::AVOID_WORKER_FOR)
    }
}

fn is_full(running: u64, max: u32) -> bool {
    max > 0 && running >= u64::from(max)
}

/// When a bucket has its next token, if it has none now.
fn empty_until(
    rate: Option<&StartRate>,
    bucket: Option<Bucket>,
    now: Timestamp,
) -> Option<Timestamp> {
    let rate = rate?;
    let until = bucket.map_or(now, |bucket| bucket.next_time(rate, now));
    (until > now).then_some(until)
}

fn taken(rate: Option<&StartRate>, bucket: &mut Option<Bucket>, now: Timestamp) {
    if let Some(rate) = rate {
        let held = bucket.unwrap_or_else(|| Bucket::full(rate, now));
        *bucket = Some(held.take(rate, 1, now).1);
    }
}

impl Rules {
    /// The weight of a queue; 0 if it stands in the common line.
    pub(super) fn weight(&self, queue: &QueueName) -> u32 {
        self.queues.get(queue).map_or(0, |queue| queue.settings.weight)
    }

    /// The line that jobs of a queue stand in.
    pub(super) fn flow(&self, queue: &QueueName) -> Flow {
        (self.weight(queue) > 0).then(|| queue.clone())
    }

    /// Every rule about numbers that keeps `job` waiting at `now`: pauses, caps and rates.
    #[must_use]
    pub fn holds(&self, job: &Candidate, now: Timestamp) -> Vec<Hold> {
        let mut holds = self.full(&job.queue, &job.job_type);
        if let Some(kind) = self.types.get(&job.job_type) {
            if let Some(value) = &job.key {
                let running = self.key_running(job);
                if is_full(running, kind.key_max) {
                    let (value, max) = (value.clone(), kind.key_max);
                    holds.push(Hold::KeyFull { value, running, max });
                }
            }
            if job.alone && kind.running > 0 {
                holds.push(Hold::Overlap { running: kind.running });
            }
        }
        holds.extend(self.spent(&job.queue, &job.job_type, now));
        holds
    }

    /// Pauses and caps that keep all jobs of a type waiting in a queue.
    pub(super) fn full(&self, name: &QueueName, job_type: &JobType) -> Vec<Hold> {
        let mut holds = Vec::new();
        let queue = self.queues.get(name);
        if let Some(queue) = queue.filter(|queue| queue.settings.paused) {
            let reason = queue.settings.pause_reason.clone();
            holds.push(Hold::QueuePaused { queue: name.clone(), reason });
        }
        // Of what is told to all jobs at once some may be what ends those that fill the server.
        if is_full(self.server_running, self.server_max) && !job_type.is_reserved() {
            holds.push(Hold::ServerFull { running: self.server_running, max: self.server_max });
        }
        if let Some(queue) = queue {
            let (running, max) = (queue.running, queue.settings.max_running);
            if is_full(running, max) {
                holds.push(Hold::QueueFull { queue: name.clone(), running, max });
            }
        }
        if let Some(kind) = self.types.get(job_type) {
            let (running, max) = (kind.running, kind.max_concurrent);
            if is_full(running, max) {
                holds.push(Hold::TypeFull { job_type: job_type.clone(), running, max });
            }
        }
        holds
    }

    /// Start rates that do so.
    pub(super) fn spent(&self, name: &QueueName, job_type: &JobType, now: Timestamp) -> Vec<Hold> {
        let mut holds = Vec::new();
        if let Some(queue) = self.queues.get(name)
            && let Some(until) = empty_until(queue.settings.start_rate.as_ref(), queue.bucket, now)
        {
            holds.push(Hold::QueueRate { queue: name.clone(), until });
        }
        if let Some(kind) = self.types.get(job_type)
            && let Some(until) = empty_until(kind.start_rate.as_ref(), kind.bucket, now)
        {
            holds.push(Hold::TypeRate { job_type: job_type.clone(), until });
        }
        holds
    }

    fn key_running(&self, job: &Candidate) -> u64 {
        let key = job.key.clone().map(|value| (job.job_type.clone(), value));
        key.and_then(|key| self.keys.get(&key)).copied().unwrap_or(0)
    }

    /// Counts a job that starts.
    pub(super) fn started(&mut self, job: &Candidate, now: Timestamp) {
        self.server_running += u64::from(!job.job_type.is_reserved());
        if let Some(queue) = self.queues.get_mut(&job.queue) {
            queue.running += 1;
            taken(queue.settings.start_rate.as_ref(), &mut queue.bucket, now);
        }
        if let Some(kind) = self.types.get_mut(&job.job_type) {
            kind.running += 1;
            taken(kind.start_rate.as_ref(), &mut kind.bucket, now);
        }
        if let Some(value) = &job.key {
            *self.keys.entry((job.job_type.clone(), value.clone())).or_default() += 1;
        }
    }
}
