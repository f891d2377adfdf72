//! Quotas of things outside: setting them up, and what is left of them.

use std::collections::HashMap;

use crate::auth::Caller;
use crate::domain::Timestamp;
use crate::domain::audit::{AuditAction, AuditSubject, Deed};
use crate::domain::ids::QuotaName;
use crate::domain::limits::{GUARD_REPEATS_MAX, QUOTAS_MAX};
use crate::domain::quota::{QuotaSpec, QuotaState};
use crate::domain::validate::Violations;
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::{RuleChange, RulesChanged};
use super::registry::{Rulebook, readable};

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

/// Whether each declared type that draws from the quota could start with such a limit.
fn check_costs(book: &Rulebook, quota: &QuotaName, limit: u64) -> Result<()> {
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

/// Of the first of these rules; 0 if there is none.
fn revision(found: &[Rule]) -> i64 {
    found.first().map_or(0, |rule| rule.revision)
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
        let all = self.rules_of_kinds(&[RuleKind::Quota]).await?;
        let others = all.iter().filter(|rule| rule.key != key).count();
        for _ in 0..=GUARD_REPEATS_MAX {
            let seen = revision(&self.fresh_rules(vec![key.clone()]).await?);
            // After the quota's row: a type whose cost rises from now on writes that row, too.
            let types = self.rules_of_kinds(&[RuleKind::Type]).await?;
            let types = Rulebook::of_all(&types, &self.registry.book());
            let put = |found: &[Rule]| {
                let held = found.first();
                if revision(found) != seen {
                    return Ok((RuleChange::default(), None));
                }
                if held.is_none() && others >= QUOTAS_MAX {
                    let limit = QUOTAS_MAX as u64;
                    return Err(Error::LimitExceeded { what: "the number of quotas", limit });
                }
                let before: Option<QuotaSpec> = held.and_then(readable);
                if before.as_ref() == Some(&spec) {
                    return Ok((RuleChange::default(), Some(false)));
                }
                if before.as_ref().is_none_or(|before| spec.limit < before.limit) {
                    check_costs(&types, &name, spec.limit)?;
                }
                let writes = vec![RuleWrite::put(key.clone(), seen, &spec)?];
                let deed = Deed::new(caller.principal(), AuditAction::PutQuota);
                let subject = AuditSubject::Quota(name.to_string());
                let change = RuleChange::from(writes);
                let change =
                    change.as_deed(&deed, subject, before.as_ref(), Some(&spec), self.clock.now());
                Ok((change, Some(held.is_none())))
            };
            if let Some(created) = self.change_rules(vec![key.clone()], put).await? {
                let key = RuleKey::new(RuleKind::QuotaUse, name.as_str());
                let used = self.fresh_rules(vec![key]).await?.first().and_then(readable);
                let now = self.clock.now();
                return Ok((stands(name, &spec, used.unwrap_or_default(), now), created));
            }
        }
        Err(Error::Overloaded)
    }

    /// Every quota, by name.
    pub async fn quotas(&self, _caller: &Caller) -> Result<Vec<Quota>> {
        let rows = self.rules_of_kinds(&[RuleKind::Quota, RuleKind::QuotaUse]).await?;
        let book = Rulebook::of_all(&rows, &self.registry.book());
        let uses = rows.iter().filter(|rule| rule.key.kind == RuleKind::QuotaUse);
        let used: HashMap<&str, QuotaState> =
            uses.filter_map(|rule| Some((rule.key.name.as_str(), readable(rule)?))).collect();
        let now = self.clock.now();
        let quotas = book.quotas.iter().map(|(name, quota)| {
            let used = used.get(name.as_str()).copied().unwrap_or_default();
            stands(name.clone(), &quota.what, used, now)
        });
        Ok(quotas.collect())
    }

    /// Takes a quota away, with what was used of it; one that a declared type draws from stays.
    pub async fn delete_quota(&self, caller: &Caller, name: &QuotaName) -> Result<()> {
        let keys =
            [RuleKind::Quota, RuleKind::QuotaUse].map(|kind| RuleKey::new(kind, name.as_str()));
        for _ in 0..=GUARD_REPEATS_MAX {
            let found = self.fresh_rules(keys.to_vec()).await?;
            let held = found.iter().find(|rule| rule.key.kind == RuleKind::Quota);
            let held = held.ok_or_else(|| Error::QuotaNotFound(name.clone()))?;
            // After the quota's row: a type that begins to draw from it from now on writes that row, too.
            self.check_unused(name).await?;
            let gone = |rule: &Rule| RuleWrite::delete(rule.key.clone(), rule.revision);
            let change = RuleChange::from(found.iter().map(gone).collect::<Vec<_>>());
            let deed = Deed::new(caller.principal(), AuditAction::DeleteQuota);
            let subject = AuditSubject::Quota(name.to_string());
            let before: Option<QuotaSpec> = readable(held);
            let change = change.as_deed(&deed, subject, before.as_ref(), None, self.clock.now());
            if self.write_rules(change).await? != RulesChanged::Missed {
                return Ok(());
            }
        }
        Err(Error::Overloaded)
    }

    /// Refuses if a declared type draws from the quota, by rows read now.
    async fn check_unused(&self, name: &QuotaName) -> Result<()> {
        let rows = self.rules_of_kinds(&[RuleKind::Type]).await?;
        let book = Rulebook::of_all(&rows, &self.registry.book());
        let mut drawing =
            book.types.iter().filter(|(_, held)| held.declared.spec.quota_costs.contains_key(name));
        let Some((job_type, _)) = drawing.next() else { return Ok(()) };
        let (quota, job_type) = (name.clone(), job_type.clone());
        Err(Error::QuotaInUse { quota, job_type, count: 1 + drawing.count() })
    }

    /// All rules of these kinds as they stand now.
    async fn rules_of_kinds(&self, kinds: &[RuleKind]) -> Result<Vec<Rule>> {
        let kinds = kinds.to_vec();
        self.db.read(move |store| async move { store.rules(&kinds).await }).await
    }
}
