//! What holds for the whole server where a type says nothing.

use crate::auth::Caller;
use crate::domain::audit::{AuditAction, AuditSubject, Deed};
use crate::domain::definitions::ServerDefaults;
use crate::domain::validate::Violations;
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::RuleChange;
use super::registry::DEFAULTS;

pub(super) fn key() -> RuleKey {
    RuleKey::new(RuleKind::Type, DEFAULTS)
}

impl Engine {
    /// What holds now.
    pub async fn defaults(&self, _caller: &Caller) -> Result<ServerDefaults> {
        let found = self.fresh_rules(vec![key()]).await?;
        Ok(found.first().map(Rule::read).transpose()?.unwrap_or_default())
    }

    /// Changes it; answers it as it stands.
    pub async fn update_defaults(
        &self,
        caller: &Caller,
        change: impl Fn(&mut ServerDefaults) + Send + Sync,
    ) -> Result<ServerDefaults> {
        let decide = |found: &[Rule]| {
            let held = found.first();
            let before = held.map(Rule::read::<ServerDefaults>).transpose()?.unwrap_or_default();
            let mut defaults = before.clone();
            change(&mut defaults);
            let mut wrong = Violations::default();
            defaults.validate("defaults.", &mut wrong);
            wrong.into_result().map_err(Error::Invalid)?;
            if defaults == before {
                return Ok((RuleChange::default(), defaults));
            }
            let revision = held.map_or(0, |rule| rule.revision);
            let change = RuleChange::from(vec![RuleWrite::put(key(), revision, &defaults)?]);
            let deed = Deed::new(caller.principal(), AuditAction::UpdateDefaults);
            let (was, is, now) = (Some(&before), Some(&defaults), self.clock.now());
            Ok((change.as_deed(&deed, AuditSubject::Server, was, is, now), defaults))
        };
        let defaults = self.change_rules(vec![key()], decide).await?;
        // Types without a breaker of their own may have lost theirs.
        while self.forget_breakers().await? > 0 {}
        // What waited behind a bound may start.
        self.poll_line().await?;
        Ok(defaults)
    }
}
