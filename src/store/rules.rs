//! Rules: what is set up rather than done, and how it stands. All kinds of them are rows of one small
//! table, each with a revision that guards its next write.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::{JobType, QueueName};

use super::Result;
use super::rows::{corrupt, decode, encode};

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleKind {
    /// A declared type.
    Type,
    /// A queue as it was set up.
    Queue,
    /// A quota as it was set up.
    Quota,
    /// What is used of a quota.
    QuotaUse,
    /// How a type's breaker stands.
    Circuit,
    /// How far a type's schedule is settled.
    Schedule,
    /// How many starts a rate has left.
    Rate,
    /// A worker process that is to leave.
    Drain,
    /// When old jobs are taken away, and how far that is.
    Retention,
    /// A bulk command: what is asked, and how far it is.
    Bulk,
}

impl RuleKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Type,
        Self::Queue,
        Self::Quota,
        Self::QuotaUse,
        Self::Circuit,
        Self::Schedule,
        Self::Rate,
        Self::Drain,
        Self::Retention,
        Self::Bulk,
    ];

    /// Whether other servers go by what they know of it. The rest is read where it is needed, and by the many writes of
    /// it nobody is to be woken.
    #[must_use]
    pub const fn is_news(self) -> bool {
        match self {
            Self::Type
            | Self::Queue
            | Self::Quota
            | Self::Circuit
            | Self::Schedule
            | Self::Drain => true,
            Self::QuotaUse | Self::Rate | Self::Retention | Self::Bulk => false,
        }
    }

    /// Its code; the schemas know it.
    pub(super) const fn code(self) -> i64 {
        match self {
            Self::Type => 0,
            Self::Queue => 1,
            Self::Quota => 2,
            Self::QuotaUse => 3,
            Self::Circuit => 4,
            Self::Schedule => 5,
            Self::Rate => 6,
            Self::Drain => 7,
            Self::Retention => 10,
            Self::Bulk => 11,
        }
    }

    /// The kind with this code.
    pub(super) fn of_code(what: &'static str, code: i64) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.code() == code)
            .ok_or_else(|| corrupt(what, format!("no kind of rule has the code {code}")))
    }
}

/// Which rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleKey {
    /// What it is about.
    pub kind: RuleKind,
    /// Of which type, queue, quota or process.
    pub name: String,
}

impl RuleKey {
    /// The rule of this kind and name.
    #[must_use]
    pub fn new(kind: RuleKind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }

    /// What starts from a queue race for: no type is named so.
    #[must_use]
    pub fn starts_from(queue: &QueueName) -> Self {
        Self { kind: RuleKind::Rate, name: format!("@{queue}") }
    }

    /// What starts of a type race for.
    #[must_use]
    pub fn starts_of(job_type: &JobType) -> Self {
        Self::new(RuleKind::Rate, job_type.as_str())
    }

    /// What all starts race for: no type is named so, and no queue.
    #[must_use]
    pub fn all_starts() -> Self {
        Self::new(RuleKind::Rate, "*")
    }
}

/// A rule as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which.
    pub key: RuleKey,
    /// Writes so far: the first is 1.
    pub revision: i64,
    /// What it says, encoded.
    pub body: Vec<u8>,
}

impl Rule {
    /// What it says.
    ///
    /// # Errors
    /// [`super::Error::Corrupt`] if it cannot be understood.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        decode("rules.body", &self.body)
    }
}

/// A write of a rule. If the guard of one of a batch misses, nothing of the batch is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleWrite {
    /// Which.
    pub key: RuleKey,
    /// Revision it must have; 0 if it must not exist.
    pub expected_revision: i64,
    /// What it says from then on; `None` if it goes.
    pub body: Option<Vec<u8>>,
}

impl RuleWrite {
    /// A rule that says `what` from now on.
    ///
    /// # Errors
    /// [`super::Error::Rejected`] if it cannot be encoded.
    pub fn put<T: Serialize>(key: RuleKey, expected_revision: i64, what: &T) -> Result<Self> {
        Ok(Self { key, expected_revision, body: Some(encode(what)?) })
    }

    /// A rule that goes.
    #[must_use]
    pub const fn delete(key: RuleKey, expected_revision: i64) -> Self {
        Self { key, expected_revision, body: None }
    }
}

const LOGGED: &str = "changes.rules";

/// The keys of rules that a commit changed, as the change log has them: [[kind, name], …].
pub(super) fn log_of(writes: &[RuleWrite]) -> Result<String> {
    let keys: Vec<(i64, &str)> =
        writes.iter().map(|write| (write.key.kind.code(), write.key.name.as_str())).collect();
    serde_json::to_string(&keys).map_err(|error| corrupt(LOGGED, error))
}

/// The keys in a row of the change log. Kinds that only newer servers know are left out: nothing here goes by them.
pub(super) fn logged(json: &str) -> Result<Vec<RuleKey>> {
    if json == "[]" {
        return Ok(Vec::new());
    }
    let keys: Vec<(i64, String)> =
        serde_json::from_str(json).map_err(|error: serde_json::Error| corrupt(LOGGED, error))?;
    let key = |(code, name)| Some(RuleKey { kind: RuleKind::of_code(LOGGED, code).ok()?, name });
    Ok(keys.into_iter().filter_map(key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_only_newer_servers_know_hides_no_other() {
        let found = logged(r#"[[0,"sync"],[99,"x"],[1,"mail"]]"#).expect("readable");
        let named = [(RuleKind::Type, "sync"), (RuleKind::Queue, "mail")];
        assert_eq!(found, named.map(|(kind, name)| RuleKey::new(kind, name)));
        assert!(logged("[[0]]").is_err());
    }
}
