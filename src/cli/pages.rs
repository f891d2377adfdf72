//! Lists of jobs, page by page, and what is said of their ends.

use super::client::Client;
use super::exit::Failure;
use super::filter::Filter;
use super::format;
use super::output::Out;
use crate::proto::v1::{Job, ListJobsRequest, ListJobsResponse};

/// The server gives no larger pages.
const PAGE_MAX: usize = 1_000;

/// The next page of at most so many jobs; the request then asks for the one after it.
pub async fn next(
    client: &Client,
    request: &mut ListJobsRequest,
    left: usize,
) -> Result<ListJobsResponse, Failure> {
    request.page_size = i32::try_from(left.min(PAGE_MAX)).unwrap_or(i32::MAX);
    let call = client.request(request.clone());
    let page = client.ask("list jobs", client.jobs().list_jobs(call)).await?;
    request.page_token.clone_from(&page.next_page_token);
    Ok(page)
}

/// At most so many jobs, as one answer.
pub async fn first(
    client: &Client,
    mut request: ListJobsRequest,
    wanted: usize,
) -> Result<ListJobsResponse, Failure> {
    let mut jobs: Vec<Job> = Vec::new();
    loop {
        let mut page = next(client, &mut request, wanted - jobs.len()).await?;
        jobs.append(&mut page.jobs);
        if jobs.len() >= wanted || page.next_page_token.is_empty() {
            return Ok(ListJobsResponse { jobs, ..page });
        }
    }
}

/// What is said when there are more.
#[must_use]
pub fn more(shown: usize, total: i64, capped: bool) -> String {
    let (total, or_more) = (format::count(total), if capped { " or more" } else { "" });
    format!("jobplane: {shown} of {total}{or_more} jobs shown; see more with --limit N")
}

/// Says so if an answer leaves some out.
pub fn tell_more(answer: &ListJobsResponse, out: &mut Out) -> Result<(), Failure> {
    if answer.next_page_token.is_empty() {
        return Ok(());
    }
    out.note(&more(answer.jobs.len(), answer.total_size, answer.total_size_capped))
}

/// What is said when there is none.
#[must_use]
pub fn none(what: &str, filter: &Filter) -> String {
    let next = if filter.words().is_empty() {
        "make one with `jobplane submit TYPE`"
    } else {
        "ask for more with fewer flags, or see what there is with `jobplane stats`"
    };
    format!("jobplane: no {what}{}; {next}", filter.words())
}
