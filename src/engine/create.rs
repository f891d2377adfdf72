//! Making jobs.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use uuid::Uuid;

use crate::auth::Caller;
use crate::domain::audit::Deed;
use crate::domain::job::{JobSpec, Trigger, UniquePolicy};
use crate::domain::job_type::Draft;
use crate::domain::limits::{QUEUES_MAX, TYPES_MAX};
use crate::domain::machine::{self, Applied, Birth, Command, Now, Refusal};
use crate::domain::stats::Changes;
use crate::domain::status::{Skip, StateKind};
use crate::domain::validate::Violations;
use crate::domain::{Category, Job, JobId, Timestamp};
use crate::store::{NewJob, RequestKey, Store};

use super::Engine;
use super::dispatch::{Waiter, Wish};
use super::error::{Error, Result};
use super::pipeline::{Created, Lane, Waiting, Work};
use super::registry::Rulebook;

/// A wish for a job.
#[derive(Debug, Clone)]
pub struct CreateJob {
    /// What is asked.
    pub draft: Draft,
    /// The caller's id for the request, and a digest of its body.
    pub request: Option<(String, [u8; 32])>,
    /// Only say whether it would be taken.
    pub validate_only: bool,
}

/// A job leased to one call's session.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// The job.
    pub job: Job,
    /// The lease.
    pub lease_ttl: Duration,
}

/// What became of a wish to start a job at once.
#[derive(Debug, Clone)]
pub enum Started {
    /// It is the caller's to run.
    Assigned(Assignment),
    /// A policy refused it, and this records it.
    Skipped(Job),
}

/// The lease of a job that is started by its create.
const FIRST_LEASE: i64 = 1;

/// How often a create is tried anew when the job that stood in its way vanished meanwhile.
const CREATE_TRIES_MAX: usize = 3;

impl Engine {
    /// Makes a job, or finds the one that the same request made before.
    pub async fn create(&self, caller: &Caller, create: CreateJob) -> Result<Created> {
        self.born(caller, create, Trigger::Api, None, None).await
    }

    /// Whether so many jobs could be made now.
    ///
    /// # Errors
    /// [`Error::Overloaded`] if too much waits already.
    pub fn takes_creates(&self, jobs: usize) -> Result<()> {
        self.pipeline.takes(jobs)
    }

    /// Makes many jobs, each with its own answer.
    pub async fn create_many(
        &self,
        caller: &Caller,
        creates: Vec<CreateJob>,
    ) -> Vec<Result<Created>> {
        // All of them queue up before the writer looks: they share commits.
        join_all(creates.into_iter().map(|create| self.create(caller, create))).await
    }

    /// Makes a job and leases it to the caller at once; the same request again gives the same
    /// assignment as long as that lease is in force. A unique key that another job holds is refused
    /// whatever its policy: the other job is somebody else's to run.
    pub async fn start(&self, waiter: Waiter, create: CreateJob) -> Result<Started> {
        if create.draft.rest.schedule_time.is_some_and(|time| time > self.clock.now()) {
            let mut violations = Violations::default();
            violations.add("spec.schedule_time", "must not lie ahead: the job starts at once");
            return Err(Error::Invalid(violations));
        }
        let caller = waiter.caller.clone();
        let lease_ttl = waiter.lease_ttl;
        let created = self.born(&caller, create, Trigger::Worker, Some(&waiter), None).await?;
        let Created { job, .. } = created;
        match job.status.kind() {
            StateKind::Running if job.status.lease_epoch == FIRST_LEASE => {
                self.live.open(&job);
                Ok(Started::Assigned(Assignment { job, lease_ttl }))
            }
            StateKind::Skipped => Ok(Started::Skipped(job)),
            // The lease of the first answer is over: the job ended, waits, or runs elsewhere.
            state @ (StateKind::Pending
            | StateKind::Running
            | StateKind::Succeeded
            | StateKind::Failed
            | StateKind::Cancelled) => {
                let held = job.status.lease_epoch;
                let refusal = Refusal::StaleLease { held, presented: FIRST_LEASE, state };
                Err(Error::Refused { job_id: job.id, refusal })
            }
        }
    }

