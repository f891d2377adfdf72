//! What can be asked of a job.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::ids::{QuotaName, SessionId, WorkerName};
use crate::domain::progress::{Progress, ResourceUsage};
use crate::domain::status::{CancelCause, JobError, Report, SkipReason};
use crate::domain::time::Timestamp;

/// The moment of a decision, and its share of chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Now {
    /// The moment.
    pub time: Timestamp,
    /// A number from −1 to 1, drawn anew for each decision: the spread of a back-off.
    pub chance: f64,
}

impl Now {
    /// A moment with an even chance.
    #[must_use]
    pub const fn at(time: Timestamp) -> Self {
        Self { time, chance: 0.0 }
    }
}

/// Why an execution is given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReleaseReason {
    /// Its worker says so: it drains, or snoozes the job.
    Worker {
        /// In the worker's words.
        reason: String,
    },
    /// It never reached the worker behind this session; if it is leased to another one by now,
    /// nothing happens.
    Undelivered {
        /// The session.
        session: SessionId,
    },
    /// The process behind this session attached again, or said Goodbye, without it; if it is leased
    /// to another one by now, nothing happens.
    NotHeld {
        /// The session.
        session: SessionId,
    },
    /// The worker behind this session was to leave, and its grace is over; if it is leased to another
    /// one by now, nothing happens.
    Drained {
        /// The session.
        session: SessionId,
    },
}

/// A command to one job.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Hand it to a worker.
    Start {
        /// The attach it is leased to.
        session: SessionId,
        /// The worker's name.
        worker_id: WorkerName,
    },
    /// Move the same lease to another attach.
    Adopt {
        /// The lease.
        lease_epoch: i64,
        /// The attach that names it now.
        session: SessionId,
    },
    /// The work is done.
    Succeed {
        /// The lease.
        lease_epoch: i64,
        /// What came of it.
        result: Option<Bytes>,
        /// The newest progress, if newer than the status knows.
        progress: Option<Progress>,
        /// The newest usage.
        usage: Option<ResourceUsage>,
    },
    /// The attempt failed.
    Fail {
        /// The lease.
        lease_epoch: i64,
        /// What went wrong.
        error: JobError,
        /// The worker's wish for the wait before the next attempt.
        retry_delay: Option<Duration>,
        /// The newest progress, if newer than the status knows.
        progress: Option<Progress>,
        /// The newest usage.
        usage: Option<ResourceUsage>,
    },
    /// The worker says what it really used of outside quotas.
    ReportUse {
        /// The lease.
        lease_epoch: i64,
        /// All that the execution has used so far, by quota.
        used: BTreeMap<QuotaName, u64>,
    },
    /// The worker stopped as asked.
    ConfirmCancelled {
        /// The lease.
        lease_epoch: i64,
        /// The newest progress, if newer than the status knows.
        progress: Option<Progress>,
        /// The newest usage.
        usage: Option<ResourceUsage>,
    },
    /// Give the execution back.
    Release {
        /// The lease.
        lease_epoch: i64,
        /// Not before this much later.
        delay: Duration,
        /// Why.
        reason: ReleaseReason,
    },
    /// The attach it is leased to expired.
    LoseLease {
        /// The lease.
        lease_epoch: i64,
        /// The attach that expired; if the job is leased to another one by now, nothing happens.
        session: SessionId,
    },
    /// Somebody wants it stopped.
    Cancel {
        /// In their words.
        reason: String,
        /// Who.
        requested_by: String,
        /// Time to stop.
        grace: Duration,
    },
    /// A rule wants the running attempt stopped.
    RequestStop {
        /// The lease it is about.
        lease_epoch: i64,
        /// Which rule.
        cause: CancelCause,
        /// In the rule's words.
        reason: String,
        /// Time to stop.
        grace: Duration,
    },
    /// The running attempt was found stuck. What happened since it was found spares it.
    StopStuck {
        /// The lease it was found under.
        lease_epoch: i64,
        /// The revision it was found at.
        revision: i64,
        /// Its last activity, or its start.
        since: Timestamp,
        /// Whether activity after `since` spares it.
        spare_active: bool,
        /// How it was found, for people.
        reason: String,
        /// Who swept; empty for the server itself.
        requested_by: String,
        /// Time to stop.
        grace: Duration,
    },
    /// The running attempt was found stuck, and is to run on: it is noted, and told of, once. What
    /// happened since it was found spares it.
    NoteStuck {
        /// The lease it was found under.
        lease_epoch: i64,
        /// The revision it was found at.
        revision: i64,
        /// Its last activity, or its start.
        since: Timestamp,
        /// Whether activity after `since` spares it.
        spare_active: bool,
    },
    /// The running attempt takes unusually long: it is noted, and told of, once.
    NoteSlow {
        /// The lease it was found under.
        lease_epoch: i64,
        /// What 95 of 100 runs of its type take at most.
        p95: Duration,
    },
    /// It has waited for too long, somebody who sweeps says.
    Expire {
        /// The revision it was found at; what changed since spares it.
        revision: i64,
        /// How it was found, for people.
        reason: String,
    },
    /// The clock moved: timeout, end of grace, `expire_time`.
    MeetDeadline,
    /// A policy refuses it now that it comes up.
    Skip {
        /// Which policy.
        reason: SkipReason,
    },
    /// Run it again, or now instead of later.
    Retry {
        /// Not before this moment; at once if unset.
        schedule_time: Option<Timestamp>,
        /// Even if it succeeded.
        force: bool,
    },
}

