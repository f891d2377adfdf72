//! One command for many jobs: what is asked is counted and written down with a job of type `jobplane.bulk`, and
//! servers run that job themselves.
//!
//! Owns: the start ([`Engine::bulk`]), the row that says what is asked and how far it is ([`Row`]), the task that
//! takes such jobs ([`runner`]) and one run of one ([`run`]).
//! Does not own: what is done to each job and how fast (`domain::bulk`), leases and attempts of the job that runs it:
//! these are as any other's.
//! Invariants: the row moves in the commit that changes the jobs, guarded by its revision, so that no job is taken
//! twice, whoever goes on after a crash; it keeps whom that commit asked, for a job that moved on before is left out
//! and looked at anew ([`again`]); never are more jobs changed than were expected.

mod again;
mod draft;
mod run;
mod runner;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::auth::Caller;
use crate::domain::bulk::{BulkAsk, BulkSpec, BulkState};
use crate::domain::job::Trigger;
use crate::domain::limits::{ATTEMPTS_MAX, BULK_SAMPLE_MAX, TOTAL_SIZE_EXACT_MAX};
use crate::domain::retry::RetryPolicy;
use crate::domain::validate::Violations;
use crate::domain::{Job, JobId, JobSpec, JobType, QueueName};
use crate::store::{KeyKind, ListQuery, NewJob, RequestKey, RuleKey, RuleKind, RuleWrite, Written};

use super::Engine;
use super::create::{Origin, newborn};
use super::error::{Error, Result};
use super::pipeline::{RuleChange, RulesChanged, Seen, Work};

/// A wish to do something to many jobs.
#[derive(Debug, Clone)]
pub struct BulkWish {
    /// What.
    pub ask: BulkAsk,
    /// The same for people, as the payload of the job that does it: an encoded Struct.
    pub payload: Option<Bytes>,
    /// The caller's id for the request, and a digest of its body.
    pub request: Option<(String, [u8; 32])>,
}

/// What is going to be done.
#[derive(Debug, Clone)]
pub struct BulkStart {
    /// Jobs that match.
    pub count: u64,
    /// Whether there are more.
    pub count_capped: bool,
    /// Some of them, the newest first.
    pub sample: Vec<Job>,
    /// The job that does it; none if nothing is to be done.
    pub job: Option<Job>,
}

/// A bulk command as its row has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row {
    spec: BulkSpec,
    state: BulkState,
    /// Whom the last step asked: not all of them may have heard it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    asked: Vec<Asked>,
}

/// A job that was asked, as it was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    seen: Seen,
    /// Whether it was over.
    over: bool,
}

fn key(job_id: JobId) -> RuleKey {
    RuleKey::new(RuleKind::Bulk, &job_id.to_string())
}

