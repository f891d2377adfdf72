//! The log of one job, as it grows.

use std::collections::VecDeque;

use crate::domain::limits::TOP_LOG_LINES_MAX;
use crate::proto::v1::{Job, JobStatus, LogEntry, LogGap};

/// What the watch of the job says.
#[derive(Debug, Clone)]
pub enum News {
    /// The job as it is.
    Job(Box<Job>),
    /// Its new status.
    Status(Box<JobStatus>),
    /// New lines, and those that were let go before them.
    Lines(Vec<LogEntry>, Vec<LogGap>),
    /// The job is over and all its lines are here.
    Over,
    /// The stream broke and is tried again, or the server refused.
    Trouble(String),
}

/// The log of one job.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    /// The job.
    pub job_id: String,
    /// As it is; `None` before the first answer.
    pub job: Option<Box<Job>>,
    /// The newest lines, the oldest of them first.
    pub lines: VecDeque<LogEntry>,
    /// Lines that are not shown: let go by the server, or too old for this screen.
    pub missing: i64,
    /// Rows up from the end; 0 = the newest lines are followed.
    pub up: usize,
    /// True when no further lines come.
    pub over: bool,
    /// What is wrong.
    pub trouble: Option<String>,
}

impl Tail {
    /// The log of this job, of which nothing is known yet.
    #[must_use]
    pub fn of(job_id: &str) -> Self {
        Self { job_id: job_id.to_owned(), ..Self::default() }
    }

    /// Takes what the watch says.
    pub fn take(&mut self, news: News) {
        if !matches!(news, News::Trouble(_)) {
            self.trouble = None;
        }
        match news {
            News::Job(job) => self.job = Some(job),
            News::Status(status) => {
                if let Some(job) = &mut self.job {
                    job.status = Some(*status);
                }
            }
            News::Lines(lines, gaps) => self.lines(lines, &gaps),
            News::Over => self.over = true,
            News::Trouble(cause) => self.trouble = Some(cause),
        }
    }

    fn lines(&mut self, lines: Vec<LogEntry>, gaps: &[LogGap]) {
        // A reader who looks at older lines goes on to see those.
        if self.up > 0 {
            self.up += lines.len();
        }
        self.lines.extend(lines);
        let beyond = self.lines.len().saturating_sub(TOP_LOG_LINES_MAX);
        self.lines.drain(..beyond);
        self.missing += gaps.iter().map(|gap| gap.dropped).sum::<i64>();
        self.missing += i64::try_from(beyond).unwrap_or(i64::MAX);
        self.up = self.up.min(self.lines.len());
    }

    /// Goes up, or down by a negative number.
    pub fn scroll(&mut self, rows: isize) {
        let top = self.lines.len().saturating_sub(1);
        self.up = self.up.saturating_add_signed(rows).min(top);
    }
}
