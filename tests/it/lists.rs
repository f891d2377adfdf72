//! Lists of jobs: filters, pages, totals.

use std::collections::{BTreeMap, BTreeSet};

use jobplane::proto::v1;
use jobplane::proto::v1::{JobFilter, JobState, JobTrigger};
use jobplane::runtime::Tasks;
use tonic::Code;

use crate::harness::{Client, JobFacts as _, Server, Told as _, spec};

async fn found(client: &Client, filter: JobFilter) -> Vec<String> {
    let request = v1::ListJobsRequest { filter: Some(filter), ..v1::ListJobsRequest::default() };
    let page = client.list(request).await.expect("a page");
    assert_eq!(page.total_size, i64::try_from(page.jobs.len()).expect("a count"));
    assert!(!page.total_size_capped && page.next_page_token.is_empty());
    page.jobs.into_iter().map(|job| job.id).collect()
}

/// One job that stands out in everything, and one that does not.
async fn two_jobs(server: &Server) -> (v1::Job, v1::Job) {
    let client = server.client();
    let plain = client.create(spec("plain")).await;
    let started = v1::StartJobRequest {
        worker_id: "w9".to_owned(),
        spec: Some(v1::JobSpec {
            queue: "q9".to_owned(),
            labels: [("k".to_owned(), "v".to_owned()), ("l".to_owned(), "w".to_owned())].into(),
            owner: "o9".to_owned(),
            subject: "s9".to_owned(),
            external_id: "x9".to_owned(),
            ..spec("special")
        }),
        ..v1::StartJobRequest::default()
    };
    client.workers.clone().start_job(started).await.expect("started");
    let page = client.list(v1::ListJobsRequest::default()).await.expect("a page");
    let special = client.complete(&page.jobs[0].id, 1).await.expect("taken");
    (plain, special)
}

#[tokio::test]
async fn each_filter_finds_its_job_and_no_other() {
    let server = Server::start().await;
    let (plain, special) = two_jobs(&server).await;
    let create = special.status().create_time;
    let end = special.status().end_time;
    let text = |text: &str| text.to_owned();
    let label = |key: &str, value: &str| BTreeMap::from([(text(key), text(value))]);
    let none = JobFilter::default;
    let filters: Vec<(&str, JobFilter)> = vec![
        ("id", JobFilter { job_ids: vec![special.id.clone()], ..none() }),
        ("state", JobFilter { states: vec![JobState::Succeeded.into()], ..none() }),
        ("type", JobFilter { types: vec![text("special")], ..none() }),
        ("queue", JobFilter { queues: vec![text("q9")], ..none() }),
        ("label", JobFilter { labels: label("k", "v"), ..none() }),
        ("owner", JobFilter { owner: text("o9"), ..none() }),
        ("subject", JobFilter { subject: text("s9"), ..none() }),
        ("external id", JobFilter { external_id: text("x9"), ..none() }),
        ("trigger", JobFilter { triggers: vec![JobTrigger::Worker.into()], ..none() }),
        ("worker", JobFilter { worker_id: text("w9"), ..none() }),
        ("created after", JobFilter { create_time_after: create, ..none() }),
        ("ended after", JobFilter { end_time_after: end, ..none() }),
        ("both", JobFilter { owner: text("o9"), queues: vec![text("q9"), text("q8")], ..none() }),
    ];
    let client = server.client();
    for (name, filter) in filters {
        assert_eq!(found(&client, filter).await, std::slice::from_ref(&special.id), "{name}");
    }
    let before = JobFilter { create_time_before: create, ..none() };
    assert_eq!(found(&client, before).await, [plain.id]);
    for nothing in [
        JobFilter { labels: label("k", "other"), ..none() },
        JobFilter { end_time_before: end, ..none() },
        JobFilter { owner: text("o9"), types: vec![text("plain")], ..none() },
        JobFilter { created_by: text("somebody"), ..none() },
        JobFilter { categories: vec![text("none")], ..none() },
    ] {
        assert!(found(&client, nothing.clone()).await.is_empty(), "{nothing:?}");
    }
    let both = JobFilter { created_by: text(&special.status().created_by), ..none() };
    assert_eq!(found(&client, both).await.len(), 2);
    server.stop().await;
}

/// Reads all pages of a list; answers the ids as they came, and the last total.
async fn pages(client: &Client, filter: &JobFilter, page_size: i32) -> (Vec<String>, i64) {
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let filter = Some(filter.clone());
        let request =
            v1::ListJobsRequest { filter, page_size, page_token, ..v1::ListJobsRequest::default() };
        let page = client.list(request).await.expect("a page");
        ids.extend(page.jobs.into_iter().map(|job| job.id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (ids, page.total_size);
        }
    }
}