    pub(super) async fn born(
        &self,
        caller: &Caller,
        create: CreateJob,
        trigger: Trigger,
        starter: Option<&Waiter>,
        deed: Option<Deed>,
    ) -> Result<Created> {
        let request = create.request.map(|(request_id, fingerprint)| RequestKey {
            caller: caller.principal().to_owned(),
            request_id,
            fingerprint,
        });
        let returns_holder =
            starter.is_none() && create.draft.rest.unique_policy == UniquePolicy::ReturnExisting;
        let book = self.registry.book();
        let job_type = create.draft.rest.job_type.clone();
        let definition = book.spec(&job_type);
        let spec = Arc::new(create.draft.complete(definition));
        self.check_names(&spec)?;
        let mut refusal = Error::Overloaded;
        for _ in 0..CREATE_TRIES_MAX {
            if let Some(request) = &request
                && let Some(known) = self.known_request(request).await?
            {
                return Ok(Created { job: known, existing: true });
            }
            let now = self.clock.now();
            let origin = Origin {
                created_by: caller.principal().to_owned(),
                trigger,
                category: definition.and_then(|definition| definition.category.clone()),
                skipped: book.skips(&job_type, now),
            };
            if let Some(waiter) = starter {
                self.may_work(&waiter.process())?;
            }
            if starter.is_some() && origin.skipped.is_none() {
                book.lets_start(&job_type, &spec.queue)?;
            }
            let starter =
                starter.map(|waiter| Waiter { queues: vec![spec.queue.clone()], ..waiter.clone() });
            let answer = match starter.as_ref().filter(|_| origin.skipped.is_none()) {
                Some(waiter) if self.starter.concerns(&spec.queue, &job_type) => {
                    let (spec, waiter) = (Arc::clone(&spec), waiter.clone());
                    let request = request.clone();
                    self.starter.start(Wish { spec, origin, request, waiter }).await
                }
                _ => {
                    let new = newborn(&spec, origin, starter.as_ref(), request.clone(), now);
                    if create.validate_only {
                        self.check_room_to_wait(&new.job).await?;
                        return Ok(Created { job: new.job, existing: false });
                    }
                    let lane = self.lane_of_birth(&new.job, &book);
                    let deed = deed.clone().map(Box::new);
                    let work = |reply| Work::Create { new: Box::new(new), deed, reply };
                    self.pipeline.ask_in(lane, work).await
                }
            };
            match answer {
                Err(error @ Error::RequestIdReused { .. }) => refusal = error,
                Err(full @ Error::TooManyPending { .. }) => {
                    // Who asks for a job that is there takes no room.
                    let Some(holder) = self.unique_holder(&spec).await? else { return Err(full) };
                    if returns_holder && let Some(job) = self.find(holder).await? {
                        return Ok(Created { job, existing: true });
                    }
                    if !returns_holder {
                        return Err(Error::DuplicateJob { holder, key: spec.unique_key.clone() });
                    }
                    refusal = full;
                }
                Err(Error::DuplicateJob { holder, key }) => {
                    if returns_holder && let Some(job) = self.find(holder).await? {
                        return Ok(Created { job, existing: true });
                    }
                    if !returns_holder {
                        return Err(Error::DuplicateJob { holder, key });
                    }
                    refusal = Error::DuplicateJob { holder, key };
                }
                answer => {
                    if answer.is_ok() {
                        self.known.note(&spec.job_type, &spec.queue);
                    }
                    return answer;
                }
            }
        }
        Err(refusal)
    }

