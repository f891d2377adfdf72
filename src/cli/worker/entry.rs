//! One job that is held: what is still to be said about it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::cli::parse::wire_duration;
use crate::proto::v1::report_progress_request::update::{
    Cancelled, Failed, Released, Report, Succeeded,
};
use crate::proto::v1::{JobError, Progress, ResourceUsage};

/// The end of an execution.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// The work is done.
    Succeeded {
        /// An encoded Struct.
        result: Option<Bytes>,
    },
    /// It failed.
    Failed {
        /// Why.
        error: Box<JobError>,
        /// When to try again.
        retry_delay: Option<Duration>,
    },
    /// It stopped as asked.
    Cancelled,
    /// It is given back.
    Released {
        /// Not before this has passed.
        delay: Duration,
        /// Why.
        reason: String,
    },
}

impl Outcome {
    /// As it is sent. Progress goes before it; only when it is said once more it has the newest on board, which a
    /// server that crashed may not have kept.
    pub(super) fn report(&self, progress: Option<Progress>) -> Report {
        match self.clone() {
            Self::Succeeded { result } => Report::Succeeded(Succeeded { progress, result }),
            Self::Failed { error, retry_delay } => Report::Failed(Failed {
                progress,
                error: Some(*error),
                retry_delay: retry_delay.map(wire_duration),
            }),
            Self::Cancelled => Report::Cancelled(Cancelled {}),
            Self::Released { delay, reason } => {
                Report::Released(Released { delay: Some(wire_duration(delay)), reason })
            }
        }
    }

    /// What is said instead of an outcome that the server finds malformed: the job must end.
    pub(super) fn refused(why: &str) -> Self {
        let message = format!("the server refused the outcome of the work: {why}");
        let error = JobError { code: "OUTCOME_REFUSED".to_owned(), message, ..JobError::default() };
        Self::Failed { error: Box::new(error), retry_delay: None }
    }
}

/// How far the outcome of a job is.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum End {
    /// It goes on.
    #[default]
    Open,
    /// It is over: to be said, not before this moment.
    ToSay(Outcome, Option<Instant>),
    /// It was said under this number.
    Said(i64),
}

/// What a job used of one quota.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// Units so far.
    pub(super) units: i64,
    /// They were not said yet.
    pub(super) due: bool,
    /// An earlier word was said and not answered: one at a time, for the last one counts.
    pub(super) under_way: bool,
    /// When it was said last.
    pub(super) said: Option<Instant>,
    /// The server would not take it, and not before.
    pub(super) after: Option<Instant>,
    /// That the server will not have it was told: once is enough.
    pub(super) told: bool,
}

/// One job that is held.
#[derive(Debug, Default)]
pub(super) struct Entry {
    /// The newest progress.
    pub(super) progress: Option<Progress>,
    /// The newest usage.
    pub(super) usage: Option<ResourceUsage>,
    /// The progress was not said yet on this stream.
    pub(super) progress_due: bool,
    /// The usage was not said yet on this stream.
    pub(super) usage_due: bool,
    /// When it was said last how far it is.
    pub(super) ticked: Option<Instant>,
    /// The number of that, to know what a refusal is about.
    pub(super) tick_seqs: [i64; 2],
    /// What it used, by quota.
    pub(super) quota_use: BTreeMap<String, Used>,
    /// Batches of lines that were sent and not answered.
    pub(super) batches: usize,
    /// Since when lines wait to be sent.
    pub(super) lines_since: Option<Instant>,
    /// Not to send lines before.
    pub(super) lines_after: Option<Instant>,
    /// The outcome was replaced once because the server would not have it.
    pub(super) replaced: bool,
    /// How far the outcome is.
    pub(super) end: End,
}

impl Entry {
    /// Whether reports about it go on.
    pub(super) fn is_open(&self) -> bool {
        self.end == End::Open
    }

    /// Whether there is something to say of how far it is, or what it uses.
    pub(super) fn has_tick(&self) -> bool {
        self.progress_due || self.usage_due
    }

    /// Whether the server does not know yet what it used of quotas.
    pub(super) fn has_use(&self) -> bool {
        self.quota_use.values().any(|used| used.due || used.under_way)
    }

    /// Everything said so far may be lost with the stream: it is said again on the next one.
    pub(super) fn detach(&mut self) {
        let said = matches!(self.end, End::Said(_));
        self.progress_due = self.progress.is_some() && !said;
        self.usage_due = self.usage.is_some() && !said;
        self.ticked = None;
    }
}