#[tokio::test]
async fn pages_cover_every_job_once_while_others_are_created() {
    let server = Server::start().await;
    let client = server.client();
    let batch = |from: i32| v1::BatchCreateJobsRequest {
        requests: (from..from + 50)
            .map(|n| v1::CreateJobRequest {
                spec: Some(v1::JobSpec { owner: format!("o{}", n % 2), ..spec("sync") }),
                ..v1::CreateJobRequest::default()
            })
            .collect(),
    };
    client.jobs.clone().batch_create_jobs(batch(0)).await.expect("created");
    let (before, total) = pages(&client, &JobFilter::default(), 7).await;
    assert_eq!((before.len(), total), (50, 50));
    assert!(before.is_sorted_by(|newer, older| newer > older), "the newest first");

    let tasks = Tasks::new();
    let writing = client.clone();
    let writer = tasks.spawn("writer", async move {
        for round in 1..4 {
            writing.jobs.clone().batch_create_jobs(batch(round * 50)).await.expect("created");
        }
    });
    let (during, _) = pages(&client, &JobFilter::default(), 3).await;
    let once: BTreeSet<_> = during.iter().collect();
    assert_eq!(once.len(), during.len(), "no job twice");
    assert!(before.iter().all(|id| once.contains(id)), "no job left out");
    writer.await.expect("the writer ends");

    let owned = JobFilter { owner: "o1".to_owned(), ..JobFilter::default() };
    let (owned, total) = pages(&client, &owned, 13).await;
    assert_eq!((owned.len(), total), (100, 100));
    server.stop().await;
}

#[tokio::test]
async fn a_page_token_of_another_filter_or_none_at_all_is_refused() {
    let server = Server::start().await;
    let client = server.client();
    for _ in 0..3 {
        client.create(spec("sync")).await;
    }
    let page = |filter, page_token: String| v1::ListJobsRequest {
        filter,
        page_token,
        page_size: 1,
        ..v1::ListJobsRequest::default()
    };
    let first = client.list(page(None, String::new())).await.expect("a page");
    let token = first.next_page_token;
    client.list(page(None, token.clone())).await.expect("the next page");
    let types = Some(JobFilter { types: vec!["sync".to_owned()], ..JobFilter::default() });
    for (filter, token) in [(types, token), (None, "nonsense".to_owned())] {
        let refused = client.list(page(filter, token)).await.refusal();
        assert_eq!((refused.code, &*refused.reason), (Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
    }
    let too_many = v1::ListJobsRequest { page_size: 1_001, ..v1::ListJobsRequest::default() };
    assert_eq!(client.list(too_many).await.refusal().fields, ["page_size"]);
    server.stop().await;
}

#[tokio::test]
async fn the_basic_view_leaves_out_what_is_large() {
    let server = Server::start().await;
    let client = server.client();
    let payload = Some(crate::harness::object("a", "b"));
    let id = client.create(v1::JobSpec { payload: payload.clone(), ..spec("sync") }).await.id;
    let list = |view: v1::JobView| {
        let request = v1::ListJobsRequest { view: view.into(), ..v1::ListJobsRequest::default() };
        let client = client.clone();
        async move { client.list(request).await.expect("a page").jobs.remove(0) }
    };
    let spec_of = |job: v1::Job| job.spec.expect("a spec").payload;
    assert_eq!(spec_of(list(v1::JobView::Unspecified).await), None);
    assert_eq!(spec_of(list(v1::JobView::Full).await), payload);
    assert_eq!(spec_of(client.get(&id).await), payload);
    server.stop().await;
}

#[tokio::test]
async fn a_page_ends_before_it_is_too_large_for_a_message() {
    let server = Server::start().await;
    let client = server.client();
    let payload = Some(crate::harness::object("a", &"x".repeat(200_000)));
    for _ in 0..8 {
        client.create(v1::JobSpec { payload: payload.clone(), ..spec("sync") }).await;
    }
    let request = v1::ListJobsRequest {
        view: v1::JobView::Full.into(),
        page_size: 1_000,
        ..v1::ListJobsRequest::default()
    };
    let first = client.list(request.clone()).await.expect("a page");
    assert!((1..8).contains(&first.jobs.len()), "{} jobs", first.jobs.len());
    assert_eq!(first.total_size, 8);
    let page_token = first.next_page_token;
    let second = client.list(v1::ListJobsRequest { page_token, ..request }).await.expect("a page");
    assert_eq!(first.jobs.len() + second.jobs.len(), 8);
    server.stop().await;
}