    /// The job that the request made before, if it did.
    pub(super) async fn known_request(&self, request: &RequestKey) -> Result<Option<Job>> {
        let (caller, request_id) = (request.caller.clone(), request.request_id.clone());
        let known = self
            .db
            .read(move |store| async move { store.request(&caller, &request_id).await })
            .await?;
        let Some(known) = known else { return Ok(None) };
        if known.fingerprint != request.fingerprint {
            return Err(Error::RequestIdReused { job_id: known.job_id });
        }
        match self.find(known.job_id).await? {
            Some(job) => Ok(Some(job)),
            None => Err(Error::RequestIdSpent { job_id: known.job_id }),
        }
    }

    /// The job that holds the unique key which a job is to have, if it is to have one.
    async fn unique_holder(&self, spec: &JobSpec) -> Result<Option<JobId>> {
        if spec.unique_key.is_empty() {
            return Ok(None);
        }
        let (job_type, key) = (spec.job_type.clone(), spec.unique_key.clone());
        let holder =
            self.db.read(|store| async move { store.unique_holder(&job_type, &key).await });
        holder.await
    }

    /// Where a job is made: what takes room that is bounded, in the order of one writer, so that this server
    /// never makes too many.
    fn lane_of_birth(&self, job: &Job, book: &Rulebook) -> Lane {
        let waits = job.status.kind() == StateKind::Pending;
        if waits && book.max_pending_in_all(self.max_pending) > 0 {
            return Lane::of_waiting();
        }
        match book.max_pending(&job.spec.queue) {
            0 => Lane::of_job(job.id),
            _ => Lane::of_queue(&job.spec.queue),
        }
    }

    /// Whether a job could wait now where that is bounded.
    async fn check_room_to_wait(&self, job: &Job) -> Result<()> {
        let book = self.registry.book();
        let max_pending = book.max_pending_in_all(self.max_pending);
        if max_pending == 0 && book.max_pending(&job.spec.queue) == 0 {
            return Ok(());
        }
        let max_pending = self.max_pending;
        let read = move |store: Arc<dyn Store>| async move {
            Waiting::read(store.as_ref(), &book, max_pending).await
        };
        self.db.read(read).await?.take(job)
    }

    /// A type or queue never heard of before counts against its bound.
    fn check_names(&self, spec: &JobSpec) -> Result<()> {
        let limit = |what, limit: usize| Error::LimitExceeded { what, limit: limit as u64 };
        if !self.known.takes_type(&spec.job_type) {
            return Err(limit("the number of job types", TYPES_MAX));
        }
        if !self.known.takes_queue(&spec.queue) {
            return Err(limit("the number of queues", QUEUES_MAX));
        }
        Ok(())
    }
}

/// What is known of a job at its birth besides what was asked.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) created_by: String,
    pub(super) trigger: Trigger,
    pub(super) category: Option<Category>,
    pub(super) skipped: Option<Skip>,
}

/// The job as it will be born: waiting, skipped, or started at once in a session of its own.
pub(super) fn newborn(
    spec: &Arc<JobSpec>,
    origin: Origin,
    starter: Option<&Waiter>,
    request: Option<RequestKey>,
    now: Timestamp,
) -> NewJob {
    let Origin { created_by, trigger, category, skipped } = origin;
    let reason = skipped.map(|skip| skip.reason);
    let birth = Birth { created_by, trigger, category, skipped: reason };
    let mut status = machine::create(spec, birth, now);
    status.skip_until = skipped.and_then(|skip| skip.until);
    let mut changes = Changes::default();
    changes.record(None, &status);
    // Who may not run it needs no lease.
    let session = starter.filter(|_| skipped.is_none()).map(|waiter| waiter.session(now));
    if let (Some(session), StateKind::Pending) = (&session, status.kind()) {
        let command = Command::Start { session: session.id, worker_id: session.worker_id.clone() };
        if let Ok(Applied::Changed(transition)) =
            machine::apply(spec, &status, command, Now::at(now))
        {
            changes.record(Some(&status), &transition.status);
            status = transition.status;
        }
    }
    let job = Job { id: JobId(Uuid::now_v7()), spec: Arc::clone(spec), status };
    NewJob { job, request, fire: None, session, changes }
}
