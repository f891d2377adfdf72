//! Why a job that is due does not start now.

use std::fmt;

use crate::domain::ids::{JobType, QueueName, QuotaName, WorkerName};
use crate::domain::time::Timestamp;

/// What holds a job, with its facts. Holds pass; what ends a job is a skip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// Nothing starts from its queue.
    QueuePaused {
        /// The queue.
        queue: QueueName,
        /// In the operator's words; may be empty.
        reason: String,
    },
    /// The server runs as many jobs as it may.
    ServerFull {
        /// How many run.
        running: u64,
        /// How many may.
        max: u32,
    },
    /// So does its queue.
    QueueFull {
        /// The queue.
        queue: QueueName,
        /// How many run.
        running: u64,
        /// How many may.
        max: u32,
    },
    /// So does its type.
    TypeFull {
        /// The type.
        job_type: JobType,
        /// How many run.
        running: u64,
        /// How many may.
        max: u32,
    },
    /// So does its type with the value that its label has.
    KeyFull {
        /// The value.
        value: String,
        /// How many run.
        running: u64,
        /// How many may.
        max: u32,
    },
    /// Another run of its type is going, and it starts only alone.
    Overlap {
        /// How many run.
        running: u64,
    },
    /// Its queue has started as many as it may for now.
    QueueRate {
        /// The queue.
        queue: QueueName,
        /// When the next one may start.
        until: Timestamp,
    },
    /// So has its type.
    TypeRate {
        /// The type.
        job_type: JobType,
        /// When the next one may start.
        until: Timestamp,
    },
    /// A quota that it draws from is used up.
    QuotaExhausted {
        /// The quota.
        quota: QuotaName,
        /// When it begins anew; never, if the job costs more than a whole period has.
        until: Option<Timestamp>,
    },
    /// Its breaker is open, and it has run before, so it is not skipped.
    CircuitOpen {
        /// When one job may try.
        next_probe_time: Timestamp,
    },
    /// Its type is switched off, and it has run before, so it is not skipped.
    TypeDisabled {
        /// The type.
        job_type: JobType,
        /// In the operator's words; may be empty.
        reason: String,
    },
    /// No worker takes this type from this queue.
    NoWorker {
        /// The queue.
        queue: QueueName,
        /// The type.
        job_type: JobType,
    },
    /// All workers that take it have as much as they take.
    WorkersBusy {
        /// How many workers that are.
        workers: u64,
    },
    /// No worker with room for a job has as much memory left as it may use.
    NoMemory {
        /// Bytes that it may use.
        needed: u64,
        /// Most that any of them has left.
        most_free: u64,
    },
    /// The only worker with room is the one it failed on.
    AvoidsWorker {
        /// The worker.
        worker_id: WorkerName,
        /// Until then it waits for another one.
        until: Timestamp,
    },
}

impl Hold {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::QueuePaused { .. } => "QUEUE_PAUSED",
            Self::ServerFull { .. } => "SERVER_FULL",
            Self::QueueFull { .. } => "QUEUE_FULL",
            Self::TypeFull { .. } => "TYPE_FULL",
            Self::KeyFull { .. } => "CONCURRENCY_KEY_FULL",
            Self::Overlap { .. } => "OVERLAP",
            Self::QueueRate { .. } => "QUEUE_RATE",
            Self::TypeRate { .. } => "TYPE_RATE",
            Self::QuotaExhausted { .. } => "QUOTA_EXHAUSTED",
            Self::CircuitOpen { .. } => "CIRCUIT_OPEN",
            Self::TypeDisabled { .. } => "TYPE_DISABLED",
            Self::NoWorker { .. } => "NO_WORKER",
            Self::WorkersBusy { .. } => "WORKERS_BUSY",
            Self::NoMemory { .. } => "NO_MEMORY",
            Self::AvoidsWorker { .. } => "AVOIDS_WORKER",
        }
    }

    /// Whether it says nothing of other jobs of the same type in the same queue: those behind may go.
    #[must_use]
    pub const fn is_of_one_job(&self) -> bool {
        match self {
            Self::KeyFull { .. }
            | Self::Overlap { .. }
            | Self::CircuitOpen { .. }
            | Self::TypeDisabled { .. }
            | Self::QuotaExhausted { until: None, .. }
            | Self::NoMemory { .. }
            | Self::AvoidsWorker { .. } => true,
            Self::QueuePaused { .. }
            | Self::ServerFull { .. }
            | Self::QueueFull { .. }
            | Self::TypeFull { .. }
            | Self::QueueRate { .. }
            | Self::TypeRate { .. }
            | Self::QuotaExhausted { until: Some(_), .. }
            | Self::NoWorker { .. }
            | Self::WorkersBusy { .. } => false,
        }
    }

    /// Whether it passes when another job ends.
    #[must_use]
    pub const fn is_of_others(&self) -> bool {
        match self {
            Self::ServerFull { .. }
            | Self::QueueFull { .. }
            | Self::TypeFull { .. }
            | Self::KeyFull { .. }
            | Self::Overlap { .. } => true,
            Self::QueuePaused { .. }
            | Self::QueueRate { .. }
            | Self::TypeRate { .. }
            | Self::CircuitOpen { .. }
            | Self::TypeDisabled { .. }
            | Self::QuotaExhausted { .. }
            | Self::NoWorker { .. }
            | Self::WorkersBusy { .. }
            | Self::NoMemory { .. }
            | Self::AvoidsWorker { .. } => false,
        }
    }

    /// Whether it passes when a worker has more room.
    #[must_use]
    pub const fn is_of_workers(&self) -> bool {
        match self {
            Self::NoWorker { .. }
            | Self::WorkersBusy { .. }
            | Self::NoMemory { .. }
            | Self::AvoidsWorker { .. } => true,
            Self::KeyFull { .. }
            | Self::Overlap { .. }
            | Self::CircuitOpen { .. }
            | Self::TypeDisabled { .. }
            | Self::QuotaExhausted { .. }
            | Self::QueuePaused { .. }
            | Self::ServerFull { .. }
            | Self::QueueFull { .. }
            | Self::TypeFull { .. }
            | Self::QueueRate { .. }
            | Self::TypeRate { .. } => false,
        }
    }

    /// When it passes by itself, if the clock alone can say.
    #[must_use]
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::QueueRate { until, .. }
            | Self::TypeRate { until, .. }
            | Self::AvoidsWorker { until, .. } => Some(*until),
            Self::QuotaExhausted { until, .. } => *until,
            Self::CircuitOpen { next_probe_time } => Some(*next_probe_time),
            Self::QueuePaused { .. }
            | Self::ServerFull { .. }
            | Self::QueueFull { .. }
            | Self::TypeFull { .. }
            | Self::KeyFull { .. }
            | Self::Overlap { .. }
            | Self::TypeDisabled { .. }
            | Self::NoWorker { .. }
            | Self::WorkersBusy { .. }
            | Self::NoMemory { .. } => None,
        }
    }
}

