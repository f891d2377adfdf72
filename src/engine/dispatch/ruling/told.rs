//! What is told of rules as they stand: why and until when a job is skipped, and which quotas are used up.

use crate::domain::circuit::CircuitDecision;
use crate::domain::event::Event;
use crate::domain::ids::QuotaName;
use crate::domain::status::{Skip, SkipReason};
use crate::domain::{JobType, Timestamp};
use crate::engine::pipeline::exhausted_event;

use super::Ruled;

impl Ruled {
    /// When the breaker of a type lets one try, if it is open.
    pub(in crate::engine) fn next_probe_time(
        &self,
        job_type: &JobType,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let kind = self.rules.types.get(job_type)?;
        match kind.circuit_state.decide(&kind.circuit, now) {
            CircuitDecision::Refuse { next_probe_time } => Some(next_probe_time),
            CircuitDecision::Allow | CircuitDecision::Probe => None,
        }
    }

    /// When the quota of which too little is left for a job of this type begins anew.
    pub(in crate::engine) fn quota_reset_time(
        &self,
        job_type: &JobType,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let costs = &self.rules.types.get(job_type)?.quota_costs;
        let short = costs.iter().find_map(|(name, cost)| {
            let (quota, used) = self.rules.quotas.get(name)?;
            (quota.remaining(*used, now) < *cost).then_some((quota, *cost))
        });
        // One that has less than it costs does not help by beginning anew.
        let short = short.filter(|(quota, cost)| *cost <= quota.spec().limit);
        short.map(|(quota, _)| quota.reset_time(now))
    }

    /// The quota of which a start of this type draws more than a whole period has.
    pub(in crate::engine) fn too_small_quota(&self, job_type: &JobType) -> Option<QuotaName> {
        let costs = &self.rules.types.get(job_type)?.quota_costs;
        let mut costs = costs.iter();
        costs.find_map(|(name, cost)| {
            let (quota, _) = self.rules.quotas.get(name)?;
            (*cost > quota.spec().limit).then(|| name.clone())
        })
    }

    /// The quotas that a start of this type draws from.
    pub(in crate::engine) fn quotas_of(&self, job_type: &JobType) -> Vec<QuotaName> {
        let costs = self.rules.types.get(job_type).map(|kind| &kind.quota_costs);
        costs.into_iter().flat_map(|costs| costs.keys().cloned()).collect()
    }

    /// A skip of a job of this type for this reason, with the moment from which one may be tried again.
    pub(in crate::engine) fn skip(
        &self,
        job_type: &JobType,
        reason: SkipReason,
        now: Timestamp,
    ) -> Skip {
        let until = match reason {
            SkipReason::CircuitOpen => self.next_probe_time(job_type, now),
            SkipReason::QuotaExhausted => self.quota_reset_time(job_type, now),
            SkipReason::Overlap | SkipReason::TypeDisabled | SkipReason::Missed => None,
        };
        Skip { reason, until }
    }

    /// What is told of quotas that starts used up: too little is left for another one.
    pub(in crate::engine) fn exhausted(&self, now: Timestamp) -> Vec<Event> {
        let quotas = self.rules.quotas.iter().filter_map(|(name, (quota, used))| {
            let (_, before) = self.before.quotas.get(name)?;
            let costs = self.rules.types.values().filter_map(|kind| kind.quota_costs.get(name));
            let least = costs.min().copied();
            let stands = (*used, least.unwrap_or_default());
            let is_told = quota.runs_out(*before, *used, least, now);
            is_told.then(|| exhausted_event(name, quota, stands, now))
        });
        quotas.collect()
    }
}