impl Engine {
    /// Counts the jobs that are meant, and has a job do it, unless it is only asked for.
    pub async fn bulk(&self, caller: &Caller, wish: BulkWish) -> Result<BulkStart> {
        let BulkWish { ask, payload, request } = wish;
        let validate_only = ask.validate_only;
        let mut wrong = Violations::default();
        let spec = BulkSpec::new(ask, &mut wrong).ok_or(Error::Invalid(wrong))?;
        let request = request.map(|(request_id, fingerprint)| RequestKey {
            caller: caller.principal().to_owned(),
            request_id,
            fingerprint,
        });
        if let Some(request) = &request
            && let Some(job) = self.known_request(request).await?
        {
            return self.bulk_again(job).await;
        }
        // Counted past what was expected, so that it can be told by how much.
        let cap = if validate_only { 0 } else { spec.expected_max } + TOTAL_SIZE_EXACT_MAX;
        let filter = spec.filter.clone();
        let sought = ListQuery {
            filter: spec.filter.clone(),
            before: None,
            limit: BULK_SAMPLE_MAX,
            full: false,
        };
        let counted = self.db.read(move |store| async move { store.count(&filter, cap + 1).await });
        let (count, sample) =
            (counted.await?, self.list_readable(&self.db, sought).await?.found.jobs);
        let count_capped = count > cap;
        let count = count.min(cap);
        let mut start = BulkStart { count, count_capped, sample, job: None };
        if validate_only {
            return Ok(start);
        }
        spec.check_count(count).map_err(Error::MoreThanExpected)?;
        let action = spec.action;
        let (reason, expected_max, rate) = (spec.reason.clone(), spec.expected_max, spec.rate);
        let new = self.bulk_job(caller, payload, request.clone());
        let job_id = new.job.id;
        // Its own id is younger than those of all jobs that are there: what is made from now on is not meant.
        let state = BulkState { cursor: Some(job_id), ..BulkState::starting(count) };
        let audit = vec![spec.audited(job_id, count, self.clock.now())];
        let row = Row { spec, state, asked: Vec::new() };
        let change = RuleChange {
            audit,
            writes: vec![RuleWrite::put(key(job_id), 0, &row)?],
            creates: vec![new.clone()],
            ..RuleChange::default()
        };
        let change = Box::new(change);
        let born = match self.pipeline.ask(|reply| Work::Rules { change, reply }).await? {
            RulesChanged::Done { creates, .. } => creates,
            // Nobody else writes a row of this name: a commit that was in doubt had happened.
            RulesChanged::Missed => match (self.find(job_id).await?, &request) {
                (Some(job), _) => {
                    start.job = Some(job);
                    return Ok(start);
                }
                (None, Some(request)) => {
                    let known = self.known_request(request).await?;
                    return self.bulk_again(known.ok_or(Error::Overloaded)?).await;
                }
                (None, None) => return Err(Error::Overloaded),
            },
        };
        match (born.first(), &request) {
            (Some(Written::Done), _) => {}
            (Some(Written::KeyTaken { kind: KeyKind::Request, .. }), Some(request)) => {
                let known = self.known_request(request).await?;
                return self.bulk_again(known.ok_or(Error::Overloaded)?).await;
            }
            _ => return Err(Error::Overloaded),
        }
        tracing::info!(
            job.id = %job_id,
            action = action.as_str(),
            count,
            expected_max,
            rate,
            reason,
            requested_by = caller.principal(),
            "bulk command begins"
        );
        start.job = Some(new.job);
        Ok(start)
    }

    /// The answer to a request that was made before.
    async fn bulk_again(&self, job: Job) -> Result<BulkStart> {
        let row = self.bulk_row(job.id).await?;
        let count = row.map_or(0, |(_, row)| row.state.matched);
        let done = u64::try_from(job.status.progress.total.unwrap_or_default()).unwrap_or_default();
        let count = count.max(done);
        Ok(BulkStart { count, count_capped: false, sample: Vec::new(), job: Some(job) })
    }

    /// What a job that runs a bulk command goes by, with its revision.
    async fn bulk_row(&self, job_id: JobId) -> Result<Option<(i64, Row)>> {
        let keys = vec![key(job_id)];
        let found = self.loop_db.read(|store| async move { store.rules_by_key(&keys).await });
        match found.await?.pop() {
            Some(rule) => Ok(Some((rule.revision, rule.read()?))),
            None => Ok(None),
        }
    }

    fn bulk_job(
        &self,
        caller: &Caller,
        payload: Option<Bytes>,
        request: Option<RequestKey>,
    ) -> NewJob {
        let mut spec = JobSpec::new(JobType::bulk(), QueueName::bulk());
        spec.payload = payload;
        // A lost server is no failure of the command: another one goes on.
        spec.retry_policy = RetryPolicy { max_attempts: ATTEMPTS_MAX, ..RetryPolicy::default() };
        let origin = Origin {
            created_by: caller.principal().to_owned(),
            trigger: Trigger::Api,
            category: None,
            skipped: None,
        };
        newborn(&Arc::new(spec), origin, None, request, self.clock.now())
    }

    /// Takes away rows of bulk commands whose job is gone.
    pub(super) async fn forget_bulk_rows(&self) -> Result<()> {
        let rules = self.loop_db.read(|store| async move { store.rules(&[RuleKind::Bulk]).await });
        for rule in rules.await? {
            let Ok(job_id) = rule.key.name.parse::<JobId>() else { continue };
            let found = self.load_readable(&self.loop_db, &[job_id]).await?;
            if found.is_empty() {
                let writes = vec![RuleWrite::delete(rule.key, rule.revision)];
                let change = Box::new(RuleChange { writes, ..RuleChange::default() });
                // Somebody else was faster: then it is gone.
                self.pipeline.ask(|reply| Work::Rules { change, reply }).await?;
            }
        }
        Ok(())
    }
}
