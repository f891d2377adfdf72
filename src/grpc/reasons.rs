//! Every reason a call may be refused with, as data: what it means, who does what about it.

use std::fmt::Write as _;

use tonic::Code;

mod code;

pub use code::code_name;

/// The `reason` of a refusal's `ErrorInfo`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the table below documents each of them")]
pub enum Reason {
    JobNotFound,
    IllegalTransition,
    NotDue,
    RequestIdSpent,
    TypeNotFound,
    QuotaNotFound,
    QuotaInUse,
    QuotaBelowCost,
    WorkerNotFound,
    WorkerDraining,
    TypeNotDeclared,
    TypeDisabled,
    AlreadyRunning,
    QueuePaused,
    CircuitOpen,
    TypeChanged,
    StaleLease,
    SessionSuperseded,
    DuplicateJob,
    InvalidField,
    InvalidPageToken,
    InvalidResumeToken,
    RequestIdReused,
    LimitExceeded,
    RateLimited,
    ArchiveFailed,
    ServerDraining,
    StreamAged,
    StoreUnavailable,
    OutcomeUnknown,
    Internal,
}

/// What is known of a reason.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The reason.
    pub reason: Reason,
    /// Its name on the wire.
    pub name: &'static str,
    /// The code it comes with.
    pub code: Code,
    /// Details beside the `ErrorInfo`, and its metadata.
    pub details: &'static str,
    /// What happened.
    pub meaning: &'static str,
    /// What the caller does about it.
    pub caller: &'static str,
    /// What the operator does about it.
    pub operator: &'static str,
}

impl Reason {
    /// Its place in [`ROWS`].
    #[must_use]
    pub fn row(self) -> &'static Row {
        // Total by the order of the table, which a test keeps.
        &ROWS[self as usize]
    }
}

