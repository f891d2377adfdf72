//! Taking away what is over: where to look for it, and one bounded batch of it.

use crate::domain::retention::Terminal;
use crate::domain::{BatchId, JobId, JobType, Position, Timestamp};

use super::RemovedJob;

/// A line of jobs that are over, in the order in which they may go. There is none of other jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndedLine {
    /// Those of a type in a state, by their end.
    OfType {
        /// The type.
        job_type: JobType,
        /// The state.
        state: Terminal,
        /// Ended at this moment or later.
        from: Timestamp,
        /// Ended before this moment.
        before: Timestamp,
    },
    /// Those of a type in a state without a word of their own on how long they are kept, by their end.
    ByPolicy {
        /// The type.
        job_type: JobType,
        /// The state.
        state: Terminal,
        /// Ended before this moment.
        before: Timestamp,
    },
    /// Those whose spec says how long they are kept, by when that is over.
    OwnWord {
        /// Over before this moment.
        before: Timestamp,
    },
}

/// A page of such a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedQuery {
    /// Which line.
    pub line: EndedLine,
    /// Only what comes after this place: where the page before ended.
    pub after: Option<EndedPlace>,
    /// At most so many are looked at, wanted or not.
    pub limit: usize,
}

/// A place in a line: by a time, then by the job.
pub type EndedPlace = (Timestamp, JobId);

/// What a look at such a page finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EndedPage {
    /// The jobs, in the order of the line; maybe none, though others come further on.
    pub jobs: Vec<Ended>,
    /// Where the next page begins; none if this one reached the end.
    pub next: Option<EndedPlace>,
}

impl EndedPage {
    /// A page of all that was looked at.
    pub(super) fn of(jobs: Vec<Ended>, query: &EndedQuery) -> Self {
        let last = jobs.last().filter(|_| jobs.len() >= query.limit);
        let next = last.map(|last| last.place(&query.line));
        Self { jobs, next }
    }

    /// A page of what is wanted, in any order, and of a line that is not wanted whole the place that was come to.
    pub(super) fn gathered(rows: Vec<Result<Ended, EndedPlace>>, query: &EndedQuery) -> Self {
        let (mut jobs, mut reached) = (Vec::with_capacity(rows.len()), None);
        for row in rows {
            match row {
                Ok(job) => jobs.push(job),
                Err(place) => reached = Some(place),
            }
        }
        jobs.sort_unstable_by_key(|job| job.place(&query.line));
        match &query.line {
            EndedLine::ByPolicy { .. } => Self { jobs, next: reached },
            EndedLine::OfType { .. } | EndedLine::OwnWord { .. } => Self::of(jobs, query),
        }
    }
}

/// A job that is over, as a purge sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Its id.
    pub id: JobId,
    /// Its revision: who deletes it, deletes this one.
    pub revision: i64,
    /// Its state.
    pub state: Terminal,
    /// When it ended.
    pub end_time: Timestamp,
    /// When it may go, if its spec says how long it is kept.
    pub purge_time: Option<Timestamp>,
}

impl Ended {
    /// Its place in a line.
    #[must_use]
    pub fn place(&self, line: &EndedLine) -> EndedPlace {
        let time = match line {
            EndedLine::OfType { .. } | EndedLine::ByPolicy { .. } => self.end_time,
            EndedLine::OwnWord { .. } => self.purge_time.unwrap_or(self.end_time),
        };
        (time, self.id)
    }
}

/// Jobs to be taken away with all that is kept of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeBatch {
    /// Its id in the change log.
    pub id: BatchId,
    /// The moment.
    pub now: Timestamp,
    /// The jobs, each with the revision it must have.
    pub jobs: Vec<(JobId, i64)>,
}

/// What a batch took away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Purged {
    /// The jobs that went. What somebody else holds, changed or took away meanwhile is not among them.
    pub removed: Vec<RemovedJob>,
    /// Its place in the change log; none if nothing went.
    pub position: Option<Position>,
}
