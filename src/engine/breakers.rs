//! Breakers whose probe ended unheard.

use crate::domain::circuit::CircuitState;
use crate::domain::limits::LOOP_ROWS_MAX;
use crate::domain::{JobId, JobType, StateKind};
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::Engine;
use super::error::Result;
use super::registry::readable;

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
}
