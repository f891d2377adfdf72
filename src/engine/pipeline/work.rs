//! What can be put into the pipeline, and how it is answered.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::audit::{AuditEvent, AuditSubject, Deed, fields};
use crate::domain::event::Event;
use crate::domain::machine::Command;
use crate::domain::{Job, JobId, LogBatch, LogEntry, Session, SessionId, Timestamp};
use crate::store::{NewJob, ProgressWrite, RuleWrite, SessionWrite, Written};

use super::super::error::Result;
use super::lane::Lane;

/// Where an answer goes. Called once, after the commit.
pub struct Reply<T>(Box<dyn FnOnce(Result<T>) + Send>);

impl<T: 'static> Reply<T> {
    /// Answers by calling `answer`, which must neither block nor wait.
    pub fn new(answer: impl FnOnce(Result<T>) + Send + 'static) -> Self {
        Self(Box::new(answer))
    }

    /// Nobody wants the answer.
    #[must_use]
    pub fn ignored() -> Self {
        Self(Box::new(drop))
    }

    pub(in super::super) fn send(self, answer: Result<T>) {
        (self.0)(answer);
    }
}

/// The answer to a create.
#[derive(Debug, Clone)]
pub struct Created {
    /// The job.
    pub job: Job,
    /// Whether it was there before.
    pub existing: bool,
}

/// A job that a reattaching worker names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// The job.
    pub job_id: JobId,
    /// The lease it believes to hold.
    pub lease_epoch: i64,
}

/// The answer to the opening of a session.
#[derive(Debug, Clone, Default)]
pub struct Opened {
    /// Jobs that are leased to the session now.
    pub adopted: Vec<Job>,
    /// Jobs it named but lost, and why.
    pub revoked: Vec<(Adoption, String)>,
}

/// A job as it was seen when something was decided about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The job.
    pub job_id: JobId,
    /// Its revision then.
    pub revision: i64,
}

impl Seen {
    /// `job` as it stands.
    #[must_use]
    pub const fn of(job: &Job) -> Self {
        Self { job_id: job.id, revision: job.status.revision }
    }
}

/// A change of rules with what hangs on it. Of its jobs, those that stand otherwise than they were seen are left
/// out and named by the answer; all else is done, or nothing is.
#[derive(Debug, Clone, Default)]
pub struct RuleChange {
    /// The rules, each guarded by the revision it was decided on.
    pub writes: Vec<RuleWrite>,
    /// Jobs to be born with it.
    pub creates: Vec<NewJob>,
    /// Commands to jobs, decided on what was seen of them.
    pub commands: Vec<(Seen, Command)>,
    /// Whose commands and deletes these are: each is recorded.
    pub deed: Option<Deed>,
    /// What is told with it.
    pub events: Vec<Event>,
    /// Who did it.
    pub audit: Vec<AuditEvent>,
    /// Jobs to be deleted.
    pub deletes: Vec<Seen>,
}

impl From<Vec<RuleWrite>> for RuleChange {
    fn from(writes: Vec<RuleWrite>) -> Self {
        Self { writes, ..Self::default() }
    }
}

impl RuleChange {
    /// The same as somebody's deed, which made of one thing another; unset where there was none before or is none
    /// after.
    #[must_use]
    pub fn as_deed<T: Serialize>(
        mut self,
        deed: &Deed,
        subject: AuditSubject,
        before: Option<&T>,
        after: Option<&T>,
        now: Timestamp,
    ) -> Self {
        // Whatever cannot be shown as JSON was not read from it either.
        let shown = |thing: Option<&T>| thing.and_then(|thing| fields(thing).ok());
        let (before, after) = (shown(before).unwrap_or_default(), shown(after).unwrap_or_default());
        self.audit.push(deed.done(subject, &before, &after, now));
        self
    }
}

/// What became of a change of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RulesChanged {
    /// It is durable.
    Done {
        /// What became of each create.
        creates: Vec<Written>,
        /// Jobs whose command or delete was not done: they stood otherwise, or moved on before the commit.
        missed: Vec<JobId>,
    },
    /// A rule stands otherwise than it was decided on: nothing was done.
    Missed,
}

