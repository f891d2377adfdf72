//! Columns of jobs: what never changes of new ones, and the statuses of new and changed ones.

use uuid::Uuid;

use crate::domain::job::Job;
use crate::domain::status::State;
use crate::domain::{Category, SessionId, Timestamp};
use crate::store::Result;
use crate::store::passed::Passed;
use crate::store::rows::{clock_time, encode_spec, encode_status, state_code, trigger_code};

use super::super::super::bound::Bound;
use super::super::text::Parts;
use super::small;

#[derive(Default)]
pub(super) struct Jobs<'a> {
    ids: Vec<Uuid>,
    job_types: Vec<&'a str>,
    queues: Vec<&'a str>,
    owners: Vec<&'a str>,
    subjects: Vec<&'a str>,
    external_ids: Vec<&'a str>,
    created_by: Vec<&'a str>,
    triggers: Vec<i16>,
    categories: Vec<Option<&'a str>>,
    create_times: Vec<i64>,
    labels: Vec<String>,
    specs: Vec<Vec<u8>>,
    payloads: Vec<Option<&'a [u8]>>,
    label_keys: Vec<&'a str>,
    label_values: Vec<&'a str>,
    labelled: Vec<Uuid>,
}

impl<'a> Jobs<'a> {
    pub(super) fn of(passed: &Passed<'a>) -> Result<Self> {
        let mut jobs = Self::default();
        for new in passed.creates() {
            let Job { id, spec, status } = &new.job;
            jobs.ids.push(id.0);
            jobs.job_types.push(spec.job_type.as_str());
            jobs.queues.push(spec.queue.as_str());
            jobs.owners.push(&spec.owner);
            jobs.subjects.push(&spec.subject);
            jobs.external_ids.push(&spec.external_id);
            jobs.created_by.push(&status.created_by);
            jobs.triggers.push(small(trigger_code(status.trigger)));
            jobs.categories.push(status.category.as_ref().map(Category::as_str));
            jobs.create_times.push(status.create_time.as_micros());
            let labels = spec.labels.iter().map(|(key, value)| (key.clone(), value.clone().into()));
            jobs.labels.push(serde_json::Value::Object(labels.collect()).to_string());
            jobs.specs.push(encode_spec(&new.job)?);
            jobs.payloads.push(spec.payload.as_deref());
            for (key, value) in &spec.labels {
                jobs.label_keys.push(key);
                jobs.label_values.push(value);
                jobs.labelled.push(id.0);
            }
        }
        Ok(jobs)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    pub(super) const fn are_labelled(&self) -> bool {
        !self.labelled.is_empty()
    }

    pub(super) fn bind(self, parts: Parts, mut query: Bound) -> Bound {
        if parts.has(Parts::BORN) {
            query = query
                .bind(self.ids)
                .bind(self.job_types)
                .bind(self.queues)
                .bind(self.owners)
                .bind(self.subjects)
                .bind(self.external_ids)
                .bind(self.created_by)
                .bind(self.triggers)
                .bind(self.categories)
                .bind(self.create_times)
                .bind(self.labels)
                .bind(self.specs)
                .bind(self.payloads);
        }
        if parts.has(Parts::LABELS) {
            query = query.bind(self.label_keys).bind(self.label_values).bind(self.labelled);
        }
        query
    }
}

#[derive(Default)]
pub(super) struct Statuses<'a> {
    ids: Vec<Uuid>,
    job_types: Vec<&'a str>,
    queues: Vec<&'a str>,
    states: Vec<i16>,
    revisions: Vec<i64>,
    epochs: Vec<i64>,
    ready_keys: Vec<Option<i64>>,
    schedule_times: Vec<i64>,
    sessions: Vec<Option<Uuid>>,
    workers: Vec<Option<&'a str>>,
    clock_times: Vec<Option<i64>>,
    end_times: Vec<Option<i64>>,
    update_times: Vec<i64>,
    encoded: Vec<Vec<u8>>,
    results: Vec<Option<&'a [u8]>>,
    born: Vec<bool>,
    concurrency_keys: Vec<Option<&'a str>>,
}

impl<'a> Statuses<'a> {
    pub(super) fn of(passed: &Passed<'a>) -> Result<Self> {
        let mut statuses = Self::default();
        let born = passed.creates().map(|new| (&new.job, true));
        for (job, born) in born.chain(passed.writes().map(|write| (&write.job, false))) {
            statuses.push(job, born)?;
        }
        Ok(statuses)
    }

    fn push(&mut self, job: &'a Job, born: bool) -> Result<()> {
        let Job { id, spec, status } = job;
        let ready_key = match status.state {
            State::Pending { ready_key } => Some(ready_key.as_micros()),
            State::Running { .. }
            | State::Succeeded
            | State::Failed
            | State::Cancelled
            | State::Skipped { .. } => None,
        };
        let worker = status.execution.as_ref().map(|execution| execution.worker_id.as_str());
        self.ids.push(id.0);
        self.job_types.push(spec.job_type.as_str());
        self.queues.push(status.effective.queue.as_str());
        self.states.push(small(state_code(status.kind())));
        self.revisions.push(status.revision);
        self.epochs.push(status.lease_epoch);
        self.ready_keys.push(ready_key);
        self.schedule_times.push(status.schedule_time.as_micros());
        self.sessions.push(status.session().map(|SessionId(id)| id));
        self.workers.push(worker);
        self.clock_times.push(clock_time(job));
        self.end_times.push(status.end_time.map(Timestamp::as_micros));
        self.update_times.push(status.update_time.as_micros());
        self.encoded.push(encode_status(status)?);
        self.results.push(status.result.as_deref());
        self.born.push(born);
        self.concurrency_keys.push(status.concurrency_key());
        Ok(())
    }

    /// Whether some of them are of jobs that were there before.
    pub(super) fn are_changed(&self) -> bool {
        !self.born.iter().all(|born| *born)
    }

    pub(super) fn bind(self, query: Bound) -> Bound {
        query
            .bind(self.ids)
            .bind(self.job_types)
            .bind(self.queues)
            .bind(self.states)
            .bind(self.revisions)
            .bind(self.epochs)
            .bind(self.ready_keys)
            .bind(self.schedule_times)
            .bind(self.sessions)
            .bind(self.workers)
            .bind(self.clock_times)
            .bind(self.end_times)
            .bind(self.update_times)
            .bind(self.encoded)
            .bind(self.results)
            .bind(self.born)
            .bind(self.concurrency_keys)
    }
}