fn jobs(count: u64) -> String {
    if count == 1 { "1 job".to_owned() } else { format!("{count} jobs") }
}

const fn run(count: u64) -> &'static str {
    if count == 1 { "runs" } else { "run" }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueuePaused { queue, reason } if reason.is_empty() => {
                write!(f, "queue {queue} is paused")
            }
            Self::QueuePaused { queue, reason } => write!(f, "queue {queue} is paused: {reason}"),
            Self::ServerFull { running, max } => {
                write!(f, "the server runs {}, at most {max} may run", jobs(*running))
            }
            Self::QueueFull { queue, running, max } => {
                write!(f, "queue {queue} runs {}, at most {max} may run", jobs(*running))
            }
            Self::TypeFull { job_type, running, max } => {
                let (jobs, run) = (jobs(*running), run(*running));
                write!(f, "{jobs} of type {job_type} {run}, at most {max} may run")
            }
            Self::KeyFull { value, running, max } => {
                let (jobs, run) = (jobs(*running), run(*running));
                write!(f, "{jobs} of its type {run} for {value:?}, at most {max} may run")
            }
            Self::Overlap { running: 1 } => {
                f.write_str("it starts alone, and 1 other job of its type runs")
            }
            Self::Overlap { running } => {
                write!(f, "it starts alone, and {running} other jobs of its type run")
            }
            Self::QueueRate { queue, .. } => {
                write!(f, "queue {queue} has started as many jobs as its rate allows for now")
            }
            Self::TypeRate { job_type, .. } => {
                write!(f, "type {job_type} has started as many jobs as its rate allows for now")
            }
            Self::QuotaExhausted { quota, until: Some(_) } => {
                write!(f, "too little is left of quota {quota} in this period")
            }
            Self::QuotaExhausted { quota, until: None } => {
                write!(f, "it costs more of quota {quota} than a whole period has")
            }
            Self::CircuitOpen { .. } => {
                f.write_str("its type failed too often, and its circuit breaker is open")
            }
            Self::TypeDisabled { job_type, reason } if reason.is_empty() => {
                write!(f, "type {job_type} is disabled")
            }
            Self::TypeDisabled { job_type, reason } => {
                write!(f, "type {job_type} is disabled: {reason}")
            }
            Self::NoWorker { queue, job_type } => {
                write!(f, "no worker takes jobs of type {job_type} from queue {queue}")
            }
            Self::WorkersBusy { workers } => {
                write!(f, "all workers that take it are busy: {workers}")
            }
            Self::NoMemory { needed, most_free } => write!(
                f,
                "it may use {needed} bytes of memory, and no worker with room has more than \
                 {most_free} left"
            ),
            Self::AvoidsWorker { worker_id, .. } => {
                write!(f, "it failed on worker {worker_id} and waits for another one")
            }
        }
    }
}
