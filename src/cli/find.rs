//! The job that is meant by a part of its id.
//!
//! Ids begin with the time of creation, so a beginning says where to look; an end is looked for among the newest jobs
//! and those that are not over. What fits several jobs is refused, with their ids.

use std::collections::BTreeMap;
use std::time::Duration;

use super::client::Client;
use super::exit::Failure;
use super::{live, pages, parse};
use crate::domain::Timestamp;
use crate::proto::v1::{Job, JobFilter, JobState, ListJobsRequest};

#[cfg(test)]
mod tests;

/// Jobs that are looked through.
const LOOK_AT: usize = 1_000;
/// Ids that are told when several fit.
const TOLD: usize = 5;
/// A job's id is made a little before or after the moment that is its time of creation.
const MARGIN: Duration = Duration::from_secs(5);
/// Hexadecimal digits of an id that are its time of creation, in milliseconds.
const TIME_DIGITS: usize = 12;

/// The id of the job, which was written whole or in part.
pub async fn job(client: &Client, written: &str) -> Result<String, Failure> {
    if written.len() == parse::ID_LETTERS {
        return Ok(written.to_owned());
    }
    let alive = [JobState::Pending, JobState::Running];
    let mut filters = vec![
        JobFilter::default(),
        JobFilter { states: alive.map(i32::from).to_vec(), ..JobFilter::default() },
    ];
    filters.extend(created(written));
    let mut found = BTreeMap::new();
    for filter in filters {
        let request = ListJobsRequest { filter: Some(filter), ..ListJobsRequest::default() };
        let jobs = pages::first(client, request, LOOK_AT).await?.jobs;
        found.extend(jobs.into_iter().filter(|job| fits(&job.id, written)).map(named));
    }
    let mut found = found.into_iter();
    match (found.next(), found.next()) {
        (Some((id, _)), None) => Ok(id),
        (None, _) => Err(Failure::NoSuchJob { written: written.to_owned() }),
        (Some(first), Some(second)) => {
            let all = [first, second].into_iter().chain(found);
            Err(Failure::Ambiguous {
                written: written.to_owned(),
                fits: all.take(TOLD).map(|(id, said)| format!("{id}  {said}")).collect(),
            })
        }
    }
}

/// The jobs of the time that a beginning tells; `None` if it tells none that a job can have.
fn created(written: &str) -> Option<JobFilter> {
    let digits: String =
        written.chars().filter(|letter| *letter != '-').take(TIME_DIGITS).collect();
    let unknown = u32::try_from(TIME_DIGITS - digits.len()).ok()? * 4;
    let first = i64::from_str_radix(&digits, 16).ok()? << unknown;
    let moment = |millis: i64| Some(Timestamp::from_micros(millis.checked_mul(1_000)?));
    let (from, to) = (moment(first)?, moment(first + (1 << unknown))?);
    // Later than this no date can be written.
    if to.as_micros() > 253_402_300_799_000_000 {
        return None;
    }
    Some(JobFilter {
        create_time_after: Some(parse::wire_moment(from.minus(MARGIN))),
        create_time_before: Some(parse::wire_moment(to.plus(MARGIN))),
        ..JobFilter::default()
    })
}

fn fits(id: &str, written: &str) -> bool {
    let bare = |text: &str| text.replace('-', "");
    let (id, written) = (bare(id), bare(written));
    id.starts_with(&written) || id.ends_with(&written)
}

fn named(job: Job) -> (String, String) {
    let state = super::names::short(live::state(&job)).to_owned();
    let job_type = job.spec.map(|spec| spec.r#type).unwrap_or_default();
    (job.id, format!("{job_type}  {state}"))
}
