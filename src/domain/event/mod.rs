//! What happened that somebody may want to be told of.
//!
//! Owns: the closed list ([`EventName`]), its facts ([`Facts`]), which change of a job gives which event
//! ([`of_change`]), and how far somebody has read them ([`Cursor`]).
//! Does not own: where events are kept (`store`) and who is told.
//! Invariants: an event is written in the commit that causes it; one that several replicas may find,
//! or one may find twice, carries a key ([`Event::once`]) under which it is written at most once.

mod cursor;
mod facts;
mod job;

use serde::{Deserialize, Serialize};

use super::ids::{JobId, JobType, QueueName};
use super::job::Job;
use super::time::Timestamp;

pub use cursor::Cursor;
pub use facts::{Facts, StuckAction};
pub use job::{Wanted, of_change};

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it when there is time.
    Warning,
    /// Somebody has to do something.
    Error,
}

impl Severity {
    /// Every severity, the lightest first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Error];

    /// The name in docs, files and terminals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $severity:ident;)+) => {
        /// What can happen: a closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum EventName {
            $($(#[$doc])* $variant,)+
        }

        impl EventName {
            /// Every name.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name in docs, files and terminals.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// How much such an event matters.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$variant => Severity::$severity),+ }
            }

            /// The event of that name, if there is one.
            #[must_use]
            pub fn named(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|name| name.as_str() == text)
            }
        }
    };
}

names! {
    /// A job succeeded. Written only when somebody wants it.
    JobSucceeded = "job_succeeded", Info;
    /// A job failed for good.
    JobFailed = "job_failed", Error;
    /// A job was cancelled.
    JobCancelled = "job_cancelled", Info;
    /// A policy refused a job.
    JobSkipped = "job_skipped", Warning;
    /// A running job shows no activity, or has run for too long.
    JobStuck = "job_stuck", Warning;
    /// A running job takes much longer than others of its type.
    JobSlow = "job_slow", Warning;
    /// A scheduled or expected run did not come.
    ScheduleMissed = "schedule_missed", Error;
    /// The breaker of a type opened.
    CircuitOpened = "circuit_opened", Error;
    /// The breaker of a type closed.
    CircuitClosed = "circuit_closed", Info;
    /// Of a quota of something outside too little is left for another start.
    QuotaExhausted = "quota_exhausted", Warning;
    /// The oldest ready job of a queue has waited for too long.
    QueueAge = "queue_age", Warning;
    /// A worker was not heard of any more.
    WorkerLost = "worker_lost", Warning;
    /// A running job uses more than it may, and is asked to stop.
    ResourceLimit = "resource_limit", Warning;
}

/// Something that happened. The store gives it its id, in the order of the commits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// To which job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// To which type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_type: Option<JobType>,
    /// In which queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// For which owner; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    /// What.
    pub facts: Facts,
}

impl Event {
    /// Something that happened to a job.
    #[must_use]
    pub fn of_job(job: &Job, facts: Facts, time: Timestamp) -> Self {
        Self {
            time,
            job_id: Some(job.id),
            job_type: Some(job.spec.job_type.clone()),
            queue: Some(job.status.effective.queue.clone()),
            owner: job.spec.owner.clone(),
            facts,
        }
    }

    /// Something that happened to a type.
    #[must_use]
    pub fn of_type(job_type: JobType, facts: Facts, time: Timestamp) -> Self {
        Self { job_type: Some(job_type), ..Self::plain(facts, time) }
    }

    /// Something that happened to a queue.
    #[must_use]
    pub fn of_queue(queue: QueueName, facts: Facts, time: Timestamp) -> Self {
        Self { queue: Some(queue), ..Self::plain(facts, time) }
    }

    /// Something that happened to neither: to a worker or a quota.
    #[must_use]
    pub fn plain(facts: Facts, time: Timestamp) -> Self {
        Self { time, job_id: None, job_type: None, queue: None, owner: String::new(), facts }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> EventName {
        self.facts.name()
    }

    /// How much it matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.name().severity()
    }

    /// The key under which it is written at most once; unset if the change that causes it can happen
    /// but once by itself, because a revision guards it.
    #[must_use]
    pub fn once(&self) -> Option<String> {
        let thing = self.facts.once(self.time)?;
        let about = match (&self.job_id, &self.job_type, &self.queue) {
            (Some(job), _, _) => job.to_string(),
            (None, Some(job_type), _) => job_type.to_string(),
            (None, None, Some(queue)) => queue.to_string(),
            (None, None, None) => String::new(),
        };
        Some(format!("{} {about} {thing}", self.name().as_str()))
    }
}

#[cfg(test)]
mod tests;
