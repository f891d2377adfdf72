//! What holds for the whole server where a type says nothing.

use crate::auth::Caller;
use crate::domain::audit::{AuditAction, AuditSubject, Deed};
use crate::domain::definitions::ServerDefaults;
use crate::domain::validate::Violations;
use crate::store::{Rule, RuleKey, RuleKind, RuleWrite};

use super::Engine;
use super::error::{Error, Result};
use super::pipeline::RuleChange;
use super::registry::{DEFAULTS, readable};

pub(super) fn key() -> RuleKey {
    RuleKey::new(RuleKind::Type, DEFAULTS)
}

impl Engine {
    /// What holds now.
    pub async fn defaults(&self, _caller: &Caller) -> Result<ServerDefaults> {
        let found = self.fresh_rules(vec![key()]).await?;
        Ok(self.default_row(&found).1)
    }

    /// Changes it; answers it as it stands.
    pub async fn update_defaults(
        &self,
        caller: &Caller,
        change: impl Fn(&mut ServerDefaults) + Send + Sync,
    ) -> Result<ServerDefaults> {
        let decide = |found: &[Rule]| {
            let (is_readable, before) = self.default_row(found);
            let mut defaults = before.clone();
            change(&mut defaults);
            let mut wrong = Violations::default();
            defaults.validate("defaults.", &mut wrong);
            wrong.into_result().map_err(Error::Invalid)?;
            if defaults == before && is_readable {
                return Ok((RuleChange::default(), defaults));
            }
            let revision = found.first().map_or(0, |rule| rule.revision);
            let change = RuleChange::from(vec![RuleWrite::put(key(), revision, &defaults)?]);
            let deed = Deed::new(caller.principal(), AuditAction::UpdateDefaults);
            let (was, is, now) = (Some(&before), Some(&defaults), self.clock.now());
            Ok((change.as_deed(&deed, AuditSubject::Server, was, is, now), defaults))
        };
        let defaults = self.change_rules(vec![key()], decide).await?;
        // Types without a breaker of their own may have lost theirs; what fails here the loop makes good.
        while self.forget_breakers().await.unwrap_or(0) > 0 {}
        // What waited behind a bound may start.
        self.poll_line().await?;
        Ok(defaults)
    }

    /// What the row says, if there is one, and whether it can be read: if not, what is known goes on.
    fn default_row(&self, found: &[Rule]) -> (bool, ServerDefaults) {
        match found.first().map(readable) {
            None => (true, ServerDefaults::default()),
            Some(Some(defaults)) => (true, defaults),
            Some(None) => (false, self.registry.book().defaults.what.clone()),
        }
    }
}