/// A command's name, for tables and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of the commands, documented there")]
pub enum CommandKind {
    Start,
    Adopt,
    Succeed,
    Fail,
    ReportUse,
    ConfirmCancelled,
    Release,
    LoseLease,
    Cancel,
    RequestStop,
    StopStuck,
    NoteStuck,
    NoteSlow,
    Expire,
    MeetDeadline,
    Skip,
    Retry,
}

impl CommandKind {
    /// Every command.
    pub const ALL: [Self; 17] = [
        Self::Start,
        Self::Adopt,
        Self::Succeed,
        Self::Fail,
        Self::ReportUse,
        Self::ConfirmCancelled,
        Self::Release,
        Self::LoseLease,
        Self::Cancel,
        Self::RequestStop,
        Self::StopStuck,
        Self::NoteStuck,
        Self::NoteSlow,
        Self::Expire,
        Self::MeetDeadline,
        Self::Skip,
        Self::Retry,
    ];

    /// The name in docs and refusals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Adopt => "adopt",
            Self::Succeed => "succeed",
            Self::Fail => "fail",
            Self::ReportUse => "report use",
            Self::ConfirmCancelled => "confirm cancelled",
            Self::Release => "release",
            Self::LoseLease => "lose lease",
            Self::Cancel => "cancel",
            Self::RequestStop => "request stop",
            Self::StopStuck => "stop stuck",
            Self::NoteStuck => "note stuck",
            Self::NoteSlow => "note slow",
            Self::Expire => "expire",
            Self::MeetDeadline => "meet deadline",
            Self::Skip => "skip",
            Self::Retry => "retry",
        }
    }
}

impl Command {
    /// The command's name.
    #[must_use]
    pub const fn kind(&self) -> CommandKind {
        match self {
            Self::Start { .. } => CommandKind::Start,
            Self::Adopt { .. } => CommandKind::Adopt,
            Self::Succeed { .. } => CommandKind::Succeed,
            Self::Fail { .. } => CommandKind::Fail,
            Self::ReportUse { .. } => CommandKind::ReportUse,
            Self::ConfirmCancelled { .. } => CommandKind::ConfirmCancelled,
            Self::Release { .. } => CommandKind::Release,
            Self::LoseLease { .. } => CommandKind::LoseLease,
            Self::Cancel { .. } => CommandKind::Cancel,
            Self::RequestStop { .. } => CommandKind::RequestStop,
            Self::StopStuck { .. } => CommandKind::StopStuck,
            Self::NoteStuck { .. } => CommandKind::NoteStuck,
            Self::NoteSlow { .. } => CommandKind::NoteSlow,
            Self::Expire { .. } => CommandKind::Expire,
            Self::MeetDeadline => CommandKind::MeetDeadline,
            Self::Skip { .. } => CommandKind::Skip,
            Self::Retry { .. } => CommandKind::Retry,
        }
    }

    /// The lease it presents, if it is bound to one.
    #[must_use]
    pub const fn lease_epoch(&self) -> Option<i64> {
        match self {
            Self::Adopt { lease_epoch, .. }
            | Self::Succeed { lease_epoch, .. }
            | Self::Fail { lease_epoch, .. }
            | Self::ReportUse { lease_epoch, .. }
            | Self::ConfirmCancelled { lease_epoch, .. }
            | Self::Release { lease_epoch, .. }
            | Self::LoseLease { lease_epoch, .. }
            | Self::RequestStop { lease_epoch, .. }
            | Self::StopStuck { lease_epoch, .. }
            | Self::NoteStuck { lease_epoch, .. }
            | Self::NoteSlow { lease_epoch, .. } => Some(*lease_epoch),
            Self::Start { .. }
            | Self::Cancel { .. }
            | Self::Expire { .. }
            | Self::MeetDeadline
            | Self::Skip { .. }
            | Self::Retry { .. } => None,
        }
    }

    /// What a worker says with it, if it closes a lease.
    #[must_use]
    pub const fn report(&self) -> Option<Report> {
        match self {
            Self::Succeed { .. } => Some(Report::Succeeded),
            Self::Fail { .. } => Some(Report::Failed),
            Self::ConfirmCancelled { .. } => Some(Report::Cancelled),
            Self::Release { reason: ReleaseReason::Worker { .. }, .. } => Some(Report::Released),
            Self::Release { .. }
            | Self::ReportUse { .. }
            | Self::Start { .. }
            | Self::Adopt { .. }
            | Self::LoseLease { .. }
            | Self::Cancel { .. }
            | Self::RequestStop { .. }
            | Self::StopStuck { .. }
            | Self::NoteStuck { .. }
            | Self::NoteSlow { .. }
            | Self::Expire { .. }
            | Self::MeetDeadline
            | Self::Skip { .. }
            | Self::Retry { .. } => None,
        }
    }
}

impl ReleaseReason {
    /// The session it is about, if it is not the worker's own word.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Worker { .. } => None,
            Self::Undelivered { session }
            | Self::NotHeld { session }
            | Self::Drained { session } => Some(*session),
        }
    }
}
