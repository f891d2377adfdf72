//! Who did what to which thing, why, and how it stood before and after.
//!
//! Audited is what somebody decides about what is there: the commands of people and of the rules that
//! act in their name. Not audited is what says it by itself: a job tells who made it and every attempt
//! stands in its history, so neither creates nor workers' reports are written twice.
//!
//! An audit event is written in the commit of the deed, so there is none of a deed that was refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{JobId, JobType, QueueName};
use super::job::Job;
use super::limits::{AUDIT_FIELDS_MAX, AUDIT_VALUE_BYTES_MAX};
use super::status::JobStatus;
use super::time::Timestamp;

/// The actor of what the server does by itself.
pub const SERVER: &str = "jobplane";

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $rpc:literal;)+) => {
        /// What is audited: a closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum AuditAction {
            $($(#[$doc])* $variant,)+
        }

        impl AuditAction {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in docs and terminals.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The call that does it; empty for what the server does by itself.
            #[must_use]
            pub const fn rpc(self) -> &'static str {
                match self { $(Self::$variant => $rpc),+ }
            }

            /// The action of that name, if there is one.
            #[must_use]
            pub fn named(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|action| action.as_str() == text)
            }
        }
    };
}

actions! {
    /// A job was cancelled, or asked to stop.
    CancelJob = "cancel_job", "CancelJob";
    /// A job was asked to run again, or now.
    RetryJob = "retry_job", "RetryJob";
    /// A job was deleted.
    DeleteJob = "delete_job", "DeleteJob";
    /// Many jobs are cancelled. Each of them is audited, too.
    BulkCancelJobs = "bulk_cancel_jobs", "BulkCancelJobs";
    /// Many jobs are run again. Each of them is audited, too.
    BulkRetryJobs = "bulk_retry_jobs", "BulkRetryJobs";
    /// Many jobs are deleted. Each of them is audited, too.
    BulkDeleteJobs = "bulk_delete_jobs", "BulkDeleteJobs";
    /// A type was declared or changed.
    PutJobType = "put_job_type", "PutJobType";
    /// A type was taken away.
    DeleteJobType = "delete_job_type", "DeleteJobType";
    /// A person ran a type.
    TriggerJobType = "trigger_job_type", "TriggerJobType";
    /// A queue was paused, resumed or bounded.
    UpdateQueue = "update_queue", "UpdateQueue";
    /// A quota was set up or changed.
    PutQuota = "put_quota", "PutQuota";
    /// A quota was taken away.
    DeleteQuota = "delete_quota", "DeleteQuota";
    /// What holds for every type changed.
    UpdateDefaults = "update_defaults", "UpdateDefaults";
    /// A worker is to be emptied.
    DrainWorker = "drain_worker", "DrainWorker";
    /// Stuck jobs were swept by hand. Each of them is audited, too.
    SweepStuckJobs = "sweep_stuck_jobs", "SweepStuckJobs";
    /// Old jobs were taken away by hand.
    PurgeJobs = "purge_jobs", "PurgeJobs";
    /// Old jobs were taken away by the retention.
    Retention = "retention", "";
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditSubject {
    /// A job, of a type.
    Job {
        /// The job.
        id: JobId,
        /// Its type, so that the events of a type are found when the job is gone.
        job_type: JobType,
    },
    /// A type.
    Type(JobType),
    /// A queue.
    Queue(QueueName),
    /// A quota, by its name.
    Quota(String),
    /// A worker, by its name and process.
    Worker {
        /// Its name; may be empty if only the process was named.
        worker_id: String,
        /// Its process; may be empty.
        instance_id: String,
    },
    /// Many jobs: what came of it stands in `after`.
    Jobs,
    /// What holds for the whole server.
    Server,
}

/// Fields with their values as people read them.
pub type Fields = BTreeMap<String, String>;

/// A deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// When.
    pub time: Timestamp,
    /// The identity of the caller; [`SERVER`] for the server itself.
    pub actor: String,
    /// What.
    pub action: AuditAction,
    /// To what.
    pub subject: AuditSubject,
    /// In the actor's words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// The fields that changed, as they were; empty for something new.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub before: Fields,
    /// The same fields as they are; empty for something that is gone.
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub after: Fields,
}

impl AuditEvent {
    /// The type it is about, for filters.
    #[must_use]
    pub const fn job_type(&self) -> Option<&JobType> {
        match &self.subject {
            AuditSubject::Job { job_type, .. } | AuditSubject::Type(job_type) => Some(job_type),
            AuditSubject::Queue(_)
            | AuditSubject::Quota(_)
            | AuditSubject::Worker { .. }
            | AuditSubject::Jobs
            | AuditSubject::Server => None,
        }
    }

