//! What a use case may answer instead of its result.

use std::time::Duration;

use crate::domain::admission::Hold;
use crate::domain::bulk::TooMany;
use crate::domain::ids::QuotaName;
use crate::domain::job_type::gate::TriggerRefusal;
use crate::domain::machine::Refusal;
use crate::domain::queue::TooManyPending;
use crate::domain::validate::Violations;
use crate::domain::{JobId, JobType, QueueName, WorkerName};
use crate::store;

/// Facts for the caller; `grpc/status.rs` alone makes a status of them.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No such job.
    #[error("there is no job {0}")]
    JobNotFound(JobId),
    /// The job does not allow it now.
    #[error("{refusal}")]
    Refused {
        /// Which job.
        job_id: JobId,
        /// Why.
        refusal: Refusal,
    },
    /// The job is not over, so it cannot be deleted.
    #[error("job {0} is not over")]
    NotOver(JobId),
    /// A live job holds the unique key.
    #[error("job {holder} holds the unique key {key:?}")]
    DuplicateJob {
        /// The job that holds it.
        holder: JobId,
        /// The key.
        key: String,
    },
    /// No such type: neither declared, nor seen on a job.
    #[error("there is no job type {0}")]
    TypeNotFound(JobType),
    /// The type was only seen on jobs.
    #[error("the job type {0} is not declared, only seen on jobs")]
    TypeNotDeclared(JobType),
    /// The declaration is not the one that was to be replaced.
    #[error("the job type {job_type} has revision {held}, not {presented}")]
    TypeChanged {
        /// The type.
        job_type: JobType,
        /// Its revision; 0 if it is not declared.
        held: i64,
        /// The one that was to be replaced.
        presented: i64,
    },
    /// A job of the type could not run now.
    #[error("{job_type}: {refusal}")]
    CannotTrigger {
        /// The type.
        job_type: JobType,
        /// Where the job would wait.
        queue: QueueName,
        /// Why.
        refusal: TriggerRefusal,
    },
    /// A rule keeps the job from starting now.
    #[error("{hold}")]
    Held {
        /// Which rule.
        hold: Hold,
        /// When it passes, if the clock alone can say.
        retry_after: Option<Duration>,
    },
    /// No such quota.
    #[error("there is no quota {0}")]
    QuotaNotFound(QuotaName),
    /// Declared types draw from the quota, so it cannot be taken away.
    #[error("{count} declared job types draw from the quota {quota}, {job_type} for one")]
    QuotaInUse {
        /// The quota.
        quota: QuotaName,
        /// One of the types.
        job_type: JobType,
        /// How many types.
        count: usize,
    },
    /// A start of a declared type draws more from the quota than it would have.
    #[error("a start of {job_type} draws {cost} of the quota {quota}, which would have {limit}")]
    QuotaBelowCost {
        /// The quota.
        quota: QuotaName,
        /// The type that draws most.
        job_type: JobType,
        /// How much it draws.
        cost: u64,
        /// Units that a period was to have.
        limit: u64,
    },
    /// No such worker is there.
    #[error("there is no worker {0}")]
    WorkerNotFound(String),
    /// The worker is to leave and gets no more jobs.
    #[error("the worker {worker_id} is to leave and gets no more jobs")]
    WorkerDraining {
        /// Its name.
        worker_id: WorkerName,
        /// Why, in the words of who asked; may be empty.
        reason: String,
    },
    /// The request id was used before with another body.
    #[error("the request id was used before with another body, for job {job_id}")]
    RequestIdReused {
        /// The job it made.
        job_id: JobId,
    },
    /// The job that the request id made is deleted.
    #[error("the job {job_id} that this request id made was deleted")]
    RequestIdSpent {
        /// The job it made.
        job_id: JobId,
    },
    /// Fields of the request are wrong.
    #[error("the request has invalid fields")]
    Invalid(Violations),
    /// A bound of the service is reached.
    #[error("{what} is limited to {limit}")]
    LimitExceeded {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// As many jobs wait as may.
    #[error("{}: {full}", .queue.as_ref().map_or("the server".to_owned(), |queue| format!("queue {queue}")))]
    TooManyPending {
        /// The queue that is full; all of them together if unset.
        queue: Option<QueueName>,
        /// How many wait, and how many may.
        full: TooManyPending,
    },
    /// More jobs match than one watch may begin with.
    #[error("{count} jobs match, a watch is limited to {limit}: narrow the filter")]
    TooManyMatch {
        /// Jobs that match; at least so many, if counting stopped there.
        count: u64,
        /// The bound.
        limit: u64,
    },
    /// More jobs match than the caller expected.
    #[error("{0}: name as many, or narrow the filter")]
    MoreThanExpected(TooMany),
    /// Too much is under way at once: later there is room again.
    #[error("{what} are limited to {limit} at a time")]
    RateLimited {
        /// What is bounded.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// What is to be taken away cannot be written down before.
    #[error("the archive cannot be written, so nothing more is taken away: {0}")]
    Archive(String),
    /// The same worker process attached again: this attach is over.
    #[error("the worker process attached again elsewhere")]
    SessionSuperseded,
    /// The server is about to stop.
    #[error("the server is shutting down")]
    Draining,
    /// The stream has lived for as long as streams do: it may be opened again at once.
    #[error("the stream has reached its age")]
    StreamAged,
    /// Too much waits for the store, or it does not answer.
    #[error("the store does not answer in time")]
    Overloaded,
    /// The write may have happened or not.
    #[error("whether the change was made is not known")]
    OutcomeUnknown,
    /// The store failed.
    #[error("the store failed")]
    Store(#[source] store::Error),
}

impl Error {
    /// Whether what was asked was neither done nor refused: it may be asked again, elsewhere or later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Draining
                | Self::StreamAged
                | Self::Overloaded
                | Self::OutcomeUnknown
                | Self::Store(store::Error::Unavailable(_))
        )
    }

    /// Whether the store has something that cannot be read: asking again does not help.
    #[must_use]
    pub const fn is_corrupt(&self) -> bool {
        matches!(self, Self::Store(store::Error::Corrupt { .. }))
    }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::OutcomeUnknown(_) => Self::OutcomeUnknown,
            store::Error::Unavailable(_)
            | store::Error::Rejected(_)
            | store::Error::Corrupt { .. } => Self::Store(error),
        }
    }
}

/// What a use case answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;
