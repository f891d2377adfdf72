//! A job of a declared type, now.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::auth::Caller;
use crate::domain::audit::{AuditAction, Deed};
use crate::domain::job::Trigger;
use crate::domain::job_type::gate::{self, Standing, TriggerRefusal, circuit_of};
use crate::domain::job_type::{Draft, TypeState};
use crate::domain::queue::QueueSettings;
use crate::domain::{Job, JobSpec, JobType, QueueName};
use crate::store::{Claims, RequestKey, RuleKey, RuleKind};

use super::create::CreateJob;
use super::error::{Error, Result};
use super::registry::readable;
use super::{Engine, TypeInfo};

/// A wish for a job of a type.
#[derive(Debug, Clone)]
pub struct TriggerType {
    /// The type.
    pub job_type: JobType,
    /// The input; that of the type if unset.
    pub payload: Option<Bytes>,
    /// Labels on top of the type's.
    pub labels: BTreeMap<String, String>,
    /// The caller's id for the request, and a digest of its body.
    pub request: Option<(String, [u8; 32])>,
    /// Why, for people.
    pub reason: String,
}

impl Engine {
    /// Makes a job of a declared type, unless it could not run now.
    pub async fn trigger_type(&self, caller: &Caller, trigger: TriggerType) -> Result<Job> {
        if let Some((request_id, fingerprint)) = trigger.request.clone() {
            let caller = caller.principal().to_owned();
            let request = RequestKey { caller, request_id, fingerprint };
            // The job that was made then may be what another one of its type could not run beside.
            if let Some(known) = self.known_request(&request).await? {
                return Ok(known);
            }
        }
        let info = self.job_type(caller, &trigger.job_type).await?;
        self.check_trigger(&info).await?;
        let mut rest = JobSpec::new(trigger.job_type, QueueName::default());
        rest.labels = trigger.labels;
        rest.payload = trigger.payload.or(info.payload);
        let (draft, request) = (Draft::new(rest), trigger.request);
        let create = CreateJob { draft, request, validate_only: false };
        let deed = Deed::new(caller.principal(), AuditAction::TriggerJobType)
            .because(trigger.reason.clone());
        let job = self.born(caller, create, Trigger::Manual, None, Some(deed)).await?.job;
        tracing::info!(
            job.id = %job.id,
            job.type = %job.spec.job_type,
            triggered_by = caller.principal(),
            reason = trigger.reason,
            "job type triggered"
        );
        Ok(job)
    }

    /// Whether a job of the type could run now, as far as rules go.
    async fn check_trigger(&self, info: &TypeInfo) -> Result<()> {
        let job_type = info.spec.job_type.clone();
        let queue = info.spec.defaults.queue.clone().unwrap_or_default();
        let key = RuleKey::new(RuleKind::Queue, queue.as_str());
        let found = self.fresh_rules(vec![key]).await?;
        let book = self.registry.book();
        let known = || book.queues.get(&queue).map(|known| known.what.clone());
        let settings: Option<QueueSettings> =
            found.first().and_then(|rule| readable(rule).or_else(known));
        let paused = settings.filter(|settings| settings.paused);
        let mut running = 0;
        if info.spec.max_concurrent > 0 {
            let of = Claims { types: [job_type.clone()].into(), ..Claims::default() };
            let standing =
                self.db.read(move |store| async move { store.standing(&of).await }).await?;
            running = standing.types.get(&job_type).copied().unwrap_or(0);
        }
        let standing = Standing {
            origin: info.origin,
            running,
            queue_paused: paused.map(|settings| settings.pause_reason),
        };
        let circuit = info.circuit.clone().unwrap_or_default();
        let state = TypeState { circuit, ..TypeState::default() };
        let circuit = circuit_of(Some(&info.spec), &book.defaults.what.circuit);
        let checked = gate::trigger(&info.spec, circuit, &state, standing, self.clock.now());
        checked.map_err(|refusal| match refusal {
            TriggerRefusal::TypeNotDeclared => Error::TypeNotDeclared(job_type),
            TriggerRefusal::TypeDisabled { .. }
            | TriggerRefusal::AlreadyRunning { .. }
            | TriggerRefusal::QueuePaused { .. }
            | TriggerRefusal::CircuitOpen { .. } => {
                Error::CannotTrigger { job_type, queue, refusal }
            }
        })
    }
}
