//! The rules of a job's life, pure: no async, no I/O, no clock, no randomness.
//!
//! Owns: what a job is ([`Job`], [`JobSpec`], [`JobStatus`]), which states follow which
//! ([`machine`]), when a failed attempt runs again ([`RetryPolicy`]), what a progress report means
//! ([`Progress`]), what is said of a type ([`job_type`]) and when its runs are due ([`schedule`]),
//! which waiting job goes to which worker ([`admission`]) within which quotas ([`quota`]) and breakers
//! ([`circuit`]), why a job stands where it stands ([`explain`]), what keeps the house ([`watchdog`],
//! [`usage`], [`retention`], [`bulk`]), what is told of it ([`event`], [`audit`], [`stats`]) and every
//! bound ([`limits`]).
//! Does not own: where jobs are kept (`store`), who may do what (`auth`), wire shapes (`grpc`).
//! Entry: [`machine::apply`].
//! Invariant: time and chance come in as arguments, so the same arguments give the same answer.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod admission;
pub mod audit;
pub mod bulk;
pub mod circuit;
pub mod definitions;
pub mod drain;
pub mod event;
pub mod explain;
pub mod filter;
pub mod histogram;
pub mod ids;
pub mod job;
pub mod job_type;
pub mod limits;
pub mod logs;
pub mod machine;
pub mod position;
pub mod progress;
pub mod queue;
pub mod quota;
pub mod rate;
pub mod retention;
pub mod retry;
pub mod schedule;
pub mod session;
pub mod stats;
pub mod status;
pub mod time;
pub mod typical;
pub mod usage;
pub mod validate;
pub mod watchdog;
pub mod written;
pub mod zone;

pub use filter::JobFilter;
pub use ids::{
    BatchId, Category, InstanceId, JobId, JobType, QueueName, QuotaName, SessionId, WorkerName,
};
pub use job::{Job, JobSpec, OnStuck, Priority, ResourceLimits, Trigger, UniquePolicy};
pub use logs::{LogBatch, LogEntry, LogLevel};
pub use position::{Origin, Position};
pub use progress::{Progress, ResourceUsage};
pub use retry::RetryPolicy;
pub use session::{EndReason, Session};
pub use status::{
    Attempt, CancelCause, CancelRequest, Effective, ErrorOrigin, Execution, JobError, JobStatus,
    Outcome, Report, SkipReason, State, StateKind,
};
pub use time::Timestamp;