/// One piece of work for the writer.
pub enum Work {
    /// A job is born.
    Create {
        /// The job and its request id.
        new: Box<NewJob>,
        /// Recorded, if it is somebody's deed.
        deed: Option<Box<Deed>>,
        /// The answer.
        reply: Reply<Created>,
    },
    /// A command to a job.
    Command {
        /// The job.
        job_id: JobId,
        /// The command.
        command: Command,
        /// Worker reports wait for a failing store; callers are told at once.
        patient: bool,
        /// The answer.
        reply: Reply<Job>,
    },
    /// A command that is recorded as somebody's deed, unless it changes nothing.
    Deed {
        /// The job.
        job_id: JobId,
        /// The command.
        command: Command,
        /// Whose.
        deed: Box<Deed>,
        /// The answer.
        reply: Reply<Job>,
    },
    /// A command of the server's own to a job, if the job still allows it; answers whether it did
    /// anything. What does not stand as it was found is no error.
    Try {
        /// The job.
        job_id: JobId,
        /// The command.
        command: Command,
        /// Recorded, if it is somebody's deed.
        deed: Option<Box<Deed>>,
        /// The answer.
        reply: Reply<bool>,
    },
    /// Nothing changes: the job as it is, if it runs under this lease.
    Fence {
        /// The job and its lease.
        of: Adoption,
        /// The answer.
        reply: Reply<Job>,
    },
    /// A job that is over goes.
    Delete {
        /// The job.
        job_id: JobId,
        /// Recorded, if it is somebody's deed.
        deed: Option<Box<Deed>>,
        /// The answer.
        reply: Reply<()>,
    },
    /// Lines of a running job.
    Logs {
        /// The lines.
        batch: LogBatch,
        /// Worker reports wait for a failing store; callers are told at once.
        patient: bool,
        /// The answer.
        reply: Reply<()>,
    },
    /// A worker process attaches and names what it has.
    Open {
        /// The session.
        session: Box<Session>,
        /// What the worker has.
        running: Vec<Adoption>,
        /// What was settled in an earlier round: the session itself then exists.
        settled: Option<Opened>,
        /// The answer.
        reply: Reply<Opened>,
    },
    /// A session changes; answers whether it still could.
    Session {
        /// The change.
        write: SessionWrite,
        /// The last words of a session wait for a failing store; what is said again later does not.
        patient: bool,
        /// The answer.
        reply: Reply<bool>,
    },
    /// A session ends whose lease ran out, and its worker is told lost; answers whether it still could.
    Expire {
        /// The session.
        session: SessionId,
        /// What is told.
        lost: Box<Event>,
        /// The answer.
        reply: Reply<bool>,
    },
    /// Nothing changes, but something is told or recorded; answers of each event whether it was not told before.
    Note {
        /// What is told.
        events: Vec<Event>,
        /// Who did what.
        audit: Vec<AuditEvent>,
        /// The answer.
        reply: Reply<Vec<bool>>,
    },
    /// Rules change.
    Rules {
        /// How.
        change: Box<RuleChange>,
        /// The answer.
        reply: Reply<RulesChanged>,
    },
    /// Newest progress of running jobs.
    Progress {
        /// One for each job.
        rows: Vec<ProgressWrite>,
        /// Answered once it is on disk.
        reply: Reply<()>,
    },
}

impl Work {
    /// About how many bytes it adds to a commit.
    pub(super) fn bytes(&self) -> usize {
        const OVERHEAD: usize = 256;
        let content = match self {
            Self::Create { new, .. } => new.job.spec.payload.as_ref().map_or(0, bytes::Bytes::len),
            Self::Command { command: Command::Succeed { result, .. }, .. } => {
                result.as_ref().map_or(0, bytes::Bytes::len)
            }
            Self::Logs { batch, .. } => batch.entries.iter().map(LogEntry::weight).sum(),
            Self::Progress { rows, .. } => rows.len() * OVERHEAD,
            Self::Rules { change, .. } => {
                let bodies = change.writes.iter().filter_map(|write| write.body.as_ref());
                let jobs = change.creates.len() + change.commands.len() + change.deletes.len();
                let jobs = jobs + change.events.len() + change.audit.len();
                bodies.map(Vec::len).sum::<usize>() + jobs * OVERHEAD
            }
            Self::Note { events, audit, .. } => (events.len() + audit.len()) * OVERHEAD,
            Self::Command { .. }
            | Self::Deed { .. }
            | Self::Try { .. }
            | Self::Fence { .. }
            | Self::Delete { .. }
            | Self::Open { .. }
            | Self::Expire { .. }
            | Self::Session { .. } => 0,
        };
        OVERHEAD + content
    }

