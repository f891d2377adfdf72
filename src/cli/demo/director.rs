//! The run of the demo: what is submitted when, what is cancelled, when it is over.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::plan::{Part, Planned};
use super::show::{News, Show};
use crate::cli::client::{Client, FollowMany, Seen};
use crate::cli::exit::Failure;
use crate::cli::{json, parse};
use crate::domain::Timestamp;
use crate::proto::v1::{
    CancelJobRequest, CreateJobRequest, GetStatsRequest, GetStatsResponse, Job, JobFilter, JobSpec,
    JobState, JobView, ListJobsRequest, Priority, RetryPolicy, WatchJobsRequest,
};
use crate::runtime::Clock;

/// One page holds all jobs of a demo.
const PAGE: i32 = 1_000;

/// Runs the programme on a server and watches it.
pub struct Director<'a> {
    client: &'a Client,
    follow: FollowMany,
    /// What is to be submitted, and when.
    waiting: VecDeque<(Instant, Planned)>,
    back_off: Duration,
    /// Until when it is to be over.
    until: Instant,
    submitted: usize,
    cancelled: bool,
    cut_off: bool,
    /// What is going on.
    pub show: Show,
}

/// What happened.
pub enum Step {
    /// These things, worth a line each.
    News(Vec<News>),
    /// All jobs are over.
    Over,
}

impl<'a> Director<'a> {
    /// Begins to watch; nothing is submitted yet.
    #[must_use]
    pub fn new(client: &'a Client) -> Self {
        let states = [
            JobState::Pending,
            JobState::Running,
            JobState::Succeeded,
            JobState::Failed,
            JobState::Cancelled,
        ];
        let filter = JobFilter { states: states.map(Into::into).to_vec(), ..JobFilter::default() };
        let request = WatchJobsRequest {
            filter: Some(filter),
            view: JobView::Basic.into(),
            min_interval: Some(parse::wire_duration(Duration::from_millis(100))),
            ..WatchJobsRequest::default()
        };
        Self {
            client,
            follow: FollowMany::new(client, request),
            waiting: VecDeque::new(),
            back_off: Duration::ZERO,
            until: Clock::monotonic(),
            submitted: 0,
            cancelled: false,
            cut_off: false,
            show: Show::default(),
        }
    }

    /// Puts a round of jobs on the programme, to be over by `until`.
    pub fn round(&mut self, jobs: Vec<Planned>, back_off: Duration, until: Instant) {
        let begin = Clock::monotonic();
        let mut jobs: Vec<_> = jobs.into_iter().map(|job| (begin + job.after, job)).collect();
        jobs.sort_by_key(|(when, _)| *when);
        self.waiting = jobs.into();
        (self.back_off, self.until, self.cancelled, self.cut_off) = (back_off, until, false, false);
    }

    /// Goes on until something happened. May be dropped and called again: what is under way when it is dropped is the
    /// watch, which loses nothing.
    ///
    /// # Errors
    ///
    /// The server refuses.
    pub async fn step(&mut self, now: impl Fn() -> Timestamp) -> Result<Step, Failure> {
        if self.waiting.is_empty() && self.show.over(self.submitted) {
            return Ok(Step::Over);
        }
        let due = self.waiting.front().map_or(self.until, |(when, _)| *when);
        let cut_off = self.cut_off;
        tokio::select! {
            event = self.follow.next() => {
                let seen: Seen = event?.seen;
                Ok(Step::News(self.show.take(seen, now())))
            }
            () = sleep_until(due.min(self.until)), if !cut_off => Ok(Step::News(Vec::new())),
        }
    }

    /// Does what is due: submits, cancels. To be awaited to its end.
    ///
    /// # Errors
    ///
    /// The server refuses.
    pub async fn act(&mut self) -> Result<(), Failure> {
        let now = Clock::monotonic();
        if now >= self.until && !self.cut_off {
            return self.cut_off().await;
        }
        while let Some((_, planned)) = self.waiting.pop_front_if(|(when, _)| *when <= now) {
            let id = self.submit(&planned).await?;
            self.show.cast(id, &planned);
            self.submitted += 1;
        }
        if let Some(job_id) = self.show.half_way().filter(|_| !self.cancelled) {
            self.cancelled = true;
            self.cancel(job_id, "half of it is enough").await?;
        }
        Ok(())
    }

    async fn submit(&self, planned: &Planned) -> Result<String, Failure> {
        let low = planned.priority == Priority::Low;
        let retry_policy = RetryPolicy {
            delays: vec![parse::wire_duration(self.back_off)],
            max_attempts: if planned.part == Part::Retried { 3 } else { 1 },
            ..RetryPolicy::default()
        };
        let spec = JobSpec {
            r#type: planned.kind.to_owned(),
            queue: super::plan::QUEUES[usize::from(low)].to_owned(),
            priority: planned.priority.into(),
            subject: planned.subject.to_owned(),
            payload: json::to_struct(&planned.payload.to_string()).ok(),
            retry_policy: Some(retry_policy),
            ..JobSpec::default()
        };
        let request = CreateJobRequest { spec: Some(spec), ..CreateJobRequest::default() };
        let mut jobs = self.client.jobs();
        let answer = self
            .client
            .change("submit a job", jobs.create_job(self.client.request(request)))
            .await?;
        Ok(answer.job.unwrap_or_default().id)
    }

    async fn cancel(&self, job_id: String, reason: &str) -> Result<(), Failure> {
        let request = CancelJobRequest { job_id, reason: reason.to_owned(), grace: None };
        let mut jobs = self.client.jobs();
        let answer =
            self.client.change("cancel", jobs.cancel_job(self.client.request(request))).await;
        match answer {
            // It was over before: that is what a race between the two is.
            Ok(_) | Err(Failure::Refused(_)) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    /// The time is over: what is left is cancelled.
    async fn cut_off(&mut self) -> Result<(), Failure> {
        self.cut_off = true;
        self.waiting.clear();
        let alive: Vec<String> = self.show.alive().iter().map(|job| job.id.clone()).collect();
        for job_id in alive {
            self.cancel(job_id, "the time of the demo is over").await?;
        }
        Ok(())
    }

    /// All jobs as the server has them, and its statistics.
    ///
    /// # Errors
    ///
    /// The server refuses.
    pub async fn account(&self) -> Result<(Vec<Job>, GetStatsResponse), Failure> {
        let (client, mut jobs, mut stats) = (self.client, self.client.jobs(), self.client.jobs());
        let list = ListJobsRequest { page_size: PAGE, ..ListJobsRequest::default() };
        let list = client.ask("list the jobs", jobs.list_jobs(client.request(list))).await?;
        let figures = stats.get_stats(client.request(GetStatsRequest::default()));
        Ok((list.jobs, client.ask("get statistics", figures).await?))
    }
}
