//! Why a job stands where it stands, and what can be done about it.
//!
//! Owns: the explanation of a job ([`explain`]) from what is known of it and around it ([`Facts`]):
//! reasons, the moment it runs next, the actions there are.
//! Does not own: the rules it tells of (`admission` says what holds a job, `machine` what may be done).
//! Invariants: pure; an action is allowed exactly if the machine lets it change the job; at least one
//! reason is given, the one that matters most first.

mod actions;
mod changed;
mod over;
mod running;
mod waiting;

use std::collections::BTreeMap;
use std::time::Duration;

use super::admission::Why;
use super::ids::{JobId, QuotaName, WorkerName};
use super::job::Job;
use super::limits::EXPLAIN_IDS_MAX;
use super::status::StateKind;
use super::time::Timestamp;

pub use actions::Action;

/// What is known around a job.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// What the rules say of it, if it waits.
    pub why: Why,
    /// Some of those that run in its place, by the code of what holds it: under a cap, of its type, or with its label's
    /// value.
    pub holders: BTreeMap<&'static str, Vec<JobId>>,
    /// Some of the runs of its type that were not over when it was skipped for them.
    pub overlapped: Vec<JobId>,
    /// Workers that take its type from its queue.
    pub workers: Vec<WorkerName>,
    /// The live job that holds its unique key, if that is another one.
    pub unique_holder: Option<JobId>,
    /// What a run of its type usually takes.
    pub typical_run_duration: Option<Duration>,
    /// When the breaker of its type lets one job try, if it is open.
    pub next_probe_time: Option<Timestamp>,
    /// Why its type is disabled, if it is and somebody said so.
    pub disabled_reason: Option<String>,
    /// The quotas that a start of its type draws from.
    pub quotas: Vec<QuotaName>,
    /// When the quota that refused it begins anew.
    pub quota_reset_time: Option<Timestamp>,
    /// A quota of which a start of its type draws more than a whole period has.
    pub too_small_quota: Option<QuotaName>,
    /// It made way for a newer run, though nobody may know for which.
    pub replaced: bool,
    /// The newer run.
    pub successor: Option<JobId>,
}

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// A stable name for programs.
    pub code: &'static str,
    /// For people.
    pub message: String,
    /// Jobs or workers that it is about.
    pub ids: Vec<String>,
    /// When it passes, or what it tells of happens, if that is known.
    pub until: Option<Timestamp>,
}

impl Reason {
    fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), ids: Vec::new(), until: None }
    }

    fn until(self, until: impl Into<Option<Timestamp>>) -> Self {
        Self { until: until.into(), ..self }
    }

    fn about(self, ids: impl IntoIterator<Item = impl ToString>) -> Self {
        let ids = ids.into_iter().take(EXPLAIN_IDS_MAX).map(|id| id.to_string()).collect();
        Self { ids, ..self }
    }
}

/// Why a job stands where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// All of it in a line.
    pub summary: String,
    /// What holds it, or brought it there; the most important first.
    pub reasons: Vec<Reason>,
    /// When it runs next, as far as the clock alone can say.
    pub next_run_time: Option<Timestamp>,
    /// What can be done.
    pub actions: Vec<Action>,
}

/// Explains how `job` stands at `now`.
#[must_use]
pub fn explain(job: &Job, facts: &Facts, now: Timestamp) -> Explanation {
    let kind = job.status.kind();
    let reasons = match kind {
        StateKind::Pending => waiting::reasons(job, facts, now),
        StateKind::Running => running::reasons(job, facts, now),
        StateKind::Succeeded | StateKind::Failed | StateKind::Cancelled | StateKind::Skipped => {
            over::reasons(job, facts, now)
        }
    };
    let next_run_time = match kind {
        StateKind::Pending => waiting::next_run_time(job, facts, now),
        StateKind::Running
        | StateKind::Succeeded
        | StateKind::Failed
        | StateKind::Cancelled
        | StateKind::Skipped => None,
    };
    let first = reasons.first().map_or("", |reason| reason.message.as_str());
    let summary = format!("{}: {first}", kind.as_str());
    Explanation { summary, reasons, next_run_time, actions: actions::actions(job, facts, now) }
}

/// What went wrong last, in a sentence's part.
fn error_text(job: &Job) -> String {
    let Some(error) = &job.status.error else { return "no error is known".to_owned() };
    let code = if error.code.is_empty() { "an error without a code" } else { &error.code };
    if error.message.is_empty() { code.to_owned() } else { format!("{code}: {}", error.message) }
}

/// A span in words, to the second where it has seconds.
fn span(span: Duration) -> String {
    let coarse = match span.as_secs() {
        0 => Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0)),
        seconds => Duration::from_secs(seconds),
    };
    humantime::format_duration(coarse).to_string()
}

#[cfg(test)]
mod tests;
