//! Quotas of things outside: setting them up, and what is left of them.

use std::collections::HashMap;

use crate::auth::Caller;
use crate::domain::Timestamp;
use crate::domain::audit::{AuditAction, AuditSubject, Deed};
use crate::domain::ids::QuotaName;
use crate::domain::limits::QUOTAS_MAX;
use crate::domain::quota::{QuotaSpec, QuotaState};
use crate::domain::validate::Violations;
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::RuleChange;

/// A quota as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Quota {
    /// Its name.
    pub name: QuotaName,
    /// As it was set up.
    pub spec: QuotaSpec,
    /// Units used in this period.
    pub used: u64,
    /// Units left in it.
    pub remaining: u64,
    /// When the next one begins.
    pub reset_time: Timestamp,
}

/// A quota with what its row of use says; one that cannot be read any more counts from scratch.
fn stands(name: QuotaName, spec: &QuotaSpec, used: QuotaState, now: Timestamp) -> Quota {
    let compiled = spec.compile("quota.", &mut Violations::default());
    let (used, remaining, reset_time) = match compiled {
        Some(quota) => {
            let current = quota.current(used, now);
            (current.used, quota.remaining(used, now), quota.reset_time(now))
        }
        None => (0, spec.limit, now),
    };
    Quota { name, spec: spec.clone(), used, remaining, reset_time }
}

impl Engine {
    /// Sets a quota up, or changes it; answers it as it stands, and whether it is new. What was used in
    /// this period stays used.
    pub async fn put_quota(
        &self,
        caller: &Caller,
        name: QuotaName,
        spec: QuotaSpec,
    ) -> Result<(Quota, bool)> {
        let mut wrong = Violations::default();
        spec.compile("quota.", &mut wrong);
        wrong.into_result().map_err(Error::Invalid)?;
        let key = RuleKey::new(RuleKind::Quota, name.as_str());
        let others = self.registry.book().quotas.keys().filter(|other| **other != name).count();
        let decide = |found: &[Rule]| {
            let held = found.first();
            if held.is_none() && others >= QUOTAS_MAX {
                let limit = QUOTAS_MAX as u64;
                return Err(Error::LimitExceeded { what: "the number of quotas", limit });
            }
            let before = held.map(Rule::read::<QuotaSpec>).transpose()?;
            if before.as_ref() == Some(&spec) {
                return Ok((RuleChange::default(), false));
            }
            if before.as_ref().is_none_or(|before| spec.limit < before.limit) {
                self.check_costs(&name, spec.limit)?;
            }
            let revision = held.map_or(0, |rule| rule.revision);
            let writes = vec![RuleWrite::put(key.clone(), revision, &spec)?];
            let deed = Deed::new(caller.principal(), AuditAction::PutQuota);
            let subject = AuditSubject::Quota(name.to_string());
            let change = RuleChange::from(writes);
            let change =
                change.as_deed(&deed, subject, before.as_ref(), Some(&spec), self.clock.now());
            Ok((change, held.is_none()))
        };
        let created = self.change_rules(vec![key.clone()], decide).await?;
        let used = self.quota_uses().await?;
        let used = used.get(name.as_str()).copied().unwrap_or_default();
        Ok((stands(name, &spec, used, self.clock.now()), created))
    }

    /// Whether each declared type that draws from the quota could start with such a limit.
    fn check_costs(&self, quota: &QuotaName, limit: u64) -> Result<()> {
        let book = self.registry.book();
        let types = book.types.iter();
        let costs = types.filter_map(|(job_type, held)| {
            Some((*held.declared.spec.quota_costs.get(quota)?, job_type))
        });
        match costs.max() {
            Some((cost, job_type)) if cost > limit => {
                let (quota, job_type) = (quota.clone(), job_type.clone());
                Err(Error::QuotaBelowCost { quota, job_type, cost, limit })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Every quota, by name.
    pub async fn quotas(&self, _caller: &Caller) -> Result<Vec<Quota>> {
        let used = self.quota_uses().await?;
        let now = self.clock.now();
        let book = self.registry.book();
        let quotas = book.quotas.iter().map(|(name, quota)| {
            let used = used.get(name.as_str()).copied().unwrap_or_default();
            stands(name.clone(), &quota.what, used, now)
        });
        Ok(quotas.collect())
    }

    /// Takes a quota away, with what was used of it; one that a declared type draws from stays.
    pub async fn delete_quota(&self, caller: &Caller, name: &QuotaName) -> Result<()> {
        let book = self.registry.book();
        let mut drawing =
            book.types.iter().filter(|(_, held)| held.declared.spec.quota_costs.contains_key(name));
        if let Some((job_type, _)) = drawing.next() {
            let (quota, job_type) = (name.clone(), job_type.clone());
            return Err(Error::QuotaInUse { quota, job_type, count: 1 + drawing.count() });
        }
        let keys =
            [RuleKind::Quota, RuleKind::QuotaUse].map(|kind| RuleKey::new(kind, name.as_str()));
        let decide = |found: &[Rule]| {
            let held = found.iter().find(|rule| rule.key.kind == RuleKind::Quota);
            let before = held.ok_or_else(|| Error::QuotaNotFound(name.clone()))?;
            let before = before.read::<QuotaSpec>()?;
            let gone = |rule: &Rule| RuleWrite::delete(rule.key.clone(), rule.revision);
            let writes: Vec<_> = found.iter().map(gone).collect();
            let deed = Deed::new(caller.principal(), AuditAction::DeleteQuota);
            let subject = AuditSubject::Quota(name.to_string());
            let change = RuleChange::from(writes);
            Ok((change.as_deed(&deed, subject, Some(&before), None, self.clock.now()), ()))
        };
        self.change_rules(keys.to_vec(), decide).await
    }

    async fn quota_uses(&self) -> Result<HashMap<String, QuotaState>> {
        let kinds = [RuleKind::QuotaUse];
        let rows = self.db.read(move |store| async move { store.rules(&kinds).await }).await?;
        rows.into_iter().map(|rule| Ok((rule.key.name.clone(), rule.read()?))).collect()
    }
}
