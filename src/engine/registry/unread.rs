//! Rows that cannot be read: one of them concerns only what it is about.

use serde::de::DeserializeOwned;

use crate::runtime::Unreadable;
use crate::store::{Error, Rule, RuleKey};

/// Says, now and then, that a row cannot be read.
pub fn tell_unread(key: &RuleKey, error: &Error) {
    static TOLD: Unreadable = Unreadable::new();
    if TOLD.is_news(&format!("{:?} {}", key.kind, key.name)) {
        let error = error as &dyn std::error::Error;
        tracing::error!(error, rule.kind = ?key.kind, rule = key.name, "a rule cannot be read");
    }
}

/// What a row says; nothing, with word of it, if it cannot be read. What stands there of a state then begins anew with
/// the next write, for starts and outcomes must not wait for somebody to mend it.
pub fn readable<T: DeserializeOwned>(rule: &Rule) -> Option<T> {
    rule.read().inspect_err(|error| tell_unread(&rule.key, error)).ok()
}