    /// The job it is about, for filters.
    #[must_use]
    pub const fn job_id(&self) -> Option<JobId> {
        match &self.subject {
            AuditSubject::Job { id, .. } => Some(*id),
            AuditSubject::Type(_)
            | AuditSubject::Queue(_)
            | AuditSubject::Quota(_)
            | AuditSubject::Worker { .. }
            | AuditSubject::Jobs
            | AuditSubject::Server => None,
        }
    }
}

/// Who does what, and why: what is said before it is known what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// The identity of the caller; [`SERVER`] for the server itself.
    pub actor: String,
    /// What.
    pub action: AuditAction,
    /// In the actor's words; may be empty.
    pub reason: String,
}

impl Deed {
    /// Of a caller who gave no reason.
    #[must_use]
    pub fn new(actor: &str, action: AuditAction) -> Self {
        Self { actor: actor.to_owned(), action, reason: String::new() }
    }

    /// In the actor's words.
    #[must_use]
    pub fn because(self, reason: String) -> Self {
        Self { reason, ..self }
    }

    /// What came of it: of the fields those that differ.
    #[must_use]
    pub fn done(
        &self,
        subject: AuditSubject,
        before: &Fields,
        after: &Fields,
        time: Timestamp,
    ) -> AuditEvent {
        let (before, after) = difference(before, after);
        let Self { actor, action, reason } = self.clone();
        AuditEvent { time, actor, action, subject, reason, before, after }
    }

    /// What came of it for a job, unset where there was none before or is none after.
    #[must_use]
    pub fn done_to(
        &self,
        job: &Job,
        before: Option<&JobStatus>,
        after: Option<&JobStatus>,
        time: Timestamp,
    ) -> AuditEvent {
        let subject = AuditSubject::Job { id: job.id, job_type: job.spec.job_type.clone() };
        let fields = |status: Option<&JobStatus>| status.map(job_fields).unwrap_or_default();
        self.done(subject, &fields(before), &fields(after), time)
    }
}

/// What a command may change about a job that an operator cares for; neither payload nor result, which
/// are nobody else's business.
#[must_use]
pub fn job_fields(status: &JobStatus) -> Fields {
    let mut fields = Fields::from([
        ("state".to_owned(), status.kind().as_str().to_owned()),
        ("revision".to_owned(), status.revision.to_string()),
        ("attempt".to_owned(), status.attempt.to_string()),
        ("max_attempts".to_owned(), status.max_attempts.to_string()),
    ]);
    if let Some(request) = &status.cancel_request {
        fields.insert("cancel_request.cause".to_owned(), request.cause.as_str().to_owned());
        let seconds = format!("{} s", request.grace.as_secs_f64());
        fields.insert("cancel_request.grace".to_owned(), seconds);
    }
    if let Some(error) = &status.error {
        fields.insert("error.code".to_owned(), error.code.clone());
    }
    fields
}

/// The fields of anything that has named fields, with a path for those within: `defaults.timeout`.
///
/// # Errors
/// If it has none that JSON could name.
pub fn fields(thing: &impl Serialize) -> serde_json::Result<Fields> {
    let mut fields = Fields::new();
    flatten(String::new(), &serde_json::to_value(thing)?, &mut fields);
    Ok(fields)
}

fn flatten(path: String, value: &Value, fields: &mut Fields) {
    match value {
        Value::Object(inner) => {
            for (name, value) in inner {
                let at = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(at, value, fields);
            }
        }
        // What is unset and what is left out are the same.
        Value::Null => {}
        Value::String(text) => {
            fields.insert(path, text.clone());
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            fields.insert(path, value.to_string());
        }
    }
}

/// What differs: of each field in which `before` and `after` are not alike, what it was and what it is.
/// Values are cut at [`AUDIT_VALUE_BYTES_MAX`]; past [`AUDIT_FIELDS_MAX`] fields, the rest is counted.
#[must_use]
pub fn difference(before: &Fields, after: &Fields) -> (Fields, Fields) {
    let mut names: Vec<_> = before.keys().chain(after.keys()).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| before.get(*name) != after.get(*name));
    let left_out = names.len().saturating_sub(AUDIT_FIELDS_MAX);
    names.truncate(AUDIT_FIELDS_MAX);
    let pick = |from: &Fields| {
        let kept = names
            .iter()
            .filter_map(|name| from.get(*name).map(|value| ((*name).clone(), cut(value))));
        kept.collect::<Fields>()
    };
    let (was, mut is) = (pick(before), pick(after));
    if left_out > 0 {
        is.insert("…".to_owned(), format!("{left_out} more fields"));
    }
    (was, is)
}

fn cut(value: &str) -> String {
    if value.len() <= AUDIT_VALUE_BYTES_MAX {
        return value.to_owned();
    }
    let end = value.floor_char_boundary(AUDIT_VALUE_BYTES_MAX);
    format!("{}…", &value[..end])
}

#[cfg(test)]
mod tests;