/// Every reason, in the order of [`Reason`].
pub const ROWS: &[Row] = &[
    Row {
        reason: Reason::JobNotFound,
        name: "JOB_NOT_FOUND",
        code: Code::NotFound,
        details: "metadata job_id; ResourceInfo",
        meaning: "There is no such job: it never was, or it was deleted or past its retention.",
        caller: "Check the id. Do not repeat the call.",
        operator: "Nothing; a longer retention keeps jobs longer.",
    },
    Row {
        reason: Reason::IllegalTransition,
        name: "ILLEGAL_TRANSITION",
        code: Code::FailedPrecondition,
        details: "metadata job_id, state, command, allowed (both comma-separated where several); \
                  PreconditionFailure",
        meaning: "The job's state does not allow it, see STATE_MACHINE.md. Another call may have \
                  won: a cancel after the job was done answers this.",
        caller: "Read the state in the metadata and decide anew. Do not repeat the call unchanged.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::NotDue,
        name: "NOT_DUE",
        code: Code::FailedPrecondition,
        details: "metadata job_id, schedule_time_micros; PreconditionFailure",
        meaning: "The job waits for its time and cannot start yet.",
        caller: "Leave schedule_time out of a job that is to start at once.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::RequestIdSpent,
        name: "REQUEST_ID_SPENT",
        code: Code::FailedPrecondition,
        details: "metadata job_id; PreconditionFailure",
        meaning: "The job that this request id made was deleted; the id does not make another.",
        caller: "Take it as done, or choose another request_id for another job.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::TypeNotFound,
        name: "TYPE_NOT_FOUND",
        code: Code::NotFound,
        details: "metadata type",
        meaning: "There is no such job type: it is not declared, and no job was ever of it.",
        caller: "Check the name, or declare the type first.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::QuotaNotFound,
        name: "QUOTA_NOT_FOUND",
        code: Code::NotFound,
        details: "metadata quota",
        meaning: "There is no such quota.",
        caller: "Check the name.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::QuotaInUse,
        name: "QUOTA_IN_USE",
        code: Code::FailedPrecondition,
        details: "metadata quota, type, count; PreconditionFailure",
        meaning: "Declared types draw from the quota (`quota_costs`): without it they would run without bound.",
        caller: "Declare the types without it first, or delete them.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::QuotaBelowCost,
        name: "QUOTA_BELOW_COST",
        code: Code::FailedPrecondition,
        details: "metadata quota, type, cost, limit; PreconditionFailure",
        meaning: "A start of a declared type draws more (`quota_costs`) than the quota would have: it would never run.",
        caller: "Set a higher limit, or declare the type with a lower cost first.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::WorkerNotFound,
        name: "WORKER_NOT_FOUND",
        code: Code::NotFound,
        details: "metadata worker",
        meaning: "No worker of this name or instance is there: none is attached, holds a job, or waits for one.",
        caller: "See who is there with ListWorkers.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::WorkerDraining,
        name: "WORKER_DRAINING",
        code: Code::FailedPrecondition,
        details: "metadata worker_id, reason; PreconditionFailure",
        meaning: "An operator wants this worker empty (DrainWorker): it gets no more jobs.",
        caller: "Finish what you hold, and end. A new process with an instance_id of its own gets jobs.",
        operator: "Nothing, if the drain was meant.",
    },
    Row {
        reason: Reason::TypeNotDeclared,
        name: "TYPE_NOT_DECLARED",
        code: Code::FailedPrecondition,
        details: "metadata type; PreconditionFailure",
        meaning: "The type is only known from jobs: nothing says how one of it is to be made.",
        caller: "Declare it (`jobplane apply`, PutJobType), or create the job with CreateJob.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::TypeDisabled,
        name: "TYPE_DISABLED",
        code: Code::FailedPrecondition,
        details: "metadata type; PreconditionFailure",
        meaning: "The type is disabled: no job of it runs.",
        caller: "Enable it, or leave it alone.",
        operator: "`jobplane types enable TYPE`, once what it was disabled for is over.",
    },
    Row {
        reason: Reason::AlreadyRunning,
        name: "ALREADY_RUNNING",
        code: Code::FailedPrecondition,
        details: "metadata type, running, max_concurrent; PreconditionFailure",
        meaning: "As many jobs of the type run as may (its max_concurrent).",
        caller: "Wait until one is over, or cancel it.",
        operator: "Nothing; or a larger max_concurrent.",
    },
    Row {
        reason: Reason::QueuePaused,
        name: "QUEUE_PAUSED",
        code: Code::FailedPrecondition,
        details: "metadata type, queue; PreconditionFailure",
        meaning: "Nothing starts from the queue the job would wait in.",
        caller: "Try again when the queue is resumed. CreateJob takes the job, and it waits.",
        operator: "`jobplane queue resume QUEUE`, once what it was paused for is over.",
    },
    Row {
        reason: Reason::CircuitOpen,
        name: "CIRCUIT_OPEN",
        code: Code::FailedPrecondition,
        details: "metadata type, next_probe_time, next_probe_time_micros; PreconditionFailure, RetryInfo",
        meaning: "The type failed so often that it is left alone for a while.",
        caller: "Try again at the time in the metadata.",
        operator: "See why its jobs fail; it closes with the first that succeeds.",
    },
    Row {
        reason: Reason::TypeChanged,
        name: "TYPE_CHANGED",
        code: Code::Aborted,
        details: "metadata type, held, presented",
        meaning: "The declaration is not the one that was to be replaced: somebody changed it meanwhile.",
        caller: "Read it again, and decide anew.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::StaleLease,
        name: "STALE_LEASE",
        code: Code::Aborted,
        details: "metadata job_id, held, presented, state",
        meaning: "The lease epoch presented is not in force: the job was taken away, handed out \
                  again, or ended. Nothing of the report was applied.",
        caller: "Stop working on the job and drop its reports: it is no longer yours.",
        operator: "Often: leases are too short for the pauses of the workers, or workers die.",
    },
    Row {
        reason: Reason::SessionSuperseded,
        name: "SESSION_SUPERSEDED",
        code: Code::Aborted,
        details: "none",
        meaning: "The same worker process attached again; this older stream is over.",
        caller: "Go on with the newer stream. Two processes must not share an instance_id.",
        operator: "Often: two processes share an instance_id.",
    },
    Row {
        reason: Reason::DuplicateJob,
        name: "DUPLICATE_JOB",
        code: Code::AlreadyExists,
        details: "metadata job_id, unique_key; ResourceInfo",
        meaning: "Another job of the type, not yet over, holds the unique key.",
        caller: "Use the job in the metadata, or ask for UNIQUE_POLICY_RETURN_EXISTING.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::InvalidField,
        name: "INVALID_FIELD",
        code: Code::InvalidArgument,
        details: "metadata violations (how many); BadRequest with the first of them",
        meaning: "Fields of the request are wrong; the BadRequest names each with its bound.",
        caller: "Correct the fields. Do not repeat the call unchanged.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::InvalidPageToken,
        name: "INVALID_PAGE_TOKEN",
        code: Code::InvalidArgument,
        details: "BadRequest",
        meaning: "The page token is broken, or was made for another filter.",
        caller: "Start again with the first page.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::InvalidResumeToken,
        name: "INVALID_RESUME_TOKEN",
        code: Code::InvalidArgument,
        details: "BadRequest",
        meaning: "The resume token is broken, or was made for another filter or view.",
        caller: "Start again without a token.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::RequestIdReused,
        name: "REQUEST_ID_REUSED",
        code: Code::InvalidArgument,
        details: "metadata job_id; BadRequest",
        meaning: "The request id was used before, with another body.",
        caller: "Make a new request_id for each new request, and keep it when repeating one.",
        operator: "Nothing.",
    },
    Row {
        reason: Reason::LimitExceeded,
        name: "LIMIT_EXCEEDED",
        code: Code::ResourceExhausted,
        details: "metadata what, limit; QuotaFailure; with a full queue, server or quota metadata queue, pending, \
                   quota; RetryInfo",
        meaning: "A bound is reached: the size of a message, the number of types, the jobs that may wait \
                  in a queue or in all; for StartJob, the jobs that may run in its queue or in all, or a quota.",
        caller: "With RetryInfo repeat after that time. Else ask for less, and do not repeat the call \
                 unchanged.",
        operator: "Where jobs wait: more workers, or a larger max_pending. Where they run: a larger max_running. \
                   Else nothing; GetServerInfo lists the bounds.",
    },
    Row {
        reason: Reason::RateLimited,
        name: "RATE_LIMITED",
        code: Code::ResourceExhausted,
        details: "metadata what, limit; QuotaFailure, RetryInfo",
        meaning: "Too much at a time: more durable updates than may be unacknowledged, more calls of \
                  one address than may be under way, or more of its answers unread; for StartJob, \
                  more starts than the rate of its queue or type allows for now.",
        caller: "Repeat after the time in RetryInfo.",
        operator: "Often: more workers, or fewer reports from each; for callers behind one proxy, raise \
                   `--max-calls-per-peer`, see TRANSPORT.md.",
    },
    Row {
        reason: Reason::ArchiveFailed,
        name: "ARCHIVE_FAILED",
        code: Code::Unavailable,
        details: "RetryInfo",
        meaning: "The archive (`--archive`) cannot be written. What was not written down was not taken away.",
        caller: "Try again when the disk of the archive takes files again.",
        operator: "Look after the folder of the archive: its disk is full, gone or read-only.",
    },
    Row {
        reason: Reason::ServerDraining,
        name: "SERVER_DRAINING",
        code: Code::Unavailable,
        details: "RetryInfo",
        meaning: "The server is about to stop. Nothing was changed.",
        caller: "Repeat after the time in RetryInfo: another replica, or its successor, answers.",
        operator: "Nothing, if the stop was meant.",
    },
    Row {
        reason: Reason::StreamAged,
        name: "STREAM_AGED",
        code: Code::Unavailable,
        details: "RetryInfo",
        meaning: "The stream has lived for as long as streams do (`--stream-max-age`). A worker was \
                  told to attach again before.",
        caller: "Open it again after the time in RetryInfo, and go on from there.",
        operator: "Nothing: it spreads the load over replicas that came late.",
    },
    Row {
        reason: Reason::StoreUnavailable,
        name: "STORE_UNAVAILABLE",
        code: Code::Unavailable,
        details: "RetryInfo",
        meaning: "The database does not answer, or not in time. Nothing was changed.",
        caller: "Repeat after the time in RetryInfo, with growing waits.",
        operator: "See to the database: disk, locks, load. The log has the cause.",
    },
    Row {
        reason: Reason::OutcomeUnknown,
        name: "OUTCOME_UNKNOWN",
        code: Code::Unavailable,
        details: "RetryInfo",
        meaning: "The change was sent to the database and its answer was lost: it may have been \
                  made or not.",
        caller: "Repeat: safe for reads, worker reports, cancels, and creates with a request_id. \
                 Otherwise read first.",
        operator: "As STORE_UNAVAILABLE.",
    },
    Row {
        reason: Reason::Internal,
        name: "INTERNAL",
        code: Code::Internal,
        details: "metadata incident_id",
        meaning: "A fault of the service. The cause is in its log under the incident's id.",
        caller: "Report the incident's id. A repeat may not help.",
        operator: "Search the log for the incident's id and report what it says.",
    },
];

/// The table as docs/ERRORS.md shows it.
#[must_use]
pub fn render() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         Every refusal is a `google.rpc.Status` with an `ErrorInfo{reason, domain: \"jobplane\", \
         metadata}` among its details; decide by the reason. The message is for people and may \
         change. This page is rendered from `src/grpc/reasons.rs`.\n\n\
         | reason | code | what happened | what the caller does | what the operator does | details |\n\
         |---|---|---|---|---|---|\n",
    );
    for row in ROWS {
        let Row { name, meaning, caller, operator, details, .. } = row;
        let code = code_name(row.code);
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{name}` | `{code}` | {meaning} | {caller} | {operator} | {details} |"
        );
    }
    page
}