    /// The lane it goes by if nothing else is said.
    pub(super) fn lane(&self) -> Lane {
        match self {
            Self::Create { new, .. } => Lane::of_job(new.job.id),
            Self::Command { job_id, .. }
            | Self::Deed { job_id, .. }
            | Self::Try { job_id, .. }
            | Self::Delete { job_id, .. } => Lane::of_job(*job_id),
            Self::Fence { of, .. } => Lane::of_job(of.job_id),
            Self::Logs { batch, .. } => Lane::of_job(batch.job_id),
            Self::Open { session, .. } => Lane::of_session(session.id),
            Self::Session { write, .. } => Lane::of_session(write.session()),
            Self::Expire { session, .. } => Lane::of_session(*session),
            Self::Note { .. } => Lane::of_job(JobId(Uuid::nil())),
            // Guards keep it right by whichever lane it goes.
            Self::Rules { change, .. } => {
                let job = change.creates.first().map(|new| new.job.id);
                let job = job.or_else(|| change.commands.first().map(|(seen, _)| seen.job_id));
                let job = job.or_else(|| change.deletes.first().map(|seen| seen.job_id));
                Lane::of_job(job.unwrap_or(JobId(Uuid::nil())))
            }
            Self::Progress { rows, .. } => {
                Lane::of_job(rows.first().map_or(JobId(Uuid::nil()), |row| row.job_id))
            }
        }
    }

    /// Whether it stays in the queue while the store fails.
    pub(super) const fn is_patient(&self) -> bool {
        match self {
            Self::Command { patient, .. }
            | Self::Logs { patient, .. }
            | Self::Session { patient, .. } => *patient,
            Self::Progress { .. } => true,
            Self::Create { .. }
            | Self::Deed { .. }
            | Self::Try { .. }
            | Self::Fence { .. }
            | Self::Delete { .. }
            | Self::Open { .. }
            | Self::Expire { .. }
            | Self::Note { .. }
            | Self::Rules { .. } => false,
        }
    }

    /// The jobs it must know to be decided, and whether the cache may know them: only where the usual
    /// answer is a guarded write.
    pub(super) fn names(&self, mut note: impl FnMut(JobId, bool)) {
        match self {
            Self::Command { job_id, .. } | Self::Deed { job_id, .. } => note(*job_id, true),
            Self::Logs { batch, .. } => note(batch.job_id, true),
            Self::Try { job_id, .. } | Self::Delete { job_id, .. } => note(*job_id, false),
            Self::Fence { of, .. } => note(of.job_id, false),
            Self::Open { running, .. } => running.iter().for_each(|of| note(of.job_id, false)),
            Self::Rules { change, .. } => {
                change.commands.iter().for_each(|(seen, _)| note(seen.job_id, false));
                change.deletes.iter().for_each(|seen| note(seen.job_id, false));
            }
            Self::Create { .. }
            | Self::Session { .. }
            | Self::Expire { .. }
            | Self::Note { .. }
            | Self::Progress { .. } => {}
        }
    }

    /// Answers that it cannot be done.
    pub(super) fn fail(self, error: super::super::error::Error) {
        match self {
            Self::Create { reply, .. } => reply.send(Err(error)),
            Self::Command { reply, .. } | Self::Deed { reply, .. } | Self::Fence { reply, .. } => {
                reply.send(Err(error));
            }
            Self::Delete { reply, .. }
            | Self::Logs { reply, .. }
            | Self::Progress { reply, .. } => reply.send(Err(error)),
            Self::Open { reply, .. } => reply.send(Err(error)),
            Self::Session { reply, .. } | Self::Expire { reply, .. } | Self::Try { reply, .. } => {
                reply.send(Err(error));
            }
            Self::Note { reply, .. } => reply.send(Err(error)),
            Self::Rules { reply, .. } => reply.send(Err(error)),
        }
    }
}
