//! Breakers that nobody tells what happened: those whose probe ended unheard, and those that were taken away.

use crate::domain::circuit::{CircuitChange, CircuitSpec, CircuitState};
use crate::domain::definitions::ServerDefaults;
use crate::domain::event::Event;
use crate::domain::job_type::gate::circuit_of;
use crate::domain::limits::LOOP_ROWS_MAX;
use crate::domain::{JobId, JobType, StateKind, Timestamp};
use crate::store::{self, Rule, RuleKey, RuleKind, RuleWrite};

use super::Engine;
use super::defaults;
use super::error::Result;
use super::pipeline::{RuleChange, circuit_event};
use super::registry::{Declared, readable};

/// What closes a breaker for good among these rules, if it is taken away and remembers anything, and
/// what is told of it.
pub(super) fn forgotten(
    found: &[Rule],
    job_type: &JobType,
    after: &CircuitSpec,
    now: Timestamp,
) -> store::Result<(Option<RuleWrite>, Option<Event>)> {
    let rule = found.iter().find(|rule| rule.key.kind == RuleKind::Circuit);
    let held = rule.and_then(|rule| Some((rule, readable::<CircuitState>(rule)?)));
    let Some((rule, state)) = held.filter(|_| after.max_failures == 0) else {
        return Ok((None, None));
    };
    let Some(next) = state.forgotten() else { return Ok((None, None)) };
    let write = RuleWrite::put(rule.key.clone(), rule.revision, &next)?;
    Ok((Some(write), closed(&state, job_type, now)))
}

/// What is told of a breaker that goes in this state.
pub(super) fn closed(state: &CircuitState, job_type: &JobType, now: Timestamp) -> Option<Event> {
    state.is_open().then(|| circuit_event(job_type, CircuitChange::Closed, now))
}

impl Engine {
    /// Lets the next job try where the one that tried does not run any more and nobody told the breaker,
    /// for instance because the type had none in that moment. Answers how many breakers that were.
    pub async fn settle_probes(&self) -> Result<u64> {
        let (book, now) = (self.registry.book(), self.clock.now());
        let overdue = book.circuits.iter().filter_map(|(job_type, state)| {
            state.overdue_probe(now).map(|probe| (job_type.clone(), probe))
        });
        let overdue: Vec<(JobType, JobId)> = overdue.take(LOOP_ROWS_MAX).collect();
        if overdue.is_empty() {
            return Ok(0);
        }
        let ids: Vec<JobId> = overdue.iter().map(|(_, probe)| *probe).collect();
        let jobs = self.loop_db.read(|store| async move { store.load(&ids).await }).await?;
        let runs = |probe: JobId| {
            jobs.iter().any(|job| job.id == probe && job.status.kind() == StateKind::Running)
        };
        let mut settled = 0;
        for (job_type, probe) in overdue.into_iter().filter(|(_, probe)| !runs(*probe)) {
            settled += u64::from(self.settle_probe(&job_type, probe).await?);
        }
        Ok(settled)
    }

    async fn settle_probe(&self, job_type: &JobType, probe: JobId) -> Result<bool> {
        let key = RuleKey::new(RuleKind::Circuit, job_type.as_str());
        let now = self.clock.now();
        let decide = |found: &[Rule]| {
            let Some(rule) = found.first() else { return Ok((Vec::new(), false)) };
            let known = || self.registry.book().circuits.get(job_type).cloned();
            let state: Option<CircuitState> = readable(rule).or_else(known);
            let Some(next) = state.and_then(|state| state.after_lost_probe(probe, now)) else {
                return Ok((Vec::new(), false));
            };
            Ok((vec![RuleWrite::put(key.clone(), rule.revision, &next)?], true))
        };
        let settled = self.change_rules(vec![key.clone()], decide).await?;
        if settled {
            tracing::info!(job.type = %job_type, job.id = %probe, "a probe ended unheard");
        }
        Ok(settled)
    }
    /// Lets the breakers that were taken away with the server's default, or at another server, forget what
    /// they knew. Answers how many.
    pub async fn forget_breakers(&self) -> Result<u64> {
        let book = self.registry.book();
        let taken = book.circuits.iter().filter(|(job_type, state)| {
            book.circuit(job_type).max_failures == 0 && state.forgotten().is_some()
        });
        let taken: Vec<_> = taken.map(|(name, _)| name.clone()).take(LOOP_ROWS_MAX).collect();
        let (mut forgot, mut failed) = (0, None);
        for job_type in taken {
            match self.forget_breaker(&job_type).await {
                Ok(done) => forgot += u64::from(done),
                // It keeps nobody from the others.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(forgot), Err)
    }

    /// What is known here may be old: whether it has a breaker is read with how that stands. Where that cannot be read, it
    /// keeps what it knows.
    async fn forget_breaker(&self, job_type: &JobType) -> Result<bool> {
        let of_type =
            [RuleKind::Type, RuleKind::Circuit].map(|kind| RuleKey::new(kind, job_type.as_str()));
        let keys = [of_type.to_vec(), vec![defaults::key()]].concat();
        let decide = |found: &[Rule]| {
            let of = |key: &RuleKey| found.iter().find(|rule| rule.key == *key);
            let declared: Option<Option<Declared>> = of(&keys[0]).map(readable);
            let default: Option<Option<ServerDefaults>> = of(&keys[2]).map(readable);
            if matches!(declared, Some(None)) || matches!(default, Some(None)) {
                return Ok((RuleChange::default(), false));
            }
            let spec = declared.as_ref().and_then(Option::as_ref).map(|declared| &declared.spec);
            let default = default.flatten().unwrap_or_default().circuit;
            let circuit = circuit_of(spec, &default);
            let (write, event) = forgotten(found, job_type, circuit, self.clock.now())?;
            let done = write.is_some();
            let mut change = RuleChange::from(Vec::from_iter(write));
            change.events.extend(event);
            Ok((change, done))
        };
        self.change_rules(keys.clone(), decide).await
    }
}
