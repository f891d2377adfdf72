//! What may be asked of many jobs.

use serde::{Deserialize, Serialize};

use crate::domain::audit::{AuditEvent, AuditSubject, Deed, Fields, fields};
use crate::domain::filter::JobFilter;
use crate::domain::ids::JobId;
use crate::domain::job::Job;
use crate::domain::limits::{
    BULK_EXPECTED_MAX, BULK_RATE_DEFAULT, BULK_RATE_MAX, BULK_RATE_MIN, REASON_BYTES_MAX,
};
use crate::domain::time::Timestamp;
use crate::domain::validate::Violations;

use super::action::BulkAction;

/// A bulk command as a caller asks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkAsk {
    /// What is done to each job.
    pub action: BulkAction,
    /// To which jobs.
    pub filter: JobFilter,
    /// Why, in the caller's words; may be empty.
    pub reason: String,
    /// More jobs than this are not what the caller thinks of; 0 = not said.
    pub expected_max: i64,
    /// Jobs a second; 0 = the usual pace.
    pub rate: f64,
    /// The caller's identity.
    pub requested_by: String,
    /// Whether nothing is to be done: then neither filter nor expectation is needed.
    pub validate_only: bool,
}

/// A bulk command that was checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BulkSpec {
    /// What is done to each job.
    pub action: BulkAction,
    /// To which jobs; it names states.
    pub filter: JobFilter,
    /// Why.
    pub reason: String,
    /// No more jobs than this are changed.
    pub expected_max: u64,
    /// Jobs a second.
    pub rate: f64,
    /// Who asked.
    pub requested_by: String,
}

/// More jobs match than the caller expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{count} jobs match, {expected_max} at most were expected")]
pub struct TooMany {
    /// Jobs that match.
    pub count: u64,
    /// What was expected.
    pub expected_max: u64,
}

impl BulkSpec {
    /// Checks what is asked. What is wrong is noted under the fields' names, and there is no spec.
    pub fn new(ask: BulkAsk, violations: &mut Violations) -> Option<Self> {
        let mut wrong = Violations::default();
        let is_empty = ask.filter == JobFilter::default();
        wrong.check(ask.validate_only || !is_empty, "filter", || {
            "must not be empty: it would mean every job".to_owned()
        });
        let action = ask.action;
        for (index, state) in ask.filter.states.iter().enumerate() {
            wrong.check(action.is_for(*state), &format!("filter.states[{index}]"), || {
                format!("{} does nothing to a {} job", action.as_str(), state.as_str())
            });
        }
        let long = ask.reason.len();
        wrong.check(long <= REASON_BYTES_MAX, "reason", || {
            format!("must have at most {REASON_BYTES_MAX} bytes, has {long}")
        });
        let expected = u64::try_from(ask.expected_max).ok().filter(|max| *max <= BULK_EXPECTED_MAX);
        let said = expected.is_some_and(|max| max > 0 || ask.validate_only);
        wrong.check(said, "expected_max", || {
            format!("must be from 1 to {BULK_EXPECTED_MAX}, is {}", ask.expected_max)
        });
        let rate = if ask.rate == 0.0 { BULK_RATE_DEFAULT } else { ask.rate };
        wrong.check((BULK_RATE_MIN..=BULK_RATE_MAX).contains(&rate), "rate", || {
            format!("must be from {BULK_RATE_MIN} to {BULK_RATE_MAX} jobs a second, is {rate}")
        });
        for violation in wrong.as_slice() {
            violations.add(violation.field.clone(), violation.description.clone());
        }
        let expected_max = expected.filter(|_| wrong.is_empty())?;
        let mut filter = ask.filter;
        if filter.states.is_empty() {
            filter.states = action.states().to_vec();
        }
        let (reason, requested_by) = (ask.reason, ask.requested_by);
        Some(Self { action, filter: filter.normalized(), reason, expected_max, rate, requested_by })
    }

    /// Whose deed it is, as a whole and to each job.
    #[must_use]
    pub fn deeds(&self) -> (Deed, Deed) {
        let (whole, one) = self.action.audited();
        let deed = |action| Deed::new(&self.requested_by, action).because(self.reason.clone());
        (deed(whole), deed(one))
    }

    /// What the audit says of it: what it means, and how much that is.
    #[must_use]
    pub fn audited(&self, job_id: JobId, count: u64, time: Timestamp) -> AuditEvent {
        let mut after = fields(&self.filter).unwrap_or_default();
        after.retain(|_, value| !matches!(value.as_str(), "" | "[]"));
        let mut after: Fields =
            after.into_iter().map(|(name, value)| (format!("filter.{name}"), value)).collect();
        after.insert("job_id".to_owned(), job_id.to_string());
        after.insert("count".to_owned(), count.to_string());
        after.insert("expected_max".to_owned(), self.expected_max.to_string());
        self.deeds().0.done(AuditSubject::Jobs, &Fields::new(), &after, time)
    }

    /// Whether it means `job`. The server's own jobs are meant only by their ids: a command that
    /// cancels everything must not cancel itself.
    #[must_use]
    pub fn means(&self, job: &Job) -> bool {
        let named = self.filter.job_ids.contains(&job.id);
        (named || !job.spec.job_type.is_reserved()) && self.filter.matches(job)
    }

    /// Whether as many jobs match as were expected.
    ///
    /// # Errors
    /// [`TooMany`] if there are more.
    pub const fn check_count(&self, count: u64) -> Result<(), TooMany> {
        if count <= self.expected_max {
            return Ok(());
        }
        Err(TooMany { count, expected_max: self.expected_max })
    }
}
