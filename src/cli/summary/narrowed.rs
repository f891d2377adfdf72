//! A summary of some of the jobs of each type: by queue, label, owner, state or time. The server keeps its figures by
//! type alone, so these are counted from lists; what is not counted is left out.

use std::time::Duration;

use super::Filter;
use crate::cli::client::Client;
use crate::cli::exit::Failure;
use crate::cli::{format, pages, parse};
use crate::domain::Timestamp;
use crate::proto::v1::get_summary_response::Summary;
use crate::proto::v1::{
    GetSummaryResponse, Job, JobFilter, JobState, ListJobsRequest, ListJobsResponse,
};

/// Successful runs that a usual one is taken from, as the server does.
const TYPICAL_OF: usize = 20;
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Leaves the types that have such jobs, with the figures of those jobs.
pub async fn narrow(
    answer: &mut GetSummaryResponse,
    filter: &Filter,
    client: &Client,
    now: Timestamp,
) -> Result<(), Failure> {
    let mut kept = Vec::new();
    for summary in std::mem::take(&mut answer.summaries) {
        let asked = Asked { filter: filter.wire(now)?, job_type: summary.r#type.clone(), client };
        let Some(last) = asked.jobs(None, None, 1).await?.jobs.into_iter().next() else { continue };
        let succeeded = asked.jobs(Some(JobState::Succeeded), None, TYPICAL_OF).await?.jobs;
        let hour = asked.jobs(Some(JobState::Failed), Some(now.minus(HOUR)), 1).await?;
        let day = asked.jobs(Some(JobState::Failed), Some(now.minus(DAY)), 1).await?;
        kept.push(Summary {
            last_job: Some(last),
            last_success_time: latest(&succeeded),
            typical_run_duration: median(&succeeded).map(parse::wire_duration),
            failed_last_hour: hour.total_size,
            failed_last_day: day.total_size,
            counts: Vec::new(),
            ..summary
        });
        if kept.len() >= filter.at_most(super::USUAL) {
            break;
        }
    }
    answer.summaries = kept;
    Ok(())
}

struct Asked<'a> {
    filter: JobFilter,
    job_type: String,
    client: &'a Client,
}

impl Asked<'_> {
    /// The newest of these jobs, and how many there are.
    async fn jobs(
        &self,
        state: Option<JobState>,
        ended_since: Option<Timestamp>,
        wanted: usize,
    ) -> Result<ListJobsResponse, Failure> {
        let mut filter = self.filter.clone();
        filter.types = vec![self.job_type.clone()];
        if let Some(state) = state {
            filter.states = vec![state.into()];
        }
        // Of what was asked for and what is counted here, the later.
        let asked = filter.end_time_after.as_ref().map(format::timestamp);
        filter.end_time_after = asked.max(ended_since).map(parse::wire_moment);
        let request = ListJobsRequest { filter: Some(filter), ..ListJobsRequest::default() };
        pages::first(self.client, request, wanted).await
    }
}

fn latest(jobs: &[Job]) -> Option<prost_types::Timestamp> {
    let ended = jobs.iter().filter_map(|job| job.status.as_ref()?.end_time);
    ended.max_by_key(|time| (time.seconds, time.nanos))
}

/// The middle one of the run times; of an even number the mean of the two in the middle.
pub(super) fn median(jobs: &[Job]) -> Option<Duration> {
    let ran = |job: &Job| job.status.as_ref()?.run_duration.as_ref().map(format::duration);
    let mut runs: Vec<Duration> = jobs.iter().filter_map(ran).collect();
    runs.sort_unstable();
    let upper = *runs.get(runs.len() / 2)?;
    if runs.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *runs.get(runs.len() / 2 - 1)?;
    Some(lower + upper.saturating_sub(lower) / 2)
}
